//! What is checked.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::eventually;

const YAML: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mode: fast}
---
apiVersion: v1
kind: Pod
metadata: {name: plain, labels: {app: web, sidecar.istio.io/inject: 'false'}}
spec:
  volumes: [{name: conf, configMap: {name: settings}}, {name: data, emptyDir: {}}]
  containers:
  - name: app
    command: [lateen, serve, '80']
    readinessProbe: {httpGet: {port: 80}}
    volumeMounts:
    - {name: conf, mountPath: /srv/none/such/conf}
    - {name: data, mountPath: /data}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: meshed}
spec:
  selector: {matchLabels: {app: meshed}}
  template:
    metadata:
      labels: {app: meshed}
      annotations: {traffic.sidecar.istio.io/excludeInboundPorts: '81'}
    spec:
      serviceAccountName: shop
      securityContext: {runAsUser: 4321}
      containers:
      - {name: app, command: [lateen, serve, '80'], readinessProbe: {tcpSocket: {port: 80}}}
      - {name: open, command: [lateen, serve, '81'], readinessProbe: {exec: {command: ['true']}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

/// A mesh under test.
struct Up {
    child: Child,
    lines: mpsc::Receiver<String>,
    seen: Vec<String>,
    dir: PathBuf,
}

pub fn run() -> u8 {
    if !testkit::root("local: a mesh of stand-ins") {
        return 0;
    }
    // The host of this test: nobody else's mesh is in the way, and none of ours in others'.
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
    sh("ip link set lo up");
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.yaml"), YAML).unwrap();
    let before = links();

    let mut up = Up::start(dir.path());
    a_second_one_is_refused(dir.path());
    a_plain_pod(&up);
    a_meshed_pod(&up);
    names_of_services(&up);
    an_application_that_ends(&mut up);
    a_changed_config_map(&up);
    a_removed_file(&mut up);
    up.signal(Signal::SIGINT);
    assert_eq!(up.ended(), Some(0));
    assert_eq!(links(), before);
    assert!(!dir.path().join("run").exists());

    std::fs::write(dir.path().join("a.yaml"), YAML).unwrap();
    a_killed_one_is_cleaned_up_after(dir.path(), &before);
    println!("local: a mesh of stand-ins: ok");
    0
}

impl Up {
    fn start(dir: &Path) -> Up {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("up")
            .args([dir.join("a.yaml"), dir.join("run")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let out = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if std::env::var_os("LATEEN_TEST_OUTPUT").is_some() {
                    eprintln!("up: {line}");
                }
                let _ = sender.send(line);
            }
        });
        let mut up = Up { child, lines, seen: Vec::new(), dir: dir.to_owned() };
        up.says("Gateway:");
        up
    }

    /// Waits until a line with `text` has been printed since the last call.
    #[track_caller]
    fn says(&mut self, text: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.seen.push(line);
            if self.seen.last().is_some_and(|line| line.contains(text)) {
                return;
            }
        }
        panic!("it never said {text:?}, but:\n{}", self.seen.join("\n"));
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    fn ended(&mut self) -> Option<i32> {
        let wait =
            || self.child.try_wait().unwrap().map(|status| status.code()).ok_or_else(|| "it runs".to_owned());
        eventually("up ends", Duration::from_secs(5), wait)
    }

    fn status(&self) -> serde_json::Value {
        let text = local::status(&self.dir.join("run"), true).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn pod(&self, name: &str) -> serde_json::Value {
        let status = self.status();
        let pods = status["pods"].as_array().unwrap();
        pods.iter().find(|pod| pod["name"].as_str().unwrap().starts_with(name)).unwrap().clone()
    }

    /// The output of a shell command in a container, without blanks around.
    fn exec(&self, pod: &str, container: &str, command: &str) -> String {
        let output = Command::new(std::env::current_exe().unwrap())
            .arg("exec")
            .arg(self.dir.join("run"))
            .args([pod, container, "sh", "-c", command])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).trim().to_owned()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

fn a_second_one_is_refused(dir: &Path) {
    let second = Command::new(std::env::current_exe().unwrap())
        .arg("up")
        .args([dir.join("a.yaml"), dir.join("other")])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2), "{second:?}");
    assert!(!dir.join("other").exists());
}

fn a_plain_pod(up: &Up) {
    let pod = up.pod("plain");
    assert_eq!((pod["proxy"].as_str(), pod["ready"].as_bool()), (Some("none"), Some(true)));
    let check =
        |command: &str, expected: &str| assert_eq!(up.exec("plain", "app", command), expected, "{command}");
    check("id -u; id -G; hostname", "65534\n65534\nplain");
    check("cat /srv/none/such/conf/mode; ls /run", "fastlateen");
    check("echo x > /data/file && cat /data/file", "x");
    assert!(!Path::new("/srv/none").exists(), "nothing of that is seen on the host");
    // IPv6 is off, loopback included: no way around a capture.
    check("cat /proc/net/if_inet6", "");
    check("cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1");
    check("head -c6 /proc/1/cmdline; ls -d /proc/[0-9]* | wc -l | grep -c '^.$'", "lateen1");
    assert!(up.exec("plain", "app", "kill -9 1").contains("not permitted"));
    check("grep NoNewPrivs /proc/self/status | cut -f2", "1");
    let address = pod["address"].as_str().unwrap();
    assert!(get(address, 80).starts_with("application, called from"));
}

fn a_meshed_pod(up: &Up) {
    let pod = up.pod("meshed");
    assert_eq!(pod["identity"], "spiffe://test.local/ns/default/sa/shop");
    assert_eq!((pod["proxy"].as_str(), pod["ready"].as_bool()), (Some("ready"), Some(true)), "{pod}");
    let address = pod["address"].as_str().unwrap();
    assert_eq!(get(address, 80), format!("inbound to {address}:80"));
    assert!(get(address, 81).starts_with("application"), "an excluded port");
    assert_eq!(get(address, 15021), "ready");
    let fetch = "exec 3<>/dev/tcp/10.9.9.9/90; printf 'GET / HTTP/1.1\\r\\n\\r\\n' >&3; tail -n1 <&3";
    let fetch = format!("bash -c \"{}\"", fetch.replace('\\', "\\\\").replace('"', "\\\""));
    // The stand-in answers without reading: its close may be a reset that overtakes the answer.
    let mut answers = (0..10).map(|_| up.exec("meshed", "app", &fetch));
    let answer = answers.find(|answer| !answer.contains("Connection reset"));
    assert_eq!(answer.as_deref(), Some("outbound to 10.9.9.9:90"));
    assert_eq!(up.exec("meshed", "app", "id -u"), "4321");
    assert_eq!(
        up.exec("meshed", "istio-proxy", "id -u; cat /var/run/secrets/istio/root-cert.pem"),
        "1337\nroots"
    );
    let token = up.exec("meshed", "istio-proxy", "cat /var/run/secrets/tokens/istio-token");
    assert!(token.starts_with("default shop meshed-"), "{token}");
    let refused = up.exec("meshed", "app", "cat /var/run/secrets/tokens/istio-token");
    assert!(refused.contains("No such file"), "the token is the proxy's alone: {refused}");
}

fn names_of_services(up: &Up) {
    let address = up.pod("plain")["address"].as_str().unwrap().to_owned();
    assert!(up.exec("plain", "app", "getent hosts web").starts_with(&address));
    assert_eq!(up.exec("plain", "app", "getent hosts nothing.default.svc.cluster.local; echo $?"), "2");
}

fn an_application_that_ends(up: &mut Up) {
    let pid = up.pod("meshed")["containers"][1]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    up.says("container app ended: SIGKILL; restarted in 1s");
    up.says("not ready (app waits to be restarted)");
    up.says(": ready");
    let pid = up.pod("meshed")["containers"][0]["pid"].as_i64().unwrap();
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    up.says("the proxy ended: SIGKILL; restarted in 10ms");
    up.says(": ready");
    assert_eq!(up.pod("meshed")["containers"][0]["restarts"], 1);
}

fn a_changed_config_map(up: &Up) {
    let file = up.dir.join("fresh");
    std::fs::write(&file, YAML.replace("mode: fast", "mode: slow")).unwrap();
    std::fs::rename(&file, up.dir.join("a.yaml")).unwrap();
    eventually("the file in the pod changes", Duration::from_secs(5), || {
        let text = up.exec("plain", "app", "cat /srv/none/such/conf/mode");
        if text == "slow" { Ok(()) } else { Err(text) }
    });
}

fn a_removed_file(up: &mut Up) {
    let file = up.dir.join("fresh");
    let rest: Vec<&str> = YAML.split("---").filter(|text| !text.contains("kind: Deployment")).collect();
    std::fs::write(&file, rest.join("---")).unwrap();
    std::fs::rename(&file, up.dir.join("a.yaml")).unwrap();
    up.says(": leaving");
    up.says(": gone");
    eventually("the gateway and one pod are left", Duration::from_secs(1), || {
        let status = up.status();
        if status["pods"].as_array().unwrap().len() == 2 { Ok(()) } else { Err(status.to_string()) }
    });
}

fn a_killed_one_is_cleaned_up_after(dir: &Path, before: &[String]) {
    let mut up = Up::start(dir);
    let status = up.status();
    let pids = status["pods"].as_array().unwrap().iter().map(|pod| pod["pid"].as_i64().unwrap());
    let pids: Vec<i64> = pids.chain([status["control"]["pid"].as_i64().unwrap()]).collect();
    up.signal(Signal::SIGKILL);
    up.child.wait().unwrap();
    eventually("everything in the pods ends with it", Duration::from_secs(5), || {
        let alive = |pid: &&i64| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        match pids.iter().find(alive) {
            Some(pid) => Err(format!("process {pid} lives")),
            None => Ok(()),
        }
    });
    assert_ne!(links(), before, "the bridge is left");
    let mut up = Up::start(dir);
    assert!(up.seen.iter().any(|line| line.contains("Removed what an earlier run left")), "{:?}", up.seen);
    up.signal(Signal::SIGTERM);
    assert_eq!(up.ended(), Some(0));
    assert_eq!(links(), before);
    assert!(!dir.join("run").exists());
}

/// The body of a response.
fn get(address: &str, port: u16) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect((address, port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

fn links() -> Vec<String> {
    let output = Command::new("ip").args(["-br", "link"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn sh(command: &str) {
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success(), "{command}");
}
