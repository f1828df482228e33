//! The kinds that analyzers read.

/// A kind of object, told apart by group and name: two groups have a `Gateway`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Namespace,
    Node,
    Pod,
    Service,
    Secret,
    ConfigMap,
    ServiceAccount,
    Deployment,
    DaemonSet,
    StatefulSet,
    Job,
    MutatingWebhookConfiguration,
    ValidatingWebhookConfiguration,
    CustomResourceDefinition,
    KubernetesGateway,
    HttpRoute,
    GrpcRoute,
    VirtualService,
    DestinationRule,
    Gateway,
    ServiceEntry,
    Sidecar,
    WorkloadEntry,
    WorkloadGroup,
    EnvoyFilter,
    ProxyConfig,
    PeerAuthentication,
    AuthorizationPolicy,
    RequestAuthentication,
    Telemetry,
    WasmPlugin,
    TrafficExtension,
    IstioOperator,
    /// Alerting or recording rules: a `PrometheusRule`, or Prometheus' own rule file.
    AlertRules,
    /// The settings of the mesh, wherever they come from.
    MeshConfig,
    MeshNetworks,
    /// Every other kind.
    Other,
}

impl Kind {
    /// The kind by API group (empty for Kubernetes' core) and name.
    pub fn of(group: &str, name: &str) -> Kind {
        use Kind::*;
        match (group, name) {
            ("", "Namespace") => Namespace,
            ("", "Node") => Node,
            ("", "Pod") => Pod,
            ("", "Service") => Service,
            ("", "Secret") => Secret,
            ("", "ConfigMap") => ConfigMap,
            ("", "ServiceAccount") => ServiceAccount,
            ("apps" | "extensions", "Deployment") => Deployment,
            ("apps" | "extensions", "DaemonSet") => DaemonSet,
            ("apps", "StatefulSet") => StatefulSet,
            ("batch", "Job") => Job,
            ("admissionregistration.k8s.io", "MutatingWebhookConfiguration") => MutatingWebhookConfiguration,
            ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration") => {
                ValidatingWebhookConfiguration
            }
            ("apiextensions.k8s.io", "CustomResourceDefinition") => CustomResourceDefinition,
            ("gateway.networking.k8s.io", "Gateway") => KubernetesGateway,
            ("gateway.networking.k8s.io", "HTTPRoute") => HttpRoute,
            ("gateway.networking.k8s.io", "GRPCRoute") => GrpcRoute,
            ("networking.istio.io", "VirtualService") => VirtualService,
            ("networking.istio.io", "DestinationRule") => DestinationRule,
            ("networking.istio.io", "Gateway") => Gateway,
            ("networking.istio.io", "ServiceEntry") => ServiceEntry,
            ("networking.istio.io", "Sidecar") => Sidecar,
            ("networking.istio.io", "WorkloadEntry") => WorkloadEntry,
            ("networking.istio.io", "WorkloadGroup") => WorkloadGroup,
            ("networking.istio.io", "EnvoyFilter") => EnvoyFilter,
            ("networking.istio.io", "ProxyConfig") => ProxyConfig,
            ("security.istio.io", "PeerAuthentication") => PeerAuthentication,
            ("security.istio.io", "AuthorizationPolicy") => AuthorizationPolicy,
            ("security.istio.io", "RequestAuthentication") => RequestAuthentication,
            ("telemetry.istio.io", "Telemetry") => Telemetry,
            ("extensions.istio.io", "WasmPlugin") => WasmPlugin,
            ("extensions.istio.io", "TrafficExtension") => TrafficExtension,
            ("install.istio.io", "IstioOperator") => IstioOperator,
            ("monitoring.coreos.com", "PrometheusRule") => AlertRules,
            _ => Other,
        }
    }

    /// Whether objects of this kind have a namespace. Of kinds we do not know, only those that
    /// name one have.
    pub fn is_namespaced(self) -> bool {
        use Kind::*;
        !matches!(
            self,
            Namespace
                | Node
                | MutatingWebhookConfiguration
                | ValidatingWebhookConfiguration
                | CustomResourceDefinition
                | Other
        )
    }

    /// The kinds that make pods from a template.
    pub const WORKLOADS: [Kind; 4] = [Kind::Deployment, Kind::DaemonSet, Kind::StatefulSet, Kind::Job];
}
