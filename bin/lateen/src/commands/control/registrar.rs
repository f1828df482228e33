//! Machines that say which WorkloadGroup they are of get a WorkloadEntry for as long as they are
//! connected, and a little longer: proxies tend to come back.
//!
//! A machine says so with the node metadata `AUTO_REGISTER_GROUP` (`ISTIO_META_AUTO_REGISTER_GROUP` of
//! its agent). It must have proved who it is, and be of the group's service account.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ir::bootstrap::Json;
use istio_api::{Document, Kind};
use model::ObjectRef;
use registry::{Change, GROUP_ANNOTATION, entry_of_machine};
use source::{Hub, Outlet, Source, Update};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use xds_server::{ClientHello, Generator, Refused, Subscription};

/// Istio's `PILOT_WORKLOAD_ENTRY_GRACE_PERIOD`.
pub const GRACE: Duration = Duration::from_secs(10);

#[derive(Debug)]
enum Event {
    Joined(Arc<Document>),
    Left(ObjectRef),
}

/// The entries of machines that are connected.
pub struct Machines {
    events: mpsc::UnboundedReceiver<Event>,
    grace: Duration,
}

/// Registers machines before their proxies are served.
pub struct Registrar<G> {
    inner: G,
    hub: Hub,
    events: mpsc::UnboundedSender<Event>,
}

/// Where [`Machines`] hear of machines.
#[derive(Clone, Debug)]
pub struct Door(mpsc::UnboundedSender<Event>);

impl Machines {
    pub fn new(grace: Duration) -> (Machines, Door) {
        let (sender, events) = mpsc::unbounded_channel();
        (Machines { events, grace }, Door(sender))
    }
}

impl<G> Registrar<G> {
    pub fn new(inner: G, hub: Hub, door: Door) -> Self {
        Registrar { inner, hub, events: door.0 }
    }

    /// `None`: it asks for nothing.
    fn register(&self, hello: &ClientHello) -> Result<Option<Member>, Refused> {
        let Some(Json::Text(group)) = hello.metadata.get("AUTO_REGISTER_GROUP") else { return Ok(None) };
        let namespace = &hello.node.namespace;
        let Some(peer) = &hello.peer else {
            let message = format!("to join the WorkloadGroup {namespace}/{group} takes a client certificate");
            return Err(Refused::Unauthenticated(message));
        };
        let snapshot = self.hub.snapshot();
        let found = snapshot.object(&ObjectRef::new("WorkloadGroup", namespace, group));
        let Some((document, Kind::WorkloadGroup(spec))) = found.map(|document| (document, &document.body))
        else {
            return Err(Refused::NotReady(format!("there is no WorkloadGroup {namespace}/{group}")));
        };
        let account = spec.template.as_ref().map(|template| &template.service_account);
        let account = account.filter(|account| !account.is_empty());
        if let Some(account) = account.filter(|account| **account != peer.spiffe.service_account) {
            let message = format!(
                "{} is not of the service account {account} that the WorkloadGroup {namespace}/{group} is for",
                peer.spiffe
            );
            return Err(Refused::Denied(message));
        }
        let Some(entry) = entry_of_machine(document, &hello.node) else { return Ok(None) };
        if let Some(other) = snapshot.object(&entry.object).filter(|other| !is_ours(other, group)) {
            tracing::warn!(entry = %other.object, "is there already and stays as it is");
            return Ok(None);
        }
        let object = entry.object.clone();
        // The hub has ended, and with it the process.
        let _ = self.events.send(Event::Joined(Arc::new(entry)));
        Ok(Some(Member { object, events: self.events.clone() }))
    }
}

fn is_ours(document: &Document, group: &str) -> bool {
    document.annotations.get(GROUP_ANNOTATION).is_some_and(|of| *of == *group)
}

impl<G: Generator> Generator for Registrar<G> {
    fn connect(&self, hello: ClientHello) -> Result<Subscription, Refused> {
        let member = self.register(&hello)?;
        let mut subscription = self.inner.connect(hello)?;
        if let Some(member) = member {
            subscription.guard = Box::new((subscription.guard, member));
        }
        Ok(subscription)
    }
}

/// A stream of a machine.
struct Member {
    object: ObjectRef,
    events: mpsc::UnboundedSender<Event>,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.events.send(Event::Left(self.object.clone()));
    }
}

/// An entry that was made.
struct Made {
    document: Arc<Document>,
    streams: usize,
    /// When nobody is left: until then they may come back.
    ends: Option<Instant>,
}

impl Source for Machines {
    fn name(&self) -> &'static str {
        "machines"
    }

    async fn run(mut self, outlet: Outlet) -> Result<(), String> {
        let mut all: BTreeMap<ObjectRef, Made> = BTreeMap::new();
        let mut going = outlet.send(Update { complete: true, ..Update::default() }).await;
        while going {
            let next = all.values().filter_map(|made| made.ends).min();
            let change = tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.happened(event, &mut all),
                    // Nobody can join any more.
                    None => std::future::pending().await,
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => expire(&mut all),
            };
            if let Some(change) = change {
                going = outlet.send(Update { changes: vec![change], ..Update::default() }).await;
            }
        }
        Ok(())
    }
}

