//! One look of a probe, from inside the pod: from 127.0.0.6, as a kubelet's probe that the agent
//! passes on, so that no rule captures it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::TokioIo;
use nix::unistd::Pid;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;

use crate::wire::Check;

const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 6);

/// Looks once; `container` is the main process whose view an exec probe has.
///
/// # Errors
/// Why the look failed, in words.
pub async fn look(check: Check, container: Option<Pid>, timeout: Duration) -> Result<(), String> {
    match check {
        Check::Tcp { address, port } => connect(address, port).await.map(drop),
        Check::Http { address, port, path, headers } => http(address, port, &path, &headers).await,
        Check::Exec { command, .. } => match container {
            Some(pid) => exec(pid, &command, timeout).await,
            None => Err("the container does not run".to_owned()),
        },
    }
}

async fn connect(address: Ipv4Addr, port: u16) -> Result<TcpStream, String> {
    let text = |error: std::io::Error| format!("{address}:{port}: {error}");
    let socket = TcpSocket::new_v4().map_err(text)?;
    socket.bind(SocketAddr::from((FROM, 0))).map_err(text)?;
    socket.connect(SocketAddr::from((address, port))).await.map_err(text)
}

/// Any status from 200 to 399 is success; redirects are not followed.
async fn http(address: Ipv4Addr, port: u16, path: &str, headers: &[(String, String)]) -> Result<(), String> {
    let stream = connect(address, port).await?;
    get(stream, &format!("{address}:{port}"), path, headers).await
}

/// Gets `path` over an open connection.
pub async fn get(
    stream: TcpStream,
    host: &str,
    path: &str,
    headers: &[(String, String)],
) -> Result<(), String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let mut request = Request::get(path).header("connection", "close");
    let has = |name: &str| headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
    if !has("host") {
        request = request.header("host", host);
    }
    if !has("user-agent") {
        request = request.header("user-agent", "kube-probe/lateen");
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string());
    connection.abort();
    match response?.status().as_u16() {
        200..=399 => Ok(()),
        status => Err(format!("HTTP status {status}")),
    }
}

thread_local! {
    /// Exec probes under way. Their ends are seen where all children's are: process 1 reaps.
    static RUNNING: RefCell<HashMap<Pid, oneshot::Sender<Result<(), String>>>> = RefCell::default();
}

/// Tells the probe whose process ended.
pub fn ended(pid: Pid, success: bool, reason: &str) {
    if let Some(done) = RUNNING.with_borrow_mut(|running| running.remove(&pid)) {
        let _ = done.send(if success { Ok(()) } else { Err(reason.to_owned()) });
    }
}

async fn exec(container: Pid, command: &[String], timeout: Duration) -> Result<(), String> {
    let mut step = crate::exec::enter(container.as_raw(), command);
    let child = step.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let pid = Pid::from_raw(child.map_err(|error| error.to_string())?.id().cast_signed());
    let (done, end) = oneshot::channel();
    RUNNING.with_borrow_mut(|running| running.insert(pid, done));
    match tokio::time::timeout(timeout.mul_f32(0.9), end).await {
        Ok(Ok(result)) => result,
        _ => {
            let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL);
            Err(format!("not done within {timeout:?}"))
        }
    }
}
