//! Telemetry: <https://istio.io/latest/docs/reference/config/telemetry/>.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Str;

use crate::schema::macros::{choice, message};
use crate::schema::rules::{SELECTOR_OR_TARGET, TAG_OVERRIDE};
use crate::schema::{boolean, choice as one_of, duration, list, map, object, percent, text};
use crate::selector::{Selector, TargetReference};

message! {
    /// What proxies measure, trace and log.
    pub struct Telemetry {
        "selector" selector: Option<Selector> = object(&Selector::MESSAGE),
        "targetRef" target_ref: Option<TargetReference> = object(&TargetReference::MESSAGE),
        "targetRefs" target_refs: Vec<TargetReference> = list(&object(&TargetReference::MESSAGE)).max(16),
        "tracing" tracing: Vec<Tracing> = list(&object(&Tracing::MESSAGE)),
        "metrics" metrics: Vec<Metrics> = list(&object(&Metrics::MESSAGE)),
        "accessLogging" access_logging: Vec<AccessLogging> = list(&object(&AccessLogging::MESSAGE)),
    }
    rules SELECTOR_OR_TARGET;
}

message! {
    /// Spans. What is absent is as the wider Telemetry or the mesh says.
    pub struct Tracing {
        "match" matches: Option<ModeMatch> = object(&ModeMatch::MESSAGE),
        "providers" providers: Vec<ProviderRef> = list(&object(&ProviderRef::MESSAGE)),
        /// The share of requests that are traced though nobody asked for it.
        "randomSamplingPercentage" random_sampling_percentage: Option<f64> = percent(),
        "disableSpanReporting" disable_span_reporting: Option<bool> = boolean().nullable(),
        "customTags" custom_tags: BTreeMap<Str, CustomTag> = map(&object(&CustomTag::MESSAGE)),
        "useRequestIdForTraceSampling" use_request_id_for_trace_sampling: Option<bool> = boolean().nullable(),
        "enableIstioTags" enable_istio_tags: Option<bool> = boolean().nullable(),
        "disableContextPropagation" disable_context_propagation: Option<bool> = boolean().nullable(),
    }
}

message! {
    /// A tag of spans, from one source.
    pub struct CustomTag {
        "literal" literal: Option<TagValue> = object(&TagValue::MESSAGE),
        "environment" environment: Option<TagSource> = object(&TagSource::MESSAGE),
        "header" header: Option<TagSource> = object(&TagSource::MESSAGE),
        /// In the form of access logs.
        "formatter" formatter: Option<TagValue> = object(&TagValue::MESSAGE),
    }
    one_of ["literal", "environment", "header", "formatter"];
}

message! {
    /// A fixed value.
    pub struct TagValue {
        "value" value: Str = text().min(1).required(),
    }
}

message! {
    /// An environment variable or a header.
    pub struct TagSource {
        "name" name: Str = text().min(1).required(),
        "defaultValue" default_value: Option<Str> = text(),
    }
}

message! {
    /// Metrics and how they differ from the standard.
    pub struct Metrics {
        "providers" providers: Vec<ProviderRef> = list(&object(&ProviderRef::MESSAGE)),
        "overrides" overrides: Vec<MetricsOverride> = list(&object(&MetricsOverride::MESSAGE)),
        "reportingInterval" reporting_interval: Option<Duration> = duration(),
    }
}

message! {
    /// Changes to some metrics.
    pub struct MetricsOverride {
        /// Absent: all metrics.
        "match" matches: Option<MetricSelector> = object(&MetricSelector::MESSAGE),
        "disabled" disabled: Option<bool> = boolean().nullable(),
        "tagOverrides" tag_overrides: BTreeMap<Str, TagOverride> =
            map(&object(&TagOverride::MESSAGE).rules(TAG_OVERRIDE)),
    }
}

message! {
    /// Selects metrics by name and side.
    pub struct MetricSelector {
        "metric" metric: Option<IstioMetric> = one_of(IstioMetric::NAMES),
        "customMetric" custom_metric: Option<Str> = text().min(1),
        "mode" mode: Option<Mode> = one_of(Mode::NAMES),
    }
    one_of ["metric", "customMetric"];
}

message! {
    /// A change to one dimension of a metric.
    pub struct TagOverride {
        "operation" operation: Option<TagOperation> = one_of(TagOperation::NAMES),
        /// An expression over Envoy's attributes.
        "value" value: Option<Str> = text(),
    }
}

message! {
    /// Access logs.
    pub struct AccessLogging {
        "match" matches: Option<ModeMatch> = object(&ModeMatch::MESSAGE),
        "providers" providers: Vec<ProviderRef> = list(&object(&ProviderRef::MESSAGE)),
        "disabled" disabled: Option<bool> = boolean().nullable(),
        "filter" filter: Option<LogFilter> = object(&LogFilter::MESSAGE),
    }
}

message! {
    /// Which requests are logged.
    pub struct LogFilter {
        /// In CEL, over Envoy's attributes.
        "expression" expression: Str = text(),
    }
}

message! {
    /// Which side of a request.
    pub struct ModeMatch {
        "mode" mode: Option<Mode> = one_of(Mode::NAMES),
    }
}

message! {
    /// An extension provider of the mesh.
    pub struct ProviderRef {
        "name" name: Str = text().min(1).required(),
    }
}

choice! {
    /// Which side of a request a proxy is on.
    pub enum Mode {
        "CLIENT_AND_SERVER" ClientAndServer,
        "CLIENT" Client,
        "SERVER" Server,
    }
}

choice! {
    /// What is done with a dimension.
    pub enum TagOperation {
        "UPSERT" Upsert,
        "REMOVE" Remove,
    }
}

choice! {
    /// The metrics that every proxy has.
    pub enum IstioMetric {
        "ALL_METRICS" AllMetrics,
        "REQUEST_COUNT" RequestCount,
        "REQUEST_DURATION" RequestDuration,
        "REQUEST_SIZE" RequestSize,
        "RESPONSE_SIZE" ResponseSize,
        "TCP_OPENED_CONNECTIONS" TcpOpenedConnections,
        "TCP_CLOSED_CONNECTIONS" TcpClosedConnections,
        "TCP_SENT_BYTES" TcpSentBytes,
        "TCP_RECEIVED_BYTES" TcpReceivedBytes,
        "GRPC_REQUEST_MESSAGES" GrpcRequestMessages,
        "GRPC_RESPONSE_MESSAGES" GrpcResponseMessages,
    }
}
