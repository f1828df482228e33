//! Whether the caller may.

use engine::rbac::{Peer, Rbac, Verdict};
use ir::metadata::Json;

use crate::config::snapshot::RbacFilter;
use crate::http::context::Context;
use crate::http::respond::Stop;

/// Judges the request; who may not is answered 403. Shadow rules are only counted.
pub fn decide(ctx: &mut Context, filter: &RbacFilter) -> Result<(), Stop> {
    let of_route = ctx.overrides().find_map(|it| it.rbac.as_ref()).filter(|_| filter.overridable);
    let filter = of_route.unwrap_or(&filter.rules);
    match filter.shadow.as_ref().map(|rules| judge(ctx, rules)) {
        Some(Verdict::Allowed | Verdict::Logged { .. }) => ctx.conn.stats.rbac_shadow_allowed.inc(),
        Some(Verdict::Denied { .. }) => ctx.conn.stats.rbac_shadow_denied.inc(),
        None => {}
    }
    let Some(rules) = &filter.enforced else { return Ok(()) };
    match judge(ctx, rules) {
        Verdict::Allowed => {
            ctx.conn.stats.rbac_allowed.inc();
            Ok(())
        }
        Verdict::Logged { matched } => {
            ctx.conn.stats.rbac_allowed.inc();
            let common = ctx.filter_state().metadata.entry("envoy.common".into()).or_default();
            common.insert("access_log_hint".into(), Json::Bool(matched));
            Ok(())
        }
        Verdict::Denied { policy } => {
            ctx.conn.stats.rbac_denied.inc();
            Err(Stop::Denied { policy })
        }
    }
}

fn judge(ctx: &Context, rules: &Rbac) -> Verdict {
    let info = &ctx.conn.info;
    let peer = Peer {
        remote: ctx.record.remote.unwrap_or(info.remote).ip(),
        direct_remote: info.direct_remote().ip(),
        local: info.local,
        server_name: info.sni.as_deref().unwrap_or(""),
        certificate: ctx.conn.certificate(),
        metadata: ctx.filters.as_ref().map(|state| &state.metadata),
    };
    rules.decide(&peer, Some(&ctx.head))
}
