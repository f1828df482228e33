//! `x-forwarded-client-cert`: what the next hop is told about the certificate presented to us.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/headers#x-forwarded-client-cert>.

use ir::http::{ClientCertDetails, ForwardClientCert};

/// The certificates of a connection, as far as the header tells of them.
#[derive(Clone, Debug, Default)]
pub struct Certificates<'a> {
    /// URI SANs of our own certificate.
    pub local_uris: &'a [stdx::Str],
    /// SHA-256 of the peer's certificate, in lower-case hexadecimal.
    pub peer_hash: &'a str,
    /// RFC 2253.
    pub peer_subject: &'a str,
    /// PEM of each certificate that was presented, the peer's own first, URL-encoded; only asked for with
    /// `cert` or `chain`.
    pub peer_pems: &'a [&'a str],
    pub peer_uris: &'a [stdx::Str],
    pub peer_dns: &'a [stdx::Str],
}

/// What becomes of the header of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    Keep,
    Remove,
    /// Replaces what is there.
    Set(String),
    /// Another element after what is there.
    Append(String),
}

/// Decides. `peer` is there when the connection is mutual TLS with a verified certificate.
pub fn edit(mode: ForwardClientCert, details: &ClientCertDetails, peer: Option<&Certificates<'_>>) -> Edit {
    match (mode, peer) {
        (ForwardClientCert::AlwaysForwardOnly, _) => Edit::Keep,
        (ForwardClientCert::Sanitize, _) | (_, None) => Edit::Remove,
        (ForwardClientCert::ForwardOnly, Some(_)) => Edit::Keep,
        (ForwardClientCert::AppendForward, Some(peer)) => Edit::Append(element(details, peer)),
        (ForwardClientCert::SanitizeSet, Some(peer)) => Edit::Set(element(details, peer)),
    }
}

/// One element: `By=…;Hash=…;Subject="…";URI=…;DNS=…`.
fn element(details: &ClientCertDetails, peer: &Certificates<'_>) -> String {
    let mut parts: Vec<String> = peer.local_uris.iter().map(|uri| format!("By={uri}")).collect();
    if !peer.peer_hash.is_empty() {
        parts.push(format!("Hash={}", peer.peer_hash));
    }
    if let (true, Some(pem)) = (details.cert, peer.peer_pems.first()) {
        parts.push(format!("Cert=\"{pem}\""));
    }
    if details.chain && !peer.peer_pems.is_empty() {
        parts.push(format!("Chain=\"{}\"", peer.peer_pems.concat()));
    }
    if details.subject {
        parts.push(format!("Subject=\"{}\"", quoted(peer.peer_subject)));
    }
    if details.uri {
        // An element without a URI SAN still says so, as Envoy's does.
        if peer.peer_uris.is_empty() {
            parts.push("URI=".into());
        }
        parts.extend(peer.peer_uris.iter().map(|uri| format!("URI={uri}")));
    }
    if details.dns {
        parts.extend(peer.peer_dns.iter().map(|name| format!("DNS={name}")));
    }
    parts.join(";")
}

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_modes() {
        let (local, uris) = (["spiffe://td/ns/a/sa/me".into()], ["spiffe://td/ns/a/sa/you".into()]);
        let peer =
            Certificates { local_uris: &local, peer_hash: "ab", peer_uris: &uris, ..Default::default() };
        let details = ClientCertDetails { subject: true, uri: true, dns: true, ..Default::default() };
        let shown = ClientCertDetails { cert: true, chain: true, ..Default::default() };
        let with_pems = Certificates { peer_pems: &["A", "B"], ..peer.clone() };
        let certificates = "By=spiffe://td/ns/a/sa/me;Hash=ab;Cert=\"A\";Chain=\"AB\"";
        assert_eq!(
            edit(ForwardClientCert::SanitizeSet, &shown, Some(&with_pems)),
            Edit::Set(certificates.into())
        );
        let element = "By=spiffe://td/ns/a/sa/me;Hash=ab;Subject=\"\";URI=spiffe://td/ns/a/sa/you";
        use ForwardClientCert as Mode;
        assert_eq!(edit(Mode::AppendForward, &details, Some(&peer)), Edit::Append(element.into()));
        assert_eq!(edit(Mode::SanitizeSet, &details, Some(&peer)), Edit::Set(element.into()));
        assert_eq!(edit(Mode::Sanitize, &details, Some(&peer)), Edit::Remove);
        // Without mutual TLS nothing that a client claims is believed.
        assert_eq!(edit(Mode::AppendForward, &details, None), Edit::Remove);
        assert_eq!(edit(Mode::ForwardOnly, &details, None), Edit::Remove);
        assert_eq!(edit(Mode::AlwaysForwardOnly, &details, None), Edit::Keep);
    }
}
