//! `lateen logs`: what a container of a running mesh printed.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

/// The name of the sidecar's container, as in Istio.
const PROXY: &str = "istio-proxy";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pod: its name or the beginning of it, with NAMESPACE/ before if that is needed
    pod: String,
    /// The container; the first one that is not the proxy by default
    #[arg(long, short)]
    container: Option<String>,
    /// The proxy's log, with its access log if that goes to stdout
    #[arg(long, conflicts_with = "container")]
    proxy: bool,
    /// Go on as the log grows, until Ctrl-C
    #[arg(long, short)]
    follow: bool,
    /// The folder that `lateen up` was given
    #[arg(long, value_name = "DIR", default_value = super::up::RUNTIME_DIR)]
    runtime_dir: PathBuf,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let status: Value = serde_json::from_str(&local::status(&args.runtime_dir, true)?)?;
    let container = if args.proxy { Some(PROXY) } else { args.container.as_deref() };
    let log = log_of(&status, &args.pod, container)?;
    let mut file = std::fs::File::open(&log).with_context(|| log.display().to_string())?;
    loop {
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        // Whoever reads may have had enough.
        if std::io::stdout().write_all(&text).and_then(|()| std::io::stdout().flush()).is_err()
            || !args.follow
        {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(Duration::from_millis(200));
        // The log was cut because it had grown too long: from its new beginning.
        if file.metadata()?.len() < file.stream_position()? {
            file.seek(SeekFrom::Start(0))?;
        }
    }
}

fn log_of(status: &Value, pod: &str, container: Option<&str>) -> anyhow::Result<PathBuf> {
    let (namespace, name) =
        pod.split_once('/').map_or((None, pod), |(namespace, name)| (Some(namespace), name));
    let pods = status["pods"].as_array().into_iter().flatten();
    let mut found: Vec<&Value> = pods
        .filter(|p| namespace.is_none_or(|namespace| p["namespace"] == namespace))
        .filter(|p| p["name"].as_str().is_some_and(|n| n.starts_with(name)))
        .collect();
    if let Some(exact) = found.iter().position(|p| p["name"] == name) {
        found = vec![found[exact]];
    }
    let [pod] = found.as_slice() else {
        bail!("{} pods have a name that begins with {name}: see lateen status", found.len());
    };
    let containers = pod["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let chosen = match container {
        Some(name) => containers.iter().find(|c| c["name"] == name),
        None => containers.iter().find(|c| c["name"] != PROXY).or(containers.first()),
    };
    let chosen = chosen.with_context(|| format!("pod {} has no such container", pod["name"]))?;
    let log = chosen["log"].as_str().context("the container has no log")?;
    Ok(Path::new(log).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_container() {
        let status = serde_json::json!({ "pods": [
            { "name": "web-1", "namespace": "a", "containers": [
                { "name": "istio-proxy", "log": "/p" }, { "name": "app", "log": "/a" } ] },
            { "name": "web-10", "namespace": "b", "containers": [{ "name": "app", "log": "/b" }] },
        ]});
        let check = |pod: &str, container: Option<&str>, expected: Option<&str>| {
            let found = log_of(&status, pod, container).ok();
            assert_eq!(found.as_deref(), expected.map(Path::new), "{pod}");
        };
        check("web-1", None, Some("/a"));
        check("web-1", Some(PROXY), Some("/p"));
        check("web-1", Some("other"), None);
        check("b/web", None, Some("/b"));
        check("web", None, None);
        check("none", None, None);
    }
}
