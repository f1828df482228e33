//! Access logs: formats and filters, with real requests.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use ir::access_log::{
    AccessLog, AccessLogFilter, AccessLogSink, Comparison, ComparisonOp, LogContent, LogFormat, LogType,
};
use ir::bootstrap::Json;
use ir::{Listener, Terminal};

use crate::support::Setup;
use crate::support::backend::Backend;
use crate::support::client::get;

/// The listener of a setup with logs of its own beside the one that it has.
fn with_logs(setup: &Setup, log: &str, logs: Vec<AccessLog>) -> Listener {
    let mut listener = setup.listener(log);
    let Terminal::Http(hcm) = &mut listener.filter_chains[0].terminal else { panic!() };
    hcm.access_log.extend(logs);
    listener
}

fn log(path: &std::path::Path, format: LogFormat, filter: Option<AccessLogFilter>) -> AccessLog {
    AccessLog { sink: AccessLogSink::File(path.to_str().unwrap().into()), format: Some(format), filter }
}

#[test]
fn json_and_filters() {
    let dir = tempfile::tempdir().unwrap();
    let (json, some) = (dir.path().join("json"), dir.path().join("some"));
    let text = |text: &str| Json::Text(text.into());
    let fields = [
        ("code".into(), text("%RESPONSE_CODE%")),
        ("path".into(), text("%PATH(NQ)%")),
        ("none".into(), text("%REQ(x-none)%")),
        ("type".into(), text("%ACCESS_LOG_TYPE%")),
        ("upstream".into(), text("%UPSTREAM_PROTOCOL%")),
        ("id".into(), text("%UNIQUE_ID%")),
    ];
    let format = LogFormat { content: LogContent::Json(fields.into()), omit_empty_values: false };
    let status = |op, value| AccessLogFilter::Status(Comparison { op, value });
    let filter = AccessLogFilter::And(vec![
        AccessLogFilter::LogType { types: vec![LogType::DownstreamEnd], exclude: false },
        AccessLogFilter::Or(vec![status(ComparisonOp::Equal, 404), status(ComparisonOp::AtLeast, 500)]),
        AccessLogFilter::NotHealthCheck,
        AccessLogFilter::Duration(Comparison { op: ComparisonOp::AtMost, value: 60_000 }),
    ]);
    let logs = vec![log(&json, format, None), log(&some, "%RESPONSE_CODE% %PATH%\n".into(), Some(filter))];
    let backend = Backend::start("b");
    let setup = Setup::new().cluster("b", &[backend.address]).route("/a", "b");
    let listener = with_logs(&setup, dir.path().join("log").to_str().unwrap(), logs);
    let mut proxy = setup.start_with(listener);
    assert_eq!(get(proxy.address, "/a?b=1").status, 200);
    assert_eq!(get(proxy.address, "/nowhere").status, 404);
    proxy.stop();
    let lines = std::fs::read_to_string(json).unwrap();
    let mut lines: Vec<serde_json::Value> =
        lines.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    // Each worker writes its own.
    lines.sort_by_key(|line| line["code"].as_u64());
    assert_eq!(lines[0]["code"], 200);
    assert_eq!(lines[0]["path"], "/a");
    assert_eq!(lines[0]["none"], serde_json::Value::Null);
    assert_eq!(lines[0]["type"], "DownstreamEnd");
    assert_eq!(lines[0]["upstream"], "HTTP/1.1");
    assert_eq!(lines[1]["upstream"], serde_json::Value::Null);
    assert_eq!(lines[0]["id"].as_str().unwrap().len(), 36);
    assert_ne!(lines[0]["id"], lines[1]["id"]);
    assert_eq!(std::fs::read_to_string(some).unwrap(), "404 /nowhere\n");
}

#[test]
fn the_upstream_connection_is_known_also_where_nobody_waited_for_the_response() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("own");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let asked = std::thread::spawn(move || {
        let (mut upstream, _) = silent.accept().unwrap();
        upstream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        assert!(upstream.read(&mut [0; 1000]).unwrap() > 0);
        upstream
    });
    let setup = Setup::new().cluster("b", &[address]).route("/", "b");
    let format = "%RESPONSE_FLAGS% %UPSTREAM_PROTOCOL% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%\n";
    let logs = vec![log(&path, format.into(), None)];
    let listener = with_logs(&setup, dir.path().join("log").to_str().unwrap(), logs);
    let mut proxy = setup.start_with(listener);
    let mut client = TcpStream::connect(proxy.address).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").unwrap();
    let mut upstream = asked.join().unwrap();
    drop(client);
    // Given up.
    assert_eq!(upstream.read(&mut [0; 1]).unwrap_or(0), 0);
    proxy.stop();
    assert_eq!(std::fs::read_to_string(path).unwrap(), "DC HTTP/1.1 127.0.0.1\n");
}
