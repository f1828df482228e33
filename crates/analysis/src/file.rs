//! One text: its objects, and what is wrong with them one by one. Files do not know each other, so
//! a changed file is read again and the others are kept.

use std::sync::Arc;

use istio_api::codes as api;
use istio_api::yaml::Node;
use model::{Level, ObjectRef, Str};

use crate::kind::Kind;
use crate::object::{Object, labels_of, pod_labels};
use crate::value::Val;

/// How files are read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Where objects live that name no namespace.
    pub default_namespace: Str,
    /// Whether findings name that namespace too. istioctl gives such objects none with
    /// `--all-namespaces`.
    pub show_default_namespace: bool,
}

impl Default for Reading {
    fn default() -> Self {
        Reading { default_namespace: "default".into(), show_default_namespace: true }
    }
}

/// A text with YAML or JSON documents.
#[derive(Debug)]
pub struct File {
    pub name: Str,
    pub text: Arc<str>,
    pub objects: Vec<Arc<Object>>,
    /// What is wrong with single objects: syntax, schema, validation, fields without effect.
    pub findings: Vec<model::Finding>,
    /// Whether some part of it could not be read at all.
    pub unreadable: bool,
    pub cluster: Option<Str>,
}

impl File {
    /// Reads a text. Never fails: what cannot be read is in `findings`.
    pub fn read(name: &str, text: &str, reading: &Reading) -> File {
        File::of_cluster(name, text, None, reading)
    }

    /// As [`File::of_cluster`], for bytes that may be no text: that is a finding, and nothing else
    /// of the file is read.
    pub fn of_bytes(name: &str, bytes: &[u8], cluster: Option<&str>, reading: &Reading) -> File {
        let error = match std::str::from_utf8(bytes) {
            Ok(text) => return File::of_cluster(name, text, cluster, reading),
            Err(error) => error,
        };
        let good = String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default());
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1);
        let finding = model::Finding {
            level: Level::Error,
            code: api::SYNTAX,
            object: None,
            field: Str::default(),
            place: Some(model::Place {
                file: name.into(),
                line: count(good.matches('\n').count()),
                column: count(good.rsplit('\n').next().unwrap_or_default().chars().count()),
            }),
            message: "is no text in UTF-8".into(),
        };
        let text = Arc::from(String::from_utf8_lossy(bytes));
        let cluster = cluster.map(Str::from);
        File {
            name: name.into(),
            text,
            objects: Vec::new(),
            findings: vec![finding],
            unreadable: true,
            cluster,
        }
    }

    /// As [`File::read`], for the objects of one of several clusters.
    pub fn of_cluster(name: &str, text: &str, cluster: Option<&str>, reading: &Reading) -> File {
        let name = Str::from(name);
        let cluster = cluster.map(Str::from);
        let mut objects = Vec::new();
        let parsed = istio_api::parse_stream_with(&name, text, |node| {
            read_document(node, &name, cluster.as_ref(), reading, &mut objects);
        });
        let unreadable = parsed.findings.iter().any(|f| matches!(f.code, api::SYNTAX | api::LIMIT));
        let findings = parsed.findings.into_iter().filter(|f| is_worth_saying(f, &objects)).collect();
        File { name, text: text.into(), objects, findings, unreadable, cluster }
    }
}

/// Objects of kinds that are nobody's business here, and what Kubernetes' kinds have beside what a
/// mesh reads, are silent in an analysis; rule files of Prometheus have a place of their own.
fn is_worth_saying(finding: &model::Finding, objects: &[Arc<Object>]) -> bool {
    match finding.code {
        api::OTHER_KIND => {
            finding.level != Level::Info
                && !objects.iter().any(|o| {
                    o.kind == Kind::AlertRules
                        && finding.place.as_ref().is_some_and(|p| p.line == o.node.line)
                })
        }
        api::NO_EFFECT => finding.level != Level::Info,
        _ => true,
    }
}

