//! `envoy.filters.http.dynamic_forward_proxy`: the host of a request is resolved before it is sent.

use engine::forward_proxy::Target;
use ir::DnsCache;
use ir::dns_cache::ForwardProxyOverride;

use super::{Refused, pick};
use crate::access_log::Flag;
use crate::http::context::Context;
use crate::http::respond::{LocalReply, Stop};

/// Whether the filter does anything: the request's cluster connects to what is asked for.
pub fn applies(ctx: &Context) -> bool {
    ctx.cluster.as_ref().is_some_and(|cluster| cluster.forward_proxy.is_some())
}

/// Resolves the host of a request, if the filter's cache is the cluster's. With another one Envoy resolves
/// it twice; here the router does, once.
///
/// # Errors
/// It has no address.
pub async fn decode(ctx: &mut Context, config: &DnsCache) -> Result<(), Stop> {
    if !rewrite(ctx) {
        let reply = LocalReply::new(400, None, "empty_host_header").body("Empty host header");
        return Err(Stop::Local(Box::new(reply)));
    }
    let Some(cluster) = ctx.cluster.clone() else { return Ok(()) };
    let same = cluster.forward_proxy.as_ref().filter(|cache| cache.config == *config);
    let Some(cache) = same else { return Ok(()) };
    let port = pick::default_port(&cluster);
    // What is no text has no address: the router says so.
    let Some(to) = Target::of(ctx.head.authority(), port) else { return Ok(()) };
    let resolved = match cache.known(to) {
        Some(known) => known,
        None => cache.ask(to).await,
    };
    resolved.map_err(|why| {
        let (flag, body) = match &why {
            Refused::Overflow => (None, "DNS cache overflow"),
            Refused::Pending => (None, "Dynamic forward proxy pending request overflow"),
            Refused::Failed(_) => (Some(Flag::DF), "DNS resolution failure"),
            // It has an address, and the router judges.
            Refused::Ejected => (Some(Flag::UH), "no healthy upstream"),
        };
        Stop::Local(Box::new(LocalReply::new(503, flag, why.details()).body(body)))
    })
}

/// The route's own host, before it is resolved; whether there is a host.
fn rewrite(ctx: &mut Context) -> bool {
    let said = ctx.overrides().find_map(|it| it.config.forward_proxy.as_deref());
    let host = match said {
        // Envoy takes no host for no rewriting.
        None => return true,
        Some(ForwardProxyOverride::HostRewrite(host)) if host.is_empty() => return true,
        Some(ForwardProxyOverride::HostRewrite(host)) => host.as_bytes().to_vec(),
        Some(ForwardProxyOverride::HostRewriteHeader(name)) => match ctx.head.get(name) {
            Some(value) => value.to_vec(),
            None => return true,
        },
    };
    ctx.head.set_authority(&host);
    !host.is_empty()
}
