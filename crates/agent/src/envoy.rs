//! Stock Envoy as the proxy: a child process.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use hyper::Method;
use lifecycle::DrainGuard;
use model::NodeType;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::AgentConfig;
use crate::http_get::request;
use crate::proxy::{ProxyRunner, ProxyStart};

/// Between SIGTERM and SIGKILL.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Runs an Envoy binary.
#[derive(Clone, Debug)]
pub struct EnvoyRunner {
    pub binary: PathBuf,
    /// `--log-level`.
    pub log_level: String,
}

impl ProxyRunner for EnvoyRunner {
    fn user_agent(&self) -> &'static str {
        "envoy"
    }

    fn in_process(&self) -> bool {
        false
    }

    fn run(
        &self,
        start: ProxyStart,
        drain: DrainGuard,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let runner = self.clone();
        Box::pin(async move { runner.supervise(&start, &drain).await })
    }
}

impl EnvoyRunner {
    async fn supervise(&self, start: &ProxyStart, drain: &DrainGuard) -> Result<(), String> {
        let file = start.config.runtime_dir.join("envoy-bootstrap.json");
        write_bootstrap(&file, &start.bootstrap)?;
        let mut child = self.spawn(&start.config, &file)?;
        tokio::select! {
            () = drain.draining() => {}
            ended = child.wait() => return Err(ended.map_or_else(|e| e.to_string(), |status| format!("Envoy ended: {status}"))),
        }
        announce_drain(&start.config).await;
        tokio::select! {
            () = drain.forced() => {}
            _ = child.wait() => return Ok(()),
        }
        terminate(&mut child).await;
        Ok(())
    }

    fn spawn(&self, config: &AgentConfig, bootstrap: &Path) -> Result<Child, String> {
        let mut command = Command::new(&self.binary);
        command.arg("-c").arg(bootstrap).args(arguments(config));
        command.args(["--disable-hot-restart", "--log-level", &self.log_level]);
        // Warnings of `misc` are about deprecated fields, many per push and none of them news.
        command.args(["--component-log-level", "misc:error"]);
        command.kill_on_drop(true);
        command.spawn().map_err(|error| format!("{}: {error}", self.binary.display()))
    }
}

/// What the proxy's settings come to.
fn arguments(config: &AgentConfig) -> Vec<String> {
    // Longer than our own drain, so that it is us who end it.
    let drain = config.listener_drain.map(|time| time.as_secs().max(1));
    let drain = drain.unwrap_or_else(|| config.drain.as_secs().saturating_mul(2).max(45));
    let options = [
        ("--concurrency", config.concurrency.map(u64::from)),
        ("--drain-time-s", Some(drain)),
        ("--file-flush-interval-msec", config.log_flush_interval.map(|time| time.as_millis() as u64)),
        ("--file-flush-min-size-kb", config.log_flush_kib.map(u64::from)),
    ];
    let mut all = vec!["--drain-strategy".to_owned(), "immediate".to_owned()];
    for (name, value) in options {
        all.extend(value.map(|value| [name.to_owned(), value.to_string()]).into_iter().flatten());
    }
    all
}

/// Envoy goes on serving and tells clients to go elsewhere. Inbound only where that can be told
/// apart: what the workload itself asks for must still get out.
async fn announce_drain(config: &AgentConfig) {
    let path = match config.workload.node_type {
        NodeType::Sidecar => "/drain_listeners?inboundonly&graceful",
        NodeType::Router => "/drain_listeners?graceful",
    };
    match request(Method::POST, config.ports.admin, path).await {
        Ok((200, _)) => {}
        Ok((status, _)) => tracing::warn!(status, "Envoy does not drain"),
        Err(error) => tracing::warn!(%error, "Envoy does not drain"),
    }
}

async fn terminate(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    if tokio::time::timeout(LAST_WORDS, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// The whole file or none of it.
fn write_bootstrap(path: &Path, bootstrap: &ir::Bootstrap) -> Result<(), String> {
    let json = xds_codec::json::bootstrap_to_json(bootstrap);
    let text = serde_json::to_vec_pretty(&json).map_err(|error| error.to_string())?;
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::example;

    #[test]
    fn envoy_is_started_as_the_settings_say() {
        let said = |config: &AgentConfig| arguments(config).join(" ");
        let plain = said(&AgentConfig { concurrency: None, ..example() });
        assert_eq!(plain, "--drain-strategy immediate --drain-time-s 45");
        let config = AgentConfig {
            listener_drain: Some(Duration::from_secs(3)),
            log_flush_interval: Some(Duration::from_millis(250)),
            log_flush_kib: Some(8),
            ..example()
        };
        let expected = "--drain-strategy immediate --concurrency 2 --drain-time-s 3 --file-flush-interval-msec 250 \
                        --file-flush-min-size-kb 8";
        assert_eq!(said(&config), expected);
    }
}
