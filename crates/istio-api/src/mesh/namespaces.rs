//! What MeshConfig says by the labels of namespaces: `discoverySelectors` and `serviceEntryVisibility`.

use model::{Labels, Str};

use crate::reader::Item;
use crate::schema::macros::{choice, message};
use crate::schema::{Message, boolean, choice as one_of, list, object, text, text_map, texts};

/// What is written in `discoverySelectors`, and in `serviceEntryVisibility`.
pub const SELECTOR: &Message = &LabelSelector::MESSAGE;
pub const VISIBILITY: &Message = &ServiceEntryVisibility::MESSAGE;
/// The label that Kubernetes gives every namespace.
const NAME: &str = "kubernetes.io/metadata.name";

message! {
    /// Kubernetes' selector; without conditions it selects all.
    pub struct LabelSelector {
        "matchLabels" match_labels: Labels = text_map(),
        "matchExpressions" expressions: Vec<Expression> = list(&object(&Expression::MESSAGE)),
    }
}

message! {
    /// A condition on one label.
    pub struct Expression {
        "key" key: Str = text(),
        "operator" operator: Option<Operator> = one_of(Operator::NAMES),
        "values" values: Vec<Str> = texts(),
    }
}

choice! {
    /// How a label and the values go together.
    pub enum Operator {
        "In" In,
        "NotIn" NotIn,
        "Exists" Exists,
        "DoesNotExist" DoesNotExist,
    }
}

message! {
    /// How far ServiceEntries are seen.
    pub struct ServiceEntryVisibility {
        "defaultVisibility" default_visibility: Option<Visibility> = one_of(Visibility::NAMES),
        /// Without, it is for ambient meshes alone.
        "applyToSidecars" apply_to_sidecars: bool = boolean(),
        /// The first that matches counts.
        "policies" policies: Vec<VisibilityPolicy> = list(&object(&VisibilityPolicy::MESSAGE)),
    }
}

message! {
    /// A visibility for some namespaces.
    pub struct VisibilityPolicy {
        "visibility" visibility: Option<Visibility> = one_of(Visibility::NAMES),
        /// All have to match; none: it is for all.
        "matchingRules" rules: Vec<VisibilityRule> = list(&object(&VisibilityRule::MESSAGE)),
    }
}

message! {
    /// Without a selector it matches nothing.
    pub struct VisibilityRule {
        "namespaceSelector" namespaces: Option<LabelSelector> = object(&LabelSelector::MESSAGE),
    }
}

choice! {
    /// Who sees a ServiceEntry, at most.
    pub enum Visibility {
        "VISIBILITY_UNSPECIFIED" Unspecified,
        "NONE" None,
        "NAMESPACE" Namespace,
        "PUBLIC" Public,
    }
}

impl LabelSelector {
    /// Whether a namespace with these labels of its object is selected.
    pub fn selects(&self, namespace: &str, labels: &Labels) -> bool {
        let value = |key: &str| labels.get(key).or((key == NAME).then_some(namespace));
        let holds = |expression: &Expression| {
            let value = value(&expression.key);
            let listed = value.is_some_and(|value| expression.values.iter().any(|one| **one == *value));
            match expression.operator {
                Some(Operator::In) => listed,
                Some(Operator::NotIn) => !listed,
                Some(Operator::Exists) => value.is_some(),
                Some(Operator::DoesNotExist) => value.is_none(),
                None => false,
            }
        };
        self.match_labels.0.iter().all(|(key, wanted)| value(key) == Some(wanted))
            && self.expressions.iter().all(holds)
    }
}

impl ServiceEntryVisibility {
    /// Who sees the ServiceEntries of a namespace.
    pub fn of(&self, namespace: &str, labels: &Labels) -> Visibility {
        let matches = |rule: &VisibilityRule| {
            rule.namespaces.as_ref().is_some_and(|selector| selector.selects(namespace, labels))
        };
        let policy = self.policies.iter().find(|policy| policy.rules.iter().all(matches));
        policy.map_or(self.default_visibility, |policy| policy.visibility).unwrap_or_default()
    }
}

/// Says what is wrong with the selectors of a list.
pub(super) fn judge(selectors: &[Item<'_>]) {
    for expression in selectors.iter().flat_map(|selector| selector.each("matchExpressions")) {
        let values = expression.each("values").len();
        match expression.field_text("operator") {
            "In" | "NotIn" if values == 0 => expression.invalid("needs values".into()),
            "Exists" | "DoesNotExist" if values > 0 => expression.invalid("can have no values".into()),
            "" => expression.invalid("needs an operator".into()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_selected_by_their_labels() {
        let labels: Labels = [("team", "a")].into_iter().collect();
        let check = |yaml: &str, expected: bool| {
            let text = format!("discoverySelectors: [{yaml}]");
            let parsed = super::super::parse_mesh_config("mesh.yaml", &text);
            assert!(!parsed.broken, "{:?}", parsed.findings);
            assert_eq!(parsed.config.discovery_selectors[0].selects("shop", &labels), expected, "{yaml}");
        };
        check("{}", true);
        check("{matchLabels: {team: a}}", true);
        check("{matchLabels: {team: a, other: b}}", false);
        check("{matchLabels: {kubernetes.io/metadata.name: shop}}", true);
        check("{matchExpressions: [{key: team, operator: In, values: [a, b]}]}", true);
        check("{matchExpressions: [{key: team, operator: NotIn, values: [a]}]}", false);
        check("{matchExpressions: [{key: none, operator: NotIn, values: [a]}]}", true);
        check("{matchExpressions: [{key: none, operator: Exists}]}", false);
        check("{matchExpressions: [{key: none, operator: DoesNotExist}]}", true);
        for bad in ["{key: a}", "{key: a, operator: In}", "{key: a, operator: Exists, values: [b]}"] {
            let text = format!("discoverySelectors: [{{matchExpressions: [{bad}]}}]");
            assert!(super::super::parse_mesh_config("mesh.yaml", &text).broken, "{bad}");
        }
    }
}
