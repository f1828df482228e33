//! Redirects of upstreams that the proxy follows by itself.

use ir::route::Forward;
use upstream::ResponseHead;

use super::body::RequestBody;
use super::context::Context;

/// Whether the response sends the request elsewhere and the route wants us to go there; the request's
/// head is changed then. What cannot be followed is the client's business.
pub(super) fn follow(ctx: &mut Context, forward: &Forward, body: &RequestBody, head: &ResponseHead) -> bool {
    let Some(policy) = forward.internal_redirect.as_deref() else { return false };
    // A CONNECT is never over, and has no path to be sent elsewhere with.
    if !policy.codes.contains(&head.status())
        || !body.is_whole()
        || !body.replayable()
        || ctx.head.is_connect()
    {
        return false;
    }
    let Some(route) = ctx.route.as_ref().map(|chosen| (chosen.vhost, chosen.route)) else { return false };
    let state = ctx.filter_state();
    if state.redirects >= policy.max {
        return false;
    }
    let Some(target) = head.get("location").and_then(Target::parse) else { return false };
    let from_https = ctx.head.scheme() == "https";
    if from_https != target.https && !policy.allow_cross_scheme {
        return false;
    }
    if policy.safe_cross_scheme && target.https && !from_https {
        return false;
    }
    let (old_authority, old_path) = (ctx.head.authority().to_vec(), ctx.head.path().to_vec());
    ctx.head.set_authority(&target.authority);
    ctx.head.set_path(&target.path);
    ctx.head.set_scheme(target.https);
    let next = super::phases::where_to(ctx);
    let allowed = next.as_ref().is_some_and(|(place, name)| {
        let again = ctx.filters.as_ref().is_some_and(|state| state.routes.contains(place));
        let listed = policy.allowed_routes.as_ref().is_none_or(|names| names.contains(name));
        listed && !(policy.avoid_previous_routes && again)
    });
    if !allowed {
        ctx.head.set_authority(old_authority);
        ctx.head.set_path(old_path);
        ctx.head.set_scheme(from_https);
        return false;
    }
    let state = ctx.filter_state();
    state.redirects += 1;
    state.routes.push(route);
    let scheme = if from_https { "https" } else { "http" };
    let original = [scheme.as_bytes(), b"://", &old_authority, &old_path].concat();
    ctx.head.set("x-envoy-original-url", original);
    for name in &policy.response_headers_to_copy {
        match head.joined(name) {
            Some(value) => ctx.head.set(name, &value),
            None => drop(ctx.head.remove(name)),
        }
    }
    // RFC 9110, section 15.4.4: 303 asks for the other resource by GET.
    if head.status() == 303 && !matches!(ctx.head.method(), b"GET" | b"HEAD") {
        ctx.head.set_method("GET");
        ctx.head.remove("content-length");
        body.drop_content();
    }
    ctx.record.status = head.status();
    ctx.conn.stats.internal_redirect_succeeded.inc();
    true
}

/// An absolute URL.
struct Target {
    https: bool,
    authority: Vec<u8>,
    path: Vec<u8>,
}

impl Target {
    /// Envoy follows absolute ones only.
    fn parse(location: &[u8]) -> Option<Self> {
        let (https, rest) = match location.strip_prefix(b"http://") {
            Some(rest) => (false, rest),
            None => (true, location.strip_prefix(b"https://")?),
        };
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let path = path.split(|b| *b == b'#').next().unwrap_or_default();
        let path = if path.starts_with(b"/") { path.to_vec() } else { [b"/", path].concat() };
        (!authority.is_empty()).then(|| Target { https, authority: authority.to_vec(), path })
    }
}
