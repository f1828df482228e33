//! One command: a page, three versions of reviews, identities; and nothing left behind.

use std::collections::BTreeSet;
use std::time::Duration;

use lateen_tests::{example, get};
use testkit::system::HostState;
use testkit::{Mesh, MeshOptions, root};

fn up() -> Mesh {
    Mesh::start(MeshOptions { files: vec![example("bookinfo")], ..Default::default() })
}

/// Waits for the first page: the last pod's readiness may still be on its way to the gateway.
fn served(mesh: &Mesh) {
    testkit::eventually("a whole page", Duration::from_secs(20), || {
        let page = get(mesh, "/productpage", &[]);
        let text = page.text();
        let whole = page.status == 200 && !text.contains("Error fetching") && !text.contains("unavailable");
        if whole { Ok(()) } else { Err(format!("{} {text}", page.status)) }
    });
}

#[test]
fn the_page_is_served_through_gateway_and_sidecars() {
    if !root("bookinfo: the page is served") {
        return;
    }
    let before = HostState::now();
    let mesh = up();
    println!("started in {:?}", mesh.started_in);
    assert!(mesh.started_in < Duration::from_secs(10), "started in {:?}", mesh.started_in);
    served(&mesh);
    let mut versions = BTreeSet::new();
    for _ in 0..60 {
        let page = get(&mesh, "/productpage", &[]);
        assert_eq!(page.status, 200, "{}", page.text());
        let text = page.text();
        assert!(!text.contains("Error fetching") && !text.contains("unavailable"), "{text}");
        versions.extend(["reviews-v1", "reviews-v2", "reviews-v3"].into_iter().filter(|v| text.contains(v)));
        for identity in
            ["ns/istio-system/sa/istio-ingressgateway-service-account", "ns/default/sa/bookinfo-productpage"]
        {
            assert!(text.contains(&format!("spiffe://cluster.local/{identity}")), "{identity} not in {text}");
        }
    }
    assert_eq!(versions.len(), 3, "{versions:?}");
    // The page is one that a person can click.
    assert_eq!(get(&mesh, "/static/style.css", &[]).status, 200);
    assert_eq!(get(&mesh, "/not-exposed", &[]).status, 404);

    let (status, took) = mesh.interrupt();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "ended in {took:?}");
    before.assert_unchanged();
}

#[test]
fn a_killed_mesh_is_cleaned_up_by_the_next() {
    if !root("bookinfo: a killed mesh is cleaned up") {
        return;
    }
    let before = HostState::now();
    let mesh = up();
    served(&mesh);
    mesh.kill();
    let mesh = up();
    served(&mesh);
    let (status, _) = mesh.interrupt();
    assert!(status.success(), "{status}");
    before.assert_unchanged();
}

#[test]
fn a_crashed_workload_and_a_crashed_proxy_come_back() {
    if !root("bookinfo: crashes") {
        return;
    }
    let mesh = up();
    for (container, line) in [("details", "restarted"), ("istio-proxy", "the proxy ended")] {
        served(&mesh);
        let status = mesh.status();
        let pods = status["pods"].as_array().expect("pods");
        let pod = pods
            .iter()
            .find(|p| p["name"].as_str().is_some_and(|n| n.starts_with("details")))
            .expect("details");
        let containers = pod["containers"].as_array().expect("containers");
        let pid = containers
            .iter()
            .find(|c| c["name"] == container)
            .and_then(|c| c["pid"].as_i64())
            .expect("a pid");
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill");
        println!("{}", mesh.wait_for_output(line, Duration::from_secs(10)));
    }
    testkit::eventually("details is back", Duration::from_secs(20), || {
        let text = get(&mesh, "/productpage", &[]).text();
        if text.contains("details-v1") { Ok(()) } else { Err(text) }
    });
}
