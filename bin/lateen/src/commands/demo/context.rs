//! What a service passes on, and what it learns of its caller.

use hyper::HeaderMap;

/// Headers that a service copies to the calls it makes: identity of the request and of the
/// trace in every common format (W3C, B3, SkyWalking, OpenTracing, Datadog), and the user.
const FORWARDED: &[&str] = &[
    "end-user",
    "user-agent",
    "authorization",
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-cloud-trace-context",
    "grpc-trace-bin",
    "sw8",
];

/// The headers to send along.
pub fn forwarded(headers: &HeaderMap) -> HeaderMap {
    FORWARDED
        .iter()
        .filter_map(|name| Some((hyper::header::HeaderName::from_static(name), headers.get(*name)?.clone())))
        .collect()
}

/// Who called, as the sidecar tells in `x-forwarded-client-cert`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The URI of the last element: the peer of this hop.
    pub identity: Option<String>,
}

impl Caller {
    pub fn of(headers: &HeaderMap) -> Self {
        let header = headers.get("x-forwarded-client-cert").and_then(|value| value.to_str().ok());
        let last = header.and_then(|text| text.rsplit(',').next());
        let uri =
            last.and_then(|element| element.split(';').find_map(|part| part.trim().strip_prefix("URI=")));
        Caller { identity: uri.filter(|uri| !uri.is_empty()).map(str::to_owned) }
    }

    pub fn identity_or_unknown(&self) -> &str {
        self.identity.as_deref().unwrap_or("unknown")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_the_last_hop() {
        let mut headers = HeaderMap::new();
        assert_eq!(Caller::of(&headers).identity_or_unknown(), "unknown");
        let value =
            "By=spiffe://a/ns/b/sa/c;Hash=1;Subject=\"\";URI=spiffe://x,By=y;Hash=2;URI=spiffe://last";
        headers.insert("x-forwarded-client-cert", value.parse().unwrap());
        assert_eq!(Caller::of(&headers).identity_or_unknown(), "spiffe://last");
    }
}
