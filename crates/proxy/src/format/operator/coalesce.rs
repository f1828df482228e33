//! `%COALESCE({"operators": [...]})%`: the first of several operators that has a value.

use serde_json::{Map, Value};

use super::Operator;
use crate::format::Template;

/// Reads its parameters.
///
/// # Errors
/// They are no such JSON, or one of the operators is not known.
pub(super) fn parse(arguments: &str) -> Result<Operator, String> {
    let wrong = |why: &str| format!("%COALESCE% {why}");
    let parameters: Map<String, Value> =
        serde_json::from_str(arguments).map_err(|error| wrong(&format!("takes JSON: {error}")))?;
    let Some(Value::Array(operators)) = parameters.get("operators") else {
        return Err(wrong("needs a list of operators"));
    };
    if let Some(other) = parameters.keys().find(|key| *key != "operators") {
        return Err(wrong(&format!("does not know {other:?}")));
    }
    if operators.is_empty() {
        return Err(wrong("needs at least one operator"));
    }
    let all = operators.iter().map(|one| {
        let text = text(one).map_err(|why| wrong(&why))?;
        let template = Template::parse(&text).map_err(|error| wrong(&error.message))?;
        // Nothing of a name or an argument becomes text, or another operator.
        match template.is_one_operator() {
            true => Ok(template),
            false => Err(wrong(&format!("takes operators, has {text:?}"))),
        }
    });
    Ok(Operator::Coalesce(all.collect::<Result<_, String>>()?))
}

/// An operator as it stands in a format: by its name, or with arguments and length.
fn text(one: &Value) -> Result<String, String> {
    let fields = match one {
        Value::String(name) => return Ok(format!("%{name}%")),
        Value::Object(fields) => fields,
        other => return Err(format!("takes names and objects, has {other}")),
    };
    if let Some(other) = fields.keys().find(|key| !["command", "param", "max_length"].contains(&key.as_str()))
    {
        return Err(format!("does not know {other:?}"));
    }
    let Some(Value::String(command)) = fields.get("command") else {
        return Err("needs the command of each operator".to_owned());
    };
    let param = match fields.get("param") {
        None => String::new(),
        Some(Value::String(param)) => format!("({param})"),
        Some(other) => return Err(format!("takes a text as param, has {other}")),
    };
    let length = match fields.get("max_length") {
        None => String::new(),
        Some(length) => format!(":{length}"),
    };
    Ok(format!("%{command}{param}{length}%"))
}
