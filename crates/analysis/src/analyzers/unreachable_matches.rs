//! Rules of a VirtualService that can never apply, as Istio's validation finds them: equal matches,
//! and prefixes that begin with an earlier rule's. See `LTN0101` for what this does not find.

use std::collections::{BTreeMap, HashMap};

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "schema.ValidationAnalyzer.VirtualService",
    description: "Checks for rules and matches of virtual services that an earlier one hides",
    codes: &["IST0130", "IST0131"],
    inputs: &[Kind::VirtualService],
    by_default: true,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of(Kind::VirtualService) {
        for field in ["http", "tcp", "tls"] {
            let rules: Vec<Val<'_>> = object.spec().get(field).items().collect();
            repeated(object, &rules, report);
        }
        covered(object, report);
    }
}

/// Rules after one without conditions, and matches that are written twice.
fn repeated(object: &Object, rules: &[Val<'_>], report: &mut Report) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut catch_all = false;
    for (number, rule) in rules.iter().enumerate() {
        let name = name(*rule, number);
        let matches = rule.get("match").items();
        if matches.len() == 0 {
            if catch_all {
                report.add("IST0130", object, *rule, &[&name, &"only the last rule can have no matches"]);
            }
            catch_all = true;
            continue;
        }
        if catch_all {
            report.add("IST0130", object, *rule, &[&name, &"route without matches defined before"]);
            continue;
        }
        let mut repeats = 0;
        for (i, condition) in matches.clone().enumerate() {
            match seen.get(&identity(condition)).and_then(|first| Some((*first, rules.get(*first)?))) {
                Some((first, earlier)) => {
                    let earlier = self::name(*earlier, first);
                    report.add("IST0131", object, condition, &[&name, &self::name(condition, i), &earlier]);
                    repeats += 1;
                }
                None => {
                    seen.insert(identity(condition), number);
                }
            }
        }
        if repeats == matches.len() {
            report.add("IST0130", object, *rule, &[&name, &"all matches used by prior rules"]);
        }
    }
}

/// What a match asks for; its name asks for nothing.
fn identity(condition: Val<'_>) -> String {
    let fields: BTreeMap<&str, String> = condition
        .entries()
        .filter(|(entry, value)| &*entry.key != "name" && value.exists())
        .map(|(entry, value)| (&*entry.key, value.canonical()))
        .collect();
    format!("{fields:?}")
}

/// Rules and matches by name, or by number.
fn name(value: Val<'_>, number: usize) -> String {
    match value.get("name").str() {
        "" => format!("#{number}"),
        name => format!("{name:?}"),
    }
}

/// A match by path prefix, with what else it asks for.
struct Prefix<'a> {
    at: Val<'a>,
    rule: String,
    name: String,
    prefix: &'a str,
    port: &'a str,
    /// Without a method, Istio takes GET.
    method: String,
    authority: String,
    maps: [BTreeMap<&'a str, String>; 3],
}

/// Matches whose prefix begins with an earlier one's, while nothing else tells them apart.
fn covered(object: &Object, report: &mut Report) {
    let mut prefixes: Vec<Prefix<'_>> = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (number, rule) in object.spec().get("http").items().enumerate() {
        if rule.get("match").items().len() == 0 {
            break;
        }
        for (i, condition) in rule.get("match").items().enumerate() {
            // The first of equal matches stands for all.
            if seen.insert(identity(condition), number).is_none() {
                prefixes.extend(prefix(rule, number, condition, i));
            }
        }
    }
    for (i, earlier) in prefixes.iter().enumerate() {
        for later in prefixes.iter().skip(i + 1).filter(|later| covers(earlier, later)) {
            let what = format!("{} of prefix {}", later.name, later.prefix);
            let by = format!("{} of prefix {} on {}", earlier.name, earlier.prefix, earlier.rule);
            report.add("IST0131", object, later.at, &[&later.rule, &what, &by]);
        }
    }
}

