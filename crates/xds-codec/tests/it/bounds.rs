//! Hostile sizes and depths, and what the descriptors cost.

use std::collections::BTreeMap;

use ir::rbac::{Permission, Policy, Principal, RbacAction};
use ir::*;
use xds_codec::json;

/// A listener with a permission nested this deep.
fn nested(depth: usize) -> Listener {
    let permission = (0..depth).fold(Permission::Any, |inner, _| Permission::Not(Box::new(inner)));
    let policy = Policy { permissions: vec![permission], principals: vec![Principal::Any] };
    let rules = Rbac { action: RbacAction::Allow, policies: BTreeMap::from([("p".into(), policy)]) };
    let terminal = Terminal::Tcp(TcpProxy::to("x", "c"));
    let chain = FilterChain {
        name: "c".into(),
        matches: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        filters: vec![NetworkFilter::Rbac(RbacFilter::enforce("x", rules))],
        terminal,
        origin: None,
    };
    Listener {
        name: "l".into(),
        address: Address::Socket("127.0.0.1:1".parse().unwrap()),
        additional_addresses: Vec::new(),
        bind_to_port: true,
        use_original_dst: false,
        direction: Direction::Inbound,
        listener_filters: Vec::new(),
        listener_filters_timeout: None,
        continue_on_listener_filters_timeout: false,
        filter_chains: vec![chain],
        default_filter_chain: None,
        access_log: Vec::new(),
        origin: None,
    }
}

#[test]
fn depth_is_bounded_by_a_problem_and_not_by_the_stack() {
    // A test's thread has 2 MiB, as a worker of a runtime has.
    let resource = |depth| Resource::Listener(nested(depth).into());
    assert_eq!(xds_codec::decode(&xds_codec::encode(&resource(40))), Ok(resource(40)));
    let error = xds_codec::decode(&xds_codec::encode(&resource(300))).unwrap_err();
    assert!(error.to_string().contains("recursion limit"), "{error}");
    assert_eq!(error.name.as_deref(), Some("l"));
    // A dump of what is too deep says so.
    assert!(json::resource_to_json(&resource(300)).to_string().contains("recursion limit"));
    json::resource_to_json(&resource(40));
}

#[test]
fn deep_text_is_refused() {
    for open in ["[", "{\"node\":", "{\"node\":{\"metadata\":{\"a\":"] {
        let text = open.repeat(100_000);
        assert!(json::bootstrap_from_json(&text).is_err());
        assert!(json::bootstrap_from_yaml(&text).is_err());
    }
    let deep = |levels: usize| {
        let (open, close) = ("{\"a\":".repeat(levels), "}".repeat(levels));
        format!("{{\"node\": {{\"metadata\": {{\"m\": {open}1{close}}}}}}}")
    };
    assert!(json::bootstrap_from_json(&deep(20)).is_ok());
    assert!(json::bootstrap_from_yaml(&deep(20)).is_ok());
    assert!(json::bootstrap_from_json(&deep(115)).is_err());
    assert!(json::bootstrap_from_yaml(&deep(110)).is_err());
}

#[test]
fn problems_are_counted_and_sizes_bounded() {
    let endpoint = "{endpoint: {address: {pipe: {path: a}}}, load_balancing_weight: 0}";
    let many = vec![endpoint; 1000].join(",");
    let yaml = format!(
        "static_resources: {{clusters: [{{name: c, load_assignment: {{cluster_name: c, endpoints: \
         [{{lb_endpoints: [{many}]}}]}}}}]}}"
    );
    assert_eq!(json::bootstrap_from_yaml(&yaml).unwrap_err().problems.len(), 64);
    let huge = vec![0u8; xds_codec::decode::MAX_BYTES + 1];
    let error = xds_codec::decode_bytes(ResourceType::Cluster, &huge).unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}

/// `cargo test -p xds-codec --release --test it bounds -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn what_the_descriptors_cost() {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        format!("{} {}", line("VmRSS:"), line("VmHWM:"))
    };
    println!("before: {}", resident());
    let start = std::time::Instant::now();
    let dump = json::Dump::new();
    println!("pool: {:?}, {}", start.elapsed(), resident());
    drop(dump);
    println!("freed: {}", resident());
    let start = std::time::Instant::now();
    let resource = Resource::Listener(nested(3).into());
    let text = json::resource_to_json(&resource).to_string();
    println!("one resource ({} bytes): {:?}, {}", text.len(), start.elapsed(), resident());
    let bytes = xds_codec::encode(&resource);
    let start = std::time::Instant::now();
    for _ in 0..10_000 {
        xds_codec::decode(&bytes).unwrap();
    }
    println!("decode: {:?} each", start.elapsed() / 10_000);
}
