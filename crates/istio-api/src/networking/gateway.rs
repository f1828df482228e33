//! Gateway: <https://istio.io/latest/docs/reference/config/networking/gateway/>.

use std::collections::BTreeSet;

use model::{Labels, Protocol, Str};

use crate::codes;
use crate::reader::{Fields, Item};
use crate::validate;

/// Ports that gateway workloads open, and the hosts they serve there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gateway {
    /// The pods it configures, in every namespace; empty: all gateways.
    pub selector: Labels,
    pub servers: Vec<Server>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub name: Option<Str>,
    /// An IP address; `None`: all.
    pub bind: Option<Str>,
    pub port: GatewayPort,
    /// As written: `HOST` or `NAMESPACE/HOST`, where the namespace (`.`, `*` or a name) limits the
    /// VirtualServices that may bind to it.
    pub hosts: Vec<Str>,
    pub tls: Option<ServerTls>,
    /// Field paths of what cannot be done yet: if there is one, this server opens no port.
    pub unsupported: Vec<Str>,
    /// Field path: `spec.servers[0]`.
    pub path: Str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayPort {
    /// 0 when `bind` is a Unix socket.
    pub number: u16,
    pub name: Str,
    pub protocol: Protocol,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    pub mode: Option<ServerTlsMode>,
    pub https_redirect: bool,
    pub credential_name: Option<Str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerTlsMode {
    Passthrough,
    Simple,
    Mutual,
    AutoPassthrough,
    IstioMutual,
    OptionalMutual,
}

const MODES: [(&str, ServerTlsMode); 6] = [
    ("PASSTHROUGH", ServerTlsMode::Passthrough),
    ("SIMPLE", ServerTlsMode::Simple),
    ("MUTUAL", ServerTlsMode::Mutual),
    ("AUTO_PASSTHROUGH", ServerTlsMode::AutoPassthrough),
    ("ISTIO_MUTUAL", ServerTlsMode::IstioMutual),
    ("OPTIONAL_MUTUAL", ServerTlsMode::OptionalMutual),
];

pub(crate) fn read(spec: Fields<'_>) -> Gateway {
    let selector = spec.get("selector").map(|item| validate::labels(&item)).unwrap_or_default();
    let mut names = BTreeSet::new();
    let servers = spec.get("servers").map(|item| item.objects(|f| read_server(f, &mut names)));
    let servers = servers.unwrap_or_default();
    if servers.is_empty() {
        spec.item().invalid("needs at least one server".into());
    }
    spec.finish();
    Gateway { selector, servers }
}

/// `names` are the port names of the servers before.
fn read_server(fields: Fields<'_>, names: &mut BTreeSet<Str>) -> Option<Server> {
    let path = fields.path();
    let port_item = fields.require("port");
    let bind_item = fields.get("bind");
    let is_socket = bind_item.as_ref().and_then(|b| b.str()).is_some_and(|b| b.starts_with("unix:"));
    let port = port_item.as_ref().and_then(|item| read_port(item, is_socket));
    if let (Some(item), Some(port)) = (&port_item, &port)
        && !names.insert(port.name.clone())
    {
        item.invalid(format!("the port name {} is given twice", port.name));
    }
    let hosts = fields.require("hosts");
    if let Some(item) = &hosts {
        validate::gateway_hosts(item);
    }
    let tls_item = fields.get("tls");
    let tls = tls_item.as_ref().and_then(read_tls);
    let bind = bind_item.as_ref().and_then(validate::bind_address);
    let name = fields.get("name").and_then(|item| item.str()).filter(|n| !n.is_empty());
    let mut unsupported = fields.conditions(&["defaultEndpoint"]);
    if is_socket {
        unsupported.extend(bind_item.map(|item| item.unsupported_condition()));
    }
    unsupported.extend(unsupported_parts(&port, port_item.as_ref(), &tls, tls_item.as_ref()));
    fields.finish();
    let hosts = hosts.map(|item| item.strings()).unwrap_or_default();
    Some(Server { name, bind, port: port?, hosts, tls, unsupported, path })
}

/// What keeps the port of a server closed: any protocol but HTTP, and TLS.
fn unsupported_parts(
    port: &Option<GatewayPort>,
    port_item: Option<&Item<'_>>,
    tls: &Option<ServerTls>,
    tls_item: Option<&Item<'_>>,
) -> Vec<Str> {
    let mut paths = Vec::new();
    let mut close = |item: &Item<'_>, what: String| {
        let message = format!("{what} has no effect yet: this server opens no port");
        item.report(model::Level::Warning, codes::NO_EFFECT, message);
        paths.push(item.path());
    };
    let Some(port) = port else { return paths };
    let encrypted = matches!(port.protocol, Protocol::Https | Protocol::Tls);
    match (tls, tls_item) {
        (None, _) if encrypted => {
            if let Some(item) = port_item {
                item.invalid(format!("a server of port {} needs tls", port.number));
            }
        }
        (Some(_), Some(item)) => close(item, "TLS at a gateway".into()),
        _ => {}
    }
    if let Some(item) = port_item.filter(|_| !port.protocol.is_http()) {
        close(item, format!("a gateway protocol other than HTTP, HTTP2 and GRPC ({:?})", port.protocol));
    }
    paths
}

fn read_port(item: &Item<'_>, is_socket: bool) -> Option<GatewayPort> {
    let fields = item.object()?;
    let number = fields.require("number");
    let number = match is_socket {
        true => number.and_then(|n| n.int(0, 0)).map(|_| 0),
        false => number.and_then(|n| n.port()),
    };
    let name = fields.require("name").and_then(|n| n.non_empty());
    let protocol = fields.require("protocol").and_then(|p| validate::protocol(&p));
    if let Some(target) = fields.get("targetPort") {
        let message = "is deprecated and has no effect";
        target.report(model::Level::Warning, codes::DEPRECATED, message.into());
    }
    fields.finish();
    Some(GatewayPort { number: number?, name: name?, protocol: protocol? })
}

fn read_tls(item: &Item<'_>) -> Option<ServerTls> {
    let fields = item.object()?;
    let tls = ServerTls {
        mode: fields.get("mode").and_then(|item| item.one_of(&MODES)),
        https_redirect: fields.get("httpsRedirect").and_then(|item| item.bool()).unwrap_or(false),
        credential_name: fields.get("credentialName").and_then(|item| item.str()),
    };
    // The block as a whole is reported, so its parts are only named.
    for name in ["serverCertificate", "privateKey", "caCertificates", "caCrl", "credentialNames"] {
        fields.get(name);
    }
    for name in ["caCertCredentialName", "tlsCertificates", "subjectAltNames", "insecureSkipVerify"] {
        fields.get(name);
    }
    for name in ["verifyCertificateSpki", "verifyCertificateHash", "minProtocolVersion"] {
        fields.get(name);
    }
    for name in ["maxProtocolVersion", "cipherSuites", "ecdhCurves"] {
        fields.get(name);
    }
    fields.finish();
    Some(tls)
}
