//! Whom we expect, and the check after every handshake.

use std::fmt;
use std::time::SystemTime;

use engine::matcher::Text;
use ir::StringMatch;
use ir::tls::{SanKind, SanMatcher};
use rustls::CommonState;
use rustls::pki_types::CertificateDer;
use stdx::Str;

use crate::PeerIdentity;
use crate::error::{TlsError, TlsFailure};
use crate::names::Names;
use crate::pins::{Crls, Pins};

/// The expected names of a peer, compiled.
#[derive(Clone, Debug, Default)]
pub struct Validation {
    /// One must match; empty: any name will do.
    sans: Vec<Expected>,
    /// Without a certificate the peer is refused.
    required: bool,
    /// The chain is judged, hence also the validity of a resumed session's leaf.
    judged: bool,
    pins: Pins,
    /// Of every issuer in a chain there must be one, if there are any.
    pub(crate) crls: Crls,
}

/// One expected name.
#[derive(Clone, Debug)]
enum Expected {
    /// A host: without case, and the certificate may have a wildcard (as Envoy's exact DNS matcher).
    Host(Str),
    Name(SanKind, Text),
}

impl Validation {
    /// `None`: the peer's certificate is not judged. `required`: there must be one.
    ///
    /// # Errors
    /// A matcher or a pin is no valid one, or a list of revoked certificates cannot be read.
    pub fn new(validation: Option<&ir::tls::Validation>, required: bool) -> Result<Self, TlsError> {
        // Of whom anybody may be, nothing is asked.
        let validation = validation.filter(|validation| !validation.accept_untrusted);
        let matchers = validation.map_or(&[][..], |validation| &validation.match_sans);
        let sans = matchers.iter().map(Expected::compile).collect::<Result<_, _>>()?;
        let pins = validation.map(|validation| Pins::compile(&validation.pins)).transpose()?;
        let crls = validation.and_then(|validation| validation.crl.as_ref()).map(Crls::read).transpose()?;
        Ok(Validation {
            sans,
            required,
            judged: validation.is_some(),
            pins: pins.unwrap_or_default(),
            crls: crls.unwrap_or_default(),
        })
    }

    /// Whether the chain is judged.
    pub(crate) fn judges(&self) -> bool {
        self.judged
    }

    /// Whether the certificate is one of those that are expected.
    pub(crate) fn check_pins(&self, leaf: &CertificateDer<'_>) -> Result<(), WrongName> {
        if self.pins.allow(leaf) { Ok(()) } else { Err(WrongName::Hash) }
    }

    /// Whether one of the certificate's names is expected.
    pub(crate) fn check_names(&self, names: &Names) -> Result<(), WrongName> {
        if self.sans.is_empty() || self.sans.iter().any(|expected| expected.is_in(names)) {
            Ok(())
        } else {
            Err(WrongName::of(names))
        }
    }
}

impl Expected {
    fn compile(matcher: &SanMatcher) -> Result<Self, TlsError> {
        if let (SanKind::Dns, StringMatch::Exact(host)) = (matcher.kind, &matcher.matcher.pattern) {
            return Ok(Expected::Host(host.to_ascii_lowercase().into()));
        }
        let text = Text::compile(&matcher.matcher)
            .map_err(|problem| TlsError::Config(format!("match_typed_subject_alt_names: {problem}")))?;
        Ok(Expected::Name(matcher.kind, text))
    }

    fn is_in(&self, names: &Names) -> bool {
        let any = |names: &[Str], matcher: &Text| names.iter().any(|name| matcher.matches(name.as_bytes()));
        match self {
            Expected::Host(host) => names.dns_sans.iter().any(|name| names_host(name, host)),
            Expected::Name(SanKind::Uri, matcher) => any(&names.uri_sans, matcher),
            Expected::Name(SanKind::Dns, matcher) => any(&names.dns_sans, matcher),
            Expected::Name(SanKind::Email, matcher) => any(&names.email_sans, matcher),
            Expected::Name(SanKind::IpAddress, matcher) => {
                names.ip_sans.iter().any(|ip| matcher.matches(ip.to_string().as_bytes()))
            }
        }
    }
}

/// Whether the certificate's `name` stands for `host` (lower case). `*.` stands for one label.
fn names_host(name: &str, host: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match name.strip_prefix("*.") {
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == parent),
        None => name == host,
    }
}

/// The chain holds, but the peer is someone else.
#[derive(Debug)]
pub(crate) enum WrongName {
    San(String),
    Hash,
}

impl WrongName {
    fn of(names: &Names) -> Self {
        let all: Vec<&str> = names.uri_sans.iter().chain(&names.dns_sans).map(|name| name.as_str()).collect();
        WrongName::San(all.join(", "))
    }

    pub(crate) fn failure(&self) -> TlsFailure {
        match self {
            WrongName::San(_) => TlsFailure::San,
            WrongName::Hash => TlsFailure::Hash,
        }
    }
}

impl fmt::Display for WrongName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WrongName::San(names) => write!(f, "verify SAN list: peer is [{names}]"),
            WrongName::Hash => f.write_str("verify certificate hash"),
        }
    }
}

impl std::error::Error for WrongName {}

