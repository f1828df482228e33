//! MeshConfig's access log format.

use std::collections::BTreeMap;

use ir::access_log::{LogContent, LogFormat};
use ir::bootstrap::Json;
use istio_api::MeshConfig;
use istio_api::value::Free;
use stdx::Str;

/// Istio's text format.
const DEFAULT_FORMAT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" \
    %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% \
    \"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% \
    %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \
    \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% \
    %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% \
    %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

/// Istio's JSON format.
const DEFAULT_JSON: &[(&str, &str)] = &[
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

/// The format of a mesh. With the encoding JSON, a format that is no object is not used, as in Istio.
pub fn format(mesh: &MeshConfig) -> LogFormat {
    let format = Some(&mesh.access_log_format).filter(|format| !format.is_empty());
    if !mesh.access_log_json {
        return format.map_or_else(|| DEFAULT_FORMAT.into(), |format| with_newline(format).into());
    }
    let fields = format.and_then(|format| object(format)).unwrap_or_else(|| {
        DEFAULT_JSON.iter().map(|(name, value)| (Str::new(name), Json::Text(Str::new(value)))).collect()
    });
    LogFormat { content: LogContent::Json(fields), omit_empty_values: false }
}

fn object(text: &str) -> Option<BTreeMap<Str, Json>> {
    match Free::parse(text).ok()?.into_iter().next()? {
        Free::Object(fields) => {
            Some(fields.iter().map(|(name, value)| (name.clone(), json(value))).collect())
        }
        _ => None,
    }
}

fn json(value: &Free) -> Json {
    match value {
        Free::Null => Json::Null,
        Free::Bool(value) => Json::Bool(*value),
        Free::Int(value) => Json::Number(value.to_string().into()),
        Free::Float(value) => Json::Number(value.to_string().into()),
        Free::Text(text) => Json::Text(text.clone()),
        Free::List(values) => Json::List(values.iter().map(json).collect()),
        Free::Object(fields) => {
            Json::Map(fields.iter().map(|(name, value)| (name.clone(), json(value))).collect())
        }
    }
}

/// Each record is a line of its own, as Istio makes it.
fn with_newline(format: &Str) -> Str {
    if format.ends_with('\n') { format.clone() } else { format!("{format}\n").into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encoding_decides() {
        let of = |json, text: &str| {
            let mesh =
                MeshConfig { access_log_json: json, access_log_format: text.into(), ..MeshConfig::default() };
            format(&mesh).content
        };
        let LogContent::Json(fields) = of(true, "") else { panic!() };
        assert_eq!(fields.get("response_code"), Some(&Json::Text("%RESPONSE_CODE%".into())));
        let LogContent::Json(fields) = of(true, r#"{"a": "%PROTOCOL%", "b": {"c": 1}}"#) else { panic!() };
        assert_eq!(fields.get("a"), Some(&Json::Text("%PROTOCOL%".into())));
        assert_eq!(fields.len(), 2);
        // No object: Istio's own.
        assert!(matches!(of(true, "x"), LogContent::Json(fields) if fields.len() == DEFAULT_JSON.len()));
        assert_eq!(of(false, "%PROTOCOL%"), LogContent::Text("%PROTOCOL%\n".into()));
    }
}
