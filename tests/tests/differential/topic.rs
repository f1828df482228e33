//! Topics: parts of a bootstrap and cases, read from text; two proxies; what differs.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::free_port;

use crate::case::{Act, Case};
use crate::servers::{Process, Servers, socket};
use crate::tls::Certificates;
use crate::{client, http2, tokens};

/// One file: sections that begin with `--- name`.
pub struct Topic {
    pub name: String,
    sections: BTreeMap<String, String>,
    cases: Vec<Case>,
    stats: Vec<String>,
}

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
    /// Every file of `topics/`.
    pub fn all() -> Vec<Topic> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential/topics");
        let mut files: Vec<_> =
            std::fs::read_dir(folder).expect("topics").flatten().map(|it| it.path()).collect();
        files.sort();
        let read = |file: &Path| {
            let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
            Topic::parse(name, &std::fs::read_to_string(file).expect("a topic"))
        };
        files.iter().map(|file| read(file)).collect()
    }

    pub fn len(&self) -> usize {
        self.cases.len() + self.stats.len()
    }

    fn parse(name: String, text: &str) -> Topic {
        let text = tokens::fill(text);
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
        let cases: Vec<Case> = lines("cases").map(|line| Case::parse(&name, &line)).collect();
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
    fn bootstrap(&self, [listen, also, admin]: [SocketAddr; 3], log: &Path, servers: &Servers) -> String {
        let cluster = |name: &str, to: SocketAddr| {
            format!(
                "  - name: {name}\n    type: STATIC\n    connect_timeout: 1s\n    load_assignment:\n      \
                 cluster_name: {name}\n      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {}}}}}]}}]\n",
                socket(to)
            )
        };
        let [a, b, c] = servers.plain;
        let text = format!(
            "{top}admin: {{address: {admin}}}\nstats_flush_interval: 0.02s\nstatic_resources:\n  listeners:\n  - name: l\n    address: {listen}\n\
             {listener}    filter_chains:\n{chains}  clusters:\n{a}{b}{c}{down}{empty}{more}",
            top = self.section("bootstrap", 0),
            admin = socket(admin),
            listen = socket(listen),
            listener = self.section("listener", 4),
            chains = self.chains(log),
            a = cluster("a", a),
            b = cluster("b", b),
            c = cluster("c", c),
            down = cluster("down", servers.dead),
            empty = "  - {name: empty, type: STATIC, load_assignment: {cluster_name: empty}}\n",
            more = self.section("clusters", 2),
        );
        // Beside its own the listener may have this one.
        let text = text.replace("@also@", &socket(also));
        servers.fill(&text)
    }

    /// A filter chain for each part of the section `chains`, which `==` divides; they differ in nothing
    /// else.
    fn chains(&self, log: &Path) -> String {
        let manager = format!(
            "    - filters:\n      - name: hcm\n        typed_config:\n          '@type': {TYPE}\n          \
             stat_prefix: t\n{manager}          access_log:\n          - name: file\n            typed_config:\n              \
             '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog\n              \
             path: {log}\n              log_format: {{text_format_source: {{inline_string: \"{format}\\n\"}}}}\n          \
             http_filters:\n{filters}          - {{name: router, typed_config: {{'@type': {ROUTER}}}}}\n          \
             route_config:\n            name: routes\n{config}            virtual_hosts:\n{hosts}",
            log = log.display(),
            manager = self.section("manager", 10),
            format = format!("%REQ(X-CASE)% {}", self.section("log", 0).trim()).replace('"', "\\\""),
            filters = self.section("filters", 10),
            config = self.section("config", 12),
            hosts = self.section("hosts", 12),
        );
        let parts = self.section("chains", 6);
        parts.split("      ==\n").map(|part| format!("{manager}{part}")).collect()
    }

    /// What stands in sections `file NAME`: `@files@/NAME`.
    fn write_files(&self, folder: &Path) {
        for (section, text) in &self.sections {
            if let Some(name) = section.strip_prefix("file ") {
                std::fs::write(folder.join(name), text).expect("writing a file");
            }
        }
    }

    /// Runs all cases against both, and tells what differs.
    pub fn compare(&self, lateen: &Path, envoy: &Path) -> BTreeMap<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let servers = Servers::start(folder.path());
        self.write_files(folder.path());
        let run = |tag: &str, binary: &Path, args: &[&str]| {
            let addresses = [free_port(), free_port(), free_port()];
            let ([listen, _, _], log) = (addresses, folder.path().join(format!("{tag}.log")));
            let config = folder.path().join(format!("{tag}.yaml"));
            std::fs::write(&config, self.bootstrap(addresses, &log, &servers)).expect("writing a bootstrap");
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
            self.outcomes(tag, addresses, &log, &servers.certificates)
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
    fn outcomes(
        &self,
        tag: &str,
        [listen, also, admin]: [SocketAddr; 3],
        log: &Path,
        certificates: &Certificates,
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut held = Vec::new();
        // Envoy takes a second to close a connection, so these go side by side.
        std::thread::scope(|scope| {
            let frames = self.cases.iter().filter_map(|case| match &case.act {
                Act::Frames(script) => {
                    Some((case.name.clone(), scope.spawn(|| http2::frames(listen, script))))
                }
                _ => None,
            });
            let running: Vec<_> = frames.collect();
            all.extend(running.into_iter().map(|(name, told)| (name, told.join().expect("no panic"))));
        });
        for (number, case) in self.cases.iter().enumerate() {
            let to = if case.also { also } else { listen };
            let told = case.act.run(&format!("{tag}{number}"), to, admin, certificates, &mut held);
            // Those are each proxy's own.
            let told = [(listen, "LISTEN"), (also, "ALSO")]
                .iter()
                .fold(told, |told, (address, name)| told.replace(&address.to_string(), name));
            all.entry(case.name.clone()).or_insert(told);
        }
        let lines = settled(log, self.cases.iter().map(|case| case.act.logged()).sum());
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
