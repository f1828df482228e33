//! What only the whole mesh can tell about single objects: references to nothing, and conflicts.

mod conflicts;
mod references;

use model::{Finding, Level, ObjectRef};

use crate::Snapshot;

/// All findings that need more than one object, sorted. Walks every VirtualService and
/// DestinationRule, so it is not for every push.
pub fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let mut found = Vec::new();
    references::find(snapshot, &mut found);
    conflicts::find(snapshot, &mut found);
    found.sort();
    found.dedup();
    found
}

/// A finding about a field of an object, with the place it was written at.
fn finding(
    snapshot: &Snapshot,
    level: Level,
    code: &'static str,
    object: &ObjectRef,
    field: &str,
    message: String,
) -> Finding {
    Finding {
        level,
        code,
        object: Some(object.clone()),
        field: field.into(),
        place: snapshot.object(object).map(|document| document.place_of(field)),
        message: message.into(),
    }
}
