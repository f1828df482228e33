//! What certificates say.

use std::time::{Duration, SystemTime};

use identity::{Names, PeerDetails, PeerIdentity, Presented};

use super::{Operator, text};
use crate::format::Entry;
use crate::format::time::TimeFormat;

/// Whose certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum Peer {
    Client,
    Server,
}

impl Peer {
    pub(super) fn of<'a>(self, entry: &Entry<'a>) -> Option<&'a PeerIdentity> {
        match self {
            Peer::Client => entry.conn.tls.as_ref()?.peer.as_deref(),
            Peer::Server => entry.record.upstream_tls()?.peer.as_deref(),
        }
    }
}

/// Operators without arguments for which the whole chain has to be kept.
pub(super) fn details(name: &str) -> Option<Operator> {
    let (peer, rest) = match name.strip_prefix("DOWNSTREAM_PEER_") {
        Some(rest) => (Peer::Client, rest),
        None => (Peer::Server, name.strip_prefix("UPSTREAM_PEER_")?),
    };
    let write: fn(&PeerDetails, &mut Vec<u8>) = match rest {
        "ISSUER" => |it, out| text(out, Some(&it.issuer)),
        "CERT" => |it, out| text(out, it.chain.first().map(|leaf| &leaf.pem)),
        // Envoy has these of clients alone.
        _ if peer == Peer::Server => return None,
        "SERIAL" => |it, out| text(out, it.chain.first().map(|leaf| &leaf.serial)),
        "FINGERPRINT_1" => |it, out| text(out, it.chain.first().map(|leaf| &leaf.sha1)),
        "CHAIN_SERIALS" => |it, out| each(it, |one| &one.serial, out),
        "CHAIN_FINGERPRINTS_1" => |it, out| each(it, |one| &one.sha1, out),
        "CHAIN_FINGERPRINTS_256" => |it, out| each(it, |one| &one.sha256, out),
        _ => return None,
    };
    Some(Operator::Details { peer, write })
}

fn each(details: &PeerDetails, what: fn(&Presented) -> &stdx::Str, out: &mut Vec<u8>) {
    for (i, one) in details.chain.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        text(out, Some(what(one)));
    }
}

/// `%…_PEER_CERT_V_START(format)%`; `None`: it is none of them.
///
/// # Errors
/// A conversion that is not known.
pub(super) fn validity_of(name: &str, arguments: &str) -> Result<Option<Operator>, String> {
    let (peer, end) = match name {
        "DOWNSTREAM_PEER_CERT_V_START" => (Peer::Client, false),
        "DOWNSTREAM_PEER_CERT_V_END" => (Peer::Client, true),
        "UPSTREAM_PEER_CERT_V_START" => (Peer::Server, false),
        "UPSTREAM_PEER_CERT_V_END" => (Peer::Server, true),
        _ => return Ok(None),
    };
    let format = if arguments.is_empty() { TimeFormat::iso() } else { TimeFormat::parse(arguments)? };
    Ok(Some(Operator::Validity { peer, end, format }))
}

pub(super) fn validity(entry: &Entry<'_>, peer: Peer, end: bool, format: &TimeFormat, out: &mut Vec<u8>) {
    let Some(peer) = peer.of(entry) else { return };
    let seconds = if end { peer.not_after } else { peer.not_before };
    // Nothing was signed before 1970.
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    format.write(SystemTime::UNIX_EPOCH + since, out);
}

/// Operators without arguments whose value is a text.
pub(super) fn plain(name: &str) -> Option<fn(&Entry<'_>, &mut Vec<u8>)> {
    Some(match name {
        "UPSTREAM_TLS_VERSION" => |e, out| text(out, e.record.upstream_tls().map(|t| t.version)),
        "UPSTREAM_TLS_CIPHER" => |e, out| text(out, e.record.upstream_tls().map(|t| t.cipher)),
        "UPSTREAM_PEER_URI_SAN" => |e, out| text(out, server(e).map(|p| joined(&p.uri_sans))),
        "UPSTREAM_PEER_DNS_SAN" => |e, out| text(out, server(e).map(|p| joined(&p.dns_sans))),
        "UPSTREAM_PEER_IP_SAN" => |e, out| text(out, server(e).map(|p| addresses(&p.names))),
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
        "UPSTREAM_TLS_GROUP" => |e, out| text(out, e.record.upstream_tls().map(|t| t.group)),
        "DOWNSTREAM_TLS_GROUP" => |e, out| text(out, e.conn.tls.as_ref().map(|t| t.group)),
        "UPSTREAM_SERVER_NAME" => |e, out| text(out, e.record.upstream_tls().and_then(|t| t.sni.as_deref())),
        "DOWNSTREAM_PEER_OTHERNAME_SAN" => |e, out| text(out, peer(e).map(|p| joined(&p.other_sans))),
        "DOWNSTREAM_LOCAL_OTHERNAME_SAN" => |e, out| text(out, local(e).map(|p| joined(&p.other_sans))),
        "DOWNSTREAM_LOCAL_SUBJECT" => |e, out| text(out, local(e).map(|p| p.subject.clone())),
        _ => return None,
    })
}

fn peer<'a>(entry: &Entry<'a>) -> Option<&'a PeerIdentity> {
    Peer::Client.of(entry)
}

/// What we show to clients.
fn local<'a>(entry: &Entry<'a>) -> Option<&'a Names> {
    entry.conn.tls.as_ref()?.local.as_deref()
}

fn server<'a>(entry: &Entry<'a>) -> Option<&'a PeerIdentity> {
    Peer::Server.of(entry)
}

/// What we show to the upstream.
fn client<'a>(entry: &Entry<'a>) -> Option<&'a Names> {
    entry.record.upstream_tls()?.local.as_deref()
}

fn addresses(names: &Names) -> String {
    names.ip_sans.iter().map(std::net::IpAddr::to_string).collect::<Vec<_>>().join(",")
}

fn joined(names: &[stdx::Str]) -> String {
    names.iter().map(stdx::Str::as_str).collect::<Vec<_>>().join(",")
}
