//! Values of any form: what Istio passes on without looking at it.

use std::collections::BTreeMap;

use model::Str;

use crate::reader::{Item, Read};
use crate::yaml::{self, Node, Scalar, Value, int};

/// A value of any form, as in JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Free {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Str),
    List(Vec<Free>),
    Object(BTreeMap<Str, Free>),
}

impl Free {
    /// Reads a stream of YAML or JSON documents.
    ///
    /// # Errors
    /// What is wrong with the text, with line and column.
    pub fn parse(text: &str) -> Result<Vec<Free>, String> {
        let mut documents = Vec::new();
        for chunk in yaml::split(text) {
            let nodes = yaml::load(chunk).map_err(|e| format!("{}:{}: {}", e.line, e.column, e.message))?;
            documents.extend(nodes.iter().map(Free::from));
        }
        Ok(documents)
    }
}

impl From<&Node> for Free {
    fn from(node: &Node) -> Self {
        match &node.value {
            Value::Seq(items) => Free::List(items.iter().map(Free::from).collect()),
            Value::Map(entries) => {
                Free::Object(entries.iter().map(|e| (e.key.clone(), Free::from(&e.node))).collect())
            }
            Value::Scalar { text, ty } => scalar(text, *ty),
        }
    }
}

fn scalar(text: &Str, ty: Scalar) -> Free {
    match ty {
        Scalar::Null => Free::Null,
        Scalar::Bool => Free::Bool(text.eq_ignore_ascii_case("true")),
        Scalar::Int => int(text).map_or_else(|| Free::Text(text.clone()), Free::Int),
        Scalar::Float => text.parse().map_or_else(|_| Free::Text(text.clone()), Free::Float),
        Scalar::Str => Free::Text(text.clone()),
    }
}

impl Read for Free {
    fn read(item: &Item<'_>) -> Option<Self> {
        Some(Free::from(item.node()))
    }
}
