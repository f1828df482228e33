//! Order, and what is not to be shown.

use model::Str;

use crate::finding::Finding;

/// Istioctl's order: by cluster, level, code, object, text. What would print the same is kept once.
pub fn sort(findings: &mut Vec<Finding>) {
    findings.sort_by(|a, b| key(a).cmp(&key(b)));
    findings.dedup_by(|a, b| key(a) == key(b));
}

/// Several lists, each in order, as one. The sort takes ordered runs as they are; what it orders
/// are pointers.
pub(crate) fn merged(lists: &[Vec<Finding>]) -> Vec<Finding> {
    let mut all: Vec<&Finding> = lists.iter().flatten().collect();
    all.sort_by(|a, b| key(a).cmp(&key(b)));
    all.dedup_by(|a, b| key(a) == key(b));
    all.into_iter().cloned().collect()
}

fn key(finding: &Finding) -> impl Ord + '_ {
    (&finding.cluster, finding.level, finding.code, &finding.object, &finding.place, &finding.message)
}

/// Whether a finding is about an object of a namespace, or about one that has none.
pub fn in_namespace(finding: &Finding, namespace: &str) -> bool {
    finding.namespace.is_empty() || *finding.namespace == *namespace
}

/// `CODE=KIND NAME`: what `--suppress` takes.
#[derive(Clone, Debug)]
pub struct Suppression {
    pub code: Str,
    /// The object, with `*` for any text: `Pod testing/mypod`, `Pod *.testing`.
    object: Str,
}

impl Suppression {
    /// `None` if it is not of that form.
    pub fn parse(text: &str) -> Option<Suppression> {
        let (code, object) = text.split_once('=')?;
        let usable = !code.is_empty() && !object.is_empty() && !object.contains('=');
        usable.then(|| Suppression { code: code.into(), object: object.into() })
    }

    /// Whether a finding is meant. istioctl's help writes objects as `KIND NAME.NAMESPACE`, while
    /// it compares with `KIND NAMESPACE/NAME`; both are understood here.
    pub fn covers(&self, finding: &Finding) -> bool {
        let Some(object) = finding.object.as_ref().filter(|_| finding.code == &*self.code) else {
            return false;
        };
        let dotted = format!("{} {}.{}", object.kind, object.name, finding.namespace);
        let full = format!("{} {}/{}", object.kind, finding.namespace, object.name);
        glob(&self.object, &object.to_string()) || glob(&self.object, &full) || glob(&self.object, &dotted)
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use model::{Level, ObjectRef};

    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, fits) in [
            ("Pod a/b", "Pod a/b", true),
            ("Pod a/*", "Pod a/b", true),
            ("*b", "Pod a/b", true),
            ("P*a*b", "Pod a/b", true),
            ("*", "", true),
            ("Pod a", "Pod a/b", false),
            ("ab*b", "ab", false),
            ("*x*", "Pod a/b", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn both_ways_to_write_an_object_are_understood() {
        let finding = Finding {
            level: Level::Warning,
            code: "IST0103",
            analyzer: "a",
            object: Some(ObjectRef::new("Pod", "testing", "mypod")),
            namespace: "testing".into(),
            cluster: None,
            place: None,
            message: String::new(),
            fix: None,
        };
        let covers = |text: &str| Suppression::parse(text).expect("parses").covers(&finding);
        assert!(covers("IST0103=Pod testing/mypod") && covers("IST0103=Pod *.testing"));
        assert!(!covers("IST0104=Pod *.testing") && !covers("IST0103=Pod *.other"));
        assert!(Suppression::parse("IST0103").is_none() && Suppression::parse("=x").is_none());
    }
}