fn prefix<'a>(rule: Val<'a>, number: usize, condition: Val<'a>, i: usize) -> Option<Prefix<'a>> {
    let prefix = condition.path("uri.prefix").text().filter(|prefix| !prefix.is_empty())?;
    let method = text_match(condition.get("method"));
    let map = |name| {
        let entries = condition.get(name).entries();
        entries.map(|(entry, value)| (&*entry.key, text_match(value))).collect()
    };
    Some(Prefix {
        at: condition,
        rule: name(rule, number),
        name: name(condition, i),
        prefix,
        port: condition.get("port").str(),
        method: if method.is_empty() { "exact/GET".to_owned() } else { method },
        authority: text_match(condition.get("authority")),
        maps: [map("headers"), map("queryParams"), map("withoutHeaders")],
    })
}

/// An exact or prefix match in one text; a regular expression counts as none.
fn text_match(value: Val<'_>) -> String {
    match (value.get("exact").str(), value.get("prefix").str()) {
        ("", "") => String::new(),
        ("", prefix) => format!("prefix/{prefix}"),
        (exact, _) => format!("exact/{exact}"),
    }
}

fn covers(earlier: &Prefix<'_>, later: &Prefix<'_>) -> bool {
    let maps = earlier.maps.iter().zip(&later.maps);
    later.prefix != earlier.prefix
        && later.prefix.starts_with(earlier.prefix)
        && later.port == earlier.port
        && earlier.method.starts_with(&later.method)
        && earlier.authority.starts_with(&later.authority)
        && maps.into_iter().all(|(earlier, later)| {
            earlier.len() == later.len()
                && earlier.iter().all(|(key, value)| later.get(key).is_some_and(|v| value.starts_with(v)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn route(rules: &[&str]) -> String {
        let mut text = String::from(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec:\n  hosts: [a]\n  http:\n",
        );
        for rule in rules {
            text += &format!("  - {{{rule}}}\n");
        }
        text
    }

    #[test]
    fn repeated_matches_are_found() {
        let object = "VirtualService default/a";
        check(&ANALYZER, &route(&["", ""]), &[&format!("IST0130 {object}:8")]);
        check(&ANALYZER, &route(&["match: [{port: 1}]", ""]), &[]);
        check(&ANALYZER, &route(&["", "match: [{port: 1}]"]), &[&format!("IST0130 {object}:8")]);
        let twice = route(&["match: [{port: 1}]", "match: [{name: n, port: 1}]"]);
        check(&ANALYZER, &twice, &[&format!("IST0130 {object}:8"), &format!("IST0131 {object}:8")]);
        assert_eq!(
            messages(&ANALYZER, &twice)[1],
            "VirtualService rule #1 match \"n\" is not used (duplicate/overlapping match in rule #0)."
        );
        check(
            &ANALYZER,
            &route(&["match: [{port: 1}]", "match: [{port: 1}, {port: 2}]"]),
            &[&format!("IST0131 {object}:8")],
        );
    }

    #[test]
    fn longer_prefixes_after_shorter_ones_are_found() {
        let prefixes = |first: &str, second: &str| {
            route(&[
                &format!("match: [{{uri: {{prefix: {first}}}}}]"),
                &format!("match: [{{uri: {{prefix: {second}}}}}]"),
            ])
        };
        check(&ANALYZER, &prefixes("/a", "/a/b"), &["IST0131 VirtualService default/a:8"]);
        check(&ANALYZER, &prefixes("/a/b", "/a"), &[]);
        let other = prefixes("/a", "/a/b").replacen("uri", "method: {exact: POST}, uri", 1);
        check(&ANALYZER, &other, &[]);
        let headers = prefixes("/a", "/a/b").replacen("uri", "headers: {h: {exact: x}}, uri", 1);
        check(&ANALYZER, &headers, &[]);
    }
}
