//! How long a request may take.

use std::time::Duration;

use ir::route::Forward;

/// Envoy's default for a route.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);

/// What is known of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked {
    pub is_grpc: bool,
    /// Its `grpc-timeout`.
    pub grpc_timeout: Option<Duration>,
}

/// `None` is without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeouts {
    /// For the response with all attempts, from the end of the request.
    pub response: Option<Duration>,
    /// For an attempt.
    pub per_try: Option<Duration>,
    /// For an attempt on which nothing moves.
    pub per_try_idle: Option<Duration>,
    /// For request and response together, from the first byte. Zero: it is over.
    pub stream: Option<Duration>,
    /// What the upstream reads as `grpc-timeout`; `None` leaves what the client said.
    pub grpc_timeout: Option<Duration>,
}

/// As Envoy's router and connection manager have it; `of_manager` is the latter's
/// `max_stream_duration`. See
/// <https://www.envoyproxy.io/docs/envoy/v1.40.0/faq/configuration/timeouts>.
pub fn of(forward: &Forward, of_manager: Option<Duration>, asked: Asked) -> Timeouts {
    let response = response(forward, asked).filter(|limit| !limit.is_zero());
    let per_try = forward.retry.as_ref().and_then(|retry| retry.per_try_timeout).filter(|t| !t.is_zero());
    // An attempt has no more time than the whole.
    let per_try = per_try.filter(|per_try| response.is_none_or(|response| *per_try < response));
    let stream = stream(forward, of_manager, asked);
    let told = match (forward.max_stream_duration, forward.max_grpc_timeout) {
        (Some(_), _) => stream,
        (None, Some(_)) => per_try.or(response),
        (None, None) => None,
    };
    let idle = forward.retry.as_ref().and_then(|retry| retry.per_try_idle_timeout).filter(|t| !t.is_zero());
    Timeouts { response, per_try, per_try_idle: idle, stream, grpc_timeout: told.filter(|_| asked.is_grpc) }
}

/// What an attempt is told that it has, when so much of the whole is over. Zero would be without a limit.
pub fn expected(
    response: Option<Duration>,
    per_try: Option<Duration>,
    elapsed: Duration,
) -> Option<Duration> {
    let left = response.map(|limit| limit.saturating_sub(elapsed).max(Duration::from_millis(1)));
    per_try.into_iter().chain(left).min()
}

fn response(forward: &Forward, asked: Asked) -> Option<Duration> {
    match forward.max_grpc_timeout {
        // Envoy does not look at the route's timeout then.
        _ if forward.max_stream_duration.is_some() => None,
        Some(max) if asked.is_grpc => match asked.grpc_timeout.filter(|wanted| !wanted.is_zero()) {
            Some(wanted) if max.is_zero() => Some(wanted),
            Some(wanted) => Some(wanted.min(max)),
            None => Some(max),
        },
        _ => Some(forward.timeout.unwrap_or(ROUTE_TIMEOUT)),
    }
}

fn stream(forward: &Forward, of_manager: Option<Duration>, asked: Asked) -> Option<Duration> {
    let route = forward.max_stream_duration.unwrap_or_default();
    let (Some(wanted), Some(max)) = (asked.grpc_timeout, route.grpc_header_max) else {
        return route.max.or(of_manager).filter(|limit| !limit.is_zero());
    };
    let capped = if max.is_zero() { wanted } else { wanted.min(max) };
    Some(capped.saturating_sub(route.grpc_header_offset.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use ir::route::MaxStreamDuration;

    use super::*;

    const S: fn(u64) -> Option<Duration> = |seconds| Some(Duration::from_secs(seconds));

    fn grpc(seconds: Option<u64>) -> Asked {
        Asked { is_grpc: true, grpc_timeout: seconds.and_then(S) }
    }

    #[test]
    fn the_routes_timeout_and_the_deprecated_one_of_grpc() {
        let route = |timeout, max_grpc_timeout| Forward { timeout, max_grpc_timeout, ..Forward::to("c") };
        for (forward, asked, expected) in [
            (route(None, None), Asked::default(), S(15)),
            (route(S(0), None), Asked::default(), None),
            (route(S(5), None), grpc(Some(1)), S(5)),
            (route(S(5), S(5)), Asked::default(), S(5)),
            (route(S(5), S(5)), grpc(Some(1)), S(1)),
            (route(S(5), S(5)), grpc(Some(9)), S(5)),
            (route(S(5), S(5)), grpc(None), S(5)),
            (route(S(5), S(0)), grpc(Some(9)), S(9)),
            (route(S(5), S(0)), grpc(None), None),
        ] {
            let found = of(&forward, None, asked);
            assert_eq!((found.response, found.stream), (expected, None), "{forward:?} {asked:?}");
            let told = expected.filter(|_| asked.is_grpc && forward.max_grpc_timeout.is_some());
            assert_eq!(found.grpc_timeout, told, "{forward:?} {asked:?}");
        }
        assert_eq!(of(&route(S(0), None), S(7), Asked::default()).stream, S(7));
    }

    #[test]
    fn a_later_attempt_has_less_time() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (response, per_try, elapsed, left) in [
            (ms(100), None, 30, ms(70)),
            (ms(100), ms(50), 30, ms(50)),
            (ms(100), ms(50), 80, ms(20)),
            (ms(100), None, 200, ms(1)),
            (None, ms(50), 80, ms(50)),
            (None, None, 80, None),
        ] {
            let elapsed = Duration::from_millis(elapsed);
            assert_eq!(expected(response, per_try, elapsed), left, "{response:?} {per_try:?} {elapsed:?}");
        }
    }

    #[test]
    fn the_duration_of_streams() {
        let route = |max, grpc_header_max, grpc_header_offset| Forward {
            timeout: S(5),
            max_grpc_timeout: S(3),
            max_stream_duration: Some(MaxStreamDuration { max, grpc_header_max, grpc_header_offset }),
            ..Forward::to("c")
        };
        for (forward, asked, expected) in [
            (route(S(10), None, None), Asked::default(), S(10)),
            (route(S(10), None, None), grpc(Some(1)), S(10)),
            (route(None, None, None), Asked::default(), S(7)),
            (route(S(0), S(0), None), grpc(None), None),
            (route(S(0), S(0), None), grpc(Some(60)), S(60)),
            (route(S(0), S(20), None), grpc(Some(60)), S(20)),
            (route(S(0), S(20), S(5)), grpc(Some(60)), S(15)),
            (route(S(0), S(20), S(30)), grpc(Some(60)), S(0)),
        ] {
            let found = of(&forward, S(7), asked);
            assert_eq!((found.response, found.stream), (None, expected), "{forward:?} {asked:?}");
            assert_eq!(found.grpc_timeout, expected.filter(|_| asked.is_grpc), "{forward:?} {asked:?}");
        }
    }
}
