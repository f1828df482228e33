//! One object as it was written.

use std::collections::BTreeMap;
use std::sync::Arc;

use istio_api::yaml::Node;
use model::{Labels, ObjectRef, Place, Str};

use crate::kind::Kind;
use crate::value::Val;

/// An object of a file.
#[derive(Debug)]
pub struct Object {
    pub kind: Kind,
    /// As it is named in findings. The namespace is empty where the document gives none and none
    /// is to be shown, see [`Reading`](crate::file::Reading).
    pub shown: ObjectRef,
    /// Where the object lives: `default` if it does not say. Empty for cluster-scoped kinds.
    pub namespace: Str,
    pub api_version: Str,
    pub labels: Labels,
    /// Those of the pods of this object: its own, its template's, or a WorkloadEntry's endpoint's.
    pub pod_labels: Arc<Labels>,
    pub annotations: BTreeMap<Str, Str>,
    /// Which cluster's, if several are analyzed together.
    pub cluster: Option<Str>,
    pub file: Str,
    pub node: Node,
    /// What analysis adds by itself, see [`crate::builtin`].
    pub built_in: bool,
}

impl Object {
    pub fn name(&self) -> &Str {
        &self.shown.name
    }

    /// The whole document.
    pub fn root(&self) -> Val<'_> {
        Val::of(&self.node)
    }

    pub fn spec(&self) -> Val<'_> {
        self.root().get("spec")
    }

    /// Where the value is; where the object begins, if that was not written.
    pub fn place(&self, at: Val<'_>) -> Place {
        let (line, column) = at.place().unwrap_or((self.node.line, self.node.column));
        Place { file: self.file.clone(), line, column }
    }

    /// `namespace/name` as Istio writes it in messages; just the name if there is no namespace.
    pub fn full_name(&self) -> String {
        match self.shown.namespace.is_empty() {
            true => self.shown.name.to_string(),
            false => format!("{}/{}", self.shown.namespace, self.shown.name),
        }
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }

    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).map(Str::as_str)
    }

    /// A pod's spec: of a Pod its own, of a workload its template's.
    pub fn pod_spec(&self) -> Val<'_> {
        match self.kind {
            Kind::Pod => self.spec(),
            _ => self.spec().path("template.spec"),
        }
    }

    /// Whether Istio takes this for a part of itself: it is labelled as such.
    pub fn is_control_plane(&self) -> bool {
        self.labels.get("istio").is_some() || self.labels.get("release") == Some("istio")
    }

    /// Whether the annotation `galley.istio.io/analyze-suppress` asks not to report a code here.
    pub fn suppresses(&self, code: &str) -> bool {
        self.annotation("galley.istio.io/analyze-suppress")
            .is_some_and(|codes| codes.split(',').map(str::trim).any(|c| c == "*" || c == code))
    }
}

/// The labels that the pods of an object carry, for kinds that have or make pods.
pub(crate) fn pod_labels(kind: Kind, root: Val<'_>) -> Labels {
    match kind {
        Kind::Pod => labels_of(root.path("metadata.labels")),
        Kind::WorkloadEntry => labels_of(root.path("spec.labels")),
        _ if Kind::WORKLOADS.contains(&kind) => labels_of(root.path("spec.template.metadata.labels")),
        _ => Labels::default(),
    }
}

/// An object of texts as labels.
pub fn labels_of(value: Val<'_>) -> Labels {
    value.string_map().into_iter().collect()
}

/// A selector as Kubernetes prints one: `a=b,c=d`.
pub fn selector_text(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}
