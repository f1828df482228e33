//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::{
    agent, analyze, control, demo, docs, exec, local_step, logs, manifest, proxy, simulate, status, up,
    validate,
};

/// A service mesh: control plane, data plane and tools in one binary.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage or a missing permission; the tools that
/// take istioctl's place (`analyze`, `docs`, `manifest`, `validate`) say 64 for wrong usage, as it does.
#[derive(Debug, Parser)]
#[command(name = "lateen", version, propagate_version = true, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a mesh on this machine from the YAML that goes to a cluster
    Up(up::Args),
    /// Find what is wrong with configuration before it takes effect
    Analyze(analyze::Args),
    /// Explain the code of a finding
    Docs(docs::Args),
    /// Run the control plane
    Control(control::Args),
    /// Run what stands beside a proxy: certificates, DNS, health and the proxy itself
    Agent(agent::Args),
    /// Run the data plane from an Envoy bootstrap file
    Proxy(proxy::Args),
    /// Say what becomes of a call, from files alone: its listener, route and cluster, or its error
    Simulate(simulate::Args),
    /// Show the pods of the mesh that runs on this machine
    Status(status::Args),
    /// Run a command in a pod of the mesh that runs on this machine
    Exec(exec::Args),
    /// Print what a container of a running mesh printed
    Logs(logs::Args),
    /// Say what is wrong with files for the mesh, all at once and each with its place
    #[command(alias = "v")]
    Validate(validate::Args),
    /// Print what a cluster needs to know Istio's kinds
    Manifest(manifest::Args),
    /// Run one of the services of the examples
    #[command(hide = true)]
    Demo(demo::Args),
    /// A process between `up` and what runs in a pod
    #[command(hide = true, name = local::Step::ARGUMENT)]
    LocalStep(local_step::Args),
}

/// What wrong usage ends with: the tools that take istioctl's place say 64 as it does, for scripts.
pub fn usage_status(command: Option<&str>) -> u8 {
    match command {
        Some("analyze" | "docs" | "manifest" | "v" | "validate") => 64,
        _ => 2,
    }
}
