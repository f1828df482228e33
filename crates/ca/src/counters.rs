//! What the authority counts, under Istio's names (`citadel_server_*`).

use std::sync::atomic::{AtomicU64, Ordering};

/// Monotonic counts since the start of the process.
#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) csr_count: AtomicU64,
    pub(crate) authentication_failure_count: AtomicU64,
    pub(crate) csr_parsing_err_count: AtomicU64,
    pub(crate) csr_sign_err_count: AtomicU64,
    pub(crate) success_cert_issuance_count: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Metric names with their values now.
    pub fn snapshot(&self) -> [(&'static str, u64); 5] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("citadel_server_csr_count", read(&self.csr_count)),
            ("citadel_server_authentication_failure_count", read(&self.authentication_failure_count)),
            ("citadel_server_csr_parsing_err_count", read(&self.csr_parsing_err_count)),
            ("citadel_server_csr_sign_err_count", read(&self.csr_sign_err_count)),
            ("citadel_server_success_cert_issuance_count", read(&self.success_cert_issuance_count)),
        ]
    }
}
