//! The HTML of productpage.

use serde_json::Value;

use super::client::Reply;

/// What the page shows.
pub struct View<'a> {
    pub product: &'a Value,
    pub user: Option<&'a str>,
    pub served_by: &'a str,
    /// Who called productpage: the gateway's identity.
    pub caller: &'a str,
    pub details: &'a Reply,
    pub reviews: &'a Reply,
}

pub const STYLE: &str = "\
:root { color-scheme: light dark; --line: #8884; --soft: #8888; --accent: #0b6e8a; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
header { display: flex; align-items: center; justify-content: space-between; border-bottom: 1px solid var(--line); }
header form { display: flex; gap: .5rem; } h1 { color: var(--accent); }
input, button { font: inherit; padding: .2rem .6rem; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(18rem, 1fr)); gap: 1.5rem; }
section { border: 1px solid var(--line); border-radius: .5rem; padding: 0 1rem 1rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .1rem 1rem; } dt { color: var(--soft); } dd { margin: 0; }
blockquote { margin: 1rem 0; } .black { color: currentColor; } .red { color: #d22; }
.error { color: #d22; } table { width: 100%; border-collapse: collapse; font-size: .85rem; }
td, th { text-align: left; border-top: 1px solid var(--line); padding: .3rem; } code { word-break: break-all; }
";

/// The page before the page.
pub fn index() -> String {
    frame("Bookinfo", "", "<p><a href=\"/productpage\">To the product page</a></p>")
}

/// The product page.
pub fn product(view: &View<'_>) -> String {
    let login = match view.user {
        Some(user) => format!("<span>{} · <a href=\"/logout\">sign out</a></span>", escape(user)),
        None => "<form method=\"post\" action=\"/login\"><input name=\"username\" placeholder=\"user name\" \
                 required autocomplete=\"username\"><button>Sign in</button></form>"
            .to_owned(),
    };
    let body = format!(
        "<p>{}</p><main>{}{}</main><h2>Who served this page</h2>{}",
        view.product["descriptionHtml"].as_str().unwrap_or_default(),
        details(view.details),
        reviews(view.reviews),
        hops(view),
    );
    frame(view.product["title"].as_str().unwrap_or_default(), &login, &body)
}

fn frame(title: &str, login: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"stylesheet\" href=\"/static/style.css\">\
         </head><body><header><h1>{title}</h1>{login}</header>{body}</body></html>\n"
    )
}

fn details(reply: &Reply) -> String {
    if !reply.is_ok() {
        return failed("Book Details", "Error fetching product details!", "details");
    }
    let rows: String = [
        ("Type", "type"),
        ("Pages", "pages"),
        ("Publisher", "publisher"),
        ("Language", "language"),
        ("ISBN-10", "ISBN-10"),
        ("ISBN-13", "ISBN-13"),
    ]
    .iter()
    .map(|(label, key)| format!("<dt>{label}</dt><dd>{}</dd>", escape(&plain(&reply.body[key]))))
    .collect();
    format!("<section><h2>Book Details</h2><dl>{rows}</dl></section>")
}

fn reviews(reply: &Reply) -> String {
    if !reply.is_ok() {
        return failed("Book Reviews", "Error fetching product reviews!", "reviews");
    }
    let reviews: String = reply.body["reviews"].as_array().into_iter().flatten().map(review).collect();
    format!("<section><h2>Book Reviews</h2>{reviews}</section>")
}

fn review(review: &Value) -> String {
    let rating = &review["rating"];
    let stars = match rating["stars"].as_u64() {
        Some(stars) => {
            let filled = "★".repeat(stars.min(5) as usize);
            let empty = "☆".repeat(5 - stars.min(5) as usize);
            let color = if rating["color"] == "red" { "red" } else { "black" };
            format!("<div class=\"{color}\" aria-label=\"{stars} of 5 stars\">{filled}{empty}</div>")
        }
        None => match rating["error"].as_str() {
            Some(error) => format!("<div class=\"error\">{}</div>", escape(error)),
            None => String::new(),
        },
    };
    let (text, who) = (plain(&review["text"]), plain(&review["reviewer"]));
    format!("<blockquote>{}<br><small>{}</small>{stars}</blockquote>", escape(&text), escape(&who))
}

fn failed(title: &str, what: &str, part: &str) -> String {
    format!(
        "<section><h2>{title}</h2><p class=\"error\">{what}</p>\
         <p>Sorry, product {part} are currently unavailable for this book.</p></section>"
    )
}

/// A line per hop: who served, and which identity the caller presented to it.
fn hops(view: &View<'_>) -> String {
    let ratings = &view.reviews.body["ratings"];
    let mut rows = vec![
        (view.served_by.to_owned(), view.caller.to_owned()),
        (view.details.served_by.clone(), view.details.presented.clone()),
        (view.reviews.served_by.clone(), view.reviews.presented.clone()),
        (plain(&ratings["served_by"]), plain(&ratings["presented"])),
    ];
    rows.retain(|(name, _)| !name.is_empty());
    let rows: String = rows
        .iter()
        .map(|(name, id)| format!("<tr><td>{}</td><td><code>{}</code></td></tr>", escape(name), escape(id)))
        .collect();
    format!("<table><tr><th>served by</th><th>identity that the caller presented</th></tr>{rows}</table>")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
