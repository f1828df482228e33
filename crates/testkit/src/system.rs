//! What a mesh may leave behind on the host, for comparison before and after.

use std::process::Command;

/// The parts of the host's state that `lateen up` touches, or must not touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostState {
    pub namespaces: Vec<String>,
    pub links: Vec<String>,
    pub rules: String,
    pub sysctls: Vec<String>,
    pub mounts: Vec<String>,
    pub processes: Vec<String>,
}

impl HostState {
    /// Reads the state as it is now. Counters in rules and statistics in sysctls are left out.
    pub fn now() -> Self {
        HostState {
            namespaces: lines(&run("ip", &["netns", "list"])),
            links: lines(&run("ip", &["-br", "link"])).iter().filter_map(|l| first_word(l)).collect(),
            rules: run("nft", &["-s", "list", "ruleset"]),
            sysctls: sysctls(),
            mounts: mounts(),
            processes: processes(),
        }
    }

    /// Panics with the difference.
    #[track_caller]
    pub fn assert_unchanged(&self) {
        let now = HostState::now();
        for (what, before, after) in [
            ("ip netns", &self.namespaces, &now.namespaces),
            ("ip link", &self.links, &now.links),
            ("mounts", &self.mounts, &now.mounts),
            ("sysctls", &self.sysctls, &now.sysctls),
            ("processes", &self.processes, &now.processes),
        ] {
            let new: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
            let gone: Vec<_> = before.iter().filter(|line| !after.contains(line)).collect();
            assert!(new.is_empty() && gone.is_empty(), "{what} changed: new {new:?}, gone {gone:?}");
        }
        assert_eq!(self.rules, now.rules, "nft list ruleset changed");
    }
}

fn run(program: &str, args: &[&str]) -> String {
    let path = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(|folder| format!("{folder}/{program}"));
    let path = path.iter().find(|path| std::path::Path::new(path).exists()).expect(program);
    let output = Command::new(path).args(args).output().expect(program);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn first_word(line: &str) -> Option<String> {
    line.split_whitespace().next().map(|word| word.split('@').next().unwrap_or(word).to_owned())
}

/// Network settings that are the same from one moment to the next unless somebody sets them.
fn sysctls() -> Vec<String> {
    let mut found = Vec::new();
    for path in [
        "net/ipv4/ip_forward",
        "net/ipv4/conf/all/forwarding",
        "net/ipv4/conf/all/rp_filter",
        "net/ipv4/conf/all/route_localnet",
        "net/ipv4/conf/default/rp_filter",
        "net/ipv4/ip_unprivileged_port_start",
        "net/ipv4/ip_local_port_range",
        "net/ipv6/conf/all/forwarding",
        "net/ipv6/conf/all/disable_ipv6",
        "net/core/somaxconn",
        "net/bridge/bridge-nf-call-iptables",
    ] {
        if let Ok(value) = std::fs::read_to_string(format!("/proc/sys/{path}")) {
            found.push(format!("{path}={}", value.trim()));
        }
    }
    found
}

fn mounts() -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    lines(&text).into_iter().filter(|line| line.contains("lateen") || line.contains("nsfs")).collect()
}

/// Processes of the tested binary, and of Envoy. One that has ended and waits for PID 1 to take
/// note of it (after a SIGKILL of its parent) is none any more: it has no command line.
fn processes() -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if ["lateen", "envoy"].iter().any(|program| comm.trim().starts_with(program)) {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if line.is_empty() {
                continue;
            }
            found.push(format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}
