//! Secrets, and the files or texts that they are made of.

use ir::Secret;
use ir::tls::{DataSource, SecretContent, TlsCertificate, TrustBundle};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{validation, wire};
use crate::pb::core;
use crate::pb::tls as pb;

pub(super) fn secret(at: At<'_>, it: pb::Secret) -> Secret {
    let pb::Secret { name, r#type } = it;
    let content = match r#type {
        Some(pb::secret::Type::TlsCertificate(it)) => {
            SecretContent::Certificate(certificate(at.field("tls_certificate"), it))
        }
        Some(pb::secret::Type::ValidationContext(it)) => roots(at.field("validation_context"), it),
        Some(pb::secret::Type::SessionTicketKeys(_)) => {
            at.unsupported("session_ticket_keys");
            nothing()
        }
        Some(pb::secret::Type::GenericSecret(_)) => {
            at.unsupported("generic_secret");
            nothing()
        }
        None => {
            at.refuse("has no content");
            nothing()
        }
    };
    Secret { name: wire::required(at.field("name"), name), content }
}

fn nothing() -> SecretContent {
    SecretContent::Roots(DataSource::Inline(Vec::new()).into())
}

fn roots(at: At<'_>, it: pb::CertificateValidationContext) -> SecretContent {
    let (roots, mut validation) = validation::validation_context(at, it);
    let crl = validation.crl.take();
    if validation.has_conditions() {
        at.refuse("only trusted_ca and crl are supported in a secret");
    }
    let roots = roots.unwrap_or_else(|| {
        at.field("trusted_ca").refuse("is required");
        DataSource::Inline(Vec::new())
    });
    SecretContent::Roots(TrustBundle { roots, crl })
}

pub(super) fn certificate(at: At<'_>, it: pb::TlsCertificate) -> TlsCertificate {
    let pb::TlsCertificate {
        certificate_chain,
        private_key,
        pkcs12,
        watched_directory,
        private_key_provider,
        password,
        ocsp_staple,
        signed_certificate_timestamp,
        tls_params,
    } = it;
    harmless!(Watched; watched_directory);
    refuse!(at; pkcs12, private_key_provider, password, ocsp_staple,
        signed_certificate_timestamp, tls_params);
    let required = |name, it: Option<_>| match it {
        Some(it) => data_source(at.field(name), it),
        None => {
            at.field(name).refuse("is required");
            DataSource::Inline(Vec::new())
        }
    };
    TlsCertificate {
        chain: required("certificate_chain", certificate_chain),
        key: required("private_key", private_key),
    }
}

pub(super) fn data_source(at: At<'_>, it: core::DataSource) -> DataSource {
    use core::data_source::Specifier;
    let core::DataSource { watched_directory, specifier } = it;
    refuse!(at; watched_directory);
    match specifier {
        Some(Specifier::Filename(path)) => {
            return DataSource::File(wire::required(at.field("filename"), path));
        }
        Some(Specifier::InlineBytes(bytes)) => return DataSource::Inline(bytes),
        Some(Specifier::InlineString(text)) => return DataSource::Inline(text.into_bytes()),
        Some(Specifier::EnvironmentVariable(_)) => at.unsupported("environment_variable"),
        None => at.refuse("filename, inline_string or inline_bytes is required"),
    }
    DataSource::Inline(Vec::new())
}
