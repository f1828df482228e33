use std::collections::BTreeMap;

use registry::{Change, Settings};
use stdx::{Digest, Str};

use super::*;
use ResourceType::{Cluster, Endpoints, Listener, NameTable, Route};

const REVIEWS: &str = "
apiVersion: v1
kind: Service
metadata: {name: reviews, namespace: shop}
spec: {clusterIP: 10.96.0.10, selector: {app: reviews}, ports: [{port: 9080, name: http}]}
";
const RATINGS: &str = "
apiVersion: v1
kind: Service
metadata: {name: ratings, namespace: shop}
spec: {clusterIP: 10.96.0.11, selector: {app: ratings}, ports: [{port: 9080, name: http}]}
";
const MONGO: &str = "
apiVersion: v1
kind: Service
metadata: {name: mongo, namespace: data}
spec: {clusterIP: 10.96.0.12, selector: {app: mongo}, ports: [{port: 27017, name: tcp}]}
";
/// Sidecars listen on the address of each of its pods, but for their own.
const PEERS: &str = "
apiVersion: v1
kind: Service
metadata: {name: peers, namespace: shop}
spec: {clusterIP: None, selector: {app: ratings}, ports: [{port: 7000, name: tcp}]}
";
const ROUTE: &str = "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http: [{route: [{destination: {host: ratings}}]}]
";
const SUBSETS: &str = "
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}]
";
const STRICT: &str = "
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
";
const DENY: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: shop}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/x]}}]}]}
";

