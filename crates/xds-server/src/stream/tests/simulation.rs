//! Pushes against a client that answers late, refuses and reconnects, in many seeded orders. At
//! every step the client must have what its listeners and routes name; in the end it must have
//! what it is to have.

use std::collections::{BTreeMap, VecDeque};

use super::*;

/// A small generator of numbers: each seed is one schedule.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

/// A proxy: applies what it gets, subscribes to what that names.
#[derive(Default)]
struct Client {
    has: BTreeMap<(ResourceType, Str), Arc<Encoded>>,
    names: BTreeMap<ResourceType, std::collections::BTreeSet<Str>>,
    /// What it will never accept: name and version.
    hates: Vec<(Str, Digest)>,
    inbox: VecDeque<Response>,
    outbox: VecDeque<Request>,
}

impl Client {
    fn connect(&mut self) {
        self.inbox.clear();
        self.outbox.clear();
        for ty in [Cluster, Endpoints, Listener, Route] {
            let mut request = Request::new(ty);
            request.subscribe = self.names.get(&ty).into_iter().flatten().cloned().collect();
            let held = self.has.values().filter(|resource| resource.ty == ty);
            request.initial_versions = held.map(|r| (r.name.clone(), r.version.to_string().into())).collect();
            if matches!(ty, Cluster | Listener) || !request.subscribe.is_empty() {
                self.outbox.push_back(request);
            }
        }
    }

    /// Applies one response, and answers.
    fn step(&mut self) {
        let Some(response) = self.inbox.pop_front() else { return };
        let mut refused = Vec::new();
        for resource in &response.add {
            if self.hates.contains(&(resource.name.clone(), resource.version)) {
                refused.push(format!("{}: no", resource.name));
            } else if self.wants(response.ty, &resource.name) {
                self.has.insert((response.ty, resource.name.clone()), resource.clone());
            }
        }
        for name in &response.remove {
            self.has.remove(&(response.ty, name.clone()));
        }
        let error = (!refused.is_empty()).then(|| refused.join("; ").into());
        self.outbox.push_back(Request { nonce: response.nonce, error, ..Request::new(response.ty) });
        self.follow(Cluster, Endpoints);
        self.follow(Listener, Route);
        self.check();
    }

    fn wants(&self, ty: ResourceType, name: &Str) -> bool {
        matches!(ty, Cluster | Listener) || self.names.get(&ty).is_some_and(|names| names.contains(name))
    }

    /// Subscribes to what resources of a type name, and gives up the rest.
    fn follow(&mut self, from: ResourceType, to: ResourceType) {
        let users = self.has.values().filter(|resource| resource.ty == from);
        let named = users.flat_map(|r| r.references.iter()).filter(|named| named.ty == to);
        let want: std::collections::BTreeSet<Str> = named.map(|named| named.name.clone()).collect();
        let have = self.names.insert(to, want.clone()).unwrap_or_default();
        if want != have {
            for name in have.difference(&want) {
                self.has.remove(&(to, name.clone()));
            }
            let subscribe = want.difference(&have).cloned().collect();
            let unsubscribe = have.difference(&want).cloned().collect();
            self.outbox.push_back(Request { subscribe, unsubscribe, ..Request::new(to) });
        }
    }

    /// Make before break, as a request through this proxy would see it.
    fn check(&self) {
        for resource in self.has.values().filter(|r| matches!(r.ty, Listener | Route)) {
            for named in resource.references.iter().filter(|named| named.ty == Cluster) {
                let hated = self.hates.iter().any(|(name, _)| *name == named.name);
                let Some(cluster) = self.has.get(&(Cluster, named.name.clone())) else {
                    assert!(hated, "{resource:?} names cluster {}, which is not there", named.name);
                    continue;
                };
                for endpoints in cluster.references.iter() {
                    let there = self.has.contains_key(&(Endpoints, endpoints.name.clone()));
                    assert!(there || hated, "{resource:?} names {cluster:?}, which has no endpoints");
                }
            }
        }
    }
}

