//! `security.istio.io`: <https://istio.io/latest/docs/reference/config/security/>.

pub mod authorization_policy;
pub mod peer_authentication;

pub use authorization_policy::{Action, AuthorizationPolicy, Operation, Rule, Source};
pub use peer_authentication::{MtlsMode, PeerAuthentication};

use model::Labels;

use crate::reader::Item;
use crate::validate;

/// `selector.matchLabels`. `None`: unreadable, or nothing to select by, so the whole namespace.
fn read_selector(item: &Item<'_>) -> Option<Labels> {
    let errors = item.cx().errors();
    let fields = item.object()?;
    let labels = fields.get("matchLabels").map(|item| validate::selector(&item)).unwrap_or_default();
    fields.finish();
    // What is left of a selector that could not be read would select too much or too little.
    (!labels.is_empty() && item.cx().errors() == errors).then_some(labels)
}
