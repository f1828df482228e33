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
use crate::run;
use crate::snapshot::{Settings, Snapshot};

/// Files, what every analyzer found in them, and what is to be asked again.
#[derive(Debug)]
pub struct Session {
    analyzers: Vec<&'static Analyzer>,
    settings: Settings,
    /// In the order of their names, so that it does not matter when a file came.
    files: BTreeMap<Str, Arc<File>>,
    found: Vec<Vec<Finding>>,
    stale: BTreeSet<Kind>,
    all_stale: bool,
}

impl Session {
    pub fn new(analyzers: Vec<&'static Analyzer>, settings: Settings) -> Session {
        let found = vec![Vec::new(); analyzers.len()];
        Session {
            analyzers,
            settings,
            files: BTreeMap::new(),
            found,
            stale: BTreeSet::new(),
            all_stale: true,
        }
    }

    /// Puts a file in place of the one with its name, if there is one.
    pub fn put(&mut self, file: File) {
        self.touch(&file);
        if let Some(old) = self.files.insert(file.name.clone(), Arc::new(file)) {
            self.touch(&old);
        }
    }

    /// Takes a file away.
    pub fn remove(&mut self, name: &str) {
        if let Some(old) = self.files.remove(name) {
            self.touch(&old);
        }
    }

    /// Objects that did not change may have moved, and findings point at places; so every kind in
    /// the file counts.
    fn touch(&mut self, file: &File) {
        for object in &file.objects {
            self.stale.insert(object.kind);
            if Kind::WORKLOADS.contains(&object.kind) || object.kind == Kind::WorkloadEntry {
                // Who asks for pods gets what makes pods, too.
                self.stale.insert(Kind::Pod);
            }
            if matches!(object.kind, Kind::ConfigMap | Kind::IstioOperator) {
                self.stale.insert(Kind::MeshConfig);
            }
        }
    }

    /// What is found now. Asks the analyzers whose inputs changed since the last call, and keeps
    /// what the others found.
    pub fn findings(&mut self) -> Vec<Finding> {
        let again: Vec<usize> = (0..self.analyzers.len()).filter(|i| self.is_stale(*i)).collect();
        if !again.is_empty() {
            let files = self.files.values().cloned().collect();
            let snapshot = Snapshot::new(files, self.settings.clone());
            let analyzers: Vec<&'static Analyzer> = again.iter().map(|i| self.analyzers[*i]).collect();
            let results = run::run_each(&snapshot, &analyzers);
            for (i, result) in again.into_iter().zip(results) {
                self.found[i] = result;
            }
        }
        self.stale.clear();
        self.all_stale = false;
        let mut findings: Vec<Finding> = self.found.iter().flatten().cloned().collect();
        filter::sort(&mut findings);
        findings
    }

    /// An analyzer without inputs reads files as a whole.
    fn is_stale(&self, index: usize) -> bool {
        let inputs = self.analyzers[index].inputs;
        self.all_stale
            || (inputs.is_empty() && !self.stale.is_empty())
            || inputs.iter().any(|kind| self.stale.contains(kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyzers;
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

    #[test]
    fn a_session_finds_what_an_analysis_from_nothing_finds() {
        let defaults: Vec<_> = analyzers::by_default().collect();
        let mut session = Session::new(defaults.clone(), Settings::default());
        let mut files = BTreeMap::new();
        for (name, text) in [
            ("a", service("odd")),
            ("b", ROUTE.to_owned()),
            ("a", service("http")),
            ("a", String::new()),
            ("b", format!("\n\n{ROUTE}")),
        ] {
            session.put(file(name, &text));
            files.insert(name, text);
            let files = files.iter().map(|(name, text)| Arc::new(file(name, text))).collect();
            let expected = analyze(&Snapshot::new(files, Settings::default()), &defaults);
            assert_eq!(session.findings(), expected, "after {name}");
        }
        session.remove("b");
        assert!(session.findings().is_empty());
    }
}
