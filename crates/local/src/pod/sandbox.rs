//! The namespaces of a pod, and the conversation with its init.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use istio_api::mesh::proxy::Interception;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;

use super::ProxyStart;
use crate::init::Step;
use crate::links::Links;
use crate::options::ports;
use crate::render::PodPlan;
use crate::wire::{Capture, Event, Network, Order};
use crate::workload::Role;

/// Making namespaces takes milliseconds; a machine under load is given more.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pod's namespaces with its init in them. Dropping it kills everything in the pod.
pub struct Sandbox {
    holder: Child,
    /// The init, as the host numbers it.
    pub init: i32,
    events: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
}

impl Sandbox {
    /// Makes the namespaces and connects them.
    ///
    /// # Errors
    /// A step failed; nothing is left of it.
    pub async fn create(
        plan: &PodPlan,
        start: &ProxyStart,
        prefix: u8,
        links: &Links,
    ) -> anyhow::Result<Sandbox> {
        let (near, far) = std::os::unix::net::UnixStream::pair().context("socket")?;
        near.set_nonblocking(true)?;
        let mut command = std::process::Command::new(crate::init::binary());
        command.arg0("lateen").args(Step::Holder.arguments()).stdin(Stdio::from(OwnedFd::from(far)));
        // Its own group: a Ctrl-C in the terminal is this process's to handle.
        command.stdout(Stdio::inherit()).process_group(0);
        let mut command = tokio::process::Command::from(command);
        let holder = command.kill_on_drop(true).spawn().context("start the pod's first process")?;
        drop(command);
        let (read, orders) = UnixStream::from_std(near)?.into_split();
        let mut sandbox = Sandbox { holder, init: 0, events: BufReader::new(read).lines(), orders };
        match sandbox.expect("namespaces").await? {
            Event::Created { pid } => sandbox.init = pid,
            other => bail!("unexpected: {other:?}"),
        }
        let link = links.attach(plan.address, sandbox.init).await?;
        sandbox.order(&Order::Connect(network(plan, start, prefix, link))).await?;
        match sandbox.expect("network").await? {
            Event::Connected => Ok(sandbox),
            Event::Failed { reason } => bail!("{reason}"),
            other => bail!("unexpected: {other:?}"),
        }
    }

    async fn expect(&mut self, what: &str) -> anyhow::Result<Event> {
        let event = tokio::time::timeout(PATIENCE, self.event()).await;
        let event = event.with_context(|| format!("{what}: not within {PATIENCE:?}"))??;
        event.with_context(|| format!("{what}: the pod's first process ended"))
    }

    /// The next event; `None` when the pod is dead. Cancel safe.
    pub async fn event(&mut self) -> anyhow::Result<Option<Event>> {
        match self.events.next_line().await {
            Ok(Some(line)) => Ok(Some(serde_json::from_str(&line).context("event")?)),
            Ok(None) | Err(_) => Ok(None),
        }
    }

    /// # Errors
    /// The init is gone.
    pub async fn order(&mut self, order: &Order) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await.context("the pod's first process is gone")
    }

    /// Ends everything in the pod: politely for `grace`, then not.
    pub async fn end(mut self, grace: Duration) {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let polite = async {
            self.order(&Order::End { grace_ms }).await?;
            while self.event().await?.is_some() {}
            anyhow::Ok(())
        };
        // An init that does not answer gets no more time than one that waits for others.
        let _ = tokio::time::timeout(grace + Duration::from_millis(300), polite).await;
        self.kill();
        let _ = tokio::time::timeout(Duration::from_secs(2), self.holder.wait()).await;
    }

    fn kill(&mut self) {
        // The init's death is the death of all in its namespace. The holder waits for it, so its
        // number is nobody else's while the holder lives.
        if self.init > 0 && self.holder.id().is_some() {
            let _ = kill(Pid::from_raw(self.init), Signal::SIGKILL);
        }
    }
}

fn network(plan: &PodPlan, start: &ProxyStart, prefix: u8, link: String) -> Network {
    let captured = plan.template.role == Role::Sidecar { capture: true }
        && start.settings.interception != Some(Interception::None);
    let capture = captured.then(|| Capture {
        annotations: plan.template.annotations.clone(),
        dns_server: plan.host,
        outbound_port: start.outbound_port,
        inbound_port: start.inbound_port,
        status_port: start.settings.status_port.unwrap_or(ports::AGENT_STATUS),
    });
    // A host name has at most 64 bytes.
    let hostname = plan.name.chars().take(63).collect();
    Network { hostname, link, address: plan.address, prefix, gateway: plan.host, capture }
}
