//! Topics: parts of a bootstrap and cases, read from text; two proxies; what differs.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use crate::backend;
use crate::client::{self, Reply};

/// One file: sections that begin with `--- name`.
pub struct Topic {
    pub name: &'static str,
    sections: BTreeMap<String, String>,
    cases: Vec<Case>,
    stats: Vec<String>,
}

/// `name | METHOD host /path | header: value | body=…`, or `name | raw | bytes`. `x3` before the method
/// sends the request three times, `body*9` has nine bytes, `chunked*9` nine chunks of 1000.
struct Case {
    name: String,
    /// The methods of the requests, in order: the number of answers to wait for.
    methods: Vec<String>,
    /// `@case@` stands for the case's own number.
    bytes: String,
}

macro_rules! topics {
    ($($name:literal),* $(,)?) => {
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("topics/", $name, ".txt")))),*];
    };
}

topics!(
    "authz",
    "authz_grpc",
    "authz_open",
    "basics",
    "cors",
    "faults",
    "filters",
    "formats",
    "switches",
    "headers",
    "limits",
    "limits_by",
    "logs",
    "messages",
    "redirects",
    "retries",
    "rewrites",
    "routing",
    "servers",
    "upstreams"
);

/// Whether somebody listens. A client may get the very port that it asks for as its own, and then it has
/// connected to itself.
fn listens(to: SocketAddr) -> Result<(), String> {
    let stream = TcpStream::connect(to).map_err(|error| error.to_string())?;
    match stream.local_addr() {
        Ok(own) if own != to => Ok(()),
        _ => Err("connected to itself".to_owned()),
    }
}

/// The log once it has as many lines as there were requests, and no more come: what is redirected inside
/// of the proxy has several.
fn settled(log: &Path, expected: usize) -> String {
    let (mut lines, mut same) = (String::new(), 0);
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_millis(800) && (same < 4 || lines.lines().count() < expected) {
        std::thread::sleep(Duration::from_millis(20));
        let now = std::fs::read_to_string(log).unwrap_or_default();
        same = if now == lines { same + 1 } else { 0 };
        lines = now;
    }
    lines
}

impl Topic {
    pub fn all() -> Vec<Topic> {
        FILES.iter().map(|(name, text)| Topic::parse(name, text)).collect()
    }

    pub fn len(&self) -> usize {
        self.cases.len() + self.stats.len()
    }

    fn parse(name: &'static str, text: &str) -> Topic {
        let mut sections: BTreeMap<String, String> = BTreeMap::new();
        let mut here = String::new();
        for line in text.lines() {
            match line.strip_prefix("--- ") {
                Some(section) => here = section.to_owned(),
                None => sections.entry(here.clone()).or_default().push_str(&format!("{line}\n")),
            }
        }
        let lines = |section: &str| {
            let text = sections.get(section).cloned().unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.into_iter().filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        };
        let cases: Vec<Case> = lines("cases").map(|line| Case::parse(name, &line)).collect();
        let stats: Vec<String> = lines("stats").collect();
        for (i, case) in cases.iter().enumerate() {
            assert!(cases[..i].iter().all(|other| other.name != case.name), "{name}/{} twice", case.name);
        }
        Topic { name, cases, stats, sections }
    }

    fn section(&self, name: &str, indent: usize) -> String {
        let text = self.sections.get(name).map_or("", String::as_str);
        let pad = " ".repeat(indent);
        text.lines().filter(|line| !line.trim().is_empty()).map(|line| format!("{pad}{line}\n")).collect()
    }

