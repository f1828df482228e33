//! Whether and when a request is tried again.

use std::time::Duration;

use ir::retry::{RateLimitedBackOff, ResetFormat, RetryOn, RetryPolicy};

use crate::{Dice, Problem, Request, dice, matcher};

/// What an answer says that was tried often enough, as a header's name and value: whoever is before us shall not
/// multiply that.
///
/// Envoy sets the header to `true` where a circuit breaker said no, of which the retry budget is one, and looks
/// for it in no answer. An answer with `true` may be tried again elsewhere, so this is another value.
pub const GIVEN_UP: (&str, &str) = ("x-envoy-overloaded", "retries");

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response head came, with the gRPC status if it is already known (trailers-only).
    Response {
        status: u16,
        grpc_status: Option<u32>,
        rate_limited: bool,
        /// One of the policy's `retriable_headers` fits.
        retriable_header: bool,
        /// It carries [`GIVEN_UP`].
        given_up: bool,
    },
    /// No connection could be made (TLS included).
    ConnectFailure,
    /// The connection or stream broke, or the per-try timeout ran out, before a response head.
    Reset {
        request_sent: bool,
    },
    /// The peer refused the stream before it looked at it (`REFUSED_STREAM`, `GOAWAY`).
    RefusedStream,
    PerTryTimeout,
}

/// What to do after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait, then try again.
    Retry { after: Duration },
    /// The outcome stands: no condition covers it.
    Final,
    /// A condition covers it, but no retry is left (`URX`).
    Exhausted,
}

/// Why a request is not tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// What came of it stands: [`Decision::Final`].
    Stands,
    /// No retry was left: [`Decision::Exhausted`].
    Exhausted,
    /// Too many others are being tried again (`UO`).
    Overflow,
    /// The time for the whole was over.
    TimeOver,
}

/// The retries of one request.
#[derive(Clone, Debug)]
pub struct Retries<'a> {
    policy: Option<&'a RetryPolicy>,
    /// The cluster has a retry budget: what is over it here is not for others to spend.
    budgeted: bool,
    done: u32,
}

impl<'a> Retries<'a> {
    pub fn new(policy: Option<&'a RetryPolicy>, budgeted: bool) -> Self {
        Retries { policy, budgeted, done: 0 }
    }

    /// Attempts made so far are one more than this.
    pub fn done(&self) -> u32 {
        self.done
    }

    /// Whether any retry is possible, so that the body must be kept for it.
    pub fn possible(&self) -> bool {
        self.policy.is_some_and(|policy| self.done < policy.num_retries && !policy.on.is_empty())
    }

    /// Judges an attempt. The caller has made sure that the request can be sent again.
    pub fn decide(&mut self, outcome: Outcome, dice: &mut dyn Dice) -> Decision {
        let Some(policy) = self.policy.filter(|policy| covers(policy, outcome)) else {
            return Decision::Final;
        };
        if self.budgeted && matches!(outcome, Outcome::Response { given_up: true, .. }) {
            return Decision::Final;
        }
        if self.done >= policy.num_retries {
            return Decision::Exhausted;
        }
        self.done += 1;
        let base = policy.base_interval.unwrap_or(Duration::from_millis(25));
        Decision::Retry { after: back_off(base, policy.max_interval, self.done, dice) }
    }

    /// Whether the answer carries [`GIVEN_UP`]. Five hops that may each add a fifth would together ask two and a
    /// half times; so who has come to the end of its retries says so, and only the hop next to the fault tries again.
    pub fn gives_up(&self, last: Last) -> bool {
        self.budgeted
            && match last {
                Last::Stands => false,
                Last::Exhausted | Last::Overflow => true,
                Last::TimeOver => self.done > 0,
            }
    }
}

/// The headers that a policy looks at, compiled.
#[derive(Debug)]
pub struct Conditions {
    request: Box<[matcher::Header]>,
    response: Box<[matcher::Header]>,
}

impl Conditions {
    /// `None`: it looks at none.
    ///
    /// # Errors
    /// A matcher that cannot be compiled.
    pub fn compile(policy: Option<&RetryPolicy>) -> Result<Option<Box<Self>>, Problem> {
        let Some(policy) = policy else { return Ok(None) };
        if policy.retriable_headers.is_empty() && policy.retriable_request_headers.is_empty() {
            return Ok(None);
        }
        let compiled = Conditions {
            request: matcher::headers(&policy.retriable_request_headers, "retriable_request_headers")?,
            response: matcher::headers(&policy.retriable_headers, "retriable_headers")?,
        };
        Ok(Some(Box::new(compiled)))
    }

    /// Whether a request is tried again at all.
    pub fn allow<R: Request + ?Sized>(&self, request: &R) -> bool {
        self.request.is_empty() || self.request.iter().any(|header| header.matches(request))
    }

