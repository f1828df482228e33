//! What ALPN the upstream connection offers.

use std::sync::Arc;

use stdx::Str;

use crate::config::snapshot::AlpnOverride;
use crate::http::context::Context;

/// Notes the override. By protocol it is resolved when the cluster is known.
pub fn choose(ctx: &mut Context, alpn: &AlpnOverride) {
    ctx.alpn = Some(alpn.clone());
}

/// The protocols offered where `http2` or not is spoken upstream.
pub fn resolve(alpn: &AlpnOverride, http2: bool, http10: bool) -> Arc<[Str]> {
    match alpn {
        AlpnOverride::Fixed(protocols) => protocols.clone(),
        AlpnOverride::ByProtocol { http2: protocols, .. } if http2 => protocols.clone(),
        AlpnOverride::ByProtocol { http10: protocols, .. } if http10 => protocols.clone(),
        AlpnOverride::ByProtocol { http11: protocols, .. } => protocols.clone(),
    }
}
