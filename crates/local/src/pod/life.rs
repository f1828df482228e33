//! The task of a pod.

use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::container::Container;
use super::log::{last_lines, trim_log};
use super::sandbox::Sandbox;
use super::{Birth, LEAVING, Order, ProxyStart, ProxyState, Report, State, Surroundings};
use crate::backoff::Backoff;
use crate::folder;
use crate::options::AgentPlace;
use crate::render::{PROXY, PodPlan};
use crate::wire::{Event, Order as InitOrder};
use crate::workload::Role;

/// The prefix length of the pods' range.
const PREFIX: u8 = 16;
/// Tokens are minted anew this often, by the wall clock: a laptop may sleep.
const TOKEN_AGE: Duration = Duration::from_secs(3600);
/// Looked at this often, at least.
const TICK: Duration = Duration::from_secs(10);

/// Runs the pod until it is told to leave; what ends in between is started again.
pub async fn run(birth: Birth, around: Surroundings) {
    let Birth { number, plan, orders } = birth;
    let mut life = Life {
        number,
        plan,
        orders,
        around,
        containers: Vec::new(),
        state: State::default(),
        looks: 0,
        proxy_was_ready: false,
        start: ProxyStart::default(),
    };
    let mut backoff = Backoff::patient();
    loop {
        let born = Instant::now();
        let why = match life.once().await {
            Ok(()) => break,
            Err(error) => error,
        };
        let wait = backoff.after(born.elapsed());
        life.containers.clear();
        life.note(format!("{why:#}; restarted in {wait:?}"));
        life.tell(State { waits_for: format!("{why:#}"), ..State::default() });
        if life.left_within(wait).await {
            break;
        }
    }
    life.around.links.detach(life.plan.address).await;
    if let Err(error) = folder::remove(&life.plan.folder) {
        life.note(format!("{error:#}"));
    }
    life.report(Report::Gone);
}

struct Life {
    number: u64,
    plan: PodPlan,
    orders: mpsc::UnboundedReceiver<Order>,
    around: Surroundings,
    containers: Vec<Container>,
    state: State,
    /// Looks taken so far.
    looks: u64,
    /// In this life; true where there is no proxy.
    proxy_was_ready: bool,
    /// Of the proxy, in this life.
    start: ProxyStart,
}

