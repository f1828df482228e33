//! Which mutual TLS a workload asks of its callers, by its PeerAuthentications: one that selects
//! it wins over one of its namespace, that over one of the root namespace. See
//! <https://istio.io/latest/docs/reference/config/security/peer_authentication/>.

use std::sync::Arc;

use model::Labels;

use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;

/// A mode that somebody wrote, and where.
#[derive(Clone, Debug)]
pub struct Mode<'a> {
    pub mode: &'a str,
    pub policy: &'a Arc<Object>,
}

/// The mode for pods with these labels. `None` if nobody asks for one, which is PERMISSIVE. A
/// policy with settings of its own for ports does not count: they need the port to be judged.
pub fn mode<'a>(snapshot: &'a Snapshot, namespace: &str, labels: &Labels) -> Option<Mode<'a>> {
    let policies = snapshot.of(Kind::PeerAuthentication);
    let selector = |policy: &Object| labels_of(policy.spec().path("selector.matchLabels"));
    let here = || policies.iter().filter(|policy| *policy.namespace == *namespace);
    let root = snapshot.mesh.root_namespace();
    let by_workload = here().find(|policy| !selector(policy).is_empty() && selector(policy).select(labels));
    if by_workload.is_some_and(|policy| policy.spec().get("portLevelMtls").exists()) {
        return None;
    }
    let candidates = [
        by_workload,
        here().find(|policy| selector(policy).is_empty()),
        policies.iter().find(|policy| *policy.namespace == *root && selector(policy).is_empty()),
    ];
    candidates.into_iter().flatten().find_map(|policy| {
        let mode = policy.spec().path("mtls.mode").str();
        // UNSET inherits.
        (!matches!(mode, "" | "UNSET")).then_some(Mode { mode, policy })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::snapshot;

    fn policy(name: &str, namespace: &str, selector: &str, mode: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{selector: {{matchLabels: {{{selector}}}}}, mtls: {{mode: {mode}}}}}\n---\n"
        )
    }

    #[test]
    fn the_narrowest_policy_wins() {
        let text = policy("m", "istio-system", "", "STRICT")
            + &policy("n", "shop", "", "DISABLE")
            + &policy("w", "shop", "app: a", "PERMISSIVE")
            + &policy("u", "shop", "app: u", "UNSET");
        let snapshot = snapshot(&text);
        let mode = |namespace: &str, app: &str| {
            let labels: Labels = [("app", app)].into_iter().collect();
            super::mode(&snapshot, namespace, &labels).map(|m| format!("{} {}", m.mode, m.policy.name()))
        };
        assert_eq!(mode("shop", "a").as_deref(), Some("PERMISSIVE w"));
        assert_eq!(mode("shop", "b").as_deref(), Some("DISABLE n"));
        assert_eq!(mode("shop", "u").as_deref(), Some("DISABLE n"));
        assert_eq!(mode("other", "a").as_deref(), Some("STRICT m"));
    }
}
