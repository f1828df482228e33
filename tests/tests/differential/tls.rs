//! Certificates for topics, and both ends of TLS.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, OtherNameValue, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConnection, RootCertStore, ServerConnection, SupportedProtocolVersion, version};
use testkit::anyone::Anyone;

/// How a client speaks TLS: `tls sni=a.example alpn=h2,http/1.1 cert=client max=1.2`.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    sni: Option<String>,
    alpn: Vec<String>,
    cert: Option<String>,
    /// The only version.
    version: Option<String>,
}

impl Ask {
    /// The words after `tls`.
    pub fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        let mut ask = Ask::default();
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match name {
                "sni" => ask.sni = Some(value.to_owned()),
                "alpn" => ask.alpn = value.split(',').map(str::to_owned).collect(),
                "cert" => ask.cert = Some(value.to_owned()),
                "version" => ask.version = Some(value.to_owned()),
                other => panic!("tls {other}"),
            }
        }
        ask
    }
}

/// A folder with `ca.pem`, the root of all but the stranger's, and `NAME.pem` and `NAME.key` of
/// everybody else.
pub struct Certificates {
    pub folder: PathBuf,
}

impl Certificates {
    pub fn new(folder: &Path) -> Self {
        let (issuer, root) = authority("root");
        let (stranger, other) = authority("stranger");
        let all = Certificates { folder: folder.to_owned() };
        all.write("ca.pem", &root);
        all.write("other-ca.pem", &other);
        for (name, sans) in [
            ("a", ["DNS:a.example", "DNS:*.wild.example"].as_slice()),
            ("b", &["DNS:b.example", "IP:10.9.9.9", "EMAIL:b@b.example", "OTHER:b"]),
            ("good", &["DNS:up.example", "URI:spiffe://td/ns/n/sa/up"]),
            ("names", &["DNS:*.tls.ok.test", "DNS:alone.ok.test"]),
            (
                "client",
                &["DNS:client.example", "URI:spiffe://td/ns/n/sa/client", "IP:10.1.2.3", "IP:fd00::1"],
            ),
            ("named", &["EMAIL:me@client.example", "OTHER:me", "DNS:x.example"]),
            ("nobody", &["URI:spiffe://td/ns/n/sa/nobody"]),
        ] {
            all.issue(name, sans, &issuer, false);
        }
        all.issue("expired", &["DNS:up.example", "URI:spiffe://td/ns/n/sa/client"], &issuer, true);
        let (between, between_pem) = all.intermediate("Zwischen, + \u{fc}ber \"x\"", &issuer);
        let (loose, loose_pem) = all.intermediate("loose", &stranger);
        for (name, issuer, pem) in [("chained", &between, between_pem), ("unchained", &loose, loose_pem)] {
            all.issue(name, &["URI:spiffe://td/ns/n/sa/chained"], issuer, false);
            let leaf = std::fs::read_to_string(all.folder.join(format!("{name}.pem"))).expect("a leaf");
            all.write(&format!("{name}.pem"), &format!("{leaf}{pem}"));
        }
        all.issue("stranger", &["DNS:up.example", "URI:spiffe://td/ns/n/sa/client"], &stranger, false);
        all
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("writing a certificate");
    }