    /// The bootstrap, for a listener and an admin address of its own.
    fn bootstrap(
        &self,
        listen: SocketAddr,
        admin: SocketAddr,
        log: &Path,
        backends: &[SocketAddr; 4],
    ) -> String {
        let dead = backends[3];
        let cluster = |name: &str, to: SocketAddr| {
            format!(
                "  - name: {name}\n    type: STATIC\n    connect_timeout: 1s\n    load_assignment:\n      \
                 cluster_name: {name}\n      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]\n",
                socket(to)
            )
        };
        let text = format!(
            "admin: {{address: {admin}}}\nstats_flush_interval: 0.02s\nstatic_resources:\n  listeners:\n  - name: l\n    address: {listen}\n    \
             filter_chains:\n    - filters:\n      - name: hcm\n        typed_config:\n          '@type': {TYPE}\n          \
             stat_prefix: t\n{manager}          access_log:\n          - name: file\n            typed_config:\n              \
             '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog\n              \
             path: {log}\n              log_format: {{text_format_source: {{inline_string: \"{format}\\n\"}}}}\n          \
             http_filters:\n{filters}          - {{name: router, typed_config: {{'@type': {ROUTER}}}}}\n          \
             route_config:\n            name: routes\n{config}            virtual_hosts:\n{hosts}  clusters:\n{a}{b}{c}{down}\
             {empty}{more}",
            admin = socket(admin),
            listen = socket(listen),
            log = log.display(),
            manager = self.section("manager", 10),
            format = format!("%REQ(X-CASE)% {}", self.section("log", 0).trim()).replace('"', "\\\""),
            filters = self.section("filters", 10),
            config = self.section("config", 12),
            hosts = self.section("hosts", 12),
            a = cluster("a", backends[0]),
            b = cluster("b", backends[1]),
            c = cluster("c", backends[2]),
            down = cluster("down", dead),
            empty = "  - {name: empty, type: STATIC, load_assignment: {cluster_name: empty}}\n",
            more = self.section("clusters", 2),
        );
        text.replace("@a@", &socket(backends[0])).replace("@dead@", &socket(dead))
    }

    /// Runs all cases against both, and tells what differs.
    pub fn compare(&self, lateen: &Path, envoy: &Path) -> BTreeMap<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let backends = [backend::start("a"), backend::start("b"), backend::start("c"), free()];
        let run = |tag: &str, binary: &Path, args: &[&str]| {
            let (listen, admin, log) = (free(), free(), folder.path().join(format!("{tag}.log")));
            let config = folder.path().join(format!("{tag}.yaml"));
            std::fs::write(&config, self.bootstrap(listen, admin, &log, &backends))
                .expect("writing a bootstrap");
            let output = std::fs::File::create(folder.path().join(format!("{tag}.out"))).expect("a file");
            let mut process = Process(
                Command::new(binary)
                    .args(args)
                    .arg(&config)
                    .stdout(output.try_clone().expect("a file"))
                    .stderr(output)
                    .spawn()
                    .expect("starting a proxy"),
            );
            let ready = Duration::from_secs(20);
            testkit::eventually(&format!("{tag} listens for {}", self.name), ready, || {
                if let Ok(Some(status)) = process.0.try_wait() {
                    let said =
                        std::fs::read_to_string(folder.path().join(format!("{tag}.out"))).unwrap_or_default();
                    panic!("{tag} ended with {status} for {}: {said:.1500}", self.name);
                }
                listens(listen)
            });
            self.outcomes(tag, listen, admin, &log)
        };
        let (ours, theirs) = std::thread::scope(|scope| {
            let ours = scope.spawn(|| run("l", lateen, &["proxy", "--concurrency", "1", "-c"]));
            let args = [
                "--use-dynamic-base-id",
                "--concurrency",
                "1",
                "-l",
                "error",
                "--file-flush-interval-msec",
                "20",
                "-c",
            ];
            let theirs = run("e", envoy, &args);
            (ours.join().expect("Lateen's side"), theirs)
        });
        let mut different = BTreeMap::new();
        for (name, ours) in &ours {
            let theirs = &theirs[name];
            if ours != theirs {
                different.insert(format!("{}/{name}", self.name), difference(ours, theirs));
            }
        }
        different
    }

    /// Every case's outcome as text.
    fn outcomes(&self, tag: &str, to: SocketAddr, admin: SocketAddr, log: &Path) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (number, case) in self.cases.iter().enumerate() {
            let bytes = case.bytes.replace("@case@", &format!("{tag}{number}"));
            let replies = client::exchange(to, bytes.as_bytes(), &case.methods);
            let text: Vec<String> = replies.iter().map(text).collect();
            all.insert(case.name.clone(), text.join("\n---\n"));
        }
        let marked = self.cases.iter().filter(|case| case.bytes.contains("@case@"));
        let expected: usize = marked.map(|case| case.methods.len()).sum();
        let lines = settled(log, expected);
        for (number, case) in self.cases.iter().enumerate() {
            let mark = format!("{tag}{number} ");
            let of_case = lines.lines().filter_map(|line| line.strip_prefix(&mark));
            let logged: Vec<&str> = of_case.collect();
            if let Some(outcome) = all.get_mut(&case.name) {
                outcome.push_str(&format!("\nlog: {}", logged.join("\nlog: ")));
            }
        }
        if !self.stats.is_empty() {
            // Envoy's workers hand their numbers over from time to time.
            std::thread::sleep(Duration::from_millis(100));
            let stats = stats(admin);
            for name in &self.stats {
                let value = stats.get(name).map_or("0", String::as_str);
                all.insert(format!("stat {name}"), value.to_owned());
            }
        }
        all
    }
}

