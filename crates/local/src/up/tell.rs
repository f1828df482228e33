//! Who is told how the mesh is: the control plane, the relay, DNS, people, the status file.

use std::net::Ipv4Addr;

use istio_api::Kind;
use model::SpiffeId;

use super::mesh::{Mesh, is_ingress};
use super::pods::Entry;
use crate::dns::Names;
use crate::status::{ContainerStatus, ControlStatus, PodStatus, Status};

impl Mesh {
    /// Tells the control plane, the relay, DNS, and whoever asks for the status.
    pub(super) fn tell(&mut self) -> anyhow::Result<()> {
        for entry in self.pods.iter_mut() {
            entry.tell(&self.parts.documents)?;
        }
        let gateways = self.pods.iter().filter(|entry| entry.is_ready() && is_ingress(&entry.plan.template));
        self.parts.relay.set(gateways.map(|entry| entry.plan.address).collect());
        if let Some(dns) = &self.parts.dns {
            dns.set(self.names());
        }
        let status = self.current();
        if status != self.status {
            status.write(&self.parts.options.runtime_dir)?;
            self.status = status;
        }
        self.progress();
        Ok(())
    }

    fn progress(&mut self) {
        if self.snapshot.borrow().is_none() || self.pods.is_empty() {
            return;
        }
        let waiting: Vec<String> =
            self.pods.iter().filter(|e| !e.is_ready()).map(|e| e.plan.name.clone()).collect();
        let (all, ready) = (self.pods.len(), self.pods.len() - waiting.len());
        if let Some(reporter) = &mut self.reporter
            && !reporter.has_started()
            && !waiting.is_empty()
        {
            let first = waiting.first().cloned().unwrap_or_default();
            reporter.step(format!("Starting pods: {ready} of {all} ready, waiting for {first}"));
        } else if self.reporter.as_ref().is_some_and(|reporter| !reporter.has_started()) {
            self.print_table();
        }
    }

    pub(super) fn print_table(&mut self) {
        if let Some(reporter) = &mut self.reporter {
            reporter.started(&self.status, &self.parts.logs);
        }
    }

    /// Addresses of ready pods, by service.
    fn names(&self) -> Names {
        let Some(snapshot) = self.snapshot.borrow().clone() else { return Names::new() };
        let mut names = Names::new();
        for document in snapshot.objects_of("Service") {
            let Kind::Service(service) = &document.body else { continue };
            let object = &document.object;
            let selected = self.pods.iter().filter(|entry| {
                let ready = entry.is_ready() || service.publish_not_ready;
                ready && *entry.plan.namespace == *object.namespace && selects(&service.selector, entry)
            });
            let addresses: Vec<Ipv4Addr> = selected.map(|entry| entry.plan.address).collect();
            names.insert(format!("{}.{}", object.name, object.namespace).to_ascii_lowercase(), addresses);
        }
        names
    }

    fn current(&self) -> Status {
        let pods = self.pods.iter().map(|entry| self.pod_status(entry));
        Status {
            pid: std::process::id(),
            gateway_url: format!("http://{}", self.parts.relay.address),
            control: ControlStatus {
                pid: self.control.pid,
                ready: self.control.ready,
                address: Some(self.parts.pool.bridge()),
                resident: None,
            },
            pods: pods.collect(),
        }
    }

    fn pod_status(&self, entry: &Entry) -> PodStatus {
        let (plan, state) = (&entry.plan, &entry.state);
        let identity =
            SpiffeId::new(&self.parts.options.trust_domain, &plan.namespace, plan.service_account());
        let containers = state.containers.iter().map(|container| ContainerStatus {
            name: container.name.clone(),
            pod_pid: container.pid.map(i32::unsigned_abs),
            pid: None,
            ready: container.ready,
            restarts: container.restarts,
            log: container.log.clone(),
            resident: None,
        });
        PodStatus {
            name: plan.name.clone(),
            namespace: plan.namespace.clone(),
            address: plan.address,
            identity: if plan.has_proxy() { identity.to_string() } else { String::new() },
            ready: entry.is_ready(),
            waits_for: state.waits_for.clone(),
            proxy: state.proxy.to_string(),
            pid: state.init.map(i32::unsigned_abs),
            containers: containers.collect(),
        }
    }
}

/// A Service without a selector has endpoints from elsewhere.
fn selects(selector: &model::Labels, entry: &Entry) -> bool {
    let labels = entry.plan.template.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    !selector.is_empty() && selector.select(&labels.collect())
}
