//! HTTP filters: each decides one thing about a request, and some see the response, too.

pub mod alpn;
mod buffer;
pub mod compressor;
mod cors;
pub mod ext_authz;
mod fault;
mod header_mutation;
pub mod health_check;
pub mod jwt_authn;
mod local_rate_limit;
pub mod peer_metadata;
mod rbac;

use std::sync::Arc;

use engine::rate_limit::{RateLimit, Which};
use upstream::ResponseHead;

use super::body::{BoxBody, RequestBody};
use super::context::Context;
use super::respond::Stop;
use crate::config::snapshot::{Hcm, HttpFilter};
use crate::forward_proxy::filter as forward_proxy;

/// What filters remember of a request until its response.
#[derive(Default)]
pub struct State {
    /// What the response has to tell an origin.
    cors: engine::cors::Told,
    rate_limit: Option<(Arc<RateLimit>, Which)>,
    /// A fault under way, and how slow the response has to be.
    fault: Option<fault::Active>,
    kbps: Option<u64>,
    /// What filters have said of the request.
    pub metadata: ir::Metadata,
    /// What the response has to carry because the authorization service said so.
    authz: Vec<ir::route::HeaderValue>,
    compression: Option<Box<compressor::State>>,
    /// The filters that somebody asks whether we are well.
    health_checks: Vec<usize>,
    /// How many redirects were followed, and routes taken before.
    pub redirects: u32,
    pub routes: Vec<(usize, usize)>,
}

/// The filters of a request, in their order. One may put another body in the place of the request's.
///
/// # Errors
/// One of them answers in the upstream's place.
pub async fn decode(ctx: &mut Context, body: &mut RequestBody) -> Result<(), Stop> {
    if ctx.hcm.filters.is_empty() {
        return Ok(());
    }
    let hcm = ctx.hcm.clone();
    let switched = is_switched(ctx, &hcm);
    for (i, filter) in hcm.filters.iter().enumerate() {
        if switched && hcm.is_off(i, ctx.overrides()) {
            continue;
        }
        match filter {
            HttpFilter::Rbac(filter) => rbac::decide(ctx, filter)?,
            HttpFilter::Fault(filter) => fault::inject(ctx, filter).await?,
            HttpFilter::Alpn(alpn) => alpn::choose(ctx, alpn),
            HttpFilter::Cors => cors::decode(ctx)?,
            HttpFilter::Compressor(filter) => compressor::decode(ctx, filter, i, body),
            HttpFilter::HealthCheck(filter) => health_check::decode(ctx, filter)?,
            HttpFilter::LocalRateLimit(limit) => local_rate_limit::decode(ctx, limit)?,
            HttpFilter::HeaderMutation(mutations) => header_mutation::decode(ctx, mutations),
            HttpFilter::Buffer(limit) => buffer::whole(ctx, body, *limit).await?,
            HttpFilter::JwtAuthn(filter) => Box::pin(jwt_authn::decode(ctx, filter)).await?,
            // In a box: few requests meet it, and none shall have room for it.
            HttpFilter::ExtAuthz(filter) => Box::pin(ext_authz::check(ctx, filter, body)).await?,
            HttpFilter::DynamicForwardProxy(config) if forward_proxy::applies(ctx) => {
                Box::pin(forward_proxy::decode(ctx, config)).await?;
            }
            HttpFilter::DynamicForwardProxy(_) => {}
        }
    }
    Ok(())
}

/// The filters of a response, in reverse. `empty`: it has no body.
pub fn encode(ctx: &mut Context, head: &mut ResponseHead, empty: bool) {
    if !ctx.hcm.encodes {
        return;
    }
    let hcm = ctx.hcm.clone();
    let switched = is_switched(ctx, &hcm);
    for (i, filter) in hcm.filters.iter().enumerate().rev() {
        if switched && hcm.is_off(i, ctx.overrides()) {
            continue;
        }
        match filter {
            HttpFilter::Cors => cors::encode(ctx, head),
            HttpFilter::Compressor(filter) => compressor::encode(ctx, &hcm, (filter, i), head, empty),
            HttpFilter::HealthCheck(filter) => health_check::encode(ctx, filter, head),
            HttpFilter::LocalRateLimit(_) => local_rate_limit::encode(ctx, head),
            HttpFilter::HeaderMutation(mutations) => header_mutation::encode(ctx, mutations, head),
            HttpFilter::ExtAuthz(_) => ext_authz::encode(ctx, head),
            HttpFilter::Rbac(_)
            | HttpFilter::Fault(_)
            | HttpFilter::Alpn(_)
            | HttpFilter::Buffer(_)
            | HttpFilter::DynamicForwardProxy(_)
            | HttpFilter::JwtAuthn(_) => {}
        }
    }
}

/// Whether some filter may be off.
fn is_switched(ctx: &Context, hcm: &Hcm) -> bool {
    hcm.some_off || ctx.overrides().any(|it| !it.config.off.is_empty())
}

/// What filters do to the body of a response.
pub fn encode_body(ctx: &Context, body: BoxBody) -> BoxBody {
    let body = compressor::encode_body(ctx, body);
    match ctx.filters.as_ref().and_then(|state| state.kbps) {
        Some(kbps) => Box::new(fault::Slow::new(body, kbps)),
        None => body,
    }
}
