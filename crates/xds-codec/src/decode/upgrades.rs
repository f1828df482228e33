//! Which upgrades there may be, CONNECT among them.

use ir::route::RouteUpgrade;
use stdx::Str;

use super::at::At;
use super::strict::refuse;
use super::wire;
use crate::pb::hcm::http_connection_manager::UpgradeConfig as OfManager;
use crate::pb::route::route_action::UpgradeConfig;
use crate::pb::route::route_action::upgrade_config::ConnectConfig;

/// What the connection manager allows. What it switches off is off anyway, unless a route allows it.
pub(super) fn of_manager(at: At<'_>, all: Vec<OfManager>) -> Vec<Str> {
    let (mut names, mut allowed) = (Vec::new(), Vec::new());
    for (index, it) in all.into_iter().enumerate() {
        let at = at.index("upgrade_configs", index);
        let OfManager { upgrade_type, filters, enabled } = it;
        refuse!(at; filters);
        let name = upgrade_type_of(at, upgrade_type, &mut names);
        if wire::flag(enabled, true) {
            allowed.push(name);
        }
    }
    allowed
}

pub(super) fn of_route(at: At<'_>, all: Vec<UpgradeConfig>) -> Box<[RouteUpgrade]> {
    let mut names = Vec::new();
    let one = |(index, it)| {
        let at = at.index("upgrade_configs", index);
        let UpgradeConfig { upgrade_type, enabled, connect_config } = it;
        let upgrade_type = upgrade_type_of(at, upgrade_type, &mut names);
        if connect_config.is_some() && &*upgrade_type != "connect" {
            at.field("connect_config").refuse(format!("{upgrade_type} is not CONNECT"));
        }
        let connect_config = connect_config.map(|it| {
            let ConnectConfig { proxy_protocol_config, allow_post } = it;
            let at = at.field("connect_config");
            refuse!(at; proxy_protocol_config, allow_post);
        });
        RouteUpgrade {
            upgrade_type,
            enabled: wire::flag(enabled, true),
            connect_config: connect_config.is_some(),
        }
    };
    all.into_iter().enumerate().map(one).collect()
}

/// In lower case; of each there is one. Of CONNECT's kinds there is the one of RFC 9110, for TCP.
fn upgrade_type_of(at: At<'_>, name: String, before: &mut Vec<Str>) -> Str {
    let at = at.field("upgrade_type");
    let lower = wire::lower(name);
    if lower.starts_with("connect") && &*lower != "connect" {
        at.refuse(format!("{lower} is not supported"));
    }
    if before.contains(&lower) {
        at.refuse(format!("{lower} is there twice"));
    }
    if lower.is_empty() {
        at.refuse("is required");
    }
    before.push(lower.clone());
    lower
}
