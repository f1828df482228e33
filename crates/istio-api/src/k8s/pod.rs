//! Pod, and the pod part of a Deployment.

use std::net::IpAddr;

use model::Str;

use super::{Container, Volume, container, volume};
use crate::mesh::proxy::report_annotation;
use crate::reader::{Fields, Item};
use crate::validate;

/// `v1` Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub spec: PodSpec,
    pub status: PodStatus,
    /// The controller that made it, as kind and name, from `metadata.ownerReferences`.
    pub owner: Option<(Str, Str)>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodSpec {
    pub containers: Vec<Container>,
    pub volumes: Vec<Volume>,
    /// `default` when absent.
    pub service_account: Str,
    pub host_network: bool,
    /// Its own name below the name of the headless Service `subdomain`; absent: its name.
    pub hostname: Option<Str>,
    pub subdomain: Option<Str>,
    /// `securityContext.runAsUser`.
    pub run_as_user: Option<u32>,
}

/// What the cluster says about a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodStatus {
    /// Empty before it has one. The first is `podIP`.
    pub ips: Vec<IpAddr>,
    /// The condition `Ready` is `True`.
    pub ready: bool,
    pub phase: PodPhase,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PodPhase {
    #[default]
    Unknown,
    Pending,
    Running,
    /// It ended, whether with success or not.
    Ended,
}

pub(crate) fn read(document: &Fields<'_>, owner: Option<(Str, Str)>) -> Pod {
    let spec = document.require("spec").and_then(|item| item.object()).map(read_spec);
    if let Some(item) = document.item().field("metadata").and_then(|metadata| metadata.field("annotations")) {
        report_annotation(&item);
    }
    let status = document.get("status").and_then(|item| item.object()).map(|f| read_status(&f));
    Pod { spec: spec.unwrap_or_default(), status: status.unwrap_or_default(), owner }
}

pub(crate) fn read_spec(fields: Fields<'_>) -> PodSpec {
    let containers = fields.require("containers");
    let old_name = fields.get("serviceAccount");
    let account = fields.get("serviceAccountName").or(old_name).and_then(|item| item.str());
    let text = |name| fields.get(name).and_then(|item| item.str()).filter(|text| !text.is_empty());
    let spec = PodSpec {
        containers: containers.map(|item| item.objects(container::read)).unwrap_or_default(),
        volumes: fields.get("volumes").map(|item| item.objects(volume::read)).unwrap_or_default(),
        service_account: account.filter(|a| !a.is_empty()).unwrap_or_else(|| "default".into()),
        hostname: text("hostname"),
        subdomain: text("subdomain"),
        run_as_user: fields.get("securityContext").and_then(|item| container::read_user(&item)),
        host_network: fields.get("hostNetwork").and_then(|item| item.bool()).unwrap_or(false),
    };
    fields.finish_lenient();
    spec
}

fn read_status(fields: &Fields<'_>) -> PodStatus {
    let mut ips: Vec<IpAddr> = fields.get("podIP").as_ref().and_then(validate::ip).into_iter().collect();
    for item in fields.get("podIPs").map(|item| item.list()).unwrap_or_default() {
        let ip = item.object().and_then(|f| f.get("ip")).as_ref().and_then(validate::ip);
        ips.extend(ip.filter(|ip| !ips.contains(ip)));
    }
    let conditions = fields.get("conditions").map(|item| item.list()).unwrap_or_default();
    let phase = fields.get("phase").and_then(|item| item.str());
    PodStatus {
        ips,
        ready: conditions.iter().any(is_ready),
        phase: match phase.as_deref() {
            Some("Pending") => PodPhase::Pending,
            Some("Running") => PodPhase::Running,
            Some("Succeeded" | "Failed") => PodPhase::Ended,
            _ => PodPhase::Unknown,
        },
    }
}

fn is_ready(item: &Item<'_>) -> bool {
    let Some(fields) = item.object() else { return false };
    let text = |name| fields.get(name).and_then(|item| item.str());
    text("type").is_some_and(|t| t == "Ready") && text("status").is_some_and(|s| s == "True")
}
