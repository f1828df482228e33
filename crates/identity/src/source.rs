//! Where a configuration's certificate or roots come from.

use std::sync::Arc;

use ir::tls::{CertificateSource, DataSource, RootsSource, TlsCertificate};
use stdx::Str;

use crate::error::TlsError;
use crate::store::{Slot, Versioned, next_generation};
use crate::{Certificate, PrivateKeyPem, Roots, SecretStore};

/// A secret's place, or a value that never changes.
pub(crate) enum Source<T> {
    Slot(Arc<Slot<T>>),
    Fixed(Versioned<T>),
}

impl<T: PartialEq> Source<T> {
    fn fixed(value: T) -> Self {
        Source::Fixed(Versioned { generation: next_generation(), value: Arc::new(value) })
    }

    pub(crate) fn generation(&self) -> u64 {
        match self {
            Source::Slot(slot) => slot.generation(),
            Source::Fixed(value) => value.generation,
        }
    }

    pub(crate) fn load(&self) -> Result<Versioned<T>, TlsError> {
        match self {
            Source::Slot(slot) => slot.load().ok_or_else(|| TlsError::NotReady(slot.name().to_string())),
            Source::Fixed(value) => Ok(value.clone()),
        }
    }

    /// The name of the secret if it is not there.
    pub(crate) fn missing(&self) -> Option<Str> {
        match self {
            Source::Slot(slot) if slot.generation() == 0 => Some(slot.name().clone()),
            _ => None,
        }
    }

    pub(crate) async fn wait(&self) {
        if let Source::Slot(slot) = self {
            slot.wait().await;
        }
    }
}

pub(crate) fn certificate(
    source: &CertificateSource,
    store: &SecretStore,
) -> Result<Source<Certificate>, TlsError> {
    Ok(match source {
        CertificateSource::Sds(secret) => Source::Slot(store.certificate_slot(&secret.key())),
        CertificateSource::Inline(certificate) => Source::fixed(read_certificate(certificate)?),
    })
}

pub(crate) fn roots(source: &RootsSource, store: &SecretStore) -> Result<Source<Roots>, TlsError> {
    Ok(match source {
        RootsSource::Sds(secret) => Source::Slot(store.roots_slot(&secret.key())),
        RootsSource::Inline(data) => Source::fixed(read_roots(data)?),
    })
}

pub(crate) fn read_certificate(certificate: &TlsCertificate) -> Result<Certificate, TlsError> {
    let key = PrivateKeyPem::new(text(&certificate.key, "private key")?);
    Certificate::from_pem(&text(&certificate.chain, "certificate chain")?, key)
}

pub(crate) fn read_roots(data: &DataSource) -> Result<Roots, TlsError> {
    Roots::from_pem(&text(data, "trusted CA")?)
}

pub(crate) fn text(data: &DataSource, what: &str) -> Result<String, TlsError> {
    let bytes = match data {
        DataSource::File(path) => std::fs::read(path.as_str())
            .map_err(|error| TlsError::Config(format!("{what}: {path}: {error}")))?,
        DataSource::Inline(bytes) => bytes.clone(),
    };
    String::from_utf8(bytes).map_err(|_| TlsError::Config(format!("{what}: not text")))
}
