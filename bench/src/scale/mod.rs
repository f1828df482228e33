//! What the control plane costs with many services and many proxies: `lateen control` over a folder
//! of files, and clients that speak delta xDS, acknowledge, and discard.

mod clients;
mod mesh;
mod wire;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use serde_json::json;

use crate::machine::{Cores, Machine, free_port, loopback, many_files, mebibytes};
use crate::process::{Memory, Process};
use crate::{Output, install};
use clients::Clients;
use mesh::Mesh;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(600);
/// Between two changes: more than what is left to do after one.
const PAUSE: Duration = Duration::from_millis(250);

/// What the control plane costs with many services and many proxies
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Services, of five pods each; a run for each number
    #[arg(long, value_name = "N", num_args = 1.., default_values_t = [100, 1_000, 10_000])]
    services: Vec<usize>,
    /// Proxies that are connected
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    clients: usize,
    /// Ports that the services are spread over: each is a route configuration of its own
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    ports: u16,
    /// Changes of each kind
    #[arg(long, value_name = "N", default_value_t = 20)]
    changes: usize,
}

/// One kind of change: milliseconds from the file being there.
#[derive(Debug, Default, Serialize)]
struct Change {
    first_p50: f64,
    first_p99: f64,
    last_p50: f64,
    last_p99: f64,
    /// CPU of the control plane for one change, ms.
    cpu: f64,
}

/// One size.
#[derive(Debug, Serialize)]
struct Size {
    services: usize,
    clients: usize,
    /// Until the first client could be served, and until all were, seconds.
    ready: f64,
    served: f64,
    /// Resources that went over the wire until then.
    resources: usize,
    kib_per_service: f64,
    kib_per_client: f64,
    /// The most that was resident while all were served, MiB.
    peak: f64,
    endpoint: Change,
    route: Change,
}

/// Runs and prints.
///
/// # Errors
/// The control plane does not start, or a change does not arrive.
pub fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let lateen = install::lateen()?;
    let machine = Machine::look();
    many_files()?;
    let cores = Cores::take()?;
    let mut sizes = Vec::new();
    for services in &args.services {
        eprintln!("bench: {services} services, {} proxies", args.clients);
        sizes.push(measure(&lateen, cores, *services, args)?);
    }
    match output {
        Output::Json => println!("{:#}", json!({ "machine": machine, "sizes": sizes })),
        Output::Text => println!("{machine}\n{}", table(&sizes)),
    }
    Ok(())
}

fn measure(lateen: &Path, cores: Cores, services: usize, args: &Args) -> anyhow::Result<Size> {
    let folder = tempfile::Builder::new().prefix("lateen-scale-").tempdir()?;
    let mesh = Mesh::write(folder.path(), services, args.ports.into())?;
    let (xds, secure, pages) = (free_port()?, free_port()?, free_port()?);
    let (config, authority) = (mesh.folder().display().to_string(), folder.path().join("ca"));
    let ports = [xds.to_string(), secure.to_string(), pages.to_string()];
    let started = Instant::now();
    let mut control = Process::start(
        "control",
        cores.proxy,
        folder.path(),
        lateen,
        &[
            "control",
            "--config-dir",
            &config,
            "--xds-port",
            &ports[0],
            "--secure-xds-port",
            &ports[1],
            "--monitoring-port",
            &ports[2],
            "--ca-dir",
            &authority.display().to_string(),
        ],
    )?;
    control.wait_listening(loopback(xds), LIMIT)?;
    // One client first: what all of them share is then there.
    let one = Clients::start(1, args.ports.into(), xds)?;
    one.settle(Duration::from_secs(1), LIMIT)?;
    let ready = started.elapsed().as_secs_f64() - 1.0;
    let alone = control.memory()?;
    let begun = Instant::now();
    let clients = Clients::start(args.clients, args.ports.into(), xds)?;
    let resources = clients.settle(Duration::from_secs(1), LIMIT)?;
    let served = begun.elapsed().as_secs_f64() - 1.0;
    let all = control.memory()?;
    let kib = |memory: Memory| memory.anonymous as f64 / 1024.0;
    let changes = |kind: Kind| change(&mesh, &control, &clients, kind, args.changes);
    Ok(Size {
        services,
        clients: args.clients,
        ready,
        served,
        resources,
        kib_per_service: kib(alone) / services as f64,
        kib_per_client: (kib(all) - kib(alone)) / args.clients as f64,
        peak: mebibytes(all.peak),
        endpoint: changes(Kind::Endpoint).context("a changed endpoint")?,
        route: changes(Kind::Route).context("a changed route")?,
    })
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Endpoint,
    Route,
}

fn change(
    mesh: &Mesh,
    control: &Process,
    clients: &Clients,
    kind: Kind,
    count: usize,
) -> anyhow::Result<Change> {
    let (mut first, mut last) = (Vec::new(), Vec::new());
    let before = control.cpu()?;
    for number in 0..count {
        // Another service each time.
        let service = number * 7919 % mesh.services;
        let since = Instant::now();
        let ty = match kind {
            Kind::Endpoint => mesh.replace_pod(service, number + 1).map(|()| wire::ENDPOINTS)?,
            Kind::Route => mesh.route(service, number).map(|()| wire::ROUTES)?,
        };
        let arrived = clients.arrival(ty, since, LIMIT).with_context(|| format!("change {number}"))?;
        first.push(arrived.0.as_secs_f64() * 1e3);
        last.push(arrived.1.as_secs_f64() * 1e3);
        std::thread::sleep(PAUSE);
    }
    let cpu = control.cpu()?.since(before);
    Ok(Change {
        first_p50: quantile(&mut first, 0.5),
        first_p99: quantile(&mut first, 0.99),
        last_p50: quantile(&mut last, 0.5),
        last_p99: quantile(&mut last, 0.99),
        cpu: (cpu.user + cpu.system).as_secs_f64() * 1e3 / count as f64,
    })
}

/// The smallest sample that so many are not above.
fn quantile(samples: &mut [f64], part: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let at = (samples.len() as f64 * part).ceil() as usize;
    samples.get(at.saturating_sub(1)).copied().unwrap_or_default()
}

fn table(sizes: &[Size]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        "services",
        "proxies",
        "ready s",
        "all served s",
        "KiB/service",
        "KiB/proxy",
        "peak MiB",
        "endpoint: first p50/p99 ms",
        "last p50/p99 ms",
        "CPU ms",
        "route: first p50/p99 ms",
        "last p50/p99 ms",
        "CPU ms",
    ]);
    for size in sizes {
        let pair = |a: f64, b: f64| format!("{a:.1} / {b:.1}");
        let of = |it: &Change| {
            [pair(it.first_p50, it.first_p99), pair(it.last_p50, it.last_p99), format!("{:.1}", it.cpu)]
        };
        let mut row = vec![
            size.services.to_string(),
            size.clients.to_string(),
            format!("{:.1}", size.ready),
            format!("{:.1}", size.served),
            format!("{:.1}", size.kib_per_service),
            format!("{:.0}", size.kib_per_client),
            format!("{:.0}", size.peak),
        ];
        row.extend(of(&size.endpoint));
        row.extend(of(&size.route));
        table.add_row(row);
    }
    table.column_iter_mut().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let mut samples: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| quantile(&mut samples, part)), [1.0, 10.0, 20.0, 20.0]);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }
}
