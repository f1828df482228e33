//! Headers as Envoy writes them: what a client may not say, what the next hop is told, what a
//! response carries.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::xfcc;
use ir::http::ServerHeader;
use ir::route::{HeaderEdits, RouteClusters};
use upstream::{RequestHead, ResponseHead};

use super::context::{ChosenRoute, Context};
use super::edits::{self, Level};
use crate::format::time::http_date;

/// Headers that speak to an Envoy and must not come from outside the mesh.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/header_sanitizing>.
const INTERNAL: [&str; 16] = [
    "x-envoy-internal",
    "x-envoy-retriable-status-codes",
    "x-envoy-retriable-header-names",
    "x-envoy-retry-on",
    "x-envoy-retry-grpc-on",
    "x-envoy-max-retries",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-ip-tags",
    "x-envoy-original-url",
    "x-envoy-original-path",
    "x-envoy-hedge-on-per-try-timeout",
];

/// Further ones, where the client is outside of the mesh altogether.
const EDGE: [&str; 3] =
    ["x-envoy-decorator-operation", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node"];

/// Sanitises what the client sent and adds what we know of it.
pub fn of_client(ctx: &mut Context) {
    let config = &ctx.hcm.config;
    let edge = config.use_remote_address;
    let head = &mut ctx.head;
    let sanitised = [&INTERNAL[..], if edge { &EDGE[..] } else { &[] }];
    head.remove_where("x-envoy-", |name| {
        sanitised.iter().flat_map(|list| list.iter()).any(|known| http1::same_name(name, known.as_bytes()))
    });
    let peer = ctx.conn.info.remote;
    let client = client_address(head, peer, edge, config.xff_num_trusted_hops);
    ctx.record.remote = (client.ip() != peer.ip()).then_some(client);
    if edge {
        append_list(head, "x-forwarded-for", &peer.ip().to_string());
        // Without `internal_address_config`, which is refused, every client is an external one.
        head.set("x-envoy-external-address", client.ip().to_string());
    }
    let proto = if ctx.conn.is_tls() { "https" } else { "http" };
    let trusted = !edge || config.xff_num_trusted_hops > 0;
    let given = head.get("x-forwarded-proto").filter(|v| trusted && matches!(*v, b"http" | b"https"));
    match given.map(|v| v == b"https") {
        Some(https) => head.set_scheme(https),
        None => {
            head.set("x-forwarded-proto", proto);
            head.set_scheme(proto == "https");
        }
    }
    let told = (!edge || config.xff_num_trusted_hops > 0) && head.get("x-forwarded-port").is_some();
    if config.append_x_forwarded_port && !told {
        head.set("x-forwarded-port", itoa::Buffer::new().format(ctx.conn.info.local.port()));
    }
    let keep = !edge || config.preserve_external_request_id;
    if config.generate_request_id && !(keep && head.get("x-request-id").is_some_and(|id| !id.is_empty())) {
        let id = ctx.conn.worker.with_dice(|dice| crate::text::uuid(dice.roll(), dice.roll()));
        head.set("x-request-id", id);
    }
    client_certificate(ctx);
}

/// The client as believed: the TCP peer, or what trusted proxies in front of us say.
fn client_address(head: &RequestHead, peer: SocketAddr, edge: bool, trusted_hops: u32) -> SocketAddr {
    let skip = match (edge, trusted_hops) {
        (true, 0) => return peer,
        // Our own peer is one of the trusted proxies, and it has written the last entry.
        (true, hops) => hops as usize - 1,
        (false, hops) => hops as usize,
    };
    let Some(list) = head.joined("x-forwarded-for") else { return peer };
    let text = String::from_utf8_lossy(&list);
    let entry = text.rsplit(',').nth(skip).map(str::trim);
    let believed = entry.and_then(|entry| {
        entry.parse::<IpAddr>().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|a| a.ip()))
    });
    believed.map_or(peer, |ip| SocketAddr::new(ip, if ip == peer.ip() { peer.port() } else { 0 }))
}

