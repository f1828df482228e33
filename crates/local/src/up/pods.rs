//! The pods there are, and which to make or end.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::documents::{self, Documents};
use crate::pod::{Birth, Order, ProxyStart, State};
use crate::render::{Lookup, PodPlan, Volumes};
use crate::workload::{Group, GroupKey, letters};

/// Pods by number; numbers only grow.
#[derive(Default)]
pub struct Pods {
    all: BTreeMap<u64, Entry>,
    next: u64,
}

/// A pod.
pub struct Entry {
    pub plan: PodPlan,
    group: GroupKey,
    hash: String,
    orders: mpsc::UnboundedSender<Order>,
    pub state: State,
    /// Told to end.
    leaving: bool,
    /// As the control plane was last told; `None`: not at all.
    told: Option<bool>,
    /// As last looked up.
    pub content: Option<Content>,
}

/// What a pod takes from ConfigMaps and Secrets. `None`: something is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Content {
    pub volumes: Option<Volumes>,
    /// Of each container.
    pub env: Option<Vec<Vec<(String, String)>>>,
    /// What its proxy is started with.
    pub proxy: ProxyStart,
}

impl Content {
    pub fn of(entry: &Entry, lookup: Lookup<'_>, start: &dyn Fn(&PodPlan) -> ProxyStart) -> Content {
        let planned = entry.plan.applications(lookup).ok();
        let env = planned.map(|planned| planned.into_iter().map(|planned| planned.spec.env).collect());
        let proxy = if entry.plan.has_proxy() { start(&entry.plan) } else { ProxyStart::default() };
        Content { volumes: entry.plan.volumes(lookup).ok(), env, proxy }
    }
}

/// What a group lacks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub make: usize,
    pub leave: Vec<u64>,
}

impl Entry {
    pub fn is_ready(&self) -> bool {
        self.state.ready && !self.leaving
    }

    pub fn order(&self, order: Order) {
        // Its task has ended: then it is about to be forgotten.
        let _ = self.orders.send(order);
    }

    /// Tells the control plane, if there is news. A pod that leaves is taken out at once: its
    /// neighbours stop calling it while it still answers.
    pub fn tell(&mut self, documents: &Documents) -> anyhow::Result<()> {
        let (namespace, name) = (&self.plan.namespace, &self.plan.name);
        let news = if self.leaving { None } else { Some(self.is_ready()) };
        if news == self.told {
            return Ok(());
        }
        match news {
            None => documents.take("Pod", namespace, name),
            Some(ready) => {
                let hash = (self.group.kind != "Pod").then_some(self.hash.as_str());
                documents.put("Pod", namespace, name, &documents::pod(&self.plan, hash, ready))?;
            }
        }
        self.told = news;
        Ok(())
    }
}

impl Pods {
    /// Which pods a group lacks, and which it has too many. Those of an older template leave when
    /// there are enough ready ones of the new one: none is missed meanwhile.
    pub fn plan(&self, group: &Group) -> Plan {
        let own = self.all.iter().filter(|(_, entry)| entry.group == group.key && !entry.leaving);
        let (new, old): (Vec<_>, Vec<_>) = own.partition(|(_, entry)| entry.hash == group.hash);
        let ready = new.iter().filter(|(_, entry)| entry.is_ready()).count();
        let mut leave: Vec<u64> = new.iter().skip(group.replicas).map(|(number, _)| **number).collect();
        // A Pod has one name, so its successor cannot be beside it.
        let fixed_name = group.key.kind == "Pod";
        if ready >= group.replicas || fixed_name {
            leave.extend(old.iter().map(|(number, _)| **number));
        }
        let name_is_free = !fixed_name || !self.all.values().any(|entry| entry.group == group.key);
        let make = if name_is_free { group.replicas.saturating_sub(new.len()) } else { 0 };
        Plan { make, leave }
    }

    /// Numbers of pods whose group is gone.
    pub fn without_group(&self, groups: &BTreeMap<GroupKey, Group>) -> Vec<u64> {
        let orphans =
            self.all.iter().filter(|(_, entry)| !entry.leaving && !groups.contains_key(&entry.group));
        orphans.map(|(number, _)| *number).collect()
    }

