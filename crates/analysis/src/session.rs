//! An analysis that goes on: files change one by one, as in an editor, and only what read them is
//! analyzed again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Str;

use crate::analyzers::Analyzer;
use crate::file::File;
use crate::filter;
use crate::finding::Finding;
use crate::kind::Kind;
use crate::mesh;
use crate::run;
use crate::snapshot::{Settings, Snapshot};

/// Files, what every analyzer found in them, and what is to be asked again.
#[derive(Debug)]
pub struct Session {
    analyzers: Vec<&'static Analyzer>,
    settings: Settings,
    /// In the order of their names, so that it does not matter when a file came.
    files: BTreeMap<Str, Arc<File>>,
    /// Of all files; `None` if one has to be made anew.
    snapshot: Option<Snapshot>,
    /// By analyzer, each in order.
    found: Vec<Vec<Finding>>,
    stale: BTreeSet<Kind>,
    /// The files that changed, unless that is all of them.
    changed: BTreeSet<Str>,
    all_stale: bool,
}

impl Session {
    pub fn new(analyzers: Vec<&'static Analyzer>, settings: Settings) -> Session {
        let found = vec![Vec::new(); analyzers.len()];
        Session {
            analyzers,
            settings,
            files: BTreeMap::new(),
            snapshot: None,
            found,
            stale: BTreeSet::new(),
            changed: BTreeSet::new(),
            all_stale: true,
        }
    }

    /// Puts a file in place of the one with its name, if there is one.
    pub fn put(&mut self, file: File) {
        let file = Arc::new(file);
        let old = self.files.insert(file.name.clone(), file.clone());
        self.change(old.as_deref(), Some(&file));
    }

    /// Takes a file away.
    pub fn remove(&mut self, name: &str) {
        if let Some(old) = self.files.remove(name) {
            self.change(Some(&old), None);
        }
    }

    fn change(&mut self, old: Option<&File>, new: Option<&Arc<File>>) {
        for file in old.into_iter().chain(new.map(|new| &**new)) {
            self.touch(file);
        }
        // A snapshot that could not follow is half changed.
        if self.snapshot.as_mut().is_some_and(|snapshot| !snapshot.change(old, new)) {
            self.snapshot = None;
        }
    }

    /// Objects that did not change may have moved, and findings point at places; so every kind in
    /// the file counts.
    fn touch(&mut self, file: &File) {
        self.changed.insert(file.name.clone());
        for object in &file.objects {
            self.stale.insert(object.kind);
            if Kind::WORKLOADS.contains(&object.kind) || object.kind == Kind::WorkloadEntry {
                // Who asks for pods gets what makes pods, too.
                self.stale.insert(Kind::Pod);
            }
            // They say, among others, what the root namespace is and which gateway is built in.
            self.all_stale |= mesh::may_have_settings(object);
        }
    }

    /// What is found now. Asks the analyzers whose inputs changed since the last call, and keeps
    /// what the others found.
    pub fn findings(&mut self) -> Vec<Finding> {
        let is_new = self.snapshot.is_none();
        let snapshot = self
            .snapshot
            .take()
            .unwrap_or_else(|| Snapshot::new(self.files.values().cloned().collect(), self.settings.clone()));
        let stale = (0..self.analyzers.len()).filter(|i| self.is_stale(*i)).collect::<Vec<_>>();
        let mut again = Vec::new();
        for i in stale {
            if is_new || self.all_stale || !self.ask_by_file(i) {
                again.push(i);
            }
        }
        let analyzers: Vec<&'static Analyzer> = again.iter().map(|i| self.analyzers[*i]).collect();
        for (i, mut result) in again.into_iter().zip(run::run_each(&snapshot, &analyzers)) {
            filter::sort(&mut result);
            self.found[i] = result;
        }
        self.snapshot = Some(snapshot);
        self.stale.clear();
        self.changed.clear();
        self.all_stale = false;
        filter::merged(&self.found)
    }

