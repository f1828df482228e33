//! Rules that can never apply, because an earlier one matches every request that they match.

use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.ShadowedRules",
    description: "Finds rules of virtual services that an earlier one shadows, and names it",
    codes: &["LTN0101"],
    inputs: &[Kind::VirtualService],
    by_default: true,
    by_file: true,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of(Kind::VirtualService) {
        let rules: Vec<Val<'_>> = object.spec().get("http").items().collect();
        for (i, rule) in rules.iter().enumerate() {
            let earlier =
                rules.iter().take(i).enumerate().find(|(_, earlier)| shadows(object, **earlier, *rule));
            if let Some((j, earlier)) = earlier {
                let place = object.place(*earlier);
                report.add("LTN0101", object, *rule, &[&name(*rule, i), &name(*earlier, j), &place.line]);
            }
        }
    }
}

/// A rule by its name, or by its number as field paths have it.
pub(super) fn name(rule: Val<'_>, number: usize) -> String {
    match rule.get("name").str() {
        "" => format!("http[{number}]"),
        name => format!("{name:?}"),
    }
}

fn shadows(object: &Object, earlier: Val<'_>, later: Val<'_>) -> bool {
    // What a delegate does not match goes on to the next rule.
    if earlier.get("delegate").exists() {
        return false;
    }
    let (wide, narrow) = (earlier.get("match").items(), later.get("match").items());
    if wide.len() == 0 {
        return true;
    }
    narrow.len() > 0 && narrow.clone().all(|narrow| wide.clone().any(|wide| covers(object, wide, narrow)))
}

/// Whether every request that `narrow` matches is matched by `wide`. When in doubt, no.
fn covers(object: &Object, wide: Val<'_>, narrow: Val<'_>) -> bool {
    wide.entries().filter(|(_, value)| value.exists()).all(|(entry, value)| {
        let other = narrow.get(&entry.key);
        match &*entry.key {
            "name" | "statPrefix" | "ignoreUriCase" => true,
            "uri" => covers_path(wide, narrow),
            "scheme" | "method" | "authority" => covers_text(value, other, false),
            "headers" | "queryParams" => {
                value.entries().all(|(key, text)| covers_text(text, entry_of(other, &key.key), false))
            }
            // To exclude more is to match less.
            "withoutHeaders" => {
                value.entries().all(|(key, text)| covers_text(entry_of(other, &key.key), text, false))
            }
            "port" | "sourceNamespace" => other.str() == value.str(),
            "sourceLabels" => {
                value.entries().all(|(key, text)| entry_of(other, &key.key).str() == text.str())
            }
            "gateways" => {
                let of = if other.exists() { other } else { object.spec().get("gateways") };
                let here = value.strings();
                of.exists() && of.strings().iter().all(|gateway| here.contains(gateway))
            }
            _ => false,
        }
    })
}

/// The value of a key that is no field name: of a header, of a label.
fn entry_of<'a>(map: Val<'a>, key: &str) -> Val<'a> {
    map.entries().find(|(entry, _)| &*entry.key == key).map_or(Val::ABSENT, |(_, value)| value)
}

fn covers_path(wide: Val<'_>, narrow: Val<'_>) -> bool {
    let (any_case, same_case) = (wide.get("ignoreUriCase").is_true(), !narrow.get("ignoreUriCase").is_true());
    (any_case || same_case) && covers_text(wide.get("uri"), narrow.get("uri"), any_case)
}

/// Of two StringMatches; one without a condition asks for presence only.
fn covers_text(wide: Val<'_>, narrow: Val<'_>, any_case: bool) -> bool {
    if !wide.exists() || !narrow.exists() {
        return false;
    }
    let fold = |text: &str| if any_case { text.to_ascii_lowercase() } else { text.to_owned() };
    let get = |value: Val<'_>, name| value.get(name).text().map(fold);
    match (get(wide, "exact"), get(wide, "prefix"), wide.get("regex").text()) {
        (Some(exact), ..) => get(narrow, "exact") == Some(exact),
        (_, Some(prefix), _) => {
            get(narrow, "exact").or(get(narrow, "prefix")).is_some_and(|text| text.starts_with(&prefix))
        }
        (.., Some(regex)) => regex == ".*" || narrow.get("regex").text() == Some(regex),
        (None, None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn route(first: &str, second: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  hosts: [a]\n  http:\n  \
             - {{{first}}}\n  - {{name: second, {second}}}\n"
        )
    }

    #[test]
    fn shadowed_rules_are_found_with_the_one_that_shadows() {
        let found = ["LTN0101 VirtualService default/r:8"];
        for (first, second, is_shadowed) in [
            ("match: [{uri: {prefix: /a}}]", "match: [{uri: {exact: /a/b}}]", true),
            ("match: [{uri: {prefix: /a}}]", "match: [{uri: {exact: /b}}]", false),
            (
                "match: [{uri: {prefix: /a}}]",
                "match: [{uri: {prefix: /a, }, headers: {x: {exact: y}}}]",
                true,
            ),
            ("match: [{uri: {prefix: /a}, headers: {x: {}}}]", "match: [{uri: {prefix: /a}}]", false),
            ("match: [{headers: {x: {}}}]", "match: [{headers: {x: {regex: 'y+'}}}]", true),
            ("match: [{uri: {prefix: /a}}, {port: 80}]", "match: [{port: 80}, {uri: {prefix: /ab}}]", true),
            ("match: [{uri: {prefix: /a}}]", "match: [{uri: {prefix: /a}}, {port: 80}]", false),
            ("match: [{uri: {prefix: /A}, ignoreUriCase: true}]", "match: [{uri: {prefix: /a}}]", true),
            ("match: [{uri: {prefix: /A}}]", "match: [{uri: {prefix: /a}}]", false),
            ("match: [{withoutHeaders: {x: {}}}]", "match: [{port: 80}]", false),
            ("match: [{gateways: [g]}]", "match: [{uri: {prefix: /}}]", false),
            ("", "match: [{port: 80}]", true),
            ("delegate: {name: d}", "match: [{port: 80}]", false),
            ("match: [{port: 80}]", "route: []", false),
        ] {
            check(&ANALYZER, &route(first, second), if is_shadowed { &found } else { &[] });
        }
        assert_eq!(
            messages(&ANALYZER, &route("", "match: [{port: 80}]")),
            [
                "the rule \"second\" is never reached: the rule http[0] on line 7 matches everything that it matches"
            ]
        );
    }
}
