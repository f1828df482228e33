//! How a peer's certificate is judged.

use ir::StringMatcher;
use ir::tls::{DataSource, Pins, RootsSource, SanKind, SanMatcher, Validation};

use super::at::At;
use super::strict::{harmless, refuse, refuse_true};
use super::{matcher, secret, tls, wire};
use crate::pb::tls::certificate_validation_context::TrustChainVerification;
use crate::pb::tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use crate::pb::tls::{self as pb, subject_alt_name_matcher::SanType};

pub(super) fn validation(at: At<'_>, it: ValidationContextType) -> Option<Validation> {
    let name = match it {
        ValidationContextType::ValidationContext(it) => {
            let at = at.field("validation_context");
            let (roots, validation) = validation_context(at, it);
            if roots.is_none() {
                // Envoy would then verify nothing at all.
                at.field("trusted_ca").refuse("is required");
            }
            return Some(Validation { roots: RootsSource::Inline(roots?), ..validation });
        }
        ValidationContextType::ValidationContextSdsSecretConfig(it) => {
            let roots = RootsSource::Sds(tls::sds(at.field("validation_context_sds_secret_config"), it));
            return Some(Validation::new(roots, Vec::new()));
        }
        ValidationContextType::CombinedValidationContext(it) => {
            return combined(at.field("combined_validation_context"), it);
        }
        ValidationContextType::ValidationContextCertificateProvider(_) => {
            "validation_context_certificate_provider"
        }
        ValidationContextType::ValidationContextCertificateProviderInstance(_) => {
            "validation_context_certificate_provider_instance"
        }
    };
    at.unsupported(name);
    None
}

fn combined(at: At<'_>, it: CombinedCertificateValidationContext) -> Option<Validation> {
    let CombinedCertificateValidationContext {
        default_validation_context,
        validation_context_sds_secret_config,
        validation_context_certificate_provider,
        validation_context_certificate_provider_instance,
    } = it;
    refuse!(at; validation_context_certificate_provider, validation_context_certificate_provider_instance);
    let default_at = at.field("default_validation_context");
    let (roots, validation) = validation_context(default_at, default_validation_context.unwrap_or_default());
    if roots.is_some() {
        default_at.field("trusted_ca").refuse("is not supported beside roots from SDS");
    }
    let Some(sds_config) = validation_context_sds_secret_config else {
        at.field("validation_context_sds_secret_config").refuse("is required");
        return None;
    };
    let roots = RootsSource::Sds(tls::sds(at.field("validation_context_sds_secret_config"), sds_config));
    Some(Validation { roots, ..validation })
}

/// Roots, if there are, and what else is asked for; there the roots stand for nothing.
pub(super) fn validation_context(
    at: At<'_>,
    it: pb::CertificateValidationContext,
) -> (Option<DataSource>, Validation) {
    let pb::CertificateValidationContext {
        trusted_ca,
        ca_certificate_provider_instance,
        system_root_certs,
        watched_directory,
        verify_certificate_spki,
        verify_certificate_hash,
        match_typed_subject_alt_names,
        match_subject_alt_names,
        require_signed_certificate_timestamp,
        crl,
        allow_expired_certificate,
        trust_chain_verification,
        custom_validator_config,
        only_verify_leaf_cert_crl,
        max_verify_depth,
        suppress_client_ca_list,
    } = it;
    harmless!(Watched; watched_directory);
    refuse!(at; ca_certificate_provider_instance, system_root_certs,
        match_subject_alt_names, allow_expired_certificate, custom_validator_config, only_verify_leaf_cert_crl, max_verify_depth,
        suppress_client_ca_list);
    refuse_true!(at; require_signed_certificate_timestamp);
    let san_at = |(index, it)| san(at.index("match_typed_subject_alt_names", index), it);
    let none = RootsSource::Inline(DataSource::Inline(Vec::new()));
    let sans = match_typed_subject_alt_names.into_iter().enumerate().map(san_at).collect();
    let trust: TrustChainVerification =
        wire::enumeration(at.field("trust_chain_verification"), trust_chain_verification);
    let validation = Validation {
        pins: Pins {
            spki: wire::texts(verify_certificate_spki),
            hashes: wire::texts(verify_certificate_hash),
        },
        crl: crl.map(|it| secret::data_source(at.field("crl"), it)),
        accept_untrusted: trust == TrustChainVerification::AcceptUntrusted,
        ..Validation::new(none, sans)
    };
    (trusted_ca.map(|it| secret::data_source(at.field("trusted_ca"), it)), validation)
}

fn san(at: At<'_>, it: pb::SubjectAltNameMatcher) -> SanMatcher {
    let pb::SubjectAltNameMatcher { san_type, matcher: text, oid } = it;
    refuse!(at; oid);
    let kind = match wire::enumeration(at.field("san_type"), san_type) {
        SanType::Email => SanKind::Email,
        SanType::Dns => SanKind::Dns,
        SanType::Uri => SanKind::Uri,
        SanType::IpAddress => SanKind::IpAddress,
        SanType::Unspecified | SanType::OtherName => {
            at.field("san_type").refuse("only EMAIL, DNS, URI and IP_ADDRESS are supported");
            SanKind::Uri
        }
    };
    let matcher = match text {
        Some(it) => matcher::text(at.field("matcher"), it),
        None => {
            at.field("matcher").refuse("is required");
            StringMatcher::exact("")
        }
    };
    SanMatcher { kind, matcher }
}
