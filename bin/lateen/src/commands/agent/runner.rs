//! The proxies an agent can run.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

use agent::{EnvoyRunner, ProxyRunner, ProxyStart};
use anyhow::Context as _;
use lifecycle::DrainGuard;
use proxy::{Proxy, ProxyConfig};

/// `--proxy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyChoice {
    Lateen,
    /// A stock Envoy; without a path the `envoy` of `PATH`.
    Envoy(Option<PathBuf>),
}

impl FromStr for ProxyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            None if text == "lateen" => Ok(ProxyChoice::Lateen),
            None if text == "envoy" => Ok(ProxyChoice::Envoy(None)),
            Some(("envoy", path)) if !path.is_empty() => Ok(ProxyChoice::Envoy(Some(path.into()))),
            _ => Err(format!("unknown proxy {text:?} (lateen, envoy, envoy=PATH)")),
        }
    }
}

impl ProxyChoice {
    pub fn runner(&self, envoy_log_level: &str) -> anyhow::Result<Arc<dyn ProxyRunner>> {
        Ok(match self {
            ProxyChoice::Lateen => Arc::new(LateenRunner),
            ProxyChoice::Envoy(path) => Arc::new(EnvoyRunner {
                binary: match path {
                    Some(path) => path.clone(),
                    None => {
                        in_path("envoy").context("no `envoy` in PATH; say where it is: --proxy envoy=PATH")?
                    }
                },
                log_level: envoy_log_level.to_owned(),
            }),
        })
    }
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Our own proxy: its workers are threads of this process, its secrets are the agent's.
struct LateenRunner;

impl ProxyRunner for LateenRunner {
    fn user_agent(&self) -> &'static str {
        "lateen"
    }

    fn in_process(&self) -> bool {
        true
    }

    fn run(
        &self,
        start: ProxyStart,
        drain: DrainGuard,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let mut config = ProxyConfig::new((*start.bootstrap).clone());
        config.secrets = start.secrets;
        config.secrets_in_process = true;
        config.concurrency = start.config.concurrency.map_or(0, |count| count as usize);
        config.drain_time = start.config.drain;
        config.listener_drain_time = start.config.listener_drain;
        config.log_flush_interval = start.config.log_flush_interval.unwrap_or(config.log_flush_interval);
        let bytes = start.config.log_flush_kib.map(|kib| kib as usize * 1024);
        config.log_flush_bytes = bytes.unwrap_or(config.log_flush_bytes);
        Box::pin(async move {
            let proxy = Proxy::build(config).map_err(|error| error.to_string())?;
            proxy.run(drain.watch()).await.map_err(|error| error.to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_chosen_by_name() {
        let check =
            |text: &str, expected: Option<ProxyChoice>| assert_eq!(text.parse().ok(), expected, "{text}");
        check("lateen", Some(ProxyChoice::Lateen));
        check("envoy", Some(ProxyChoice::Envoy(None)));
        check("envoy=/x/envoy", Some(ProxyChoice::Envoy(Some("/x/envoy".into()))));
        for bad in ["", "envoy=", "lateen=x", "nginx"] {
            check(bad, None);
        }
    }
}
