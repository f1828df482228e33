//! The cases of `validate/`: what Istio accepts is accepted, and what it refuses is refused.

use istio_api::validate_stream;
use model::{Finding, Level};
use serde_json::json;

use super::{read_json, root};

/// Each case is one file: valid exactly if nothing in it is an error.
#[test]
fn what_istio_accepts_is_accepted_and_what_it_refuses_is_refused() {
    let Some(root) = root() else { return };
    let cases = read_json(root.join("validate/cases.json"));
    let (mut agree, mut pending, mut wrong) = (0, 0, Vec::new());
    for case in cases.as_array().expect("cases") {
        let name = case["name"].as_str().unwrap_or_default();
        if name.starts_with("gateway-api/") {
            pending += 1;
            continue;
        }
        let file = case["file"].as_str().expect("file");
        let text = std::fs::read_to_string(root.join("validate").join(file)).expect("file");
        let findings = validate_stream(file, &text).findings;
        let error = findings.iter().find(|finding| finding.level == Level::Error);
        match (case["valid"] == json!(true), error) {
            (true, Some(error)) => wrong.push(format!("refused though valid: {name}: {error}")),
            (false, None) => {
                wrong.push(format!("accepted though invalid: {name} ({}) {}", case["error_contains"], file));
            }
            _ => agree += 1,
        }
        if !warned_as_expected(&case["warning"], &findings) {
            wrong.push(format!("no warning: {name} ({})", case["warning"]));
        }
    }
    eprintln!("{agree} cases agree, {pending} of the Gateway API are pending");
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), agree + wrong.len(), wrong.join("\n"));
    assert!(agree > 500, "{agree}");
}

/// Our words are our own, so a warning is asked for, not its text.
fn warned_as_expected(expected: &serde_json::Value, findings: &[Finding]) -> bool {
    let warned = |f: &Finding| f.level != Level::Error && f.code.starts_with("IST");
    expected.is_null() || findings.iter().any(warned)
}
