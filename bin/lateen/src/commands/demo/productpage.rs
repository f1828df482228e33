//! `productpage`: the page, its log-in, and the API behind it.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{COOKIE, HeaderValue, LOCATION, REFERER, SET_COOKIE};
use hyper::{HeaderMap, Method, Request, Response};
use serde_json::{Value, json};

use super::client::{Reply, service_url};
use super::context::{Caller, forwarded};
use super::page;
use super::server::{App, Body, json as reply, not_found, reply as text};

/// Productpage gives every call this long.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Reviews are asked for twice, so the page waits six seconds at most.
const REVIEWS_ATTEMPTS: u32 = 2;

pub async fn handle(app: &App, request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, [""] | ["index.html"]) => text(200, HTML, page::index()),
        (&Method::GET, ["health"]) => text(200, "text/plain", "Product page is healthy"),
        (&Method::GET, ["static", "style.css"]) => text(200, "text/css", page::STYLE),
        (&Method::GET, ["productpage"]) => front(app, &request).await,
        (&Method::POST, ["login"]) => login(request).await,
        (&Method::GET, ["logout"]) => redirect(request.headers(), "user=; Path=/; Max-Age=0"),
        (&Method::GET, ["api", "v1", "products"]) => reply(200, &json!([product()])),
        (&Method::GET, ["api", "v1", "products", id]) => api(app, &request, "details", id).await,
        (&Method::GET, ["api", "v1", "products", id, part @ ("reviews" | "ratings")]) => {
            api(app, &request, part, id).await
        }
        _ => not_found(),
    }
}

const HTML: &str = "text/html; charset=utf-8";

/// The page: details and reviews side by side. A part that fails says so; the page is there.
async fn front(app: &App, request: &Request<Incoming>) -> Response<Body> {
    let user = user_of(request.headers());
    let headers = outgoing(request.headers(), &user);
    let (details, reviews) =
        tokio::join!(get(app, "details", "0", &headers), get(app, "reviews", "0", &headers));
    let caller = Caller::of(request.headers());
    let view = page::View {
        product: &product(),
        user: user.as_deref(),
        served_by: &app.name(),
        caller: caller.identity_or_unknown(),
        details: &details,
        reviews: &reviews,
    };
    text(200, HTML, page::product(&view))
}

async fn api(app: &App, request: &Request<Incoming>, part: &str, id: &str) -> Response<Body> {
    let headers = outgoing(request.headers(), &user_of(request.headers()));
    let answer = get(app, part, id, &headers).await;
    if answer.is_ok() {
        return reply(200, &answer.body);
    }
    let status = if answer.status == 0 { 500 } else { answer.status };
    reply(
        status,
        &json!({ "error": format!("Sorry, product {part} are currently unavailable for this book.") }),
    )
}

async fn get(app: &App, part: &str, id: &str, headers: &HeaderMap) -> Reply {
    let url = format!("{}/{part}/{id}", service_url(part));
    let attempts = if part == "reviews" { REVIEWS_ATTEMPTS } else { 1 };
    let mut answer = app.client.get(&url, headers, TIMEOUT).await;
    for _ in 1..attempts {
        if answer.is_ok() {
            break;
        }
        answer = app.client.get(&url, headers, TIMEOUT).await;
    }
    answer
}

fn product() -> Value {
    json!({
        "id": 0,
        "title": "The Comedy of Errors",
        "descriptionHtml": "<b>The Comedy of Errors</b> is one of Shakespeare's early plays: two pairs of twins, \
            one town, and a day of mistaken identity.",
    })
}

/// The headers of calls made for this request; a logged-in user is named in `end-user`.
fn outgoing(headers: &HeaderMap, user: &Option<String>) -> HeaderMap {
    let mut outgoing = forwarded(headers);
    if let Some(user) = user.as_deref().and_then(|user| HeaderValue::from_str(user).ok()) {
        outgoing.insert("end-user", user);
    }
    outgoing
}

fn user_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter(|(name, value)| *name == "user" && !value.is_empty())
        .map(|(_, value)| value.to_owned())
        .next()
}

/// Any name logs in, as in the original; no password is looked at.
async fn login(request: Request<Incoming>) -> Response<Body> {
    let headers = request.headers().clone();
    let body = Limited::new(request.into_body(), 4096).collect().await;
    let Ok(body) = body.map(|body| body.to_bytes()) else {
        return reply(400, &json!({ "error": "bad form" }));
    };
    let form = String::from_utf8_lossy(&body).into_owned();
    let user = form.split('&').find_map(|pair| pair.strip_prefix("username=")).unwrap_or_default();
    // A cookie and a header are made of it: letters and digits only.
    let user: String = user.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    redirect(&headers, &format!("user={user}; Path=/; HttpOnly; SameSite=Lax"))
}

/// Back to where the person came from.
fn redirect(headers: &HeaderMap, cookie: &str) -> Response<Body> {
    let path = headers.get(REFERER).and_then(|value| value.to_str().ok());
    let path = path.and_then(|url| url.parse::<hyper::Uri>().ok()).map(|uri| uri.path().to_owned());
    // A path that begins with two slashes would lead to another host.
    let path = path.filter(|path| path.starts_with('/') && !path.starts_with("//"));
    let mut response = text(302, "text/plain", "");
    let target = path.unwrap_or_else(|| "/productpage".into());
    for (name, value) in [(LOCATION, target.as_str()), (SET_COOKIE, cookie)] {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
