//! Parts of a TrafficPolicy that change how connections to a service are made: tunnels, the PROXY
//! protocol and the retry budget. See
//! <https://istio.io/latest/docs/reference/config/networking/destination-rule/#TrafficPolicy>.

use std::time::Duration;

use model::Str;

use crate::schema::macros::{choice, message};
use crate::schema::{choice as one_of, percent, text, uint32};

message! {
    /// Connections go through an HTTP CONNECT or POST to a proxy, which is the rule's host.
    pub struct Tunnel {
        /// CONNECT or POST; CONNECT without.
        "protocol" protocol: Str = text(),
        /// Where the proxy is to connect to: a full name or an IP address.
        "targetHost" target_host: Str = text().required(),
        "targetPort" target_port: Option<u32> = uint32().required(),
    }
}

impl Tunnel {
    /// Another form of tunnel than CONNECT.
    pub fn is_post(&self) -> bool {
        *self.protocol == *"POST"
    }
}

message! {
    /// A connection begins with the PROXY protocol's header.
    pub struct ProxyProtocol {
        "version" version: Option<ProxyProtocolVersion> = one_of(ProxyProtocolVersion::NAMES),
    }
}

choice! {
    /// The header's form: text or binary.
    pub enum ProxyProtocolVersion {
        "V1" V1,
        "V2" V2,
    }
}

message! {
    /// How many retries there may be, in proportion to the requests under way.
    pub struct RetryBudget {
        /// 20 without.
        "percent" percent: Option<f64> = percent(),
        /// Over which requests are counted; 0s without.
        "budgetInterval" budget_interval: Option<Duration> = text(),
        /// Retries that are always allowed; 3 without.
        "minRetryConcurrency" min_retry_concurrency: Option<u32> = uint32(),
    }
}