    /// Whether one of the `retriable_headers` fits. `any` says whether a value of a response's header
    /// is wanted; `None`: there is none.
    pub fn fit(&self, any: impl Fn(&str, &mut dyn FnMut(&[u8]) -> bool) -> Option<bool>) -> bool {
        self.response.iter().any(|header| header.matches_any(&any))
    }
}

/// How long a response asks us to stay away, in one of the policy's headers. `header` gives a value of
/// the response, `now` is the time since 1970.
pub fn reset_time(
    policy: &RateLimitedBackOff,
    header: impl Fn(&str) -> Option<u64>,
    now: Duration,
) -> Option<Duration> {
    let max = policy.max_interval.unwrap_or(Duration::from_secs(300));
    policy.reset_headers.iter().find_map(|(name, format)| {
        let value = Duration::from_secs(header(name)?);
        let time = match format {
            ResetFormat::Seconds => value,
            ResetFormat::UnixTimestamp => value.checked_sub(now)?,
        };
        (time <= max).then_some(time)
    })
}

/// Whether a condition of the policy covers the outcome.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/router_filter#x-envoy-retry-on>.
fn covers(policy: &RetryPolicy, outcome: Outcome) -> bool {
    let on = |condition| policy.on.contains(&condition);
    match outcome {
        Outcome::Response { status, grpc_status, rate_limited, retriable_header, given_up: _ } => {
            if rate_limited {
                return on(RetryOn::EnvoyRateLimited);
            }
            (on(RetryOn::FiveXx) && status >= 500)
                || (on(RetryOn::GatewayError) && (502..=504).contains(&status))
                || (on(RetryOn::Retriable4xx) && status == 409)
                || (on(RetryOn::RetriableStatusCodes) && policy.retriable_status_codes.contains(&status))
                || (on(RetryOn::RetriableHeaders) && retriable_header)
                || grpc_status.and_then(grpc_condition).is_some_and(on)
        }
        Outcome::ConnectFailure => {
            on(RetryOn::ConnectFailure)
                || on(RetryOn::FiveXx)
                || on(RetryOn::GatewayError)
                || on(RetryOn::Reset)
                || on(RetryOn::ResetBeforeRequest)
        }
        Outcome::Reset { request_sent } => {
            on(RetryOn::Reset)
                || on(RetryOn::FiveXx)
                || on(RetryOn::GatewayError)
                || (on(RetryOn::ResetBeforeRequest) && !request_sent)
        }
        Outcome::RefusedStream => {
            on(RetryOn::RefusedStream)
                || on(RetryOn::Reset)
                || on(RetryOn::FiveXx)
                || on(RetryOn::GatewayError)
        }
        Outcome::PerTryTimeout => on(RetryOn::FiveXx) || on(RetryOn::GatewayError) || on(RetryOn::Reset),
    }
}

fn grpc_condition(status: u32) -> Option<RetryOn> {
    Some(match status {
        1 => RetryOn::GrpcCancelled,
        4 => RetryOn::GrpcDeadlineExceeded,
        8 => RetryOn::GrpcResourceExhausted,
        13 => RetryOn::GrpcInternal,
        14 => RetryOn::GrpcUnavailable,
        _ => return None,
    })
}

