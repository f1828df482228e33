//! The control plane's metrics and istioctl's commands: what exists, and what took the place of
//! what does not (<https://istio.io/latest/docs/reference/commands/pilot-discovery/#metrics>).

/// Metrics that istiod and the agent have, as far as their names begin like a control plane's.
pub const KNOWN: &str = "\
    citadel_server_authentication_failure_count citadel_server_cert_chain_expiry_seconds \
    citadel_server_cert_chain_expiry_timestamp citadel_server_csr_count \
    citadel_server_csr_parsing_err_count citadel_server_csr_sign_err_count \
    citadel_server_id_extraction_err_count citadel_server_root_cert_expiry_seconds \
    citadel_server_root_cert_expiry_timestamp citadel_server_success_cert_issuance_count \
    galley_validation_config_load_error galley_validation_config_update_error \
    galley_validation_config_updates galley_validation_failed galley_validation_http_error \
    galley_validation_passed istiod_connection_failures istiod_connection_terminations \
    istiod_managed_clusters istiod_remote_cluster_sync_status istiod_uptime_seconds \
    pilot_conflict_inbound_listener pilot_conflict_outbound_listener_tcp_over_current_tcp \
    pilot_debounce_time pilot_destrule_subsets pilot_dns_cluster_without_endpoints \
    pilot_duplicate_envoy_clusters pilot_eds_no_instances pilot_endpoint_not_ready \
    pilot_envoy_filter_status pilot_inbound_updates pilot_info \
    pilot_jwks_resolver_network_fetch_fail_total pilot_jwks_resolver_network_fetch_success_total \
    pilot_k8s_cfg_events pilot_k8s_endpoints_pending_pod pilot_k8s_endpoints_with_no_pods \
    pilot_k8s_proxies_with_no_service_targets pilot_k8s_reg_events pilot_no_ip \
    pilot_proxy_convergence_time pilot_proxy_queue_time pilot_push_triggers \
    pilot_pushcontext_init_seconds pilot_sds_certificate_errors_total pilot_services \
    pilot_total_rejected_configs pilot_total_xds_internal_errors pilot_total_xds_rejects \
    pilot_virt_services pilot_vservice_dup_domain pilot_worker_queue_depth \
    pilot_worker_queue_duration pilot_worker_queue_latency pilot_xds pilot_xds_cds_reject \
    pilot_xds_config_size_bytes pilot_xds_eds_reject pilot_xds_expired_nonce pilot_xds_lds_reject \
    pilot_xds_push_time pilot_xds_pushes pilot_xds_rds_reject pilot_xds_recv_max pilot_xds_send_time \
    pilot_xds_write_timeout";

/// Metrics that do not exist, and what to ask instead.
pub const SUCCESSORS: &[(&str, &str)] = &[
    (
        "pilot_xds_push_errors",
        "pilot_total_xds_internal_errors (istiod failed) and pilot_total_xds_rejects (a proxy refused)",
    ),
    ("pilot_xds_push_timeout", "pilot_xds_write_timeout"),
    ("pilot_xds_push_timeout_failures", "pilot_xds_write_timeout"),
    ("pilot_xds_push_context_errors", "pilot_total_xds_internal_errors"),
    ("pilot_invalid_out_listeners", "pilot_total_xds_rejects"),
    ("pilot_conflict_outbound_listener_http_over_current_tcp", ""),
    ("pilot_conflict_outbound_listener_tcp_over_current_http", ""),
    (
        "citadel_cert_expiry",
        "cert_expiry_seconds (of workloads), citadel_server_root_cert_expiry_timestamp and citadel_server_cert_chain_expiry_timestamp (of the CA)",
    ),
    ("citadel_secret_controller_secret_deleted_cert_count", "citadel_server_success_cert_issuance_count"),
    ("citadel_secret_controller_svc_acc_created_cert_count", "citadel_server_success_cert_issuance_count"),
    ("galley_validation_cert_key_updates", ""),
    ("istio_request_count", "istio_requests_total"),
    ("istio_request_duration_seconds", "istio_request_duration_milliseconds"),
    ("istio_request_duration_seconds_bucket", "istio_request_duration_milliseconds_bucket"),
    ("istio_request_duration_seconds_count", "istio_request_duration_milliseconds_count"),
    ("istio_request_duration_seconds_sum", "istio_request_duration_milliseconds_sum"),
    ("istio_request_size", "istio_request_bytes"),
    ("istio_response_size", "istio_response_bytes"),
];

/// Commands of istioctl that do not exist, and what to run instead.
pub const COMMANDS: &[(&str, &str)] = &[
    ("authn tls-check", "istioctl experimental describe pod POD"),
    ("experimental authz convert", "an AuthorizationPolicy written by hand"),
    ("experimental add-to-mesh", "istioctl kube-inject, or the label istio-injection=enabled"),
    ("experimental remove-from-mesh", "the label sidecar.istio.io/inject=false"),
    ("experimental analyze", "istioctl analyze"),
    ("experimental create-remote-secret", "istioctl create-remote-secret"),
    ("experimental remote-clusters", "istioctl remote-clusters"),
    ("experimental uninstall", "istioctl uninstall"),
    ("experimental wait", "kubectl wait"),
    ("experimental revision", "istioctl tag list"),
    ("x add-to-mesh", "istioctl kube-inject, or the label istio-injection=enabled"),
    ("x remove-from-mesh", "the label sidecar.istio.io/inject=false"),
    ("x analyze", "istioctl analyze"),
    ("x create-remote-secret", "istioctl create-remote-secret"),
    ("x remote-clusters", "istioctl remote-clusters"),
    ("x uninstall", "istioctl uninstall"),
    ("x wait", "kubectl wait"),
    ("x revision", "istioctl tag list"),
    ("register", "a ServiceEntry and a WorkloadEntry"),
    ("deregister", "kubectl delete of its WorkloadEntry"),
    ("get", "kubectl get"),
    ("create", "kubectl apply"),
    ("replace", "kubectl apply"),
    ("delete", "kubectl delete"),
    ("operator", "istioctl install, or Helm"),
    ("profile", "istioctl manifest generate, or Helm values"),
    ("verify-install", "istioctl analyze"),
    ("proxy-config pilot", "istioctl proxy-config all"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_is_not_known() {
        for (name, _) in SUCCESSORS {
            assert!(!KNOWN.split_whitespace().any(|known| known == *name), "{name}");
        }
        assert!(KNOWN.split_whitespace().count() > 60);
    }
}
