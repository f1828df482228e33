//! Faults put in on purpose.

use ir::Fault;
use ir::fault::{AbortStatus, FaultAbort, FaultDelay, FaultRateLimit};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{matcher, wire};
use crate::pb::common_fault::{self, fault_delay::FaultDelaySecifier, fault_rate_limit::LimitType};
use crate::pb::fault::{self, fault_abort::ErrorType};

pub(super) fn fault(at: At<'_>, it: fault::HttpFault) -> Fault {
    let fault::HttpFault {
        delay: wait,
        abort: give_up,
        upstream_cluster,
        headers,
        downstream_nodes,
        max_active_faults,
        response_rate_limit,
        delay_percent_runtime,
        abort_percent_runtime,
        delay_duration_runtime,
        abort_http_status_runtime,
        max_active_faults_runtime,
        response_rate_limit_percent_runtime,
        abort_grpc_status_runtime,
        disable_downstream_cluster_stats,
        filter_metadata,
    } = it;
    harmless!(Runtime; delay_percent_runtime, abort_percent_runtime, delay_duration_runtime,
        abort_http_status_runtime, max_active_faults_runtime, response_rate_limit_percent_runtime,
        abort_grpc_status_runtime);
    harmless!(Statistics; disable_downstream_cluster_stats);
    harmless!(Metadata; filter_metadata);
    Fault {
        delay: wait.map(|it| delay(at.field("delay"), it)),
        abort: give_up.map(|it| abort(at.field("abort"), it)),
        rate_limit: response_rate_limit.map(|it| rate_limit(at.field("response_rate_limit"), it)),
        upstream_cluster: wire::optional_text(upstream_cluster),
        headers: matcher::headers(&at, "headers", headers),
        downstream_nodes: wire::texts(downstream_nodes),
        max_active: wire::optional_number(max_active_faults),
    }
}

fn rate_limit(at: At<'_>, it: common_fault::FaultRateLimit) -> FaultRateLimit {
    let common_fault::FaultRateLimit { percentage, limit_type } = it;
    let fixed_kbps = match limit_type {
        Some(LimitType::FixedLimit(it)) => Some(it.limit_kbps),
        Some(LimitType::HeaderLimit(_)) => None,
        None => {
            at.field("fixed_limit").refuse("is required");
            None
        }
    };
    if fixed_kbps == Some(0) {
        at.field("fixed_limit.limit_kbps").refuse("must not be 0");
    }
    FaultRateLimit { fixed_kbps, fraction: matcher::fraction(at.field("percentage"), percentage) }
}

fn delay(at: At<'_>, it: common_fault::FaultDelay) -> FaultDelay {
    let common_fault::FaultDelay { percentage, fault_delay_secifier } = it;
    let fixed = match fault_delay_secifier {
        Some(FaultDelaySecifier::FixedDelay(it)) => Some(wire::duration(at.field("fixed_delay"), it)),
        Some(FaultDelaySecifier::HeaderDelay(_)) => None,
        None => {
            at.field("fixed_delay").refuse("is required");
            None
        }
    };
    FaultDelay { fixed, fraction: matcher::fraction(at.field("percentage"), percentage) }
}

fn abort(at: At<'_>, it: fault::FaultAbort) -> FaultAbort {
    let fault::FaultAbort { percentage, response_body, error_type } = it;
    refuse!(at; response_body);
    let status = match error_type {
        Some(ErrorType::HttpStatus(status)) => match u16::try_from(status) {
            Ok(status @ 200..=599) => AbortStatus::Http(status),
            _ => {
                at.field("http_status").refuse(format!("{status} is not from 200 to 599"));
                AbortStatus::Http(503)
            }
        },
        Some(ErrorType::GrpcStatus(status)) => AbortStatus::Grpc(status),
        Some(ErrorType::HeaderAbort(_)) => AbortStatus::Header,
        None => {
            at.field("http_status").refuse("is required");
            AbortStatus::Http(503)
        }
    };
    FaultAbort { status, fraction: matcher::fraction(at.field("percentage"), percentage) }
}
