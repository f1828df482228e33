//! The streams to the control plane and to secret discovery services.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use identity::ClientTls;
use ir::tls::{SdsRef, SdsVia};
use ir::{Address, Cluster, ClusterDiscovery, ConfigSource, ResourceType};
use stdx::Str;
use xds_client::{AdsClient, AdsConfig, AdsHandle, Handler, Link, NodeInfo, Reject, Service, Target, Update};

use crate::config::Config;
use crate::config::subscriptions::secret_refs;
use crate::manager;
use crate::proxy::State;

/// Streams under way; they end when this is dropped.
#[derive(Default)]
pub struct Streams {
    _clients: Vec<AdsClient>,
}

/// Starts whatever streams the bootstrap asks for. One that cannot be started is reported; the
/// static part works without it.
pub fn start(state: &Arc<State>) -> Streams {
    let mut streams = Streams::default();
    let (bootstrap, services) = {
        let manager = state.manager.lock();
        (manager.config.bootstrap.clone(), secret_services(&manager.config))
    };
    let node = node(state, &bootstrap.node);
    if !state.secrets_in_process {
        for (cluster, names) in services {
            let Some(config) = client_config(state, &cluster, node.clone()) else {
                continue;
            };
            let config = AdsConfig { service: Service::Of(ResourceType::Secret), ..config };
            let client = AdsClient::spawn(config, receiver(state, cluster, ConfigSource::Ads));
            client.handle().subscribe(ResourceType::Secret, names);
            streams._clients.push(client);
        }
    }
    if let Some(ads) = &bootstrap.ads
        && let Some(mut config) = client_config(state, &ads.cluster, node)
    {
        config.delta = ads.delta;
        config.metadata = ads.metadata.clone();
        let over_ads = |source: &Option<ConfigSource>| *source == Some(ConfigSource::Ads);
        config.wildcards.extend(over_ads(&bootstrap.cds).then_some(ResourceType::Cluster));
        config.wildcards.extend(over_ads(&bootstrap.lds).then_some(ResourceType::Listener));
        let name = ads.cluster.clone();
        let client = AdsClient::spawn(config, receiver(state, name, ConfigSource::Ads));
        state.manager.lock().config.connect(client.handle());
        streams._clients.push(client);
    }
    streams
}

fn node(state: &State, node: &ir::bootstrap::BootstrapNode) -> NodeInfo {
    NodeInfo {
        id: node.id.clone(),
        cluster: node.cluster.clone(),
        locality: node.locality.clone(),
        metadata: node.metadata.clone(),
        user_agent_name: "lateen".into(),
        user_agent_version: state.version.clone(),
    }
}

/// A stream that carries one type. `None`: it cannot be started, which is reported.
pub fn stream_of_type(
    state: &Arc<State>,
    api: &ir::bootstrap::AdsConfig,
    ty: ResourceType,
    all: bool,
) -> Option<AdsClient> {
    let node = node(state, &state.manager.lock().config.bootstrap.node);
    let config = client_config(state, &api.cluster, node)?;
    let config = AdsConfig {
        service: Service::Of(ty),
        delta: api.delta,
        metadata: api.metadata.clone(),
        wildcards: all.then_some(ty).into_iter().collect(),
        ..config
    };
    let source = ConfigSource::Api(Box::new(api.clone()));
    Some(AdsClient::spawn(config, receiver(state, api.cluster.clone(), source)))
}

fn receiver(state: &State, name: Str, source: ConfigSource) -> Receiver {
    Receiver { manager: state.manager.clone(), name, source }
}

/// Secrets that static resources want from a service of their own, by its cluster. What comes by
/// discovery names the same ones in a mesh: the workload's certificate and trust bundle.
fn secret_services(config: &Config) -> HashMap<Str, HashSet<Str>> {
    let mut services: HashMap<Str, HashSet<Str>> = HashMap::new();
    let mut note = |secret: &SdsRef| {
        if let SdsVia::Cluster(cluster) = &secret.via {
            services.entry(cluster.clone()).or_default().insert(secret.name.clone());
        }
    };
    for cluster in config.clusters.entries.values() {
        cluster.compiled.needs.all().for_each(&mut note);
    }
    for listener in config.listeners.entries.values().map(|entry| &entry.value) {
        let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
        for tls in chains.filter_map(|chain| chain.tls.as_ref()) {
            secret_refs(&tls.common).iter().for_each(&mut note);
        }
    }
    if config.static_cluster(SDS_CLUSTER).is_some() {
        let names = [identity::WORKLOAD_CERTIFICATE, identity::TRUST_BUNDLE];
        services.entry(SDS_CLUSTER.into()).or_default().extend(names.map(Str::from));
    }
    services
}

/// Istio's name for the agent's socket.
const SDS_CLUSTER: &str = "sds-grpc";

fn client_config(state: &State, name: &Str, node: NodeInfo) -> Option<AdsConfig> {
    let cluster = state.manager.lock().config.static_cluster(name);
    let target = cluster
        .ok_or_else(|| "it is no static cluster".to_owned())
        .and_then(|cluster| target_of(state, &cluster));
    match target {
        Ok(target) => Some(AdsConfig::new(target, node)),
        Err(why) => {
            tracing::error!(cluster = %name, "discovery cannot be started: {why}");
            None
        }
    }
}

fn target_of(state: &State, cluster: &Cluster) -> Result<Target, String> {
    let (ClusterDiscovery::Static(assignment)
    | ClusterDiscovery::StrictDns(assignment)
    | ClusterDiscovery::LogicalDns(assignment)) = &cluster.discovery
    else {
        return Err("its endpoints are not static".to_owned());
    };
    let endpoint = assignment.localities.iter().flat_map(|locality| &locality.endpoints).next();
    let address = match &endpoint.ok_or("it has no endpoint")?.address {
        Address::Pipe(path) => return Ok(Target::Unix(PathBuf::from(path.as_str()))),
        Address::Socket(address) => Str::from(address.to_string()),
        Address::Name { host, port } => Str::from(format!("{host}:{port}")),
    };
    let Some(tls) = &cluster.tls else { return Ok(Target::Tcp(address)) };
    let tls = Arc::new(ClientTls::new(tls, &state.secrets).map_err(|e| e.to_string())?);
    Ok(Target::Tls { address, tls })
}

/// Hands what a stream delivers to the manager.
struct Receiver {
    manager: manager::Shared,
    name: Str,
    source: ConfigSource,
}

impl Handler for Receiver {
    fn on_update(&mut self, update: Update, _: &AdsHandle) -> Vec<Reject> {
        let rejects = self.manager.update(&self.source, update);
        for reject in &rejects {
            tracing::warn!(resource = %reject.name, "refused: {}", reject.message);
        }
        rejects
    }

    fn on_link(&mut self, link: Link) {
        match link {
            Link::Up => tracing::info!(cluster = %self.name, "discovery stream is up"),
            Link::Down(why) => tracing::warn!(cluster = %self.name, "discovery stream is down: {why}"),
        }
    }
}