    /// Asks an analyzer about the changed files alone. `false` if it must be asked about all.
    fn ask_by_file(&mut self, index: usize) -> bool {
        let analyzer = self.analyzers[index];
        // What has no place is of no file: an analyzer failed.
        let has_place = |findings: &[Finding]| findings.iter().all(|finding| finding.place.is_some());
        if !analyzer.by_file || !has_place(&self.found[index]) {
            return false;
        }
        let mut now = Vec::new();
        for file in self.changed.iter().filter_map(|name| self.files.get(name)) {
            now.extend(run::run(&Snapshot::of_file(file.clone()), analyzer));
        }
        if !has_place(&now) {
            return false;
        }
        let is_kept = |f: &Finding| f.place.as_ref().is_none_or(|place| !self.changed.contains(&place.file));
        let found = &mut self.found[index];
        found.retain(is_kept);
        if !now.is_empty() {
            found.extend(now);
            filter::sort(found);
        }
        true
    }

    /// An analyzer without inputs reads files as a whole.
    fn is_stale(&self, index: usize) -> bool {
        let inputs = self.analyzers[index].inputs;
        self.all_stale
            || (inputs.is_empty() && !self.changed.is_empty())
            || inputs.iter().any(|kind| self.stale.contains(kind))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::analyzers;
    use crate::anything::OBJECTS;
    use crate::file::Reading;
    use crate::run::analyze;

    fn file(name: &str, text: &str) -> File {
        File::read(name, text, &Reading::default())
    }

    fn service(port_name: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec:\n  ports: [{{port: 80, name: {port_name}}}]\n"
        )
    }

    const ROUTE: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r}\n\
        spec:\n  hosts: [a]\n  http: [{route: [{destination: {host: a, port: {number: 80}}}]}]\n";

    /// What a session has found must be what an analysis of these files from nothing finds.
    fn check(session: &mut Session, files: &BTreeMap<String, String>, settings: &Settings) {
        let read = files.iter().map(|(name, text)| Arc::new(file(name, text))).collect();
        let expected = analyze(&Snapshot::new(read, settings.clone()), &session.analyzers.clone());
        assert_eq!(session.findings(), expected, "{files:#?}");
    }

    #[test]
    fn a_session_finds_what_an_analysis_from_nothing_finds() {
        let mut session = Session::new(analyzers::by_default().collect(), Settings::default());
        let mut files = BTreeMap::new();
        for (name, text) in [
            ("a", service("odd")),
            ("b", ROUTE.to_owned()),
            ("a", service("http")),
            ("a", String::new()),
            ("b", format!("\n\n{ROUTE}")),
        ] {
            session.put(file(name, &text));
            files.insert(name.to_owned(), text);
            check(&mut session, &files, &Settings::default());
        }
        session.remove("b");
        assert!(session.findings().is_empty());
    }

    /// One change: of a file (by number), to some of the documents, moved down by some lines, in
    /// one of two namespaces; without documents the file goes. Whether findings are asked for after.
    type Change = (usize, Vec<prop::sample::Index>, usize, bool, bool);

    fn change() -> impl Strategy<Value = Change> {
        (
            0..5usize,
            prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            0..3usize,
            any::<bool>(),
            any::<bool>(),
        )
    }

    /// What `OBJECTS` has not: settings of the mesh, a gateway that is otherwise built in, and what
    /// namespaces say.
    const MORE: [&str; 6] = [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata:\n  mesh: |\n    rootNamespace: default\n",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: default, labels: {istio-injection: enabled}}\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: istio-ingressgateway, namespace: istio-system}\n\
         spec: {ports: [{port: 80, name: http}]}\n",
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\n\
         spec: {hosts: [a.com], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {app: b}, ports: [{port: 81}]}\n",
        "a: [\n",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_changes_a_session_follows(changes in prop::collection::vec(change(), 1..10)) {
            let documents: Vec<&str> = OBJECTS.split("---\n").chain(MORE).collect();
            let settings = Settings::default();
            let mut session = Session::new(analyzers::all().collect(), settings.clone());
            let mut files = BTreeMap::new();
            for (number, parts, lines, elsewhere, asks) in changes {
                let name = format!("{number}.yaml");
                let parts: Vec<&str> = parts.iter().map(|part| documents[part.index(documents.len())]).collect();
                if parts.is_empty() {
                    session.remove(&name);
                    files.remove(&name);
                } else {
                    let mut text = "\n".repeat(lines) + &parts.join("---\n");
                    if elsewhere {
                        text = text.replace("metadata: {name", "metadata: {namespace: n, name");
                    }
                    session.put(file(&name, &text));
                    files.insert(name, text);
                }
                if asks {
                    check(&mut session, &files, &settings);
                }
            }
            check(&mut session, &files, &settings);
        }
    }
}
