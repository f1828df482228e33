//! The scenarios by name.

use crate::hop::{Protocol, Row};
use crate::load::h2load::H2Load;
use crate::load::wrk::Wrk;
use crate::peers::Peer;

#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub about: &'static str,
    pub peers: &'static [Peer],
    pub work: Work,
}

#[derive(Debug, Clone, Copy)]
pub enum Work {
    /// As much as goes through a row of proxies.
    Throughput(Throughput),
    /// A proxy that knows this many services.
    Services(usize),
    /// This many connections that do nothing.
    Idle(usize),
}

#[derive(Debug, Clone, Copy)]
pub struct Throughput {
    pub row: Row,
    pub protocol: Protocol,
    pub load: Load,
    /// Whether latency at half of HAProxy's peak is measured too.
    pub latency: bool,
}

#[derive(Debug, Clone, Copy)]
pub enum Load {
    Wrk(Wrk),
    H2Load(H2Load),
    /// Echo on this many WebSockets.
    WebSocket(usize),
}

const HTTP1: Wrk = Wrk { connections: 64, path: "/", new_tls: false };
const LARGE: Wrk = Wrk { connections: 16, path: "/1mib", new_tls: false };
const HTTP2: H2Load = H2Load { connections: 8, streams: 16, path: "/", grpc: false };
const GRPC: H2Load = H2Load { connections: 8, streams: 16, path: "/bench.Echo/Say", grpc: true };
const NEW_TLS: Wrk = Wrk { connections: 16, path: "/", new_tls: true };

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "http1-hop",
        about: "one proxy, HTTP/1.1 on both sides, 64 kept connections, 100-byte responses",
        peers: &[Peer::Lateen, Peer::HaProxy, Peer::Envoy, Peer::Nginx, Peer::TcpRelay],
        work: Work::Throughput(Throughput {
            row: Row::Single,
            protocol: Protocol::Http1,
            load: Load::Wrk(HTTP1),
            latency: true,
        }),
    },
    Scenario {
        name: "http2-hop",
        about: "one proxy, HTTP/2 on both sides, 8 connections with 16 streams each, 100-byte responses",
        peers: &[Peer::Lateen, Peer::HaProxy, Peer::Envoy],
        work: Work::Throughput(Throughput {
            row: Row::Single,
            protocol: Protocol::Http2,
            load: Load::H2Load(HTTP2),
            latency: false,
        }),
    },
    Scenario {
        name: "grpc",
        about: "one proxy, unary gRPC calls on 8 connections with 16 streams each, 10 bytes there and 100 back",
        peers: &[Peer::Lateen, Peer::HaProxy, Peer::Envoy],
        work: Work::Throughput(Throughput {
            row: Row::Single,
            protocol: Protocol::Http2,
            load: Load::H2Load(GRPC),
            latency: false,
        }),
    },
    Scenario {
        name: "mtls-pair",
        about: "two proxies with mutual TLS between them and RBAC behind it (HAProxy: without RBAC), HTTP/1.1, 64 \
                kept connections; CPU of both",
        peers: &[Peer::Lateen, Peer::HaProxy, Peer::Envoy],
        work: Work::Throughput(Throughput {
            row: Row::Mesh(2),
            protocol: Protocol::Http1,
            load: Load::Wrk(HTTP1),
            latency: true,
        }),
    },
    Scenario {
        name: "chain5",
        about: "five proxies in a row with mutual TLS between them and RBAC behind it (HAProxy: without RBAC), \
                HTTP/1.1, 64 kept connections; CPU of all five",
        peers: &[Peer::Lateen, Peer::HaProxy, Peer::Envoy],
        work: Work::Throughput(Throughput {
            row: Row::Mesh(5),
            protocol: Protocol::Http1,
            load: Load::Wrk(HTTP1),
            latency: true,
        }),
    },
    Scenario {
        name: "tls-handshakes",
        about: "one proxy that ends TLS, every request on a new connection, full handshakes (TLS 1.3)",
        peers: &[Peer::Lateen, Peer::HaProxy, Peer::Envoy],
        work: Work::Throughput(Throughput {
            row: Row::Gateway,
            protocol: Protocol::Http1,
            load: Load::Wrk(NEW_TLS),
            latency: false,
        }),
    },
    Scenario {
        name: "body-1mib",
        about: "one proxy, HTTP/1.1, 16 kept connections, responses of 1 MiB",
        peers: &[Peer::Lateen, Peer::HaProxy, Peer::Envoy, Peer::Nginx, Peer::TcpRelay],
        work: Work::Throughput(Throughput {
            row: Row::Single,
            protocol: Protocol::Http1,
            load: Load::Wrk(LARGE),
            latency: false,
        }),
    },
    Scenario {
        name: "websocket-echo",
        about: "one proxy, 64 WebSockets, messages of 100 bytes there and back",
        peers: &[Peer::Lateen, Peer::HaProxy, Peer::Envoy, Peer::TcpRelay],
        work: Work::Throughput(Throughput {
            row: Row::Single,
            protocol: Protocol::Http1,
            load: Load::WebSocket(64),
            latency: false,
        }),
    },
    Scenario {
        name: "services-1",
        about: "a proxy that knows 1 service of 5 endpoints with mutual TLS; memory at rest, and time until it serves",
        peers: &[Peer::Lateen, Peer::Envoy],
        work: Work::Services(1),
    },
    Scenario {
        name: "services-1000",
        about: "a proxy that knows 1000 services of 5 endpoints with mutual TLS; memory at rest, and time until it serves",
        peers: &[Peer::Lateen, Peer::Envoy],
        work: Work::Services(1_000),
    },
    Scenario {
        name: "services-5000",
        about: "a proxy that knows 5000 services of 5 endpoints with mutual TLS; memory at rest, and time until it serves",
        peers: &[Peer::Lateen, Peer::Envoy],
        work: Work::Services(5_000),
    },
    Scenario {
        name: "idle-4000",
        about: "4000 connections that made one request and do nothing; memory that each takes, and what is left of it",
        peers: &[Peer::Lateen, Peer::HaProxy, Peer::Envoy],
        work: Work::Idle(4_000),
    },
    Scenario {
        name: "idle-15000",
        about: "15000 connections that made one request and do nothing; memory that each takes, and what is left of it",
        peers: &[Peer::Lateen, Peer::Envoy],
        work: Work::Idle(15_000),
    },
];

pub fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}
