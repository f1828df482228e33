//! What the suites in `tests/` share: Bookinfo and an echo service as meshes, and how a person
//! applies files to them.

use std::path::{Path, PathBuf};

use testkit::client::{Ask, Reply, block_on, http1};
use testkit::{Mesh, MeshOptions};

/// Which proxy stands beside the workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sidecar {
    Lateen,
    Envoy(PathBuf),
}

impl Sidecar {
    /// Stock Envoy, or `None` after a skip was counted.
    pub fn envoy(test: &str) -> Option<Self> {
        testkit::envoy(test).map(Sidecar::Envoy)
    }

    pub fn args(&self) -> Vec<String> {
        match self {
            Sidecar::Lateen => Vec::new(),
            Sidecar::Envoy(path) => vec![format!("--proxy=envoy={}", path.display())],
        }
    }
}

/// A file of `examples/`.
pub fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(path)
}

/// Bookinfo without routing files.
pub fn bookinfo(sidecar: &Sidecar, more: &[&str]) -> Mesh {
    let mut args = sidecar.args();
    args.extend(more.iter().map(|arg| arg.to_string()));
    Mesh::start(MeshOptions { files: vec![example("bookinfo/bookinfo.yaml")], args, ..Default::default() })
}

/// Applies a file as `kubectl apply` does: each object by itself, replacing the one of its name.
/// Gives the names of what was applied, for [`delete`].
pub fn apply(mesh: &Mesh, path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    apply_text(mesh, &text)
}

/// As [`apply`], from a text.
pub fn apply_text(mesh: &Mesh, text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for document in text.split("\n---") {
        let field = |key: &str| {
            let line = document.lines().find_map(|line| line.trim_start().strip_prefix(key));
            line.map(|value| value.trim().to_owned())
        };
        let (Some(kind), Some(name)) = (field("kind:"), field("name:")) else { continue };
        let file = format!("{kind}-{name}.yaml");
        mesh.apply(&file, document);
        names.push(file);
    }
    assert!(!names.is_empty(), "no object in {text:?}");
    names
}

/// Deletes what [`apply`] applied.
pub fn delete(mesh: &Mesh, names: &[String]) {
    for name in names {
        mesh.remove(name);
    }
}

/// A GET through the gateway. No answer is a reply of status 0 that says why.
pub fn get(mesh: &Mesh, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut ask = Ask::get(&mesh.gateway.to_string(), path);
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    block_on(http1(mesh.gateway, &ask)).unwrap_or_else(|error| Reply {
        status: 0,
        headers: Default::default(),
        trailers: Default::default(),
        body: format!("GET {path}: {error:#}").into(),
    })
}

/// An echo service in two versions, a gRPC one, a client, and a gateway.
pub fn echo_yaml() -> String {
    let lateen = testkit::binary();
    let mut out = String::new();
    for (name, version) in [("echo", "v1"), ("echo", "v2"), ("grpc-echo", "v1"), ("client", "v1")] {
        out.push_str(&format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}-{version}\nspec:\n  selector:\n    \
             matchLabels: {{app: {name}, version: {version}}}\n  template:\n    metadata:\n      labels: {{app: {name}, \
             version: {version}}}\n    spec:\n      serviceAccountName: {name}\n      containers:\n      - name: {name}\n        \
             image: lateen/demo\n        command: [\"{}\", demo, echo, --service-version, {version}, --port, \"8080\", \
             --tcp-port, \"9091\"]\n        readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}\n---\n",
            lateen.display()
        ));
    }
    for (name, ports) in [
        ("echo", "[{name: http, port: 8080}, {name: tcp, port: 9091}]"),
        ("grpc-echo", "[{name: grpc, port: 8080}]"),
        ("client", "[{name: http, port: 8080}]"),
    ] {
        out.push_str(&format!(
            "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: {name}\n---\napiVersion: v1\nkind: Service\nmetadata:\n  \
             name: {name}\nspec:\n  selector: {{app: {name}}}\n  ports: {ports}\n---\n"
        ));
    }
    out.push_str(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata:\n  name: gateway\nspec:\n  selector: {istio: ingressgateway}\n  \
         servers:\n  - port: {number: 8080, name: http, protocol: HTTP}\n    hosts: [\"*\"]\n",
    );
    out
}

/// The echo mesh.
pub fn echo(sidecar: &Sidecar, more: &[&str]) -> Mesh {
    let mut args = sidecar.args();
    args.extend(more.iter().map(|arg| arg.to_string()));
    let file = tempfile_with("echo.yaml", &echo_yaml());
    let mesh = Mesh::start(MeshOptions { files: vec![file], args, ..Default::default() });
    apply_text(&mesh, FRONT);
    testkit::eventually("the gateway leads to echo", std::time::Duration::from_secs(10), || {
        match get(&mesh, "/", &[]).status {
            200 => Ok(()),
            other => Err(format!("status {other}")),
        }
    });
    mesh
}

/// From the gateway to echo. Not among the mesh's files: tests put others in its place.
const FRONT: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: front\nspec:\n  \
    hosts: [\"*\"]\n  gateways: [gateway]\n  http:\n  - route:\n    - destination: {host: echo, port: {number: 8080}}\n";

/// A MeshConfig that logs every request to the proxy's stdout; its path.
pub fn with_access_log() -> String {
    let file = tempfile_with("mesh.yaml", "accessLogFile: /dev/stdout\n");
    file.display().to_string()
}

/// A file of its own that stays as long as the tests run.
fn tempfile_with(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("lateen-tests-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    std::fs::write(&path, text).expect("writing YAML");
    path
}
