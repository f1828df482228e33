//! Deployment.

use std::collections::BTreeMap;

use model::{Labels, Str};

use super::{PodSpec, pod};
use crate::mesh::proxy::report_annotation;
use crate::reader::Fields;

/// `apps/v1` Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployment {
    pub replicas: u32,
    /// `selector.matchLabels`.
    pub selector: Labels,
    pub template: PodTemplate,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodTemplate {
    pub labels: Labels,
    pub annotations: BTreeMap<Str, Str>,
    pub spec: PodSpec,
}

pub(crate) fn read(spec: Fields<'_>) -> Deployment {
    let selector = spec.require("selector").and_then(|item| item.object()).map(|fields| {
        let labels = fields.get("matchLabels").map(|item| item.labels()).unwrap_or_default();
        fields.finish_lenient();
        labels
    });
    let template_item = spec.require("template");
    let template = template_item.as_ref().and_then(|item| item.object()).map(read_template);
    let deployment = Deployment {
        replicas: spec.get("replicas").and_then(|item| item.int(0, 10_000)).map_or(1, |n| n as u32),
        selector: selector.unwrap_or_default(),
        template: template.unwrap_or_default(),
    };
    if let Some(item) = template_item.filter(|_| !deployment.selector.select(&deployment.template.labels)) {
        item.invalid("its labels are not those that spec.selector selects".into());
    }
    spec.finish_lenient();
    deployment
}

fn read_template(fields: Fields<'_>) -> PodTemplate {
    let metadata = fields.get("metadata").and_then(|item| item.object());
    if let Some(item) = metadata.as_ref().and_then(|metadata| metadata.get("annotations")) {
        report_annotation(&item);
    }
    let part = |name| metadata.as_ref().and_then(|m| m.get(name)).map(|item| item.string_map());
    let spec = fields.require("spec").and_then(|item| item.object()).map(pod::read_spec);
    PodTemplate {
        labels: Labels(part("labels").unwrap_or_default()),
        annotations: part("annotations").unwrap_or_default(),
        spec: spec.unwrap_or_default(),
    }
}