fn read_document(
    node: Node,
    file: &Str,
    cluster: Option<&Str>,
    reading: &Reading,
    objects: &mut Vec<Arc<Object>>,
) {
    let root = Val::of(&node);
    let kind = root.get("kind").str();
    if kind == "List" || (kind.ends_with("List") && root.get("items").exists()) {
        for item in root.get("items").items() {
            // A list in a list is refused when it is validated.
            if let Some(node) = item.node().filter(|_| !item.get("items").exists()) {
                objects.extend(read_object(node.clone(), file, cluster, reading).map(Arc::new));
            }
        }
        return;
    }
    objects.extend(read_object(node, file, cluster, reading).map(Arc::new));
}

fn read_object(node: Node, file: &Str, cluster: Option<&Str>, reading: &Reading) -> Option<Object> {
    let root = Val::of(&node);
    let (api_version, kind_name) = (root.get("apiVersion").str(), root.get("kind").str());
    let (kind, kind_name) = match kind_name {
        "" if is_rule_file(root) => (Kind::AlertRules, "AlertRules"),
        "" => return None,
        _ => {
            let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
            (Kind::of(group, kind_name), kind_name)
        }
    };
    let metadata = root.get("metadata");
    let written = metadata.get("namespace").str();
    let (namespace, shown) = match (written.is_empty(), kind.is_namespaced()) {
        (false, true) => (Str::from(written), Str::from(written)),
        (false, false) if kind == Kind::Other => (Str::from(written), Str::from(written)),
        (_, false) => (Str::default(), Str::default()),
        (true, true) if reading.show_default_namespace => {
            (reading.default_namespace.clone(), reading.default_namespace.clone())
        }
        (true, true) => (reading.default_namespace.clone(), Str::default()),
    };
    Some(Object {
        kind,
        shown: ObjectRef {
            kind: Str::from(kind_name),
            namespace: shown,
            name: Str::from(metadata.get("name").str()),
        },
        namespace,
        api_version: Str::from(api_version),
        labels: labels_of(metadata.get("labels")),
        pod_labels: Arc::new(pod_labels(kind, root)),
        annotations: labels_of(metadata.get("annotations")).0,
        cluster: cluster.cloned(),
        file: file.clone(),
        built_in: false,
        node,
    })
}

/// Prometheus' own rule files are no Kubernetes objects: `groups`, each with `rules`.
fn is_rule_file(root: Val<'_>) -> bool {
    root.get("groups").items().any(|group| group.get("rules").items().len() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, reading: &Reading) -> Vec<String> {
        File::read("f", text, reading).objects.iter().map(|o| o.shown.to_string()).collect()
    }

    #[test]
    fn objects_without_a_namespace_live_in_the_default_one() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\n\
                    kind: Namespace\nmetadata: {name: n}\n";
        assert_eq!(shown(text, &Reading::default()), ["Pod default/a", "Namespace n"]);
        let all = Reading { show_default_namespace: false, ..Reading::default() };
        assert_eq!(shown(text, &all), ["Pod a", "Namespace n"]);
    }

    #[test]
    fn lists_and_rule_files_are_read() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  \
                    metadata: {name: a, namespace: x}\n  spec: {containers: [{name: c, image: i}]}\n---\ngroups:\n- name: g\n  rules: [{alert: A}]\n";
        let file = File::read("f", text, &Reading::default());
        assert_eq!(file.objects[0].shown.to_string(), "Pod x/a");
        assert_eq!(file.objects[1].kind, Kind::AlertRules);
        assert!(file.findings.is_empty(), "{:?}", file.findings);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_costs_nothing_else() {
        let file = File::read(
            "f",
            "a: [\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n",
            &Reading::default(),
        );
        assert!(file.unreadable);
        assert_eq!(file.objects.len(), 1);
        let bytes = File::of_bytes("f", b"a: b\n  \xff", None, &Reading::default());
        let place = bytes.findings[0].place.as_ref().map(ToString::to_string);
        assert!(bytes.unreadable && place.as_deref() == Some("f:2:3"));
    }
}
