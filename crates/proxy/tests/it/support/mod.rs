//! A proxy, its backends and its clients, on real sockets.
#![allow(dead_code)]

pub mod backend;
pub mod client;
pub mod names;
pub mod raw;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ir::access_log::{AccessLog, AccessLogSink};
use ir::http::RouteSource;
use ir::route::{Forward, RouteMatch};
use ir::*;
use lifecycle::Drain;
use proxy::{Proxy, ProxyConfig, ProxyHandle};
use stdx::Str;
pub use testkit::free_port;

/// A running proxy; stopped when dropped.
pub struct Running {
    pub address: SocketAddr,
    pub handle: ProxyHandle,
    log: PathBuf,
    drain: Option<Drain>,
    thread: Option<JoinHandle<()>>,
    _dir: tempfile::TempDir,
}

/// What a test proxy is made of.
pub struct Setup {
    pub address: SocketAddr,
    pub clusters: Vec<Cluster>,
    pub routes: Vec<Route>,
    pub hcm: HttpConnectionManager,
    pub terminal: Option<Terminal>,
    pub filters: Vec<NetworkFilter>,
    pub drain_time: Duration,
    pub concurrency: usize,
    pub listener_filters: Vec<ir::listener::ListenerFilter>,
    pub tls: Option<DownstreamTls>,
    pub secrets: identity::SecretStore,
    pub node: ir::bootstrap::BootstrapNode,
    /// `static_resources.secrets`.
    pub static_secrets: Vec<Secret>,
    pub overload: Option<Overload>,
    /// What else is to be different.
    pub tune: fn(&mut ProxyConfig),
}

impl Setup {
    pub fn new() -> Self {
        Setup {
            address: free_port(),
            clusters: Vec::new(),
            routes: Vec::new(),
            hcm: HttpConnectionManager { stat_prefix: "test".into(), ..HttpConnectionManager::default() },
            terminal: None,
            filters: Vec::new(),
            drain_time: Duration::from_secs(2),
            concurrency: 2,
            listener_filters: Vec::new(),
            tls: None,
            secrets: identity::SecretStore::new(),
            node: Default::default(),
            static_secrets: Vec::new(),
            overload: None,
            tune: |_| {},
        }
    }

    pub fn cluster(mut self, name: &str, to: &[SocketAddr]) -> Self {
        self.clusters.push(cluster(name, to));
        self
    }

    /// Everything under `prefix` goes to `cluster`.
    pub fn route(self, prefix: &str, cluster: &str) -> Self {
        self.route_with(prefix, Forward::to(cluster))
    }

    pub fn route_with(mut self, prefix: &str, forward: Forward) -> Self {
        self.routes.push(route(prefix, RouteAction::Forward(forward)));
        self
    }

    pub fn listener(&self, log: &str) -> Listener {
        let log = AccessLog {
            sink: AccessLogSink::File(log.into()),
            format: Some(
                "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% \
                 rx=%BYTES_RECEIVED% tx=%BYTES_SENT% attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% \
                 cluster=%UPSTREAM_CLUSTER%\n"
                    .into(),
            ),
            filter: None,
        };
        let routes = RouteConfig {
            name: "inline".into(),
            virtual_hosts: vec![std::sync::Arc::new(VirtualHost {
                name: "all".into(),
                domains: vec!["*".into()],
                routes: self.routes.clone(),
                ..VirtualHost::default()
            })],
            ..RouteConfig::default()
        };
        let mut hcm = self.hcm.clone();
        if matches!(&hcm.routes, RouteSource::Rds(name) if name.is_empty()) {
            hcm.routes = RouteSource::Inline(std::sync::Arc::new(routes));
        }
        hcm.access_log = vec![log.clone()];
        let terminal = match self.terminal.clone() {
            Some(Terminal::Tcp(tcp)) => Terminal::Tcp(TcpProxy { access_log: vec![log], ..tcp }),
            Some(http) => http,
            None => Terminal::Http(Box::new(hcm)),
        };
        Listener {
            name: "test".into(),
            address: Address::Socket(self.address),
            additional_addresses: Vec::new(),
            bind_to_port: true,
            use_original_dst: false,
            direction: Direction::Unspecified,
            listener_filters: self.listener_filters.clone(),
            listener_filters_timeout: None,
            continue_on_listener_filters_timeout: false,
            filter_chains: vec![FilterChain {
                name: "chain".into(),
                matches: FilterChainMatch::default(),
                tls: self.tls.clone(),
                transport_socket_connect_timeout: None,
                filters: self.filters.clone(),
                terminal,
                origin: None,
            }],
            default_filter_chain: None,
            access_log: Vec::new(),
            origin: None,
        }
    }

