//! The same list as YAML.

use std::fmt::Write as _;

use super::{Input, json};

pub(super) fn render(input: &Input<'_>) -> String {
    if input.findings.is_empty() {
        return "[]\n".to_owned();
    }
    let mut text = String::new();
    for finding in input.findings {
        for (i, (name, value)) in json::message(finding).into_iter().enumerate() {
            let dash = if i == 0 { "-" } else { " " };
            // A JSON string is a YAML string, whatever is in it.
            let _ = writeln!(text, "{dash} {name}: {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use istio_api::yaml;

    use super::super::Format;
    use super::super::tests::{findings, render_all, render_none};
    use crate::value::Val;

    #[test]
    fn it_reads_back_as_what_was_found() {
        let documents = yaml::documents(&render_all(Format::Yaml));
        let items: Vec<Val<'_>> = Val::of(&documents[0]).items().collect();
        assert_eq!(items.len(), findings().len());
        for (item, finding) in items.iter().zip(findings()) {
            assert_eq!(item.get("message").str(), finding.message);
            assert_eq!(item.get("code").str(), finding.code);
        }
        assert_eq!(render_none(Format::Yaml), "[]\n");
    }
}
