//! The annotations that Istio's components read, of the release this catalogue follows
//! (<https://istio.io/latest/docs/reference/config/annotations/>).

/// What is known of an annotation.
#[derive(Clone, Copy, Debug)]
pub struct Annotation {
    /// The kinds it can be on; `Any` for every kind.
    pub kinds: &'static str,
    pub is_alpha: bool,
    pub is_deprecated: bool,
}

impl Annotation {
    /// The annotation by its name.
    pub fn find(name: &str) -> Option<Annotation> {
        TABLE.iter().find(|row| row.0 == name).map(|(_, kinds, is_alpha, is_deprecated)| Annotation {
            kinds,
            is_alpha: *is_alpha,
            is_deprecated: *is_deprecated,
        })
    }

    /// Whether it can be on this kind.
    pub fn fits(&self, kind: &str) -> bool {
        self.kinds.split(' ').any(|k| k == "Any" || k == kind)
    }
}

/// Whether an annotation is one that Istio would read if it exists.
pub fn is_istios(name: &str) -> bool {
    name == "kubernetes.io/ingress.class" || name.split('/').next().is_some_and(|p| p.ends_with("istio.io"))
}

/// Set by components, not by users; nothing is said about them.
pub const SET_BY_COMPONENTS: [&str; 3] =
    ["sidecar.istio.io/status", "gateway.istio.io/controller-version", "istio.io/rev"];

/// Name, kinds, whether alpha (also where no status is declared), whether deprecated.
const TABLE: &[(&str, &str, bool, bool)] = &[
    ("alpha.istio.io/canonical-serviceaccounts", "Service", true, true),
    ("alpha.istio.io/kubernetes-serviceaccounts", "Service", true, true),
    ("ambient.istio.io/bypass-inbound-capture", "Pod", true, false),
    ("ambient.istio.io/dns-capture", "Pod", true, false),
    ("ambient.istio.io/redirection", "Pod", false, false),
    ("ambient.istio.io/waypoint-inbound-binding", "GatewayClass Gateway", true, false),
    ("galley.istio.io/analyze-suppress", "Any", true, false),
    ("gateway.istio.io/controller-version", "Any", true, false),
    ("gateway.istio.io/name-override", "Gateway", true, false),
    ("gateway.istio.io/service-account", "Gateway", true, false),
    ("inject.istio.io/templates", "Pod", true, false),
    ("istio.io/autoRegistrationGroup", "WorkloadEntry", true, false),
    ("istio.io/connectedAt", "WorkloadEntry", true, false),
    ("istio.io/disconnectedAt", "WorkloadEntry", true, false),
    ("istio.io/dry-run", "AuthorizationPolicy", true, false),
    ("istio.io/reroute-virtual-interfaces", "Pod", true, false),
    ("istio.io/rev", "Pod", true, false),
    ("istio.io/use-waypoint-canary-weight", "Service ServiceEntry Namespace", true, false),
    ("istio.io/workloadController", "WorkloadEntry", true, false),
    ("kubernetes.io/ingress.class", "Ingress", false, false),
    ("networking.istio.io/exportTo", "Service", true, false),
    ("networking.istio.io/service-type", "Gateway", true, false),
    ("networking.istio.io/traffic-distribution", "Namespace Service ServiceEntry", true, false),
    ("prometheus.istio.io/merge-metrics", "Pod", true, false),
    ("proxy.istio.io/config", "Pod", false, false),
    ("proxy.istio.io/overrides", "Pod", true, false),
    ("readiness.status.sidecar.istio.io/applicationPorts", "Pod", true, false),
    ("readiness.status.sidecar.istio.io/failureThreshold", "Pod", true, false),
    ("readiness.status.sidecar.istio.io/initialDelaySeconds", "Pod", true, false),
    ("readiness.status.sidecar.istio.io/periodSeconds", "Pod", true, false),
    ("sidecar.istio.io/agentLogLevel", "Pod", true, false),
    ("sidecar.istio.io/bootstrapOverride", "Pod", true, false),
    ("sidecar.istio.io/componentLogLevel", "Pod", true, false),
    ("sidecar.istio.io/discoveryAddress", "Pod", true, true),
    ("sidecar.istio.io/extraStatTags", "Pod", true, true),
    ("sidecar.istio.io/inject", "Pod", false, true),
    ("sidecar.istio.io/interceptionMode", "Pod", true, false),
    ("sidecar.istio.io/logLevel", "Pod", true, false),
    ("sidecar.istio.io/nativeSidecar", "Pod", true, false),
    ("sidecar.istio.io/proxyCPU", "Pod", true, false),
    ("sidecar.istio.io/proxyCPULimit", "Pod", true, false),
    ("sidecar.istio.io/proxyImage", "Pod", true, false),
    ("sidecar.istio.io/proxyImageType", "Pod", true, false),
    ("sidecar.istio.io/proxyMemory", "Pod", true, false),
    ("sidecar.istio.io/proxyMemoryLimit", "Pod", true, false),
    ("sidecar.istio.io/rewriteAppHTTPProbers", "Pod", true, false),
    ("sidecar.istio.io/statsCompression", "Pod", true, true),
    ("sidecar.istio.io/statsEvictionInterval", "Pod", true, false),
    ("sidecar.istio.io/statsFlushInterval", "Pod", true, false),
    ("sidecar.istio.io/statsHistogramBins", "Pod", true, false),
    ("sidecar.istio.io/statsHistogramBuckets", "Pod", true, false),
    ("sidecar.istio.io/statsInclusionPrefixes", "Pod", true, true),
    ("sidecar.istio.io/statsInclusionRegexps", "Pod", true, true),
    ("sidecar.istio.io/statsInclusionSuffixes", "Pod", true, true),
    ("sidecar.istio.io/status", "Pod", true, false),
    ("sidecar.istio.io/userVolume", "Pod", true, false),
    ("sidecar.istio.io/userVolumeMount", "Pod", true, false),
    ("status.sidecar.istio.io/port", "Pod", true, false),
    ("topology.istio.io/controlPlaneClusters", "Namespace", true, false),
    ("traffic.istio.io/nodeSelector", "Service", false, false),
    ("traffic.sidecar.istio.io/excludeInboundPorts", "Pod", true, false),
    ("traffic.sidecar.istio.io/excludeInterfaces", "Pod", true, false),
    ("traffic.sidecar.istio.io/excludeOutboundIPRanges", "Pod", true, false),
    ("traffic.sidecar.istio.io/excludeOutboundPorts", "Pod", true, false),
    ("traffic.sidecar.istio.io/includeInboundPorts", "Pod", true, false),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", "Pod", true, false),
    ("traffic.sidecar.istio.io/includeOutboundPorts", "Pod", true, false),
    ("traffic.sidecar.istio.io/kubevirtInterfaces", "Pod", true, true),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_found_and_fit_their_kinds() {
        let inject = Annotation::find("sidecar.istio.io/inject").expect("known");
        assert!(inject.is_deprecated && inject.fits("Pod") && !inject.fits("Service"));
        assert!(Annotation::find("galley.istio.io/analyze-suppress").is_some_and(|a| a.fits("Service")));
        assert!(is_istios("foo.istio.io/x") && !is_istios("example.com/istio.io"));
    }
}
