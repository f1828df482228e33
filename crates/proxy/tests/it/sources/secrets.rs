//! Certificates from files: `sds_config.path_config_source`, and the files that such a secret names.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rcgen::{CertificateParams, KeyPair};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::backend::Backend;
use crate::support::{free_port, start_bootstrap};

/// A certificate and its key, PEM.
struct Pair {
    chain: String,
    key: String,
}

fn pair() -> Pair {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    Pair { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// Trusts these and nobody else.
fn connect(to: SocketAddr, trusted: &[&Pair]) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    for pair in trusted {
        roots.add(CertificateDer::from_pem_slice(pair.chain.as_bytes()).unwrap()).unwrap();
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("a.example").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    StreamOwned::new(connection, stream)
}

fn get(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")?;
    let mut room = [0; 1024];
    let len = stream.read(&mut room)?;
    Ok(String::from_utf8_lossy(&room[..len]).into_owned())
}

/// Whether new connections are served with this certificate, within a while.
#[track_caller]
fn expect(to: SocketAddr, pair: &Pair) {
    let begin = Instant::now();
    loop {
        match get(&mut connect(to, &[pair])) {
            Ok(text) if text.starts_with("HTTP/1.1 200") => return,
            other => assert!(begin.elapsed() < Duration::from_secs(5), "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// As Kubernetes does it: files are links through `..data`, which is moved from one folder to the next.
fn mount(folder: &Path, number: u32, pair: &Pair) {
    let data = folder.join(format!("..{number}"));
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("tls.crt"), &pair.chain).unwrap();
    std::fs::write(data.join("tls.key"), &pair.key).unwrap();
    let new = folder.join("..data_tmp");
    symlink(format!("..{number}"), &new).unwrap();
    std::fs::rename(new, folder.join("..data")).unwrap();
    if number > 1 {
        std::fs::remove_dir_all(folder.join(format!("..{}", number - 1))).unwrap();
    }
    for name in ["tls.crt", "tls.key"].into_iter().filter(|_| number == 1) {
        symlink(format!("..data/{name}"), folder.join(name)).unwrap();
    }
}

fn secret(body: &str) -> String {
    let ty = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
    format!("resources:\n- {{'@type': {ty}, name: server, tls_certificate: {{{body}}}}}\n")
}

#[test]
fn certificates_rotate_and_connections_stay() {
    let folder = tempfile::tempdir().unwrap();
    let certs = folder.path().join("certs");
    std::fs::create_dir(&certs).unwrap();
    let (backend, address) = (Backend::start("b"), free_port());
    let (first, second, third) = (pair(), pair(), pair());
    mount(&certs, 1, &first);
    let sds = folder.path().join("sds.yaml");
    let named = secret(&format!(
        "certificate_chain: {{filename: {0}/tls.crt}}, private_key: {{filename: {0}/tls.key}}, watched_directory: {{path: {0}}}",
        certs.display()
    ));
    std::fs::write(&sds, &named).unwrap();
    let ty = "type.googleapis.com/envoy.extensions";
    let socket =
        |it: SocketAddr| format!("{{socket_address: {{address: {}, port_value: {}}}}}", it.ip(), it.port());
    let text = format!(
        "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}\nstatic_resources:\n  clusters:\n  \
         - name: b\n    load_assignment: {{cluster_name: b, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]}}\n  \
         listeners:\n  - name: l\n    address: {}\n    filter_chains:\n    - transport_socket:\n        name: tls\n        \
         typed_config:\n          '@type': {ty}.transport_sockets.tls.v3.DownstreamTlsContext\n          common_tls_context:\n            \
         tls_certificate_sds_secret_configs:\n            - {{name: server, sds_config: {{path_config_source: {{path: {}}}}}}}\n      \
         filters:\n      - name: hcm\n        typed_config:\n          '@type': {ty}.filters.network.http_connection_manager.v3.HttpConnectionManager\n          \
         stat_prefix: t\n          route_config: {{name: r, virtual_hosts: [{{name: v, domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: b}}}}]}}]}}\n          \
         http_filters: [{{name: router, typed_config: {{'@type': {ty}.filters.http.router.v3.Router}}}}]\n",
        socket(backend.address),
        socket(address),
        sds.display(),
    );
    let bootstrap = xds_codec::json::bootstrap_from_yaml(&text).unwrap().bootstrap;
    let _proxy = start_bootstrap(bootstrap, address);
    let begin = Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(5), "the listener waits for its certificate");
        std::thread::sleep(Duration::from_millis(5));
    }
    expect(address, &first);
    let mut kept = connect(address, &[&first]);
    assert!(get(&mut kept).unwrap().starts_with("HTTP/1.1 200"));

    mount(&certs, 2, &second);
    expect(address, &second);
    assert!(get(&mut kept).unwrap().starts_with("HTTP/1.1 200"), "a connection does not end for that");
    assert!(get(&mut connect(address, &[&first])).is_err(), "the old certificate is not presented any more");

    // A key that is another's: what was there stays, until both fit.
    std::fs::write(certs.join("..2/tls.key"), &third.key).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    expect(address, &second);
    std::fs::write(certs.join("..2/tls.crt"), &third.chain).unwrap();
    expect(address, &third);

    // The secret itself, with everything in it.
    let indented = |text: &str| format!("{text:?}");
    let inline = secret(&format!(
        "certificate_chain: {{inline_string: {}}}, private_key: {{inline_string: {}}}",
        indented(&first.chain),
        indented(&first.key)
    ));
    std::fs::write(folder.path().join("new"), inline).unwrap();
    std::fs::rename(folder.path().join("new"), &sds).unwrap();
    expect(address, &first);
    // The files are not its any more.
    mount(&certs, 3, &second);
    std::thread::sleep(Duration::from_millis(60));
    expect(address, &first);
    assert!(get(&mut kept).unwrap().starts_with("HTTP/1.1 200"));
}