impl Machines {
    fn happened(&self, event: Event, all: &mut BTreeMap<ObjectRef, Made>) -> Option<Change> {
        match event {
            Event::Joined(document) => {
                let made = all.entry(document.object.clone()).or_insert_with(|| Made {
                    document: document.clone(),
                    streams: 0,
                    ends: None,
                });
                let news = made.streams == 0 && made.ends.is_none() || !made.document.same_content(&document);
                (made.streams, made.ends) = (made.streams + 1, None);
                made.document = document.clone();
                news.then_some(Change::Upsert(document))
            }
            Event::Left(object) => {
                let made = all.get_mut(&object)?;
                made.streams = made.streams.saturating_sub(1);
                if made.streams == 0 {
                    made.ends = Some(Instant::now() + self.grace);
                }
                None
            }
        }
    }
}

/// The first whose time is up.
fn expire(all: &mut BTreeMap<ObjectRef, Made>) -> Option<Change> {
    let now = Instant::now();
    let over = all.iter().find(|(_, made)| made.ends.is_some_and(|ends| ends <= now));
    let object = over.map(|(object, _)| object.clone())?;
    all.remove(&object);
    Some(Change::Remove(object))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use lifecycle::Readiness;
    use model::{Node, SpiffeId};
    use registry::{Settings, Snapshot};
    use source::{Debounce, HubBuilder};
    use tokio::sync::watch;
    use xds_server::PeerIdentity;

    use super::*;

    const GROUP: &str = "apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: db, namespace: shop}
spec: {template: {serviceAccount: db, labels: {app: db}}}
";

    /// Who asks is served, with nothing.
    struct Empty;

    impl Generator for Empty {
        fn connect(&self, _: ClientHello) -> Result<Subscription, Refused> {
            let (_, resources) = watch::channel(None);
            Ok(Subscription { resources, guard: Box::new(()) })
        }
    }

    /// The documents of a text, once.
    struct Given(&'static str);

    impl Source for Given {
        fn name(&self) -> &'static str {
            "given"
        }

        async fn run(self, outlet: Outlet) -> Result<(), String> {
            let documents = istio_api::parse_stream("mesh.yaml", self.0).documents;
            let changes = documents.into_iter().map(|document| Change::Upsert(Arc::new(document))).collect();
            outlet.send(Update { changes, findings: None, complete: true }).await;
            std::future::pending().await
        }
    }

    fn hello(account: &str, group: &str) -> ClientHello {
        let id = "sidecar~10.9.0.1~vm-1.shop~shop.svc.cluster.local";
        let node = Node { service_account: account.into(), ..Node::parse_id(id).unwrap() };
        let metadata = BTreeMap::from([("AUTO_REGISTER_GROUP".into(), Json::Text(group.into()))]);
        let peer = PeerIdentity { spiffe: SpiffeId::new("cluster.local", "shop", account) };
        ClientHello { node, id: id.into(), metadata, peer: Some(peer) }
    }

    fn has_entry(snapshot: &Snapshot) -> bool {
        let object = ObjectRef::new("WorkloadEntry", "shop", "db-10.9.0.1");
        snapshot.object(&object).is_some()
    }

    #[tokio::test]
    async fn machines_have_entries_while_they_are_connected() {
        let (machines, door) = Machines::new(Duration::from_millis(50));
        let debounce = Debounce { quiet: Duration::ZERO, cap: Duration::ZERO };
        let builder = HubBuilder::new(Settings::default(), debounce, &Readiness::new());
        let (hub, task) = builder.source(Given(GROUP)).source(machines).build();
        let running = tokio::spawn(task.run());
        hub.ready().await;
        let mut snapshots = hub.subscribe();
        let registrar = Registrar::new(Empty, hub.clone(), door);

        let refused = |hello| registrar.connect(hello).err();
        assert!(
            matches!(refused(hello("web", "db")), Some(Refused::Denied(why)) if why.contains("service account db"))
        );
        assert!(
            matches!(refused(hello("db", "other")), Some(Refused::NotReady(why)) if why.contains("shop/other"))
        );
        let unproved = ClientHello { peer: None, ..hello("db", "db") };
        assert!(matches!(refused(unproved), Some(Refused::Unauthenticated(_))));
        assert!(!has_entry(&hub.snapshot()));

        // The agent's stream and the proxy's.
        let streams = [(); 2].map(|()| registrar.connect(hello("db", "db")).ok().unwrap());
        while !has_entry(&snapshots.next().await.unwrap().0) {}
        let [first, second] = streams;
        drop(first);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(has_entry(&hub.snapshot()), "one stream is left");
        drop(second);
        while has_entry(&snapshots.next().await.unwrap().0) {}
        running.abort();
    }
}
