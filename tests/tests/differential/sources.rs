//! Configuration from files: the same ones, moved into place in the same order, before both.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{eventually, free_port};

use crate::network::stat;
use crate::servers::{Process, socket};

const TYPE: &str = "type.googleapis.com/envoy";
const SOON: Duration = Duration::from_secs(20);

#[test]
fn the_same_files_do_the_same() {
    let Some(envoy) = testkit::envoy("differential::the_same_files_do_the_same") else { return };
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| told(&testkit::binary(), &["proxy", "--concurrency", "1", "-c"]));
        let args = ["--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "-c"];
        let theirs = told(&envoy, &args);
        (ours.join().expect("Lateen's side"), theirs)
    });
    assert_eq!(ours, theirs, "Lateen's first, then Envoy's");
}

/// Everything that one of them does, in words.
fn told(binary: &Path, args: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path();
    let (admin, listen, a, b) = (free_port(), free_port(), server("a"), server("b"));
    place(at, "lds.yaml", &listeners(at, listen));
    place(at, "cds.json", &clusters(at));
    place(at, "rds.yaml", &routes("prefix: /"));
    place(at, "eds.yaml", &endpoints(a));
    let bootstrap = format!(
        "node: {{id: node, cluster: proxies}}\nadmin: {{address: {}}}\ndynamic_resources:\n  lds_config: {{path_config_source: {{path: {1}/lds.yaml, \
         watched_directory: {{path: {1}}}}}}}\n  cds_config: {{path_config_source: {{path: {1}/cds.json}}}}\n",
        socket(admin),
        at.display()
    );
    std::fs::write(at.join("bootstrap.yaml"), bootstrap).expect("writing a bootstrap");
    let output = std::fs::File::create(at.join("out")).expect("a file");
    let mut command = Command::new(binary);
    command.args(args).arg(at.join("bootstrap.yaml")).stdout(Stdio::null()).stderr(output);
    let _process = Process(command.spawn().expect("starting a proxy"));
    let said = || std::fs::read_to_string(at.join("out")).unwrap_or_default();
    let expect = |wanted: &str| {
        eventually(wanted, SOON, || match get(listen) {
            found if found == wanted => Ok(()),
            found => Err(format!("{found}: {}", said())),
        });
    };
    let mut all = Vec::new();
    expect("200 a");
    place(at, "eds.yaml", &endpoints(b));
    expect("200 b");
    place(at, "rds.yaml", &routes("path: /elsewhere"));
    expect("404 ");
    place(at, "rds.yaml", &routes("prefix: /"));
    expect("200 b");
    // What cannot be read is a failure to Envoy, and to us one more that is rejected.
    let rejected = || {
        ["rejected", "failure"]
            .map(|it| stat(admin, &format!("listener_manager.lds.update_{it}")))
            .iter()
            .sum::<u64>()
    };
    let bad = [
        ("no YAML", "resources: [{".to_owned()),
        ("an unknown field", listeners(at, listen).replace("stat_prefix", "stat_prefixx")),
        ("an unknown type", listeners(at, listen).replace("listener.v3.Listener", "listener.v3.Lustener")),
        ("a resource of another type", clusters(at)),
    ];
    for (count, (what, text)) in (1..).zip(bad) {
        place(at, "lds.yaml", &text);
        eventually(what, SOON, || match rejected() {
            found if found >= count => Ok(()),
            found => Err(format!("{found}: {}", said())),
        });
        all.push(format!("{what}: {} rejected, {}", rejected(), get(listen)));
    }
    place(at, "lds.yaml", "version_info: '9'\nresources: []\n");
    expect("refused");
    place(at, "lds.yaml", &listeners(at, listen));
    expect("200 b");
    all
}

/// Moves a file into place: Envoy follows nothing else.
fn place(folder: &Path, name: &str, text: &str) {
    let new = folder.join(format!(".{name}.new"));
    std::fs::write(&new, text).expect("writing a file");
    std::fs::rename(new, folder.join(name)).expect("moving a file");
}

fn listeners(folder: &Path, listen: SocketAddr) -> String {
    format!(
        "resources:\n- '@type': {TYPE}.config.listener.v3.Listener\n  name: l\n  address: {}\n  filter_chains:\n  - filters:\n    \
         - name: hcm\n      typed_config:\n        '@type': {TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n        \
         stat_prefix: t\n        rds: {{route_config_name: r, config_source: {{path_config_source: {{path: {}/rds.yaml}}}}}}\n        \
         http_filters: [{{name: router, typed_config: {{'@type': {TYPE}.extensions.filters.http.router.v3.Router}}}}]\n",
        socket(listen),
        folder.display()
    )
}

fn clusters(folder: &Path) -> String {
    format!(
        r#"{{"version_info": "1", "resources": [{{"@type": "{TYPE}.config.cluster.v3.Cluster", "name": "c", "type": "EDS",
            "eds_cluster_config": {{"service_name": "e", "eds_config": {{"path_config_source": {{"path": "{}/eds.yaml"}}}}}}}}]}}"#,
        folder.display()
    )
}

fn routes(matched: &str) -> String {
    format!(
        "resources:\n- '@type': {TYPE}.config.route.v3.RouteConfiguration\n  name: r\n  virtual_hosts:\n  - name: v\n    \
         domains: ['*']\n    routes: [{{match: {{{matched}}}, route: {{cluster: c}}}}]\n"
    )
}

fn endpoints(to: SocketAddr) -> String {
    format!(
        "resources:\n- '@type': {TYPE}.config.endpoint.v3.ClusterLoadAssignment\n  cluster_name: e\n  endpoints:\n  \
         - lb_endpoints: [{{endpoint: {{address: {}}}}}]\n",
        socket(to)
    )
}

/// Status and body.
fn get(to: SocketAddr) -> String {
    let Ok(mut stream) = TcpStream::connect(to) else { return "refused".to_owned() };
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let reply = crate::client::rest(&mut stream);
    let body = reply.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    format!("{} {body}", reply.get(9..12).unwrap_or_default())
}

/// Answers every request with its name.
fn server(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut room = [0; 4096];
                while let Ok(1..) = std::io::Read::read(&mut stream, &mut room) {
                    let _ = stream
                        .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{name}").as_bytes());
                }
            });
        }
    });
    address
}
