//! Compressing requests and responses.

mod body;
mod encoder;

use std::rc::Rc;
use std::sync::Arc;

use engine::Problem;
use engine::compressor::{
    Candidate, Choice, Coding, Reason, Request, Response, Rules, Verdict, choose, vary,
};
use ir::compressor::{Codec, CompressorOverride};
use stdx::{Str, turn};
use upstream::ResponseHead;

use self::body::Compressed;
use crate::config::snapshot::{Hcm, HttpFilter};
use crate::http::body::{BoxBody, Progress, RequestBody};
use crate::http::context::Context;
use crate::telemetry::{CompressionStats, CompressorStats};

/// A compiled [`ir::Compressor`].
pub struct Compression {
    /// What routes call it.
    pub name: Str,
    rules: Rules,
    /// `http.<prefix>.compressor.<library>.gzip`
    scope: Str,
    /// The same with what requests and responses are counted by.
    requests: Str,
    responses: Str,
}

impl Compression {
    /// # Errors
    /// An expression that is not RE2's.
    pub fn compile(config: &ir::Compressor, prefix: &str) -> Result<Self, Problem> {
        let rules = Rules::compile(config)?;
        let scope = format!(
            "http.{prefix}.compressor.{}.{}",
            config.library.name,
            Coding::of(&config.library.codec).stat_prefix()
        );
        let requests = format!("{scope}.request").into();
        let responses = if config.plain_stats { scope.clone() } else { format!("{scope}.response") };
        Ok(Compression {
            name: Str::default(),
            rules,
            scope: scope.into(),
            requests,
            responses: responses.into(),
        })
    }

    /// The route's, or its own.
    fn codec(&self, of_route: Option<CompressorOverride>) -> Codec {
        of_route.and_then(|it| it.codec()).unwrap_or(self.rules.config.library.codec)
    }
}

/// What is known of a request's response.
#[derive(Default)]
pub struct State {
    /// What the client takes as each filter was told, by its place: one may hide it from those behind.
    asked: Vec<(usize, Vec<u8>)>,
    /// Which coding it is to be: one filter finds that out for all.
    choice: Option<Choice>,
    /// It will be compressed.
    begun: Option<(Codec, Arc<CompressionStats>)>,
}

/// Tells clients what became of a response.
const STATUS: &str = "x-envoy-compression-status";

/// Compresses the request; remembers what the client takes, and maybe hides it from the upstream.
pub fn decode(ctx: &mut Context, filter: &Compression, place: usize, body: &mut RequestBody) {
    let asked = ctx.head.joined("accept-encoding").map(std::borrow::Cow::into_owned);
    if let Some(asked) = asked {
        if removes_header(ctx, filter) {
            ctx.head.remove("accept-encoding");
        }
        ctx.filter_state().compression.get_or_insert_default().asked.push((place, asked));
    }
    request(ctx, filter, body);
}

/// What the route says of the filter.
fn of_route(ctx: &Context, filter: &Compression) -> Option<CompressorOverride> {
    ctx.overrides().find_map(|it| it.config.compressors.get(&filter.name)).copied()
}

/// Whether responses are compressed where the request goes, and by nobody else.
fn removes_header(ctx: &Context, filter: &Compression) -> bool {
    let config = &filter.rules.config;
    match of_route(ctx, filter) {
        Some(CompressorOverride::Disabled) => false,
        Some(CompressorOverride::Overrides { response: Some(it), .. }) => {
            it.remove_accept_encoding_header.unwrap_or(config.remove_accept_encoding_header)
        }
        Some(CompressorOverride::Overrides { response: None, .. }) | None => {
            config.response.enabled && config.remove_accept_encoding_header
        }
    }
}

fn request(ctx: &mut Context, filter: &Compression, body: &mut RequestBody) {
    let stats = ctx.conn.worker.stats.compression(&filter.requests);
    let it = Request {
        bodiless: body.is_empty() || ctx.head.upgrade().is_some(),
        content_length: ctx.head.content_length(),
        content_type: ctx.head.get("content-type"),
        content_encoding: ctx.head.get("content-encoding"),
    };
    match filter.rules.request(&it) {
        Verdict::Compressed => stats.compressed.inc(),
        Verdict::TooShort => {
            stats.too_small.inc();
            return stats.not_compressed.inc();
        }
        Verdict::AsItIs => return stats.not_compressed.inc(),
    }
    ctx.head.remove("content-length");
    let codec = filter.codec(of_route(ctx, filter));
    ctx.head.set("content-encoding", Coding::of(&codec).name());
    let compressed = Compressed::new(Box::new(body.attempt()), codec, stats);
    // What the client sent is counted where it is read; this one has numbers of its own.
    *body = RequestBody::new(Box::new(compressed), Rc::new(Progress::default()), turn::now());
}

