//! `lateen control` as a process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80, name: http}]}\n";

/// A running control plane; killed when dropped.
struct Control {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// Port of the monitoring pages.
    monitoring: u16,
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Control {
    fn start(folder: &Path) -> Control {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lateen"))
            .args([
                "control",
                "--xds-port",
                "0",
                "--secure-xds-port",
                "0",
                "--monitoring-port",
                "0",
                "--config-dir",
            ])
            .arg(folder.join("config"))
            .arg("--ca-dir")
            .arg(folder.join("ca"))
            .env_remove("LATEEN_LOG")
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<Vec<String>>> = Arc::default();
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()).lines(), log.clone());
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line))
        });
        let mut control = Control { child, log, monitoring: 0 };
        let line = control.line("is listening");
        let port = line.split("monitoring=127.0.0.1:").nth(1).unwrap_or_else(|| panic!("{line}"));
        control.monitoring = port.trim().parse().unwrap();
        control.line("control plane is ready");
        control
    }

    /// The first line with this text.
    fn line(&self, text: &str) -> String {
        let started = Instant::now();
        loop {
            if let Some(line) = self.log.lock().unwrap().iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "no {text:?} in {:#?}",
                self.log.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.monitoring)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/web.yaml"), SERVICE).unwrap();
    folder
}

#[test]
fn serves_reports_and_ends() {
    let folder = folder();
    let mut control = Control::start(folder.path());

    assert!(control.get("/ready").starts_with("HTTP/1.1 200"));
    let metrics = control.get("/metrics");
    for expected in ["pilot_services 1\n", "citadel_server_csr_count 0\n", "pilot_xds{version="] {
        assert!(metrics.contains(expected), "{expected:?} is not in {metrics}");
    }
    assert!(control.get("/debug/configz").contains("\"web\""));
    assert!(control.get("/debug/syncz").ends_with("[]"));
    assert!(control.get("/version").contains("lateen"));
    for key in ["ca-key.pem", "token-key.pem"] {
        let mode = std::fs::metadata(folder.path().join("ca").join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }

    // What is wrong is said once, with its place, and is on the page.
    std::fs::write(folder.path().join("config/broken.yaml"), "kind: Service\nmetadata: {name: [\n").unwrap();
    let line = control.line("broken.yaml:");
    assert!(line.contains("broken.yaml:2:") || line.contains("broken.yaml:3:"), "{line}");
    assert!(control.get("/debug/findings").contains("broken.yaml"));
    assert!(control.get("/debug/configz").contains("\"web\""));

    let pid = control.child.id().to_string();
    let started = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let status = control.child.wait().unwrap();
    assert!(
        status.success() && started.elapsed() < Duration::from_secs(1),
        "{status} after {:?}",
        started.elapsed()
    );
}

#[test]
fn a_port_in_use_is_named() {
    let folder = folder();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_lateen"))
        .args([
            "control",
            "--xds-port",
            &port,
            "--secure-xds-port",
            "0",
            "--monitoring-port",
            "0",
            "--config-dir",
        ])
        .arg(folder.path())
        .arg("--ca-dir")
        .arg(folder.path().join("ca"))
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && error.contains(&format!("listening on 127.0.0.1:{port}")),
        "{error}"
    );
}
