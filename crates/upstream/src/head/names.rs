//! Names and values that nearly every message has: without an allocation each, and with none when a
//! head is cloned for an attempt.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

macro_rules! names {
    ($($name:literal)*) => {
        fn custom(name: &[u8]) -> Option<HeaderName> {
            match name {
                $(name if name == $name.as_bytes() => {
                    const NAME: HeaderName = HeaderName::from_static($name);
                    Some(NAME)
                })*
                _ => None,
            }
        }

        /// The parsed name, if it is one that is often asked for: to parse and hash it costs more than
        /// to find it.
        // Where the name is a literal, nothing is left of the comparisons.
        #[inline(always)]
        pub(super) fn frequent(name: &str) -> Option<&'static HeaderName> {
            match name {
                $($name => {
                    static NAME: HeaderName = HeaderName::from_static($name);
                    Some(&NAME)
                })*
                _ => None,
            }
        }

        fn custom_bytes(name: &[u8]) -> Option<Bytes> {
            match name {
                $(name if name == $name.as_bytes() => Some(Bytes::from_static($name.as_bytes())),)*
                _ => None,
            }
        }
    };
}

// Those that the proxy reads and writes, and those of gRPC.
names! {
    "content-type"
    "content-length"
    "date"
    "server"
    "x-forwarded-proto"
    "x-forwarded-for"
    "x-request-id"
    "x-envoy-upstream-service-time"
    "x-envoy-expected-rq-timeout-ms"
    "x-envoy-attempt-count"
    "x-envoy-decorator-operation"
    "x-envoy-peer-metadata"
    "x-envoy-peer-metadata-id"
    "x-forwarded-client-cert"
    "grpc-timeout"
    "grpc-encoding"
    "grpc-accept-encoding"
    "grpc-status"
    "grpc-message"
    "grpc-status-details-bin"
}

/// `None`: no token, or one that HTTP/2 has no place for (RFC 9113, section 8.2.2).
pub(super) fn name(bytes: &[u8]) -> Option<HeaderName> {
    const OF_CONNECTION: [&str; 5] =
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    let other = || HeaderName::from_bytes(bytes).ok().filter(|name| !OF_CONNECTION.contains(&name.as_str()));
    custom(bytes).or_else(other)
}

/// A name of a trailer.
pub(super) fn name_bytes(name: &HeaderName) -> Bytes {
    let name = name.as_str().as_bytes();
    custom_bytes(name).unwrap_or_else(|| Bytes::copy_from_slice(name))
}

/// The shortest values, and the words that are written into every request.
fn common(bytes: &[u8]) -> Option<&'static str> {
    const DIGITS: &str = "0123456789";
    match bytes {
        [digit @ b'0'..=b'9'] => {
            let at = usize::from(digit - b'0');
            DIGITS.get(at..=at)
        }
        b"http" => Some("http"),
        b"https" => Some("https"),
        b"envoy" => Some("envoy"),
        b"istio-envoy" => Some("istio-envoy"),
        b"trailers" => Some("trailers"),
        b"application/grpc" => Some("application/grpc"),
        _ => None,
    }
}

/// `None`: control characters.
pub(super) fn value(bytes: &[u8]) -> Option<HeaderValue> {
    match common(bytes) {
        Some(text) => Some(HeaderValue::from_static(text)),
        None => HeaderValue::from_bytes(bytes).ok(),
    }
}

/// A value of a trailer.
pub(super) fn value_bytes(value: &HeaderValue) -> Bytes {
    let value = value.as_bytes();
    common(value).map_or_else(|| Bytes::copy_from_slice(value), |text| Bytes::from_static(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_reads_as_everything_else() {
        for text in ["x-request-id", "grpc-status", "content-type", "x-other"] {
            let found = name(text.as_bytes()).unwrap();
            assert_eq!((found.as_str(), &name_bytes(&found)[..]), (text, text.as_bytes()));
        }
        assert!(name(b"a b").is_none() && name(b"").is_none() && name(b"Upgrade").is_none());
        for text in ["0", "9", "12", "", "a", "https", "application/grpc+x"] {
            let found = value(text.as_bytes()).unwrap();
            assert_eq!((found.as_bytes(), &value_bytes(&found)[..]), (text.as_bytes(), text.as_bytes()));
        }
        assert!(value(b"a\nb").is_none());
    }
}
