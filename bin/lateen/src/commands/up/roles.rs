//! How `up` starts the other roles of this binary.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use ca::{SigningCa, TOKEN_AUDIENCE, TokenKey, TokenRequest};
use istio_api::mesh::proxy::ProxySettings;
use local::{AgentCommand, AgentPlace, ControlPlace, Roles};

/// As long as a cluster's projected tokens.
const TOKEN_LIFETIME: Duration = Duration::from_secs(12 * 3600);

const SECURE_XDS_PORT: u16 = 15012;
/// Where a pod has Envoy.
const ENVOY: &str = "/run/lateen/bin/envoy";

/// Which proxy runs in pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    Lateen,
    Envoy(PathBuf),
}

impl FromStr for ProxyKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').unwrap_or((text, "")) {
            ("lateen", "") => Ok(ProxyKind::Lateen),
            ("envoy", "") => {
                find("envoy").map(ProxyKind::Envoy).ok_or_else(|| "there is no envoy in PATH".into())
            }
            ("envoy", path) => match std::fs::canonicalize(path) {
                Ok(path) => Ok(ProxyKind::Envoy(path)),
                Err(error) => Err(format!("{path}: {error}")),
            },
            _ => Err("needs lateen, envoy or envoy=PATH".into()),
        }
    }
}

/// A program of `PATH`.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The command lines of control plane and agents, and what authenticates them to each other.
pub struct UpRoles {
    proxy: ProxyKind,
    concurrency: u32,
    cert_ttl: Option<Duration>,
    mesh_config: Option<PathBuf>,
    trust_domain: String,
    /// Made by `prepare`.
    authority: Option<(TokenKey, PathBuf)>,
}

impl UpRoles {
    pub fn new(
        proxy: ProxyKind,
        concurrency: u32,
        cert_ttl: Option<Duration>,
        mesh_config: Option<PathBuf>,
        trust_domain: String,
    ) -> Self {
        UpRoles { proxy, concurrency, cert_ttl, mesh_config, trust_domain, authority: None }
    }

    fn authority(&self) -> anyhow::Result<&(TokenKey, PathBuf)> {
        self.authority.as_ref().context("the authority's keys are not made yet")
    }
}

impl Roles for UpRoles {
    fn prepare(&mut self, state_dir: &Path) -> anyhow::Result<()> {
        SigningCa::load_or_create(state_dir, &self.trust_domain, SystemTime::now())?;
        let tokens = TokenKey::load_or_create(&state_dir.join("token-key.pem"), &self.trust_domain)?;
        self.authority = Some((tokens, state_dir.join("root-cert.pem")));
        Ok(())
    }

    fn token(&self, namespace: &str, service_account: &str, pod: &str) -> anyhow::Result<String> {
        let (audience, lifetime) = (TOKEN_AUDIENCE, TOKEN_LIFETIME);
        let request = TokenRequest { namespace, service_account, pod, audience, lifetime };
        Ok(self.authority()?.0.mint(&request, SystemTime::now())?)
    }

    fn roots(&self) -> anyhow::Result<String> {
        let file = &self.authority()?.1;
        std::fs::read_to_string(file).with_context(|| file.display().to_string())
    }

    fn control(&self, place: &ControlPlace) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec!["control".into()];
        let mut add = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        for path in &place.config {
            add("--config-dir", path.into());
        }
        add("--bind", place.address.to_string().into());
        add("--service-cidr", place.service_range.to_string().into());
        add("--ca-dir", place.state_dir.clone().into());
        if let Some(file) = &self.mesh_config {
            add("--mesh-config", file.into());
        }
        if let Some(ttl) = self.cert_ttl {
            add("--cert-ttl", format!("{}ms", ttl.as_millis()).into());
        }
        arguments
    }

    fn agent(&self, place: &AgentPlace) -> AgentCommand {
        let mut arguments: Vec<String> = vec!["agent".into()];
        arguments.push(if place.router { "router" } else { "sidecar" }.into());
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        add("--pod", place.pod.clone());
        add("--namespace", place.namespace.clone());
        add("--service-account", place.service_account.clone());
        add("--ip", place.address.to_string());
        add("--workload", place.workload.clone());
        add("--control-address", format!("{}:{SECURE_XDS_PORT}", place.control));
        add("--token-file", place.token_file.display().to_string());
        add("--root-cert-file", place.root_cert_file.display().to_string());
        add("--runtime-dir", place.work_dir.display().to_string());
        add("--trust-domain", self.trust_domain.clone());
        add("--concurrency", place.proxy.concurrency.unwrap_or(self.concurrency).to_string());
        if let Some(drain) = place.proxy.termination_drain {
            add("--drain-duration", format!("{}ms", drain.as_millis()));
        }
        if let Some(config) = proxy_config(&place.proxy) {
            add("--proxy-config", config);
        }
        for (key, value) in &place.labels {
            add("--label", format!("{key}={value}"));
        }
        for (key, value) in &place.annotations {
            add("--annotation", format!("{key}={value}"));
        }
        if place.router {
            // Nothing is captured in a gateway's pod.
            add("--dns", "off".into());
        }
        if let Some(ttl) = self.cert_ttl {
            add("--cert-ttl", format!("{}ms", ttl.as_millis()));
        }
        let mut files = Vec::new();
        if let ProxyKind::Envoy(path) = &self.proxy {
            // Wherever it is, the proxy's user may not have a way there.
            add("--proxy", format!("envoy={ENVOY}"));
            files.push((path.clone(), PathBuf::from(ENVOY)));
        }
        let env = place.proxy.proxy_metadata.iter();
        let env = env.map(|(name, value)| (name.to_string(), value.to_string())).collect();
        AgentCommand { arguments, env, files }
    }
}

