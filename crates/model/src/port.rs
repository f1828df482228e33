//! What a Service port speaks, and how Istio finds out.

/// The protocol of a service port.
/// See <https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/>.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Http,
    Http2,
    Grpc,
    GrpcWeb,
    /// TLS on the outside, HTTP inside: passed through by server name, never terminated by a sidecar.
    Https,
    /// As `Https`, but nothing is known of the inside.
    Tls,
    Tcp,
    Udp,
    /// Not declared: the proxy looks at the first bytes.
    Auto,
}

impl Protocol {
    /// Istio's order: `appProtocol`, then the port name's prefix before `-`, then the well-known
    /// ports of server-first protocols, else detection. `transport` is the Service port's
    /// `protocol` (TCP when empty).
    pub fn select(port: u16, name: &str, app_protocol: Option<&str>, transport: &str) -> Self {
        if transport.eq_ignore_ascii_case("UDP") {
            return Protocol::Udp;
        }
        if let Some(declared) = app_protocol {
            match declared {
                "kubernetes.io/h2c" => return Protocol::Http2,
                "kubernetes.io/ws" => return Protocol::Http,
                "kubernetes.io/wss" => return Protocol::Https,
                _ => {}
            }
            if let Some(protocol) = Self::by_name(declared) {
                return protocol;
            }
        }
        let prefix = name.split('-').next().unwrap_or(name);
        let named = if name.to_ascii_lowercase().starts_with("grpc-web") {
            Some(Protocol::GrpcWeb)
        } else {
            Self::by_name(prefix)
        };
        named.unwrap_or(match port {
            // Server-first protocols: waiting for the client's bytes would hang them.
            25 | 53 | 3306 | 27017 => Protocol::Tcp,
            _ => Protocol::Auto,
        })
    }

    /// A protocol by Istio's name for it, in any case.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "http" | "http_proxy" => Protocol::Http,
            "http2" => Protocol::Http2,
            "grpc" => Protocol::Grpc,
            "grpc-web" => Protocol::GrpcWeb,
            "https" => Protocol::Https,
            "tls" => Protocol::Tls,
            // Istio has filters of its own for these, off by default: plain TCP then.
            "tcp" | "mongo" | "redis" | "mysql" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        })
    }

    /// Whether requests can be routed one by one.
    pub fn is_http(self) -> bool {
        matches!(self, Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb)
    }

    /// Whether the application speaks HTTP/2 without being asked.
    pub fn is_http2(self) -> bool {
        matches!(self, Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_as_istio_does() {
        let select = |port, name, app| Protocol::select(port, name, app, "TCP");
        assert_eq!(select(80, "http-web", None), Protocol::Http);
        assert_eq!(select(80, "grpc", None), Protocol::Grpc);
        assert_eq!(select(80, "grpc-web-x", None), Protocol::GrpcWeb);
        assert_eq!(select(80, "http", Some("kubernetes.io/h2c")), Protocol::Http2);
        assert_eq!(select(80, "http", Some("nonsense")), Protocol::Http);
        assert_eq!(select(3306, "", None), Protocol::Tcp);
        assert_eq!(select(9080, "web", None), Protocol::Auto);
        assert_eq!(Protocol::select(53, "dns", None, "UDP"), Protocol::Udp);
    }
}
