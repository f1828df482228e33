//! What gRPC adds to HTTP.
//! See <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::time::Duration;

use crate::Request;

/// Whether the request's content type is gRPC.
pub fn is_grpc<R: Request + ?Sized>(request: &R) -> bool {
    request.header("content-type").is_some_and(|value| is_grpc_content_type(&value))
}

/// `application/grpc`, alone or followed by `+`, as Envoy takes it. Not `application/grpc-web`.
pub fn is_grpc_content_type(value: &[u8]) -> bool {
    const PREFIX: &[u8] = b"application/grpc";
    let Some((head, rest)) = value.split_at_checked(PREFIX.len()) else { return false };
    head == PREFIX && matches!(rest.first(), None | Some(b'+'))
}

/// The gRPC status that stands for an HTTP status on a local reply.
/// See <https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>.
pub fn status_of_http(status: u16) -> u32 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// The HTTP status that stands for a gRPC status towards a client that does not speak it.
pub fn http_of_status(status: u32) -> u16 {
    match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    }
}

/// Reads `grpc-timeout`: up to eight digits and a unit of H, M, S, m, u or n.
pub fn parse_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Writes `grpc-timeout`: milliseconds, or as exactly as eight digits allow.
pub fn format_timeout(limit: Duration) -> String {
    const MOST: u128 = 99_999_999;
    let millis = limit.as_millis();
    // Rounded up: an upstream should not give up before us.
    for (unit, size) in [('m', 1), ('S', 1_000), ('M', 60_000)] {
        if millis.div_ceil(size) <= MOST {
            return format!("{}{unit}", millis.div_ceil(size));
        }
    }
    format!("{}H", millis.div_ceil(3_600_000).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_and_timeouts() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x", false),
            ("application/grpc-web", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc_content_type(value.as_bytes()), expected, "{value}");
        }
        assert_eq!(parse_timeout(b"100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse_timeout(b"1H"), Some(Duration::from_secs(3600)));
        for (seconds, text) in [(0, "0m"), (1, "1000m"), (100_000, "100000S"), (u64::MAX / 4, "99999999H")] {
            assert_eq!(format_timeout(Duration::from_secs(seconds)), text);
        }
        assert_eq!((status_of_http(403), status_of_http(404), status_of_http(200)), (7, 12, 2));
        for bad in ["", "m", "1", "123456789S", "-1S", "1x"] {
            assert_eq!(parse_timeout(bad.as_bytes()), None, "{bad}");
        }
    }
}
