//! `lateen simulate`: given files, a kind of proxy and a call, which listener, filter chain, virtual
//! host, route and cluster it meets, or the refusal. Nothing runs and nothing is sent: the way is that
//! of the real thing, translation, encoding, decoding and the data plane's own decisions.

mod call;
mod input;
mod output;
#[cfg(test)]
mod tests;

use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use engine::follow::{Call, Configuration, follow};
use ir::Resource;
use model::{Finding, Labels, Node, NodeType};
use registry::Snapshot;

use super::features;

/// Say what becomes of a call, from files alone: which listener, filter chain, virtual host, route and
/// cluster it meets, or which error.
///
/// Exit status: 0 whatever the calls meet, 1 if something cannot be read or a call makes no sense,
/// 2 wrong usage. What is to be said about the files goes to standard error.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A sidecar, or a gateway (router)
    #[arg(long, value_enum, default_value_t = ProxyType::Sidecar)]
    proxy_type: ProxyType,
    /// The proxy's namespace
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    proxy_namespace: String,
    /// The workload's labels
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = call::label)]
    proxy_labels: Vec<(String, String)>,
    /// The proxy's addresses: an endpoint with one of them is this workload
    #[arg(long, value_name = "IP", value_delimiter = ',', required = true)]
    proxy_ip: Vec<IpAddr>,
    /// A MeshConfig, over Istio's defaults
    #[arg(long, value_name = "FILE")]
    mesh_config: Option<PathBuf>,
    /// Files with objects; folders are searched for .yaml, .yml and .json, and - is the standard input
    #[arg(long = "filename", short = 'f', value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    calls: Calls,
    /// The form of the output
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Calls {
    /// One call, as JSON: {"callMode": "outbound", "address": "10.0.0.1", "port": 80, "protocol":
    /// "http", "host_header": "reviews", "path": "/"}, and with TLS "tls", "sni" and "alpn"
    #[arg(long, value_name = "JSON")]
    call: Option<String>,
    /// A file with a JSON array of calls; - is the standard input
    #[arg(long, value_name = "FILE")]
    calls: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProxyType {
    Sidecar,
    Router,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    Json,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let calls = read_calls(&args.calls)?;
    let mesh = input::read(&args.files, args.mesh_config.as_deref(), features::of_environment())?;
    let (configuration, mut findings) = configure(&mesh.snapshot, &node(&args))?;
    findings.extend(mesh.findings);
    findings.sort();
    findings.dedup();
    findings.iter().for_each(|finding| eprintln!("lateen: {finding}"));
    let followed: Vec<_> = calls.iter().map(|call| (call.clone(), follow(&configuration, call))).collect();
    let out = match args.output {
        Format::Json => output::json(&followed, args.calls.call.is_some())?,
        Format::Table => output::table(&followed),
    };
    // Whoever reads may have had enough.
    let _ = std::io::stdout().write_all(out.as_bytes());
    Ok(ExitCode::SUCCESS)
}

fn node(args: &Args) -> Node {
    let namespace = args.proxy_namespace.as_str();
    Node {
        node_type: match args.proxy_type {
            ProxyType::Sidecar => NodeType::Sidecar,
            ProxyType::Router => NodeType::Router,
        },
        data_plane: model::DataPlane::Lateen,
        name: "simulated".into(),
        namespace: namespace.into(),
        addresses: args.proxy_ip.clone(),
        domain: "cluster.local".into(),
        service_account: "default".into(),
        verified: false,
        labels: args.proxy_labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Labels>(),
        locality: Default::default(),
        cluster_id: "Kubernetes".into(),
        network: Default::default(),
        dns_capture: None,
        uncaptured: false,
        proxy_config: model::Str::default(),
    }
}

/// Everything this proxy would be sent, as it would read it, and what translation has to say.
fn configure(snapshot: &Snapshot, node: &Node) -> anyhow::Result<(Configuration, Vec<Finding>)> {
    let translated = translate::translate_all(snapshot, node);
    let mut received = Vec::new();
    for resource in translated.iter() {
        received.push(over_the_wire(resource)?);
    }
    let configuration = Configuration::new(received)
        .map_err(|problem| anyhow::anyhow!("the proxy would refuse its configuration: {problem}"))?;
    Ok((configuration, translated.findings))
}

fn over_the_wire(resource: &Resource) -> anyhow::Result<Resource> {
    let what = || format!("{} {} cannot be read back", resource.ty(), resource.name());
    xds_codec::decode(&xds_codec::encode(resource)).with_context(what)
}

fn read_calls(calls: &Calls) -> anyhow::Result<Vec<Call>> {
    if let Some(text) = &calls.call {
        let value = serde_json::from_str(text).context("--call is not JSON")?;
        return Ok(vec![call::read(&value).context("--call")?]);
    }
    let Some(path) = &calls.calls else { bail!("neither --call nor --calls") };
    let shown = path.display();
    let value: serde_json::Value =
        serde_json::from_str(&read_text(path)?).with_context(|| format!("{shown} is not JSON"))?;
    let Some(list) = value.as_array() else { bail!("{shown} is not a JSON array of calls") };
    let read = |(index, value)| call::read(value).with_context(|| format!("{shown}: call {index}"));
    list.iter().enumerate().map(read).collect()
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("the standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(|| shown.to_string())
}