/// What of a proxy's settings its agent has no options of its own for.
fn proxy_config(settings: &ProxySettings) -> Option<String> {
    let time = |time: Duration| serde_json::Value::from(format!("{}ms", time.as_millis()));
    let connections = settings.connections.as_ref().and_then(|connections| connections.max_connections);
    let limit = connections.map(|count| serde_json::json!({ "globalDownstreamConnectionLimit": count }));
    let said = [
        ("proxyAdminPort", settings.admin_port.map(Into::into)),
        ("statusPort", settings.status_port.map(Into::into)),
        ("drainDuration", settings.drain_duration.map(time)),
        ("fileFlushInterval", settings.file_flush_interval.map(time)),
        ("fileFlushMinSizeKb", settings.file_flush_min_size_kb.map(Into::into)),
        ("interceptionMode", settings.interception.map(|mode| mode.name().into())),
        ("connectionSettings", limit),
    ];
    let said: serde_json::Map<_, _> =
        said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    (!said.is_empty()).then(|| serde_json::Value::from(said).to_string())
}

#[cfg(test)]
mod tests {
    use istio_api::mesh::proxy::parse_proxy_config;

    use super::*;

    fn place(proxy: ProxySettings) -> AgentPlace {
        AgentPlace {
            router: false,
            namespace: "shop".into(),
            pod: "web-1".into(),
            workload: "web".into(),
            service_account: "web".into(),
            address: [10, 0, 0, 1].into(),
            labels: Default::default(),
            annotations: Default::default(),
            proxy,
            control: [10, 0, 0, 254].into(),
            token_file: "/token".into(),
            root_cert_file: "/root.pem".into(),
            work_dir: "/run".into(),
        }
    }

    #[test]
    fn a_proxy_is_started_as_its_configuration_says() {
        let roles = UpRoles::new(ProxyKind::Lateen, 1, None, None, "cluster.local".into());
        let option = |command: &AgentCommand, name: &str| {
            let at = command.arguments.iter().position(|argument| argument == name)?;
            command.arguments.get(at + 1).cloned()
        };
        let command = roles.agent(&place(ProxySettings::default()));
        assert_eq!(option(&command, "--concurrency").as_deref(), Some("1"));
        assert_eq!((option(&command, "--drain-duration"), command.env.len()), (None, 0));
        let command = roles.agent(&place(ProxySettings {
            concurrency: Some(3),
            proxy_metadata: [("ISTIO_META_DNS_CAPTURE".into(), "true".into())].into(),
            termination_drain: Some(Duration::from_secs(7)),
            ..ProxySettings::default()
        }));
        assert_eq!(option(&command, "--concurrency").as_deref(), Some("3"));
        assert_eq!(option(&command, "--drain-duration").as_deref(), Some("7000ms"));
        assert_eq!(option(&command, "--proxy-config"), None);
        let written = "{proxyAdminPort: 25000, statusPort: 25020, drainDuration: 3s, fileFlushInterval: 250ms, \
                       fileFlushMinSizeKb: 8, interceptionMode: NONE, connectionSettings: {globalDownstreamConnectionLimit: 7}}";
        let settings = parse_proxy_config(written);
        let told = option(&roles.agent(&place(settings.clone())), "--proxy-config").unwrap();
        assert_eq!(parse_proxy_config(&told), settings);
        assert_eq!(command.env, [("ISTIO_META_DNS_CAPTURE".to_owned(), "true".to_owned())]);
    }
}
