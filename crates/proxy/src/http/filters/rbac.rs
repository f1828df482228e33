//! Whether the caller may.

use engine::rbac::{Peer, Rbac, Verdict};

use crate::http::context::Context;
use crate::http::respond::Stop;

/// Judges the request; who may not is answered 403.
pub fn decide(ctx: &mut Context, rules: &Rbac) -> Result<(), Stop> {
    let info = &ctx.conn.info;
    let peer = Peer {
        remote: ctx.record.remote.unwrap_or(info.remote).ip(),
        direct_remote: info.direct_remote.ip(),
        local: info.local,
        server_name: info.sni.as_deref().unwrap_or(""),
        certificate: ctx.conn.certificate(),
    };
    match rules.decide(&peer, Some(&ctx.head)) {
        Verdict::Allowed => {
            ctx.conn.stats.rbac_allowed.inc();
            Ok(())
        }
        Verdict::Denied { policy } => {
            ctx.conn.stats.rbac_denied.inc();
            Err(Stop::Denied { policy })
        }
    }
}
