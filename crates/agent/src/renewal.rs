//! The workload's certificate: from the first request to the last renewal.
//!
//! Renewal follows the wall clock, looked at every 30 s at least, for a machine may have been
//! suspended. The old certificate stays until the new one is there, and a control plane that is
//! away is asked again and again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use identity::{
    Certificate, Roots, SecretStore, TRUST_BUNDLE, TlsError, WORKLOAD_CERTIFICATE, new_key_and_csr,
};
use model::SpiffeId;

use crate::authority::{Authority, SignError};
use crate::metrics::Metrics;

const LONGEST_SLEEP: Duration = Duration::from_secs(30);
const SHORTEST_SLEEP: Duration = Duration::from_millis(50);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(10);
/// Renewals of a fleet that started together spread over this share of the lifetime.
const JITTER: f64 = 0.05;

/// Keeps the certificate fresh.
pub struct Renewal {
    id: SpiffeId,
    lifetime: Duration,
    authority: Arc<dyn Authority>,
    secrets: SecretStore,
    trust: TrustFile,
    pub(crate) metrics: Arc<Metrics>,
}

/// When a certificate is to be renewed. Times are Unix seconds with fractions.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Schedule {
    renew_at: f64,
    /// How long a sleep may be.
    tick: Duration,
}

#[derive(Debug, thiserror::Error)]
enum RenewError {
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the certificate is for {0:?}, not for us")]
    Identity(String),
}

impl Renewal {
    pub fn new(
        id: SpiffeId,
        lifetime: Duration,
        authority: Arc<dyn Authority>,
        secrets: SecretStore,
        trust: TrustFile,
    ) -> Self {
        Renewal { id, lifetime, authority, secrets, trust, metrics: Arc::default() }
    }

    /// Gets a certificate and renews it, for ever.
    pub async fn run(mut self) {
        let mut retry = FIRST_RETRY;
        let mut schedule: Option<Schedule> = None;
        loop {
            self.trust.refresh(&self.secrets);
            match schedule {
                Some(due) if unix() < due.renew_at => {
                    tokio::time::sleep(due.sleep(unix())).await;
                    continue;
                }
                _ => {}
            }
            match self.renew().await {
                Ok(next) => {
                    (schedule, retry) = (Some(next), FIRST_RETRY);
                }
                Err(error) => {
                    self.complain(&error);
                    tokio::time::sleep(retry.mul_f64(0.5 + 0.5 * dice())).await;
                    retry = (retry * 2).min(self.longest_retry());
                }
            }
        }
    }

    /// A twentieth of the lifetime, so that certificates of seconds are not lost to back-off.
    fn longest_retry(&self) -> Duration {
        (self.lifetime / 20).clamp(FIRST_RETRY, LAST_RETRY)
    }

    /// One certificate: a fresh key, a request, an answer, the swap.
    async fn renew(&mut self) -> Result<Schedule, RenewError> {
        Metrics::add(&self.metrics.certificate_requests);
        let (key, csr) = new_key_and_csr(&self.id)?;
        let mut chain = self.authority.sign(csr, self.lifetime).await?;
        let root = chain.pop().unwrap_or_default();
        let certificate = Certificate::from_pem(&chain.concat(), key)?;
        if certificate.names.spiffe().as_ref() != Some(&self.id) {
            return Err(RenewError::Identity(certificate.names.uri_sans.join(", ")));
        }
        let (not_before, not_after) = (certificate.names.not_before, certificate.names.not_after);
        // Trust first: whoever sees the new certificate may meet peers of the new root.
        self.trust.set_issued(root, &self.secrets)?;
        self.secrets.set_certificate(WORKLOAD_CERTIFICATE, certificate);
        tracing::info!(id = %self.id, not_after, "workload certificate renewed");
        Ok(Schedule::of(not_before as f64, not_after as f64, unix(), dice()))
    }

    fn complain(&self, error: &RenewError) {
        Metrics::add(&self.metrics.certificate_failures);
        match self.secrets.certificate(WORKLOAD_CERTIFICATE).map(|held| held.names.not_after - unix_now()) {
            None => tracing::warn!(%error, "no workload certificate yet, trying again"),
            Some(left) if left > 0 => {
                tracing::warn!(%error, seconds_left = left, "workload certificate not renewed, the old one stays");
            }
            Some(_) => tracing::error!(%error, "workload certificate has expired and is not renewed"),
        }
    }
}

