//! What filters do for one route, virtual host, route configuration or weighted cluster.

use std::collections::{BTreeMap, BTreeSet};

use stdx::Str;

use crate::buffer::BufferOverride;
use crate::compressor::CompressorOverride;
use crate::dns_cache::ForwardProxyOverride;
use crate::ext_authz::ExtAuthzOverride;
use crate::header_mutation::HeaderMutation;
use crate::jwt::JwtOverride;
use crate::{CorsPolicy, Fault, LocalRateLimit, RbacFilter};

/// `typed_per_filter_config`, by the filter's own name. The most specific level that says something
/// about a filter is the one that counts; header mutations add up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FilterOverrides {
    pub fault: Option<Box<Fault>>,
    pub cors: Option<Box<CorsPolicy>>,
    pub local_rate_limit: Option<Box<LocalRateLimit>>,
    pub ext_authz: Option<Box<ExtAuthzOverride>>,
    pub jwt: Option<Box<JwtOverride>>,
    pub header_mutation: Option<Box<HeaderMutation>>,
    pub buffer: Option<BufferOverride>,
    /// By the filters' names: there may be several.
    pub compressors: BTreeMap<Str, CompressorOverride>,
    pub rbac: Option<Box<RbacOverride>>,
    pub forward_proxy: Option<Box<ForwardProxyOverride>>,
    /// `FilterConfig.disabled`: filters, by their names, that are off. One that is configured is on.
    pub off: BTreeSet<Str>,
}

/// `envoy.extensions.filters.http.rbac.v3.RBACPerRoute`: what the filter does in place of its own rules.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RbacOverride {
    Disabled,
    Rules(RbacFilter),
}

impl FilterOverrides {
    pub fn is_empty(&self) -> bool {
        *self == FilterOverrides::default()
    }

    /// A fault and nothing else.
    pub fn fault(fault: Option<Fault>) -> Self {
        FilterOverrides { fault: fault.map(Box::new), ..FilterOverrides::default() }
    }
}
