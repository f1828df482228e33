//! Our own analyzers, codes `LTN0101` to `LTN0116`: what Istio accepts and does not do, or does
//! otherwise than its author meant. One per file.

mod alert_rules;
mod calls;
mod deprecated_apis;
mod deprecated_fields;
mod empty_policies;
mod locked_out_gateways;
mod locked_out_probes;
mod log_operators;
mod metric_names;
mod mtls;
mod overlapping_hosts;
mod peer_tls;
mod place;
mod retries;
mod shadowed_rules;
mod subset_endpoints;
mod timeouts;
mod weights;
mod without_effect;

use crate::analyzers::Analyzer;

pub(crate) use calls::Calls;
pub(crate) use mtls::Modes;

pub(crate) const ANALYZERS: &[&Analyzer] = &[
    &shadowed_rules::ANALYZER,
    &weights::ANALYZER,
    &retries::ANALYZER,
    &timeouts::ANALYZER,
    &subset_endpoints::ANALYZER,
    &overlapping_hosts::ANALYZER,
    &peer_tls::ANALYZER,
    &empty_policies::ANALYZER,
    &locked_out_probes::ANALYZER,
    &locked_out_gateways::ANALYZER,
    &without_effect::ANALYZER,
    &log_operators::ANALYZER,
    &deprecated_apis::ANALYZER,
    &deprecated_fields::ANALYZER,
    &alert_rules::ANALYZER,
];
