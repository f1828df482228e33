//! Machines that join the mesh: each gets a WorkloadEntry from the template of its WorkloadGroup. See
//! <https://istio.io/latest/docs/reference/config/networking/workload-group/>.

use std::collections::BTreeMap;
use std::sync::Arc;

use istio_api::networking::WorkloadEntry;
use istio_api::{Document, Kind, Places};
use model::{Locality, Node, ObjectRef, Place, Str};

/// The annotation by which an entry names its group.
pub const GROUP_ANNOTATION: &str = "istio.io/autoRegistrationGroup";
/// Longer names than this no object has.
const MAX_NAME: usize = 253;

/// The entry of a machine that has joined a group. `None`: it has no address, or this is no group.
///
/// Of labels, what the machine says of itself goes before the group's, and that before its template's.
pub fn entry_of_machine(group: &Document, node: &Node) -> Option<Document> {
    let Kind::WorkloadGroup(spec) = &group.body else { return None };
    let address = node.addresses.first()?;
    let template = spec.template.clone().unwrap_or_default();
    let metadata = spec.metadata.clone().unwrap_or_default();
    let mut labels = template.labels;
    labels.0.extend(metadata.labels.0);
    labels.0.extend(node.labels.0.clone());
    let or = |own: &Str, other: Str| if own.is_empty() { other } else { own.clone() };
    let entry = WorkloadEntry {
        address: address.to_string().into(),
        network: or(&node.network, template.network),
        locality: or(&written(&node.locality), template.locality),
        labels: labels.clone(),
        ..template
    };
    let annotations = BTreeMap::from([(Str::from(GROUP_ANNOTATION), group.object.name.clone())]);
    let name = name(&group.object.name, &entry);
    Some(Document {
        object: ObjectRef::new("WorkloadEntry", &group.object.namespace, &name),
        api_version: group.api_version.clone(),
        place: Place { file: "(auto-registration)".into(), line: 1, column: 1 },
        labels,
        annotations: annotations.into_iter().chain(metadata.annotations).collect(),
        created: 0,
        resource_version: None,
        broken: false,
        body: Kind::WorkloadEntry(Arc::new(entry)),
        places: Places::default(),
    })
}

/// `GROUP-ADDRESS`, and the network if there is one; of what is too long, the end.
fn name(group: &str, entry: &WorkloadEntry) -> String {
    let network = if entry.network.is_empty() { String::new() } else { format!("-{}", entry.network) };
    let name = format!("{group}-{}{network}", entry.address).replace([':', '/'], "-");
    let from = name.len().saturating_sub(MAX_NAME);
    // Names are ASCII; should one not be, it is cut at the next character.
    let from = (from..=name.len()).find(|at| name.is_char_boundary(*at)).unwrap_or(name.len());
    name.split_at(from).1.to_owned()
}

/// `REGION/ZONE/SUBZONE`, as far as it is known.
fn written(locality: &Locality) -> Str {
    let parts = [&locality.region, &locality.zone, &locality.sub_zone];
    let known: Vec<&str> =
        parts.into_iter().map(|part| part.as_str()).take_while(|part| !part.is_empty()).collect();
    known.join("/").into()
}