/// Decides, and says so. `empty`: there is no body.
pub fn encode(
    ctx: &mut Context,
    hcm: &Hcm,
    (filter, place): (&Compression, usize),
    head: &mut ResponseHead,
    empty: bool,
) {
    let stats = ctx.conn.worker.stats.compression(&filter.responses);
    let rules = &filter.rules;
    let of_route = of_route(ctx, filter);
    let enabled = match of_route {
        Some(CompressorOverride::Disabled) => false,
        Some(CompressorOverride::Overrides { response: Some(_), .. }) => true,
        Some(CompressorOverride::Overrides { response: None, .. }) | None => rules.config.response.enabled,
    };
    if !enabled {
        return stats.not_compressed.inc();
    }
    let it = Response {
        status: head.status(),
        content_length: head.content_length(),
        content_type: head.get("content-type"),
        content_encoding: head.get("content-encoding"),
        cache_control: head.get("cache-control"),
        etag: head.get("etag"),
    };
    let codec = filter.codec(of_route);
    let coding = Coding::of(&codec);
    let told = rules.config.status_header && !empty && it.status != 101;
    let reason = if told { rules.reason(&it) } else { None };
    // Who is told has the client's wish looked at last.
    let asks = rules.is_long_enough(&it) && !empty && reason.is_none();
    let choice = if asks { choice(ctx, hcm, place, it.content_type) } else { Choice::NotValid };
    let choices = ctx.conn.worker.stats.compressor(&filter.scope);
    count_what_is_against(rules, &it, reason, &stats, &choices);
    if asks {
        count(choice, coding, asked(ctx, place).is_some(), &choices);
    }
    if !rules.compressible(&it) || it.status == 101 {
        if let Some(text) = reason.and_then(Reason::text) {
            head.append(STATUS, format!("{};{text}", coding.name()));
        }
        return stats.not_compressed.inc();
    }
    let length = it.content_length;
    let strong = it.etag.filter(|etag| !etag.starts_with(b"W/")).map(<[u8]>::to_vec);
    if choice.is(coding) {
        stats.compressed.inc();
        ctx.filter_state().compression.get_or_insert_default().begun = Some((codec, stats));
        if told {
            let length = length.map(|it| it.to_string()).unwrap_or_default();
            head.append(STATUS, format!("{};Compressed;OriginalLength={length}", coding.name()));
        }
        head.remove("content-length");
        head.set("content-encoding", coding.name());
        // What a strong tag stands for is another sequence of bytes.
        match strong {
            Some(tag) if rules.config.weaken_etag => head.set("etag", [b"W/", tag.as_slice()].concat()),
            Some(_) => {
                head.remove("etag");
            }
            None => {}
        }
    } else {
        stats.not_compressed.inc();
    }
    if let Some(vary) = vary(head.joined("vary").as_deref()) {
        head.set("vary", vary);
    }
}

/// What the filter at a place was told that the client takes.
fn asked(ctx: &Context, place: usize) -> Option<&[u8]> {
    let asked = &ctx.filters.as_ref()?.compression.as_ref()?.asked;
    asked.iter().find(|(of, _)| *of == place).map(|(_, asked)| asked.as_slice())
}

/// What a response becomes: the first filter that is asked finds it out for all, of those whose type it is.
fn choice(ctx: &mut Context, hcm: &Hcm, place: usize, content_type: Option<&[u8]>) -> Choice {
    let Some(asked) = asked(ctx, place) else { return Choice::NotValid };
    if let Some(choice) = ctx.filters.as_ref().and_then(|state| state.compression.as_ref()?.choice) {
        return choice;
    }
    let candidate = |(i, filter): (usize, &HttpFilter)| match filter {
        HttpFilter::Compressor(it) if it.rules.is_of_type(content_type) => {
            let coding = Coding::of(&it.codec(of_route(ctx, it)));
            let candidate = Candidate { coding, choose_first: it.rules.config.choose_first };
            (!hcm.is_off(i, ctx.overrides())).then_some(candidate)
        }
        _ => None,
    };
    let choice = choose(asked, hcm.filters.iter().enumerate().filter_map(candidate));
    ctx.filter_state().compression.get_or_insert_default().choice = Some(choice);
    choice
}

/// Of length and tag, as far as it comes to them.
fn count_what_is_against(
    rules: &Rules,
    it: &Response<'_>,
    reason: Option<Reason>,
    stats: &CompressionStats,
    choices: &CompressorStats,
) {
    let long = rules.is_long_enough(it);
    if !long && reason != Some(Reason::Untold) {
        stats.too_small.inc();
    }
    let kept = match rules.config.status_header {
        true => reason == Some(Reason::EtagNotAllowed),
        false => long && rules.may_be_changed(it) && rules.is_kept_for_etag(it),
    };
    if kept {
        choices.etag.inc();
    }
}

fn count(choice: Choice, own: Coding, asked: bool, stats: &CompressorStats) {
    match choice {
        _ if !asked => stats.no_accept_header.inc(),
        Choice::Coding(it) if it == own => stats.used.inc(),
        // Another filter has it.
        Choice::Coding(_) => stats.overshadowed.inc(),
        Choice::Any(_) => stats.wildcard.inc(),
        Choice::Identity => stats.identity.inc(),
        Choice::NotValid => stats.not_valid.inc(),
    }
}

/// The body as it was announced.
pub fn encode_body(ctx: &Context, body: BoxBody) -> BoxBody {
    let begun = ctx.filters.as_ref().and_then(|state| state.compression.as_ref()?.begun.as_ref());
    match begun {
        Some((codec, stats)) => {
            Box::new(Compressed::new(body, *codec, stats.clone()).of_response(ctx.progress.clone()))
        }
        None => body,
    }
}
