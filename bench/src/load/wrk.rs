//! `wrk`: as many HTTP/1.1 requests as go through, on kept or on new connections.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::{Outcome, output};
use crate::machine::Core;

#[derive(Debug, Clone, Copy)]
pub struct Wrk {
    pub connections: usize,
    pub path: &'static str,
    /// Each request on a TLS connection of its own.
    pub new_tls: bool,
}

pub fn run(it: Wrk, core: Core, folder: &Path, port: u16, duration: Duration) -> anyhow::Result<Outcome> {
    let scheme = if it.new_tls { "https" } else { "http" };
    let mut args = vec![
        "-t1".to_owned(),
        format!("-c{}", it.connections),
        format!("-d{}s", duration.as_secs().max(1)),
        "--timeout=5s".to_owned(),
    ];
    if it.new_tls {
        args.extend(["-H".to_owned(), "Connection: close".to_owned()]);
    }
    args.push(format!("{scheme}://127.0.0.1:{port}{}", it.path));
    let text = output(core, folder, "wrk", &args, duration)?;
    parse(&text).with_context(|| format!("wrk printed:\n{text}"))
}

fn parse(text: &str) -> Option<Outcome> {
    let number = |line: &str| line.split_ascii_whitespace().next()?.parse::<u64>().ok();
    let requests = text.lines().find(|line| line.contains(" requests in ")).and_then(number)?;
    let per_second = text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    let sockets = text.lines().find_map(|line| line.trim().strip_prefix("Socket errors:"));
    let socket_errors = sockets.map_or(0, |rest| {
        rest.split(',').filter_map(|part| part.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>()
    });
    let statuses = text.lines().find_map(|line| line.trim().strip_prefix("Non-2xx or 3xx responses:"));
    let bad_statuses = statuses.and_then(|rest| rest.trim().parse::<u64>().ok()).unwrap_or(0);
    Some(Outcome { requests, per_second, errors: socket_errors + bad_statuses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_all_kinds_of_errors_are_read() {
        let text = "Running 1s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   100.00us    0.00us 200.00us  100.00%
  300 requests in 1.10s, 64.54KB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:    272.50
Transfer/sec:     58.43KB
";
        assert_eq!(parse(text), Some(Outcome { requests: 300, per_second: 272.5, errors: 15 }));
    }
}
