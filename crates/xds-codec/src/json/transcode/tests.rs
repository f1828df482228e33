use prost::Message;
use prost_reflect::DynamicMessage;
use serde_json::{Value, json};

use super::*;
use crate::decode::at::Sink;
use crate::json::pool::Pool;

/// What protobuf's own reader of JSON makes of a cluster, and no problem.
#[track_caller]
fn check(cluster: &Value) {
    let (pool, sink, text) = (Pool::new(), Sink::default(), cluster.to_string());
    let all = pool.bootstrap().parent_pool().clone();
    let descriptor = all.get_message_by_name("envoy.config.cluster.v3.Cluster").unwrap();
    let mut take = |_: &str, _: usize, _: &[u8]| {};
    let mut out = Output::new(&mut take);
    message(At::root(&sink), &descriptor, &mut out, &mut serde_json::Deserializer::from_str(&text)).unwrap();
    assert_eq!(sink.problems(), []);
    let ours = DynamicMessage::decode(descriptor.clone(), out.into_bytes().as_slice()).unwrap();
    let theirs =
        DynamicMessage::deserialize(descriptor, &mut serde_json::Deserializer::from_str(&text)).unwrap();
    assert_eq!(ours.encode_to_vec(), theirs.encode_to_vec(), "{text}");
}

#[test]
fn scalars_and_well_known_types_are_what_protobuf_makes_of_them() {
    check(&json!({}));
    check(&json!({ "name": "a", "type": "EDS", "lb_policy": "RANDOM", "respect_dns_ttl": true }));
    check(&json!({ "name": "", "type": 0, "lbPolicy": "ROUND_ROBIN", "respect_dns_ttl": false }));
    check(&json!({ "name": null, "type": null, "lb_policy": 3, "connect_timeout": null }));
    for duration in ["0s", "2s", "007s", "1.5s", "0.000000001s", "315576000000s"] {
        check(
            &json!({ "connect_timeout": duration, "upstream_connection_options": { "tcp_keepalive": {} } }),
        );
    }
    for number in [json!(0), json!(7), json!(4_294_967_295_u32), json!("9"), json!(5.0)] {
        check(&json!({
            "per_connection_buffer_limit_bytes": number,
            "circuit_breakers": { "thresholds": [{ "max_requests": number, "priority": "HIGH" }] },
        }));
    }
    for flag in [true, false] {
        let locality = json!({ "fail_traffic_on_panic": flag });
        check(&json!({ "common_lb_config": { "zone_aware_lb_config": locality } }));
        check(
            &json!({ "upstream_bind_config": { "source_address": { "address": "::" }, "freebind": flag } }),
        );
    }
}

#[test]
fn messages_of_any_length_are_nested() {
    for length in [1, 100, 120, 127, 128, 300, 16_383, 16_384, 70_000] {
        let name = "n".repeat(length);
        let address = json!({ "socket_address": { "address": name, "port_value": 80 } });
        let endpoint = json!({ "endpoint": { "address": address }, "health_status": "DRAINING" });
        check(&json!({
            "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint, endpoint] }] },
            "metadata": { "filter_metadata": { "a": { "b": [1, null, { "c": name }] } } },
            "typed_extension_protocol_options": { "x": {
                "@type": "type.googleapis.com/envoy.config.core.v3.Address", "pipe": { "path": name } } },
        }));
    }
}
