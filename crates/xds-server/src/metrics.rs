//! What is counted. The names are Istio's; who counts decides how.

use ir::ResourceType;
use std::time::Duration;

/// Receives what happens on streams. All methods must be cheap and must not block.
pub trait Metrics: Send + Sync + 'static {
    /// `pilot_xds`: streams open now (+1 or -1).
    fn streams(&self, _change: i64) {}
    /// `pilot_xds_pushes`, `pilot_xds_config_size_bytes`: one response was handed to the transport.
    fn pushed(&self, _ty: ResourceType, _bytes: usize) {}
    /// `pilot_total_xds_rejects`, `pilot_xds_{cds,eds,lds,rds}_reject`.
    fn rejected(&self, _ty: ResourceType, _node: &str, _message: &str) {}
    /// `pilot_xds_expired_nonce`.
    fn expired_nonce(&self, _ty: ResourceType) {}
    /// `pilot_xds_send_time`: from a response being ready until the transport took it.
    fn send_time(&self, _took: Duration) {}
    /// `pilot_total_xds_internal_errors`.
    fn internal_error(&self) {}
}

/// Counts nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoMetrics;

impl Metrics for NoMetrics {}