impl Life {
    /// One life of the sandbox. `Ok`: the pod left as told.
    async fn once(&mut self) -> anyhow::Result<()> {
        self.proxy_was_ready = false;
        if !self.prepare().await? {
            return Ok(());
        }
        let mut sandbox = Sandbox::create(&self.plan, &self.start, PREFIX, &self.around.links).await?;
        self.state.init = Some(sandbox.init);
        let mut minted = SystemTime::now();
        loop {
            self.advance(&mut sandbox).await?;
            self.publish();
            let deadline = self.containers.iter().filter_map(Container::deadline).min();
            let deadline = deadline.unwrap_or_else(|| Instant::now() + TICK).min(Instant::now() + TICK);
            tokio::select! {
                event = sandbox.event() => match event? {
                    Some(event) => self.happened(event)?,
                    None => anyhow::bail!("the pod's first process ended"),
                },
                order = self.orders.recv() => match order {
                    Some(Order::Refill(volumes)) => self.refill(&volumes),
                    Some(Order::Leave { linger, grace }) => {
                        self.leave(sandbox, linger, grace).await;
                        return Ok(());
                    }
                    None => {
                        sandbox.end(Duration::ZERO).await;
                        return Ok(());
                    }
                },
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
            if minted.elapsed().is_ok_and(|age| age > TOKEN_AGE) {
                self.put_credentials()?;
                minted = SystemTime::now();
            }
        }
    }

    /// Writes the pod's files, and plans its containers. Waits for what is missing. `false`: told
    /// to leave meanwhile.
    async fn prepare(&mut self) -> anyhow::Result<bool> {
        let mut said = String::new();
        loop {
            let lookup = self.around.lookup.clone();
            let found = self.plan.applications(&*lookup).and_then(|a| Ok((a, self.plan.volumes(&*lookup)?)));
            let (applications, volumes) = match found {
                Ok(found) => found,
                Err(missing) => {
                    if missing != said {
                        self.note(format!("waits: {missing}"));
                        self.tell(State { waits_for: missing.clone(), ..State::default() });
                        said = missing;
                    }
                    if self.left_within(Duration::from_millis(200)).await {
                        return Ok(false);
                    }
                    continue;
                }
            };
            self.start = (self.around.proxy_start)(&self.plan);
            let place = AgentPlace::of(&self.plan, self.start.settings.clone());
            let proxy = self.plan.proxy(self.around.roles.agent(&place));
            self.containers = proxy.into_iter().map(|proxy| Container::new(proxy, true)).collect();
            self.containers.extend(applications.into_iter().map(|planned| Container::new(planned, false)));
            let names: Vec<String> = self.containers.iter().map(|c| c.name().to_owned()).collect();
            folder::create(&self.plan, &volumes, &names)?;
            self.put_credentials()?;
            return Ok(true);
        }
    }

    fn put_credentials(&self) -> anyhow::Result<()> {
        if !self.plan.has_proxy() {
            return Ok(());
        }
        let (plan, roles) = (&self.plan, &self.around.roles);
        let token = roles.token(&plan.namespace, plan.service_account(), &plan.name)?;
        folder::put_credentials(plan, &token, &roles.roots()?)
    }

    /// Starts and looks at what is due. Applications wait for the proxy: their first connection
    /// is captured already.
    async fn advance(&mut self, sandbox: &mut Sandbox) -> anyhow::Result<()> {
        let now = Instant::now();
        self.proxy_was_ready |= self.containers.iter().all(|c| !c.is_proxy || c.is_ready());
        for container in &mut self.containers {
            if (container.is_proxy || self.proxy_was_ready)
                && let Some(spec) = container.start(now)
            {
                container
                    .set_log_from(std::fs::metadata(container.log()).map_or(0, |metadata| metadata.len()));
                sandbox.order(&InitOrder::Start(spec)).await?;
            }
            if let Some((check, timeout)) = container.look(self.looks, now) {
                let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                sandbox.order(&InitOrder::Check { id: self.looks, check, timeout_ms }).await?;
                self.looks += 1;
            }
            trim_log(container.log());
        }
        Ok(())
    }

    fn happened(&mut self, event: Event) -> anyhow::Result<()> {
        let now = Instant::now();
        match event {
            Event::Started { container, pid } => {
                if let Some(container) = self.containers.iter_mut().find(|c| c.name() == container) {
                    container.started(pid, now);
                }
            }
            Event::Exited { container: name, reason, .. } => {
                let Some(container) = self.containers.iter_mut().find(|c| c.name() == name) else {
                    return Ok(());
                };
                let wait = container.ended(now);
                let last = last_lines(container.log(), container.log_from());
                let what =
                    if container.is_proxy { "the proxy".to_owned() } else { format!("container {name}") };
                self.note(format!("{what} ended: {reason}; restarted in {wait:?}{last}"));
            }
            Event::Checked { id, failure } => {
                self.containers.iter_mut().any(|container| container.looked(id, failure.as_ref(), now));
            }
            Event::Failed { reason } => anyhow::bail!("{reason}"),
            Event::Created { .. } | Event::Connected => {}
        }
        Ok(())
    }

    fn publish(&mut self) {
        let lacking = self.containers.iter().find(|container| !container.is_ready());
        let started = self.plan.template.commands.len();
        let declared = self.plan.template.spec.containers.iter().filter(|c| *c.name != *PROXY).count();
        let incomplete = self.plan.template.role != Role::Gateway && started < declared;
        let waits_for = match lacking {
            Some(container) => format!("{} {}", container.name(), container.lacks()),
            None if incomplete => "a container is not started".to_owned(),
            None => String::new(),
        };
        let proxy = self.containers.iter().find(|container| container.is_proxy);
        let state = State {
            ready: waits_for.is_empty(),
            waits_for,
            proxy: proxy.map_or(ProxyState::None, |proxy| proxy_state(proxy, self.state.proxy)),
            init: self.state.init,
            containers: self.containers.iter().map(Container::state).collect(),
        };
        self.tell(state);
    }

    async fn leave(&mut self, sandbox: Sandbox, linger: Duration, grace: Duration) {
        // Told early, so that nobody is sent here any more.
        self.tell(State { ready: false, waits_for: LEAVING.into(), ..self.state.clone() });
        let mut grace = grace;
        tokio::select! {
            () = tokio::time::sleep(linger) => {}
            // Told again, because everything ends now.
            Some(Order::Leave { grace: shorter, .. }) = self.orders.recv() => grace = shorter,
        }
        let end = sandbox.end(grace);
        tokio::pin!(end);
        tokio::select! {
            () = &mut end => {}
            Some(Order::Leave { grace, .. }) = self.orders.recv() => {
                // Dropping the sandbox kills everything in it.
                let _ = tokio::time::timeout(grace, end).await;
            }
        }
    }

    /// Whether the order to leave came within this time.
    async fn left_within(&mut self, time: Duration) -> bool {
        let left = async {
            loop {
                match self.orders.recv().await {
                    Some(Order::Refill(_)) => {}
                    Some(Order::Leave { .. }) | None => return,
                }
            }
        };
        tokio::time::timeout(time, left).await.is_ok()
    }

    fn refill(&mut self, volumes: &crate::render::Volumes) {
        if let Err(error) = folder::fill(&self.plan, volumes) {
            self.note(format!("{error:#}"));
        }
    }

    fn note(&self, text: String) {
        self.report(Report::Note(text));
    }

    fn tell(&mut self, state: State) {
        if self.state != state {
            self.state = state.clone();
            self.report(Report::State(state));
        }
    }

    fn report(&self, report: Report) {
        // Nobody listens any more when the mesh ends.
        let _ = self.around.reports.send((self.number, report));
    }
}

fn proxy_state(proxy: &Container, before: ProxyState) -> ProxyState {
    match (proxy.is_ready(), proxy.has_crashed(), before) {
        (true, ..) => ProxyState::Ready,
        (_, true, _) => ProxyState::Crashed,
        (_, _, ProxyState::Ready | ProxyState::NotReady) => ProxyState::NotReady,
        _ => ProxyState::Starting,
    }
}
