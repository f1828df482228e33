//! LoadBalancerSettings of a DestinationRule:
//! <https://istio.io/latest/docs/reference/config/networking/destination-rule/#LoadBalancerSettings>.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Str;

use super::LoadBalancer;
use crate::reader::{Item, Read};
use crate::schema::macros::message;
use crate::schema::{
    boolean, choice, double, duration, list, map, object, percent, range, text, texts, uint32, uint64,
};

message! {
    /// How a host is picked among the endpoints.
    pub struct LoadBalancerSettings {
        "simple" simple: Option<LoadBalancer> = choice(&[
            "UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST",
        ]),
        "consistentHash" consistent_hash: Option<ConsistentHash> = object(&ConsistentHash::MESSAGE),
        "localityLbSetting" locality_lb_setting: Option<LocalityLbSetting> =
            object(&LocalityLbSetting::MESSAGE),
        "zoneAwareLbSetting" zone_aware_lb_setting: Option<ZoneAwareLbSetting> =
            object(&ZoneAwareLbSetting::MESSAGE),
        /// Deprecated: see warmup.
        "warmupDurationSecs" warmup_duration_secs: Option<Duration> = duration(),
        "warmup" warmup: Option<Warmup> = object(&Warmup::MESSAGE),
        "backendUtilization" backend_utilization: Option<BackendUtilization> =
            object(&BackendUtilization::MESSAGE),
    }
    one_of ["simple", "consistentHash", "backendUtilization"];
}

impl Read for LoadBalancer {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.one_of(&super::traffic_policy::SIMPLE)
    }
}

message! {
    /// The same host for the same value of a part of the request.
    pub struct ConsistentHash {
        "httpHeaderName" http_header_name: Option<Str> = text(),
        "httpCookie" http_cookie: Option<HttpCookie> = object(&HttpCookie::MESSAGE),
        "useSourceIp" use_source_ip: Option<bool> = boolean(),
        "httpQueryParameterName" http_query_parameter_name: Option<Str> = text(),
        "ringHash" ring_hash: Option<RingHash> = object(&RingHash::MESSAGE),
        "maglev" maglev: Option<Maglev> = object(&Maglev::MESSAGE),
        /// Deprecated: see ringHash.
        "minimumRingSize" minimum_ring_size: Option<u64> = uint64(),
    }
    one_of ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"];
    one_of ["ringHash", "maglev"];
}

message! {
    /// A cookie to hash by, made where there is none and ttl is given.
    pub struct HttpCookie {
        "name" name: Str = text().required(),
        "path" path: Str = text(),
        /// 0s: until the client's session ends.
        "ttl" ttl: Option<Duration> = text(),
        "attributes" attributes: Vec<CookieAttribute> = list(&object(&CookieAttribute::MESSAGE)),
    }
}

message! {
    /// An attribute of the cookie that is made.
    pub struct CookieAttribute {
        "name" name: Str = text().required(),
        "value" value: Str = text(),
    }
}

message! {
    /// Ketama hashing.
    pub struct RingHash {
        /// Virtual nodes; 1024 without.
        "minimumRingSize" minimum_ring_size: Option<u64> = uint64(),
    }
}

message! {
    /// Maglev hashing.
    pub struct Maglev {
        /// A prime number below 5000011; 65537 without.
        "tableSize" table_size: Option<u64> = uint64(),
    }
}

message! {
    /// Which localities get a client's requests.
    pub struct LocalityLbSetting {
        "distribute" distribute: Vec<Distribute> = list(&object(&Distribute::MESSAGE)),
        "failover" failover: Vec<Failover> = list(&object(&Failover::MESSAGE)),
        /// Labels that endpoints and client should share, most important first: KEY or KEY=VALUE.
        "failoverPriority" failover_priority: Vec<Str> = texts(),
        /// Absent: as the mesh says.
        "enabled" enabled: Option<bool> = boolean().nullable(),
    }
}

message! {
    /// Shares of the requests from one locality.
    pub struct Distribute {
        /// REGION/ZONE/SUBZONE, with * at the end for any.
        "from" from: Str = text(),
        /// Locality to percentage; they add up to 100.
        "to" to: BTreeMap<Str, u32> = map(&uint32()),
    }
}

message! {
    /// The region to use when another one has no healthy hosts.
    pub struct Failover {
        "from" from: Str = text(),
        "to" to: Str = text(),
    }
}

message! {
    /// Requests stay in the client's zone as far as its capacity allows.
    pub struct ZoneAwareLbSetting {
        "enabled" enabled: Option<bool> = boolean().nullable(),
        "failover" failover: Vec<Failover> = list(&object(&Failover::MESSAGE)),
        "failoverPriority" failover_priority: Vec<Str> = texts(),
        /// With fewer hosts than this all zones are used alike.
        "minClusterSize" min_cluster_size: Option<u32> = range(1, u32::MAX as i64).nullable(),
    }
}

message! {
    /// A new host gets its full share of requests only after a while.
    pub struct Warmup {
        "duration" duration: Option<Duration> = duration().required(),
        /// The share that it begins with, in percent; 10 without.
        "minimumPercent" minimum_percent: Option<f64> = percent(),
        /// The curve between; 1 is a straight line.
        "aggression" aggression: Option<f64> = double().min(0).nullable(),
    }
}

message! {
    /// Weights from the load that endpoints report (ORCA).
    pub struct BackendUtilization {
        "metricNamesForComputingUtilization" metric_names_for_computing_utilization: Vec<Str> = texts(),
        "errorUtilizationPenaltyPercent" error_utilization_penalty_percent: Option<u32> = uint32(),
        "weightUpdatePeriod" weight_update_period: Option<Duration> = text(),
        "weightStabilizationPeriod" weight_stabilization_period: Option<Duration> = text(),
        "weightExpirationPeriod" weight_expiration_period: Option<Duration> = text(),
    }
}
