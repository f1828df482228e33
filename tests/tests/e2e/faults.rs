//! Certificates that last twenty seconds, and a control plane that is gone for a minute.

use std::time::Duration;

use lateen_tests::{Sidecar, apply_text, bookinfo, echo, example, get};
use rustix::process::{Pid, Signal, kill_process};
use testkit::client::Ask;
use testkit::{Load, Mesh, MeshOptions, eventually, root};

#[test]
#[ignore = "takes minutes: .ci/soak runs it"]
fn certificates_of_twenty_seconds_cost_nothing() {
    if !root("faults: short certificates") {
        return;
    }
    let options = MeshOptions {
        files: vec![example("bookinfo")],
        args: vec!["--cert-ttl=20s".into()],
        ..Default::default()
    };
    let mesh = Mesh::start(options);
    let load = page_load(&mesh);
    std::thread::sleep(Duration::from_secs(180));
    load.stop().assert_clean("three minutes with certificates of 20 s");
}

#[test]
#[ignore = "takes minutes: .ci/soak runs it"]
fn a_control_plane_that_is_gone_for_a_minute_costs_nothing() {
    if !root("faults: no control plane") {
        return;
    }
    let mesh = echo(&Sidecar::Lateen, &[]);
    let load = Load::start(mesh.gateway, Ask::get("gateway", "/"), 100, None);
    let pid = mesh.status()["control"]["pid"].as_u64().expect("the control plane's pid");
    // Stopped, so that the supervisor does not start another: nobody answers on its ports.
    signal(pid, Signal::STOP);
    std::thread::sleep(Duration::from_secs(60));
    signal(pid, Signal::KILL);
    mesh.wait_for_output("the control plane ended", Duration::from_secs(10));
    apply_text(
        &mesh,
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: front\nspec:\n  hosts: [\"*\"]\n  \
         gateways: [gateway]\n  http:\n  - match: [{uri: {exact: /teapot}}]\n    \
         fault: {abort: {httpStatus: 418, percentage: {value: 100}}}\n    \
         route:\n    - destination: {host: echo, port: {number: 8080}}\n  \
         - route:\n    - destination: {host: echo, port: {number: 8080}}\n",
    );
    eventually("the new control plane is followed", Duration::from_secs(30), || {
        match get(&mesh, "/teapot", &[]).status {
            418 => Ok(()),
            other => Err(format!("status {other}")),
        }
    });
    load.stop().assert_clean("a minute without control plane");
}

fn page_load(mesh: &Mesh) -> Load {
    let expect = |_: u16, body: &[u8]| {
        let page = String::from_utf8_lossy(body);
        let lost = page.contains("Error fetching") || page.contains("unavailable");
        if lost { Err("a part of the page is missing".to_owned()) } else { Ok(()) }
    };
    let ask = Ask::get(&mesh.gateway.to_string(), "/productpage");
    Load::start(mesh.gateway, ask, 50, Some(std::sync::Arc::new(expect)))
}

fn signal(pid: u64, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, signal).expect("kill");
}

/// What is said about memory in the README, with a quarter of slack. A process's own memory is
/// what it would cost once more; its resident size also counts pages of the binary, which all
/// processes of the mesh share.
#[test]
fn memory_stays_small() {
    if !root("faults: memory") {
        return;
    }
    let mesh = bookinfo(&Sidecar::Lateen, &[]);
    std::thread::sleep(Duration::from_secs(60).saturating_sub(mesh.started_in));
    let status = mesh.status();
    let mib = |bytes: u64| bytes as f64 / 1048576.0;
    let control = mib(status["control"]["resident"].as_u64().expect("a resident size"));
    println!("control plane: {control:.1} MiB resident");
    assert!(control < 40.0 * 1.25, "control plane: {control:.1} MiB");
    for pod in status["pods"].as_array().expect("pods") {
        let resident = mib(Mesh::proxy_memory(pod).expect("a resident size"));
        let containers = pod["containers"].as_array().expect("containers");
        let proxy = containers.iter().find(|c| c["name"] == "istio-proxy").expect("a proxy");
        let own = mib(anonymous(proxy["pid"].as_u64().expect("a pid")));
        println!("{}: sidecar {own:.1} MiB of its own, {resident:.1} MiB resident", pod["name"]);
        assert!(resident < 12.0 * 1.25, "{}: {resident:.1} MiB resident", pod["name"]);
    }
}

/// `RssAnon` of a process, in bytes.
fn anonymous(pid: u64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}
