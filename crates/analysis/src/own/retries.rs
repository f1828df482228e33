//! Retries that multiply: each service on the way repeats the calls of the one before it.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::{Service, rules_by_service};
use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.Retries",
    description: "Finds retries that multiply along a chain of calls",
    codes: &["LTN0103"],
    inputs: &[Kind::VirtualService, Kind::Service, Kind::Pod, Kind::AuthorizationPolicy],
    by_default: true,
    by_file: false,
    run,
};

/// From so many requests on a failing service is kept from recovering: 3 x 3, two retries twice.
const TOO_MANY: u64 = 9;

/// Calls further away than this are not followed.
const DEPTH: usize = 16;

fn run(snapshot: &Snapshot, report: &mut Report) {
    let rules = rules_by_service(snapshot);
    let retries: BTreeMap<&Service, (&Object, Val<'_>, u64)> =
        rules.iter().filter_map(|(service, rules)| Some((service, most(rules)?))).collect();
    if retries.len() < 2 {
        return;
    }
    let mut callers: BTreeMap<&Service, BTreeSet<&Service>> = BTreeMap::new();
    for (caller, called) in &snapshot.calls().0 {
        for callee in called {
            callers.entry(callee).or_default().insert(caller);
        }
    }
    for (service, (object, at, _)) in &retries {
        let mut path = vec![*service];
        let (product, chain) = worst(service, &retries, &callers, &mut path);
        if chain.len() > 1 && product >= TOO_MANY {
            let names: Vec<String> = chain.iter().map(|(ns, name)| format!("{name}.{ns}")).collect();
            report.add("LTN0103", object, *at, &[&names.join(" -> "), &product]);
        }
    }
}

/// The rule with most attempts.
fn most<'a>(rules: &[(&'a Object, Val<'a>)]) -> Option<(&'a Object, Val<'a>, u64)> {
    let attempts = rules.iter().filter_map(|(object, rule)| {
        let at = rule.path("retries.attempts");
        Some((*object, at, u64::try_from(at.int()?).ok().filter(|attempts| *attempts > 0)?))
    });
    attempts.max_by_key(|(.., attempts)| *attempts)
}

/// How many requests one request to the first service of the worst chain can become at `service`,
/// and that chain.
fn worst<'a>(
    service: &'a Service,
    retries: &BTreeMap<&'a Service, (&Object, Val<'_>, u64)>,
    callers: &BTreeMap<&'a Service, BTreeSet<&'a Service>>,
    path: &mut Vec<&'a Service>,
) -> (u64, Vec<&'a Service>) {
    let own = retries.get(service).map_or(1, |(.., attempts)| attempts.saturating_add(1));
    let mut best = (own, vec![service]);
    if path.len() >= DEPTH {
        return best;
    }
    for caller in callers.get(service).into_iter().flatten() {
        if path.contains(caller) || !retries.contains_key(caller) {
            continue;
        }
        path.push(caller);
        let (product, mut chain) = worst(caller, retries, callers, path);
        path.pop();
        let product = product.saturating_mul(own);
        if product > best.0 {
            chain.push(service);
            best = (product, chain);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::calls::tests::CHAIN;
    use super::*;
    use crate::testing::{found, messages};

    fn mesh(attempts: &[(&str, u32)]) -> String {
        let mut text = CHAIN.to_owned();
        for (name, attempts) in attempts {
            text += &format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\nspec:\n  \
                 hosts: [{name}]\n  http: [{{retries: {{attempts: {attempts}}}, route: [{{destination: {{host: {name}}}}}]}}]\n---\n"
            );
        }
        text
    }

    #[test]
    fn retries_multiply_along_calls() {
        assert_eq!(found(&ANALYZER, &mesh(&[("a", 2), ("b", 2)])).len(), 1);
        assert_eq!(found(&ANALYZER, &mesh(&[("a", 2), ("b", 1)])).len(), 0);
        assert_eq!(found(&ANALYZER, &mesh(&[("a", 5), ("c", 5)])).len(), 0, "they do not call each other");
        assert_eq!(
            messages(&ANALYZER, &mesh(&[("a", 1), ("b", 2), ("c", 2)])),
            [
                "along a.default -> b.default -> c.default each service is retried: one request can become 18 at its end"
            ]
        );
    }
}
