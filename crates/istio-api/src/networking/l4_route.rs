//! TLSRoute and TCPRoute of a VirtualService:
//! <https://istio.io/latest/docs/reference/config/networking/virtual-service/#TLSRoute>.

use model::{Labels, Str};

use super::Destination;
use super::http_route::DESTINATION;
use crate::schema::macros::message;
use crate::schema::{int32, list, object, text, text_map, texts, uint32};

message! {
    /// A rule for TLS that is not terminated, by server name.
    pub struct TlsRoute {
        /// One of these must match.
        "match" matches: Vec<TlsMatch> = list(&object(&TlsMatch::MESSAGE)).required(),
        "route" route: Vec<L4Destination> = list(&object(&L4Destination::MESSAGE)),
    }
}

message! {
    /// Conditions on a TLS connection, all of which must hold.
    pub struct TlsMatch {
        "sniHosts" sni_hosts: Vec<Str> = texts().required(),
        "destinationSubnets" destination_subnets: Vec<Str> = texts(),
        "port" port: Option<u32> = uint32(),
        "sourceLabels" source_labels: Labels = text_map(),
        "gateways" gateways: Vec<Str> = texts(),
        "sourceNamespace" source_namespace: Option<Str> = text(),
    }
}

message! {
    /// A rule for plain TCP.
    pub struct TcpRoute {
        /// One of these must match; empty: every connection does.
        "match" matches: Vec<L4Match> = list(&object(&L4Match::MESSAGE)),
        "route" route: Vec<L4Destination> = list(&object(&L4Destination::MESSAGE)),
    }
}

message! {
    /// Conditions on a TCP connection, all of which must hold.
    pub struct L4Match {
        "destinationSubnets" destination_subnets: Vec<Str> = texts(),
        "port" port: Option<u32> = uint32(),
        "sourceSubnet" source_subnet: Option<Str> = text(),
        "sourceLabels" source_labels: Labels = text_map(),
        "gateways" gateways: Vec<Str> = texts(),
        "sourceNamespace" source_namespace: Option<Str> = text(),
    }
}

message! {
    /// A destination and its share of the connections.
    pub struct L4Destination {
        "destination" destination: Option<Destination> = object(&DESTINATION).required(),
        "weight" weight: Option<i32> = int32(),
    }
}