/// Exponential with full jitter: below `base * (2^retry - 1)`, at most `max`, by default ten times the
/// base.
pub fn back_off(base: Duration, max: Option<Duration>, retry: u32, dice: &mut dyn Dice) -> Duration {
    let max = max.unwrap_or(base.saturating_mul(10));
    let factor = 1u32.checked_shl(retry).map_or(u32::MAX, |p| p - 1);
    let bound = base.saturating_mul(factor).min(max);
    Duration::from_nanos(dice::below(dice, u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::SplitMix;

    fn policy(on: &[RetryOn], num_retries: u32) -> RetryPolicy {
        RetryPolicy {
            on: on.iter().copied().collect(),
            num_retries,
            retriable_status_codes: [418].into(),
            avoid_previous_hosts: true,
            host_selection_attempts: 5,
            ..RetryPolicy::default()
        }
    }

    fn response(status: u16, grpc_status: Option<u32>) -> Outcome {
        Outcome::Response {
            status,
            grpc_status,
            rate_limited: false,
            retriable_header: false,
            given_up: false,
        }
    }

    #[test]
    fn conditions_cover_what_envoy_says() {
        let check = |on: RetryOn, outcome, expected| {
            assert_eq!(covers(&policy(&[on], 1), outcome), expected, "{on:?} {outcome:?}");
        };
        check(RetryOn::FiveXx, response(500, None), true);
        check(RetryOn::FiveXx, response(404, None), false);
        check(RetryOn::GatewayError, response(500, None), false);
        check(RetryOn::GatewayError, response(503, None), true);
        check(RetryOn::RetriableStatusCodes, response(418, None), true);
        check(RetryOn::ConnectFailure, Outcome::ConnectFailure, true);
        check(RetryOn::ConnectFailure, Outcome::Reset { request_sent: false }, false);
        check(RetryOn::ResetBeforeRequest, Outcome::Reset { request_sent: true }, false);
        check(RetryOn::RefusedStream, Outcome::RefusedStream, true);
        let unavailable = response(200, Some(14));
        check(RetryOn::GrpcUnavailable, unavailable, true);
        check(RetryOn::GrpcInternal, unavailable, false);
        let marked = Outcome::Response {
            status: 200,
            grpc_status: None,
            rate_limited: false,
            retriable_header: true,
            given_up: false,
        };
        check(RetryOn::RetriableHeaders, marked, true);
        check(RetryOn::FiveXx, marked, false);
    }

    #[test]
    fn headers_allow_and_ask_for_retries() {
        let header = |name: &str, value: &str| ir::HeaderMatcher {
            name: name.into(),
            matches: ir::matcher::HeaderMatch::Value(ir::StringMatcher::exact(value)),
            invert: false,
            treat_missing_as_empty: false,
        };
        let policy = RetryPolicy {
            retriable_headers: vec![header("x-again", "yes")],
            retriable_request_headers: vec![header(":method", "GET"), header("x-safe", "1")],
            ..RetryPolicy::default()
        };
        assert!(Conditions::compile(Some(&RetryPolicy::default())).unwrap().is_none());
        let conditions = Conditions::compile(Some(&policy)).unwrap().unwrap();
        let mut request = crate::request::PlainRequest::get("a", "/");
        assert!(conditions.allow(&request));
        request.method = "POST".into();
        assert!(!conditions.allow(&request));
        assert!(conditions.allow(&request.with("x-safe", "1")));
        let fit =
            |value: &'static [u8]| conditions.fit(|name, wanted| (name == "x-again").then(|| wanted(value)));
        assert!(fit(b"yes") && !fit(b"no"));
    }

    #[test]
    fn a_response_says_when_to_come_back() {
        let policy = RateLimitedBackOff {
            reset_headers: vec![
                ("retry-after".into(), ResetFormat::Seconds),
                ("x-reset".into(), ResetFormat::UnixTimestamp),
            ],
            max_interval: Some(Duration::from_secs(60)),
        };
        let now = Duration::from_secs(1_000);
        let ask = |name: &'static str, value| {
            reset_time(&policy, |asked| (asked == name).then_some(value), now).map(|it| it.as_secs())
        };
        assert_eq!(ask("retry-after", 5), Some(5));
        assert_eq!(ask("retry-after", 61), None, "too long to be believed");
        assert_eq!(ask("x-reset", 1_010), Some(10));
        assert_eq!(ask("x-reset", 990), None, "in the past");
        assert_eq!(ask("other", 1), None);
    }

    #[test]
    fn counts_and_backs_off() {
        let policy = policy(&[RetryOn::ConnectFailure], 2);
        let (mut retries, mut dice) = (Retries::new(Some(&policy), false), SplitMix(1));
        for bound in [25, 75] {
            assert!(retries.possible());
            let Decision::Retry { after } = retries.decide(Outcome::ConnectFailure, &mut dice) else {
                panic!()
            };
            assert!(after < Duration::from_millis(bound));
        }
        assert_eq!(retries.decide(Outcome::ConnectFailure, &mut dice), Decision::Exhausted);
        assert_eq!(retries.decide(Outcome::PerTryTimeout, &mut dice), Decision::Final);
        assert_eq!(Retries::new(None, false).decide(Outcome::ConnectFailure, &mut dice), Decision::Final);
    }

    #[test]
    fn only_one_hop_of_those_with_budgets_tries_again() {
        let (policy, mut dice) = (policy(&[RetryOn::FiveXx], 1), SplitMix(1));
        let failed = response(503, None);
        let given_up = Outcome::Response {
            status: 503,
            grpc_status: None,
            rate_limited: false,
            retriable_header: false,
            given_up: true,
        };
        let mut inner = Retries::new(Some(&policy), true);
        assert!(!inner.gives_up(Last::TimeOver), "it has tried only once");
        assert!(matches!(inner.decide(failed, &mut dice), Decision::Retry { .. }));
        assert_eq!(inner.decide(failed, &mut dice), Decision::Exhausted);
        assert!(inner.gives_up(Last::Exhausted) && inner.gives_up(Last::Overflow));
        assert!(inner.gives_up(Last::TimeOver) && !inner.gives_up(Last::Stands));
        assert_eq!(Retries::new(Some(&policy), true).decide(given_up, &mut dice), Decision::Final);
        // Without a budget all is as in Envoy.
        let mut outer = Retries::new(Some(&policy), false);
        assert!(matches!(outer.decide(given_up, &mut dice), Decision::Retry { .. }));
        assert!(!outer.gives_up(Last::Exhausted) && !outer.gives_up(Last::Overflow));
    }
}
