//! What certificates say.

use identity::Names;

use super::text;
use crate::format::Entry;

/// Operators without arguments whose value is a text.
pub(super) fn plain(name: &str) -> Option<fn(&Entry<'_>, &mut Vec<u8>)> {
    Some(match name {
        "UPSTREAM_TLS_VERSION" => |e, out| text(out, e.record.upstream_tls.as_ref().map(|t| t.version)),
        "UPSTREAM_TLS_CIPHER" => |e, out| text(out, e.record.upstream_tls.as_ref().map(|t| t.cipher)),
        "UPSTREAM_PEER_URI_SAN" => |e, out| text(out, server(e).map(|p| joined(&p.uri_sans))),
        "UPSTREAM_PEER_DNS_SAN" => |e, out| text(out, server(e).map(|p| joined(&p.dns_sans))),
        "UPSTREAM_PEER_IP_SAN" => |e, out| text(out, server(e).map(addresses)),
        "UPSTREAM_PEER_SUBJECT" => |e, out| text(out, server(e).map(|p| p.subject.clone())),
        "UPSTREAM_LOCAL_URI_SAN" => |e, out| text(out, client(e).map(|p| joined(&p.uri_sans))),
        "UPSTREAM_LOCAL_DNS_SAN" => |e, out| text(out, client(e).map(|p| joined(&p.dns_sans))),
        "DOWNSTREAM_PEER_URI_SAN" => |e, out| text(out, peer(e).map(|p| joined(&p.uri_sans))),
        "DOWNSTREAM_PEER_DNS_SAN" => |e, out| text(out, peer(e).map(|p| joined(&p.dns_sans))),
        "DOWNSTREAM_PEER_IP_SAN" => |e, out| text(out, peer(e).map(|p| addresses(&p.names))),
        "DOWNSTREAM_PEER_EMAIL_SAN" => |e, out| text(out, peer(e).map(|p| joined(&p.email_sans))),
        "DOWNSTREAM_LOCAL_DNS_SAN" => |e, out| text(out, local(e).map(|p| joined(&p.dns_sans))),
        "DOWNSTREAM_LOCAL_IP_SAN" => |e, out| text(out, local(e).map(addresses)),
        "DOWNSTREAM_LOCAL_EMAIL_SAN" => |e, out| text(out, local(e).map(|p| joined(&p.email_sans))),
        "DOWNSTREAM_PEER_SUBJECT" => |e, out| text(out, peer(e).map(|p| p.subject.clone())),
        "DOWNSTREAM_PEER_FINGERPRINT_256" => |e, out| text(out, peer(e).map(|p| p.sha256.clone())),
        "DOWNSTREAM_LOCAL_URI_SAN" => |e, out| text(out, local(e).map(|p| joined(&p.uri_sans))),
        "DOWNSTREAM_TLS_VERSION" => |e, out| text(out, e.conn.tls.as_ref().map(|t| t.version)),
        "DOWNSTREAM_TLS_CIPHER" => |e, out| text(out, e.conn.tls.as_ref().map(|t| t.cipher)),
        "UPSTREAM_LOCAL_IP_SAN" => |e, out| text(out, client(e).map(addresses)),
        "UPSTREAM_LOCAL_SUBJECT" => |e, out| text(out, client(e).map(|p| p.subject.clone())),
        "DOWNSTREAM_LOCAL_SUBJECT" => |e, out| text(out, local(e).map(|p| p.subject.clone())),
        _ => return None,
    })
}

fn peer<'a>(entry: &Entry<'a>) -> Option<&'a identity::PeerIdentity> {
    entry.conn.tls.as_ref()?.peer.as_deref()
}

/// What we show to clients.
fn local<'a>(entry: &Entry<'a>) -> Option<&'a Names> {
    entry.conn.tls.as_ref()?.local.as_deref()
}

/// What the upstream shows.
fn server<'a>(entry: &Entry<'a>) -> Option<&'a Names> {
    entry.record.upstream_tls.as_ref()?.peer.as_deref().map(|peer| &peer.names)
}

/// What we show to the upstream.
fn client<'a>(entry: &Entry<'a>) -> Option<&'a Names> {
    entry.record.upstream_tls.as_ref()?.local.as_deref()
}

fn addresses(names: &Names) -> String {
    names.ip_sans.iter().map(std::net::IpAddr::to_string).collect::<Vec<_>>().join(",")
}

fn joined(names: &[stdx::Str]) -> String {
    names.iter().map(stdx::Str::as_str).collect::<Vec<_>>().join(",")
}
