//! What became of calls, for programs and for people.

use engine::follow::{Call, ClientTls, Followed, Mode, Spoken};
use model::Str;
use serde_json::{Value, json};

/// One object if `single`, else an array of them in the order of the calls.
///
/// # Errors
/// None that a JSON writer of plain values has.
pub fn json(followed: &[(Call, Followed)], single: bool) -> anyhow::Result<String> {
    let objects: Vec<Value> = followed.iter().map(|(_, found)| object(found)).collect();
    let value = match objects.as_slice() {
        [only] if single => only.clone(),
        _ => Value::Array(objects),
    };
    Ok(serde_json::to_string_pretty(&value)? + "\n")
}

fn object(found: &Followed) -> Value {
    let text = |text: &Option<Str>| text.as_ref().map(|text| text.to_string());
    json!({
        "error": found.refusal.map(|refusal| refusal.code()),
        "cluster": text(&found.cluster),
        "listener": text(&found.listener),
        "filter_chain": text(&found.filter_chain),
        "route_config": text(&found.routes),
        "virtual_host": text(&found.virtual_host),
        "route": text(&found.route),
    })
}

/// A table with a line for each step that a call came to.
pub fn table(followed: &[(Call, Followed)]) -> String {
    let mut out = String::new();
    for (index, (call, found)) in followed.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        out.push_str(&heading(call));
        out.push('\n');
        let steps = [
            ("listener", &found.listener),
            ("filter chain", &found.filter_chain),
            ("routes", &found.routes),
            ("virtual host", &found.virtual_host),
            ("route", &found.route),
            ("cluster", &found.cluster),
        ];
        for (step, name) in steps {
            if let Some(name) = name {
                out.push_str(&format!("  {step:<13} {name}\n"));
            }
        }
        if let Some(refusal) = found.refusal {
            out.push_str(&format!("  {:<13} {}: {refusal}\n", "error", refusal.code()));
        } else if found.cluster.is_none() {
            out.push_str(&format!("  {:<13} the proxy answers by itself\n", "response"));
        }
    }
    out
}

fn heading(call: &Call) -> String {
    let mode = match call.mode {
        Mode::Outbound => "outbound",
        Mode::Inbound => "inbound",
        Mode::Gateway => "gateway",
    };
    let inside = match call.spoken {
        Spoken::Http1 => format!("HTTP/1.1 {}{}", call.authority, call.path),
        Spoken::Http2 => format!("HTTP/2 {}{}", call.authority, call.path),
        Spoken::Bytes => "bytes".to_owned(),
    };
    let tls = match call.tls {
        ClientTls::Plaintext => "",
        ClientTls::Simple => " in TLS",
        ClientTls::Mutual => " in mutual TLS",
    };
    let name = if call.server_name.is_empty() { String::new() } else { format!(" for {}", call.server_name) };
    format!("{mode} to {}: {inside}{tls}{name}", call.destination)
}
