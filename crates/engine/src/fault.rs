//! Which fault a request meets.

use std::time::Duration;

use ir::Fraction;
use ir::fault::AbortStatus;

use crate::{Dice, Problem, Request, dice, matcher};

/// A compiled [`ir::Fault`].
#[derive(Clone, Debug)]
pub struct Fault {
    pub config: Box<ir::Fault>,
    headers: Box<[matcher::Header]>,
}

/// What to do to one request: wait first, then answer in the upstream's place, or answer slowly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub delay: Option<Duration>,
    pub abort: Option<AbortStatus>,
    /// KiB of response body a second.
    pub kbps: Option<u64>,
}

impl Fault {
    /// # Errors
    /// A regular expression is not RE2's.
    pub fn compile(config: &ir::Fault) -> Result<Self, Problem> {
        let headers = matcher::headers(&config.headers, "headers")?;
        Ok(Fault { config: Box::new(config.clone()), headers })
    }

    /// Whether the fault is meant for requests like this one. `cluster` is where it goes.
    pub fn is_for<R: Request + ?Sized>(&self, request: &R, cluster: Option<&str>) -> bool {
        let nodes = &self.config.downstream_nodes;
        self.config.upstream_cluster.as_deref().is_none_or(|wanted| cluster == Some(wanted))
            && self.headers.iter().all(|header| header.matches(request))
            && (nodes.is_empty()
                || request
                    .header("x-envoy-downstream-service-node")
                    .is_some_and(|node| nodes.iter().any(|it| it.as_bytes() == node.as_ref())))
    }

    /// Rolls for delay, abort and slowness, independently of each other.
    pub fn decide<R: Request + ?Sized>(&self, request: &R, dice: &mut dyn Dice) -> Plan {
        let config = &self.config;
        let delay = config.delay.as_ref().and_then(|it| {
            let wanted = match it.fixed {
                Some(delay) => delay,
                None => Duration::from_millis(number(request, "x-envoy-fault-delay-request")?),
            };
            let share =
                share(it.fixed.is_none(), request, "x-envoy-fault-delay-request-percentage", it.fraction);
            (!wanted.is_zero() && dice::happens(dice, share)).then_some(wanted)
        });
        let abort = config.abort.as_ref().and_then(|it| {
            let by_header = it.status == AbortStatus::Header;
            let status = if by_header { told(request)? } else { it.status };
            let share = share(by_header, request, "x-envoy-fault-abort-request-percentage", it.fraction);
            dice::happens(dice, share).then_some(status)
        });
        let kbps = config.rate_limit.as_ref().and_then(|it| {
            let kbps = match it.fixed_kbps {
                Some(kbps) => kbps,
                None => number(request, "x-envoy-fault-throughput-response").filter(|it| *it > 0)?,
            };
            let name = "x-envoy-fault-throughput-response-percentage";
            dice::happens(dice, share(it.fixed_kbps.is_none(), request, name, it.fraction)).then_some(kbps)
        });
        Plan { delay, abort, kbps }
    }
}

/// What a client asks to be answered.
fn told<R: Request + ?Sized>(request: &R) -> Option<AbortStatus> {
    if let Some(status) = number(request, "x-envoy-fault-abort-request") {
        let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status))?;
        return Some(AbortStatus::Http(status));
    }
    let status = u32::try_from(number(request, "x-envoy-fault-abort-grpc-request")?).ok()?;
    Some(AbortStatus::Grpc(status))
}

/// A client may ask for a smaller share, never for a larger one.
fn share<R: Request + ?Sized>(by_header: bool, request: &R, name: &str, most: Fraction) -> Fraction {
    let asked = by_header.then(|| number(request, name)).flatten();
    // The header's denominator is a hundred, like Envoy's own where the percentage is not finer.
    let asked = asked.map(|percent| u32::try_from(percent.saturating_mul(10_000)).unwrap_or(u32::MAX));
    Fraction { parts_per_million: asked.map_or(most.parts_per_million, |it| it.min(most.parts_per_million)) }
}

fn number<R: Request + ?Sized>(request: &R, name: &str) -> Option<u64> {
    std::str::from_utf8(&request.header(name)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::SplitMix;
    use crate::request::PlainRequest;
    use ir::fault::{FaultAbort, FaultDelay};

    #[test]
    fn shares_are_kept() {
        let share = |parts_per_million| Fraction { parts_per_million };
        let fault = Fault::compile(&ir::Fault {
            delay: Some(FaultDelay { fixed: Some(Duration::from_secs(7)), fraction: share(1_000_000) }),
            abort: Some(FaultAbort { status: AbortStatus::Http(500), fraction: share(100_000) }),
            ..ir::Fault::default()
        })
        .unwrap();
        let request = PlainRequest::get("h", "/");
        let mut dice = SplitMix(5);
        let aborted = (0..10_000).filter(|_| fault.decide(&request, &mut dice).abort.is_some()).count();
        assert!((900..1100).contains(&aborted), "{aborted}");
        assert_eq!(fault.decide(&request, &mut dice).delay, Some(Duration::from_secs(7)));
        let none = Fault::compile(&ir::Fault::default()).unwrap();
        assert_eq!(none.decide(&request, &mut dice), Plan::default());
    }

    #[test]
    fn clients_ask_for_faults_and_get_no_more_than_configured() {
        let fault = Fault::compile(&ir::Fault {
            delay: Some(FaultDelay { fixed: None, fraction: Fraction::ALL }),
            abort: Some(FaultAbort { status: AbortStatus::Header, fraction: Fraction::ALL }),
            headers: vec![],
            downstream_nodes: vec!["n".into()],
            upstream_cluster: Some("c".into()),
            ..ir::Fault::default()
        })
        .unwrap();
        let get = || PlainRequest::get("h", "/");
        let mut dice = SplitMix(5);
        let plan = |request: &PlainRequest, dice: &mut SplitMix| fault.decide(request, dice);
        assert_eq!(plan(&get(), &mut dice), Plan::default());
        let asking =
            get().with("x-envoy-fault-abort-request", "418").with("x-envoy-fault-delay-request", "5");
        let expected =
            Plan { delay: Some(Duration::from_millis(5)), abort: Some(AbortStatus::Http(418)), kbps: None };
        assert_eq!(plan(&asking, &mut dice), expected);
        let never = asking.clone().with("x-envoy-fault-abort-request-percentage", "0");
        assert_eq!(plan(&never, &mut dice).abort, None);
        assert_eq!(plan(&get().with("x-envoy-fault-abort-request", "99"), &mut dice).abort, None);
        let node = get().with("x-envoy-downstream-service-node", "n");
        assert!(fault.is_for(&node, Some("c")));
        assert!(!fault.is_for(&node, Some("d")) && !fault.is_for(&get(), Some("c")));
    }
}
