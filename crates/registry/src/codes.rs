//! Codes of findings that need more than one object; see also [`istio_api::codes`].

pub use istio_api::codes::{CONFLICTING_HOSTS, NOT_FOUND};

/// Two services have the same host; one of them counts.
pub const DUPLICATE_HOST: &str = "LTN0011";
/// The pool of addresses for services is exhausted.
pub const NO_ADDRESS: &str = "LTN0012";
/// Istio: `ConflictingSidecarWorkloadSelectors`.
pub const CONFLICTING_SIDECARS: &str = "IST0110";
/// Istio: `MultipleSidecarsWithoutWorkloadSelectors`.
pub const SEVERAL_DEFAULT_SIDECARS: &str = "IST0111";
