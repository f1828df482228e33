//! The control plane as a child process: started, watched, started again.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};

use crate::backoff::Backoff;
use crate::init::{Step, get};
use crate::options::ports;

/// How the control plane is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlState {
    pub pid: Option<u32>,
    pub ready: bool,
}

/// What a control plane is started with, and who is told.
pub struct Control {
    pub arguments: Vec<OsString>,
    pub address: Ipv4Addr,
    pub log: PathBuf,
    pub state: watch::Sender<ControlState>,
    /// Lines for people: its warnings, and its ends.
    pub notes: mpsc::UnboundedSender<String>,
    /// Turns true when it is to end.
    pub end: watch::Receiver<bool>,
}

/// Runs the control plane until told to end; then gives it `grace`.
pub async fn run(mut control: Control, grace: Duration) {
    let mut backoff = Backoff::prompt();
    loop {
        let born = Instant::now();
        let why = match control.spawn() {
            Ok(child) => match control.live(child, grace).await {
                Some(why) => why,
                None => return,
            },
            Err(error) => error.to_string(),
        };
        control.state.send_replace(ControlState::default());
        let wait = backoff.after(born.elapsed());
        control.note(format!("the control plane ended: {why}; restarted in {wait:?}"));
        if tokio::time::timeout(wait, control.end.wait_for(|end| *end)).await.is_ok() {
            return;
        }
    }
}

impl Control {
    fn note(&self, text: String) {
        let _ = self.notes.send(text);
    }

    fn spawn(&self) -> std::io::Result<Child> {
        let parent = nix::unistd::getpid().as_raw();
        let step = Step::Guard { parent, command: self.arguments.clone() };
        let mut command = std::process::Command::new(crate::init::binary());
        command.arg0("lateen").args(step.arguments()).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Command::from(command).kill_on_drop(true).spawn()
    }

    /// Waits for its end and says why; `None`: it was told to.
    async fn live(&mut self, mut child: Child, grace: Duration) -> Option<String> {
        let pid = child.id();
        self.state.send_replace(ControlState { pid, ready: false });
        let mut output = tokio::task::JoinSet::new();
        if let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) {
            output.spawn_local(copy_lines(out, self.log.clone(), self.notes.clone()));
            output.spawn_local(copy_lines(err, self.log.clone(), self.notes.clone()));
        }
        let mut look = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                status = child.wait() => {
                    return Some(status.map_or_else(|error| error.to_string(), |status| status.to_string()));
                }
                _ = look.tick() => {
                    let ready = is_ready(self.address).await;
                    self.state.send_if_modified(|state| std::mem::replace(&mut state.ready, ready) != ready);
                    if ready {
                        look = tokio::time::interval(Duration::from_secs(1));
                        look.reset();
                    }
                }
                _ = self.end.wait_for(|end| *end) => break,
            }
        }
        if let Some(pid) = pid {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM);
        }
        if tokio::time::timeout(grace, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
        None
    }
}

async fn is_ready(address: Ipv4Addr) -> bool {
    let ask = async {
        let stream =
            TcpStream::connect((address, ports::CONTROL_STATUS)).await.map_err(|error| error.to_string())?;
        get(stream, "control", "/ready", &[]).await
    };
    matches!(tokio::time::timeout(Duration::from_secs(1), ask).await, Ok(Ok(())))
}

/// Appends lines to the log; those that people should see are passed on.
async fn copy_lines(
    stream: impl AsyncRead + Unpin,
    log: PathBuf,
    notes: mpsc::UnboundedSender<String>,
) -> std::io::Result<()> {
    let mut file = tokio::fs::OpenOptions::new().create(true).append(true).open(log).await?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(text) = for_people(&line) {
            let _ = notes.send(text);
        }
        file.write_all(format!("{line}\n").as_bytes()).await?;
        file.flush().await?;
    }
    Ok(())
}

/// What a line of the control plane's log says to the user, if it is a warning, an error, or the
/// end of one: without the time, which is now, and the module, which is of no interest here.
fn for_people(line: &str) -> Option<String> {
    let level = [" WARN ", " ERROR ", " INFO "].into_iter().find(|level| {
        // Only where a log line has its level, not somewhere in its text.
        line.find(level).is_some_and(|at| at <= 40)
    });
    let Some(level) = level else {
        let died = line.starts_with("lateen: ") || line.starts_with("thread '");
        return died.then(|| line.to_owned());
    };
    let (_, text) = line.split_once(level)?;
    let text = match text.split_once(": ") {
        Some((module, rest)) if is_module(module) => rest,
        _ => text,
    };
    (level != " INFO " || text.starts_with("resolved: ")).then(|| text.to_owned())
}

/// Whether this is a path of Rust modules, and not a place in a file.
fn is_module(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_reach_people_and_the_rest_does_not() {
        let check =
            |line: &str, expected: Option<&str>| assert_eq!(for_people(line).as_deref(), expected, "{line}");
        check(
            "2026-11-21T05:00:00.000000Z  WARN source::findings: a.yaml:1:2: Error",
            Some("a.yaml:1:2: Error"),
        );
        check("2026-11-21T05:00:00.000000Z ERROR source: b.yaml:3:4: no", Some("b.yaml:3:4: no"));
        check("2026-11-21T05:00:00.000000Z  INFO discovery: pushed", None);
        check("2026-11-21T05:00:00.000000Z  INFO discovery: a long text that has the word WARN in it", None);
        check("lateen: --config-dir: no such file", Some("lateen: --config-dir: no such file"));
    }
}
