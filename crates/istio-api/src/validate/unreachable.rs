//! Rules and matches of a VirtualService that an earlier one leaves nothing to: IST0130 and
//! IST0131. See <https://istio.io/latest/docs/reference/config/analysis/ist0130/>.

use std::collections::HashMap;
use std::fmt::Write;

use model::Level;

use crate::codes;
use crate::reader::Item;
use crate::yaml::{Entry, Node, Value};

pub(super) fn check(spec: &Item<'_>) {
    for protocol in ["http", "tls", "tcp"] {
        let rules = spec.each(protocol);
        let reached = check_rules(&rules);
        if protocol == "http" {
            check_prefixes(&rules, reached);
        }
    }
}

/// A match that no earlier one repeats and no rule without matches hides.
struct Match<'a> {
    index: usize,
    number: usize,
    condition: Item<'a>,
}

/// Returns what is left to decide by: Istio compares prefixes of these only.
fn check_rules<'a>(rules: &[Item<'a>]) -> Vec<Match<'a>> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut reached = Vec::new();
    let mut has_catch_all = false;
    for (index, rule) in rules.iter().enumerate() {
        let matches = rule.each("match");
        if matches.is_empty() {
            if has_catch_all {
                unreachable(rule, index, "only the last rule can have no matches");
            }
            has_catch_all = true;
            continue;
        }
        if has_catch_all {
            unreachable(rule, index, "route without matches defined before");
            continue;
        }
        let (count, mut duplicates) = (matches.len(), 0);
        for (number, condition) in matches.into_iter().enumerate() {
            let text = canonical(condition.node());
            match seen.get(&text).and_then(|first| Some((*first, rules.get(*first)?))) {
                Some((first, earlier)) => {
                    ineffective(rule, index, &condition, number, &rule_name(earlier, first));
                    duplicates += 1;
                }
                None => {
                    seen.insert(text, index);
                    reached.push(Match { index, number, condition });
                }
            }
        }
        if duplicates == count {
            unreachable(rule, index, "all matches used by prior rules");
        }
    }
    reached
}

/// A condition as a text that is the same for equal ones. The name is no condition.
fn canonical(node: &Node) -> String {
    let mut out = String::new();
    write_canonical(node, &mut out, true);
    out
}

fn write_canonical(node: &Node, out: &mut String, top: bool) {
    match &node.value {
        Value::Scalar { text, .. } => {
            // Writing to a String cannot fail.
            let _ = write!(out, "{text:?}");
        }
        Value::Seq(items) => {
            out.push('[');
            items.iter().for_each(|item| write_canonical(item, out, false));
            out.push(']');
        }
        Value::Map(entries) => {
            let counts = |e: &&Entry| !(e.node.is_null() || top && &*e.key == "name");
            let mut sorted: Vec<_> = entries.iter().filter(counts).collect();
            sorted.sort_by_key(|entry| entry.key.clone());
            out.push('{');
            for entry in sorted {
                let _ = write!(out, "{:?}:", &*entry.key);
                write_canonical(&entry.node, out, false);
            }
            out.push('}');
        }
    }
}

/// A match by prefix, with what else must hold.
struct Prefix<'a> {
    rule: &'a Item<'a>,
    index: usize,
    condition: Item<'a>,
    number: usize,
    uri: &'a str,
}

/// Compares every two matches: more of them than this are not looked at.
const MAX_PREFIXES: usize = 500;

fn check_prefixes<'a>(rules: &'a [Item<'a>], reached: Vec<Match<'a>>) {
    let mut prefixes = Vec::new();
    for Match { index, number, condition } in reached {
        let uri = condition.field("uri").map_or("", |uri| uri.node().field("prefix").map_or("", Node::text));
        if let Some(rule) = rules.get(index).filter(|_| !uri.is_empty() && prefixes.len() < MAX_PREFIXES) {
            prefixes.push(Prefix { rule, index, condition, number, uri });
        }
    }
    for (at, first) in prefixes.iter().enumerate() {
        for later in &prefixes[at + 1..] {
            if later.uri != first.uri && covers(first, later) {
                let which = format!("{} of prefix {}", match_name(&first.condition, first.number), first.uri);
                let by = format!("{which} on {}", rule_name(first.rule, first.index));
                let number =
                    format!("{} of prefix {}", match_name(&later.condition, later.number), later.uri);
                report_ineffective(later.rule, later.index, &later.condition, &number, &by);
            }
        }
    }
}

/// Whether whatever meets `later` has met `first` before.
fn covers(first: &Prefix<'_>, later: &Prefix<'_>) -> bool {
    let (a, b) = (&first.condition, &later.condition);
    let method = |condition| match form(condition) {
        none if none.is_empty() => "exact:GET".to_owned(),
        form => form,
    };
    later.uri.starts_with(first.uri)
        && a.field_int("port").unwrap_or(0) == b.field_int("port").unwrap_or(0)
        && method(a.field("method")).starts_with(&method(b.field("method")))
        && form(a.field("authority")).starts_with(&form(b.field("authority")))
        && ["headers", "queryParams", "withoutHeaders"].iter().all(|name| same_names(a, b, name))
}

/// The same names on both sides, with values that are the same or wider.
fn same_names(a: &Item<'_>, b: &Item<'_>, name: &str) -> bool {
    let (a, b) = (a.each_entry(name), b.each_entry(name));
    a.len() == b.len()
        && a.iter().all(|(key, item)| {
            let other = b.iter().find(|(other, _)| other == key);
            other.is_some_and(|(_, other)| form(Some(item.clone())).starts_with(&form(Some(other.clone()))))
        })
}

/// A condition on a string as a text; empty for none and for regular expressions.
fn form(item: Option<Item<'_>>) -> String {
    let Some(item) = item else { return String::new() };
    ["exact", "prefix"]
        .iter()
        .find(|name| item.has_some(name))
        .map_or_else(String::new, |name| format!("{name}:{}", item.field_text(name)))
}

fn unreachable(rule: &Item<'_>, index: usize, reason: &str) {
    let message = format!("VirtualService rule {} not used ({reason}).", rule_name(rule, index));
    rule.report(Level::Warning, codes::UNREACHABLE_RULE, message);
}

fn ineffective(rule: &Item<'_>, index: usize, condition: &Item<'_>, number: usize, by: &str) {
    report_ineffective(rule, index, condition, &match_name(condition, number), by);
}

fn report_ineffective(rule: &Item<'_>, index: usize, condition: &Item<'_>, number: &str, by: &str) {
    let rule = rule_name(rule, index);
    let message = format!(
        "VirtualService rule {rule} match {number} is not used (duplicate/overlapping match in rule {by})."
    );
    condition.report(Level::Info, codes::INEFFECTIVE_MATCH, message);
}

fn rule_name(rule: &Item<'_>, index: usize) -> String {
    named(rule.field_text("name"), index)
}

fn match_name(condition: &Item<'_>, number: usize) -> String {
    named(condition.field_text("name"), number)
}

fn named(name: &str, index: usize) -> String {
    if name.is_empty() { format!("#{index}") } else { format!("{name:?}") }
}
