//! `h2load`: as many HTTP/2 requests as go through, without TLS, by prior knowledge.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::{Outcome, output};
use crate::machine::Core;

#[derive(Debug, Clone, Copy)]
pub struct H2Load {
    pub connections: usize,
    /// Concurrent streams of a connection.
    pub streams: usize,
    pub path: &'static str,
    /// A unary gRPC call: a request with a message, and an answer with trailers.
    pub grpc: bool,
}

/// A frame of gRPC with a message of ten bytes.
const MESSAGE: &[u8] = b"\0\0\0\0\x0axxxxxxxxxx";

pub fn run(it: H2Load, core: Core, folder: &Path, port: u16, duration: Duration) -> anyhow::Result<Outcome> {
    let mut args = vec![
        "-t1".to_owned(),
        format!("-c{}", it.connections),
        format!("-m{}", it.streams),
        format!("-D{}", duration.as_secs().max(1)),
    ];
    if it.grpc {
        let message = folder.join("message.grpc");
        std::fs::write(&message, MESSAGE)?;
        args.extend(["-d".to_owned(), message.display().to_string()]);
        args.extend(["-H", "content-type: application/grpc", "-H", "te: trailers"].map(str::to_owned));
    }
    args.push(format!("http://127.0.0.1:{port}{}", it.path));
    let text = output(core, folder, "h2load", &args, duration)?;
    parse(&text).with_context(|| format!("h2load printed:\n{text}"))
}

fn parse(text: &str) -> Option<Outcome> {
    let line = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
    let counts: Vec<(u64, &str)> = line("requests: ")?
        .split(", ")
        .filter_map(|part| part.split_once(' '))
        .filter_map(|(count, what)| Some((count.parse().ok()?, what)))
        .collect();
    let count = |name: &str| counts.iter().find(|(_, what)| *what == name).map(|(count, _)| *count);
    let finished = line("finished in ")?;
    let per_second = finished.split(", ").find_map(|part| part.strip_suffix(" req/s")?.parse().ok())?;
    Some(Outcome {
        requests: count("done")?,
        per_second,
        errors: count("failed")? + count("errored")? + count("timeout")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_and_what_failed_is_read() {
        let text = "starting benchmark...
finished in 1.00s, 31250.00 req/s, 4.14MB/s
requests: 31253 total, 31381 started, 31250 done, 31250 succeeded, 1 failed, 2 errored, 0 timeout
status codes: 31253 2xx, 0 3xx, 0 4xx, 0 5xx
";
        assert_eq!(parse(text), Some(Outcome { requests: 31_250, per_second: 31_250.0, errors: 3 }));
    }
}
