//! Retries and faults of a route.

use std::collections::BTreeSet;

use ir::fault::{AbortStatus, FaultAbort, FaultDelay};
use ir::retry::{RetryOn, RetryPolicy};
use ir::{Fault, Fraction};
use istio_api::Percent;
use istio_api::networking::{Retries, fault};

/// Istio's retries where nothing is said: twice, at another endpoint.
pub fn default_retry() -> RetryPolicy {
    RetryPolicy {
        on: BTreeSet::from([
            RetryOn::ConnectFailure,
            RetryOn::RefusedStream,
            RetryOn::GrpcUnavailable,
            RetryOn::GrpcCancelled,
            RetryOn::RetriableStatusCodes,
        ]),
        num_retries: 2,
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        ..RetryPolicy::default()
    }
}

/// What a sidecar retries towards its own application: requests that never reached it.
pub fn inbound_retry() -> RetryPolicy {
    RetryPolicy {
        on: BTreeSet::from([RetryOn::ResetBeforeRequest]),
        avoid_previous_hosts: false,
        host_selection_attempts: 1,
        ..default_retry()
    }
}

/// `None`: retrying is switched off.
pub fn retry(written: &Retries) -> Option<RetryPolicy> {
    if written.attempts == 0 {
        return None;
    }
    let mut policy = RetryPolicy {
        num_retries: written.attempts,
        per_try_timeout: written.per_try_timeout,
        base_interval: written.backoff,
        ..default_retry()
    };
    if written.retry_ignore_previous_hosts == Some(false) {
        policy.avoid_previous_hosts = false;
    }
    // Localities are priorities where there is failover. Two attempts belong to the nearest.
    if written.retry_remote_localities == Some(true) {
        policy.previous_priorities = Some(2);
    }
    if let Some(text) = &written.retry_on {
        (policy.on, policy.retriable_status_codes) = conditions(text);
    }
    Some(policy)
}

/// Names of conditions and numbers of statuses, by commas. A name that Envoy does not know is
/// none of our conditions either; the reader has reported it.
fn conditions(text: &str) -> (BTreeSet<RetryOn>, BTreeSet<u16>) {
    let (mut on, mut statuses) = (BTreeSet::new(), BTreeSet::new());
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.parse::<u16>() {
            Ok(status) => statuses.extend((100..=599).contains(&status).then_some(status)),
            Err(_) => on.extend(RetryOn::by_name(part)),
        }
    }
    if !statuses.is_empty() {
        on.insert(RetryOn::RetriableStatusCodes);
    }
    (on, statuses)
}

pub fn fault(written: &fault::Fault) -> Option<Fault> {
    let delay = written.delay.as_ref();
    let abort = written.abort.as_ref();
    let fault = Fault {
        delay: delay.map(|d| FaultDelay { fixed: Some(d.fixed), fraction: fraction(d.percentage) }),
        abort: abort.map(|a| FaultAbort { status: abort_status(a.status), fraction: fraction(a.percentage) }),
        ..Fault::default()
    };
    (fault != Fault::default()).then_some(fault)
}

fn abort_status(written: fault::AbortStatus) -> AbortStatus {
    match written {
        fault::AbortStatus::Http(status) => AbortStatus::Http(status),
        fault::AbortStatus::Grpc(status) => AbortStatus::Grpc(status),
    }
}

fn fraction(percent: Percent) -> Fraction {
    Fraction { parts_per_million: percent.millionths() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, names: &[&str], statuses: &[u16]) {
        let (on, found) = conditions(text);
        let mut found_names: Vec<_> = on.iter().map(|on| on.as_str()).collect();
        found_names.sort_unstable();
        assert_eq!(found_names, names, "{text}");
        assert_eq!(found, statuses.iter().copied().collect(), "{text}");
    }

    #[test]
    fn statuses_are_conditions_too() {
        check("5xx", &["5xx"], &[]);
        check("503, reset", &["reset", "retriable-status-codes"], &[503]);
        check("gateway-error,connect-failure,", &["connect-failure", "gateway-error"], &[]);
        check("nonsense,999", &[], &[]);
    }
}
