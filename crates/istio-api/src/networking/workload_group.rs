//! WorkloadGroup: <https://istio.io/latest/docs/reference/config/networking/workload-group/>.

use std::collections::BTreeMap;

use model::{Labels, Str};

use super::WorkloadEntry;
use crate::schema::macros::message;
use crate::schema::rules::{HEADER, PROBE_SCHEME, WORKLOAD_TEMPLATE};
use crate::schema::{int32, list, object, port, text, text_map};

message! {
    /// What machines that join the mesh have in common.
    pub struct WorkloadGroup {
        "metadata" metadata: Option<GroupMetadata> = object(&GroupMetadata::MESSAGE),
        "template" template: Option<WorkloadEntry> =
            object(&WorkloadEntry::MESSAGE).rules(WORKLOAD_TEMPLATE).required(),
        "probe" probe: Option<ReadinessProbe> = object(&ReadinessProbe::MESSAGE),
    }
}

message! {
    /// Labels and annotations of the entries that are made.
    pub struct GroupMetadata {
        "labels" labels: Labels = text_map().max(256),
        "annotations" annotations: BTreeMap<Str, Str> = text_map().max(256),
    }
}

message! {
    /// How a machine's readiness is found out. Times are in seconds.
    pub struct ReadinessProbe {
        "initialDelaySeconds" initial_delay_seconds: Option<i32> = int32().min(0),
        "timeoutSeconds" timeout_seconds: Option<i32> = int32().min(0),
        "periodSeconds" period_seconds: Option<i32> = int32().min(0),
        "successThreshold" success_threshold: Option<i32> = int32().min(0),
        "failureThreshold" failure_threshold: Option<i32> = int32().min(0),
        "httpGet" http_get: Option<HttpProbe> = object(&HttpProbe::MESSAGE),
        "tcpSocket" tcp_socket: Option<TcpProbe> = object(&TcpProbe::MESSAGE),
        "exec" exec: Option<ExecProbe> = object(&ExecProbe::MESSAGE),
        "grpc" grpc: Option<GrpcProbe> = object(&GrpcProbe::MESSAGE),
    }
    one_of ["httpGet", "tcpSocket", "exec", "grpc"];
}

message! {
    /// Ready if a request is answered with 200 to 399.
    pub struct HttpProbe {
        "path" path: Option<Str> = text(),
        "port" port: Option<u16> = port().required(),
        "host" host: Option<Str> = text(),
        "scheme" scheme: Option<Str> = text().rules(PROBE_SCHEME),
        "httpHeaders" http_headers: Vec<ProbeHeader> = list(&object(&ProbeHeader::MESSAGE)),
    }
}

message! {
    /// A header of the probe's request.
    pub struct ProbeHeader {
        "name" name: Str = text().pattern(&HEADER),
        "value" value: Str = text(),
    }
}

message! {
    /// Ready if a connection can be made.
    pub struct TcpProbe {
        "host" host: Option<Str> = text(),
        "port" port: Option<u16> = port().required(),
    }
}

message! {
    /// Ready if a command ends with status 0.
    pub struct ExecProbe {
        "command" command: Vec<Str> = list(&text().min(1)).required(),
    }
}

message! {
    /// Ready if gRPC's health service says so.
    pub struct GrpcProbe {
        "port" port: Option<u16> = port(),
        "service" service: Option<Str> = text(),
    }
}
