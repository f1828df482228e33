//! A proxy that knows many services: memory, time until it serves, and what it costs.
//!
//! Each service is a virtual host, a cluster with five endpoints, and mutual TLS with an identity of
//! its own to expect; all share one certificate, as in a mesh. The first service is not encrypted, so
//! that requests to it can be answered.

mod change;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::backend::Backend;
use crate::certificates::Certificates;
use crate::hop::{Hop, Row};
use crate::machine::{loopback, mebibytes};
use crate::metric::{Measured, Metric};
use crate::peers::{Peer, Site, envoy};
use crate::process::Process;
use crate::throughput::Effort;

/// Envoy 1.40 took 8 s for 5,000 on a quiet machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a proxy may tidy up before its memory is read.
const SETTLE: Duration = Duration::from_secs(4);

/// # Errors
/// A peer does not become ready.
pub fn measure(
    site: &Site,
    backend: &Backend,
    peers: &[Peer],
    services: usize,
    effort: Effort,
) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    // Starts cost seconds and vary little.
    for round in 1..=effort.rounds.min(3) {
        eprintln!("bench:   round {round}");
        for peer in peers {
            once(site, backend, *peer, services, &mut measured)?;
            change::measure(site, backend, *peer, services, &mut measured.samples)
                .with_context(|| format!("changes over xDS, {peer}"))?;
        }
    }
    Ok(measured)
}

fn once(
    site: &Site,
    backend: &Backend,
    peer: Peer,
    services: usize,
    measured: &mut Measured,
) -> anyhow::Result<()> {
    let hops = Row::Single.hops(crate::hop::Protocol::Http1, backend.http1)?;
    let name = format!("{peer}-{services}-{}", hops[0].listen);
    let path = site.folder.join(format!("{name}.json"));
    std::fs::write(&path, bootstrap(&hops[0], &site.certificates, services, &site.folder).to_string())?;
    let config = path.display().to_string();
    let started = Instant::now();
    let mut process = start(site, peer, &name, &config)?;
    process.wait(LIMIT, |_| answers(hops[0].listen))?;
    measured.samples.add(peer, Metric::Ready, started.elapsed().as_secs_f64() * 1e3);
    std::thread::sleep(SETTLE);
    let memory = process.memory()?;
    measured.samples.add(peer, Metric::Resident, mebibytes(memory.resident));
    measured.samples.add(peer, Metric::Anonymous, mebibytes(memory.anonymous));
    Ok(())
}

fn start(site: &Site, peer: Peer, name: &str, config: &str) -> anyhow::Result<Process> {
    let (program, args) = match peer {
        Peer::Lateen => (&site.lateen, ["proxy", "-c", config, "--concurrency", "1"].to_vec()),
        _ => (&site.envoy, envoy::arguments(config).to_vec()),
    };
    Process::start(name, site.cores.proxy, &site.folder, program, &args)
}

/// Whether the service that is not encrypted answers.
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(loopback(port))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: service-0.bench\r\nConnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(&head == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn bootstrap(hop: &Hop, certificates: &Certificates, services: usize, folder: &Path) -> Value {
    let mut bootstrap = envoy::bootstrap(hop, certificates, &folder.join("access.log"));
    let parts = &mut bootstrap["static_resources"];
    let host = |index: usize| {
        json!({
            "name": format!("service-{index}"),
            "domains": [format!("service-{index}.bench")],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": format!("service-{index}") } }],
        })
    };
    let manager = &mut parts["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    manager["route_config"]["virtual_hosts"] = (0..services).map(host).collect();
    parts["clusters"] = (0..services).map(|index| cluster(hop, index)).collect();
    parts["secrets"] = json!([
        { "name": "default", "tls_certificate": {
            "certificate_chain": { "filename": certificates.client.chain },
            "private_key": { "filename": certificates.client.key },
        } },
        { "name": "ROOTCA", "validation_context": { "trusted_ca": { "filename": certificates.root } } },
    ]);
    bootstrap
}

fn cluster(hop: &Hop, index: usize) -> Value {
    let name = format!("service-{index}");
    let endpoint = |last: usize| {
        let address = match index {
            0 => envoy::address(hop.upstream),
            _ => json!({ "socket_address": {
                "address": format!("10.{}.{}.{last}", index / 250, index % 250), "port_value": 8080 } }),
        };
        json!({ "endpoint": { "address": address } })
    };
    let endpoints: Vec<Value> = (1..=5).map(endpoint).collect();
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": endpoints }] },
    });
    if index > 0 {
        let identity = format!("spiffe://cluster.local/ns/bench/sa/service-{index}");
        let san = json!({ "san_type": "URI", "matcher": { "exact": identity } });
        let common = json!({
            "alpn_protocols": ["http/1.1"],
            "tls_certificate_sds_secret_configs": [{ "name": "default" }],
            "combined_validation_context": {
                "default_validation_context": { "match_typed_subject_alt_names": [san] },
                "validation_context_sds_secret_config": { "name": "ROOTCA" },
            },
        });
        let context =
            json!({ "common_tls_context": common, "sni": format!("outbound_.8080_._.{name}.bench") });
        cluster["transport_socket"] = envoy::transport_socket("UpstreamTlsContext", context);
    }
    cluster
}
