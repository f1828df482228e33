//! Filters on connections, where there is no request to compare: the same bytes, ends, statistics and lines
//! of the log.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{eventually, free_port};

use crate::servers::{Process, socket};

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.network";
const SOON: Duration = Duration::from_secs(20);

#[test]
fn filters_on_connections_agree() {
    let Some(envoy) = testkit::envoy("differential::filters_on_connections_agree") else { return };
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| told("l", &testkit::binary(), &["proxy", "--concurrency", "2", "-c"]));
        let args = ["--use-dynamic-base-id", "--concurrency", "2", "-l", "error", "-c"];
        let theirs = told("e", &envoy, &args);
        (ours.join().expect("Lateen's side"), theirs)
    });
    assert_eq!(ours, theirs, "Lateen's first, then Envoy's");
    assert!(ours.len() > 12 && ours.iter().any(|line| line.contains("late")), "{ours:?}");
}

/// Listeners: at most two connections to an echo, at most one with the runtime saying no, a response from
/// the file and an empty one, requests, and a way to wherever nobody knows.
fn bootstrap(ports: &[SocketAddr; 8], folder: &Path, tag: &str) -> String {
    let [admin, echo, limited, off, said, nothing, requests, lost] = ports.map(socket);
    let log = |mark: &str, format: &str| {
        format!(
            "[{{name: f, typed_config: {{'@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, \
             path: {}/{tag}.{mark}, log_format: {{text_format_source: {{inline_string: \"{format}\\n\"}}}}}}}}]",
            folder.display()
        )
    };
    let line = "%RESPONSE_FLAGS% [%CONNECTION_TERMINATION_DETAILS%] %RESPONSE_CODE_DETAILS% %BYTES_RECEIVED% %BYTES_SENT%";
    let wire = "%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED% \
        %UPSTREAM_WIRE_BYTES_SENT%";
    let of_listener = format!(
        "{line} [%PROTOCOL%] [%RESPONSE_CODE%] [%ACCESS_LOG_TYPE%] [%UPSTREAM_CLUSTER%] [%UPSTREAM_REQUEST_ATTEMPT_COUNT%] \
         [%REQ(:PATH)%] [%FILTER_CHAIN_NAME%] [%UPSTREAM_TRANSPORT_FAILURE_REASON%]"
    );
    let listener = |name: &str, at: &str, log: &str, filters: &str| {
        format!(
            "  - name: {name}\n    address: {at}\n    access_log: {log}\n    filter_chains:\n    - filters:\n{filters}"
        )
    };
    let limit = |settings: &str| {
        format!(
            "      - {{name: limit, typed_config: {{'@type': {FILTERS}.connection_limit.v3.ConnectionLimit, {settings}}}}}\n"
        )
    };
    let tcp_proxy = |prefix: &str, cluster: &str, log: &str| {
        format!(
            "      - {{name: tcp, typed_config: {{'@type': {FILTERS}.tcp_proxy.v3.TcpProxy, stat_prefix: {prefix}, \
             cluster: {cluster}, access_log: {log}}}}}\n"
        )
    };
    let echo_proxy = tcp_proxy("t", "echo", &log("tcp", &format!("{line} {wire}")));
    let direct = |settings: &str| {
        format!(
            "      - {{name: direct, typed_config: {{'@type': {FILTERS}.direct_response.v3.Config{settings}}}}}\n"
        )
    };
    let file = format!(", response: {{filename: {}/said}}", folder.display());
    format!(
        "admin: {{address: {admin}}}\nstatic_resources:\n  clusters:\n  - {{name: echo, load_assignment: {{cluster_name: echo, \
         endpoints: [{{lb_endpoints: [{{endpoint: {{address: {echo}}}}}]}}]}}}}\n  - {{name: original, type: ORIGINAL_DST, \
         lb_policy: CLUSTER_PROVIDED}}\n  listeners:\n{}{}{}{}{}{}",
        listener(
            "limited",
            &limited,
            &log("limited", &of_listener),
            &(limit("stat_prefix: two, max_connections: 2, delay: 0.2s") + &echo_proxy)
        ),
        listener(
            "disabled",
            &off,
            "[]",
            &(limit(
                "stat_prefix: disabled, max_connections: 1, runtime_enabled: {runtime_key: a, default_value: false}"
            ) + &echo_proxy)
        ),
        listener("said", &said, &log("said", line), &direct(&file)),
        listener(
            "nothing",
            &nothing,
            &log("nothing", line),
            &(limit("stat_prefix: one, max_connections: 1") + &direct(""))
        ),
        listener("requests", &requests, &log("requests", &of_listener), &manager()),
        listener("lost", &lost, "[]", &tcp_proxy("lost", "original", &log("lost", line))),
    )
}

/// Answers everything itself.
fn manager() -> String {
    format!(
        "      - name: http\n        typed_config:\n          '@type': {FILTERS}.http_connection_manager.v3.HttpConnectionManager\n          \
         stat_prefix: http\n          http_filters: [{{name: router, typed_config: {{'@type': \
         type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}}}]\n          \
         route_config: {{virtual_hosts: [{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, direct_response: \
         {{status: 200, body: {{inline_string: hello}}}}}}]}}]}}\n"
    )
}