/// A world: some clusters with endpoints, routes and listeners that name clusters of it.
fn world(dice: &mut Dice) -> Arc<ResourceSet> {
    let mut all = Vec::new();
    let version = |dice: &mut Dice| dice.roll(3) + 1;
    let clusters: Vec<String> =
        ["a", "b", "c", "d"].into_iter().filter(|_| dice.roll(2) == 0).map(String::from).collect();
    for name in &clusters {
        all.push(resource(Cluster, &format!("{name}@{}>{name}", version(dice))));
        all.push(resource(Endpoints, &format!("{name}@{}", version(dice))));
    }
    for (ty, names) in [(Route, ["80", "90"]), (Listener, ["x", "y"])] {
        for name in names {
            if ty == Listener && dice.roll(4) == 0 {
                continue;
            }
            let mut text = String::new();
            for cluster in clusters.iter().filter(|_| dice.roll(2) == 0) {
                text.push_str(&format!(">{cluster}"));
            }
            if ty == Listener {
                text.push_str([">rds:80", ">rds:90"][dice.roll(2) as usize]);
            }
            // A version stands for the content.
            let version = stdx::digest(&text).0;
            all.push(resource(ty, &format!("{name}@{version}{text}")));
        }
    }
    Arc::new(all.into_iter().collect())
}

fn run(seed: u64, hates: bool, reconnects: bool) {
    let mut dice = Dice(seed);
    let mut now = Instant::now();
    let mut client = Client::default();
    let mut target = world(&mut dice);
    let mut stream = Stream::new(500, now);
    if hates {
        client.hates.push((["a", "b"][dice.roll(2) as usize].into(), Digest(u128::from(dice.roll(3) + 1))));
    }
    client.connect();
    client.inbox.extend(stream.on_update(target.clone(), now));
    for _ in 0..120 {
        match dice.roll(12) {
            0 => {
                target = world(&mut dice);
                client.inbox.extend(stream.on_update(target.clone(), now));
            }
            1 if reconnects => {
                stream = Stream::new(500, now);
                client.connect();
                client.inbox.extend(stream.on_update(target.clone(), now));
            }
            2..=6 => client.step(),
            _ => deliver(&mut client, &mut stream, now),
        }
    }
    for _ in 0..200 {
        client.step();
        deliver(&mut client, &mut stream, now);
        if client.inbox.is_empty() && client.outbox.is_empty() {
            // Only what a refusal holds back may wait for patience, and a removal from a client that
            // came back and has no routes.
            if !hates && !reconnects {
                assert_eq!(stream.deadline(), None, "something is held back for no reason");
            }
            now += PATIENCE;
            client.inbox.extend(stream.on_timeout(now));
        }
    }
    // What is refused at some version may be missing or old; all else must be as it is to be.
    let hated = |ty: ResourceType, name: &Str| {
        matches!(ty, Cluster | Endpoints) && client.hates.iter().any(|(hated, _)| hated == name)
    };
    let mut expected = BTreeMap::new();
    for ty in [Cluster, Endpoints, Listener, Route] {
        let wanted = target.of(ty).values().filter(|resource| client.wants(ty, &resource.name));
        expected.extend(wanted.map(|resource| ((ty, resource.name.clone()), resource.version)));
    }
    expected.retain(|(ty, name), _| !hated(*ty, name));
    let has = client.has.iter().filter(|((ty, name), _)| !hated(*ty, name));
    let has: BTreeMap<_, _> = has.map(|(key, resource)| (key.clone(), resource.version)).collect();
    assert_eq!(has, expected, "seed {seed}");
}

fn deliver(client: &mut Client, stream: &mut Stream, now: Instant) {
    if let Some(request) = client.outbox.pop_front() {
        client.inbox.extend(stream.on_request(request, now));
    }
}

#[test]
fn every_schedule_makes_before_it_breaks() {
    (0..400).for_each(|seed| run(seed, false, false));
}

#[test]
fn with_refusals() {
    (0..400).for_each(|seed| run(seed, true, false));
}

#[test]
fn with_reconnects() {
    (0..400).for_each(|seed| run(seed, false, true));
}

#[test]
fn with_both() {
    (0..400).for_each(|seed| run(seed, true, true));
}
