//! OutlierDetection of a DestinationRule:
//! <https://istio.io/latest/docs/reference/config/networking/destination-rule/#OutlierDetection>.

use std::time::Duration;

use crate::schema::macros::message;
use crate::schema::{boolean, duration, int32, list, range, uint32};

message! {
    /// When a host is taken out of the load balancing for a while.
    pub struct OutlierDetection {
        /// Deprecated: see the other two counters.
        "consecutiveErrors" consecutive_errors: Option<i32> = int32(),
        /// Failures of our own (a connection refused, a timeout) are counted apart.
        "splitExternalLocalOriginErrors" split_external_local_origin_errors: bool = boolean(),
        /// Failures of our own in a row; needs splitExternalLocalOriginErrors.
        "consecutiveLocalOriginFailures" consecutive_local_origin_failures: Option<u32> = uint32().nullable(),
        /// Answers 502, 503 and 504 in a row; 0 switches it off.
        "consecutiveGatewayErrors" consecutive_gateway_errors: Option<u32> = uint32().nullable(),
        /// Answers of 500 and above in a row; 0 switches it off, 5 without.
        "consecutive5xxErrors" consecutive_5xx_errors: Option<u32> = uint32().nullable(),
        /// Time between two looks at all hosts; 10s without.
        "interval" interval: Option<Duration> = duration(),
        /// How long a host is out the first time; 30s without.
        "baseEjectionTime" base_ejection_time: Option<Duration> = duration(),
        /// The share of hosts that may be out at once, in percent; 10 without.
        "maxEjectionPercent" max_ejection_percent: Option<i32> = int32(),
        /// Below this share of healthy hosts nothing is ejected, in percent.
        "minHealthPercent" min_health_percent: Option<i32> = int32(),
        /// Statuses that count as errors; 500 and above without.
        "outlierDetectionHttpErrorCodes" outlier_detection_http_error_codes: Vec<u16> = list(&range(100, 599)),
    }
}
