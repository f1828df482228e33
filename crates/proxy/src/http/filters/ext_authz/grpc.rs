//! `envoy.service.auth.v3.Authorization/Check`.

use std::time::Duration;

use engine::Request as _;
use ir::ext_authz::GrpcAuthz;
use upstream::RequestHead;
use xds_codec::authz::{self, Answer, Check, Peer};

use super::question::Question;
use crate::http::body::number;
use crate::http::callout;

const METHOD: &str = "/envoy.service.auth.v3.Authorization/Check";
/// Envoy's default.
const TIMEOUT: Duration = Duration::from_millis(200);

/// Asks. The error: nobody could be asked, or the answer was none.
pub async fn ask(question: &Question<'_>, service: &GrpcAuthz) -> Result<Answer, ()> {
    let authority = service.authority.as_ref().unwrap_or(&service.cluster);
    let limit = service.timeout.unwrap_or(TIMEOUT);
    let mut head = RequestHead::new("POST", "http", authority, METHOD);
    head.set("te", "trailers");
    head.set("content-type", "application/grpc");
    if !limit.is_zero() {
        head.set("grpc-timeout", engine::grpc::format_timeout(limit));
    }
    for (name, value) in &service.metadata {
        head.append(name, value.as_bytes());
    }
    let message = message(question);
    let mut framed = Vec::with_capacity(message.len() + 5);
    framed.push(0);
    framed.extend_from_slice(&u32::try_from(message.len()).map_err(drop)?.to_be_bytes());
    framed.extend_from_slice(&message);
    let reply =
        callout::ask(question.ctx, &service.cluster, head, Some(framed.into()), limit).await.map_err(drop)?;
    let in_trailers = reply.trailers.as_ref().and_then(|it| it.get("grpc-status"));
    let status = in_trailers.or_else(|| reply.head.get("grpc-status")).and_then(number);
    match (reply.head.status(), status) {
        (200, Some(0)) => authz::answer(unframe(&reply.body).ok_or(())?).map_err(drop),
        _ => Err(()),
    }
}

/// The one message of a body; compressed ones were not asked for.
fn unframe(body: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = body.split_first_chunk::<5>()?;
    let [0, length @ ..] = prefix else { return None };
    (u32::from_be_bytes(*length) as usize == message.len()).then_some(message)
}

fn message(question: &Question<'_>) -> Vec<u8> {
    let ctx = question.ctx;
    let (head, info) = (&ctx.head, &ctx.conn.info);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let tls = info.tls.as_ref();
    let peer = tls.and_then(|tls| tls.peer.as_ref());
    let first = |names: &identity::Names| {
        let san = names.uri_sans.first().or_else(|| names.dns_sans.first());
        san.unwrap_or(&names.subject).to_string()
    };
    let principal = peer.map(|peer| first(&peer.names)).unwrap_or_default();
    let local = tls.and_then(|tls| tls.local.as_ref()).map(|local| first(local)).unwrap_or_default();
    let id = head.header("x-request-id").map(|id| text(&id)).unwrap_or_default();
    let body = question.body();
    authz::question(Check {
        source: Peer { address: ctx.record.remote.unwrap_or(info.remote), principal: &principal },
        destination: Peer { address: info.local, principal: &local },
        time: ctx.record.started_at(),
        id: &id,
        method: &text(head.method()),
        scheme: head.scheme(),
        host: &text(head.authority()),
        path: &text(head.path()),
        protocol: head.protocol(),
        headers: question.headers(),
        size: ctx.progress.request_bytes.get(),
        body,
        body_as_bytes: question.part.is_some_and(|(wanted, _)| wanted.pack_as_bytes),
        context_extensions: &question.settings.context_extensions,
    })
}

#[cfg(test)]
mod tests {
    use super::unframe;

    #[test]
    fn a_body_is_one_whole_message() {
        assert_eq!(unframe(b"\0\0\0\0\x02ab"), Some(&b"ab"[..]));
        assert_eq!(unframe(b"\0\0\0\0\0"), Some(&b""[..]));
        for wrong in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\x02ab", b"\0\0\0\0\x03ab", b"\0\0\0\0\x01ab"] {
            assert_eq!(unframe(wrong), None, "{wrong:?}");
        }
    }
}
