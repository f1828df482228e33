//! The contract of the command, without a process of its own for each call.

use engine::follow::{Followed, Refusal, follow};
use registry::Features;
use serde_json::json;

use super::*;

mod cases;

const MESH: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n\
    spec: {clusterIP: 10.0.0.1, ports: [{port: 80, name: http}]}\n";

fn sidecar() -> Node {
    let words = ["x", "--proxy-namespace", "shop", "--proxy-ip", "10.1.0.1", "-f", "x", "--call", "{}"];
    node(&parse(&words).expect("arguments"))
}

fn parse(words: &[&str]) -> Result<Args, clap::Error> {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }
    <Line as clap::Parser>::try_parse_from(words).map(|line| line.args)
}

fn outcome(call: serde_json::Value) -> engine::follow::Followed {
    let mut mesh = input::Mesh::new(Features::default());
    mesh.add("mesh.yaml", MESH).expect("a mesh");
    let (configuration, _) = configure(&mesh.snapshot, &sidecar()).expect("a configuration");
    follow(&configuration, &call::read(&call).expect("a call"))
}

#[test]
fn a_call_meets_its_cluster() {
    let call = json!({"callMode": "outbound", "address": "10.0.0.1", "port": 80, "protocol": "http",
        "host_header": "web"});
    let found = outcome(call.clone());
    assert_eq!(found.cluster.as_deref(), Some("outbound|80||web.shop.svc.cluster.local"));
    let printed: serde_json::Value =
        serde_json::from_str(&output::json(&[(call::read(&call).unwrap(), found.clone())], true).unwrap())
            .unwrap();
    assert_eq!(printed["listener"], "0.0.0.0_80");
    assert_eq!(printed["virtual_host"], "web.shop.svc.cluster.local:80");
    assert_eq!((&printed["error"], &printed["route"]), (&serde_json::Value::Null, &json!("default")));
    let shown = output::table(&[(call::read(&call).unwrap(), found)]);
    assert!(shown.starts_with("outbound to 10.0.0.1:80: HTTP/1.1 web/\n"), "{shown}");
    assert!(shown.contains("  cluster       outbound|80||web.shop.svc.cluster.local\n"), "{shown}");
}

#[test]
fn a_refusal_is_an_answer() {
    let call = json!({"callMode": "inbound", "address": "10.1.0.1", "port": 15006, "protocol": "http"});
    assert_eq!(outcome(call).cluster.as_deref(), Some("BlackHoleCluster"));
    let call = json!({"callMode": "gateway", "address": "10.0.0.1", "port": 80, "protocol": "tcp"});
    let found = (call::read(&call).unwrap(), Followed::refused(Refusal::NoListener));
    assert!(output::table(std::slice::from_ref(&found)).contains("no_listener: nothing listens there"));
    let array: serde_json::Value = serde_json::from_str(&output::json(&[found], false).unwrap()).unwrap();
    assert_eq!(array[0]["error"], "no_listener");
}

#[test]
fn a_malformed_call_is_refused_by_field() {
    let good = json!({"callMode": "outbound", "address": "10.0.0.1", "port": 80, "protocol": "http"});
    assert!(call::read(&good).is_ok());
    for (field, value, word) in [
        ("callMode", json!("sideways"), "outbound, inbound, gateway"),
        ("address", json!("web"), "no IP address"),
        ("port", json!(70000), "no port"),
        ("protocol", json!(null), "protocol is missing"),
        ("tls", json!(7), "tls is a string"),
        ("hostHeader", json!("a"), "no field"),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let said = format!("{:#}", call::read(&bad).expect_err(field));
        assert!(said.contains(word), "{field}: {said}");
    }
}

#[test]
fn what_cannot_be_read_ends_it() {
    let mut mesh = input::Mesh::new(Features::default());
    assert!(mesh.add("mesh.yaml", "a: [").is_err_and(|error| error.to_string().contains("mesh.yaml")));
    assert!(mesh.configure("mesh-config.yaml", "outboundTrafficPolicy: 7").is_err());
    let both = ["x", "--proxy-ip", "1.1.1.1", "-f", "x", "--call", "{}", "--calls", "x"];
    assert!(parse(&both).is_err() && parse(&both[..5]).is_err());
    assert!(read_calls(&Calls { call: Some("{".into()), calls: None }).is_err());
}