const TYPE: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

impl Case {
    fn parse(topic: &str, line: &str) -> Case {
        let mut cells = line.split(" | ").map(str::trim);
        let name = cells.next().expect("a name").to_owned();
        let what = cells.next().unwrap_or_else(|| panic!("{topic}/{name}: no request"));
        if what == "raw" || what.starts_with("raw ") {
            let methods = what.split(' ').skip(1).map(str::to_owned).collect::<Vec<_>>();
            let methods = if methods.is_empty() { vec!["GET".to_owned()] } else { methods };
            let bytes = cells.collect::<Vec<_>>().join(" | ").replace("\\r", "\r").replace("\\n", "\n");
            return Case { name, methods, bytes };
        }
        let (times, what) = match what.split_once(' ') {
            Some((times, rest)) if times.starts_with('x') => {
                (times[1..].parse().unwrap_or_else(|_| panic!("{topic}/{name}: {times}")), rest)
            }
            _ => (1, what),
        };
        let parts: Vec<&str> = what.split(' ').collect();
        let [method, host, path] = parts.as_slice() else { panic!("{topic}/{name}: {what}") };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nx-case: @case@\r\n");
        let mut body = String::new();
        for cell in cells {
            if let Some(text) = cell.strip_prefix("body=") {
                head.push_str(&format!("Content-Length: {}\r\n", text.len()));
                body = text.to_owned();
            } else if let Some(size) = cell.strip_prefix("body*") {
                body = "x".repeat(size.parse().expect("a size"));
                head.push_str(&format!("Content-Length: {}\r\n", body.len()));
            } else if let Some(size) = cell.strip_prefix("chunked*") {
                let part = "x".repeat(1000);
                let parts = size.parse::<usize>().expect("a number of parts");
                head.push_str("Transfer-Encoding: chunked\r\n");
                body = format!("3e8\r\n{part}\r\n").repeat(parts) + "0\r\n\r\n";
            } else if let Some(text) = cell.strip_prefix("chunked=") {
                head.push_str("Transfer-Encoding: chunked\r\n");
                body = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
            } else {
                head.push_str(&format!("{cell}\r\n"));
            }
        }
        let one = format!("{head}\r\n{body}");
        Case { name, methods: vec![(*method).to_owned(); times], bytes: one.repeat(times) }
    }
}

/// A process that ends with the topic.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

fn socket(address: SocketAddr) -> String {
    format!("{{socket_address: {{address: {}, port_value: {}}}}}", address.ip(), address.port())
}

fn text(reply: &Reply) -> String {
    let Reply { head, body, end } = reply;
    format!("{}\n\n{body}\n[{end}]", head.join("\n"))
}

fn stats(admin: SocketAddr) -> BTreeMap<String, String> {
    let page = |path: &str| {
        let mut stream = TcpStream::connect(admin).expect("the admin port");
        let ask = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).expect("asking for statistics");
        client::rest(&mut stream)
    };
    let (numbers, prometheus) = (page("/stats"), page("/stats/prometheus"));
    let numbers = numbers.lines().filter_map(|line| line.split_once(": "));
    // Labels may have blanks in them, values have none.
    let prometheus = prometheus.lines().filter_map(|line| line.rsplit_once(' '));
    numbers.chain(prometheus).map(|(n, v)| (n.to_owned(), v.trim().to_owned())).collect()
}

/// The lines that one of the two has alone.
fn difference(ours: &str, theirs: &str) -> String {
    let missing = |of: &str, among: &str| -> Vec<String> {
        let mut others: Vec<&str> = among.lines().collect();
        let mut alone = Vec::new();
        for line in of.lines() {
            match others.iter().position(|other| *other == line) {
                Some(at) => drop(others.remove(at)),
                None => alone.push(line.to_owned()),
            }
        }
        alone
    };
    let ours_alone = missing(ours, theirs).into_iter().map(|line| format!("  lateen: {line}"));
    let theirs_alone = missing(theirs, ours).into_iter().map(|line| format!("  envoy:  {line}"));
    ours_alone.chain(theirs_alone).collect::<Vec<_>>().join("\n")
}