    /// Enters a new pod of a group.
    pub fn birth(
        &mut self,
        group: &Group,
        address: Ipv4Addr,
        host: Ipv4Addr,
        runtime_dir: &Path,
        logs: &Path,
    ) -> Birth {
        let number = self.next;
        self.next += 1;
        let GroupKey { kind, namespace, name: workload } = &group.key;
        let name = match *kind {
            "Pod" => workload.clone(),
            // As a ReplicaSet names its pods; the digest only has to differ from the others'.
            _ => format!("{workload}-{}-{}", group.hash, letters(stdx::digest(&(workload, number)).0, 5)),
        };
        let plan = PodPlan {
            namespace: namespace.clone(),
            workload: workload.clone(),
            address,
            host,
            template: group.template.clone(),
            folder: runtime_dir.join("pods").join(format!("{namespace}.{name}")),
            logs: logs.to_owned(),
            name,
        };
        let (orders, queue) = mpsc::unbounded_channel();
        let entry = Entry {
            plan: plan.clone(),
            group: group.key.clone(),
            hash: group.hash.clone(),
            orders,
            state: State::default(),
            leaving: false,
            told: None,
            content: None,
        };
        self.all.insert(number, entry);
        Birth { number, plan, orders: queue }
    }

    pub fn leave(&mut self, number: u64, linger: Duration, grace: Duration) {
        if let Some(entry) = self.all.get_mut(&number) {
            entry.leaving = true;
            entry.order(Order::Leave { linger, grace });
        }
    }

    pub fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        self.all.get_mut(&number)
    }

    pub fn remove(&mut self, number: u64) -> Option<Entry> {
        self.all.remove(&number)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.all.values()
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.all.values_mut()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use istio_api::k8s::PodSpec;

    use super::*;
    use crate::workload::{Role, Template};

    fn group(kind: &'static str, hash: &str, replicas: usize) -> Group {
        let template = Template {
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            spec: PodSpec::default(),
            role: Role::Plain,
            commands: Vec::new(),
        };
        let key = GroupKey { kind, namespace: "shop".into(), name: "web".into() };
        Group { key, replicas, hash: hash.into(), template: Arc::new(template) }
    }

    /// Makes what the plan asks for; gives the plan as `make/leave`.
    fn step(pods: &mut Pods, group: &Group) -> String {
        let plan = pods.plan(group);
        for number in &plan.leave {
            pods.leave(*number, Duration::ZERO, Duration::ZERO);
        }
        for _ in 0..plan.make {
            let any = Ipv4Addr::LOCALHOST;
            pods.birth(group, any, any, Path::new("/r"), Path::new("/l"));
        }
        format!("{}/{:?}", plan.make, plan.leave)
    }

    fn ready(pods: &mut Pods, numbers: &[u64]) {
        for number in numbers {
            pods.get_mut(*number).unwrap().state.ready = true;
        }
    }

    #[test]
    fn new_pods_are_ready_before_old_ones_leave() {
        let mut pods = Pods::default();
        assert_eq!(step(&mut pods, &group("Deployment", "a", 2)), "2/[]");
        ready(&mut pods, &[0, 1]);
        assert_eq!(step(&mut pods, &group("Deployment", "b", 2)), "2/[]");
        ready(&mut pods, &[2]);
        assert_eq!(step(&mut pods, &group("Deployment", "b", 2)), "0/[]");
        ready(&mut pods, &[3]);
        assert_eq!(step(&mut pods, &group("Deployment", "b", 2)), "0/[0, 1]");
        assert_eq!(step(&mut pods, &group("Deployment", "b", 1)), "0/[3]");
        assert_eq!(step(&mut pods, &group("Deployment", "b", 0)), "0/[2]");
        assert_eq!(pods.without_group(&BTreeMap::new()), [] as [u64; 0], "all leave already");
    }

    #[test]
    fn a_pod_is_replaced_when_its_name_is_free() {
        let mut pods = Pods::default();
        assert_eq!(step(&mut pods, &group("Pod", "a", 1)), "1/[]");
        assert_eq!(pods.get_mut(0).unwrap().plan.name, "web");
        assert_eq!(step(&mut pods, &group("Pod", "b", 1)), "0/[0]");
        assert_eq!(step(&mut pods, &group("Pod", "b", 1)), "0/[]");
        pods.remove(0);
        assert_eq!(step(&mut pods, &group("Pod", "b", 1)), "1/[]");
    }
}
