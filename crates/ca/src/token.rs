//! Workload tokens: JWTs that say which service account a pod runs as.
//!
//! They have the form of Kubernetes' projected tokens, so that a cluster's own and ours are read
//! by the same rules. ES256, and nothing else: a token never chooses how it is verified.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use model::SpiffeId;
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};

use crate::root::{CaError, generate_key, load_or_make};

const ISSUER: &str = "lateen";
/// Clocks may differ by this much.
const LEEWAY: u64 = 30;
/// Our tokens are below 1 KiB, a cluster's below 4.
const MAX_TOKEN: usize = 16 * 1024;

/// Who a token is to be for.
#[derive(Clone, Debug)]
pub struct TokenRequest<'a> {
    pub namespace: &'a str,
    pub service_account: &'a str,
    pub pod: &'a str,
    pub audience: &'a str,
    pub lifetime: Duration,
}

/// The claims of a token, Kubernetes' names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    pub iss: String,
    /// `system:serviceaccount:NAMESPACE:ACCOUNT`.
    pub sub: String,
    pub aud: Vec<String>,
    /// Unix seconds.
    pub exp: u64,
    pub iat: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: KubernetesClaims,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesClaims {
    pub namespace: String,
    pub serviceaccount: Named,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Named>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub name: String,
}

/// A pod that a token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    pub namespace: String,
    pub name: String,
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    pub id: SpiffeId,
    pub pod: Option<PodRef>,
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadToken {
    #[error("token is not a JWT signed by this mesh: {0}")]
    Malformed(String),
    #[error("token has expired")]
    Expired,
    #[error("token is not valid yet")]
    NotYet,
    #[error("token is for another audience")]
    Audience,
    #[error("token claims are inconsistent: {0}")]
    Claims(&'static str),
}

/// The key that signs tokens, and verifies them.
pub struct TokenKey {
    sign: EncodingKey,
    verify: DecodingKey,
    trust_domain: String,
}

impl TokenKey {
    /// Loads the key, or makes one (readable by its owner alone). Identities are of this trust
    /// domain.
    ///
    /// # Errors
    /// The file cannot be read or written, or is no ECDSA P-256 key.
    pub fn load_or_create(path: &Path, trust_domain: &str) -> Result<Self, CaError> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|error| CaError::Io(dir.to_owned(), error))?;
        }
        let pem = load_or_make(path, 0o600, || Ok(generate_key()?.serialize_pem()))?;
        Self::from_pem(&pem, trust_domain)
    }

    /// # Errors
    /// The PEM is no ECDSA P-256 key.
    pub fn from_pem(pem: &str, trust_domain: &str) -> Result<Self, CaError> {
        let bad = |error: String| CaError::Unusable(format!("token key: {error}"));
        let key = KeyPair::from_pem(pem).map_err(|error| bad(error.to_string()))?;
        if !key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) {
            return Err(bad("not an ECDSA P-256 key".to_owned()));
        }
        Ok(TokenKey {
            sign: EncodingKey::from_ec_pem(pem.as_bytes()).map_err(|error| bad(error.to_string()))?,
            verify: DecodingKey::from_ec_pem(key.public_key_pem().as_bytes())
                .map_err(|e| bad(e.to_string()))?,
            trust_domain: trust_domain.to_owned(),
        })
    }

    /// # Errors
    /// Signing failed.
    pub fn mint(&self, request: &TokenRequest<'_>, now: SystemTime) -> Result<String, CaError> {
        let now = unix(now);
        let named = |name: &str| Named { name: name.to_owned() };
        let claims = TokenClaims {
            iss: ISSUER.to_owned(),
            sub: format!("system:serviceaccount:{}:{}", request.namespace, request.service_account),
            aud: vec![request.audience.to_owned()],
            exp: now.saturating_add(request.lifetime.as_secs()),
            iat: now,
            nbf: None,
            kubernetes: KubernetesClaims {
                namespace: request.namespace.to_owned(),
                serviceaccount: named(request.service_account),
                pod: Some(named(request.pod)),
            },
        };
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.sign)
            .map_err(|error| CaError::Unusable(format!("token: {error}")))
    }

    /// Who holds this token.
    ///
    /// # Errors
    /// It is not ours, not for `audience`, not of now, or contradicts itself.
    pub fn verify(&self, token: &str, audience: &str, now: SystemTime) -> Result<VerifiedToken, BadToken> {
        if token.len() > MAX_TOKEN {
            return Err(BadToken::Malformed("too long".to_owned()));
        }
        // Times are compared below, with the caller's clock.
        let mut rules = Validation::new(Algorithm::ES256);
        rules.validate_exp = false;
        rules.validate_nbf = false;
        rules.validate_aud = false;
        rules.set_required_spec_claims(&["exp", "aud", "sub", "iss"]);
        rules.set_issuer(&[ISSUER]);
        let claims = jsonwebtoken::decode::<TokenClaims>(token, &self.verify, &rules)
            .map_err(|error| BadToken::Malformed(error.to_string()))?
            .claims;
        let now = unix(now);
        if claims.exp.saturating_add(LEEWAY) <= now {
            return Err(BadToken::Expired);
        }
        if claims.nbf.unwrap_or(claims.iat) > now.saturating_add(LEEWAY) {
            return Err(BadToken::NotYet);
        }
        if !claims.aud.iter().any(|aud| aud == audience) {
            return Err(BadToken::Audience);
        }
        self.identity(claims)
    }

    fn identity(&self, claims: TokenClaims) -> Result<VerifiedToken, BadToken> {
        let account = claims.sub.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let (namespace, account) = account.ok_or(BadToken::Claims("sub is no service account"))?;
        let plain = |part: &str| !part.is_empty() && !part.contains([':', '/']);
        if !plain(namespace) || !plain(account) {
            return Err(BadToken::Claims("sub is no service account"));
        }
        let kubernetes = claims.kubernetes;
        if kubernetes.namespace != namespace || kubernetes.serviceaccount.name != account {
            return Err(BadToken::Claims("sub and kubernetes.io differ"));
        }
        let pod = kubernetes.pod.map(|pod| PodRef { namespace: namespace.to_owned(), name: pod.name });
        Ok(VerifiedToken { id: SpiffeId::new(&self.trust_domain, namespace, account), pod })
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
