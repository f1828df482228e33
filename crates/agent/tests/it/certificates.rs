//! From token to certificate to renewal, against the real certificate service over TLS.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use crate::common::{Control, config, eventually};
use ::agent::{Authority, ControlAuthority, Renewal, SignError, TrustFile};
use identity::{Certificate, SecretStore, TRUST_BUNDLE, WORKLOAD_CERTIFICATE, new_key_and_csr};
use model::SpiffeId;

fn reviews() -> SpiffeId {
    SpiffeId::new("cluster.local", "shop", "reviews")
}

fn trusting(config: &::agent::AgentConfig) -> SecretStore {
    let secrets = SecretStore::new();
    TrustFile::new(&config.root_cert_file).refresh(&secrets);
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_first_then_the_certificate_speaks() {
    let dir = tempfile::tempdir().unwrap();
    let control = Control::start(dir.path()).await;
    let config = config(dir.path(), control.address);
    let secrets = trusting(&config);
    let authority = ControlAuthority::new(&config, &secrets).unwrap();
    let (key, csr) = new_key_and_csr(&reviews()).unwrap();

    let error = authority.sign(csr.clone(), Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(error, SignError::Token(..)), "{error}");
    std::fs::write(&config.token_file, "not a token").unwrap();
    let error = authority.sign(csr.clone(), Duration::from_secs(60)).await.unwrap_err().to_string();
    assert!(error.contains("Unauthenticated"), "{error}");

    control.write_token(dir.path());
    let chain = authority.sign(csr.clone(), Duration::from_secs(60)).await.unwrap();
    assert_eq!(chain.last().unwrap(), control.issuer.root_pem());
    let certificate = Certificate::from_pem(&chain[0], key).unwrap();
    assert_eq!(certificate.names.spiffe(), Some(reviews()));
    let lifetime = certificate.names.not_after - now();
    assert!((55..=61).contains(&lifetime), "{lifetime}");

    // Renewal needs no token.
    std::fs::remove_file(&config.token_file).unwrap();
    secrets.set_certificate(WORKLOAD_CERTIFICATE, certificate);
    let renewed = authority.sign(csr.clone(), Duration::from_secs(60)).await.unwrap();
    assert_ne!(renewed[0], chain[0]);

    let error = authority.sign("rubbish".into(), Duration::from_secs(60)).await.unwrap_err();
    assert!(matches!(error, SignError::Token(..)), "certificate refused, token tried: {error}");
    let counted: Vec<u64> = control.counters.snapshot().iter().map(|(_, value)| *value).collect();
    assert_eq!(counted, [4, 1, 1, 0, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impostor_gets_no_token() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let control = Control::start(dir.path()).await;
    let impostor = Control::start(other.path()).await;
    control.write_token(dir.path());
    let (_, csr) = new_key_and_csr(&reviews()).unwrap();
    let check = async |config: ::agent::AgentConfig, expected: &str| {
        let authority = ControlAuthority::new(&config, &trusting(&config)).unwrap();
        let ask =
            async || authority.sign(csr.clone(), Duration::from_secs(60)).await.unwrap_err().to_string();
        let mut error = ask().await;
        // On a busy machine the other side may have gone before we have read why.
        for _ in 0..5 {
            if error.contains("reset") {
                error = ask().await;
            }
        }
        assert!(error.contains(expected), "{error}");
    };
    check(config(dir.path(), impostor.address), "CERTIFICATE_VERIFY_FAILED").await;
    let mut misnamed = config(dir.path(), control.address);
    misnamed.control_san = "someone.else.svc".into();
    check(misnamed, "verify SAN list").await;
    assert_eq!(impostor.counters.snapshot()[0].1, 0, "nothing was asked of the impostor");
    let address = impostor.address;
    impostor.stop().await;
    check(config(dir.path(), address), "refused").await;
}

/// Signs at once, or is away.
struct Nearby {
    issuer: Arc<ca::Issuer>,
    away: AtomicBool,
    signed: AtomicU64,
}

impl Authority for Nearby {
    fn sign(
        &self,
        csr: String,
        lifetime: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<String>, SignError>> + Send + '_>> {
        Box::pin(async move {
            if self.away.load(Ordering::Relaxed) {
                return Err(SignError::Refused("away".into()));
            }
            self.signed.fetch_add(1, Ordering::Relaxed);
            Ok(self.issuer.issue(&csr, &reviews(), Some(lifetime), SystemTime::now()).unwrap().chain)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_at_half_life_and_outlive_an_outage() {
    let dir = tempfile::tempdir().unwrap();
    let control = Control::start(dir.path()).await;
    let nearby = Arc::new(Nearby {
        issuer: control.issuer.clone(),
        away: AtomicBool::new(false),
        signed: AtomicU64::new(0),
    });
    let secrets = SecretStore::new();
    let trust = TrustFile::new(&dir.path().join("root-cert.pem"));
    let renewal = Renewal::new(reviews(), Duration::from_secs(4), nearby.clone(), secrets.clone(), trust);
    let running = tokio::spawn(renewal.run());

    let slot = secrets.certificate_slot(WORKLOAD_CERTIFICATE);
    let first = slot.wait().await;
    assert!(secrets.roots(TRUST_BUNDLE).is_some());
    eventually("a renewal", async || slot.generation() != first.generation).await;
    let renewed = slot.load().unwrap();
    assert!(renewed.value.names.not_after > first.value.names.not_after);
    assert!(now() < first.value.names.not_after, "renewed before the old one ended");

    nearby.away.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(3000)).await;
    assert_eq!(slot.generation(), renewed.generation, "the old one stays");
    nearby.away.store(false, Ordering::Relaxed);
    eventually("a renewal after the outage", async || slot.generation() != renewed.generation).await;
    let signed = nearby.signed.load(Ordering::Relaxed);
    assert!((3..=6).contains(&signed), "{signed} certificates in about six seconds");
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_root_in_the_file_is_trusted() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let control = Control::start(dir.path()).await;
    let next = Control::start(other.path()).await;
    let nearby = Arc::new(Nearby {
        issuer: control.issuer.clone(),
        away: AtomicBool::new(false),
        signed: AtomicU64::new(0),
    });
    let secrets = SecretStore::new();
    let path = dir.path().join("root-cert.pem");
    let renewal =
        Renewal::new(reviews(), Duration::from_secs(2), nearby, secrets.clone(), TrustFile::new(&path));
    let running = tokio::spawn(renewal.run());
    secrets.certificate_slot(WORKLOAD_CERTIFICATE).wait().await;
    assert_eq!(secrets.roots(TRUST_BUNDLE).unwrap().pem().as_str(), control.issuer.root_pem());
    std::fs::write(&path, next.issuer.root_pem()).unwrap();
    eventually("both roots", async || {
        let bundle = secrets.roots(TRUST_BUNDLE).unwrap().pem().clone();
        bundle.contains(next.issuer.root_pem().trim()) && bundle.contains(control.issuer.root_pem().trim())
    })
    .await;
    std::fs::write(&path, "broken").unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(secrets.roots(TRUST_BUNDLE).unwrap().pem().contains(next.issuer.root_pem().trim()));
    running.abort();
}

fn now() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64
}
