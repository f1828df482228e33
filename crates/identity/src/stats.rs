//! What came of handshakes, under Envoy's names.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{TlsError, TlsFailure};
use crate::handshake::TlsInfo;

/// Numbers of one listener or cluster. The names are those of Envoy's `ssl.*` statistics, see
/// <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/listeners/stats#tls-statistics>.
#[derive(Debug)]
pub struct HandshakeStats([AtomicU64; NAMES.len()]);

const NAMES: [&str; 25] = [
    "ssl.handshake",
    "ssl.session_reused",
    "ssl.no_certificate",
    "ssl.connection_error",
    "ssl.fail_verify_no_cert",
    "ssl.fail_verify_error",
    "ssl.fail_verify_san",
    "ssl.fail_verify_cert_hash",
    "ssl.versions.TLSv1.2",
    "ssl.versions.TLSv1.3",
    "ssl.ciphers.TLS_AES_128_GCM_SHA256",
    "ssl.ciphers.TLS_AES_256_GCM_SHA384",
    "ssl.ciphers.TLS_CHACHA20_POLY1305_SHA256",
    "ssl.ciphers.ECDHE-ECDSA-AES128-GCM-SHA256",
    "ssl.ciphers.ECDHE-ECDSA-AES256-GCM-SHA384",
    "ssl.ciphers.ECDHE-ECDSA-CHACHA20-POLY1305",
    "ssl.ciphers.ECDHE-RSA-AES128-GCM-SHA256",
    "ssl.ciphers.ECDHE-RSA-AES256-GCM-SHA384",
    "ssl.ciphers.ECDHE-RSA-CHACHA20-POLY1305",
    "ssl.curves.X25519",
    "ssl.curves.P-256",
    "ssl.curves.P-384",
    "ssl.curves.P-521",
    "ssl.curves.X25519MLKEM768",
    "ssl.curves.secp256r1MLKEM768",
];

/// So many are told of even when they are zero; the rest has names that depend on what was agreed.
const ALWAYS: usize = 8;

impl Default for HandshakeStats {
    fn default() -> Self {
        HandshakeStats(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl HandshakeStats {
    /// Counts a handshake.
    pub fn note(&self, outcome: Result<&TlsInfo, &TlsError>) {
        let info = match outcome {
            Ok(info) => info,
            Err(error) => return self.failed(error),
        };
        self.count("ssl.handshake");
        if info.resumed {
            self.count("ssl.session_reused");
        }
        if !info.presented {
            self.count("ssl.no_certificate");
        }
        for (group, name) in
            [("ssl.versions.", info.version), ("ssl.ciphers.", info.cipher), ("ssl.curves.", info.group)]
        {
            self.count_if(|known| known.strip_prefix(group) == Some(name));
        }
    }

    fn failed(&self, error: &TlsError) {
        match error.failure() {
            Some(TlsFailure::NoCertificate) => self.count("ssl.fail_verify_no_cert"),
            Some(TlsFailure::Chain) => self.count("ssl.fail_verify_error"),
            Some(TlsFailure::San) => self.count("ssl.fail_verify_san"),
            Some(TlsFailure::Hash) => self.count("ssl.fail_verify_cert_hash"),
            Some(TlsFailure::Alert | TlsFailure::Protocol) => self.count("ssl.connection_error"),
            // That was no error of TLS.
            None => {}
        }
    }

    fn count(&self, name: &str) {
        self.count_if(|known| known == name);
    }

    fn count_if(&self, is: impl Fn(&str) -> bool) {
        if let Some(counter) = NAMES.iter().position(|name| is(name)).and_then(|at| self.0.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every number with its name.
    pub fn each(&self, see: &mut dyn FnMut(&'static str, u64)) {
        for (i, (name, counter)) in NAMES.iter().zip(&self.0).enumerate() {
            let value = counter.load(Ordering::Relaxed);
            if i < ALWAYS || value > 0 {
                see(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_agreed_is_told_of_once_it_was() {
        let stats = HandshakeStats::default();
        let info = TlsInfo {
            peer: None,
            presented: false,
            local: None,
            alpn: None,
            sni: None,
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            group: "X25519",
            resumed: false,
        };
        stats.note(Ok(&info));
        stats.note(Err(&TlsError::failed(TlsFailure::San, "x")));
        let mut seen = Vec::new();
        stats.each(&mut |name, value| seen.push((name, value)));
        let expected = [
            ("ssl.handshake", 1),
            ("ssl.session_reused", 0),
            ("ssl.no_certificate", 1),
            ("ssl.connection_error", 0),
            ("ssl.fail_verify_no_cert", 0),
            ("ssl.fail_verify_error", 0),
            ("ssl.fail_verify_san", 1),
            ("ssl.fail_verify_cert_hash", 0),
            ("ssl.versions.TLSv1.3", 1),
            ("ssl.ciphers.TLS_AES_256_GCM_SHA384", 1),
            ("ssl.curves.X25519", 1),
        ];
        assert_eq!(seen, expected);
    }
}