fn client_certificate(ctx: &mut Context) {
    let (config, info) = (&ctx.hcm.config, &ctx.conn.info);
    let tls = info.tls.as_ref();
    let wanted = config.client_cert_details.cert || config.client_cert_details.chain;
    let details = tls.and_then(|tls| tls.peer.as_ref()?.details.as_ref()).filter(|_| wanted);
    let pems: Vec<&str> =
        details.map_or_else(Vec::new, |details| details.chain.iter().map(|one| one.pem.as_str()).collect());
    let certificates =
        tls.and_then(|tls| tls.peer.as_ref().map(|peer| (tls, peer))).map(|(tls, peer)| xfcc::Certificates {
            local_uris: tls.local.as_ref().map_or(&[], |local| &local.uri_sans),
            peer_hash: &peer.sha256,
            peer_subject: &peer.subject,
            peer_pems: &pems,
            peer_uris: &peer.uri_sans,
            peer_dns: &peer.dns_sans,
        });
    match xfcc::edit(config.forward_client_cert, &config.client_cert_details, certificates.as_ref()) {
        xfcc::Edit::Keep => {}
        xfcc::Edit::Remove => {
            ctx.head.remove("x-forwarded-client-cert");
        }
        xfcc::Edit::Set(element) => ctx.head.set("x-forwarded-client-cert", element),
        xfcc::Edit::Append(element) => append_list(&mut ctx.head, "x-forwarded-client-cert", &element),
    }
}

/// Adds an element to a comma-separated list, as Envoy does it: in one header.
fn append_list(head: &mut RequestHead, name: &str, element: &str) {
    match head.joined(name).filter(|list| !list.is_empty()) {
        None => head.set(name, element),
        Some(list) => {
            let list = [&list[..], b",", element.as_bytes()].concat();
            head.set(name, list);
        }
    }
}

/// What the upstream is told: the route's edits, rewritten host and path, the time it has.
pub fn to_upstream(ctx: &mut Context, cluster_edits: Option<&HeaderEdits>, expected: Option<Duration>) {
    // Put back below: all workers count the holders of a table together.
    let Some(chosen) = ctx.route.take() else { return };
    let route = chosen.route();
    if let Some(levels) = levels(&chosen, cluster_edits) {
        let values = chosen.table.values();
        // The first attempt is at hand.
        let attempts = ctx.record.attempts;
        ctx.record.attempts = attempts.max(1);
        edits::apply_to_request(ctx, levels.map(|edits| Level::of_request(edits, values)));
        ctx.record.attempts = attempts;
    }
    if let ir::RouteAction::Forward(forward) = &route.action {
        if let (RouteClusters::Weighted(all), Some(index)) = (&forward.clusters, ctx.weighted)
            && let Some(host) = all.get(index).and_then(|cluster| cluster.host_rewrite.as_ref())
        {
            ctx.head.set_authority(host.as_bytes());
        }
        rewrite(ctx, forward, &chosen);
    }
    if let Some(expected) = expected.filter(|_| !ctx.hcm.config.suppress_envoy_headers) {
        set_number(&mut ctx.head, "x-envoy-expected-rq-timeout-ms", expected.as_millis() as u64);
    }
    ctx.route = Some(chosen);
}

fn rewrite(ctx: &mut Context, forward: &ir::route::Forward, chosen: &ChosenRoute) {
    if forward.host_rewrite.is_none() && forward.prefix_rewrite.is_none() && forward.regex_rewrite.is_none() {
        return;
    }
    let compiled = chosen.table.action(chosen.vhost, chosen.route);
    let host = engine::overrides::host(forward, compiled, &ctx.head, None);
    let path = engine::overrides::path(forward, compiled, &chosen.route().matches, &ctx.head);
    if let Some(host) = host {
        rewrite_host(ctx, forward, &host);
    }
    if let Some(path) = path {
        let old = ctx.head.path().to_vec();
        if !ctx.hcm.config.suppress_envoy_headers {
            ctx.head.set("x-envoy-original-path", &old);
        }
        ctx.head.set_path(path);
    }
}

