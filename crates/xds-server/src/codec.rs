//! Responses go from the resources they carry into the transport's buffer, in one copy: a table of thousands
//! of hosts is megabytes for each client. What is written is what `DeltaDiscoveryResponse` encodes to.

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use prost::Message as _;
use prost::bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint};
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::Encoded;
use crate::stream::Response;

/// What is sent on a stream.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Resources(Response),
    /// An answer about a type that is not served.
    Nothing(DeltaDiscoveryResponse),
}

impl Outgoing {
    /// Bytes.
    pub fn len(&self) -> usize {
        match self {
            Outgoing::Resources(response) => len(response),
            Outgoing::Nothing(message) => message.encoded_len(),
        }
    }
}

/// The codec of delta streams.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AdsCodec;

impl Codec for AdsCodec {
    type Encode = Outgoing;
    type Decode = DeltaDiscoveryRequest;
    type Encoder = AdsCodec;
    type Decoder = AdsCodec;

    fn encoder(&mut self) -> AdsCodec {
        *self
    }

    fn decoder(&mut self) -> AdsCodec {
        *self
    }
}

impl Encoder for AdsCodec {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, item: Outgoing, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(item.len());
        match item {
            Outgoing::Resources(response) => write(&response, out),
            Outgoing::Nothing(message) => {
                message.encode(out).map_err(|error| Status::internal(error.to_string()))?;
            }
        }
        Ok(())
    }
}

impl Decoder for AdsCodec {
    type Item = DeltaDiscoveryRequest;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<DeltaDiscoveryRequest>, Status> {
        let decoded = DeltaDiscoveryRequest::decode(buf);
        decoded.map(Some).map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

/// Fields of `DeltaDiscoveryResponse`, of `Resource`, and of `Any`.
const RESOURCES: u32 = 2;
const TYPE_URL: u32 = 4;
const NONCE: u32 = 5;
const REMOVED: u32 = 6;
const VERSION: u32 = 1;
const RESOURCE: u32 = 2;
const NAME: u32 = 3;
const ANY_TYPE_URL: u32 = 1;
const ANY_VALUE: u32 = 2;

/// Lengths of a resource: of the `Any` in it, and of all of it.
fn lengths(resource: &Encoded, url: &str, version: &str) -> (usize, usize) {
    let any = field_len(url.len()) + field_len(resource.body.len());
    (any, field_len(version.len()) + message_len(any) + field_len(resource.name.len()))
}

fn len(response: &Response) -> usize {
    let url = response.ty.type_url();
    let resource = |it: &Encoded| message_len(lengths(it, url, &it.version.to_string()).1);
    let resources: usize = response.add.iter().map(|it| resource(it)).sum();
    // An element of a list is written even if it is empty.
    let removed: usize = response.remove.iter().map(|name| message_len(name.len())).sum();
    resources + field_len(url.len()) + field_len(response.nonce.len()) + removed
}

fn write(response: &Response, out: &mut impl BufMut) {
    let url = response.ty.type_url();
    for resource in &response.add {
        let version = resource.version.to_string();
        let (any, all) = lengths(resource, url, &version);
        begin(RESOURCES, all, out);
        text(VERSION, &version, out);
        begin(RESOURCE, any, out);
        text(ANY_TYPE_URL, url, out);
        if !resource.body.is_empty() {
            begin(ANY_VALUE, resource.body.len(), out);
            resource.body.parts().for_each(|part| out.put_slice(part));
        }
        text(NAME, &resource.name, out);
    }
    text(TYPE_URL, url, out);
    text(NONCE, &response.nonce, out);
    for name in &response.remove {
        begin(REMOVED, name.len(), out);
        out.put_slice(name.as_bytes());
    }
}

fn begin(tag: u32, len: usize, out: &mut impl BufMut) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(len as u64, out);
}

/// What is empty is not written.
fn text(tag: u32, value: &str, out: &mut impl BufMut) {
    if !value.is_empty() {
        begin(tag, value.len(), out);
        out.put_slice(value.as_bytes());
    }
}

/// With its key, which is one byte for all tags here.
fn message_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

fn field_len(len: usize) -> usize {
    if len == 0 { 0 } else { message_len(len) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use envoy_types::pb::envoy::service::discovery::v3::Resource;
    use envoy_types::pb::google::protobuf::Any;
    use ir::{ResourceType, RouteConfig, VirtualHost};

    use super::*;
    use crate::Hosts;
    use crate::stream::Response;

    fn route(name: &str, hosts: usize) -> Arc<Encoded> {
        let host = |number: usize| {
            let name = format!("host-{number}");
            Arc::new(VirtualHost {
                domains: vec![name.as_str().into()],
                name: name.into(),
                ..VirtualHost::default()
            })
        };
        let virtual_hosts = (0..hosts).map(host).collect();
        let config = RouteConfig { name: name.into(), virtual_hosts, ..RouteConfig::default() };
        Arc::new(Encoded::routes(&Arc::new(config), None, &mut Hosts::default()).unwrap())
    }

    /// As protobuf's own encoder has it, whatever the lengths.
    #[test]
    fn a_response_is_the_message() {
        let nameless = Arc::new(Encoded {
            ty: ResourceType::NameTable,
            name: "".into(),
            version: stdx::Digest(7),
            body: Vec::new().into(),
            references: Default::default(),
            step: None,
            origin: None,
        });
        for add in [vec![], vec![nameless], vec![route("80", 0), route("90", 3)], vec![route("all", 2000)]] {
            for remove in [vec![], vec!["a".into(), "".into(), "x".repeat(200).as_str().into()]] {
                let response =
                    Response { ty: ResourceType::Route, nonce: "12".into(), add: add.clone(), remove };
                let url = response.ty.type_url().to_owned();
                let resource = |it: &Arc<Encoded>| Resource {
                    name: it.name.to_string(),
                    version: it.version.to_string(),
                    resource: Some(Any { type_url: url.clone(), value: it.body.to_vec() }),
                    ..Resource::default()
                };
                let expected = DeltaDiscoveryResponse {
                    resources: response.add.iter().map(resource).collect(),
                    removed_resources: response.remove.iter().map(ToString::to_string).collect(),
                    type_url: url.clone(),
                    nonce: "12".into(),
                    ..DeltaDiscoveryResponse::default()
                };
                let mut bytes = Vec::new();
                write(&response, &mut bytes);
                assert_eq!(bytes, expected.encode_to_vec());
                assert_eq!(len(&response), bytes.len());
            }
        }
    }
}
