//! Findings that translation makes: what an object asks for and this mesh cannot do as asked.

use std::cell::RefCell;

pub use istio_api::codes::NO_EFFECT;
use model::{Finding, Level, ObjectRef, Str};

/// Two services want the same address and port in ways that exclude each other.
/// Istio counts these as `pilot_conflict_outbound_listener_*`.
pub const LISTENER_CONFLICT: &str = "LTN0201";
/// Two services share a port of the workload and disagree about its protocol.
pub const INBOUND_CONFLICT: &str = "LTN0202";
/// Two gateways want the same port in ways that exclude each other.
pub const GATEWAY_CONFLICT: &str = "LTN0203";

/// Collects findings while one unit is built.
#[derive(Default)]
pub struct Findings(RefCell<Vec<Finding>>);

impl Findings {
    pub fn report(
        &self,
        level: Level,
        code: &'static str,
        object: &ObjectRef,
        field: &str,
        message: impl Into<Str>,
    ) {
        self.0.borrow_mut().push(Finding {
            level,
            code,
            object: Some(object.clone()),
            field: field.into(),
            place: None,
            message: message.into(),
        });
    }

    /// All of them, each once, in order.
    pub fn into_vec(self) -> Vec<Finding> {
        let mut findings = self.0.into_inner();
        findings.sort();
        findings.dedup();
        findings
    }
}