    pub fn start(self) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("access.log");
        let listener = self.listener(log.to_str().unwrap());
        let bootstrap = Bootstrap {
            admin: Some(Address::Socket(([127, 0, 0, 1], 0).into())),
            listeners: vec![listener],
            clusters: self.clusters,
            node: self.node,
            secrets: self.static_secrets,
            overload: self.overload,
            ..Bootstrap::default()
        };
        let mut config = ProxyConfig::new(bootstrap);
        (config.secrets, config.concurrency) = (self.secrets, self.concurrency);
        config.drain_time = self.drain_time;
        (self.tune)(&mut config);
        let proxy = run(config, self.address, dir, log);
        let begin = Instant::now();
        while !proxy.handle.is_ready() && begin.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        proxy
    }

    /// Like [`Setup::start`], with this listener.
    pub fn start_with(self, listener: Listener) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("access.log");
        let bootstrap = Bootstrap {
            admin: Some(Address::Socket(([127, 0, 0, 1], 0).into())),
            listeners: vec![listener],
            clusters: self.clusters,
            ..Bootstrap::default()
        };
        start(bootstrap, self.secrets, self.address, self.concurrency, self.drain_time, dir, log)
    }

    /// Like [`Setup::start`], but everything comes by discovery.
    pub fn start_dynamic(self) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("access.log");
        let listener = self.listener(log.to_str().unwrap());
        let bootstrap = Bootstrap {
            admin: Some(Address::Socket(([127, 0, 0, 1], 0).into())),
            lds: Some(ConfigSource::Ads),
            cds: Some(ConfigSource::Ads),
            ..Bootstrap::default()
        };
        let running =
            start(bootstrap, self.secrets, self.address, self.concurrency, self.drain_time, dir, log);
        let clusters = self.clusters.into_iter().map(|c| Resource::Cluster(Arc::new(c))).collect();
        assert_eq!(running.handle.update(update_of(ResourceType::Cluster, clusters, &[])), []);
        assert_eq!(running.handle.update(update(vec![Resource::Listener(Arc::new(listener))], &[])), []);
        running
    }
}

/// A proxy of this bootstrap, whose listener will be at `address`.
pub fn start_bootstrap(bootstrap: Bootstrap, address: SocketAddr) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("access.log");
    let (secrets, drain_time) = (identity::SecretStore::new(), Duration::from_secs(2));
    start(bootstrap, secrets, address, 1, drain_time, dir, log)
}

fn start(
    bootstrap: Bootstrap,
    secrets: identity::SecretStore,
    address: SocketAddr,
    concurrency: usize,
    drain_time: Duration,
    dir: tempfile::TempDir,
    log: PathBuf,
) -> Running {
    let mut config = ProxyConfig::new(bootstrap);
    config.secrets = secrets;
    config.concurrency = concurrency;
    config.drain_time = drain_time;
    run(config, address, dir, log)
}

fn run(config: ProxyConfig, address: SocketAddr, dir: tempfile::TempDir, log: PathBuf) -> Running {
    let proxy = Proxy::build(config).unwrap();
    let handle = proxy.handle();
    let drain = Drain::new();
    let watch = drain.watch();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(proxy.run(watch)).unwrap();
    });
    Running { address, handle, log, drain: Some(drain), thread: Some(thread), _dir: dir }
}

impl Running {
    /// Begins the end without waiting for it.
    pub fn begin_drain(&self) {
        self.drain.as_ref().unwrap().start();
    }

    /// Waits for the end.
    pub fn wait(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    /// Ends and waits.
    pub fn stop(&mut self) {
        if let Some(drain) = self.drain.take() {
            drain.start();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// Waits for a line of the access log that begins so.
    #[track_caller]
    pub fn logged(&self, start: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(line) = text.lines().find(|line| line.starts_with(start)) {
                return line.to_owned();
            }
            assert!(Instant::now() < end, "no line {start:?} in:\n{text}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A number of `/stats`.
    pub fn stat(&self, name: &str) -> u64 {
        self.find_stat(name).unwrap_or_else(|text| panic!("no {name} in:\n{text}"))
    }

    /// All there are, if it is not among them.
    fn find_stat(&self, name: &str) -> Result<u64, String> {
        let text = client::get(self.handle.admin().unwrap(), "/stats").text();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
        line.ok_or(text).map(|number| number.parse().unwrap())
    }

    /// Waits for a number to be this: a worker counts a moment after the client has seen why.
    #[track_caller]
    pub fn expect_stat(&self, name: &str, expected: u64) {
        let begin = Instant::now();
        let mut found = self.find_stat(name);
        while found != Ok(expected) && begin.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
            found = self.find_stat(name);
        }
        assert_eq!(found, Ok(expected), "{name}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// How long is waited for what happens by itself, on a machine that may have much else to do.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// For what is to end in time, while something else has to happen before that: on a busy machine the same with more
/// time, and at last with nine times of it.
pub fn in_time(limit: Duration, test: impl Fn(Duration)) {
    for factor in [1, 3] {
        let tried = std::panic::AssertUnwindSafe(|| test(limit * factor));
        if std::panic::catch_unwind(tried).is_ok() {
            return;
        }
    }
    test(limit * 9);
}

pub fn update(added: Vec<Resource>, removed: &[(ResourceType, &str)]) -> xds_client::Update {
    let ty = added.first().map(Resource::ty).or_else(|| removed.first().map(|(ty, _)| *ty)).unwrap();
    update_of(ty, added, removed)
}

fn update_of(ty: ResourceType, added: Vec<Resource>, removed: &[(ResourceType, &str)]) -> xds_client::Update {
    xds_client::Update {
        ty,
        added: added
            .into_iter()
            .map(|r| {
                let version = Str::from(r.version().to_string());
                xds_client::Added::new(r, version)
            })
            .collect(),
        removed: removed.iter().map(|(_, name)| Str::from(*name)).collect(),
        problems: Vec::new(),
    }
}

pub fn cluster(name: &str, to: &[SocketAddr]) -> Cluster {
    let locality = LocalityEndpoints {
        locality: Default::default(),
        weight: None,
        priority: 0,
        endpoints: to.iter().map(|address| Endpoint::new(Address::Socket(*address))).collect(),
    };
    let assignment =
        LoadAssignment { cluster_name: name.into(), localities: vec![locality], ..Default::default() };
    Cluster::new(name, ClusterDiscovery::Static(assignment))
}

pub fn route(prefix: &str, action: RouteAction) -> Route {
    Route { name: prefix.trim_matches('/').into(), ..Route::new(RouteMatch::prefix(prefix), action) }
}
