//! Gateway: <https://istio.io/latest/docs/reference/config/networking/gateway/>.

use model::{Labels, Protocol, Str};

use crate::reader::{Absent, Fields, Item, Read};
use crate::schema::macros::{choice, message};
use crate::schema::rules::CERTIFICATE_SOURCES;
use crate::schema::{boolean, choice as one_of, list, object, text, text_map, texts, uint32};

message! {
    /// Ports that gateway workloads open, and the hosts they serve there.
    table SPEC {
        "servers" = list(&object(&SERVER)),
        /// Labels of the gateway's pods, in every namespace.
        "selector" = text_map(),
    }
}

message! {
    /// A port and its hosts.
    table SERVER {
        "port" = object(&PORT).required(),
        /// An IP address or unix:///PATH; all addresses without.
        "bind" = text(),
        /// HOST or NAMESPACE/HOST.
        "hosts" = texts().required(),
        "tls" = object(&TLS).rules(CERTIFICATE_SOURCES),
        /// Where traffic goes without a VirtualService.
        "defaultEndpoint" = text(),
        "name" = text(),
    }
}

message! {
    /// A port.
    table PORT {
        "number" = uint32().required(),
        "protocol" = text().required(),
        "name" = text().required(),
        /// Has no meaning here.
        "targetPort" = uint32(),
    }
}

message! {
    /// How a server secures its port.
    table TLS {
        /// Plain requests are sent to the same address with https.
        "httpsRedirect" = boolean(),
        "mode" = one_of(&[
            "PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL",
        ]),
        /// A file.
        "serverCertificate" = text(),
        /// A file.
        "privateKey" = text(),
        /// A file with the certificates that clients' must come from.
        "caCertificates" = text(),
        /// A file with revoked certificates.
        "caCrl" = text(),
        /// A Secret in the place of the files.
        "credentialName" = text(),
        /// Two Secrets, for RSA and ECDSA.
        "credentialNames" = list(&text()).min(1).max(2),
        /// A Secret with the certificates that clients' must come from.
        "caCertCredentialName" = text(),
        "tlsCertificates" = list(&object(&TlsCertificate::MESSAGE)).min(1).max(2),
        /// One of these must be in the client's certificate.
        "subjectAltNames" = texts(),
        /// SHA-256 hashes of public keys that clients may have, in base64.
        "verifyCertificateSpki" = texts(),
        /// SHA-256 hashes of certificates that clients may have, in hexadecimal.
        "verifyCertificateHash" = texts(),
        "minProtocolVersion" = one_of(TlsVersion::NAMES),
        "maxProtocolVersion" = one_of(TlsVersion::NAMES),
        "cipherSuites" = texts(),
        "ecdhCurves" = texts(),
        "insecureSkipVerify" = boolean().nullable(),
    }
}

message! {
    /// A certificate, as files.
    pub struct TlsCertificate {
        "serverCertificate" server_certificate: Str = text(),
        "privateKey" private_key: Str = text(),
        "caCertificates" ca_certificates: Str = text(),
    }
}

choice! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// As Envoy does.
        "TLS_AUTO" Auto,
        "TLSV1_0" V1_0,
        "TLSV1_1" V1_1,
        "TLSV1_2" V1_2,
        "TLSV1_3" V1_3,
    }
}

/// Ports that gateway workloads open, and the hosts they serve there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gateway {
    /// The pods it configures, in every namespace; empty: all gateways.
    pub selector: Labels,
    pub servers: Vec<Server>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub name: Option<Str>,
    /// An IP address; `None`: all.
    pub bind: Option<Str>,
    pub port: GatewayPort,
    /// As written: `HOST` or `NAMESPACE/HOST`, where the namespace (`.`, `*` or a name) limits the
    /// VirtualServices that may bind to it.
    pub hosts: Vec<Str>,
    pub tls: Option<ServerTls>,
    pub default_endpoint: Option<Str>,
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

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerTls {
    pub mode: Option<ServerTlsMode>,
    pub https_redirect: bool,
    pub credential_name: Option<Str>,
    pub credential_names: Vec<Str>,
    pub ca_cert_credential_name: Option<Str>,
    /// `serverCertificate`, `privateKey` and `caCertificates`, as far as given.
    pub certificate: TlsCertificate,
    pub certificates: Vec<TlsCertificate>,
    pub ca_crl: Option<Str>,
    pub subject_alt_names: Vec<Str>,
    pub verify_certificate_spki: Vec<Str>,
    pub verify_certificate_hash: Vec<Str>,
    pub min_protocol_version: Option<TlsVersion>,
    pub max_protocol_version: Option<TlsVersion>,
    pub cipher_suites: Vec<Str>,
    pub ecdh_curves: Vec<Str>,
    pub insecure_skip_verify: Option<bool>,
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
    let servers = spec.get("servers").map(|item| item.objects(read_server));
    let gateway =
        Gateway { selector: Absent::from_item(spec.get("selector")), servers: servers.unwrap_or_default() };
    spec.finish();
    gateway
}

