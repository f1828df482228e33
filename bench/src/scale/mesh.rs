//! A mesh of any size, as files: one for each service, with its five pods.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Services in one namespace.
const NAMESPACE: usize = 100;
const PODS: usize = 5;

/// The folder that a control plane reads.
#[derive(Debug)]
pub struct Mesh {
    folder: PathBuf,
    /// Files are made here and moved there, so that nobody reads half of one.
    aside: PathBuf,
    pub services: usize,
    /// Services are spread over so many ports, so over so many route configurations.
    ports: usize,
}

impl Mesh {
    /// Writes all files.
    ///
    /// # Errors
    /// The disk says no.
    pub fn write(folder: &Path, services: usize, ports: usize) -> anyhow::Result<Mesh> {
        let (config, aside) = (folder.join("config"), folder.join("aside"));
        let mesh = Mesh { folder: config, aside, services, ports };
        std::fs::create_dir_all(&mesh.folder)?;
        std::fs::create_dir_all(&mesh.aside)?;
        for service in 0..services {
            mesh.put(&format!("service-{service}"), &mesh.document(service, 0))?;
        }
        Ok(mesh)
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One pod of a service is replaced by one with another address.
    ///
    /// # Errors
    /// The disk says no.
    pub fn replace_pod(&self, service: usize, generation: usize) -> anyhow::Result<()> {
        self.put(&format!("service-{service}"), &self.document(service, generation))
    }

    /// A VirtualService gives a service another timeout.
    ///
    /// # Errors
    /// The disk says no.
    pub fn route(&self, service: usize, generation: usize) -> anyhow::Result<()> {
        let (name, namespace) = (name(service), namespace(service));
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  hosts: [{name}]\n  http:\n  \
             - timeout: {}s\n    route: [{{destination: {{host: {name}}}}}]\n",
            generation + 1
        );
        self.put(&format!("route-{service}"), &text)
    }

    fn document(&self, service: usize, generation: usize) -> String {
        let (name, namespace, port) = (name(service), namespace(service), 8000 + service % self.ports);
        let mut text = format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{clusterIP: 10.{}.{}.{}, selector: {{app: {name}}}, ports: [{{name: http, port: {port}}}]}}\n",
            96 + service / 65_536,
            service / 256 % 256,
            service % 256
        );
        for pod in 0..PODS {
            let number = service * PODS + pod;
            // The first pod's address is another one in each generation.
            let block = if pod == 0 { 32 + generation % 64 } else { 16 };
            let (high, middle, low) = (block + number / 65_536, number / 256 % 256, number % 256);
            let _ = write!(
                text,
                "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-{pod}, namespace: {namespace}, \
             labels: {{app: {name}, security.istio.io/tlsMode: istio}}}}\n\
                 spec: {{serviceAccountName: {name}, containers: [{{name: main, ports: [{{containerPort: {port}}}]}}]}}\n\
                 status: {{podIP: 10.{high}.{middle}.{low}, phase: Running, \
                 conditions: [{{type: Ready, status: \"True\"}}]}}\n",
            );
        }
        text
    }

    fn put(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let (made, there) = (self.aside.join(name), self.folder.join(format!("{name}.yaml")));
        std::fs::write(&made, text).with_context(|| made.display().to_string())?;
        std::fs::rename(&made, &there).with_context(|| there.display().to_string())
    }
}

/// Route configurations that a sidecar asks for.
pub fn routes(ports: usize) -> Vec<String> {
    (0..ports).map(|port| (8000 + port).to_string()).collect()
}

fn name(service: usize) -> String {
    format!("service-{service}")
}

fn namespace(service: usize) -> String {
    format!("part-{}", service / NAMESPACE)
}
