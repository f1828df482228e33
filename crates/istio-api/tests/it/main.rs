//! The readers from outside: conformance data, any input, findings, and what has no effect yet.

mod any_input;
mod conformance;
mod findings;
mod without_effect;
