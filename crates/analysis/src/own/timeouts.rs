//! Timeouts that cannot be reached, since one around them ends earlier.

use std::collections::BTreeMap;
use std::time::Duration;

use super::calls::{Service, rules_by_service};
use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.Timeouts",
    description: "Finds inner timeouts that are longer than the outer one",
    codes: &["LTN0104"],
    inputs: &[Kind::VirtualService, Kind::Service, Kind::Pod, Kind::AuthorizationPolicy],
    by_default: true,
    by_file: false,
    run,
};

/// The longest timeout that rules for a Service have.
struct Longest<'a> {
    object: &'a Object,
    at: Val<'a>,
    duration: Duration,
}

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of(Kind::VirtualService) {
        for rule in object.spec().get("http").items() {
            let (outer, inner) = (rule.get("timeout"), rule.path("retries.perTryTimeout"));
            if let (Some(outside), Some(inside)) = (duration(outer), duration(inner))
                && inside > outside
            {
                let (what, around) = ("retries.perTryTimeout", "the rule's own timeout");
                report.add("LTN0104", object, inner, &[&what, &inner.str(), &around, &outer.str()]);
            }
        }
    }
    let rules = rules_by_service(snapshot);
    let longest: BTreeMap<&Service, Longest<'_>> =
        rules.iter().filter_map(|(service, rules)| Some((service, longest(rules)?))).collect();
    if longest.len() < 2 {
        return;
    }
    for (caller, called) in &snapshot.calls().0 {
        let Some(outer) = longest.get(caller) else { continue };
        for (callee, inner) in called.iter().filter_map(|callee| Some((callee, longest.get(callee)?))) {
            if inner.duration > outer.duration {
                let what = format!("the timeout of {}.{}", callee.1, callee.0);
                let around = format!("that of its caller {}.{}", caller.1, caller.0);
                report.add(
                    "LTN0104",
                    inner.object,
                    inner.at,
                    &[&what, &inner.at.str(), &around, &outer.at.str()],
                );
            }
        }
    }
}

fn longest<'a>(rules: &[(&'a Object, Val<'a>)]) -> Option<Longest<'a>> {
    let timeouts = rules.iter().filter_map(|(object, rule)| {
        let at = rule.get("timeout");
        Some(Longest { object, at, duration: duration(at)? })
    });
    timeouts.max_by_key(|longest| longest.duration)
}

/// A duration that limits something: zero switches a timeout off.
fn duration(value: Val<'_>) -> Option<Duration> {
    stdx::duration::parse(value.text()?).ok().filter(|duration| !duration.is_zero())
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::CHAIN;
    use super::*;
    use crate::testing::{check, found, messages};

    fn route(name: &str, rule: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec:\n  \
             hosts: [{name}]\n  http: [{{{rule}, route: [{{destination: {{host: {name}}}}}]}}]\n---\n"
        )
    }

    #[test]
    fn a_try_is_shorter_than_the_whole() {
        let at = ["LTN0104 VirtualService default/a:6"];
        check(&ANALYZER, &route("a", "timeout: 1s, retries: {attempts: 2, perTryTimeout: 2s}"), &at);
        check(&ANALYZER, &route("a", "timeout: 2s, retries: {attempts: 2, perTryTimeout: 1s}"), &[]);
        check(&ANALYZER, &route("a", "timeout: 0s, retries: {attempts: 2, perTryTimeout: 1s}"), &[]);
    }

    #[test]
    fn a_callee_is_given_less_time_than_its_caller() {
        let mesh = |a: &str, b: &str| {
            CHAIN.to_owned() + &route("a", &format!("timeout: {a}")) + &route("b", &format!("timeout: {b}"))
        };
        assert_eq!(
            messages(&ANALYZER, &mesh("1s", "1500ms")),
            [
                "the timeout of b.default (1500ms) is longer than that of its caller a.default (1s), which ends first"
            ]
        );
        assert_eq!(found(&ANALYZER, &mesh("2s", "1500ms")).len(), 0);
        assert_eq!(found(&ANALYZER, &(route("a", "timeout: 1s") + &route("b", "timeout: 2s"))).len(), 0);
    }
}
