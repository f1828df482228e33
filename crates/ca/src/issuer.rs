//! Signing. Pure: what is issued follows from request, identity and time.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use model::SpiffeId;
use rcgen::{
    CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use time::OffsetDateTime;

use crate::csr::Csr;
use crate::root::{SigningCa, generate_key, to_pem};

/// Certificates are valid from a little before now, for clocks that are late (Istio's value).
pub(crate) const BACKDATE: Duration = Duration::from_secs(120);

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    #[error("certificate signing request: {0}")]
    BadCsr(String),
    #[error("signing failed: {0}")]
    Signing(String),
}

/// How long certificates live.
#[derive(Clone, Copy, Debug)]
pub struct IssuerLimits {
    /// Where the request names no validity. Istio's `DEFAULT_WORKLOAD_CERT_TTL`, 24 h.
    pub default_ttl: Duration,
    /// Requests for more get this. Istio's `MAX_WORKLOAD_CERT_TTL`, 90 days.
    pub max_ttl: Duration,
}

impl Default for IssuerLimits {
    fn default() -> Self {
        IssuerLimits {
            default_ttl: Duration::from_secs(24 * 3600),
            max_ttl: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

/// A certificate with its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Leaf first, root last; one PEM each.
    pub chain: Vec<String>,
    /// Unix seconds.
    pub not_after: i64,
}

/// Names of a server of the control plane.
#[derive(Clone, Debug, Default)]
pub struct ServingNames {
    pub dns: Vec<String>,
    pub ips: Vec<IpAddr>,
    /// Also as a workload, so that clients may expect either.
    pub spiffe: Option<SpiffeId>,
}

/// Signs with one authority.
pub struct Issuer {
    ca: SigningCa,
    limits: IssuerLimits,
}

impl Issuer {
    pub fn new(ca: SigningCa, limits: IssuerLimits) -> Self {
        Issuer { ca, limits }
    }

    /// What workloads trust.
    pub fn root_pem(&self) -> &str {
        self.ca.root_pem()
    }

    /// The authority.
    pub fn ca(&self) -> &SigningCa {
        &self.ca
    }

    /// A workload's certificate: `id` as its only name, subject empty (hence the names are
    /// critical), for both sides of TLS. `validity` beyond the limit, or beyond the authority's
    /// own end, is cut.
    ///
    /// # Errors
    /// The request is bad, or signing fails.
    pub fn issue(
        &self,
        csr_pem: &str,
        id: &SpiffeId,
        validity: Option<Duration>,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let csr = Csr::parse(csr_pem)?;
        self.sign(&csr.key, vec![uri(id)?], validity, now)
    }

    /// A certificate and key (PEM) for a server of the control plane.
    ///
    /// # Errors
    /// A name cannot be in a certificate, or signing fails.
    pub fn server_certificate(
        &self,
        names: &ServingNames,
        now: SystemTime,
    ) -> Result<(Issued, String), IssueError> {
        let key = generate_key().map_err(|error| IssueError::Signing(error.to_string()))?;
        let mut sans = Vec::new();
        for name in &names.dns {
            let name = name
                .as_str()
                .try_into()
                .map_err(|_| IssueError::Signing(format!("bad DNS name {name:?}")))?;
            sans.push(SanType::DnsName(name));
        }
        sans.extend(names.ips.iter().copied().map(SanType::IpAddress));
        if let Some(id) = &names.spiffe {
            sans.push(uri(id)?);
        }
        let issued = self.sign(&key, sans, None, now)?;
        Ok((issued, key.serialize_pem()))
    }

    fn sign(
        &self,
        key: &impl PublicKeyData,
        sans: Vec<SanType>,
        validity: Option<Duration>,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let lifetime = validity.unwrap_or(self.limits.default_ttl).min(self.limits.max_ttl);
        let now = OffsetDateTime::from(now);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = sans;
        params.not_before = now - BACKDATE;
        params.not_after = now
            .checked_add(lifetime.try_into().unwrap_or(time::Duration::DAY))
            .unwrap_or(now)
            .min(self.ca.not_after);
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let not_after = params.not_after.unix_timestamp();
        let leaf =
            params.signed_by(key, &self.ca.issuer).map_err(|error| IssueError::Signing(error.to_string()))?;
        let chain = std::iter::once(to_pem(leaf.der())).chain(self.ca.chain.iter().cloned()).collect();
        Ok(Issued { chain, not_after })
    }
}

fn uri(id: &SpiffeId) -> Result<SanType, IssueError> {
    let text =
        id.to_string().try_into().map_err(|_| IssueError::Signing(format!("identity {id} is not ASCII")))?;
    Ok(SanType::URI(text))
}
