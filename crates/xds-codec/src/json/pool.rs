//! The descriptors, unpacked.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Value, json};

use crate::Any;

/// Made by the build script.
static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

const RESPONSE: &str = "envoy.service.discovery.v3.DiscoveryResponse";
const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

/// Those in use at present.
static IN_USE: Mutex<Weak<DescriptorPool>> = Mutex::new(Weak::new());

pub(super) struct Pool(Arc<DescriptorPool>);

impl Pool {
    /// Shares what somebody has unpacked and still holds. Cannot fail at run time: the bytes are a constant
    /// of the build, which a test reads.
    pub fn new() -> Self {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        Pool(in_use.upgrade().unwrap_or_else(|| {
            let unpacked = DescriptorPool::decode(DESCRIPTORS);
            let unpacked = Arc::new(unpacked.expect("the build script writes valid descriptors"));
            *in_use = Arc::downgrade(&unpacked);
            unpacked
        }))
    }

    pub fn bootstrap(&self) -> MessageDescriptor {
        self.0.get_message_by_name(BOOTSTRAP).expect("the build script keeps the bootstrap's descriptor")
    }

    pub fn response(&self) -> MessageDescriptor {
        self.0.get_message_by_name(RESPONSE).expect("the build script keeps the response's descriptor")
    }

    /// The encoded message as JSON with the names of the `.proto`, as Envoy writes it.
    pub fn to_json(&self, descriptor: MessageDescriptor, bytes: &[u8]) -> Value {
        let name = descriptor.full_name().to_owned();
        let options = SerializeOptions::new().use_proto_field_name(true);
        let written = DynamicMessage::decode(descriptor, bytes).map_err(|error| error.to_string()).and_then(
            |message| {
                message
                    .serialize_with_options(serde_json::value::Serializer, &options)
                    .map_err(|error| error.to_string())
            },
        );
        // We wrote the bytes ourselves. If that ever goes wrong a dump says so and goes on.
        written.unwrap_or_else(|error| json!({ "error": format!("{name} cannot be shown: {error}") }))
    }

    pub fn any_to_json(&self, any: &Any) -> Value {
        let name = any.type_url.rsplit('/').next().unwrap_or_default();
        let mut value = match self.0.get_message_by_name(name) {
            Some(descriptor) => self.to_json(descriptor, &any.value),
            None => json!({}),
        };
        if let Value::Object(fields) = &mut value {
            fields.insert("@type".into(), any.type_url.as_str().into());
        }
        value
    }
}
