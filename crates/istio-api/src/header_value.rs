//! Values of headers as Envoy writes them: `%COMMAND%` and `%COMMAND(ARGUMENTS)%` stand for something,
//! `%%` for a percent sign. See
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/headers#custom-request-response-headers>.

use crate::access_log::unknown_operators;

/// Why Envoy would refuse a value, and with it everything that comes along.
pub fn problem(text: &str) -> Option<String> {
    if let Err(why) = crate::validate::headers::value(text) {
        return Some(why);
    }
    unknown_operators(text).next().map(|operator| format!("%{}% is no operator of Envoy's", operator.name))
}
