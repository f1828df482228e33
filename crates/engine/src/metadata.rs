//! Matching dynamic metadata.

use ir::metadata::{Json, Metadata};
use ir::{MetadataMatcher, ValueMatcher};
use stdx::Str;

use crate::{Problem, matcher};

/// A compiled [`MetadataMatcher`].
#[derive(Debug)]
pub struct Matcher {
    filter: Str,
    path: Box<[Str]>,
    value: Value,
    invert: bool,
}

/// A compiled [`ValueMatcher`].
#[derive(Debug)]
enum Value {
    Null,
    Bool(bool),
    Text(matcher::Text),
    Present,
    List(Box<Value>),
    Or(Box<[Value]>),
}

impl Matcher {
    /// # Errors
    /// An expression that is not RE2's.
    pub fn compile(it: &MetadataMatcher) -> Result<Self, Problem> {
        Ok(Matcher {
            filter: it.filter.clone(),
            path: it.path.iter().cloned().collect(),
            value: compile(&it.value).map_err(|p| p.inside("metadata.value"))?,
            invert: it.invert,
        })
    }

    /// Whether the value at the path is what is asked for.
    pub fn matches(&self, metadata: Option<&Metadata>) -> bool {
        self.value.matches(self.find(metadata)) != self.invert
    }

    fn find<'a>(&self, metadata: Option<&'a Metadata>) -> Option<&'a Json> {
        let (first, rest) = self.path.split_first()?;
        let first = metadata?.get(&self.filter)?.get(first)?;
        rest.iter().try_fold(first, |value, key| match value {
            Json::Map(fields) => fields.get(key),
            _ => None,
        })
    }
}

fn compile(it: &ValueMatcher) -> Result<Value, Problem> {
    Ok(match it {
        ValueMatcher::Null => Value::Null,
        ValueMatcher::Bool(it) => Value::Bool(*it),
        ValueMatcher::Text(it) => Value::Text(matcher::Text::compile(it)?),
        ValueMatcher::Present => Value::Present,
        ValueMatcher::List(it) => Value::List(Box::new(compile(it)?)),
        ValueMatcher::Or(all) => Value::Or(all.iter().map(compile).collect::<Result<_, _>>()?),
    })
}

impl Value {
    fn matches(&self, value: Option<&Json>) -> bool {
        match (self, value) {
            (Value::Or(all), value) => all.iter().any(|it| it.matches(value)),
            (_, None) => false,
            (Value::Present, Some(_)) | (Value::Null, Some(Json::Null)) => true,
            (Value::Bool(wanted), Some(Json::Bool(value))) => wanted == value,
            (Value::Text(text), Some(Json::Text(value))) => text.matches(value.as_bytes()),
            (Value::List(one), Some(Json::List(values))) => values.iter().any(|it| one.matches(Some(it))),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_paths_and_judges_values() {
        let list = Json::List(vec![Json::Text("a".into()), Json::Bool(true)]);
        let payload = Json::Map([("iss".into(), Json::Text("me".into())), ("aud".into(), list)].into());
        let metadata: Metadata = [("f".into(), [("payload".into(), payload)].into())].into();
        let check = |path: &[&str], value: ValueMatcher, expected: bool| {
            let path = path.iter().map(|key| Str::from(*key)).collect();
            let it = MetadataMatcher { filter: "f".into(), path, value, invert: false };
            assert_eq!(Matcher::compile(&it).unwrap().matches(Some(&metadata)), expected, "{it:?}");
            let inverted = MetadataMatcher { invert: true, ..it };
            assert_eq!(Matcher::compile(&inverted).unwrap().matches(Some(&metadata)), !expected);
        };
        let text = |text| ValueMatcher::Text(ir::StringMatcher::exact(text));
        check(&["payload", "iss"], text("me"), true);
        check(&["payload", "iss"], text("you"), false);
        check(&["payload", "iss", "me"], text("me"), false);
        check(&["payload", "none"], ValueMatcher::Present, false);
        check(&["payload", "none"], ValueMatcher::Null, false);
        check(&["payload"], ValueMatcher::Present, true);
        check(&["payload", "aud"], text("a"), false);
        check(&["payload", "aud"], ValueMatcher::List(Box::new(text("a"))), true);
        check(&["payload", "aud"], ValueMatcher::List(Box::new(ValueMatcher::Bool(false))), false);
        check(&["payload", "iss"], ValueMatcher::Or(vec![text("x"), text("me")]), true);
    }
}
