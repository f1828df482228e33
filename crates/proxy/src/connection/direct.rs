//! `envoy.filters.network.direct_response`: the same bytes to everybody.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use net::Io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ConnInfo;
use crate::access_log::{AccessLog, Record};
use crate::worker::Worker;

/// How long the client has for ending its side, once it was sent everything. If we closed with bytes of
/// its unread, the kernel would reset the connection, and take what it has not read yet from it.
const LINGER: Duration = Duration::from_secs(1);

/// Writes the response and closes.
pub async fn serve(
    worker: Rc<Worker>,
    mut io: Io,
    response: Bytes,
    logs: Arc<[AccessLog]>,
    info: Rc<ConnInfo>,
    mut record: Record,
) {
    let drain = worker.shared.drain.clone();
    record.details = "direct_response".into();
    let all = async {
        let mut left = response.clone();
        while !left.is_empty() && io.write_buf(&mut left).await.is_ok_and(|written| written > 0) {}
        record.bytes_sent = (response.len() - left.len()) as u64;
        if left.is_empty() && io.shutdown().await.is_ok() {
            let mut room = [0; 512];
            let ended = async { while io.read(&mut room).await.is_ok_and(|read| read > 0) {} };
            // Late or not, it ends here.
            let _ = tokio::time::timeout(LINGER, ended).await;
        }
    };
    tokio::select! {
        () = all => {}
        () = drain.forced() => {}
    }
    super::log(&worker, &logs, &record, &info);
}
