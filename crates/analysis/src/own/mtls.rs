//! Which mutual TLS a workload asks of its callers, by its PeerAuthentications: one that selects
//! it wins over one of its namespace, that over one of the root namespace. See
//! <https://istio.io/latest/docs/reference/config/security/peer_authentication/>.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Labels, Str};

use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;

/// A mode that somebody wrote, and where.
#[derive(Clone, Debug)]
pub struct Mode {
    pub mode: Str,
    pub policy: Arc<Object>,
}

/// The PeerAuthentications of a mesh, by namespace.
#[derive(Debug, Default)]
pub struct Modes {
    /// Those that select workloads, by one of their labels.
    by_label: HashMap<(Str, Str, Str), Vec<(Labels, Arc<Object>)>>,
    by_namespace: HashMap<Str, Arc<Object>>,
    root: Str,
}

impl Modes {
    pub fn new(snapshot: &Snapshot) -> Modes {
        let mut modes = Modes { root: snapshot.mesh.root_namespace().into(), ..Modes::default() };
        for policy in snapshot.of(Kind::PeerAuthentication) {
            let selector = labels_of(policy.spec().path("selector.matchLabels"));
            let namespace = policy.namespace.clone();
            match selector.0.first_key_value() {
                None => {
                    modes.by_namespace.entry(namespace).or_insert_with(|| policy.clone());
                }
                Some((key, value)) => {
                    let key = (namespace, key.clone(), value.clone());
                    modes.by_label.entry(key).or_default().push((selector, policy.clone()));
                }
            }
        }
        modes
    }

    /// The mode for pods with these labels. `None` if nobody asks for one, which is PERMISSIVE. A
    /// policy with settings of its own for ports does not count: they need the port to be judged.
    pub fn of(&self, namespace: &Str, labels: &Labels) -> Option<Mode> {
        let mut keys = labels.0.iter().map(|(k, v)| (namespace.clone(), k.clone(), v.clone()));
        let by_workload = keys.find_map(|key| {
            let found = self.by_label.get(&key)?.iter().find(|(selector, _)| selector.select(labels));
            found.map(|(_, policy)| policy)
        });
        if by_workload.is_some_and(|policy| policy.spec().get("portLevelMtls").exists()) {
            return None;
        }
        let candidates = [by_workload, self.by_namespace.get(namespace), self.by_namespace.get(&self.root)];
        candidates.into_iter().flatten().find_map(|policy| {
            let mode = policy.spec().path("mtls.mode").str();
            // UNSET inherits.
            (!matches!(mode, "" | "UNSET")).then(|| Mode { mode: mode.into(), policy: policy.clone() })
        })
    }
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
            snapshot.modes().of(&namespace.into(), &labels).map(|m| format!("{} {}", m.mode, m.policy.name()))
        };
        assert_eq!(mode("shop", "a").as_deref(), Some("PERMISSIVE w"));
        assert_eq!(mode("shop", "b").as_deref(), Some("DISABLE n"));
        assert_eq!(mode("shop", "u").as_deref(), Some("DISABLE n"));
        assert_eq!(mode("other", "a").as_deref(), Some("STRICT m"));
    }
}
