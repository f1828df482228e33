//! Faults put in on purpose.

use ir::Fault;
use ir::fault::{AbortStatus, FaultAbort, FaultDelay};

use super::{matcher, wire};
use crate::pb::common_fault::{self, fault_delay::FaultDelaySecifier};
use crate::pb::fault::{self, fault_abort::ErrorType};

pub(super) fn fault(it: &Fault) -> fault::HttpFault {
    fault::HttpFault {
        delay: it.delay.as_ref().map(delay),
        abort: it.abort.as_ref().map(abort),
        ..Default::default()
    }
}

fn delay(it: &FaultDelay) -> common_fault::FaultDelay {
    common_fault::FaultDelay {
        percentage: Some(matcher::fraction(it.fraction)),
        fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(wire::duration(it.fixed))),
    }
}

fn abort(it: &FaultAbort) -> fault::FaultAbort {
    let error = match it.status {
        AbortStatus::Http(status) => ErrorType::HttpStatus(status.into()),
        AbortStatus::Grpc(status) => ErrorType::GrpcStatus(status),
    };
    fault::FaultAbort {
        percentage: Some(matcher::fraction(it.fraction)),
        error_type: Some(error),
        ..Default::default()
    }
}
