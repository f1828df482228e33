//! Endpoints that fail requests are left out for a while.

use std::time::Duration;

/// `envoy.config.cluster.v3.OutlierDetection`. `None` is Envoy's default, in brackets.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/intro/arch_overview/upstream/outlier>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutlierDetection {
    /// Statuses from 500 in a row (5). Failures of our own count as such unless they are split off.
    pub consecutive_5xx: Option<u32>,
    /// Between two looks at rates and at who may return (10 s).
    pub interval: Option<Duration>,
    /// Times the number of ejections in a row (30 s).
    pub base_ejection_time: Option<Duration>,
    /// The base, if that is more (300 s).
    pub max_ejection_time: Option<Duration>,
    /// Added at random to the time of an ejection (0).
    pub max_ejection_time_jitter: Option<Duration>,
    /// Percent of the endpoints (10).
    pub max_ejection_percent: Option<u32>,
    /// One may be ejected, whatever the percentage says (false).
    pub always_eject_one_host: bool,
    /// Percent of the cases in which an ejection is carried out (100).
    pub enforcing_consecutive_5xx: Option<u32>,
    /// 502, 503 and 504 in a row (5).
    pub consecutive_gateway_failure: Option<u32>,
    /// (0)
    pub enforcing_consecutive_gateway_failure: Option<u32>,
    /// Failures to connect, timeouts and resets count on their own.
    pub split_external_local_origin_errors: bool,
    /// Where they are split off (5).
    pub consecutive_local_origin_failure: Option<u32>,
    /// (100)
    pub enforcing_consecutive_local_origin_failure: Option<u32>,
    /// Of endpoints far below the mean (100).
    pub enforcing_success_rate: Option<u32>,
    /// (100)
    pub enforcing_local_origin_success_rate: Option<u32>,
    /// Endpoints with enough requests, or no rate is looked at (5).
    pub success_rate_minimum_hosts: Option<u32>,
    /// Enough requests within an interval (100).
    pub success_rate_request_volume: Option<u32>,
    /// Thousandths of a standard deviation below the mean (1900).
    pub success_rate_stdev_factor: Option<u32>,
    /// Percent of an endpoint's requests (85).
    pub failure_percentage_threshold: Option<u32>,
    /// (0)
    pub enforcing_failure_percentage: Option<u32>,
    /// (0)
    pub enforcing_failure_percentage_local_origin: Option<u32>,
    /// (5)
    pub failure_percentage_minimum_hosts: Option<u32>,
    /// (50)
    pub failure_percentage_request_volume: Option<u32>,
    /// A health check that succeeds ends the ejection (true).
    pub successful_active_health_check_uneject_host: Option<bool>,
}
