//! From a call's credentials to an identity.

use std::sync::Arc;
use std::time::SystemTime;

use model::SpiffeId;

use crate::peer::PeerInfo;
use crate::token::{BadToken, PodRef, TokenKey};

/// Who calls, and how we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub id: SpiffeId,
    /// From a token that is bound to a pod.
    pub pod: Option<PodRef>,
}

/// Why nobody is believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unauthenticated {
    #[error("neither a client certificate nor a bearer token was presented")]
    Nothing,
    #[error("client certificate is of trust domain {0:?}")]
    TrustDomain(String),
    #[error(transparent)]
    Token(#[from] BadToken),
}

/// Tries a client certificate, then a bearer token; the first that holds wins, as in Istio.
#[derive(Clone)]
pub struct Authenticator {
    tokens: Arc<TokenKey>,
    trust_domain: String,
    audience: String,
}

impl Authenticator {
    pub fn new(tokens: Arc<TokenKey>, trust_domain: &str, audience: &str) -> Self {
        Authenticator { tokens, trust_domain: trust_domain.to_owned(), audience: audience.to_owned() }
    }

    /// `authorization` is the metadata of that name, if there is one.
    ///
    /// # Errors
    /// No credential holds. The reason is for logs and for the caller, it names no secret.
    pub fn authenticate(
        &self,
        peer: Option<&PeerInfo>,
        authorization: Option<&str>,
        now: SystemTime,
    ) -> Result<Caller, Unauthenticated> {
        let certified = peer.and_then(|peer| peer.identity.clone());
        let foreign = match certified {
            Some(id) if id.trust_domain.as_str() == self.trust_domain => return Ok(Caller { id, pod: None }),
            Some(id) => Some(Unauthenticated::TrustDomain(id.trust_domain.to_string())),
            None => None,
        };
        let Some(token) = authorization.and_then(bearer) else {
            return Err(foreign.unwrap_or(Unauthenticated::Nothing));
        };
        let verified = self.tokens.verify(token, &self.audience, now)?;
        Ok(Caller { id: verified.id, pod: verified.pod })
    }
}

/// The token in `Bearer TOKEN`; the scheme's case does not count (RFC 9110, 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
