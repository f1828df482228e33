//! Kubernetes' label selectors with expressions, as webhooks and policies use them. See
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/>.

use model::Labels;

use crate::object::labels_of;
use crate::value::Val;

/// Whether a LabelSelector selects these labels. One that is absent or empty selects everything;
/// one with an operator that does not exist selects nothing.
pub fn selects(selector: Val<'_>, labels: &Labels) -> bool {
    labels_of(selector.get("matchLabels")).select(labels)
        && selector.get("matchExpressions").items().all(|expression| holds(expression, labels))
}

fn holds(expression: Val<'_>, labels: &Labels) -> bool {
    let value = labels.get(expression.get("key").str());
    let one_of = |value: &str| expression.get("values").items().any(|v| v.str() == value);
    match expression.get("operator").str() {
        "In" => value.is_some_and(one_of),
        "NotIn" => !value.is_some_and(one_of),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use istio_api::yaml;

    use super::*;

    #[test]
    fn expressions_hold_as_in_kubernetes() {
        let labels: Labels = [("a", "1")].into_iter().collect();
        for (selector, selected) in [
            ("{}", true),
            ("{matchLabels: {a: '1'}}", true),
            ("{matchLabels: {a: '2'}}", false),
            ("{matchExpressions: [{key: a, operator: In, values: ['1', '2']}]}", true),
            ("{matchExpressions: [{key: a, operator: NotIn, values: ['1']}]}", false),
            ("{matchExpressions: [{key: b, operator: NotIn, values: ['1']}]}", true),
            ("{matchExpressions: [{key: b, operator: Exists}]}", false),
            ("{matchExpressions: [{key: b, operator: DoesNotExist}]}", true),
            ("{matchExpressions: [{key: a, operator: Near}]}", false),
        ] {
            let document = yaml::documents(selector);
            assert_eq!(selects(Val::of(&document[0]), &labels), selected, "{selector}");
        }
        assert!(selects(Val::ABSENT, &labels));
    }
}
