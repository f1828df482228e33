//! `istio.v1.auth.IstioCertificateService`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tonic::{Request, Response, Status};

use crate::authenticate::Authenticator;
use crate::counters::Counters;
use crate::issuer::{IssueError, Issuer};
use crate::peer::PeerInfo;
use crate::proto::{IstioCertificateRequest, IstioCertificateResponse, IstioCertificateServiceServer};

/// Authenticates, signs, counts.
pub struct CertificateService {
    issuer: Arc<Issuer>,
    authenticator: Authenticator,
    counters: Arc<Counters>,
}

impl CertificateService {
    pub fn new(issuer: Arc<Issuer>, authenticator: Authenticator) -> Self {
        CertificateService { issuer, authenticator, counters: Arc::default() }
    }

    /// What was counted, for `/metrics`.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// For `tonic::transport::Server::add_service`.
    pub fn into_server(self) -> IstioCertificateServiceServer {
        IstioCertificateServiceServer::new(Arc::new(self))
    }

    pub(crate) fn create_certificate(
        &self,
        request: &Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        Counters::add(&self.counters.csr_count);
        let now = SystemTime::now();
        let authorization = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let peer = request.extensions().get::<PeerInfo>();
        let caller = self.authenticator.authenticate(peer, authorization, now).map_err(|error| {
            Counters::add(&self.counters.authentication_failure_count);
            tracing::warn!(peer = ?peer.map(|peer| peer.address), %error, "certificate request refused");
            Status::unauthenticated(error.to_string())
        })?;
        let message = request.get_ref();
        let seconds = u64::try_from(message.validity_duration).ok().filter(|seconds| *seconds > 0);
        let issued = self.issuer.issue(&message.csr, &caller.id, seconds.map(Duration::from_secs), now);
        let issued = issued.map_err(|error| self.refused(&caller.id, &error))?;
        Counters::add(&self.counters.success_cert_issuance_count);
        tracing::debug!(id = %caller.id, not_after = issued.not_after, "certificate issued");
        Ok(Response::new(IstioCertificateResponse { cert_chain: issued.chain }))
    }

    fn refused(&self, id: &model::SpiffeId, error: &IssueError) -> Status {
        tracing::warn!(%id, %error, "no certificate issued");
        match error {
            IssueError::BadCsr(_) => {
                Counters::add(&self.counters.csr_parsing_err_count);
                Status::invalid_argument(error.to_string())
            }
            IssueError::Signing(_) => {
                Counters::add(&self.counters.csr_sign_err_count);
                Status::internal(error.to_string())
            }
        }
    }
}
