//! The configuration of two accounts of running Istio, as people paste it. The files are data from
//! elsewhere: their folder comes in `LATEEN_CONFORMANCE`; without it nothing is checked, and that is
//! said.

use std::time::Duration;

use ir::matcher::HeaderMatch;
use ir::route::RouteClusters;
use ir::{ClusterDiscovery, ResourceType, RouteAction, StringMatch, StringMatcher};
use model::Level;

use crate::common::{Proxy, changed, sidecar, snapshot, with_mesh};
use crate::routes::forward;

/// The text of a report, in this namespace where it names none; `None` after a loud word.
fn report(name: &str, namespace: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("LATEEN_CONFORMANCE") else {
        assert!(std::env::var_os("LATEEN_NO_SKIP").is_none(), "LATEEN_CONFORMANCE is not set");
        eprintln!("SKIPPED: field reports (LATEEN_CONFORMANCE is not set)");
        return None;
    };
    let file = std::path::Path::new(&folder).join("field-reports").join(name);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parsed = istio_api::parse_stream(name, &text);
    let errors: Vec<_> = parsed.findings.iter().filter(|f| f.level == Level::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    Some(text.replace("  name: legacy-service", &format!("  name: legacy-service\n  namespace: {namespace}")))
}

fn checkout() -> String {
    let pod = |name: &str, ip: &str, version: &str| {
        crate::common::pod(name, ip, &format!("app: checkout, version: {version}"))
    };
    let service = crate::common::service("checkout", "10.0.0.1", "{port: 80, name: http}");
    (service + &pod("one", "10.1.0.1", "v1") + &pod("two", "10.1.0.2", "v2"))
        .replace("namespace: shop", "namespace: production")
}

#[test]
fn a_canary_goes_by_header_with_limits_on_connections() {
    let Some(text) = report("b-traffic-routing.yaml", "production") else { return };
    let mesh = changed(&snapshot(&checkout()), &text);
    let proxy = Proxy::of(&mesh, &sidecar("production", "10.1.0.9", ""));
    let routes = proxy.routes("80");
    let host = routes.virtual_hosts.iter().find(|v| v.name.starts_with("checkout.")).expect("a virtual host");
    let header = &host.routes[0].matches.headers[0];
    assert_eq!(header.name, "x-canary");
    assert_eq!(header.matches, HeaderMatch::Value(StringMatcher::new(StringMatch::Exact("true".into()))));
    let cluster = |subset: &str| format!("outbound|80|{subset}|checkout.production.svc.cluster.local");
    for (route, subset, address) in [(0, "v2", "10.1.0.2:80"), (1, "v1", "10.1.0.1:80")] {
        let to = RouteClusters::Single(cluster(subset).into());
        assert_eq!(forward(&host.routes[route]).clusters, to);
        assert_eq!(proxy.addresses(&cluster(subset)), [address]);
    }
    let limits = proxy.cluster(&cluster("v1"));
    assert_eq!((limits.thresholds.max_connections, limits.thresholds.max_requests), (Some(100), Some(1000)));
    assert_eq!(limits.max_requests_per_connection, Some(10));
    assert_eq!(limits.connect_timeout, Some(Duration::from_secs(3)));
    let outlier = limits.outlier.as_ref().expect("outlier detection");
    assert_eq!((outlier.consecutive_5xx, outlier.interval), (Some(5), Some(Duration::from_secs(30))));
}

#[test]
fn endpoints_that_fail_ten_times_are_left_out() {
    let Some(text) = report("a-outlier.yaml", "default") else { return };
    let service = crate::common::service("service-b", "10.0.0.1", "{port: 80, name: http}");
    let mesh = changed(&snapshot(&service.replace("namespace: shop", "namespace: default")), &text);
    let proxy = Proxy::of(&mesh, &sidecar("default", "10.1.0.9", ""));
    let cluster = proxy.cluster("outbound|80||service-b.default.svc.cluster.local");
    let outlier = cluster.outlier.as_ref().expect("outlier detection");
    assert_eq!(
        (outlier.consecutive_5xx, outlier.base_ejection_time),
        (Some(10), Some(Duration::from_secs(30)))
    );
}

#[test]
fn what_is_in_consul_is_called_where_it_is() {
    let Some(text) = report("a-consul-service-entry.yaml", "shop") else { return };
    let proxy = Proxy::in_shop(&text);
    let cluster = proxy.cluster("outbound|8080||legacy.consul.local");
    let ClusterDiscovery::StrictDns(found) = &cluster.discovery else { panic!("{:?}", cluster.discovery) };
    assert_eq!(found.localities[0].endpoints[0].address.to_string(), "10.0.0.100:8080");
}

#[test]
fn requests_and_connections_time_out() {
    let Some(text) = report("a-timeouts.yaml", "my-ns") else { return };
    let service = crate::common::service("service-b", "10.0.0.1", "{port: 80, name: http}");
    let mesh = changed(&snapshot(&service.replace("namespace: shop", "namespace: my-ns")), &text);
    let proxy = Proxy::of(&mesh, &sidecar("my-ns", "10.1.0.9", ""));
    let host = &proxy.routes("80").virtual_hosts;
    let host = host.iter().find(|v| v.name.starts_with("service-b.")).expect("a virtual host");
    assert_eq!(forward(&host.routes[0]).timeout, Some(Duration::from_secs(10)));
    let cluster = proxy.cluster("outbound|80||service-b.my-ns.svc.cluster.local");
    assert_eq!(cluster.connect_timeout, Some(Duration::from_secs(5)));
}

/// `spec.meshConfig` of an operator's file, as a file of its own.
fn mesh_config(text: &str) -> String {
    let block = text.split_once("\n  meshConfig:\n").expect("a mesh configuration").1;
    let lines = block.lines().take_while(|line| line.starts_with("    ") || line.is_empty());
    lines.map(|line| format!("{}\n", line.strip_prefix("    ").unwrap_or_default())).collect()
}

#[test]
fn a_whole_mesh_for_production() {
    let Some(text) = report("b-production-bundle.yaml", "production") else { return };
    let mesh = mesh_config(&text);
    let parsed = istio_api::parse_mesh_config("mesh.yaml", &mesh);
    let said: Vec<String> = parsed.findings.iter().map(ToString::to_string).collect();
    let operator = said.iter().find(|finding| finding.contains("LTN0112")).expect("the operator is reported");
    assert!(operator.contains("%UPSTREAM_SERVICE_TIME% at character"), "{operator}");
    let format = &parsed.config.access_log_format;
    assert!(format.contains("%DURATION% - \"%REQ(X-FORWARDED-FOR)%\""), "{format}");
    let snapshot = with_mesh(&changed(&snapshot(&checkout()), &text), &mesh);
    let proxy = Proxy::of(&snapshot, &sidecar("production", "10.1.0.9", ""));
    let refused = proxy.routes("80").virtual_hosts.last().unwrap();
    assert!(matches!(&refused.routes[0].action, RouteAction::Direct(direct) if direct.status == 502));
    for host in ["api.stripe.com", "auth.production.internal"] {
        let cluster = proxy.cluster(&format!("outbound|443||{host}"));
        assert!(matches!(cluster.discovery, ClusterDiscovery::StrictDns(_)), "{host}");
    }
    let named = proxy.names(ResourceType::Listener).into_iter().filter(|name| name.starts_with("240.240."));
    assert_eq!(named.count(), 2, "DNS is captured, so each host has an address");
    assert_eq!(
        snapshot.view().mtls("production", &Default::default()).mode,
        istio_api::security::MtlsMode::Strict
    );
}
