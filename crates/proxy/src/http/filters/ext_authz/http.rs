//! A service that is asked over HTTP.

use bytes::Bytes;
use engine::Problem;
use engine::matcher::Text;
use ir::ext_authz::HttpAuthz;
use ir::metadata::Json;
use ir::route::AppendAction;
use upstream::{RequestHead, ResponseHead};
use xds_codec::authz::{Allowed, Answer, Denied, Header};

use super::question::Question;
use super::texts;
use crate::http::callout;

/// Which headers of an answer go where.
#[derive(Default)]
pub struct Headers {
    upstream: Vec<Text>,
    append: Vec<Text>,
    client: Vec<Text>,
    on_success: Vec<Text>,
    metadata: Vec<Text>,
}

impl Headers {
    pub fn compile(it: &HttpAuthz) -> Result<Self, Problem> {
        Ok(Headers {
            upstream: texts(&it.allowed_upstream_headers, "allowed_upstream_headers")?,
            append: texts(&it.allowed_upstream_headers_to_append, "allowed_upstream_headers_to_append")?,
            client: texts(&it.allowed_client_headers, "allowed_client_headers")?,
            on_success: texts(&it.allowed_client_headers_on_success, "allowed_client_headers_on_success")?,
            metadata: texts(&it.metadata_from_headers, "dynamic_metadata_from_headers")?,
        })
    }

    fn for_client(&self, name: &[u8]) -> bool {
        match self.client.is_empty() {
            true => name != b"host",
            false => matches!(name, b"location" | b"www-authenticate") || any(&self.client, name),
        }
    }
}

fn any(list: &[Text], name: &[u8]) -> bool {
    list.iter().any(|text| text.matches(name))
}

/// Asks. The error: nobody could be asked, or the service is broken.
pub async fn ask(question: &Question<'_>, service: &HttpAuthz) -> Result<Answer, ()> {
    let head = head(question, service);
    let body = Some(Bytes::copy_from_slice(question.body()));
    let reply =
        callout::ask(question.ctx, &service.cluster, head, body, service.timeout).await.map_err(drop)?;
    let headers = &question.filter.http;
    match reply.head.status() {
        500..600 => Err(()),
        200 => Ok(Answer::Allowed(allowed(headers, &reply.head))),
        status => {
            let headers = pick(&reply.head, |name| headers.for_client(name));
            let (status, headers) = (Some(status), headers.map(|(n, v)| appended(n, v)).collect());
            Ok(Answer::Denied(Denied { status, headers, body: reply.body, ..Denied::default() }))
        }
    }
}

/// The request as the service sees it: same method, host and path, few headers.
fn head(question: &Question<'_>, service: &HttpAuthz) -> RequestHead {
    let mut head = RequestHead::new("GET", "http", "", "/");
    for (name, value) in question.headers() {
        match name.as_str() {
            ":method" => head.set_method(&String::from_utf8_lossy(&value)),
            ":authority" => head.set_authority(&value),
            ":path" => head.set_path([service.path_prefix.as_bytes(), &value].concat()),
            // The body is another one.
            ":scheme" | "content-length" | "transfer-encoding" | "connection" | "upgrade" | "te"
            | "expect" => {}
            name => head.set(name, value),
        }
    }
    if let Some(path) = &service.path_override {
        head.set_path(path.as_bytes());
    }
    for (name, value) in &service.headers_to_add {
        head.append(name, value.as_bytes());
    }
    head
}

fn allowed(headers: &Headers, head: &ResponseHead) -> Allowed {
    let replaced = |(name, value)| Header { name, value, action: AppendAction::OverwriteIfExistsOrAdd };
    let mut request: Vec<Header> = pick(head, |name| any(&headers.upstream, name)).map(replaced).collect();
    request.extend(pick(head, |name| any(&headers.append, name)).map(|(n, v)| appended(n, v)));
    let text = |value: Vec<u8>| Json::Text(String::from_utf8_lossy(&value).into_owned().into());
    let remove = head.joined("x-envoy-auth-headers-to-remove").unwrap_or_default();
    let remove = String::from_utf8_lossy(&remove).to_ascii_lowercase();
    Allowed {
        request,
        remove: remove.split(',').map(|name| name.trim().to_owned()).filter(|it| !it.is_empty()).collect(),
        response: pick(head, |name| any(&headers.on_success, name)).map(|(n, v)| appended(n, v)).collect(),
        metadata: pick(head, |name| any(&headers.metadata, name)).map(|(n, v)| (n.into(), text(v))).collect(),
        ..Allowed::default()
    }
}

fn appended(name: String, value: Vec<u8>) -> Header {
    Header { name, value, action: AppendAction::AppendIfExistsOrAdd }
}

/// Headers by name, in their order.
fn pick(head: &ResponseHead, wanted: impl Fn(&[u8]) -> bool) -> impl Iterator<Item = (String, Vec<u8>)> {
    let mut found = Vec::new();
    head.for_each(|name, value| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        if wanted(name.as_bytes()) {
            found.push((name, value.to_vec()));
        }
    });
    found.into_iter()
}
