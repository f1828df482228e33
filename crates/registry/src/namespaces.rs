//! What is decided by the labels of namespaces: which of them are looked at.

use std::sync::Arc;

use istio_api::{Document, Kind};
use model::{Labels, ObjectRef};

use crate::Snapshot;
use crate::apply::Changed;

impl Snapshot {
    /// The labels of a namespace. One that has no object has none.
    pub(crate) fn namespace_labels(&self, name: &str) -> Labels {
        let namespace = self.objects.get(&ObjectRef::new("Namespace", "", name));
        namespace.map(|document| document.labels.clone()).unwrap_or_default()
    }

    /// Whether objects of a namespace are looked at (`discoverySelectors`). Those of no namespace always are.
    pub fn discovers(&self, namespace: &str) -> bool {
        let selectors = &self.mesh.discovery_selectors;
        if selectors.is_empty() || namespace.is_empty() {
            return true;
        }
        let labels = self.namespace_labels(namespace);
        selectors.iter().any(|selector| selector.selects(namespace, &labels))
    }

    /// Leaves out what is not looked at any more, and takes in what is from now on.
    pub(crate) fn select(&mut self, mesh_changed: bool, changed: &mut Changed) {
        if self.mesh.discovery_selectors.is_empty() && self.left_out.is_empty() {
            return;
        }
        let relabelled = |(object, _): (&ObjectRef, &Option<Arc<Document>>)| object.kind == "Namespace";
        let all = mesh_changed || changed.iter().any(relabelled);
        let candidates: Vec<ObjectRef> = match all {
            true => self.objects.keys().cloned().collect(),
            false => changed.keys().cloned().collect(),
        };
        let unwanted = candidates.into_iter().filter(|object| !self.discovers(&object.namespace));
        let unwanted: Vec<ObjectRef> = unwanted.collect();
        // Before anything goes: a document that both are about would be lost otherwise.
        let wanted = self.left_out.keys().filter(|object| all && self.discovers(&object.namespace));
        let wanted: Vec<ObjectRef> = wanted.cloned().collect();
        for object in unwanted {
            let Some(document) = self.objects.remove(&object) else { continue };
            changed.entry(object.clone()).or_insert_with(|| Some(document.clone()));
            self.left_out.insert(object, document);
        }
        for object in wanted {
            let Some(document) = self.left_out.remove(&object) else { continue };
            changed.entry(object.clone()).or_insert(None);
            self.objects.insert(object, document);
        }
    }

    /// The ServiceEntries that a namespace's labels may show to others than before.
    pub(crate) fn entries_by_labels(&self, namespace: &str) -> Vec<ObjectRef> {
        if self.mesh.service_entry_visibility.is_none() {
            return Vec::new();
        }
        let entries = self.objects_in("ServiceEntry", namespace);
        let entries = entries.filter(|document| matches!(document.body, Kind::ServiceEntry(_)));
        entries.map(|document| document.object.clone()).collect()
    }
}
