//! HTTPFaultInjection of a VirtualService.

use std::time::Duration;

use model::Level;

use crate::codes;
use crate::reader::{Absent, Fields};
use crate::schema::macros::message;
use crate::schema::{duration, int32, object, text};
use crate::units::{PERCENT, Percent};

message! {
    /// Faults put in on purpose, to see how clients take them.
    table FAULT {
        "delay" = object(&DELAY),
        "abort" = object(&ABORT),
    }
}

message! {
    /// A delay before the request goes on.
    table DELAY {
        /// Deprecated: see percentage.
        "percent" = int32(),
        "fixedDelay" = duration(),
        /// Not supported by Istio.
        "exponentialDelay" = duration(),
        "percentage" = object(&PERCENT),
    }
    one_of ["fixedDelay", "exponentialDelay"];
}

message! {
    /// An answer in the service's place.
    table ABORT {
        "httpStatus" = int32(),
        /// A gRPC status by name, as in UNAVAILABLE.
        "grpcStatus" = text(),
        /// Not supported by Istio.
        "http2Error" = text(),
        "percentage" = object(&PERCENT),
    }
    one_of ["httpStatus", "grpcStatus", "http2Error"];
}

/// Faults put in on purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    pub delay: Option<FaultDelay>,
    pub abort: Option<FaultAbort>,
}

/// A delay before the request goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultDelay {
    pub fixed: Duration,
    pub percentage: Percent,
}

/// An answer in the service's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultAbort {
    pub status: AbortStatus,
    pub percentage: Percent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortStatus {
    /// 200 to 599.
    Http(u16),
    /// By number, 0 to 16.
    Grpc(u32),
}

/// gRPC's codes by number. See <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>.
pub(crate) const GRPC: [(&str, u32); 17] = [
    ("OK", 0),
    ("CANCELLED", 1),
    ("UNKNOWN", 2),
    ("INVALID_ARGUMENT", 3),
    ("DEADLINE_EXCEEDED", 4),
    ("NOT_FOUND", 5),
    ("ALREADY_EXISTS", 6),
    ("PERMISSION_DENIED", 7),
    ("RESOURCE_EXHAUSTED", 8),
    ("FAILED_PRECONDITION", 9),
    ("ABORTED", 10),
    ("OUT_OF_RANGE", 11),
    ("UNIMPLEMENTED", 12),
    ("INTERNAL", 13),
    ("UNAVAILABLE", 14),
    ("DATA_LOSS", 15),
    ("UNAUTHENTICATED", 16),
];

pub(crate) fn read(fields: Fields<'_>) -> Fault {
    let delay = fields.get("delay");
    let abort = fields.get("abort");
    fields.finish();
    Fault {
        delay: delay.and_then(|item| item.object()).and_then(read_delay),
        abort: abort.and_then(|item| item.object()).and_then(read_abort),
    }
}

fn read_delay(fields: Fields<'_>) -> Option<FaultDelay> {
    let fixed = fields.get("fixedDelay");
    fields.no_effect(&["exponentialDelay"]);
    let percentage = read_percentage(&fields, true);
    fields.finish();
    Some(FaultDelay { fixed: fixed?.duration()?, percentage })
}

fn read_abort(fields: Fields<'_>) -> Option<FaultAbort> {
    let http = fields.get("httpStatus");
    let grpc = fields.get("grpcStatus");
    let http2 = fields.get("http2Error");
    let percentage = read_percentage(&fields, false);
    fields.finish();
    if let Some(item) = http2 {
        item.no_effect();
        return None;
    }
    let http = http.and_then(|item| item.int(200, 599)).and_then(|s| u16::try_from(s).ok());
    let status = match (http, grpc) {
        (Some(status), _) => AbortStatus::Http(status),
        (None, Some(item)) => AbortStatus::Grpc(item.one_of(&GRPC)?),
        (None, None) => return None,
    };
    Some(FaultAbort { status, percentage })
}

/// `percentage.value`, or the deprecated integer `percent`. Without either, Istio injects nothing.
fn read_percentage(fields: &Fields<'_>, with_percent: bool) -> Percent {
    let percentage = fields.get("percentage");
    let percent = if with_percent { fields.get("percent") } else { None };
    if let Some(item) = &percent {
        item.report(Level::Warning, codes::DEPRECATED, "is deprecated; use percentage.value".into());
    }
    match (percentage, percent) {
        (Some(item), _) => Option::<Percent>::from_item(Some(item)).unwrap_or_default(),
        (None, Some(item)) => item.percent().unwrap_or_default(),
        (None, None) => {
            let message = "has no percentage, so it applies to no request";
            fields.item().report(Level::Warning, codes::SURPRISE, message.into());
            Percent::default()
        }
    }
}
