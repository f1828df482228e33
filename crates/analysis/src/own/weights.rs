//! Weights that do not sum to 100: they are relative, so each destination gets another share than
//! is written.

use super::shadowed_rules::name;
use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.Weights",
    description: "Finds rules whose weights do not sum to 100",
    codes: &["LTN0102"],
    inputs: &[Kind::VirtualService],
    by_default: true,
    by_file: true,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of(Kind::VirtualService) {
        for field in ["http", "tcp", "tls"] {
            for (number, rule) in object.spec().get(field).items().enumerate() {
                let routes = rule.get("route").items();
                let weights: Vec<i64> = routes
                    .clone()
                    .map(|route| route.get("weight").int().unwrap_or_default().max(0))
                    .collect();
                let sum = weights.iter().fold(0i64, |sum, weight| sum.saturating_add(*weight));
                // One destination gets everything, and no weight at all is refused elsewhere.
                if routes.len() < 2 || sum == 0 || sum == 100 {
                    continue;
                }
                let shares: Vec<String> =
                    weights.iter().map(|w| format!("{:.1} %", *w as f64 * 100.0 / sum as f64)).collect();
                let rule_name = name(rule, number).replacen("http", field, 1);
                report.add("LTN0102", object, rule.get("route"), &[&rule_name, &sum, &shares.join(", ")]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn route(routes: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  hosts: [a]\n  \
             tcp: [{{route: [{routes}]}}]\n"
        )
    }

    #[test]
    fn weights_sum_to_100() {
        check(&ANALYZER, &route("{weight: 90}, {weight: 20}"), &["LTN0102 VirtualService default/r:6"]);
        check(&ANALYZER, &route("{weight: 90}, {weight: 10}"), &[]);
        check(&ANALYZER, &route("{weight: 90}"), &[]);
        assert_eq!(
            messages(&ANALYZER, &route("{weight: 1}, {weight: 3}")),
            ["the weights of the rule tcp[0] sum to 4, not 100; the shares are 25.0 %, 75.0 %"]
        );
    }
}
