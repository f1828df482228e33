//! What ALPN the upstream connection offers.

use std::sync::Arc;

use stdx::Str;

use crate::config::snapshot::AlpnOverride;
use crate::http::context::Context;

/// Notes the override. By protocol it is resolved when the cluster is known.
pub fn choose(ctx: &mut Context, alpn: &AlpnOverride) {
    ctx.alpn = Some(alpn.clone());
}

/// The protocols offered where `http2` or not is spoken upstream. `None`: those of the cluster. Istio's by
/// protocol are for its own TLS only (`alpn_override` of its clusters' metadata).
pub fn resolve(alpn: &AlpnOverride, mesh: bool, http2: bool, http10: bool) -> Option<Arc<[Str]>> {
    match alpn {
        AlpnOverride::Fixed(protocols) => Some(protocols.clone()),
        AlpnOverride::ByProtocol { .. } if !mesh => None,
        AlpnOverride::ByProtocol { http2: protocols, .. } if http2 => Some(protocols.clone()),
        AlpnOverride::ByProtocol { http10: protocols, .. } if http10 => Some(protocols.clone()),
        AlpnOverride::ByProtocol { http11: protocols, .. } => Some(protocols.clone()),
    }
}
