//! Request scenarios: a mesh as Istio's YAML, requests, and what becomes of them, with Lateen's proxy and
//! with stock Envoy.
//!
//! A file in `meshes/` is a mesh as one proxy sees it, and calls with what is expected of them, one a
//! line (`scenario.rs` has the words). The way is that of the real thing: documents, registry,
//! translation for the kind of data plane, encoding; a static bootstrap takes the place of the stream of
//! configuration. What a captured connection was going to is said by the PROXY protocol instead of by
//! capture rules, so nothing here needs namespaces or root. Endpoints are servers on loopback that tell
//! who they are and what they received.

mod bootstrap;
mod certificates;
mod client;
mod echo;
mod echo_actions;
mod expect;
mod mesh;
mod network;
mod scenario;
mod sides;

use std::sync::Mutex;

use mesh::Mesh;
use sides::Outcome;

/// At least so many.
const SCENARIOS: usize = 150;

#[test]
fn requests_meet_what_the_mesh_says() {
    let Some(envoy) = testkit::envoy("scenarios::requests_meet_what_the_mesh_says") else { return };
    let lateen = testkit::binary();
    let network = network::Network::new();
    let only = std::env::var("LATEEN_MESH").ok();
    let meshes = Mesh::all(&network, only.as_deref());
    let count: usize = meshes.iter().map(|mesh| mesh.scenarios.len()).sum();
    let queue = Mutex::new(meshes.into_iter());
    let outcome: Mutex<Outcome> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(mesh) = { queue.lock().expect("no panic").next() } {
                    let found = sides::run(&mesh, &network, &lateen, &envoy);
                    outcome.lock().expect("no panic").add(found);
                }
            });
        }
    });
    let outcome = outcome.into_inner().expect("no panic");
    eprintln!("scenarios: {count}, {} marked as not yet as they should be", outcome.marked);
    let wrong = &outcome.wrong;
    assert!(wrong.is_empty(), "{} of {count} scenarios:\n{}", wrong.len(), wrong.join("\n"));
    assert!(only.is_some() || count >= SCENARIOS, "{count} scenarios");
}
