//! Formats that stand as values of headers, compiled when the configuration comes.

use std::collections::HashMap;

use engine::Problem;
use ir::HeaderMutation;
use ir::header_mutation::Mutation;
use ir::route::{HeaderEdits, HeaderText, HeaderValue};
use stdx::Str;

use super::{Asks, Entry, Template};

/// The formats of a route configuration or of a filter chain, by their text.
#[derive(Debug, Default)]
pub struct Values {
    templates: HashMap<Str, Template, foldhash::fast::RandomState>,
    asks: Asks,
}

impl Values {
    /// Compiles the formats among the values; `field` is where they stand.
    ///
    /// # Errors
    /// An operator that is not known, by the field that it is in.
    pub fn add(&mut self, field: &str, values: &[HeaderValue]) -> Result<(), Problem> {
        for (i, value) in values.iter().enumerate() {
            self.add_one(value).map_err(|p| p.inside(format!("{field}[{i}].header")))?;
        }
        Ok(())
    }

    /// As [`Values::add`], for all edits of a level.
    ///
    /// # Errors
    /// As [`Values::add`].
    pub fn add_edits(&mut self, edits: &HeaderEdits) -> Result<(), Problem> {
        self.add("request_headers_to_add", &edits.request_add)?;
        self.add("response_headers_to_add", &edits.response_add)
    }

    /// As [`Values::add`], for the header mutation filter.
    ///
    /// # Errors
    /// As [`Values::add`].
    pub fn add_mutations(&mut self, it: &HeaderMutation) -> Result<(), Problem> {
        for (field, all) in [("request_mutations", &it.request), ("response_mutations", &it.response)] {
            for (i, mutation) in all.iter().enumerate() {
                if let Mutation::Set(value) = mutation {
                    let place = |p: Problem| p.inside(format!("mutations.{field}[{i}].append.header"));
                    self.add_one(value).map_err(place)?;
                }
            }
        }
        Ok(())
    }

    fn add_one(&mut self, value: &HeaderValue) -> Result<(), Problem> {
        let HeaderText::Format { text, .. } = &value.value else { return Ok(()) };
        let compiled = Template::parse(text).map_err(|wrong| Problem::new("value", wrong.to_string()))?;
        self.asks |= compiled.asks();
        self.templates.insert(text.clone(), compiled);
        Ok(())
    }

    /// Whether `other` has all of them.
    pub fn is_part_of(&self, other: &Values) -> bool {
        self.templates.keys().all(|format| other.templates.contains_key(format))
    }

    /// What they tell of certificates and exchanges.
    pub fn asks(&self) -> Asks {
        self.asks
    }

    /// What a format says now. Operators without a value say nothing.
    pub fn format(&self, text: &Str, entry: &Entry<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(template) = self.templates.get(text) {
            template.write(entry, true, &mut out);
        }
        out
    }
}
