//! Process 1 of a pod: configures the namespace, starts containers, reaps, looks, ends.
//! It decides nothing; the supervisor does.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::mount::{MsFlags, mount};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{Step, check, holder, setup};
use crate::wire::{ContainerSpec, Event, Order};

/// Runs until the supervisor says so or is gone.
///
/// # Errors
/// The pod cannot be set up at all.
pub fn run() -> anyhow::Result<u8> {
    // The holder's death is this process's, even before it listens to the socket.
    set_pdeathsig(Signal::SIGKILL)?;
    let none: Option<&str> = None;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, none).context("mount /proc")?;
    let socket = holder::socket()?;
    socket.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let (events, queue) = mpsc::unbounded_channel();
        let init = Init { events, containers: HashMap::new() };
        init.serve(UnixStream::from_std(socket)?, queue).await
    })?;
    Ok(0)
}

struct Init {
    events: mpsc::UnboundedSender<Event>,
    /// Main processes, and the name of what they run.
    containers: HashMap<Pid, Rc<str>>,
}

impl Init {
    async fn serve(
        mut self,
        socket: UnixStream,
        mut queue: mpsc::UnboundedReceiver<Event>,
    ) -> anyhow::Result<()> {
        let mut children = signal(SignalKind::child())?;
        let (read, mut write) = socket.into_split();
        let mut lines = BufReader::new(read).lines();
        loop {
            tokio::select! {
                line = lines.next_line() => match line? {
                    None => return Ok(()),
                    Some(line) => match serde_json::from_str(&line).context("order")? {
                        Order::End { grace_ms } => {
                            self.end(Duration::from_millis(grace_ms)).await;
                            return Ok(());
                        }
                        order => self.obey(order).await,
                    },
                },
                Some(event) = queue.recv() => {
                    let mut line = serde_json::to_vec(&event)?;
                    line.push(b'\n');
                    write.write_all(&line).await?;
                }
                _ = children.recv() => self.reap(),
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Connect(network) => {
                let event = match setup::network(&network).await {
                    Ok(()) => Event::Connected,
                    Err(error) => Event::Failed { reason: format!("{error:#}") },
                };
                self.say(event);
            }
            Order::Start(spec) => self.start(&spec),
            Order::Signal { container, signal } => self.signal(&container, signal),
            Order::Check { id, check, timeout_ms } => self.check(id, check, timeout_ms),
            Order::End { .. } => {}
        }
    }

    fn say(&self, event: Event) {
        // The receiver lives as long as `serve`.
        let _ = self.events.send(event);
    }

    fn start(&mut self, spec: &ContainerSpec) {
        let event = match spawn(spec) {
            Ok(pid) => {
                self.containers.insert(pid, spec.name.as_str().into());
                Event::Started { container: spec.name.clone(), pid: pid.as_raw() }
            }
            Err(error) => {
                Event::Exited { container: spec.name.clone(), reason: format!("{error:#}"), success: false }
            }
        };
        self.say(event);
    }

    fn signal(&self, container: &str, number: i32) {
        let pids = self.containers.iter().filter(|(_, name)| &***name == container).map(|(pid, _)| *pid);
        if let Ok(signal) = Signal::try_from(number) {
            for pid in pids {
                let _ = kill(pid, signal);
            }
        }
    }

    fn check(&self, id: u64, check: crate::wire::Check, timeout_ms: u64) {
        let events = self.events.clone();
        let container = match &check {
            crate::wire::Check::Exec { container, .. } => {
                self.containers.iter().find(|(_, name)| &***name == container.as_str()).map(|(pid, _)| *pid)
            }
            _ => None,
        };
        tokio::task::spawn_local(async move {
            let timeout = Duration::from_millis(timeout_ms);
            let result = tokio::time::timeout(timeout, check::look(check, container, timeout)).await;
            let failure = match result {
                Ok(Ok(())) => None,
                Ok(Err(reason)) => Some(reason),
                Err(_) => Some(format!("no answer within {timeout:?}")),
            };
            let _ = events.send(Event::Checked { id, failure });
        });
    }

    /// Takes all children that ended: containers, and orphans of theirs.
    fn reap(&mut self) {
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => {
                    self.ended(pid, format!("exit status {code}"), code == 0)
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.ended(pid, signal.to_string(), false),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn ended(&mut self, pid: Pid, reason: String, success: bool) {
        if let Some(container) = self.containers.remove(&pid) {
            self.say(Event::Exited { container: container.to_string(), reason, success });
        } else {
            check::ended(pid, success, &reason);
        }
    }

    /// Everything in the namespace gets SIGTERM; when nothing is left, or too late, returns. The
    /// kernel kills what remains when this process exits.
    async fn end(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        let _ = kill(Pid::from_raw(-1), Signal::SIGTERM);
        while Instant::now() < deadline {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Err(_) => return,
                Ok(WaitStatus::StillAlive) => tokio::time::sleep(Duration::from_millis(10)).await,
                Ok(_) => {}
            }
        }
    }
}

/// Starts the step that becomes the container.
fn spawn(spec: &ContainerSpec) -> anyhow::Result<Pid> {
    let file = std::path::PathBuf::from(format!("{}.json", spec.root.display()));
    std::fs::write(&file, serde_json::to_vec(spec)?).with_context(|| file.display().to_string())?;
    let log = OpenOptions::new().create(true).append(true).open(&spec.log);
    let log = log.with_context(|| spec.log.display().to_string())?;
    let child = Command::new(super::binary())
        .arg0("lateen")
        .args(Step::Container { spec: file.into() }.arguments())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}
