//! A mesh of a file: its documents, the registry's snapshot of them, and the servers behind it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use registry::{Change, Settings, Snapshot};

use crate::echo::{self, Seen, Server};
use crate::network::{Block, Network};
use crate::scenario::Scenario;

/// A mesh as one proxy of it sees it.
pub struct Mesh {
    /// `FILE` or, if several proxies look at the mesh, `FILE-NUMBER`.
    pub name: String,
    pub snapshot: Snapshot,
    pub viewer: Viewer,
    pub scenarios: Vec<Scenario>,
    pub seen: Arc<Seen>,
    pub block: Block,
}

/// `sidecar NAME.NAMESPACE ADDRESS [LABEL=VALUE …]` or `router …`.
#[derive(Clone, Debug)]
pub struct Viewer {
    pub kind: String,
    pub name: String,
    pub namespace: String,
    pub address: std::net::IpAddr,
    pub labels: Vec<(String, String)>,
}

impl Mesh {
    /// Those of `meshes/`, or the one of a file.
    pub fn all(network: &Network, only: Option<&str>) -> Vec<Mesh> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/meshes");
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let mut meshes = Vec::new();
        for file in files {
            let name = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
            if only.is_none_or(|only| only == name) {
                let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
                meshes.extend(Mesh::read(name, &text, network));
            }
        }
        meshes
    }

    fn read(file: &str, text: &str, network: &Network) -> Vec<Mesh> {
        let block = network.block();
        let folder = network.folder.path().display().to_string();
        let text = block.in_text(text).replace("@certs@", &folder);
        let mut sections: BTreeMap<String, String> = BTreeMap::new();
        let mut views: Vec<(Viewer, Vec<Scenario>)> = Vec::new();
        let mut here = String::new();
        for line in text.lines() {
            if let Some(section) = line.strip_prefix("--- ") {
                here = section.to_owned();
                if let Some(words) = section.strip_prefix("as ") {
                    views.push((Viewer::parse(words), Vec::new()));
                }
            } else if !here.starts_with("as ") {
                sections.entry(here.clone()).or_default().push_str(&format!("{line}\n"));
            } else if !line.trim().is_empty() && !line.starts_with('#') {
                let (_, scenarios) = views.last_mut().expect("a view");
                scenarios.push(Scenario::parse(line));
            }
        }
        let section = |name: &str| sections.get(name).map_or("", String::as_str);
        let mut yaml = section("mesh").to_owned();
        let mut servers: Vec<Server> = lines(section("servers")).map(|line| server(line, network)).collect();
        for line in lines(section("services")) {
            service(line, network, &mut yaml, &mut servers);
        }
        for line in lines(section("certificates")) {
            certificate(line, network, &mut yaml);
        }
        for line in lines(section("include")) {
            if !include(line, block, &mut yaml) {
                return Vec::new();
            }
        }
        let snapshot = snapshot(file, &yaml, section("mesh-config"));
        let seen: Arc<Seen> = Arc::default();
        for server in servers {
            network.runtime.block_on(echo::start(server, seen.clone()));
        }
        let several = views.len() > 1;
        let named = |number: usize| if several { format!("{file}-{}", number + 1) } else { file.to_owned() };
        let of_view = |(number, (viewer, scenarios)): (usize, (Viewer, Vec<Scenario>))| Mesh {
            name: named(number),
            snapshot: snapshot.clone(),
            viewer,
            scenarios,
            seen: seen.clone(),
            block,
        };
        views.into_iter().enumerate().map(of_view).collect()
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

impl Viewer {
    fn parse(words: &str) -> Self {
        let mut words = words.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let (kind, name, address) = (word(), word(), word());
        let (name, namespace) = name.split_once('.').expect("NAME.NAMESPACE");
        let labels = words.filter_map(|word| word.split_once('='));
        Viewer {
            kind,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            address: address.parse().expect("an address"),
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    }
}

/// `NAME ADDRESS:PORT[,PORT] [names in its certificate]`: a server that the mesh's YAML speaks of.
fn server(line: &str, network: &Network) -> Server {
    let mut words = line.split(' ');
    let (name, place) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (address, ports) = place.rsplit_once(':').unwrap_or_else(|| panic!("{line}: ADDRESS:PORT"));
    let address = |port: &str| format!("{address}:{port}").parse().expect("an address");
    let names: Vec<&str> = words.collect();
    let pair = match names.as_slice() {
        ["forged", names @ ..] => network.authority.forge(names),
        names => network.authority.issue(names),
    };
    Server { name: name.to_owned(), addresses: ports.split(',').map(address).collect(), pair }
}

/// `NAME.NAMESPACE ADDRESS PORT-NAME:PORT>TARGET … | POD ADDRESS [LABEL=VALUE …] [mtls] | …`: a Service
/// with pods, each of which is a server. `-` is a service without address.
fn service(line: &str, network: &Network, yaml: &mut String, servers: &mut Vec<Server>) {
    let mut parts = line.split('|').map(str::trim);
    let mut words = parts.next().unwrap_or_default().split(' ');
    let (name, namespace) = words.next().and_then(|name| name.split_once('.')).expect("NAME.NAMESPACE");
    let address = words.next().map(|word| word.replace('-', "None")).expect("an address");
    let mut targets: Vec<u16> = Vec::new();
    let mut ports = Vec::new();
    for word in words {
        let (port_name, port) = word.split_once(':').expect("NAME:PORT");
        let (port, target) = port.split_once('>').unwrap_or((port, port));
        targets.push(target.parse().expect("a port"));
        ports.push(format!("{{name: {port_name}, port: {port}, targetPort: {target}}}"));
    }
    targets.dedup();
    yaml.push_str(&format!(
        "\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{clusterIP: {address}, \
         selector: {{app: {name}}}, ports: [{}]}}\n",
        ports.join(", ")
    ));
    for part in parts {
        let mut words = part.split(' ');
        let (pod, address) = (words.next().expect("a pod"), words.next().expect("its address"));
        let mut labels = format!("app: {name}");
        for word in words {
            match word.split_once('=') {
                Some((key, value)) => labels.push_str(&format!(", {key}: {value}")),
                None => labels.push_str(", security.istio.io/tlsMode: istio"),
            }
        }
        yaml.push_str(&format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {pod}, namespace: {namespace}, labels: {{{labels}}}}}\nspec: \
             {{serviceAccountName: {name}, containers: [{{name: app, image: x}}]}}\nstatus: {{phase: Running, podIP: {address}, \
             podIPs: [{{ip: {address}}}], conditions: [{{type: Ready, status: \"True\"}}]}}\n"
        ));
        let ip = address.parse().expect("an address");
        servers.push(Server {
            name: pod.to_owned(),
            addresses: targets.iter().map(|port| SocketAddr::new(ip, *port)).collect(),
            pair: network.authority.issue(&[&format!("spiffe://cluster.local/ns/{namespace}/sa/{name}")]),
        });
    }
}

/// `NAME NAMESPACE names in it …`: a Secret with a certificate, and the mesh's root for those who ask.
fn certificate(line: &str, network: &Network, yaml: &mut String) {
    let mut words = line.split(' ');
    let (name, namespace) = (words.next().expect("a name"), words.next().expect("a namespace"));
    let pair = network.authority.issue(&words.collect::<Vec<_>>());
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    yaml.push_str(&format!(
        "\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: {namespace}}}\nstringData: {{tls.crt: {}, \
         tls.key: {}, ca.crt: {}}}\n",
        quoted(&pair.chain),
        quoted(&pair.key),
        quoted(&network.authority.root)
    ));
}

/// `FILE [OLD=NEW …]`: a file of the conformance data, with replacements. `false`: there is no such data.
fn include(line: &str, block: Block, yaml: &mut String) -> bool {
    let Some(folder) = testkit::conformance("scenarios") else { return false };
    let mut words = line.split(' ');
    let path = folder.join(words.next().expect("a file"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let replaced = |text: String, word: &str| {
        let (old, new) = word.split_once('=').unwrap_or_else(|| panic!("{line}: OLD=NEW"));
        text.replace(old, new)
    };
    let text = words.fold(text, replaced);
    yaml.push_str(&format!("\n---\n{}\n", block.in_text(&text)));
    true
}

fn snapshot(file: &str, yaml: &str, mesh_config: &str) -> Snapshot {
    let parsed = istio_api::parse_stream(&format!("{file}.yaml"), yaml);
    let errors = parsed.findings.iter().filter(|finding| finding.level == model::Level::Error);
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    assert!(errors.is_empty() && !parsed.incomplete, "{file}: {errors:?}");
    let mut changes: Vec<Change> =
        parsed.documents.into_iter().map(|document| Change::Upsert(Arc::new(document))).collect();
    if !mesh_config.trim().is_empty() {
        let parsed = istio_api::parse_mesh_config("mesh-config.yaml", mesh_config);
        assert!(!parsed.broken, "{file}: {:?}", parsed.findings);
        changes.push(Change::MeshConfig(Some(Arc::new(parsed.config))));
    }
    Snapshot::new(Settings::default()).apply(changes).0
}
