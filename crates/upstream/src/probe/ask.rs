//! One check.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use engine::health_check::{Outcome, grpc_request, grpc_serving, receive};
use ir::header::{AppendAction, HeaderText, HeaderValue};
use ir::health_check::{GrpcCheck, HealthChecker, HttpCheck, TcpCheck};
use net::Io;
use stdx::Str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Probe;
use crate::{Body, Empty, Frame, Full, InFlight, RequestHead, ResponseBody, SendOptions, Upstream};

/// A TCP connection for the next check.
pub(super) type Kept = Option<(Io, InFlight)>;

/// Bytes that are read of an answer in any case, so that its connection can be used again.
const MOST: usize = 1 << 20;
/// Envoy's default of `response_buffer_size`.
const LOOKED_AT: usize = 1024;

/// Asks once. The second is to be handed in the next time.
pub(super) async fn once(upstream: &Upstream, probe: &Probe, kept: Kept) -> (Outcome, Kept) {
    match &probe.check.config.checker {
        HealthChecker::Http(check) => (http(upstream, probe, check).await, None),
        HealthChecker::Grpc(check) => (grpc(upstream, probe, check).await, None),
        HealthChecker::Tcp(check) => match tcp(upstream, probe, check, kept).await {
            Ok(kept) => (Outcome::Success { degraded: false }, kept),
            Err(outcome) => (outcome, None),
        },
    }
}

fn options(probe: &Probe) -> SendOptions {
    let alpn = &probe.check.config.alpn;
    let alpn: Option<Arc<[Str]>> = (!alpn.is_empty()).then(|| alpn.as_slice().into());
    SendOptions { alpn, ..SendOptions::default() }
}

fn head(probe: &Probe, method: &str, path: &str) -> RequestHead {
    let scheme = if probe.to.tls.is_some() { "https" } else { "http" };
    let mut head = RequestHead::new(method, scheme, &probe.host, path);
    head.set("user-agent", "Envoy/HC");
    head
}

fn add(head: &mut RequestHead, values: &[HeaderValue]) {
    for HeaderValue { name, value, action } in values {
        // Formats are refused here.
        let HeaderText::Literal(value) = value else { continue };
        let value = value.as_bytes();
        let there = head.get(name).is_some();
        match action {
            AppendAction::AppendIfExistsOrAdd => head.append(name, value),
            AppendAction::AddIfAbsent if !there => head.set(name, value),
            AppendAction::OverwriteIfExists if there => head.set(name, value),
            AppendAction::OverwriteIfExistsOrAdd => head.set(name, value),
            AppendAction::AddIfAbsent | AppendAction::OverwriteIfExists => {}
        }
    }
}

async fn http(upstream: &Upstream, probe: &Probe, check: &HttpCheck) -> Outcome {
    let Some(rules) = &probe.check.rules else { return Outcome::NetworkFailure };
    let mut head = head(probe, check.method.as_str(), &check.path);
    add(&mut head, &check.headers);
    for name in &check.remove_headers {
        head.remove(name);
    }
    let Ok(mut response) = upstream.send(&probe.to, &head, Empty, &options(probe)).await else {
        return Outcome::NetworkFailure;
    };
    let wanted = match check.response_buffer_size {
        _ if !rules.wants_body() => 0,
        None => LOOKED_AT,
        Some(0) => MOST,
        Some(bytes) => usize::try_from(bytes).unwrap_or(MOST),
    };
    let Some((body, _)) = read(&mut response.body, wanted).await else { return Outcome::NetworkFailure };
    let head = &response.head;
    let degraded = head.get("x-envoy-degraded").is_some();
    let cluster = head.get("x-envoy-upstream-healthchecked-cluster");
    let (outcome, stranger) = rules.judge(head.status(), cluster, degraded, &body);
    if stranger {
        probe.cluster.checks().verify_cluster.fetch_add(1, Ordering::Relaxed);
    }
    outcome
}

/// The first bytes of a body, and the status of gRPC in its trailers; `None`: it broke.
async fn read<B: Body>(body: &mut ResponseBody<B>, wanted: usize) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let (mut first, mut all, mut status) = (Vec::new(), 0, None);
    while let Some(frame) = poll_fn(|cx| body.poll_frame(cx)).await.ok()? {
        match frame {
            Frame::Data(bytes) => {
                all += bytes.len();
                first.extend_from_slice(&bytes[..bytes.len().min(wanted.saturating_sub(first.len()))]);
                body.release(bytes.len());
                if all > MOST {
                    break;
                }
            }
            Frame::Trailers(fields) => status = fields.get("grpc-status").map(<[u8]>::to_vec),
        }
    }
    Some((first, status))
}

async fn grpc(upstream: &Upstream, probe: &Probe, check: &GrpcCheck) -> Outcome {
    let mut head = head(probe, "POST", "/grpc.health.v1.Health/Check");
    head.set("content-type", "application/grpc");
    head.set("te", "trailers");
    add(&mut head, &check.initial_metadata);
    let body = Full::new(grpc_request(&check.service_name));
    let Ok(mut response) = upstream.send(&probe.to, &head, body, &options(probe)).await else {
        return Outcome::NetworkFailure;
    };
    let Some((message, status)) = read(&mut response.body, MOST).await else {
        return Outcome::NetworkFailure;
    };
    let status = status.or_else(|| response.head.get("grpc-status").map(<[u8]>::to_vec));
    let fine = response.head.status() == 200 && status.as_deref() == Some(b"0");
    match fine && grpc_serving(&message) == Some(true) {
        true => Outcome::Success { degraded: false },
        false => Outcome::Failure { retriable: false },
    }
}

async fn tcp(upstream: &Upstream, probe: &Probe, check: &TcpCheck, kept: Kept) -> Result<Kept, Outcome> {
    let failed = |_| Outcome::NetworkFailure;
    let (mut io, counted) = match kept {
        Some(kept) => kept,
        None => {
            let connected = upstream.connect(&probe.to, &options(probe)).await;
            let (io, _, counted) = connected.map_err(|_| Outcome::NetworkFailure)?;
            (io, counted)
        }
    };
    if !check.send.is_empty() {
        io.write_all(&check.send).await.map_err(failed)?;
        io.flush().await.map_err(failed)?;
    }
    if check.receive.is_empty() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let mut buffer = [0; 1024];
    while !receive(&check.receive, &bytes) {
        let read = io.read(&mut buffer).await.map_err(failed)?;
        if read == 0 || bytes.len() > MOST {
            return Err(Outcome::NetworkFailure);
        }
        bytes.extend_from_slice(&buffer[..read]);
    }
    Ok(probe.check.config.reuse_connection.then_some((io, counted)))
}
