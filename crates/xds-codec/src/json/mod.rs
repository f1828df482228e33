//! Envoy's JSON: bootstrap files in, `/config_dump` out.
//!
//! The descriptors that this takes cost some MiB while they are unpacked, so they are unpacked for
//! a file or a dump and freed after it.

mod check;
mod pool;
mod yaml;

use ir::{Bootstrap, Resource};
use prost::Message;
use prost_reflect::DynamicMessage;
use serde_json::Value;

use crate::decode::at::{At, Sink};
use crate::{Any, DecodeError, Problem, decode, encode, pb};
use pool::Pool;

/// The longest bootstrap file, in bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// A bootstrap that was read, and what of it has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBootstrap {
    pub bootstrap: Bootstrap,
    /// Harmless keys that were ignored, by path (`stats_config`, `layered_runtime`, …).
    pub ignored: Vec<Problem>,
}

/// Reads Envoy's v3 bootstrap from JSON.
///
/// # Errors
/// Syntax errors (line and column in the message), unknown keys and everything not honoured, by path.
pub fn bootstrap_from_json(text: &str) -> Result<ReadBootstrap, DecodeError> {
    bounded(text)?;
    let value = serde_json::from_str(text).map_err(|error| whole(error.to_string()))?;
    bootstrap_from_value(&value)
}

/// Reads Envoy's v3 bootstrap from YAML (of which JSON is a part).
///
/// # Errors
/// As [`bootstrap_from_json`].
pub fn bootstrap_from_yaml(text: &str) -> Result<ReadBootstrap, DecodeError> {
    bounded(text)?;
    let value = yaml::read(text).map_err(whole)?;
    bootstrap_from_value(&value)
}

/// Reads Envoy's v3 bootstrap from a JSON value.
///
/// # Errors
/// As [`bootstrap_from_json`], save for syntax.
pub fn bootstrap_from_value(value: &Value) -> Result<ReadBootstrap, DecodeError> {
    let message = parse_bootstrap(value)?;
    let sink = Sink::default();
    let bootstrap = decode::bootstrap::bootstrap(At::root(&sink), message);
    let (problems, ignored) = sink.into_parts();
    if problems.is_empty() { Ok(ReadBootstrap { bootstrap, ignored }) } else { Err(refused(problems)) }
}

/// JSON to Envoy's message. The descriptors live in here only.
fn parse_bootstrap(value: &Value) -> Result<pb::bootstrap::Bootstrap, DecodeError> {
    let pool = Pool::new();
    let descriptor = pool.bootstrap();
    let sink = Sink::default();
    check::message(At::root(&sink), &descriptor, value);
    let problems = sink.problems();
    if !problems.is_empty() {
        return Err(refused(problems));
    }
    let message = DynamicMessage::deserialize(descriptor, value).map_err(|error| whole(error.to_string()))?;
    let bytes = message.encode_to_vec();
    drop((message, pool));
    pb::bootstrap::Bootstrap::decode(bytes.as_slice()).map_err(|error| whole(error.to_string()))
}

fn bounded(text: &str) -> Result<(), DecodeError> {
    if text.len() <= MAX_BYTES {
        return Ok(());
    }
    Err(whole(format!("{} bytes are more than the {MAX_BYTES} allowed", text.len())))
}

fn whole(message: String) -> DecodeError {
    refused(vec![Problem { path: Default::default(), message: message.into() }])
}

fn refused(problems: Vec<Problem>) -> DecodeError {
    DecodeError { name: None, problems }
}

/// Writes a bootstrap as Envoy and `lateen proxy` read it. Has private keys if they are inline.
pub fn bootstrap_to_json(bootstrap: &Bootstrap) -> Value {
    let pool = Pool::new();
    pool.to_json(pool.bootstrap(), &encode::bootstrap(bootstrap).encode_to_vec())
}

/// A resource as protobuf JSON with `@type`, for `/config_dump`. One pool of descriptors is built
/// per call: use [`Dump`] for several.
pub fn resource_to_json(resource: &Resource) -> Value {
    Dump::new().resource(resource)
}

/// Turns messages into JSON for people. Holds descriptors of some MiB: drop it after use.
pub struct Dump(Pool);

impl Default for Dump {
    fn default() -> Self {
        Self::new()
    }
}

impl Dump {
    pub fn new() -> Self {
        Dump(Pool::new())
    }

    /// A resource as protobuf JSON with `@type`. Private keys are left out.
    pub fn resource(&self, resource: &Resource) -> Value {
        self.any(&encode::resource(resource))
    }

    /// A bootstrap as protobuf JSON. Private keys are left out.
    pub fn bootstrap(&self, bootstrap: &Bootstrap) -> Value {
        redacted(self.0.to_json(self.0.bootstrap(), &encode::bootstrap(bootstrap).encode_to_vec()))
    }

    /// A packed message as protobuf JSON with `@type`; of an unknown type, only that. Private keys
    /// are left out.
    pub fn any(&self, any: &Any) -> Value {
        redacted(self.0.any_to_json(any))
    }
}

/// What Envoy shows in place of a secret, in base64.
const REDACTED: &str = "W3JlZGFjdGVkXQ==";

fn redacted(mut value: Value) -> Value {
    redact(&mut value);
    value
}

fn redact(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(redact),
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::Object(source) if key == "private_key" && !source.contains_key("filename") => {
                        source.clear();
                        source.insert("inline_bytes".into(), REDACTED.into());
                    }
                    _ => redact(value),
                }
            }
        }
        _ => {}
    }
}
