//! The settings of the mesh that analyzers read, from where they are given: a file of its own,
//! the ConfigMap `istio`, or an IstioOperator.

use std::sync::Arc;

use istio_api::yaml::{self, Node};
use model::Str;

use crate::kind::Kind;
use crate::object::Object;
use crate::value::Val;

/// MeshConfig as it was written; what is not written has Istio's defaults.
#[derive(Clone, Debug, Default)]
pub struct Mesh {
    /// Where the settings were found, and the object they are in, if any.
    pub sources: Vec<Source>,
}

/// One place where settings of the mesh are written. The first one that has a field counts.
#[derive(Clone, Debug)]
pub struct Source {
    node: Tree,
    pub file: Str,
    pub object: Option<Arc<Object>>,
}

/// Settings are a document, or a part of one, or text in a field of one.
#[derive(Clone, Debug)]
enum Tree {
    Own(Arc<Node>),
    /// `spec.meshConfig` of the object.
    Operator(Arc<Object>),
}

/// Whether an object is of those that [`Source::of`] looks at.
pub(crate) fn may_have_settings(object: &Object) -> bool {
    match object.kind {
        Kind::IstioOperator => true,
        Kind::ConfigMap => &**object.name() == "istio",
        _ => false,
    }
}

impl Source {
    /// A MeshConfig in a file of its own, or one in which it is the field `meshConfig`.
    pub fn file(name: &str, node: Node) -> Source {
        Source { node: Tree::Own(Arc::new(node)), file: name.into(), object: None }
    }

    /// The MeshConfig in an object, if it is of a kind that has one.
    pub fn of(object: &Arc<Object>) -> Option<Source> {
        let node = match object.kind {
            Kind::IstioOperator if object.spec().get("meshConfig").exists() => Tree::Operator(object.clone()),
            Kind::ConfigMap if &**object.name() == "istio" => {
                let text = object.root().path("data.mesh");
                // The text of a block scalar begins on the line after its key.
                let before = text.place().map_or(0, |(line, _)| line);
                Tree::Own(Arc::new(yaml::document(text.text()?, before).ok()??))
            }
            _ => return None,
        };
        Some(Source { node, file: object.file.clone(), object: Some(object.clone()) })
    }

    /// The MeshConfig itself.
    pub fn root(&self) -> Val<'_> {
        match &self.node {
            Tree::Own(node) => {
                let root = Val::of(node);
                match root.get("meshConfig") {
                    inner if inner.is_object() => inner,
                    _ => root,
                }
            }
            Tree::Operator(object) => object.spec().get("meshConfig"),
        }
    }
}

impl Mesh {
    /// A field, from the first source that has it.
    pub fn get(&self, path: &str) -> Val<'_> {
        self.sources.iter().map(|s| s.root().path(path)).find(|v| v.exists()).unwrap_or(Val::ABSENT)
    }

    /// Where policies hold for the whole mesh.
    pub fn root_namespace(&self) -> &str {
        match self.get("rootNamespace").str() {
            "" => "istio-system",
            name => name,
        }
    }

    /// An entry of the environment that every proxy gets.
    pub fn proxy_metadata(&self, name: &str) -> &str {
        let maps = self.sources.iter().map(|s| s.root().path("defaultConfig.proxyMetadata"));
        let found = maps.flat_map(|map| map.entries().find(|(e, _)| &*e.key == name));
        found.map(|(_, value)| value.str()).next().unwrap_or_default()
    }

    /// Extension providers by name.
    pub fn providers(&self) -> impl Iterator<Item = Val<'_>> {
        self.sources.iter().flat_map(|s| s.root().get("extensionProviders").items())
    }
}
