//! Istio's feature variables of the control plane that translation honours.

use std::time::Duration;

/// What the environment switches on or off, with Istio's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// `ENABLE_TLS_ON_SIDECAR_INGRESS`: `ingress[].tls` of a Sidecar takes effect where
    /// PeerAuthentication disables mutual TLS. Off.
    pub tls_on_sidecar_ingress: bool,
    /// `ENABLE_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE`: a Sidecar with `ingress` keeps the ports of
    /// services that it does not name. Off.
    pub merge_sidecar_ingress: bool,
    /// `PILOT_SCOPE_GATEWAY_TO_NAMESPACE`: a Gateway configures gateways of its own namespace only. Off.
    pub scope_gateways: bool,
    /// `PILOT_HTTP10`: HTTP/1.0 is answered. Off.
    pub http10: bool,
    /// `ENABLE_100_CONTINUE_HEADERS`: `Expect: 100-continue` is for the endpoint to answer. On.
    pub proxy_100_continue: bool,
    /// `PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT`: of TLS handshakes; zero is off. 15 s.
    pub handshake_timeout: Duration,
    /// `ENABLE_EXTERNAL_NAME_ALIAS`: a Service of type ExternalName is another name of a service
    /// in the mesh. On.
    pub external_name_alias: bool,
    /// `PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS`: how many names that nobody declared a proxy knows at once
    /// under `ALLOW_ANY_DYNAMIC_DNS`. 1024.
    pub allow_any_dynamic_dns_max_hosts: u32,
}

impl Default for Features {
    fn default() -> Self {
        Features {
            tls_on_sidecar_ingress: false,
            merge_sidecar_ingress: false,
            scope_gateways: false,
            http10: false,
            proxy_100_continue: true,
            handshake_timeout: Duration::from_secs(15),
            external_name_alias: true,
            allow_any_dynamic_dns_max_hosts: 1024,
        }
    }
}

impl Features {
    /// Reads the variables. What has no readable value keeps its default, as in Istio; the second
    /// part of the answer names those.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> (Self, Vec<&'static str>) {
        let mut features = Features::default();
        let mut unreadable = Vec::new();
        let flags: [(&'static str, &mut bool); 6] = [
            ("ENABLE_TLS_ON_SIDECAR_INGRESS", &mut features.tls_on_sidecar_ingress),
            ("ENABLE_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE", &mut features.merge_sidecar_ingress),
            ("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", &mut features.scope_gateways),
            ("PILOT_HTTP10", &mut features.http10),
            ("ENABLE_100_CONTINUE_HEADERS", &mut features.proxy_100_continue),
            ("ENABLE_EXTERNAL_NAME_ALIAS", &mut features.external_name_alias),
        ];
        for (name, flag) in flags {
            match variable(name).map(|text| truth(&text)) {
                None => {}
                Some(Some(value)) => *flag = value,
                Some(None) => unreadable.push(name),
            }
        }
        const TIMEOUT: &str = "PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT";
        match variable(TIMEOUT).map(|text| stdx::duration::parse(&text)) {
            None => {}
            Some(Ok(timeout)) => features.handshake_timeout = timeout,
            Some(Err(_)) => unreadable.push(TIMEOUT),
        }
        const HOSTS: &str = "PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS";
        match variable(HOSTS).map(|text| text.parse().ok().filter(|hosts| *hosts > 0)) {
            None => {}
            Some(Some(hosts)) => features.allow_any_dynamic_dns_max_hosts = hosts,
            Some(None) => unreadable.push(HOSTS),
        }
        (features, unreadable)
    }
}

/// As Go reads a boolean.
fn truth(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_readable_keeps_its_default() {
        let variable = |name: &str| match name {
            "ENABLE_TLS_ON_SIDECAR_INGRESS" => Some("true".to_owned()),
            "ENABLE_100_CONTINUE_HEADERS" => Some("0".to_owned()),
            "PILOT_HTTP10" => Some("yes".to_owned()),
            "PILOT_GATEWAY_TRANSPORT_SOCKET_CONNECT_TIMEOUT" => Some("3s".to_owned()),
            "PILOT_ALLOW_ANY_DYNAMIC_DNS_MAX_HOSTS" => Some("7".to_owned()),
            _ => None,
        };
        let (features, unreadable) = Features::read(variable);
        let expected = Features {
            tls_on_sidecar_ingress: true,
            proxy_100_continue: false,
            handshake_timeout: Duration::from_secs(3),
            allow_any_dynamic_dns_max_hosts: 7,
            ..Features::default()
        };
        assert_eq!((features, unreadable), (expected, vec!["PILOT_HTTP10"]));
        assert_eq!(Features::read(|_| None), (Features::default(), Vec::new()));
    }
}
