//! Reading operators: by their names, with their arguments.

use super::request::{self, NameFrom, Source};
use super::{Operator, address, exchange, outcome, text, tls, wire};
use crate::format::time::TimeFormat;

impl Operator {
    /// Reads an operator.
    ///
    /// # Errors
    /// A sentence that names it.
    pub fn parse(name: &str, arguments: Option<&str>) -> Result<Self, String> {
        if let Some(of) = request::header_operator(name) {
            return request::header(name, of, arguments);
        }
        if let "START_TIME" | "EMIT_TIME" = name {
            let format = match arguments {
                Some(text) if !text.is_empty() => TimeFormat::parse(text)?,
                _ => TimeFormat::iso(),
            };
            return Ok(if name == "START_TIME" {
                Operator::StartTime(format)
            } else {
                Operator::EmitTime(format)
            });
        }
        if let Some(operator) = tls::validity_of(name, arguments.unwrap_or(""))? {
            return Ok(operator);
        }
        if let Some(operator) = with_arguments(name, arguments.unwrap_or(""))? {
            return Ok(operator);
        }
        if WITHOUT_VALUE.contains(&name) {
            tracing::warn!(operator = name, "is not known here, and always missing");
            return Ok(Operator::Value(|_, _| {}));
        }
        let unknown = || format!("the operator %{name}% is not supported");
        if name == "LOCAL_REPLY_BODY" && arguments.is_none() {
            return Ok(Operator::LocalReplyBody);
        }
        let plain = || outcome::plain(name).or_else(|| tls::plain(name)).map(Operator::Value);
        let told = exchange::endpoints(name).or_else(|| match exchange::numeric(name)? {
            (value, true) => Some(Operator::ToldNumber(value)),
            (value, false) => Some(Operator::Number(value)),
        });
        let told = told.or_else(|| {
            (name == "UPSTREAM_CONNECTION_IDS_ATTEMPTED")
                .then_some(Operator::ToldValue(exchange::connections))
        });
        let operator = told
            .or_else(|| wire::bytes(name))
            .or_else(|| address::address(name))
            .or_else(|| tls::details(name))
            .or_else(plain)
            .ok_or_else(unknown)?;
        match arguments.filter(|arguments| !arguments.is_empty()) {
            Some(arguments) => {
                Err(format!("%{name}% does not take any parameters or length, has ({arguments})"))
            }
            None => Ok(operator),
        }
    }
}

/// Operators whose arguments say what is meant; `None`: it is none of them.
fn with_arguments(name: &str, arguments: &str) -> Result<Option<Operator>, String> {
    let one_of = |allowed: &str| format!("%{name}% takes {allowed}, has ({arguments})");
    Ok(Some(match name {
        "GRPC_STATUS" => {
            outcome::grpc_status(arguments).ok_or_else(|| one_of("CAMEL_STRING, SNAKE_STRING or NUMBER"))?
        }
        "COMMON_DURATION" => exchange::common_duration(arguments)?,
        "COALESCE" => super::coalesce::parse(arguments)?,
        "PATH" => {
            let (query, source) = arguments.split_once(':').unwrap_or((arguments, ""));
            let query = match query {
                "" | "WQ" => true,
                "NQ" => false,
                _ => return Err(one_of("WQ or NQ")),
            };
            let source = request::source_of(source).ok_or_else(|| one_of("PATH, ORIG or ORIG_OR_PATH"))?;
            Operator::Path { query, source }
        }
        "QUERY_PARAM" if arguments.is_empty() => return Err(format!("%{name}% requires parameters")),
        "QUERY_PARAM" => Operator::Query { parameter: Some(arguments.to_owned()), source: Source::Now },
        "QUERY_PARAMS" => {
            let source = match arguments {
                "" => Source::Now,
                "ORIG" => Source::Original,
                _ => return Err(one_of("ORIG")),
            };
            Operator::Query { parameter: None, source }
        }
        "REQUESTED_SERVER_NAME" => {
            let (first, source) = arguments.split_once(':').unwrap_or((arguments, ""));
            let first = match first {
                "" | "SNI_ONLY" => NameFrom::Sni,
                "SNI_FIRST" => NameFrom::SniElseHost,
                "HOST_FIRST" => NameFrom::HostElseSni,
                _ => return Err(one_of("SNI_ONLY, SNI_FIRST or HOST_FIRST")),
            };
            let source = match source {
                "" | "HOST" => Source::Now,
                other => request::source_of(&other.replace("HOST", "PATH"))
                    .ok_or_else(|| one_of("HOST, ORIG or ORIG_OR_HOST"))?,
            };
            Operator::ServerName { first, source }
        }
        "DYNAMIC_METADATA" => {
            if arguments.is_empty() {
                return Err(format!("%{name}% requires parameters"));
            }
            Operator::Metadata(arguments.split(':').map(str::to_owned).collect())
        }
        "ENVIRONMENT" => {
            if arguments.is_empty() {
                return Err(format!("%{name}% requires parameters"));
            }
            // Envoy writes the dash even into JSON.
            Operator::Fixed(std::env::var(arguments).unwrap_or_else(|_| "-".to_owned()).into())
        }
        "RESPONSE_CODE_DETAILS" if arguments == "ALLOW_WHITESPACES" => {
            Operator::Value(|e, out| text(out, Some(&e.record.details)))
        }
        _ => match outcome::numeric(name) {
            Some(operator) if arguments.is_empty() => operator,
            Some(_) => {
                return Err(format!("%{name}% does not take any parameters or length, has ({arguments})"));
            }
            None => return Ok(address::masked(name, arguments)),
        },
    }))
}

/// Operators of Envoy's for which we know no value: always missing, and reported by name.
const WITHOUT_VALUE: &[&str] = &[
    "BYTES_RETRANSMITTED",
    "CEL",
    "CLUSTER_METADATA",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_CX_RTT",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256",
    "DOWNSTREAM_PEER_ISSUER_SERIAL",
    "DOWNSTREAM_TLS_SESSION_ID",
    "FILE_CONTENT",
    "FILTER_STATE",
    "METADATA",
    "PACKETS_RETRANSMITTED",
    "ROUNDTRIP_DURATION",
    "SPAN_ID",
    "START_TIME_LOCAL",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED",
    "UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_METADATA",
    "UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID",
    "UPSTREAM_TLS_SESSION_ID",
    "VIRTUAL_CLUSTER_NAME",
    "XFCC",
];
