//! From a text with many documents to objects and findings.

use std::borrow::{Borrow, Cow};
use std::collections::BTreeMap;

use model::{Finding, Labels, Level, ObjectRef, Str};

use crate::codes;
use crate::document::{Document, Places};
use crate::kinds::{self, Context, Known};
use crate::reader::{Cx, Fields, Item};
use crate::schema::Resource;
use crate::timestamp;
use crate::validate;
use crate::yaml::{self, Chunk, Node, SyntaxError};

/// What a text has in it.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// In the order of the text. An object that is in it twice is here once: the first one.
    pub documents: Vec<Document>,
    pub findings: Vec<Finding>,
    /// Some part could not even be recognised as an object, so that an object that was here before
    /// and is not in `documents` may still be meant to be there.
    pub incomplete: bool,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A mesh that is to run with it.
    Run,
    /// People who want to know whether their files are right.
    Validate,
}

/// Reads multi-document YAML or JSON; `kind: List` stands for its items. Never fails as a whole:
/// what is wrong with one document is a finding and costs no other document anything. `file` is
/// for messages only.
pub fn parse_stream(file: &str, text: &str) -> Parsed {
    parse(file, text, Purpose::Run, |_| {})
}

/// As [`parse_stream`], for who reads the tree of every document as well: each is handed over once
/// it has been read.
pub fn parse_stream_with(file: &str, text: &str, each: impl FnMut(Node)) -> Parsed {
    parse(file, text, Purpose::Run, each)
}

/// As [`parse_stream`], for people who ask whether their files are right: also reports what a mesh
/// would live with and `istioctl validate` refuses (ports of Services whose names say nothing of
/// their protocol), and lets pass what it does not look at (objects of other kinds that are
/// incomplete).
pub fn validate_stream(file: &str, text: &str) -> Parsed {
    parse(file, text, Purpose::Validate, |_| {})
}

/// As [`validate_stream`], for a file whose content may be no text at all.
pub fn validate_bytes(file: &str, bytes: &[u8]) -> Parsed {
    match std::str::from_utf8(bytes) {
        Ok(text) => validate_stream(file, text),
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let good = one_kind_of_line(&good);
            let lines = good.matches('\n').count().saturating_add(1);
            let last = good.rsplit('\n').next().unwrap_or_default().chars().count().saturating_add(1);
            let at = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            let message = "is no text in UTF-8".to_owned();
            let error = SyntaxError { line: at(lines), column: at(last), message, limit: false };
            let findings = vec![syntax_finding(&Str::from(file), error)];
            Parsed { findings, incomplete: true, ..Parsed::default() }
        }
    }
}

fn parse(file: &str, text: &str, purpose: Purpose, mut each: impl FnMut(Node)) -> Parsed {
    let file = Str::from(file);
    let mut parsed = Parsed::default();
    let text = one_kind_of_line(text);
    for chunk in yaml::split(&text) {
        read_chunk(&file, chunk, purpose, &mut parsed, &mut each);
    }
    drop_duplicates(&mut parsed.documents, &mut parsed.findings);
    parsed.findings.sort();
    parsed.findings.dedup();
    parsed
}

/// Adds what one document of a stream says, or is wrong with it.
pub(crate) fn read_chunk(
    file: &Str,
    chunk: Chunk<'_>,
    purpose: Purpose,
    parsed: &mut Parsed,
    mut each: impl FnMut(Node),
) {
    match yaml::load(chunk) {
        Ok(nodes) => nodes.into_iter().for_each(|node| {
            read_object(file, &node, purpose, parsed);
            each(node);
        }),
        Err(error) => {
            parsed.incomplete = true;
            parsed.findings.push(syntax_finding(file, error));
        }
    }
}

/// A carriage return alone ends a line too (YAML 1.2, section 5.4): every part of the reader then
/// counts alike.
pub(crate) fn one_kind_of_line(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let alone = |index: usize| bytes.get(index) == Some(&b'\r') && bytes.get(index + 1) != Some(&b'\n');
    if !(0..bytes.len()).any(alone) {
        return Cow::Borrowed(text);
    }
    let line = |(index, c): (usize, char)| if alone(index) { '\n' } else { c };
    Cow::Owned(text.char_indices().map(line).collect())
}

