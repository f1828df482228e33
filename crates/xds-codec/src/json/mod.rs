//! Envoy's JSON: bootstrap files in, `/config_dump` out.
//!
//! The descriptors that this takes cost some MiB while they are unpacked, so they are unpacked for
//! a file or a dump and freed after it.

mod pool;
mod response;
mod transcode;
mod yaml;

use std::sync::mpsc;

use ir::{Bootstrap, Resource};
use prost::Message;
use serde::Deserializer;
use serde_json::Value;

use crate::decode::at::{At, Sink};
use crate::{Any, DecodeError, Problem, decode, encode, pb};
use pool::Pool;
pub use response::{ReadResponse, response_from_bytes, response_from_json, response_from_yaml};
use transcode::Output;

/// Keeps the descriptors unpacked while it lives (some 20 MiB): for who reads many files.
pub struct Unpacked {
    _pool: Pool,
}

impl Unpacked {
    #[expect(clippy::new_without_default, reason = "it is made for what it costs")]
    pub fn new() -> Self {
        Unpacked { _pool: Pool::new() }
    }
}

/// The longest bootstrap file, in bytes.
pub const MAX_BYTES: usize = 64 << 20;

/// A bootstrap that was read, and what of it has no effect here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBootstrap {
    pub bootstrap: Bootstrap,
    /// What each of `bootstrap.clusters` was decoded from: who keeps clusters encoded need not do that.
    pub encoded_clusters: Vec<Box<[u8]>>,
    /// Harmless keys that were ignored, by path (`stats_config`, `layered_runtime`, …).
    pub ignored: Vec<Problem>,
}

/// Reads Envoy's v3 bootstrap from JSON, one static resource after the other.
///
/// # Errors
/// Syntax errors (line and column in the message), unknown keys and everything not honoured, by path.
pub fn bootstrap_from_json(text: &str) -> Result<ReadBootstrap, DecodeError> {
    bounded(text)?;
    let mut json = serde_json::Deserializer::from_str(text);
    let read = read(&mut json);
    // Whatever was wrong before, a text that is not JSON is that above all.
    json.end().map_err(|error| whole(error.to_string()))?;
    read
}

/// Reads Envoy's v3 bootstrap from YAML (of which JSON is a part).
///
/// # Errors
/// As [`bootstrap_from_json`].
pub fn bootstrap_from_yaml(text: &str) -> Result<ReadBootstrap, DecodeError> {
    bounded(text)?;
    read(yaml::read(text).map_err(whole)?)
}

/// Reads Envoy's v3 bootstrap from a JSON value.
///
/// # Errors
/// As [`bootstrap_from_json`], save for syntax.
pub fn bootstrap_from_value(value: &Value) -> Result<ReadBootstrap, DecodeError> {
    read(value)
}

/// How many resources go from the one thread to the other at once: on a single core either has to sleep
/// for the other to work.
const AT_ONCE: usize = 64;

/// A static resource: its field, its index there, its bytes.
type Taken = (String, usize, Vec<u8>);

/// A resource lives as JSON, as protobuf and as Envoy's message only until it is `ir`: a proxy that
/// knows thousands of services should not have needed many times their memory for a moment.
///
/// A thread of its own turns JSON into protobuf. The descriptors for that take some 20 MiB in small
/// pieces, and what stays would otherwise lie scattered among them, in pages that nobody can free.
fn read<'de, D>(from: D) -> Result<ReadBootstrap, DecodeError>
where
    D: Deserializer<'de, Error = serde_json::Error> + Send,
{
    let sink = Sink::default();
    let root = At::root(&sink);
    let mut resources = decode::bootstrap::StaticResources::default();
    let (sender, receiver) = mpsc::sync_channel::<Vec<Taken>>(1);
    let read = std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().name("bootstrap".to_owned()).stack_size(STACK);
        let reader = reader.spawn_scoped(scope, move || {
            let mut taken = Vec::with_capacity(AT_ONCE);
            let read = to_bytes(from, &mut |field, index, bytes| {
                taken.push((field.to_owned(), index, bytes.to_vec()));
                if taken.len() == AT_ONCE {
                    // The other side takes all of them.
                    let _ = sender.send(std::mem::take(&mut taken));
                }
            });
            let _ = sender.send(taken);
            read
        })?;
        for (field, index, bytes) in receiver.into_iter().flatten() {
            resources.take(root, &field, index, &bytes);
        }
        reader.join().map_err(|_| std::io::Error::other("the reader panicked"))
    });
    let (bytes, found) = read.map_err(|error| whole(format!("no thread to read it: {error}")))?;
    let bytes = bytes.map_err(|error| whole(error.to_string()))?;
    let mut bootstrap = Bootstrap::default();
    let readable = At::root(&found).problems() == 0;
    sink.add(found);
    if readable {
        let message = pb::bootstrap::Bootstrap::decode(bytes.as_slice());
        let message = message.map_err(|error| whole(error.to_string()))?;
        bootstrap = decode::bootstrap::bootstrap(root, message);
    }
    let encoded_clusters = resources.into(&mut bootstrap);
    let (problems, ignored) = sink.into_parts();
    if !problems.is_empty() {
        return Err(refused(problems));
    }
    Ok(ReadBootstrap { bootstrap, encoded_clusters, ignored })
}

/// As much as a main thread has: a text may be nested up to 128 levels.
const STACK: usize = 8 << 20;

/// The bootstrap without its static resources, which are given to `take`, and what was wrong.
fn to_bytes<'de>(
    from: impl Deserializer<'de, Error = serde_json::Error>,
    take: transcode::TakeResource<'_>,
) -> (Result<Vec<u8>, serde_json::Error>, Sink) {
    let sink = Sink::default();
    let mut out = Output::new(take);
    // The descriptors live in here only.
    let pool = Pool::new();
    let read = transcode::message(At::root(&sink), &pool.bootstrap(), &mut out, from);
    (read.map(|()| out.into_bytes()), sink)
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
