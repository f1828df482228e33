//! Operators in access log formats that do not exist. Envoy refuses the whole listener for one.
//! See <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage>.

use istio_api::access_log::unknown_operators;

use crate::analyzers::Analyzer;
use crate::finding::{Edit, Fix, Report};
use crate::kind::Kind;
use crate::own::place::locate;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.LogOperators",
    description: "Finds operators in access log formats that do not exist",
    codes: &["LTN0112"],
    inputs: &[Kind::MeshConfig],
    by_default: true,
    by_file: false,
    run,
};

/// What people write for a header of the response.
const SUCCESSORS: [(&str, &str); 2] =
    [("UPSTREAM_SERVICE_TIME", "RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)"), ("RESPONSE_STATUS", "RESPONSE_CODE")];

fn run(snapshot: &Snapshot, report: &mut Report) {
    for source in &snapshot.mesh.sources {
        let Some(object) = &source.object else { continue };
        let format = source.root().get("accessLogFormat");
        for operator in unknown_operators(format.str()) {
            let name = operator.name;
            let successor = SUCCESSORS.iter().find(|(wrong, _)| *wrong == name).map(|(_, right)| *right);
            let hint =
                successor.map_or_else(String::new, |right| format!("; the operator for this is %{right}%"));
            let finding = report.add("LTN0112", object, format, &[&name, &hint]);
            let text = format!("%{name}%");
            if let Some(place) = locate(snapshot, &object.file, format, &text) {
                if let Some(right) = successor {
                    let edit =
                        Edit { line: place.line, column: place.column, old: text, new: format!("%{right}%") };
                    finding.fix = Some(Fix { title: format!("use %{right}%"), edits: vec![edit] });
                }
                finding.place = Some(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn operator(format: &str) -> String {
        format!(
            "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: o}}\nspec:\n  meshConfig:\n    \
             accessLogFormat: |\n      [%START_TIME(%Y-%m)%] 100%% %REQ(:METHOD):5%\n      {format} %PROTOCOL%\n"
        )
    }

    #[test]
    fn operators_exist() {
        let found = operator("%DURATION% %UPSTREAM_SERVICE_TIME%");
        check(&ANALYZER, &found, &["LTN0112 IstioOperator default/o:8"]);
        assert!(messages(&ANALYZER, &found)[0].contains("is %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"));
        check(&ANALYZER, &operator("%DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"), &[]);
        check(&ANALYZER, &operator("%duration%"), &[]);
    }
}
