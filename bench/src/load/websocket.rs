//! WebSocket messages, as many as go through: each connection sends the next when the last is back.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinSet;

use super::Outcome;
use crate::server::{connect, websocket};

/// # Errors
/// Not one connection could be upgraded.
pub fn run(connections: usize, port: u16, duration: Duration) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let start = Instant::now();
    let (requests, errors) = runtime.block_on(async {
        let mut clients = JoinSet::new();
        for index in 0..connections {
            clients.spawn(client(port, start + duration, index as u32));
        }
        let (mut messages, mut errors) = (0, 0);
        while let Some(client) = clients.join_next().await {
            let (done, broke) = client?;
            messages += done;
            errors += u64::from(broke);
        }
        anyhow::Ok((messages, errors))
    })?;
    ensure!(requests > 0, "no message came back on any of {connections} WebSockets");
    Ok(Outcome { requests, per_second: requests as f64 / start.elapsed().as_secs_f64(), errors })
}

/// How many messages came back, and whether the connection broke.
async fn client(port: u16, until: Instant, mask: u32) -> (u64, bool) {
    let mut messages = 0;
    let work = async {
        let mut stream = connect(port).await?;
        websocket::upgrade(&mut stream).await?;
        while Instant::now() < until {
            websocket::echo(&mut stream, mask.wrapping_mul(0x9e37_79b9).to_be_bytes()).await?;
            messages += 1;
        }
        anyhow::Ok(())
    };
    let limit = tokio::time::timeout_at((until + Duration::from_secs(5)).into(), work).await;
    let broke = !matches!(limit, Ok(Ok(())));
    (messages, broke)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_comes_back() {
        let port = crate::machine::free_port().unwrap();
        std::thread::spawn(move || crate::server::serve(crate::server::Service::Websocket, port));
        while std::net::TcpStream::connect(crate::machine::loopback(port)).is_err() {
            std::thread::yield_now();
        }
        let outcome = run(2, port, Duration::from_millis(50)).unwrap();
        assert_eq!(outcome.errors, 0);
        assert!(outcome.requests >= 2, "{outcome:?}");
    }
}
