//! `security.istio.io`: <https://istio.io/latest/docs/reference/config/security/>.

pub mod authorization_policy;
pub(crate) mod authorization_schema;
pub mod peer_authentication;
pub mod request_authentication;

pub use authorization_policy::{Action, AuthorizationPolicy, Operation, Rule, Source};
pub use authorization_schema::Condition;
pub use peer_authentication::{MtlsMode, PeerAuthentication};
pub use request_authentication::RequestAuthentication;

use model::Labels;

use crate::reader::{Absent, Item};

/// `selector.matchLabels`. `None`: unreadable, or nothing to select by, so the whole namespace.
fn read_selector(item: &Item<'_>) -> Option<Labels> {
    let errors = item.cx().errors();
    let fields = item.object()?;
    let labels: Labels = Absent::from_item(fields.get("matchLabels"));
    fields.finish();
    // What is left of a selector that could not be read would select too much or too little.
    let good = item.cx().errors() == errors && labels.0.iter().all(|(key, value)| is_exact(key, value));
    (!labels.is_empty() && good).then_some(labels)
}

/// Istio refuses wildcards and empty names in selectors.
fn is_exact(key: &str, value: &str) -> bool {
    !key.is_empty() && !key.contains('*') && !value.contains('*')
}
