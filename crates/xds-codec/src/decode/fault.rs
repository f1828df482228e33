//! Faults put in on purpose.

use std::time::Duration;

use ir::Fault;
use ir::fault::{AbortStatus, FaultAbort, FaultDelay};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{matcher, wire};
use crate::pb::common_fault::{self, fault_delay::FaultDelaySecifier};
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
    refuse!(at; upstream_cluster, headers, downstream_nodes, max_active_faults, response_rate_limit);
    harmless!(Runtime; delay_percent_runtime, abort_percent_runtime, delay_duration_runtime,
        abort_http_status_runtime, max_active_faults_runtime, response_rate_limit_percent_runtime,
        abort_grpc_status_runtime);
    harmless!(Statistics; disable_downstream_cluster_stats);
    harmless!(Metadata; filter_metadata);
    Fault {
        delay: wait.map(|it| delay(at.field("delay"), it)),
        abort: give_up.map(|it| abort(at.field("abort"), it)),
    }
}

fn delay(at: At<'_>, it: common_fault::FaultDelay) -> FaultDelay {
    let common_fault::FaultDelay { percentage, fault_delay_secifier } = it;
    let fixed = match fault_delay_secifier {
        Some(FaultDelaySecifier::FixedDelay(it)) => wire::duration(at.field("fixed_delay"), it),
        Some(FaultDelaySecifier::HeaderDelay(_)) => {
            at.unsupported("header_delay");
            Duration::ZERO
        }
        None => {
            at.field("fixed_delay").refuse("is required");
            Duration::ZERO
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
        Some(ErrorType::HeaderAbort(_)) => {
            at.unsupported("header_abort");
            AbortStatus::Http(503)
        }
        None => {
            at.field("http_status").refuse("is required");
            AbortStatus::Http(503)
        }
    };
    FaultAbort { status, fraction: matcher::fraction(at.field("percentage"), percentage) }
}