/// Judges the peer of a finished handshake, resumed or not: resumption runs no verifier, and a
/// session may be resumed by a configuration that expects someone else, or after the peer's
/// certificate has expired. `Ok(None)`: the peer presented nothing, and may; or nobody judged what
/// it presented, and then its names are claims that no policy may rest on.
///
/// # Errors
/// No certificate though required, an expired one, or an unexpected name.
pub fn check_peer(
    connection: &CommonState,
    validation: &Validation,
) -> Result<Option<PeerIdentity>, TlsError> {
    let Some(leaf) = connection.peer_certificates().and_then(<[_]>::first) else {
        let required = validation.required || !validation.sans.is_empty();
        let missing = || TlsError::failed(TlsFailure::NoCertificate, "PEER_DID_NOT_RETURN_A_CERTIFICATE");
        return if required { Err(missing()) } else { Ok(None) };
    };
    if !validation.judged {
        return Ok(None);
    }
    let peer = PeerIdentity::of(leaf)?;
    peer.names.check_time(unix_now())?;
    validation
        .check_names(&peer.names)
        .and_then(|()| validation.check_pins(leaf))
        .map_err(|wrong| TlsError::failed(wrong.failure(), format!("CERTIFICATE_VERIFY_FAILED:{wrong}")))?;
    Ok(Some(peer))
}

/// Whether a peer that was judged has this name, of whatever kind.
///
/// # Errors
/// It has another, or nobody has judged it.
pub(crate) fn check_name(peer: Option<&PeerIdentity>, name: &str) -> Result<(), TlsError> {
    let failed = |why| TlsError::failed(TlsFailure::San, format!("CERTIFICATE_VERIFY_FAILED:{why}"));
    let Some(peer) = peer else {
        return Err(failed("verify SAN list: nobody judges the certificate".to_owned()));
    };
    match has_name(&peer.names, name) {
        true => Ok(()),
        false => Err(failed(WrongName::of(&peer.names).to_string())),
    }
}

fn has_name(names: &Names, name: &str) -> bool {
    let host = name.to_ascii_lowercase();
    let is_it = |other: &Str| other.as_str() == name;
    names.dns_sans.iter().any(|other| names_host(other, &host))
        || names.uri_sans.iter().chain(&names.email_sans).any(is_it)
        || name.parse().is_ok_and(|address: std::net::IpAddr| names.ip_sans.contains(&address))
}

fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::StringMatcher;

    fn names(uris: &[&str], hosts: &[&str]) -> Names {
        Names {
            uri_sans: uris.iter().map(|&name| name.into()).collect(),
            dns_sans: hosts.iter().map(|&name| name.into()).collect(),
            email_sans: Vec::new(),
            ip_sans: vec!["10.0.0.1".parse().unwrap()],
            other_sans: Vec::new(),
            subject: Str::default(),
            not_before: 0,
            not_after: 0,
        }
    }

    #[track_caller]
    fn check(kind: SanKind, matcher: StringMatcher, expected: bool) {
        let validation = ir::tls::Validation::new(
            ir::tls::RootsSource::Inline(ir::tls::DataSource::Inline(Vec::new())),
            vec![SanMatcher { kind, matcher: matcher.clone() }],
        );
        let validation = Validation::new(Some(&validation), true).unwrap();
        let names = names(
            &["spiffe://cluster.local/ns/shop/sa/reviews"],
            &["*.Example.com", "istiod.istio-system.svc"],
        );
        assert_eq!(validation.check_names(&names).is_ok(), expected, "{kind:?} {matcher:?}");
    }

    #[test]
    fn a_name_may_be_of_any_kind() {
        let names = names(&["spiffe://a/b"], &["*.Example.com"]);
        for name in ["A.example.com", "spiffe://a/b", "10.0.0.1"] {
            assert!(has_name(&names, name), "{name}");
        }
        for name in ["", "example.com", "a.b.example.com", "spiffe://a", "10.0.0.2"] {
            assert!(!has_name(&names, name), "{name}");
        }
        assert!(check_name(None, "a.example.com").is_err(), "nobody has judged it");
    }

    #[test]
    fn names_are_matched_by_kind() {
        let reviews = "spiffe://cluster.local/ns/shop/sa/reviews";
        check(SanKind::Uri, StringMatcher::exact(reviews), true);
        check(SanKind::Dns, StringMatcher::exact(reviews), false);
        check(SanKind::Uri, StringMatcher::exact("spiffe://cluster.local/ns/shop/sa/review"), false);
        check(SanKind::Uri, StringMatcher::prefix("spiffe://cluster.local/ns/shop/"), true);
        check(SanKind::Dns, StringMatcher::exact("istiod.istio-system.svc"), true);
        check(SanKind::Dns, StringMatcher::exact("a.example.com"), true);
        check(SanKind::Dns, StringMatcher::exact("a.b.example.com"), false);
        check(SanKind::Dns, StringMatcher::exact("example.com"), false);
        check(SanKind::IpAddress, StringMatcher::exact("10.0.0.1"), true);
        check(SanKind::IpAddress, StringMatcher::exact("10.0.0.2"), false);
    }
}