fn group_of(api_version: &str) -> &str {
    api_version.rsplit_once('/').map_or("", |(group, _)| group)
}

fn syntax_finding(file: &Str, error: SyntaxError) -> Finding {
    Finding {
        level: Level::Error,
        code: if error.limit { codes::LIMIT } else { codes::SYNTAX },
        object: None,
        field: Str::default(),
        place: Some(Cx::new(file).place(error.line, error.column)),
        message: error.message.into(),
    }
}

fn read_object(file: &Str, node: &Node, purpose: Purpose, parsed: &mut Parsed) {
    let cx = Cx::new(file);
    let root = Item::root(node, &cx);
    let Some(fields) = Fields::of(&root) else {
        let message = format!("must be a Kubernetes object, not {}", node.describe());
        root.report(Level::Error, codes::SYNTAX, message);
        parsed.incomplete = true;
        parsed.findings.extend(cx.take_findings());
        return;
    };
    let (api_version, kind) = (fields.get("apiVersion"), fields.get("kind"));
    if api_version.is_none() && kind.is_none() {
        let message = "has neither apiVersion nor kind, so it is no Kubernetes object; ignored";
        root.report(Level::Warning, codes::OTHER_KIND, message.into());
        parsed.findings.extend(cx.take_findings());
        return;
    }
    if purpose == Purpose::Validate && api_version.is_none() {
        let message = "has no apiVersion, so it is not known what it is; ignored";
        root.report(Level::Warning, codes::OTHER_KIND, message.into());
        parsed.findings.extend(cx.take_findings());
        return;
    }
    let text = |name| fields.require(name).and_then(|item| item.non_empty());
    let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
        parsed.incomplete = true;
        parsed.findings.extend(cx.take_findings());
        return;
    };
    if &*kind == "List" || (kind.ends_with("List") && fields.get("items").is_some()) {
        parsed.findings.extend(cx.take_findings());
        read_list(file, node, purpose, parsed);
        return;
    }
    let known = kinds::lookup(&api_version, &kind);
    let object = read_identity(&fields, &kind, &known);
    if let Some(object) = &object {
        cx.set_object(object);
        if purpose == Purpose::Validate
            && &*kind == "Service"
            && !group_of(&api_version).ends_with("istio.io")
        {
            validate::service(&root, &object.namespace);
        }
    }
    let resource = match known {
        Known::Read { .. } if purpose == Purpose::Validate => {
            cx.judge_leniently();
            None
        }
        Known::Read { .. } => None,
        Known::Istio(resource) => Some(resource),
        _ => {
            kinds::report_unread(&known, &api_version, &kind, &root);
            parsed.findings.extend(cx.take_findings());
            return;
        }
    };
    match object.and_then(|object| read_document(&fields, object, api_version, resource)) {
        Some(mut document) => {
            document.broken = cx.is_broken();
            let (findings, places) = cx.finish();
            parsed.findings.extend(findings);
            // Those whose fields translation and analysis point at.
            document.places = if document.body.is_istio() { places } else { Places::default() };
            parsed.documents.push(document);
        }
        None => {
            parsed.incomplete = true;
            parsed.findings.extend(cx.take_findings());
        }
    }
}

/// The items of a `kind: List`. A list in a list is refused: nothing writes one.
fn read_list(file: &Str, node: &Node, purpose: Purpose, parsed: &mut Parsed) {
    let Some(items) = node.get("items") else { return };
    let cx = Cx::new(file);
    for item in Item::under("items", &items.node, &cx).list() {
        if item.node().get("items").is_some() {
            item.invalid("a list cannot be in a list".into());
        } else {
            read_object(file, item.node(), purpose, parsed);
        }
    }
    parsed.incomplete |= cx.is_broken();
    parsed.findings.extend(cx.take_findings());
}

