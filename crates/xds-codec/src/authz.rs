//! What `envoy.service.auth.v3.Authorization` is asked, and what it answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use ir::bootstrap::Json;
use ir::route::AppendAction;
use prost::Message;
use stdx::Str;

use crate::pb::auth::attribute_context::{HttpRequest, Peer as PbPeer, Request};
use crate::pb::auth::check_response::HttpResponse;
use crate::pb::auth::{AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse};
use crate::pb::core::header_value_option::HeaderAppendAction;
use crate::pb::{core, google};

/// A request that somebody has to decide about.
pub struct Check<'a> {
    pub source: Peer<'a>,
    pub destination: Peer<'a>,
    pub time: SystemTime,
    /// `x-request-id`.
    pub id: &'a str,
    pub method: &'a str,
    pub scheme: &'a str,
    pub host: &'a str,
    /// With the query.
    pub path: &'a str,
    pub protocol: &'a str,
    /// Names in lower case, pseudo-headers among them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Bytes of the body that are here.
    pub size: u64,
    pub body: &'a [u8],
    /// `pack_as_bytes`.
    pub body_as_bytes: bool,
    pub context_extensions: &'a BTreeMap<Str, Str>,
}

/// One end of a connection.
pub struct Peer<'a> {
    pub address: SocketAddr,
    /// The first SAN of its certificate, or empty.
    pub principal: &'a str,
}

/// The question as a message of protobuf.
pub fn question(it: Check<'_>) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let since = it.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (body, raw_body) = match it.body_as_bytes {
        true => (String::new(), it.body.to_vec()),
        false => (text(it.body), Vec::new()),
    };
    let http = HttpRequest {
        id: it.id.into(),
        method: it.method.into(),
        headers: it.headers.into_iter().map(|(name, value)| (name, text(&value))).collect(),
        path: it.path.into(),
        host: it.host.into(),
        scheme: it.scheme.into(),
        size: i64::try_from(it.size).unwrap_or(i64::MAX),
        protocol: it.protocol.into(),
        body,
        raw_body,
        ..Default::default()
    };
    let time = google::Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_nanos()).unwrap_or(0),
    };
    let extensions = it.context_extensions.iter().map(|(key, value)| (key.to_string(), value.to_string()));
    let attributes = AttributeContext {
        source: Some(peer(&it.source)),
        destination: Some(peer(&it.destination)),
        request: Some(Request { time: Some(time), http: Some(http) }),
        context_extensions: extensions.collect(),
        // Envoy sends them empty.
        metadata_context: Some(core::Metadata::default()),
        route_metadata_context: Some(core::Metadata::default()),
        ..Default::default()
    };
    CheckRequest { attributes: Some(attributes) }.encode_to_vec()
}