/// Sends the request to another host than the client named, and says which that was.
pub fn rewrite_host(ctx: &mut Context, forward: &ir::route::Forward, host: &[u8]) {
    let old = ctx.head.authority().to_vec();
    if forward.append_x_forwarded_host {
        append_list(&mut ctx.head, "x-forwarded-host", &String::from_utf8_lossy(&old));
    }
    if !ctx.hcm.config.suppress_envoy_headers {
        ctx.head.set("x-envoy-original-host", &old);
    }
    ctx.head.set_authority(host);
}

/// The edits of all levels in the order of application: what comes last wins. `None`: there are none at
/// all, as a rule.
fn levels<'a>(
    chosen: &'a ChosenRoute,
    cluster: Option<&'a HeaderEdits>,
) -> Option<impl Iterator<Item = &'a HeaderEdits>> {
    let config = chosen.table.config();
    let (route, vhost, all) = (&chosen.route().headers, &chosen.vhost().headers, &config.headers);
    let any = cluster.is_some() || [route, vhost, all].iter().any(|edits| !edits.is_empty());
    let levels = match config.most_specific_header_mutations_wins {
        false => [cluster, Some(route), Some(vhost), Some(all)],
        true => [Some(all), Some(vhost), Some(route), cluster],
    };
    any.then(|| levels.into_iter().flatten())
}

/// The route's edits of a response.
pub fn of_route(ctx: &mut Context, head: &mut ResponseHead) {
    let Some(chosen) = ctx.route.take() else { return };
    let of_cluster = ctx.cluster_edits.take();
    if let Some(levels) = levels(&chosen, of_cluster.as_deref()) {
        let values = chosen.table.values();
        edits::apply_to_response(ctx, head, levels.map(|edits| Level::of_response(edits, values)));
    }
    if chosen.vhost().include_attempt_count_in_response && ctx.record.attempts > 0 {
        head.set("x-envoy-attempt-count", ctx.record.attempts.to_string());
    }
    (ctx.route, ctx.cluster_edits) = (Some(chosen), of_cluster);
}

/// What every response carries.
pub fn of_response(ctx: &mut Context, head: &mut ResponseHead, from_upstream: bool) {
    match ctx.hcm.config.server_header {
        ServerHeader::Overwrite => head.set("server", ctx.hcm.server_name.as_bytes()),
        ServerHeader::AppendIfAbsent if head.get("server").is_none() => {
            head.set("server", ctx.hcm.server_name.as_bytes());
        }
        ServerHeader::PassThrough if !from_upstream => head.set("server", ctx.hcm.server_name.as_bytes()),
        ServerHeader::AppendIfAbsent | ServerHeader::PassThrough => {}
    }
    if head.get("date").is_none() {
        with_date(|date| head.set("date", date));
    }
}

/// The `date` of this second, written once per second and thread.
fn with_date(f: impl FnOnce(&str)) {
    thread_local! {
        static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    DATE.with_borrow_mut(|(second, text)| {
        let now = SystemTime::now();
        let this = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if *second != this {
            (*second, *text) = (this, http_date(now));
        }
        f(text);
    });
}

/// A number as a header's value.
fn set_number(head: &mut RequestHead, name: &str, value: u64) {
    head.set(name, itoa::Buffer::new().format(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn believes_only_trusted_proxies() {
        let check = |xff: &str, edge: bool, hops: u32, expected: &str| {
            let mut head = RequestHead::new("GET", "http", "a", "/");
            if !xff.is_empty() {
                head.set("x-forwarded-for", xff);
            }
            let client = client_address(&head, "10.0.0.9:1".parse().unwrap(), edge, hops);
            assert_eq!(client.ip().to_string(), expected, "{xff:?} {edge} {hops}");
        };
        check("1.1.1.1", true, 0, "10.0.0.9");
        check("1.1.1.1, 2.2.2.2", true, 1, "2.2.2.2");
        check("1.1.1.1, 2.2.2.2", true, 2, "1.1.1.1");
        check("1.1.1.1, 2.2.2.2", false, 0, "2.2.2.2");
        check("1.1.1.1", true, 2, "10.0.0.9");
        check("", false, 0, "10.0.0.9");
        check("nonsense", false, 0, "10.0.0.9");
    }
}
