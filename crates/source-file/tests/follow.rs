//! Files on a real file system, followed by a real hub.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use istio_api::codes;
use lifecycle::Readiness;
use model::ObjectRef;
use registry::{Delta, Key, Settings};
use source::{Debounce, Hub, HubBuilder};
use source_file::FileSource;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(5);

fn service(name: &str, port: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
    )
}

fn object(name: &str) -> ObjectRef {
    ObjectRef::new("Service", "default", name)
}

/// A mesh that follows some paths. Ends with the test.
struct Mesh {
    hub: Hub,
    readiness: Readiness,
    task: tokio::task::JoinHandle<Result<(), String>>,
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mesh {
    async fn start(source: FileSource) -> Mesh {
        let readiness = Readiness::new();
        let builder = HubBuilder::new(Settings::default(), Debounce::default(), &readiness).source(source);
        assert!(!readiness.is_ready());
        let (hub, task) = builder.build();
        let mesh = Mesh { hub, readiness, task: tokio::spawn(task.run()) };
        tokio::time::timeout(PATIENCE, mesh.hub.ready()).await.expect("ready");
        mesh
    }

    async fn follow(roots: &[&Path]) -> Mesh {
        Self::start(FileSource::new(roots.iter().map(|path| path.to_path_buf()).collect())).await
    }

    /// The first port of a Service, if it is there.
    fn port(&self, name: &str) -> Option<u16> {
        let snapshot = self.hub.snapshot();
        let document = snapshot.object(&object(name))?;
        match &document.body {
            istio_api::Kind::Service(spec) => spec.ports.first().map(|port| port.port),
            _ => None,
        }
    }

    /// Waits until a Service has this port, or is not there; how long that took.
    #[track_caller]
    fn until(&self, name: &'static str, expected: Option<u16>) -> impl Future<Output = Duration> {
        let at = std::panic::Location::caller();
        async move {
            let started = Instant::now();
            while self.port(name) != expected {
                assert!(
                    started.elapsed() < PATIENCE,
                    "{at}: {name} is {:?}, not {expected:?}",
                    self.port(name)
                );
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            started.elapsed()
        }
    }

    /// Waits until there is a finding with this code whose text has this part, or is none.
    #[track_caller]
    fn finding(&self, code: &'static str, part: &'static str, there: bool) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let started = Instant::now();
            let found = || self.hub.findings().iter().any(|f| f.code == code && f.to_string().contains(part));
            while found() != there {
                assert!(started.elapsed() < PATIENCE, "{at}: {:#?}", self.hub.findings());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}

fn put(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::create_dir_all(path.parent().expect("parent")).expect("folder");
    fs::write(&path, text).expect("write");
    path
}

#[tokio::test]
async fn changes_of_every_kind_are_followed() {
    let folder = TempDir::new().expect("folder");
    put(&folder, "a.yaml", &service("a", "80"));
    put(&folder, "notes.txt", &service("ignored", "80"));
    put(&folder, ".hidden.yaml", &service("ignored", "80"));
    let mesh = Mesh::follow(&[folder.path()]).await;
    assert!(mesh.readiness.is_ready());
    assert_eq!((mesh.port("a"), mesh.port("ignored")), (Some(80), None));

    put(&folder, "a.yaml", &service("a", "81"));
    let took = mesh.until("a", Some(81)).await;
    assert!(took < Duration::from_secs(1), "{took:?}: polled, not watched");
    // As editors save: a new file in the old one's place.
    let new = put(&folder, "a.yaml.swp", &service("a", "82"));
    fs::rename(new, folder.path().join("a.yaml")).expect("rename");
    mesh.until("a", Some(82)).await;
    put(&folder, "deep/er/b.yml", &service("b", "80"));
    mesh.until("b", Some(80)).await;
    put(&folder, "deep/er/b.yml", &service("b", "81"));
    mesh.until("b", Some(81)).await;
    fs::remove_dir_all(folder.path().join("deep")).expect("remove");
    mesh.until("b", None).await;
    put(&folder, "a.yaml", &format!("{}---\n{}", service("c", "80"), service("d", "80")));
    mesh.until("c", Some(80)).await;
    mesh.until("a", None).await;
    assert_eq!(mesh.port("d"), Some(80));
}

#[tokio::test]
async fn the_last_good_version_of_each_object_stays() {
    let folder = TempDir::new().expect("folder");
    let both = |a: &str, b: &str| format!("{}---\n{}", service("a", a), service("b", b));
    put(&folder, "x.yaml", &both("80", "80"));
    let mesh = Mesh::follow(&[folder.path()]).await;

    put(&folder, "x.yaml", &both("http", "81"));
    mesh.until("b", Some(81)).await;
    assert_eq!(mesh.port("a"), Some(80), "broken, so it stays");
    mesh.finding(codes::INVALID, "x.yaml:4:", true).await;
    mesh.finding(codes::KEPT, "Service default/a", true).await;

    put(&folder, "x.yaml", &format!("kind: [\n---\n{}", service("b", "82")));
    mesh.until("b", Some(82)).await;
    mesh.finding(codes::SYNTAX, "x.yaml:1:7", true).await;
    assert_eq!(mesh.port("a"), Some(80), "not readable, so it stays");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(mesh.port("a"), Some(80), "and stays");

    put(&folder, "x.yaml", &both("83", "83"));
    mesh.until("a", Some(83)).await;
    mesh.finding(codes::SYNTAX, "", false).await;
    mesh.finding(codes::KEPT, "", false).await;
    put(&folder, "x.yaml", &service("b", "84"));
    mesh.until("a", None).await;

    // A new file that is broken has no last good version.
    put(&folder, "y.yaml", &service("y", "http"));
    mesh.finding(codes::INVALID, "y.yaml:4:", true).await;
    assert_eq!(mesh.port("y"), None);
}

#[tokio::test]
async fn a_file_that_is_away_for_a_moment_takes_nothing_with_it() {
    let folder = TempDir::new().expect("folder");
    let path = put(&folder, "x.yaml", &service("a", "80"));
    let mesh = Mesh::follow(&[folder.path()]).await;
    let mut subscription = mesh.hub.subscribe();
    let (_, first) = subscription.next().await.expect("snapshot");
    assert_eq!(first, Delta::everything());
    for text in [service("a", "80"), service("a", "broken")] {
        fs::rename(&path, folder.path().join("backup")).expect("rename");
        tokio::time::sleep(Duration::from_millis(30)).await;
        fs::write(&path, "").expect("truncate");
        tokio::time::sleep(Duration::from_millis(30)).await;
        fs::write(&path, text).expect("write");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(mesh.port("a"), Some(80));
    }
    let removed = |delta: &Delta| delta.touches(&Key::Services);
    while let Ok(Some((_, delta))) =
        tokio::time::timeout(Duration::from_millis(50), subscription.next()).await
    {
        assert!(!removed(&delta), "{delta:?}");
    }
    fs::remove_file(&path).expect("remove");
    mesh.until("a", None).await;
}

#[tokio::test]
async fn of_an_object_in_two_files_the_first_counts() {
    let folder = TempDir::new().expect("folder");
    let first = put(&folder, "one/a.yaml", &service("a", "80"));
    put(&folder, "two/a.yaml", &service("a", "81"));
    let mesh = Mesh::follow(&[&folder.path().join("two"), &first, folder.path()]).await;
    assert_eq!(mesh.port("a"), Some(81));
    mesh.finding(codes::DUPLICATE_OBJECT, "one/a.yaml:1:1", true).await;
    mesh.finding(codes::DUPLICATE_OBJECT, "two/a.yaml:1:1 counts", true).await;
    fs::remove_dir_all(folder.path().join("two")).expect("remove");
    mesh.until("a", Some(80)).await;
    mesh.finding(codes::DUPLICATE_OBJECT, "", false).await;
}

#[tokio::test]
async fn what_is_not_there_yet_is_reported_and_read_once_it_is() {
    let folder = TempDir::new().expect("folder");
    let (later, file) = (folder.path().join("later"), folder.path().join("far/away.txt"));
    let mesh = Mesh::follow(&[&later, &file]).await;
    mesh.finding(codes::UNREADABLE, "later", true).await;
    mesh.finding(codes::UNREADABLE, "away.txt", true).await;
    let json = r#"{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}}"#;
    put(&folder, "later/a.json", json);
    put(&folder, "far/away.txt", &service("b", "80"));
    mesh.until("a", Some(80)).await;
    mesh.until("b", Some(80)).await;
    mesh.finding(codes::UNREADABLE, "", false).await;
    fs::write(&file, [0xff, 0xfe]).expect("write");
    mesh.finding(codes::UNREADABLE, "is not UTF-8", true).await;
    assert_eq!(mesh.port("b"), Some(80));
    fs::remove_dir_all(&later).expect("remove");
    mesh.until("a", None).await;
    put(&folder, "later/a.yaml", &service("a", "90"));
    mesh.until("a", Some(90)).await;
    put(&folder, "later/a.yaml", &service("a", "91"));
    let took = mesh.until("a", Some(91)).await;
    assert!(took < Duration::from_secs(1), "{took:?}: polled, not watched");
}

#[tokio::test]
async fn a_mesh_configuration_is_followed_too() {
    let folder = TempDir::new().expect("folder");
    let path = put(&folder, "mesh.yaml", "trustDomain: one\n");
    let mesh = Mesh::start(FileSource::new(Vec::new()).mesh_config(Some(path))).await;
    let domain = || mesh.hub.snapshot().view().mesh().trust_domain.to_string();
    assert_eq!(domain(), "one");
    let wait = async |expected: &str| {
        let started = Instant::now();
        while domain() != expected {
            assert!(started.elapsed() < PATIENCE, "{}", domain());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    put(&folder, "mesh.yaml", "trustDomain: two\n");
    wait("two").await;
    put(&folder, "mesh.yaml", "trustDomain: 3\n");
    mesh.finding(codes::INVALID, "mesh.yaml:1:14", true).await;
    assert_eq!(domain(), "two");
    put(&folder, "mesh.yaml", "trustDomain: four\n");
    wait("four").await;
}

#[tokio::test]
async fn references_are_judged_and_resolved() {
    let folder = TempDir::new().expect("folder");
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\n\
                spec:\n  hosts: [b]\n  http:\n  - route: [{destination: {host: b}}]\n";
    put(&folder, "v.yaml", text);
    let mesh = Mesh::follow(&[folder.path()]).await;
    mesh.finding(codes::NOT_FOUND, "v.yaml:7:34: Error", true).await;
    put(&folder, "b.yaml", &service("b", "80"));
    mesh.finding(codes::NOT_FOUND, "", false).await;
}
