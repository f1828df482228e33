//! `/certs`: what is presented and trusted, and until when.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/admin#get--certs>.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use identity::{CertificateFacts, TRUST_BUNDLE};
use serde_json::{Value, json};

use super::{Answer, json_answer};
use crate::format::time::TimeFormat;
use crate::proxy::State;

pub fn answer(state: &State) -> Answer {
    let mut all: Vec<Value> = Vec::new();
    for (name, certificate) in state.secrets.certificates() {
        let chain = facts(certificate.chain_pem(), &name);
        all.push(json!({ "ca_cert": [], "cert_chain": chain }));
    }
    if let Some(roots) = state.secrets.roots(TRUST_BUNDLE) {
        all.push(json!({ "ca_cert": facts(roots.pem(), TRUST_BUNDLE), "cert_chain": [] }));
    }
    json_answer(&json!({ "certificates": all }))
}

fn facts(pem: &str, name: &str) -> Vec<Value> {
    identity::certificate_facts(pem).iter().map(|facts| as_json(facts, name)).collect()
}

fn as_json(facts: &CertificateFacts, name: &str) -> Value {
    let names = &facts.names;
    let uris = names.uri_sans.iter().map(|name| json!({ "uri": name.as_str() }));
    let dns = names.dns_sans.iter().map(|name| json!({ "dns": name.as_str() }));
    let ips = names.ip_sans.iter().map(|ip| json!({ "ip_address": ip.to_string() }));
    let sans: Vec<Value> = dns.chain(uris).chain(ips).collect();
    json!({
        // Envoy writes the file, or `<inline>`; here the secret's name says more.
        "path": name,
        "serial_number": facts.serial,
        "subject_alt_names": sans,
        "days_until_expiration": days_left(names.not_after, SystemTime::now()).to_string(),
        "valid_from": timestamp(names.not_before),
        "expiration_time": timestamp(names.not_after),
    })
}

/// Whole days; 0 once it is over.
pub(super) fn days_left(not_after: i64, now: SystemTime) -> u64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    u64::try_from(not_after).unwrap_or(0).saturating_sub(now) / 86_400
}

fn timestamp(unix: i64) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(unix).unwrap_or(0));
    let mut out = Vec::new();
    if let Ok(format) = TimeFormat::parse("%Y-%m-%dT%H:%M:%SZ") {
        format.write(time, &mut out);
    }
    String::from_utf8(out).unwrap_or_default()
}
