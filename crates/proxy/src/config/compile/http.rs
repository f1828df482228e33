//! Connection managers and their filters.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use engine::Problem;
use engine::overrides::RbacRules;
use engine::rate_limit::RateLimit;
use ir::http::RouteSource;
use ir::{Direction, HttpConnectionManager};
use stdx::Str;

use crate::access_log;
use crate::config::routes::{self, Routes};
use crate::config::snapshot::{AlpnOverride, FaultFilter, Hcm, HttpFilter, RbacFilter, Switch};
use crate::format::Values;
use crate::http::filters::compressor::Compression;
use crate::http::filters::ext_authz::ExtAuthz;
use crate::http::filters::health_check::HealthCheck;
use crate::http::filters::jwt_authn::JwtAuthn;
use crate::http::local_reply::LocalReplies;

pub(super) fn manager(config: &HttpConnectionManager, direction: Direction) -> Result<Hcm, Problem> {
    let (mut filters, mut switches) = (Vec::new(), Vec::new());
    let mut values = Values::default();
    let (mut istio_stats, mut peer_metadata) = (None, false);
    for (i, configured) in config.http_filters.iter().enumerate() {
        match configured {
            ir::HttpFilter::IstioStats { reporter } => istio_stats = Some(*reporter),
            ir::HttpFilter::PeerMetadata => peer_metadata = true,
            _ => {}
        }
        let compiled = filter(configured, &config.stat_prefix, &mut values);
        let compiled = compiled.map_err(|p| p.inside(format!("http_filters[{i}]")))?;
        let Some(mut compiled) = compiled else { continue };
        let mark = config.filter_marks.get(&i);
        let name = mark.and_then(|mark| mark.name.clone());
        if let HttpFilter::Rbac(rbac) = &mut compiled {
            rbac.overridable = name.is_none();
        }
        let name = name.unwrap_or_else(|| configured.own_name().into());
        if let HttpFilter::Compressor(it) = &mut compiled {
            it.name = name.clone();
        }
        filters.push(compiled);
        switches.push(Switch { name, off: mark.is_some_and(|mark| mark.disabled) });
    }
    let access_log = access_log::compile(&config.access_log)?;
    let compiled = config.local_reply.as_deref().map(LocalReplies::compile).transpose();
    let local_reply = compiled.map_err(|p| p.inside("local_reply_config"))?.map(Box::new);
    let inline_routes = match &config.routes {
        RouteSource::Inline(routes) => {
            Some(Arc::new(Routes::compile(routes).map_err(|p| p.inside("route_config"))?))
        }
        RouteSource::Rds(_) | RouteSource::RdsFrom(..) => None,
    };
    let mut asks = access_log::asks(&access_log);
    asks |= values.asks();
    asks |= local_reply.as_ref().map(|it| it.asks()).unwrap_or_default();
    asks |= inline_routes.as_ref().map(|routes| routes.asks()).unwrap_or_default();
    Ok(Hcm {
        asks,
        encodes: filters.iter().any(HttpFilter::sees_responses),
        filters,
        some_off: switches.iter().any(|switch| switch.off),
        switches,
        access_log,
        values,
        local_reply,
        inline_routes,
        routes: config.routes.key().unwrap_or_default(),
        max_headers_kb: config.max_request_headers_kb.unwrap_or(60),
        max_headers_count: config.max_headers_count.unwrap_or(100),
        server_name: config.server_name.clone().unwrap_or_else(|| Str::from("envoy")),
        direction,
        istio_stats,
        peer_metadata,
        config: config.clone(),
    })
}

/// `None`: it does nothing of its own to a request.
fn filter(it: &ir::HttpFilter, prefix: &str, values: &mut Values) -> Result<Option<HttpFilter>, Problem> {
    Ok(Some(match it {
        ir::HttpFilter::Rbac(it) => HttpFilter::Rbac(rbac(it)?),
        ir::HttpFilter::Fault(it) => {
            let default = engine::fault::Fault::compile(it)?;
            HttpFilter::Fault(Arc::new(FaultFilter { default, active: AtomicU64::new(0) }))
        }
        ir::HttpFilter::Cors => HttpFilter::Cors,
        ir::HttpFilter::LocalRateLimit(it) => {
            routes::rate_limit(values, it)?;
            HttpFilter::LocalRateLimit(Arc::new(RateLimit::compile(it)?))
        }
        ir::HttpFilter::HeaderMutation(it) => {
            values.add_mutations(it)?;
            HttpFilter::HeaderMutation(it.clone())
        }
        ir::HttpFilter::Buffer { max_request_bytes } => HttpFilter::Buffer(*max_request_bytes),
        ir::HttpFilter::JwtAuthn(it) => HttpFilter::JwtAuthn(Arc::new(JwtAuthn::compile(it, prefix)?)),
        ir::HttpFilter::ExtAuthz(it) => HttpFilter::ExtAuthz(Arc::new(ExtAuthz::compile(it, prefix)?)),
        ir::HttpFilter::Compressor(it) => HttpFilter::Compressor(Box::new(Compression::compile(it, prefix)?)),
        ir::HttpFilter::DynamicForwardProxy(it) => HttpFilter::DynamicForwardProxy(it.clone()),
        ir::HttpFilter::HealthCheck(it) => HttpFilter::HealthCheck(Arc::new(HealthCheck::compile(it)?)),
        ir::HttpFilter::UpstreamAlpn { protocols } => HttpFilter::Alpn(AlpnOverride::Fixed(alpn(protocols))),
        ir::HttpFilter::IstioAlpn { http10, http11, http2 } => HttpFilter::Alpn(AlpnOverride::ByProtocol {
            http10: alpn(http10),
            http11: alpn(http11),
            http2: alpn(http2),
        }),
        ir::HttpFilter::IstioStats { .. } | ir::HttpFilter::PeerMetadata | ir::HttpFilter::GrpcStats => {
            return Ok(None);
        }
    }))
}

pub(super) fn rbac(it: &ir::RbacFilter) -> Result<RbacFilter, Problem> {
    let rules = RbacRules::compile(it)?;
    Ok(RbacFilter { stat_prefix: it.stat_prefix.clone(), rules, overridable: true })
}

fn alpn(protocols: &[Str]) -> Arc<[Str]> {
    protocols.into()
}
