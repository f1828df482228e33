use std::time::Duration;

use ir::fault::AbortStatus;
use ir::retry::RetryOn;
use ir::route::{Forward, MaxStreamDuration, PathMatch, RouteClusters};
use ir::{Route, RouteAction, VirtualHost};

use crate::common::{Proxy, pod, service, sidecar, snapshot, with_mesh};

pub fn services() -> String {
    service("reviews", "10.0.0.1", "{port: 9080, name: http}")
        + &service("ratings", "10.0.0.2", "{port: 9080, name: http}")
        + &pod("reviews", "10.1.0.1", "app: reviews")
}

/// The virtual host of `reviews` under a VirtualService with these rules.
#[track_caller]
pub fn reviews(rules: &str) -> VirtualHost {
    let yaml = services()
        + &format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: reviews, namespace: shop}}\nspec:\n  hosts: [reviews]\n  http:\n{rules}"
        );
    let proxy = Proxy::in_shop(&yaml);
    let hosts = &proxy.routes("9080").virtual_hosts;
    let found = hosts.iter().find(|v| v.name == "reviews.shop.svc.cluster.local:9080");
    VirtualHost::clone(found.expect("a virtual host"))
}

#[track_caller]
pub fn forward(route: &Route) -> &Forward {
    match &route.action {
        RouteAction::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

pub const V1: &str = "route: [{destination: {host: reviews, subset: v1}}]";

#[test]
fn a_service_without_rules_is_routed_to_itself() {
    let proxy = Proxy::in_shop(&services());
    let virtual_host = &proxy.routes("9080").virtual_hosts[1];
    assert_eq!(
        virtual_host.domains,
        [
            "reviews.shop.svc.cluster.local",
            "reviews.shop.svc.cluster.local.",
            "reviews",
            "reviews.shop.svc",
            "reviews.shop",
            "10.0.0.1"
        ]
    );
    let route = &virtual_host.routes[0];
    assert_eq!(route.name, "default");
    let forward = forward(route);
    assert_eq!(
        forward.clusters,
        RouteClusters::Single("outbound|9080||reviews.shop.svc.cluster.local".into())
    );
    assert_eq!((forward.timeout, forward.max_grpc_timeout), (Some(Duration::ZERO), None));
    assert_eq!(forward.max_stream_duration, Some(MaxStreamDuration::AS_GRPC_CLIENTS_SAY));
    let retry = forward.retry.as_ref().unwrap();
    assert_eq!((retry.num_retries, retry.host_selection_attempts, retry.avoid_previous_hosts), (2, 5, true));
    assert_eq!(retry.on.len(), 5);
    assert_eq!(route.origin.as_ref().unwrap().to_string(), "Service shop/reviews");
}

#[test]
fn unknown_hosts_are_passed_through_or_refused() {
    let proxy = Proxy::in_shop(&services());
    let last = proxy.routes("9080").virtual_hosts.last().unwrap();
    assert_eq!((last.name.as_str(), last.domains[0].as_str()), ("allow_any", "*"));
    let closed = with_mesh(&snapshot(&services()), "outboundTrafficPolicy: {mode: REGISTRY_ONLY}");
    let proxy = Proxy::of(&closed, &sidecar("shop", "10.1.0.9", ""));
    let last = proxy.routes("9080").virtual_hosts.last().unwrap();
    assert_eq!(last.name, "block_all");
    let RouteAction::Direct(direct) = &last.routes[0].action else { panic!() };
    assert_eq!(direct.status, 502);
}

#[test]
fn rules_keep_their_order_and_their_origin() {
    let found = reviews(&format!(
        "  - name: jason\n    match: [{{headers: {{end-user: {{exact: jason}}}}, name: me}}, {{uri: {{prefix: /x}}}}]\n    {V1}\n  \
         - route: [{{destination: {{host: ratings}}}}]\n  - match: [{{uri: {{exact: /never}}}}]\n    {V1}\n"
    ));
    let names: Vec<_> = found.routes.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["jason.me", "jason", ""]);
    assert_eq!(found.routes[0].matches.headers[0].name, "end-user");
    assert_eq!(found.routes[1].matches.path, PathMatch::Prefix("/x".into()));
    assert_eq!(
        forward(&found.routes[0]).clusters,
        RouteClusters::Single("outbound|9080|v1|reviews.shop.svc.cluster.local".into())
    );
    assert_eq!(
        found.routes[1].origin.as_ref().unwrap().to_string(),
        "VirtualService shop/reviews spec.http[0].match[1]"
    );
    assert_eq!(found.routes[0].decorator.as_deref(), Some("reviews.shop.svc.cluster.local:9080/*"));
}

#[test]
fn weights_timeouts_retries_and_faults_take_effect() {
    let found = reviews(
        "  - route:\n    - {destination: {host: reviews, subset: v1}, weight: 90}\n    \
         - {destination: {host: reviews, subset: v2}, weight: 10}\n    \
         - {destination: {host: reviews, subset: v3}, weight: 0}\n    \
         timeout: 500ms\n    retries: {attempts: 3, perTryTimeout: 2s, retryOn: \"5xx,reset,503\"}\n    \
         fault: {delay: {fixedDelay: 7s, percentage: {value: 100}}, abort: {httpStatus: 500, percentage: {value: 0.5}}}\n",
    );
    let forward = forward(&found.routes[0]);
    let RouteClusters::Weighted(weighted) = &forward.clusters else { panic!() };
    assert_eq!(weighted.iter().map(|c| c.weight).collect::<Vec<_>>(), [90, 10]);
    assert_eq!(
        (forward.timeout, forward.max_grpc_timeout),
        (Some(Duration::from_millis(500)), Some(Duration::from_millis(500)))
    );
    assert_eq!(forward.max_stream_duration, None, "beside it Envoy would not look at the timeout");
    let retry = forward.retry.as_ref().unwrap();
    assert_eq!((retry.num_retries, retry.per_try_timeout), (3, Some(Duration::from_secs(2))));
    let conditions = [RetryOn::FiveXx, RetryOn::Reset, RetryOn::RetriableStatusCodes];
    assert_eq!(retry.on, conditions.into_iter().collect());
    assert!(retry.retriable_status_codes.contains(&503));
    let fault = found.routes[0].filters.fault.as_ref().unwrap();
    assert_eq!(fault.delay.as_ref().unwrap().fixed, Some(Duration::from_secs(7)));
    let abort = fault.abort.as_ref().unwrap();
    assert_eq!((abort.status, abort.fraction.parts_per_million), (AbortStatus::Http(500), 5000));
}

#[test]
fn retries_can_be_switched_off() {
    let found = reviews(&format!("  - {V1}\n    retries: {{attempts: 0}}\n"));
    assert!(forward(&found.routes[0]).retry.is_none());
}

#[test]
fn a_missing_host_is_named_all_the_same() {
    let found = reviews("  - route: [{destination: {host: nowhere, port: {number: 81}}}]\n");
    assert_eq!(
        forward(&found.routes[0]).clusters,
        RouteClusters::Single("outbound|81||nowhere.shop.svc.cluster.local".into())
    );
}
