//! What an analysis says, and how an analyzer says it.

use std::fmt::Display;

use model::{Level, ObjectRef, Place, Str};

use crate::catalogue;
use crate::object::Object;
use crate::value::Val;

/// One thing somebody should know, of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub level: Level,
    pub code: &'static str,
    /// The analyzer that says it, by its name in the catalogue.
    pub analyzer: &'static str,
    pub object: Option<ObjectRef>,
    /// Where the object lives, to filter by; empty if it has no namespace.
    pub namespace: Str,
    pub cluster: Option<Str>,
    pub place: Option<Place>,
    /// A sentence, without the object and the place.
    pub message: String,
    /// A mend that is certain.
    pub fix: Option<Fix>,
}

/// A change of a text that mends what was found, whatever else is in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What it does, as in "use v1".
    pub title: String,
    pub edits: Vec<Edit>,
}

/// Replaces text of one line. Line and column count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub line: u32,
    pub column: u32,
    /// What must be there; the edit is left out if it is not.
    pub old: String,
    pub new: String,
}

/// Where Kubernetes' own parts live; Istio leaves them alone, and so does its analysis.
const SYSTEM_NAMESPACES: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];

/// Collects the findings of one analyzer.
#[derive(Debug)]
pub struct Report {
    analyzer: &'static str,
    findings: Vec<Finding>,
    /// Stands in for a finding that the object asks not to hear of.
    suppressed: Option<Finding>,
}

impl Report {
    pub fn new(analyzer: &'static str) -> Report {
        Report { analyzer, findings: Vec::new(), suppressed: None }
    }

    /// Says something of the catalogue about an object, at a value of it (at its beginning if
    /// absent). The arguments go where the template of the code has verbs. What the object's
    /// annotation suppresses is not kept.
    pub fn add(
        &mut self,
        code: &'static str,
        object: &Object,
        at: Val<'_>,
        arguments: &[&dyn Display],
    ) -> &mut Finding {
        let entry = catalogue::entry(code);
        let finding = Finding {
            level: entry.level,
            code,
            analyzer: self.analyzer,
            object: Some(object.shown.clone()),
            namespace: object.namespace.clone(),
            cluster: object.cluster.clone(),
            place: Some(object.place(at)),
            message: catalogue::format(entry.template, arguments),
            fix: None,
        };
        let is_silent = object.built_in || SYSTEM_NAMESPACES.contains(&&*object.namespace);
        if is_silent || object.suppresses(code) {
            return self.suppressed.insert(finding);
        }
        self.findings.push(finding);
        // Just pushed.
        let last = self.findings.len() - 1;
        &mut self.findings[last]
    }

    /// Keeps a finding as it is.
    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub fn into_findings(self) -> Vec<Finding> {
        self.findings
    }
}

/// A list as Istio's messages print it: `[a b]`.
pub fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(" "))
}
