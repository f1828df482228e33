//! Routing by claims of a token that nobody verifies (`virtualservice.JWTClaimRouteAnalyzer`).

use std::collections::HashMap;

use model::Labels;

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "virtualservice.JWTClaimRouteAnalyzer",
    description: "Checks the VirtualService using JWT claim based routing has corresponding RequestAuthentication",
    codes: &["IST0149"],
    inputs: &[Kind::VirtualService, Kind::RequestAuthentication, Kind::Gateway, Kind::Pod],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut selectors: HashMap<&str, Vec<Labels>> = HashMap::new();
    for request in snapshot.of(Kind::RequestAuthentication) {
        let selector = labels_of(request.spec().path("selector.matchLabels"));
        selectors.entry(&request.namespace).or_default().push(selector);
    }
    for route in snapshot.of(Kind::VirtualService) {
        let Some((key, at)) = claim(route) else { continue };
        for reference in route.spec().get("gateways").strings() {
            let (namespace, name) = Snapshot::refer(reference, &route.namespace);
            // Sidecars verify tokens of their own; a missing gateway is another finding.
            let Some(gateway) = snapshot.find(Kind::Gateway, namespace, name) else { continue };
            for pod in snapshot.select(None, &labels_of(gateway.spec().get("selector"))) {
                let places = [snapshot.mesh.root_namespace(), &pod.object.namespace];
                let mut able = places.iter().filter_map(|place| selectors.get(place)).flatten();
                if !able.any(|selector| selector.select(&pod.labels)) {
                    let gateway = format!("{namespace}/{name}");
                    report.add("IST0149", route, at, &[&key, &gateway, pod.object.name()]);
                }
            }
        }
    }
}

/// The first condition on a claim: `@request.auth.claims.NAME` or `@request.auth.claims[NAME]`.
fn claim(route: &Object) -> Option<(&str, Val<'_>)> {
    const CLAIMS: &str = "@request.auth.claims";
    let is_claim = |key: &str| {
        let Some(rest) = key.get(CLAIMS.len()..).filter(|_| key[..CLAIMS.len()].eq_ignore_ascii_case(CLAIMS))
        else {
            return false;
        };
        (rest.starts_with('.') && rest.len() > 1)
            || (rest.starts_with('[') && rest.ends_with(']') && rest.len() > 2)
    };
    let matches = route.spec().get("http").items().flat_map(|rule| rule.get("match").items());
    let mut headers =
        matches.flat_map(|m| m.get("headers").entries().chain(m.get("withoutHeaders").entries()));
    headers.find(|(entry, _)| is_claim(&entry.key)).map(|(entry, value)| (&*entry.key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(header: &str, selector: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  gateways: [g]\n  \
             http: [{{match: [{{headers: {{'{header}': {{exact: x}}}}}}]}}]\n---\n\
             apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g}}\nspec: {{selector: {{app: g}}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{app: g}}}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: a}}\n\
             spec: {{selector: {{matchLabels: {{app: {selector}}}}}}}\n"
        )
    }

    #[test]
    fn claims_come_from_a_request_authentication_at_the_gateway() {
        check(&ANALYZER, &mesh("@request.auth.claims.sub", "g"), &[]);
        check(&ANALYZER, &mesh("@request.auth.claims.sub", "h"), &["IST0149 VirtualService default/r:6"]);
        check(&ANALYZER, &mesh("@request.auth.claims[a][b]", "h"), &["IST0149 VirtualService default/r:6"]);
        check(&ANALYZER, &mesh("@request.auth.claims", "h"), &[]);
        check(&ANALYZER, &mesh("x-claims", "h"), &[]);
        // Cut inside of a character.
        check(&ANALYZER, &mesh("@request.auth.claim\u{17f}.x", "h"), &[]);
    }
}
