//! The cryptography: aws-lc-rs, the hybrid key exchange first.

use std::sync::{Arc, OnceLock};

use rustls::SupportedCipherSuite;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};

/// One provider for the whole process. X25519MLKEM768 comes first, so sessions recorded today
/// stay closed to the quantum computers of tomorrow; X25519 and the NIST curves are accepted.
pub(crate) fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let mut provider = aws_lc_rs::default_provider();
        provider.kx_groups = vec![
            aws_lc_rs::kx_group::X25519MLKEM768,
            aws_lc_rs::kx_group::X25519,
            aws_lc_rs::kx_group::SECP256R1,
            aws_lc_rs::kx_group::SECP384R1,
        ];
        Arc::new(provider)
    })
}

/// The provider with what settings leave of it: cipher suites of TLS 1.2 and groups that we speak, of
/// those listed. What is listed and not spoken is passed over, as long as something is left.
///
/// # Errors
/// Nothing is left that could be spoken.
pub(crate) fn limited(tls: &ir::tls::CommonTls) -> Result<Arc<CryptoProvider>, String> {
    if tls.cipher_suites.is_empty() && tls.ecdh_curves.is_empty() {
        return Ok(provider().clone());
    }
    let mut limited = (**provider()).clone();
    if !tls.cipher_suites.is_empty() {
        // One list counts for TLS 1.2 only; those of 1.3 are not to be chosen, here as in Envoy.
        limited.cipher_suites.retain(|suite| suite.tls13().is_some());
        let listed = tls.cipher_suites.iter().flat_map(|name| name.split(['[', '|', ']']));
        let suites: Vec<_> = listed.filter_map(cipher_suite).collect();
        if suites.is_empty() && tls.max_version == Some(ir::tls::TlsVersion::V1_2) {
            return Err(format!("cipher_suites: none of {:?} is spoken", tls.cipher_suites));
        }
        limited.cipher_suites.extend(suites);
    }
    if !tls.ecdh_curves.is_empty() {
        limited.kx_groups = tls.ecdh_curves.iter().filter_map(|name| group(name)).collect();
        if limited.kx_groups.is_empty() {
            return Err(format!("ecdh_curves: none of {:?} is spoken", tls.ecdh_curves));
        }
    }
    Ok(Arc::new(limited))
}

/// By OpenSSL's name. Those without forward secrecy or with CBC are never spoken.
fn cipher_suite(name: &str) -> Option<SupportedCipherSuite> {
    use aws_lc_rs::cipher_suite as suite;
    Some(match name {
        "ECDHE-ECDSA-AES128-GCM-SHA256" => suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-AES128-GCM-SHA256" => suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-AES256-GCM-SHA384" => suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-CHACHA20-POLY1305" => suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        _ => return None,
    })
}

fn group(name: &str) -> Option<&'static dyn SupportedKxGroup> {
    Some(match name {
        "X25519MLKEM768" => aws_lc_rs::kx_group::X25519MLKEM768,
        "X25519" => aws_lc_rs::kx_group::X25519,
        "P-256" => aws_lc_rs::kx_group::SECP256R1,
        "P-384" => aws_lc_rs::kx_group::SECP384R1,
        _ => return None,
    })
}

/// The versions between `min` (TLS 1.2 by default) and `max` (TLS 1.3 by default).
pub(crate) fn versions(
    tls: &ir::tls::CommonTls,
) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, String> {
    use ir::tls::TlsVersion;
    let min = tls.min_version.unwrap_or(TlsVersion::V1_2);
    let max = tls.max_version.unwrap_or(TlsVersion::V1_3);
    let all = [(TlsVersion::V1_3, &rustls::version::TLS13), (TlsVersion::V1_2, &rustls::version::TLS12)];
    let chosen: Vec<_> =
        all.into_iter().filter(|(v, _)| (min..=max).contains(v)).map(|(_, version)| version).collect();
    if chosen.is_empty() { Err("minimum TLS version is above the maximum".to_owned()) } else { Ok(chosen) }
}