fn peer(it: &Peer<'_>) -> PbPeer {
    let address = crate::encode::socket_address(it.address);
    PbPeer { address: Some(address), principal: it.principal.into(), ..Default::default() }
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Allowed(Allowed),
    Denied(Denied),
    /// The service says that it could not decide.
    Failed(Denied),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allowed {
    /// For the upstream.
    pub request: Vec<Header>,
    /// Lower case.
    pub remove: Vec<String>,
    /// For the client.
    pub response: Vec<Header>,
    pub set_query: Vec<(String, String)>,
    pub remove_query: Vec<String>,
    pub metadata: BTreeMap<Str, Json>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Denied {
    /// `None`: 403, or what the filter says of failures.
    pub status: Option<u16>,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
    pub metadata: BTreeMap<Str, Json>,
}

/// A header that the service wants to see somewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Lower case.
    pub name: String,
    pub value: Vec<u8>,
    pub action: AppendAction,
}

/// Reads an answer.
///
/// # Errors
/// It is no `CheckResponse`.
pub fn answer(bytes: &[u8]) -> Result<Answer, prost::DecodeError> {
    let CheckResponse { status, dynamic_metadata, http_response } = CheckResponse::decode(bytes)?;
    let metadata = crate::decode::json_map(dynamic_metadata.unwrap_or_default());
    // Without a status it is OK, which is 0.
    let ok = status.is_none_or(|status| status.code == 0);
    Ok(match http_response {
        Some(HttpResponse::ErrorResponse(it)) => Answer::Failed(denied(it, metadata)),
        Some(HttpResponse::OkResponse(it)) if ok => Answer::Allowed(allowed(it, metadata)),
        _ if ok => Answer::Allowed(Allowed { metadata, ..Allowed::default() }),
        Some(HttpResponse::DeniedResponse(it)) => Answer::Denied(denied(it, metadata)),
        _ => Answer::Denied(Denied { metadata, ..Denied::default() }),
    })
}

#[allow(deprecated)]
fn allowed(it: OkHttpResponse, metadata: BTreeMap<Str, Json>) -> Allowed {
    Allowed {
        request: it.headers.into_iter().map(header).collect(),
        remove: it.headers_to_remove.into_iter().map(|name| name.to_ascii_lowercase()).collect(),
        response: it.response_headers_to_add.into_iter().map(header).collect(),
        set_query: it.query_parameters_to_set.into_iter().map(|it| (it.key, it.value)).collect(),
        remove_query: it.query_parameters_to_remove,
        // The older field wins as long as it is there.
        metadata: it.dynamic_metadata.map_or(metadata, crate::decode::json_map),
    }
}

fn denied(it: DeniedHttpResponse, metadata: BTreeMap<Str, Json>) -> Denied {
    let status = it.status.and_then(|status| u16::try_from(status.code).ok());
    Denied {
        status: status.filter(|status| (100..600).contains(status)),
        headers: it.headers.into_iter().map(header).collect(),
        body: it.body.into_bytes(),
        metadata,
    }
}

/// Here a header replaces others unless it says that it does not.
#[allow(deprecated)] // Services use the older field, too.
fn header(it: core::HeaderValueOption) -> Header {
    let core::HeaderValue { key, value, raw_value } = it.header.unwrap_or_default();
    let action = match HeaderAppendAction::try_from(it.append_action).unwrap_or_default() {
        HeaderAppendAction::AddIfAbsent => AppendAction::AddIfAbsent,
        HeaderAppendAction::OverwriteIfExists => AppendAction::OverwriteIfExists,
        HeaderAppendAction::OverwriteIfExistsOrAdd => AppendAction::OverwriteIfExistsOrAdd,
        HeaderAppendAction::AppendIfExistsOrAdd => match it.append {
            Some(google::BoolValue { value: true }) => AppendAction::AppendIfExistsOrAdd,
            _ => AppendAction::OverwriteIfExistsOrAdd,
        },
    };
    let value = if raw_value.is_empty() { value.into_bytes() } else { raw_value };
    Header { name: key.to_ascii_lowercase(), value, action }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::envoy_type::HttpStatus;

    #[allow(deprecated)]
    fn option(key: &str, append: Option<bool>, action: HeaderAppendAction) -> core::HeaderValueOption {
        core::HeaderValueOption {
            header: Some(core::HeaderValue { key: key.into(), value: "v".into(), raw_value: Vec::new() }),
            append: append.map(|value| google::BoolValue { value }),
            append_action: action.into(),
            keep_empty_value: false,
        }
    }

    fn status(code: i32) -> Option<envoy_types::pb::google::rpc::Status> {
        Some(envoy_types::pb::google::rpc::Status { code, ..Default::default() })
    }

    #[test]
    fn a_question_carries_the_request() {
        let extensions = BTreeMap::from([(Str::from("a"), Str::from("b"))]);
        let end = |port| Peer { address: SocketAddr::from(([10, 0, 0, 1], port)), principal: "spiffe://a" };
        let bytes = question(Check {
            source: end(1),
            destination: end(80),
            time: SystemTime::UNIX_EPOCH + Duration::from_millis(1500),
            id: "7",
            method: "POST",
            scheme: "http",
            host: "h",
            path: "/p?q",
            protocol: "HTTP/1.1",
            headers: vec![(":path".into(), b"/p?q".to_vec())],
            size: 2,
            body: b"\xff\x00",
            body_as_bytes: true,
            context_extensions: &extensions,
        });
        let attributes = CheckRequest::decode(&bytes[..]).unwrap().attributes.unwrap();
        let request = attributes.request.unwrap();
        let http = request.http.unwrap();
        assert_eq!(request.time.unwrap(), google::Timestamp { seconds: 1, nanos: 500_000_000 });
        assert_eq!((http.path.as_str(), http.raw_body.as_slice(), http.size), ("/p?q", &b"\xff\x00"[..], 2));
        assert_eq!(http.headers[":path"], "/p?q");
        assert_eq!(attributes.context_extensions["a"], "b");
        assert_eq!(attributes.source.unwrap().principal, "spiffe://a");
    }

    #[test]
    fn answers_are_read() {
        let ok = OkHttpResponse {
            headers: vec![
                option("X-Set", None, HeaderAppendAction::AppendIfExistsOrAdd),
                option("x-append", Some(true), HeaderAppendAction::AppendIfExistsOrAdd),
                option("x-absent", None, HeaderAppendAction::AddIfAbsent),
            ],
            headers_to_remove: vec!["X-Gone".into()],
            response_headers_to_add: vec![option("y", Some(true), HeaderAppendAction::AppendIfExistsOrAdd)],
            ..Default::default()
        };
        let response =
            |code, http| CheckResponse { status: status(code), http_response: http, ..Default::default() };
        let read = |it: CheckResponse| answer(&it.encode_to_vec()).unwrap();
        let Answer::Allowed(it) = read(response(0, Some(HttpResponse::OkResponse(ok.clone())))) else {
            panic!()
        };
        let actions: Vec<(&str, AppendAction)> =
            it.request.iter().map(|it| (it.name.as_str(), it.action)).collect();
        assert_eq!(
            actions,
            [
                ("x-set", AppendAction::OverwriteIfExistsOrAdd),
                ("x-append", AppendAction::AppendIfExistsOrAdd),
                ("x-absent", AppendAction::AddIfAbsent),
            ]
        );
        assert_eq!(it.remove, ["x-gone"]);
        assert_eq!(it.response[0].action, AppendAction::AppendIfExistsOrAdd);
        // What allows does not count where the status denies.
        assert_eq!(read(response(7, Some(HttpResponse::OkResponse(ok)))), Answer::Denied(Denied::default()));
        let no = DeniedHttpResponse {
            status: Some(HttpStatus { code: 401 }),
            body: "no".into(),
            ..Default::default()
        };
        let Answer::Denied(it) = read(response(16, Some(HttpResponse::DeniedResponse(no.clone())))) else {
            panic!()
        };
        assert_eq!((it.status, it.body.as_slice()), (Some(401), &b"no"[..]));
        assert!(matches!(read(response(0, Some(HttpResponse::ErrorResponse(no)))), Answer::Failed(_)));
        assert!(answer(b"\xff").is_err());
    }
}
