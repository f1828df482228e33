//! Lateen beside its peers: the same work in one run, pinned, round after round, as medians and
//! ratios. What is run and why is in `bench/README.md`.

mod backend;
mod certificates;
mod hop;
mod idle;
mod install;
mod latency;
mod load;
mod machine;
mod metric;
mod micro;
mod peers;
mod perf;
mod process;
mod report;
mod scale;
mod scenario;
mod server;
mod services;
mod targets;
mod throughput;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser as _;

use backend::Backend;
use certificates::Certificates;
use machine::{Cores, Machine};
use metric::Measured;
use peers::{Peer, Site};
use report::{Finding, Report};
use scenario::{Scenario, Work};
use throughput::Effort;

/// Lateen beside its peers, on the same work in one run
#[derive(Debug, clap::Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to run; everything if nothing is named
    #[arg(long, value_name = "NAME", num_args = 1..)]
    scenario: Vec<String>,
    /// Only these of the scenario's peers: lateen, haproxy, envoy, nginx, tcp-relay
    #[arg(long, value_name = "NAME", num_args = 1..)]
    peer: Vec<String>,
    /// Rounds over all peers
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Seconds for each peer in each round
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    duration: u64,
    /// Two rounds of one second: does it run, not how fast is it
    #[arg(long)]
    quick: bool,
    /// What to print: text or json
    #[arg(short, long, global = true, value_name = "FORMAT", default_value = "text")]
    output: Output,
    /// Where results.md and results.svg go; a full run (every scenario and peer, not quick) writes them
    /// into bench/, others nowhere unless named
    #[arg(long, value_name = "FOLDER")]
    results: Option<PathBuf>,
    /// Sample Lateen in its first round with `perf record`, into this file (see docs/profiling.md)
    #[arg(long, value_name = "FILE")]
    perf: Option<PathBuf>,
    /// Keep the folder with configurations and logs, and print where it is
    #[arg(long)]
    keep: bool,
    /// End with 1 if a target is missed or a request failed
    #[arg(long, global = true)]
    check: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Count the instructions of parsing, routing, balancing and policy under callgrind
    Micro {
        /// Only cases whose name contains this
        #[arg(default_value = "")]
        filter: String,
    },
    /// Measure the control plane with many services and many proxies
    Scale(scale::Args),
    /// Call one case; for ourselves, under callgrind
    #[command(hide = true)]
    Count { case: String },
    /// Be a backend; for ourselves
    #[command(hide = true)]
    Serve { service: server::Service, port: u16 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(Command::Micro { filter }) => return micro::run(filter, args.output, args.check),
        Some(Command::Scale(it)) => return scale::run(it, args.output).map(|()| ExitCode::SUCCESS),
        Some(Command::Count { case }) => return micro::count(case).map(|()| ExitCode::SUCCESS),
        Some(Command::Serve { service, port }) => {
            return server::serve(*service, *port).map(|()| ExitCode::SUCCESS);
        }
        None => {}
    }
    let scenarios = selected(args)?;
    let effort = match args.quick {
        true => Effort { rounds: 2, duration: Duration::from_secs(1) },
        false => Effort { rounds: args.rounds, duration: Duration::from_secs(args.duration) },
    };
    install::programs()?;
    let mut folder = tempfile::Builder::new().prefix("lateen-bench-").tempdir()?;
    if args.keep {
        folder.disable_cleanup(true);
        eprintln!("bench: configurations and logs are in {}", folder.path().display());
    }
    // Built with all cores, before we keep to one.
    let (lateen, envoy) = (install::lateen()?, install::envoy()?);
    let machine = Machine::look();
    let certificates = Certificates::make(folder.path())?;
    machine::many_files()?;
    let site = Site {
        cores: Cores::take()?,
        folder: folder.path().to_owned(),
        certificates,
        lateen,
        envoy,
        perf: args.perf.clone(),
    };
    let backend = Backend::start(site.cores.load, &site.folder)?;
    let mut report = Report { machine, effort, scenarios: Vec::new() };
    if args.output == Output::Text {
        println!("{}", report.machine);
    }
    for scenario in scenarios {
        eprintln!("bench: {}", scenario.name);
        let measured = measure(&site, &backend, scenario, &peers(args, scenario), effort)
            .with_context(|| scenario.name.to_owned())?;
        let verdicts = targets::judge(scenario.name, &measured.samples);
        let finding = Finding { scenario, measured, verdicts };
        if args.output == Output::Text {
            println!("{finding}");
        }
        report.scenarios.push(finding);
    }
    finish(args, &report)
}

fn finish(args: &Args, report: &Report) -> anyhow::Result<ExitCode> {
    if args.output == Output::Json {
        println!("{:#}", report::json::json(report));
    }
    let full = args.scenario.is_empty() && args.peer.is_empty() && !args.quick;
    if let Some(folder) = args.results.clone().or_else(|| full.then(|| install::root().join("bench"))) {
        report.write(&folder)?;
    }
    let missed = report.scenarios.iter().flat_map(|it| &it.verdicts).filter(|verdict| !verdict.met).count();
    if args.check && missed > 0 {
        eprintln!("bench: {missed} targets were missed");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    site: &Site,
    backend: &Backend,
    scenario: &Scenario,
    peers: &[Peer],
    effort: Effort,
) -> anyhow::Result<Measured> {
    match scenario.work {
        Work::Services(count) => services::measure(site, backend, peers, count, effort),
        Work::Idle(connections) => idle::measure(site, backend, peers, connections),
        Work::Throughput(it) => throughput::measure(site, backend, peers, it, effort),
    }
}

fn selected(args: &Args) -> anyhow::Result<Vec<&'static Scenario>> {
    if args.scenario.is_empty() {
        return Ok(scenario::ALL.iter().collect());
    }
    let found = |name: &String| match scenario::find(name) {
        Some(found) => Ok(found),
        None => {
            let names: Vec<&str> = scenario::ALL.iter().map(|scenario| scenario.name).collect();
            bail!("no scenario {name:?}; there are {}", names.join(", "))
        }
    };
    args.scenario.iter().map(found).collect()
}

fn peers(args: &Args, scenario: &Scenario) -> Vec<Peer> {
    let wanted = |peer: &&Peer| args.peer.is_empty() || args.peer.iter().any(|name| name == peer.name());
    scenario.peers.iter().filter(wanted).copied().collect()
}