    fn issue(&self, name: &str, sans: &[&str], issuer: &Issuer<'static, KeyPair>, expired: bool) {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Lateen");
        params.distinguished_name.push(DnType::CommonName, name);
        let san = |san: &&str| match san.split_once(':') {
            Some(("URI", uri)) => SanType::URI(uri.try_into().expect("a URI")),
            Some(("IP", address)) => SanType::IpAddress(address.parse().expect("an address")),
            Some(("EMAIL", address)) => SanType::Rfc822Name(address.try_into().expect("an address")),
            Some(("OTHER", text)) => {
                let user_principal_name = vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3];
                SanType::OtherName((user_principal_name, OtherNameValue::Utf8String(text.to_owned())))
            }
            Some((_, name)) => SanType::DnsName(name.try_into().expect("a name")),
            None => panic!("{san}"),
        };
        params.subject_alt_names = sans.iter().map(san).collect();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(if expired { 2021 } else { 2090 }, 1, 1);
        let key = KeyPair::generate().expect("a key");
        self.write(&format!("{name}.pem"), &params.signed_by(&key, issuer).expect("a certificate").pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    /// One that issues certificates in another's name, and its certificate.
    fn intermediate(
        &self,
        name: &str,
        issuer: &Issuer<'static, KeyPair>,
    ) -> (Issuer<'static, KeyPair>, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.signed_by(&key, issuer).expect("an intermediate").pem();
        (Issuer::new(params, key), pem)
    }

    fn pair(&self, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let chain = CertificateDer::pem_file_iter(self.folder.join(format!("{name}.pem"))).expect("a file");
        let chain = chain.collect::<Result<_, _>>().expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(self.folder.join(format!("{name}.key"))).expect("a key");
        (chain, key)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(self.folder.join("ca.pem")).expect("a root");
        roots.add(root).expect("a root");
        roots
    }

    /// For a server that is `name`. `mutual`: clients need a certificate.
    pub fn server(&self, name: &str, mutual: bool) -> Arc<rustls::ServerConfig> {
        let (chain, key) = self.pair(name);
        let builder = rustls::ServerConfig::builder();
        let builder = match mutual {
            false => builder.with_no_client_auth(),
            true => {
                let verifier = rustls::server::WebPkiClientVerifier::builder(self.roots().into());
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        Arc::new(builder.with_single_cert(chain, key).expect("a configuration"))
    }
}

fn authority(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a root").pem();
    (Issuer::new(params, key), pem)
}

/// A client's configuration. Servers may be anybody: what they show is compared.
pub fn config(ask: &Ask, certificates: &Certificates) -> rustls::ClientConfig {
    let versions: &[&SupportedProtocolVersion] = match ask.version.as_deref() {
        Some("1.2") => &[&version::TLS12],
        Some("1.3") => &[&version::TLS13],
        _ => rustls::ALL_VERSIONS,
    };
    let builder = rustls::ClientConfig::builder_with_protocol_versions(versions)
        .dangerous()
        .with_custom_certificate_verifier(Anyone::new());
    let mut config = match &ask.cert {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let (chain, key) = certificates.pair(name);
            builder.with_client_auth_cert(chain, key).expect("a client's certificate")
        }
    };
    config.alpn_protocols = ask.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config.enable_sni = ask.sni.is_some();
    config
}

pub fn name(ask: &Ask) -> ServerName<'static> {
    let name = ask.sni.clone().unwrap_or_else(|| "none.example".to_owned());
    ServerName::try_from(name).expect("a name")
}

pub fn client(ask: &Ask, certificates: &Certificates) -> ClientConnection {
    ClientConnection::new(Arc::new(config(ask, certificates)), name(ask)).expect("a client")
}

/// What was agreed on, and whose certificate the server has shown.
pub fn spoken(client: &rustls::ClientConnection) -> String {
    let alpn = client.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    let server = client.peer_certificates().and_then(|chain| chain.first()).map(|it| common_name(it));
    format!("{:?} alpn={alpn:?} server={server:?}", client.protocol_version().expect("a version"))
}

/// What a server was asked for, and by whom.
pub fn asked(server: &ServerConnection) -> String {
    let client = server.peer_certificates().and_then(|chain| chain.first()).map(|it| common_name(it));
    let alpn = server.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    format!(" over TLS, sni={:?} alpn={alpn:?} client={client:?}", server.server_name())
}

fn common_name(certificate: &CertificateDer<'_>) -> String {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).expect("a certificate");
    let name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.unwrap_or_default().to_owned()
}

/// Why a connection has ended: the alert that said so, where there was one.
pub fn reason(error: &std::io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(alert)) => format!("alert {alert:?}"),
        Some(other) => other.to_string(),
        None if error.kind() == ErrorKind::WouldBlock => "no answer".into(),
        None => "closed early".into(),
    }
}