/// Everything that one of them does, in words.
fn told(tag: &str, binary: &Path, args: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("said"), "x".repeat(200_000)).expect("a file");
    let ports @ [admin, _, limited, off, said, nothing, requests, lost] =
        [free_port(), echo(), free_port(), free_port(), free_port(), free_port(), free_port(), free_port()];
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, bootstrap(&ports, folder.path(), tag)).expect("writing a bootstrap");
    let output = std::fs::File::create(folder.path().join("out")).expect("a file");
    let mut command = Command::new(binary);
    command.args(args).arg(&config).stdout(Stdio::null()).stderr(output);
    let _process = Process(command.spawn().expect("starting a proxy"));
    eventually(&format!("{tag} listens"), SOON, || {
        let said = || std::fs::read_to_string(folder.path().join("out")).unwrap_or_default();
        match TcpStream::connect(admin) {
            Ok(_) if stat(admin, "listener_manager.total_listeners_active") == 6 => Ok(()),
            other => Err(format!("{other:?}: {}", said())),
        }
    });
    let mut all = Vec::new();
    all.push(format!("within: {} {}", hold(limited).1, hold_off(off)));
    eventually("it is gone", SOON, || count(admin, "connection_limit.two.active_connections", 0));
    let ((first, one), (second, two)) = (hold(limited), hold(limited));
    eventually("two are held", SOON, || count(admin, "connection_limit.two.active_connections", 2));
    all.push(format!("held: {one} {two}"));
    let begin = Instant::now();
    let (refused, how) = hold(limited);
    let late = if begin.elapsed() < Duration::from_millis(150) { "early" } else { "late" };
    drop(refused);
    all.push(format!("one too many: {how} {late}"));
    eventually("they are two again", SOON, || count(admin, "connection_limit.two.active_connections", 2));
    for name in ["two.limited_connections", "disabled.limited_connections", "one.limited_connections"] {
        all.push(format!("{name}: {}", stat(admin, &format!("connection_limit.{name}"))));
    }
    end(first);
    end(second);
    eventually("they are gone", SOON, || count(admin, "connection_limit.two.active_connections", 0));
    all.push(format!("room again: {}", hold(limited).1));
    for (name, to, bytes) in
        [("file", said, ""), ("file, and bytes", said, "hello"), ("nothing", nothing, "")]
    {
        all.push(format!("direct response, {name}: {}", read_all(to, bytes)));
    }
    eventually("the last one is gone", SOON, || count(admin, "connection_limit.one.active_connections", 0));
    for (name, bytes) in [
        ("one request", "GET / HTTP/1.1\r\nhost: h\r\n\r\n"),
        ("two requests", "GET /a HTTP/1.1\r\nhost: h\r\n\r\nGET /b HTTP/1.1\r\nhost: h\r\n\r\n"),
        ("no request", ""),
    ] {
        all.push(format!("{name}: {}", ask(requests, bytes)));
    }
    all.push(format!("led here by nobody: {}", hold(lost).1));
    let marks = [("tcp", 7), ("limited", 5), ("said", 2), ("nothing", 1), ("requests", 3), ("lost", 1)];
    for (mark, expected) in marks {
        let lines =
            || std::fs::read_to_string(folder.path().join(format!("{tag}.{mark}"))).unwrap_or_default();
        eventually(&format!("{tag}: lines of {mark}"), SOON, || {
            let lines = lines();
            if lines.lines().count() >= expected { Ok(()) } else { Err(lines) }
        });
        let text = lines();
        let mut lines: Vec<&str> = text.lines().collect();
        lines.sort_unstable();
        all.extend(lines.into_iter().map(|line| format!("{mark}: {line}")));
    }
    all
}

/// Connects and says hello, and whether that comes back.
fn hold(to: SocketAddr) -> (TcpStream, &'static str) {
    let mut stream = TcpStream::connect(to).expect("a listener");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let _ = stream.write_all(b"hello");
    let how = match stream.read(&mut [0; 16]) {
        Ok(0) => "closed",
        Ok(_) => "open",
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => "closed",
        Err(_) => "silent",
    };
    (stream, how)
}

/// Two at once where one is the limit, switched off.
fn hold_off(to: SocketAddr) -> String {
    let (one, two) = (hold(to), hold(to));
    format!("{} {}", one.1, two.1)
}

/// Ends as a client does that is done.
fn end(mut stream: TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.read(&mut [0; 16]);
}

/// Sends, reads what comes at once, and goes.
fn ask(to: SocketAddr, bytes: &str) -> usize {
    let mut stream = TcpStream::connect(to).expect("a listener");
    stream.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    let _ = stream.write_all(bytes.as_bytes());
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all.len()
}

fn read_all(to: SocketAddr, bytes: &str) -> String {
    let mut stream = TcpStream::connect(to).expect("a listener");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let _ = stream.write_all(bytes.as_bytes());
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all).map(drop).map_err(|error| error.kind());
    // Envoy closes with bytes unread, and the kernel may throw away what it has sent.
    if bytes.is_empty() { format!("{} {end:?}", all.len()) } else { "answered".to_owned() }
}

/// A number of `/stats`; 0 if it is not there.
pub fn stat(admin: SocketAddr, name: &str) -> u64 {
    let Ok(mut stream) = TcpStream::connect(admin) else { return u64::MAX };
    let _ = stream.write_all(b"GET /stats HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let reply = crate::client::rest(&mut stream);
    let mut lines = reply.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(it, _)| *it == name).and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
}

fn count(admin: SocketAddr, name: &str, wanted: u64) -> Result<(), String> {
    match stat(admin, name) {
        found if found == wanted => Ok(()),
        found => Err(format!("{name} is {found}, not {wanted}")),
    }
}

/// A server that sends back what comes, until the client is done.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut room = [0; 64];
                while let Ok(read @ 1..) = stream.read(&mut room) {
                    let _ = stream.write_all(&room[..read]);
                }
            });
        }
    });
    address
}
