//! A running `lateen up`, from its start to what it leaves behind.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::{binary, eventually};

/// One mesh at a time: a bridge and a lock are the machine's.
static ONE: Mutex<()> = Mutex::new(());

/// How a mesh is started.
#[derive(Clone, Debug, Default)]
pub struct MeshOptions {
    /// Files and folders, as given on the command line. The mesh's own folder of YAML,
    /// [`Mesh::apply`]'s, comes last.
    pub files: Vec<PathBuf>,
    /// More arguments of `lateen up`.
    pub args: Vec<String>,
    /// A file in the place of the machine's `/etc/resolv.conf`, for the mesh alone.
    pub resolv_conf: Option<PathBuf>,
}

impl MeshOptions {
    /// The binary; with a `resolv.conf` of its own in a mount namespace of its own.
    fn command(&self) -> Command {
        let Some(file) = &self.resolv_conf else { return Command::new(binary()) };
        let mut command = Command::new("unshare");
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        command.args(["--mount", "sh", "-c", script]).arg(file).arg(binary());
        command
    }
}

/// A pod as `lateen status` shows it.
#[derive(Clone, Debug)]
pub struct Pod {
    pub name: String,
    pub address: std::net::IpAddr,
    pub identity: String,
    pub proxy: String,
    /// A process in the pod's network namespace.
    pub pid: u32,
}

/// A mesh that runs. Dropping it ends it.
pub struct Mesh {
    child: Child,
    folder: tempfile::TempDir,
    output: Arc<Mutex<Vec<String>>>,
    pub gateway: SocketAddr,
    /// From start to the printed table.
    pub started_in: Duration,
    _one: MutexGuard<'static, ()>,
}

impl Mesh {
    /// Starts a mesh and waits until it says where its gateway is.
    ///
    /// # Panics
    /// It ends instead, or does not get there within 90 s; with its output.
    #[track_caller]
    pub fn start(options: MeshOptions) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().expect("a folder");
        let yaml = folder.path().join("yaml");
        std::fs::create_dir(&yaml).expect("a folder");
        let port = crate::free_port().port();
        let start = Instant::now();
        let mut child = options
            .command()
            .arg("up")
            .args(&options.files)
            .arg(&yaml)
            .arg("--gateway-port")
            .arg(port.to_string())
            .arg("--runtime-dir")
            .arg(folder.path().join("run"))
            .args(&options.args)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("lateen up");
        let output = Arc::new(Mutex::new(Vec::new()));
        collect(child.stdout.take().expect("piped"), output.clone());
        collect(child.stderr.take().expect("piped"), output.clone());
        let mut mesh = Mesh {
            child,
            folder,
            output,
            gateway: SocketAddr::from(([127, 0, 0, 1], port)),
            started_in: Duration::ZERO,
            _one: one,
        };
        let url = format!("http://127.0.0.1:{port}");
        eventually("lateen up prints its gateway", Duration::from_secs(90), || {
            if let Ok(Some(status)) = mesh.child.try_wait() {
                panic!("lateen up ended with {status}:\n{}", mesh.output());
            }
            if mesh.output().contains(&url) { Ok(()) } else { Err(mesh.output()) }
        });
        mesh.started_in = start.elapsed();
        mesh
    }

    /// Everything it printed so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).join("\n")
    }

    /// Waits for a line that contains `text`, printed after the first `skip` lines.
    #[track_caller]
    pub fn wait_for_output(&self, text: &str, limit: Duration) -> String {
        eventually(&format!("output with {text:?}"), limit, || {
            let lines = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            let line = lines.iter().rev().find(|line| line.contains(text)).cloned();
            line.ok_or_else(|| lines.join("\n"))
        })
    }

    /// Writes a file into the watched folder, whole or not at all.
    pub fn apply(&self, name: &str, yaml: &str) {
        let (target, fresh) = (self.yaml().join(name), self.folder.path().join("fresh"));
        std::fs::write(&fresh, yaml).expect("writing YAML");
        std::fs::rename(&fresh, &target).expect("renaming YAML");
    }

    /// Copies a file into the watched folder.
    pub fn apply_file(&self, path: &Path) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a file name");
        self.apply(
            name,
            &std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        );
    }

    /// Takes a file out of the watched folder.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.yaml().join(name)).expect("removing YAML");
    }

    /// The watched folder.
    pub fn yaml(&self) -> PathBuf {
        self.folder.path().join("yaml")
    }

    /// The runtime folder of the mesh.
    pub fn runtime(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    /// All pods, from `lateen status -o json`.
    pub fn status(&self) -> serde_json::Value {
        let output = self.command(&["status", "-o", "json"]).output().expect("lateen status");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("lateen status: {error}: {}", String::from_utf8_lossy(&output.stderr))
        })
    }

    /// The first pod whose name begins with `prefix`.
    #[track_caller]
    pub fn pod(&self, prefix: &str) -> Pod {
        let status = self.status();
        let pods = status["pods"].as_array().cloned().unwrap_or_default();
        let text = |pod: &serde_json::Value, key: &str| pod[key].as_str().unwrap_or_default().to_owned();
        let pod = pods.iter().find(|pod| text(pod, "name").starts_with(prefix));
        let pod = pod.unwrap_or_else(|| panic!("no pod {prefix}* in {status}"));
        Pod {
            name: text(pod, "name"),
            address: text(pod, "address").parse().unwrap_or_else(|_| panic!("no address in {pod}")),
            identity: text(pod, "identity"),
            proxy: text(pod, "proxy"),
            pid: pod["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).expect("a pid"),
        }
    }

    /// The address that pods have as their name server.
    pub fn resolver(&self) -> String {
        self.status()["control"]["address"].as_str().expect("the control plane's address").to_owned()
    }

    /// Resident memory of a pod's proxy, in bytes.
    pub fn proxy_memory(pod: &serde_json::Value) -> Option<u64> {
        let containers = pod["containers"].as_array()?;
        containers.iter().find(|container| container["name"] == "istio-proxy")?["resident"].as_u64()
    }

    /// Runs a command inside a pod.
    pub fn exec(&self, pod: &str, command: &[&str]) -> std::process::Output {
        let mut args = vec!["exec", pod, "--"];
        args.extend(command);
        self.command(&args).output().expect("lateen exec")
    }

    /// `lateen …` about this mesh.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        let (verb, rest) = args.split_first().expect("a command");
        command.arg(verb).arg("--runtime-dir").arg(self.runtime()).args(rest).env("NO_COLOR", "1");
        command
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to `lateen up` itself.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, signal).expect("kill");
    }

    /// Ctrl-C; gives the exit status and how long it took.
    ///
    /// # Panics
    /// It takes more than 10 s.
    #[track_caller]
    pub fn interrupt(mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        self.signal(Signal::INT);
        let status = eventually("lateen up ends", Duration::from_secs(10), || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}\n{}", self.output())),
        });
        (status, start.elapsed())
    }

    /// SIGKILL to `lateen up`, as a crash would.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("wait");
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        self.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- output of lateen up\n{}", self.output());
        }
    }
}

fn collect(stream: impl std::io::Read + Send + 'static, output: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if std::env::var_os("LATEEN_TEST_OUTPUT").is_some() {
                eprintln!("up: {line}");
            }
            output.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        }
    });
}
