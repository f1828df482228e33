//! The certificate authority and the TLS of port 15012.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context;
use ca::{
    Authenticator, CertificateService, ControlTls, Counters, Issuer, IssuerLimits, ServingNames, SigningCa,
    TokenKey,
};
use model::SpiffeId;

use super::Args;
use super::mesh_domain::MeshDomain;

/// The service account that the control plane has in Istio.
const SERVICE_ACCOUNT: &str = "istiod";
const NAMESPACE: &str = "istio-system";

/// Everything that signs.
pub struct Authority {
    pub issuer: Arc<Issuer>,
    pub tls: Arc<ControlTls>,
    pub service: CertificateService,
    pub counters: Arc<Counters>,
}

/// Loads the keys, or makes those that are missing.
pub fn open(args: &Args, domain: &MeshDomain) -> anyhow::Result<Authority> {
    let now = SystemTime::now();
    let trust_domain = domain.name();
    let signing = SigningCa::load_or_create(&args.ca_dir, trust_domain, now)?;
    let tokens = TokenKey::load_or_create(&args.ca_dir.join("token-key.pem"), trust_domain)?;
    let default = IssuerLimits::default();
    let limits = IssuerLimits {
        default_ttl: args.cert_ttl.unwrap_or(default.default_ttl),
        max_ttl: args.max_cert_ttl.or(args.cert_ttl).unwrap_or(default.max_ttl),
    };
    let issuer = Arc::new(Issuer::new(signing, limits));
    let tls = ControlTls::new(issuer.clone(), names(args, trust_domain))
        .context("the certificate of the TLS port")?;
    let authenticator = Authenticator::new(Arc::new(tokens), trust_domain, ca::TOKEN_AUDIENCE);
    let service = CertificateService::new(issuer.clone(), authenticator);
    let counters = service.counters();
    Ok(Authority { issuer, tls, service, counters })
}

/// What clients may call the control plane: Istio's names, where it listens, and what was given.
fn names(args: &Args, trust_domain: &str) -> ServingNames {
    let mut names = ServingNames {
        dns: vec!["localhost".into()],
        ips: vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])],
        spiffe: Some(SpiffeId::new(trust_domain, NAMESPACE, SERVICE_ACCOUNT)),
    };
    for suffix in ["", ".svc", &format!(".svc.{}", args.domain)] {
        names.dns.push(format!("istiod.{NAMESPACE}{suffix}"));
    }
    if !args.bind.is_unspecified() && !names.ips.contains(&args.bind) {
        names.ips.push(args.bind);
    }
    for name in &args.advertise {
        match name.parse() {
            Ok(address) => names.ips.push(address),
            Err(_) => names.dns.push(name.clone()),
        }
    }
    names
}
