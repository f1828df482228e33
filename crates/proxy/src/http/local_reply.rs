//! What becomes of answers of our own, if the connection manager says anything about them.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/local_reply>.

use std::sync::Arc;

use engine::Problem;
use ir::local_reply::{LocalReplyConfig, ReplyMapper};
use ir::route::{BodyFormat, HeaderValue};
use stdx::Str;
use upstream::ResponseHead;

use super::context::Context;
use super::edits::{self, Level};
use super::seen::Seen;
use crate::access_log::LogFilter;
use crate::config;
use crate::format::{Asks, Entry, Format, Values};

/// A compiled [`LocalReplyConfig`].
#[derive(Debug)]
pub struct LocalReplies {
    mappers: Vec<Mapper>,
    body: Option<Body>,
    values: Values,
}

#[derive(Debug)]
struct Mapper {
    filter: LogFilter,
    status: Option<u16>,
    text: Option<Arc<[u8]>>,
    body: Option<Body>,
    headers: Vec<HeaderValue>,
}

#[derive(Debug)]
struct Body {
    format: Format,
    content_type: Str,
}

/// An answer before it is one.
pub struct Answering {
    pub head: ResponseHead,
    pub body: Vec<u8>,
    /// Of the body, as far as it was changed.
    pub content_type: Option<Str>,
}

impl LocalReplies {
    /// # Errors
    /// What cannot be compiled, by field.
    pub fn compile(config: &LocalReplyConfig) -> Result<Self, Problem> {
        let mut values = Values::default();
        let mut mappers = Vec::with_capacity(config.mappers.len());
        for (i, it) in config.mappers.iter().enumerate() {
            let inside = |p: Problem| p.inside(format!("mappers[{i}]"));
            mappers.push(mapper(it, &mut values).map_err(inside)?);
        }
        let body = config.format.as_ref().map(|it| body(it, "body_format")).transpose()?;
        Ok(LocalReplies { mappers, body, values })
    }

    /// What its formats tell of certificates and exchanges.
    pub fn asks(&self) -> Asks {
        let mut asks = self.values.asks();
        let bodies = self.mappers.iter().filter_map(|it| it.body.as_ref()).chain(&self.body);
        bodies.for_each(|body| asks |= body.format.asks());
        asks
    }

    /// Changes an answer. Its flags and details are in the record already.
    pub fn rewrite(&self, ctx: &mut Context, it: &mut Answering) {
        ctx.record.status = it.head.status();
        ctx.measure();
        let found = {
            let seen = Seen { response: Some(&it.head), ..Seen::new(ctx) };
            let entry = Entry { record: &ctx.record, conn: &ctx.conn.info, headers: &seen };
            let roll = || ctx.conn.worker.logs.roll();
            self.mappers.iter().find(|mapper| mapper.filter.passes(&entry, &roll))
        };
        if let Some(mapper) = found {
            if let Some(text) = &mapper.text {
                it.body = text.to_vec();
            }
            let level = Level { remove: &[], add: &mapper.headers, values: Some(&self.values) };
            edits::apply_to_response(ctx, &mut it.head, std::iter::once(level));
            if let Some(status) = mapper.status {
                it.head.set_status(status);
                ctx.record.status = status;
            }
        }
        let Some(body) = found.and_then(|mapper| mapper.body.as_ref()).or(self.body.as_ref()) else { return };
        let seen = Seen { response: Some(&it.head), body: &it.body, ..Seen::new(ctx) };
        let mut text = Vec::new();
        body.format.write(&Entry { record: &ctx.record, conn: &ctx.conn.info, headers: &seen }, &mut text);
        (it.body, it.content_type) = (text, Some(body.content_type.clone()));
    }
}

fn mapper(it: &ReplyMapper, values: &mut Values) -> Result<Mapper, Problem> {
    values.add("headers_to_add", &it.headers)?;
    let text = it.body.as_ref().map(|it| config::body::read(it, None)).transpose();
    Ok(Mapper {
        filter: LogFilter::compile(&it.filter).map_err(|p| p.inside("filter"))?,
        status: it.status,
        text: text.map_err(|p| p.inside("body"))?,
        body: it.format.as_ref().map(|it| body(it, "body_format_override")).transpose()?,
        headers: it.headers.clone(),
    })
}

fn body(it: &BodyFormat, field: &str) -> Result<Body, Problem> {
    let format = Format::compile(&it.format).map_err(|wrong| Problem::new(field, wrong))?;
    let plain = if format.is_json() { "application/json" } else { "text/plain" };
    Ok(Body { content_type: it.content_type.clone().unwrap_or_else(|| plain.into()), format })
}
