//! A call, from JSON.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, bail};
use engine::follow::{Call, ClientTls, Mode, Spoken};
use serde_json::{Map, Value};

const FIELDS: [&str; 9] =
    ["callMode", "address", "port", "protocol", "tls", "sni", "alpn", "host_header", "path"];

/// Reads a call.
///
/// # Errors
/// A field that is missing, unknown, or none of what it may be, by name.
pub fn read(value: &Value) -> anyhow::Result<Call> {
    let Some(fields) = value.as_object() else { bail!("a call is a JSON object, not {value}") };
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        bail!("a call has no field {unknown:?}; there are {}", FIELDS.join(", "));
    }
    let modes = [("outbound", Mode::Outbound), ("inbound", Mode::Inbound), ("gateway", Mode::Gateway)];
    let protocols = [("http", Spoken::Http1), ("http2", Spoken::Http2), ("tcp", Spoken::Bytes)];
    let kinds =
        [("plaintext", ClientTls::Plaintext), ("tls", ClientTls::Simple), ("mtls", ClientTls::Mutual)];
    let path = text(fields, "path")?;
    Ok(Call {
        mode: one_of(fields, "callMode", &modes)?.context("callMode is missing")?,
        destination: destination(fields)?,
        spoken: one_of(fields, "protocol", &protocols)?.context("protocol is missing")?,
        tls: one_of(fields, "tls", &kinds)?.unwrap_or(ClientTls::Plaintext),
        server_name: text(fields, "sni")?.to_ascii_lowercase(),
        alpn: protocols_of(fields)?,
        authority: text(fields, "host_header")?,
        path: if path.is_empty() { "/".to_owned() } else { path },
    })
}

fn destination(fields: &Map<String, Value>) -> anyhow::Result<SocketAddr> {
    let address = text(fields, "address")?;
    if address.is_empty() {
        bail!("address is missing");
    }
    let address: IpAddr = address.parse().with_context(|| format!("address {address:?} is no IP address"))?;
    let port = fields.get("port").context("port is missing")?;
    let number = port.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    Ok(SocketAddr::new(address, number.with_context(|| format!("port {port} is no port"))?))
}

fn text(fields: &Map<String, Value>, name: &str) -> anyhow::Result<String> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => bail!("{name} is a string, not {other}"),
    }
}

/// A name or a list of them.
fn protocols_of(fields: &Map<String, Value>) -> anyhow::Result<Vec<String>> {
    let Some(Value::Array(list)) = fields.get("alpn") else {
        return Ok(Some(text(fields, "alpn")?).filter(|name| !name.is_empty()).into_iter().collect());
    };
    let name = |value: &Value| {
        value.as_str().map(str::to_owned).with_context(|| format!("alpn has strings, not {value}"))
    };
    list.iter().map(name).collect()
}

fn one_of<T: Copy>(
    fields: &Map<String, Value>,
    name: &str,
    known: &[(&str, T)],
) -> anyhow::Result<Option<T>> {
    let text = text(fields, name)?;
    if text.is_empty() {
        return Ok(None);
    }
    let found = known.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    found.map(Some).with_context(|| format!("{name} is one of {}, not {text:?}", words.join(", ")))
}

/// `KEY=VALUE`, where the value may be empty.
pub fn label(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "is not KEY=VALUE".to_owned())
}
