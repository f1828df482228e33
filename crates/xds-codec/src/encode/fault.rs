//! Faults put in on purpose.

use ir::Fault;
use ir::fault::{AbortStatus, FaultAbort, FaultDelay, FaultRateLimit};

use super::{matcher, wire};
use crate::pb::common_fault;
use crate::pb::common_fault::fault_delay::{FaultDelaySecifier, HeaderDelay};
use crate::pb::common_fault::fault_rate_limit::{FixedLimit, HeaderLimit, LimitType};
use crate::pb::fault;
use crate::pb::fault::fault_abort::{ErrorType, HeaderAbort};

pub(super) fn fault(it: &Fault) -> fault::HttpFault {
    fault::HttpFault {
        delay: it.delay.as_ref().map(delay),
        abort: it.abort.as_ref().map(abort),
        response_rate_limit: it.rate_limit.as_ref().map(rate_limit),
        upstream_cluster: wire::optional_text(&it.upstream_cluster),
        headers: it.headers.iter().map(matcher::header).collect(),
        downstream_nodes: wire::texts(&it.downstream_nodes),
        max_active_faults: wire::optional_number(it.max_active),
        ..Default::default()
    }
}

fn rate_limit(it: &FaultRateLimit) -> common_fault::FaultRateLimit {
    let limit = match it.fixed_kbps {
        Some(limit_kbps) => LimitType::FixedLimit(FixedLimit { limit_kbps }),
        None => LimitType::HeaderLimit(HeaderLimit {}),
    };
    common_fault::FaultRateLimit { percentage: Some(matcher::fraction(it.fraction)), limit_type: Some(limit) }
}

fn delay(it: &FaultDelay) -> common_fault::FaultDelay {
    common_fault::FaultDelay {
        percentage: Some(matcher::fraction(it.fraction)),
        fault_delay_secifier: Some(match it.fixed {
            Some(delay) => FaultDelaySecifier::FixedDelay(wire::duration(delay)),
            None => FaultDelaySecifier::HeaderDelay(HeaderDelay {}),
        }),
    }
}

fn abort(it: &FaultAbort) -> fault::FaultAbort {
    let error = match it.status {
        AbortStatus::Http(status) => ErrorType::HttpStatus(status.into()),
        AbortStatus::Grpc(status) => ErrorType::GrpcStatus(status),
        AbortStatus::Header => ErrorType::HeaderAbort(HeaderAbort {}),
    };
    fault::FaultAbort {
        percentage: Some(matcher::fraction(it.fraction)),
        error_type: Some(error),
        ..Default::default()
    }
}
