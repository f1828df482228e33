//! Numbers with a point, in millionths: `ir` is compared and hashed.

use ir::Fraction;
use ir::lb::Millionths;

use super::at::At;
use super::strict::harmless;
use crate::pb::{core, envoy_type};

const MILLION: f64 = 1e6;

/// From 0 to 100 %, to the millionth.
pub(super) fn percent(at: At<'_>, it: Option<envoy_type::Percent>) -> Option<Fraction> {
    let envoy_type::Percent { value } = it?;
    if !(0.0..=100.0).contains(&value) {
        at.refuse(format!("{value} is not from 0 to 100"));
        return None;
    }
    Some(Fraction { parts_per_million: (value * (MILLION / 100.0)).round() as u32 })
}

pub(super) fn runtime_double(at: At<'_>, it: core::RuntimeDouble) -> Millionths {
    let core::RuntimeDouble { default_value, runtime_key } = it;
    harmless!(Runtime; runtime_key);
    if !(0.0..=MILLION).contains(&default_value) {
        at.field("default_value").refuse(format!("{default_value} is not from 0 to {MILLION}"));
        return Millionths(0);
    }
    Millionths((default_value * MILLION).round() as u64)
}
