//! Which server a connection asks for, and which one it expects, where the request says so
//! (<https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/core/v3/protocol.proto>,
//! `UpstreamHttpProtocolOptions`).

use ir::cluster::TlsFromRequest;
use stdx::Str;

use crate::Request;
use crate::request::{host_of, value};

/// Names that take the place of the transport's. Connections with others are not shared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsNames {
    /// Sent as SNI.
    pub sni: Option<Str>,
    /// The certificate must have it, beside what the transport expects.
    pub san: Option<Str>,
}

/// The names for a request as it goes upstream. An address is never sent as SNI (RFC 6066, section 3).
pub fn of_request<R: Request + ?Sized>(config: &TlsFromRequest, request: &R) -> TlsNames {
    let named = config.header.as_ref().and_then(|name| value(request, name));
    let authority = named.as_deref().filter(|value| !value.is_empty()).unwrap_or(request.authority());
    let host = String::from_utf8_lossy(host_of(authority));
    let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(&host);
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    TlsNames {
        sni: (config.sni && !is_address && !host.is_empty()).then(|| host.into()),
        // Also an empty one, which no certificate has.
        san: config.san_validation.then(|| host.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::PlainRequest;

    #[track_caller]
    fn check(config: &TlsFromRequest, request: &PlainRequest, sni: Option<&str>, san: Option<&str>) {
        assert_eq!(
            of_request(config, request),
            TlsNames { sni: sni.map(Str::from), san: san.map(Str::from) }
        );
    }

    #[test]
    fn the_host_is_the_name() {
        let both = TlsFromRequest { sni: true, san_validation: true, header: None };
        check(&both, &PlainRequest::get("a.example:8443", "/"), Some("a.example"), Some("a.example"));
        check(&both, &PlainRequest::get("10.0.0.1:443", "/"), None, Some("10.0.0.1"));
        check(&both, &PlainRequest::get("[::1]:443", "/"), None, Some("::1"));
        check(&both, &PlainRequest::get("", "/"), None, Some(""));
        let sni = TlsFromRequest { san_validation: false, ..both.clone() };
        check(&sni, &PlainRequest::get("a.example", "/"), Some("a.example"), None);
        let san = TlsFromRequest { sni: false, ..both };
        check(&san, &PlainRequest::get("a.example", "/"), None, Some("a.example"));
    }

    #[test]
    fn a_header_says_another() {
        let config = TlsFromRequest { sni: true, san_validation: false, header: Some("x-server".into()) };
        let request = PlainRequest::get("a.example", "/");
        check(&config, &request.clone().with("x-server", "b.example:1"), Some("b.example"), None);
        check(&config, &request.clone().with("x-server", ""), Some("a.example"), None);
        check(&config, &request, Some("a.example"), None);
    }
}