/// Kind, namespace and name. Without a name there is no object.
fn read_identity(fields: &Fields<'_>, kind: &str, known: &Known) -> Option<ObjectRef> {
    let is_read = matches!(known, Known::Read { .. } | Known::Istio(_));
    let metadata = match is_read {
        true => fields.require("metadata")?.object()?,
        false => Fields::of(&fields.get("metadata")?)?,
    };
    let name = match is_read {
        true => metadata.require("name")?.non_empty()?,
        false => metadata.get("name")?.str()?,
    };
    let namespace = metadata.get("namespace").and_then(|item| item.str()).filter(|ns| !ns.is_empty());
    let namespace = match known {
        Known::Read { namespaced: false } => Str::default(),
        Known::Read { namespaced: true } | Known::Istio(_) => namespace.unwrap_or_else(|| "default".into()),
        _ => namespace.unwrap_or_default(),
    };
    Some(ObjectRef { kind: kind.into(), namespace, name })
}

/// `resource`: the kind's schema, if it is one of Istio's.
fn read_document(
    fields: &Fields<'_>,
    object: ObjectRef,
    api_version: Str,
    resource: Option<&Resource>,
) -> Option<Document> {
    let metadata = fields.get("metadata")?.object()?;
    let map = |name| metadata.get(name).map(|item| item.string_map()).unwrap_or_default();
    let (labels, annotations): (_, BTreeMap<Str, Str>) = (Labels(map("labels")), map("annotations"));
    let created = metadata.get("creationTimestamp").and_then(|item| {
        let seconds = timestamp::parse(&item.str()?);
        if seconds.is_none() {
            item.invalid("is no RFC 3339 time".into());
        }
        seconds
    });
    let context = Context {
        name: object.name.clone(),
        owner: metadata.get("ownerReferences").and_then(|item| read_owner(&item)),
        dry_run: annotations.get("istio.io/dry-run").is_some_and(|v| *v == "true"),
    };
    let body = match resource {
        None => kinds::read(&object.kind, fields, context)?,
        Some(resource) => {
            validate::object(fields.item(), resource, &object, &labels, &annotations);
            let cx = fields.item().cx();
            let body = cx.read_checked(|| kinds::read_istio(&object.kind, fields, context))?;
            // `status` is the cluster's word, not the user's.
            fields.get("status");
            fields.get("spec");
            fields.report_unknown_top();
            body
        }
    };
    let at = fields.item().node();
    Some(Document {
        place: fields.item().cx().place(at.line, at.column),
        object,
        api_version,
        labels,
        annotations,
        created: created.unwrap_or(0),
        resource_version: metadata.get("resourceVersion").and_then(|item| item.str()),
        broken: false,
        body,
        places: Places::default(),
    })
}

fn read_owner(item: &Item<'_>) -> Option<(Str, Str)> {
    let owners = item.list();
    let owner = owners.first()?.object()?;
    Some((owner.get("kind")?.str()?, owner.get("name")?.str()?))
}

/// Keeps the first of documents that are the same object, and names the others.
pub(crate) fn drop_duplicates<D: Borrow<Document>>(documents: &mut Vec<D>, findings: &mut Vec<Finding>) {
    let mut first: BTreeMap<ObjectRef, String> = BTreeMap::new();
    documents.retain(|document| {
        let document: &Document = document.borrow();
        let Some(place) = first.get(&document.object) else {
            first.insert(document.object.clone(), document.place.to_string());
            return true;
        };
        findings.push(duplicate(document, place));
        false
    });
}

/// The finding for an object that is given more than once; the one at `first` counts.
pub fn duplicate(document: &Document, first: &str) -> Finding {
    Finding {
        level: Level::Error,
        code: codes::DUPLICATE_OBJECT,
        object: Some(document.object.clone()),
        field: Str::default(),
        place: Some(document.place.clone()),
        message: format!("is given twice; the one at {first} counts, this one has no effect").into(),
    }
}
