//! The cryptography: aws-lc-rs, the hybrid key exchange first.

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

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