fn read_server(fields: Fields<'_>) -> Option<Server> {
    let path = fields.path();
    let port_item = fields.get("port");
    let bind_item = fields.get("bind");
    let bind = bind_item.as_ref().and_then(|item| item.str()).filter(|bind| !bind.is_empty());
    let is_socket = bind.as_ref().is_some_and(|bind| bind.starts_with("unix:"));
    let port = port_item.as_ref().and_then(|item| read_port(item, is_socket));
    let tls_item = fields.get("tls");
    let tls = tls_item.as_ref().and_then(ServerTls::read);
    // Istio does not do anything with it either.
    fields.no_effect(&["defaultEndpoint"]);
    let unsupported = bind_item.filter(|_| is_socket).map(|item| item.unsupported_condition());
    let unsupported = unsupported.into_iter().collect();
    let server = Server {
        name: fields.get("name").and_then(|item| item.str()).filter(|n| !n.is_empty()),
        bind,
        port: port?,
        hosts: Absent::from_item(fields.get("hosts")),
        tls,
        default_endpoint: Absent::from_item(fields.get("defaultEndpoint")),
        unsupported,
        path,
    };
    fields.finish();
    Some(server)
}

fn read_port(item: &Item<'_>, is_socket: bool) -> Option<GatewayPort> {
    let fields = item.object()?;
    let number = fields.get("number");
    let number = match is_socket {
        true => number.and_then(|n| n.int(0, 0)).map(|_| 0),
        false => number.and_then(|n| n.port()),
    };
    let name: Str = Absent::from_item(fields.get("name"));
    let protocol = fields.get("protocol").and_then(|p| p.str()).and_then(|text| Protocol::by_name(&text));
    // Istio refuses it unless it is 0.
    fields.get("targetPort");
    fields.finish();
    Some(GatewayPort { number: number?, name, protocol: protocol? })
}

impl Read for ServerTls {
    fn read(item: &Item<'_>) -> Option<Self> {
        let fields = item.object()?;
        let some = |name| fields.get(name).and_then(|item| item.str()).filter(|text| !text.is_empty());
        let tls = ServerTls {
            mode: fields.get("mode").and_then(|item| item.one_of(&MODES)),
            https_redirect: Absent::from_item(fields.get("httpsRedirect")),
            credential_name: some("credentialName"),
            credential_names: Absent::from_item(fields.get("credentialNames")),
            ca_cert_credential_name: some("caCertCredentialName"),
            certificate: TlsCertificate::from_fields(&fields),
            certificates: Absent::from_item(fields.get("tlsCertificates")),
            ca_crl: some("caCrl"),
            subject_alt_names: Absent::from_item(fields.get("subjectAltNames")),
            verify_certificate_spki: Absent::from_item(fields.get("verifyCertificateSpki")),
            verify_certificate_hash: Absent::from_item(fields.get("verifyCertificateHash")),
            min_protocol_version: Absent::from_item(fields.get("minProtocolVersion")),
            max_protocol_version: Absent::from_item(fields.get("maxProtocolVersion")),
            cipher_suites: Absent::from_item(fields.get("cipherSuites")),
            ecdh_curves: Absent::from_item(fields.get("ecdhCurves")),
            insecure_skip_verify: Absent::from_item(fields.get("insecureSkipVerify")),
        };
        fields.finish();
        Some(tls)
    }
}