impl Schedule {
    /// Half of what is left when the certificate arrives, give or take. It is backdated, so its
    /// own start says nothing; where the clock is late, the start counts.
    fn of(not_before: f64, not_after: f64, now: f64, dice: f64) -> Self {
        let start = now.max(not_before);
        let lifetime = (not_after - start).max(0.0);
        let share = 0.5 + JITTER * (2.0 * dice - 1.0);
        let tick = Duration::from_secs_f64(lifetime / 10.0).clamp(SHORTEST_SLEEP, LONGEST_SLEEP);
        Schedule { renew_at: start + lifetime * share, tick }
    }

    fn sleep(&self, now: f64) -> Duration {
        Duration::from_secs_f64((self.renew_at - now).max(0.0)).clamp(SHORTEST_SLEEP, self.tick)
    }
}

/// The trust bundle: a file that may change, and the root of the last certificate issued.
pub struct TrustFile {
    path: PathBuf,
    file: String,
    issued: String,
}

impl TrustFile {
    pub fn new(path: &Path) -> Self {
        TrustFile { path: path.to_owned(), file: String::new(), issued: String::new() }
    }

    /// Reads the file again. One that cannot be used leaves what was.
    pub fn refresh(&mut self, secrets: &SecretStore) {
        match std::fs::read_to_string(&self.path) {
            Ok(text) if text == self.file => {}
            Ok(text) => match Roots::from_pem(&text) {
                Ok(_) => {
                    self.file = text;
                    if let Err(error) = self.publish(secrets) {
                        tracing::error!(%error, "trust bundle not updated");
                    }
                }
                Err(error) => tracing::warn!(path = %self.path.display(), %error, "trust bundle not read"),
            },
            Err(error) if self.file.is_empty() && self.issued.is_empty() => {
                tracing::warn!(path = %self.path.display(), %error, "trust bundle not read");
            }
            Err(_) => {}
        }
    }

    fn set_issued(&mut self, root: String, secrets: &SecretStore) -> Result<(), TlsError> {
        Roots::from_pem(&root)?;
        self.issued = root;
        self.publish(secrets)
    }

    /// File first, then the issued root unless the file has it.
    fn publish(&self, secrets: &SecretStore) -> Result<(), TlsError> {
        let compact = |pem: &str| pem.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        let known = compact(&self.file).contains(&compact(&self.issued));
        let bundle =
            if known { self.file.clone() } else { format!("{}\n{}", self.file.trim_end(), self.issued) };
        secrets.set_roots(TRUST_BUNDLE, Roots::from_pem(&bundle)?);
        Ok(())
    }
}

fn unix() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

pub(crate) fn unix_now() -> i64 {
    unix() as i64
}

/// A number in [0, 1), good enough to spread renewals.
fn dice() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    (RandomState::new().hash_one(0u8) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_is_due_at_half_life() {
        let check = |not_before: f64, not_after: f64, now: f64, dice: f64, expected: (f64, u64)| {
            let schedule = Schedule::of(not_before, not_after, now, dice);
            assert!((schedule.renew_at - expected.0).abs() < 0.01, "{schedule:?}");
            assert_eq!(schedule.tick.as_millis() as u64, expected.1, "{schedule:?}");
        };
        // A day, backdated by two minutes; the clock is looked at every 30 s.
        check(-120.0, 86_400.0, 0.0, 0.5, (43_200.0, 30_000));
        check(-120.0, 86_400.0, 0.0, 0.0, (38_880.0, 30_000));
        check(-120.0, 86_400.0, 0.0, 1.0, (47_520.0, 30_000));
        // Twenty seconds.
        check(-120.0, 20.0, 0.0, 0.5, (10.0, 2_000));
        // Our clock is an hour late.
        check(3600.0, 7200.0, 0.0, 0.5, (5400.0, 30_000));
        // Arrived dead.
        check(0.0, 10.0, 20.0, 0.5, (20.0, 50));
        let schedule = Schedule::of(0.0, 20.0, 0.0, 0.5);
        assert_eq!(schedule.sleep(9.5), Duration::from_millis(500));
        assert_eq!(schedule.sleep(0.0), Duration::from_secs(2));
        assert_eq!(schedule.sleep(11.0), SHORTEST_SLEEP);
    }
}
