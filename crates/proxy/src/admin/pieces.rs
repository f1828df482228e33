//! JSON that is written piece by piece, as the client takes it. `/config_dump` of a proxy that
//! knows thousands of services is some ten MiB of text and would be hundreds as a tree.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde_json::{Value, json};
use xds_codec::json::Dump;

/// A value that is made when its turn comes.
pub type Item = Box<dyn FnOnce(&Dump) -> Value + Send>;

/// JSON, some of it not made yet.
pub enum Node {
    Item(Item),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// A value that is there already.
    pub fn value(value: Value) -> Node {
        Node::Item(Box::new(|_| value))
    }

    /// The objects of a list, each with its type.
    pub fn each(self, ty: &str) -> Node {
        match self {
            Node::List(nodes) => Node::List(nodes.into_iter().map(|node| node.each(ty)).collect()),
            Node::Item(make) => {
                let ty = ty.to_owned();
                Node::Item(Box::new(move |dump| match make(dump) {
                    Value::Object(fields) => {
                        let ty = std::iter::once(("@type".to_owned(), json!(ty)));
                        Value::Object(ty.chain(fields).collect())
                    }
                    Value::Array(values) => values
                        .into_iter()
                        .map(|mut value| {
                            if let Some(fields) = value.as_object_mut() {
                                fields.insert("@type".to_owned(), json!(ty));
                            }
                            value
                        })
                        .collect(),
                    other => other,
                }))
            }
            map => map,
        }
    }

    /// An object, its fields as nodes of their own.
    pub fn fields(value: Value) -> Vec<(String, Node)> {
        let Value::Object(fields) = value else { return Vec::new() };
        fields.into_iter().map(|(name, value)| (name, Node::value(value))).collect()
    }
}

/// What is sent in one piece, at least.
const PIECE: usize = 16 << 10;
const INDENT: usize = 2;

enum Step {
    Text(String),
    /// With how many spaces its lines begin.
    Item(usize, Item),
}

/// A body of pieces. Memory goes back when it ends.
pub struct Pieces(Option<Writer>);

struct Writer {
    /// Descriptors of some MiB: for as long as the body is written.
    dump: Dump,
    steps: VecDeque<Step>,
}

impl Pieces {
    pub fn new(node: Node) -> Self {
        let mut steps = VecDeque::new();
        lay_out(node, 0, &mut steps);
        Pieces(Some(Writer { dump: Dump::new(), steps }))
    }
}

/// Indented by two spaces, like everything else that the administration interface says.
fn lay_out(node: Node, indent: usize, steps: &mut VecDeque<Step>) {
    let (open, close, nodes) = match node {
        Node::Item(item) => return steps.push_back(Step::Item(indent, item)),
        Node::List(nodes) => ("[", "]", nodes.into_iter().map(|node| (None, node)).collect::<Vec<_>>()),
        Node::Map(nodes) => {
            ("{", "}", nodes.into_iter().map(|(name, node)| (Some(name), node)).collect::<Vec<_>>())
        }
    };
    if nodes.is_empty() {
        return steps.push_back(Step::Text(format!("{open}{close}")));
    }
    let inner = indent + INDENT;
    for (index, (name, node)) in nodes.into_iter().enumerate() {
        let before = if index == 0 { open } else { "," };
        let name = name.map(|name| format!("{}: ", json!(name))).unwrap_or_default();
        steps.push_back(Step::Text(format!("{before}\n{:inner$}{name}", "")));
        lay_out(node, inner, steps);
    }
    steps.push_back(Step::Text(format!("\n{:indent$}{close}", "")));
}

impl Writer {
    fn next(&mut self) -> Option<Bytes> {
        let mut piece = String::new();
        while let Some(step) = self.steps.pop_front() {
            match step {
                Step::Text(text) => piece.push_str(&text),
                Step::Item(indent, item) => {
                    let text = serde_json::to_string_pretty(&item(&self.dump)).unwrap_or_default();
                    // Within a JSON text a line ends between values only.
                    piece.push_str(&text.replace('\n', &format!("\n{:indent$}", "")));
                }
            }
            if piece.len() >= PIECE {
                break;
            }
        }
        (!piece.is_empty()).then(|| piece.into())
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.as_mut().and_then(Writer::next).map(|piece| Ok(Frame::data(piece))))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.0 = None;
        net::memory::collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_the_whole() {
        let long = "x\ny".repeat(PIECE);
        let value = json!({ "a": { "b": [1, { "c": long }], "d": [], "e": {} }, "f": "g\"" });
        let inner = value["a"].clone();
        let list = Node::List(vec![Node::value(json!(1)), Node::value(inner["b"][1].clone())]);
        let map = vec![
            ("b".to_owned(), list),
            ("d".to_owned(), Node::List(Vec::new())),
            ("e".to_owned(), Node::Map(Vec::new())),
        ];
        let whole = vec![("a".to_owned(), Node::Map(map)), ("f".to_owned(), Node::value(value["f"].clone()))];
        let mut pieces = Pieces::new(Node::Map(whole));
        let writer = pieces.0.as_mut().unwrap();
        let texts: Vec<Bytes> = std::iter::from_fn(|| writer.next()).collect();
        assert!(texts.len() > 1);
        assert_eq!(texts.concat(), serde_json::to_vec_pretty(&value).unwrap());
    }
}
