//! A control plane's certificate service on loopback, and an agent's configuration for it.
#![allow(dead_code)]

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::agent::{AgentConfig, Ports, WorkloadConfig};
use ca::{
    Authenticator, CertificateService, ControlTls, Issuer, IssuerLimits, ServingNames, SigningCa,
    TOKEN_AUDIENCE, TokenKey, TokenRequest,
};
use model::{Locality, NodeType};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub struct Control {
    pub issuer: Arc<Issuer>,
    pub tokens: Arc<TokenKey>,
    pub address: SocketAddr,
    pub counters: Arc<ca::Counters>,
    task: JoinHandle<()>,
}

impl Control {
    pub async fn start(dir: &Path) -> Control {
        Self::start_on(dir, "127.0.0.1:0".parse().unwrap()).await
    }

    pub async fn start_on(dir: &Path, address: SocketAddr) -> Control {
        let root = SigningCa::load_or_create(&dir.join("ca"), "cluster.local", SystemTime::now()).unwrap();
        let issuer = Arc::new(Issuer::new(root, IssuerLimits::default()));
        let tokens =
            Arc::new(TokenKey::load_or_create(&dir.join("ca/token-key.pem"), "cluster.local").unwrap());
        let names = ServingNames {
            dns: vec!["istiod.istio-system.svc".into(), "localhost".into()],
            ips: vec![IpAddr::from([127, 0, 0, 1])],
            spiffe: None,
        };
        let tls = ControlTls::new(issuer.clone(), names).unwrap();
        let authenticator = Authenticator::new(tokens.clone(), "cluster.local", TOKEN_AUDIENCE);
        let service = CertificateService::new(issuer.clone(), authenticator);
        let counters = service.counters();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tls.incoming(listener);
        let task = tokio::spawn(async move {
            let router = tonic::transport::Server::builder().add_service(service.into_server());
            router.serve_with_incoming(incoming).await.unwrap();
        });
        std::fs::write(dir.join("root-cert.pem"), issuer.root_pem()).unwrap();
        Control { issuer, tokens, address, counters, task }
    }

    pub fn write_token(&self, dir: &Path) {
        let request = TokenRequest {
            namespace: "shop",
            service_account: "reviews",
            pod: "reviews-v1-0",
            audience: TOKEN_AUDIENCE,
            lifetime: Duration::from_secs(3600),
        };
        let token = self.tokens.mint(&request, SystemTime::now()).unwrap();
        std::fs::write(dir.join("token"), token + "\n").unwrap();
    }

    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

/// A configuration whose files are in `dir` and whose ports are free ones.
pub fn config(dir: &Path, control: SocketAddr) -> AgentConfig {
    AgentConfig {
        workload: WorkloadConfig {
            node_type: NodeType::Sidecar,
            pod: "reviews-v1-0".into(),
            namespace: "shop".into(),
            service_account: "reviews".into(),
            addresses: vec![IpAddr::from([127, 0, 0, 1])],
            labels: [("app", "reviews")].into_iter().collect(),
            annotations: std::collections::BTreeMap::new(),
            workload_name: "reviews-v1".into(),
            trust_domain: "cluster.local".into(),
            domain: "cluster.local".into(),
            cluster_id: "Kubernetes".into(),
            mesh_id: "cluster.local".into(),
            network: stdx::Str::default(),
            locality: Locality::default(),
            metadata: std::collections::BTreeMap::new(),
        },
        control_address: control.to_string().into(),
        control_san: "istiod.istio-system.svc".into(),
        token_file: dir.join("token"),
        root_cert_file: dir.join("root-cert.pem"),
        cert_ttl: Duration::from_secs(3600),
        runtime_dir: dir.join("run"),
        concurrency: Some(1),
        ports: Ports {
            admin: free_port(),
            status: free_port(),
            health: free_port(),
            prometheus: free_port(),
        },
        dns: None,
        resolv_conf: "/etc/resolv.conf".into(),
        drain: Duration::from_millis(200),
        listener_drain: None,
        log_flush_interval: None,
        log_flush_kib: None,
        max_connections: None,
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `check` holds, for ten seconds at most.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    for _ in 0..500 {
        if check().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}
