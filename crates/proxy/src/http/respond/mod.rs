//! The only place where something that went wrong becomes a response and a flag.

mod reply;
mod stop;

use engine::grpc;
use engine::retry::GIVEN_UP;
use upstream::ResponseHead;

use self::reply::Reply;
pub use self::stop::{LocalReply, Stop};
use super::body::{self, BoxBody};
use super::context::Context;
use super::edits::{self, Level};
use super::local_reply::Answering;
use super::{filters, headers};

/// What a client gets. Many hands take it to its connection: in a box.
pub struct Answer {
    pub head: ResponseHead,
    pub body: BoxBody,
    pub upgrade: Option<super::upgrade::Upgraded>,
}
/// Turns a stop into a response, and notes it.
pub fn local(ctx: &mut Context, stop: Stop) -> Box<Answer> {
    let of_router = stop.is_of_router();
    let reply = Reply::of(ctx, stop);
    if let Some(flag) = reply.flag {
        ctx.record.flag(flag);
    }
    ctx.record.details = reply.details;
    let mut content = match reply.raw.is_empty() {
        true => reply.body.into_owned().into_bytes(),
        false => reply.raw,
    };
    let mut head = ResponseHead::new(reply.status);
    let quiet = ctx.hcm.config.suppress_envoy_headers;
    if reply.overloaded && !quiet {
        head.set("x-envoy-overloaded", "true");
    }
    if ctx.given_up && !quiet {
        head.set(GIVEN_UP.0, GIVEN_UP.1);
    }
    if let Some(location) = reply.location {
        head.set("location", location);
    }
    for (name, value) in reply.headers {
        head.set(name, value);
    }
    // Whoever answers in the place of an upstream: the route edits the response, before its body is known.
    if of_router || forwards(ctx) {
        headers::of_route(ctx, &mut head);
    }
    edits::apply_to_response(ctx, &mut head, std::iter::once(Level::literal(&reply.edits)));
    let mut content_type = reply.content_type;
    let has_type = head.get("content-type").is_some();
    if ctx.hcm.local_reply.is_some() {
        let hcm = ctx.hcm.clone();
        let mut answering = Answering { head, body: content, content_type };
        hcm.local_reply.iter().for_each(|it| it.rewrite(ctx, &mut answering));
        Answering { head, body: content, content_type } = answering;
    }
    if ctx.is_grpc {
        // gRPC clients read the status from the head of a response without a body.
        let status = reply.grpc_status.unwrap_or_else(|| grpc::status_of_http(head.status()));
        head.set_status(200);
        head.set("content-type", "application/grpc");
        head.set("grpc-status", status.to_string());
        if !content.is_empty() {
            head.set("grpc-message", percent_encoded(&String::from_utf8_lossy(&content)));
        }
        content.clear();
    } else if !content.is_empty() {
        head.set("content-length", content.len().to_string());
        match content_type {
            Some(content_type) if !has_type => head.set("content-type", content_type.as_str()),
            _ if head.get("content-type").is_none() => head.set("content-type", "text/plain"),
            _ => {}
        }
    }
    filters::encode(ctx, &mut head, content.is_empty() || ctx.head.method() == b"HEAD");
    headers::of_response(ctx, &mut head, false);
    ctx.note_response(&head);
    if ctx.head.method() != b"HEAD" {
        ctx.progress.response_bytes.set(content.len() as u64);
    }
    let body = filters::encode_body(ctx, body::full(content));
    Box::new(Answer { head, body, upgrade: None })
}

fn forwards(ctx: &Context) -> bool {
    ctx.route.as_ref().is_some_and(|chosen| matches!(chosen.route().action, ir::RouteAction::Forward(_)))
}
/// As gRPC wants its message: printable ASCII, all else as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(byte as char),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