fn pod(name: &str, app: &str, ip: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, labels: {{app: {app}, version: v1, security.istio.io/tlsMode: istio}}}}
spec: {{serviceAccountName: {app}, containers: [{{name: main, ports: [{{containerPort: 9080}}]}}]}}
status: {{podIP: {ip}, phase: Running, conditions: [{{type: Ready, status: \"True\"}}]}}
"
    )
}

fn node(name: &str, app: &str, ip: &str) -> Node {
    let mut node = Node::parse_id(&format!("sidecar~{ip}~{name}.shop~shop.svc.cluster.local")).unwrap();
    node.labels = [("app", app)].into_iter().collect();
    node
}

/// A registry, a state, and streams.
struct Bench {
    snapshot: Arc<Snapshot>,
    state: State,
    streams: Vec<(Node, watch::Receiver<Option<Arc<ResourceSet>>>)>,
}

impl Bench {
    fn new(documents: &[&str]) -> Self {
        let mut bench = Bench {
            snapshot: Arc::new(Snapshot::new(Settings::default())),
            state: State::default(),
            streams: Vec::new(),
        };
        bench.change(documents, &[]);
        bench
    }

    fn connect(&mut self, node: Node) -> usize {
        let (outlet, receiver) = watch::channel(None);
        let stream = self.streams.len();
        self.state.connect(stream as u64, node.clone(), outlet);
        self.streams.push((node, receiver));
        stream
    }

    fn change(&mut self, add: &[&str], remove: &[&str]) -> Push {
        let parse = |text: &&str| istio_api::parse_stream("mesh.yaml", text).documents;
        let added = add.iter().flat_map(parse).map(|document| Change::Upsert(Arc::new(document)));
        let removed = remove.iter().flat_map(parse).map(|document| Change::Remove(document.object));
        let (snapshot, delta) = self.snapshot.apply(added.chain(removed).collect());
        self.snapshot = Arc::new(snapshot);
        self.state.update(self.snapshot.clone(), &delta)
    }

    fn set(&self, stream: usize) -> Arc<ResourceSet> {
        self.streams[stream].1.borrow().clone().expect("nothing was published")
    }

    /// What every stream has must be what translation from nothing gives.
    fn check(&self) {
        for (node, receiver) in &self.streams {
            let set = receiver.borrow().clone().unwrap();
            let all = translate::translate_all(&self.snapshot, node);
            for ty in ResourceType::ALL {
                let has: BTreeMap<Str, Digest> =
                    set.of(ty).iter().map(|(k, v)| (k.clone(), v.version)).collect();
                let expected: BTreeMap<Str, Digest> = all.of(ty).map(|r| (r.name(), r.version())).collect();
                assert_eq!(has, expected, "{ty} of {}", node.name);
            }
            // Put together of parts, the bytes say what the version stands for.
            for (name, encoded) in set.of(Route).iter() {
                let decoded = xds_codec::decode_bytes(Route, &encoded.body.to_vec());
                assert_eq!(decoded.as_ref().ok(), all.get(Route, name), "{name} of {}", node.name);
                let resource = all.get(Route, name).map(xds_server::Encoded::new);
                let whole = resource.and_then(Result::ok).expect("it can be encoded");
                assert_eq!(encoded.references, whole.references, "{name} of {}", node.name);
            }
        }
    }
}

/// Types of which two sets differ.
fn differ(a: &ResourceSet, b: &ResourceSet) -> Vec<ResourceType> {
    ResourceType::ALL.into_iter().filter(|ty| !Arc::ptr_eq(a.of(*ty), b.of(*ty))).collect()
}

#[test]
fn a_proxy_waits_for_the_first_snapshot() {
    let mut bench = Bench {
        snapshot: Arc::new(Snapshot::new(Settings::default())),
        state: State::default(),
        streams: Vec::new(),
    };
    let stream = bench.connect(node("a", "reviews", "10.0.0.1"));
    assert!(bench.streams[stream].1.borrow().is_none());
    bench.change(&[REVIEWS], &[]);
    bench.check();
    assert!(bench.set(stream).of(Cluster).contains_key("outbound|9080||reviews.shop.svc.cluster.local"));
}

#[test]
fn equal_scopes_share() {
    let mut bench = Bench::new(&[REVIEWS, RATINGS, MONGO]);
    let a = bench.connect(node("a", "reviews", "10.0.0.1"));
    let b = bench.connect(node("b", "reviews", "10.0.0.2"));
    let same = bench.connect(node("a", "reviews", "10.0.0.1"));
    let different = differ(&bench.set(a), &bench.set(b));
    assert!(
        !different.contains(&Endpoints) && !different.contains(&Route) && !different.contains(&NameTable)
    );
    // Where one differs, all else is still encoded once.
    let name = "outbound|9080||reviews.shop.svc.cluster.local";
    assert!(Arc::ptr_eq(&bench.set(a).of(Cluster)[name], &bench.set(b).of(Cluster)[name]));
    assert!(Arc::ptr_eq(&bench.set(a), &bench.set(same)));
    bench.check();
}

#[test]
fn a_change_rebuilds_what_asked_about_it() {
    let pod_a = pod("a", "reviews", "10.0.0.1");
    let mut bench = Bench::new(&[REVIEWS, RATINGS, MONGO, &pod_a]);
    let a = bench.connect(node("a", "reviews", "10.0.0.1"));
    let before = bench.set(a);

    let push = bench.change(&[&pod("b", "reviews", "10.0.0.2")], &[]);
    let with_pod = bench.set(a);
    assert!(differ(&before, &with_pod).contains(&Endpoints));
    assert!(!differ(&before, &with_pod).contains(&Cluster) && !differ(&before, &with_pod).contains(&Route));
    assert_eq!((push.changed, push.proxies), (1, 1));
    bench.check();

    bench.change(&[ROUTE], &[]);
    assert_eq!(differ(&with_pod, &bench.set(a)), [Route]);
    bench.check();

    let routed = bench.set(a);
    bench.change(&[DENY], &[]);
    assert_eq!(differ(&routed, &bench.set(a)), [Listener]);
    bench.check();

    // Nothing that a proxy sees: nothing is published.
    let denied = bench.set(a);
    let push =
        bench.change(&["{apiVersion: v1, kind: ConfigMap, metadata: {name: x, namespace: shop}}"], &[]);
    assert_eq!((push.changed, push.proxies), (0, 0));
    assert!(Arc::ptr_eq(&denied, &bench.set(a)));
}

#[test]
fn plans_are_shared_by_all_but_those_who_are_listened_for() {
    let pod = pod("b", "ratings", "10.0.0.2");
    let mut bench = Bench::new(&[REVIEWS, PEERS, &pod]);
    bench.connect(node("a", "reviews", "10.0.0.1"));
    bench.connect(node("c", "reviews", "10.0.0.3"));
    assert_eq!(bench.state.plans.len(), 1);
    let peer = bench.connect(node("b", "reviews", "10.0.0.2"));
    assert_eq!(bench.state.plans.len(), 2);
    bench.check();
    bench.change(&[], &[&pod]);
    bench.check();
    bench.state.disconnect(peer as u64);
    bench.change(&[MONGO], &[]);
    assert_eq!(bench.state.plans.len(), 1);
}

#[test]
fn what_is_gone_is_gone() {
    let mut bench = Bench::new(&[REVIEWS, RATINGS, MONGO]);
    let a = bench.connect(node("a", "reviews", "10.0.0.1"));
    bench.change(&[], &[REVIEWS]);
    bench.check();
    assert!(!bench.set(a).of(Cluster).contains_key("outbound|9080||reviews.shop.svc.cluster.local"));
}

#[test]
fn what_nobody_uses_is_forgotten() {
    let mut bench = Bench::new(&[REVIEWS, RATINGS]);
    let a = bench.connect(node("a", "reviews", "10.0.0.1"));
    assert!(!bench.state.units.is_empty());
    bench.state.disconnect(a as u64);
    // A proxy that comes back at once finds all as it was.
    let units = bench.state.units.len();
    let b = bench.connect(node("a", "reviews", "10.0.0.1"));
    assert_eq!(bench.state.units.len(), units);
    bench.state.disconnect(b as u64);
    bench.change(&[MONGO], &[]);
    assert!(bench.state.units.is_empty() && bench.state.ids.is_empty());
    assert!(bench.state.assemblies.is_empty() && bench.state.groups.is_empty());
}

/// The promise of the whole crate, over many orders of changes: incremental is as from nothing.
#[test]
fn any_series_of_changes_ends_like_a_fresh_start() {
    let pods =
        [pod("a", "reviews", "10.0.0.1"), pod("b", "ratings", "10.0.0.2"), pod("c", "reviews", "10.0.0.3")];
    let mut documents = vec![REVIEWS, RATINGS, MONGO, PEERS, ROUTE, SUBSETS, STRICT, DENY];
    documents.extend(pods.iter().map(String::as_str));
    for seed in 0..20u64 {
        let mut dice = seed;
        let mut roll = |sides: usize| {
            dice = dice.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (dice >> 33) as usize % sides
        };
        let mut there = vec![false; documents.len()];
        let mut bench = Bench::new(&[]);
        bench.connect(node("a", "reviews", "10.0.0.1"));
        for step in 0..25 {
            let at = roll(documents.len());
            there[at] = !there[at];
            let (add, remove) =
                if there[at] { (vec![documents[at]], vec![]) } else { (vec![], vec![documents[at]]) };
            bench.change(&add, &remove);
            if step == 10 {
                bench.connect(node("b", "ratings", "10.0.0.2"));
            }
            bench.check();
        }
    }
}
