//! Machines that join a WorkloadGroup.

use std::sync::Arc;

use istio_api::{Document, Kind};
use model::{Locality, Node, ObjectRef};
use registry::{Change, Snapshot, entry_of_machine};

use crate::common::{Proxy, sidecar, snapshot};

const GROUP: &str = "---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: db, namespace: shop}
spec:
  metadata: {labels: {app: db, tier: group}, annotations: {team: data}}
  template:
    ports: {tcp: 5433}
    labels: {tier: template, zone: template, version: template}
    network: far
    locality: r1/z1
    weight: 7
    serviceAccount: db
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: db, namespace: shop}
spec:
  hosts: [db.example.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 5432, name: tcp, protocol: TCP}]
  workloadSelector: {labels: {app: db}}
";

fn machine() -> Node {
    sidecar("shop", "10.9.0.1", "version=v2")
}

fn entry(snapshot: &Snapshot, node: &Node) -> Document {
    let group = snapshot.object(&ObjectRef::new("WorkloadGroup", "shop", "db")).expect("the group");
    entry_of_machine(group, node).expect("an entry")
}

#[test]
fn machines_are_endpoints_while_they_are_connected() {
    const CLUSTER: &str = "outbound|5432||db.example.com";
    let client = sidecar("shop", "10.1.0.9", "app=client");
    let empty = snapshot(GROUP);
    assert!(Proxy::of(&empty, &client).addresses(CLUSTER).is_empty());
    let entry = entry(&empty, &machine());
    let object = entry.object.clone();
    let joined = empty.apply(vec![Change::Upsert(Arc::new(entry))]).0;
    let proxy = Proxy::of(&joined, &client);
    assert_eq!(proxy.addresses(CLUSTER), ["10.9.0.1:5433"]);
    let locality = &proxy.endpoints(CLUSTER).localities[0];
    assert_eq!(locality.locality, Locality::parse("r1/z1"));
    assert_eq!(locality.endpoints[0].weight, Some(7));
    let left = joined.apply(vec![Change::Remove(object)]).0;
    assert!(Proxy::of(&left, &client).addresses(CLUSTER).is_empty());
}

#[test]
fn entries_are_made_of_the_template_and_of_what_machines_say() {
    let snapshot = snapshot(GROUP);
    let found = entry(&snapshot, &machine());
    assert_eq!(found.object.name, "db-10.9.0.1-far");
    let Kind::WorkloadEntry(spec) = &found.body else { panic!() };
    // The machine's word goes before the group's, and that before the template's.
    let labels = [("app", "db"), ("tier", "group"), ("version", "v2"), ("zone", "template")];
    assert_eq!(spec.labels, labels.into_iter().collect());
    assert_eq!((spec.service_account.as_str(), spec.ports.get("tcp")), ("db", Some(&5433)));
    let annotations: Vec<&str> = found.annotations.values().map(|value| value.as_str()).collect();
    assert_eq!(annotations, ["db", "data"]);
    let moved = Node { network: "near".into(), locality: Locality::parse("r2/z2/s2"), ..machine() };
    let found = entry(&snapshot, &moved);
    let Kind::WorkloadEntry(spec) = &found.body else { panic!() };
    assert_eq!((spec.network.as_str(), spec.locality.as_str()), ("near", "r2/z2/s2"));
    assert_eq!(found.object.name, "db-10.9.0.1-near");
}
