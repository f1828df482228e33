//! Who is on the other end of a connection to the control plane.

use std::net::SocketAddr;

use model::SpiffeId;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What the transport knows of a caller. A request's extensions carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    pub address: SocketAddr,
    /// From a client certificate whose chain was verified against our root.
    pub identity: Option<SpiffeId>,
}

/// The SPIFFE id in a certificate (DER), if it has exactly one URI and that is one. The chain
/// must have been verified before.
pub fn spiffe_of(leaf: &[u8]) -> Option<SpiffeId> {
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    let mut uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    });
    let only = uris.next()?;
    if uris.next().is_some() { None } else { only.parse().ok() }
}
