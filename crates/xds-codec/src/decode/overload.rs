//! The overload manager of a bootstrap.

use ir::{Overload, OverloadAction, OverloadRule};

use super::at::At;
use super::strict::refuse;
use super::wire;
use crate::pb::downstream_connections::DownstreamConnectionsConfig;
use crate::pb::fixed_heap::FixedHeapConfig;
use crate::pb::overload as pb;

const TWICE: &str = "is a second monitor of the same resource";
const FIXED_HEAP: &str = "envoy.resource_monitors.fixed_heap";

pub(super) fn manager(at: At<'_>, it: pb::OverloadManager) -> Overload {
    let pb::OverloadManager {
        refresh_interval,
        resource_monitors,
        actions,
        loadshed_points,
        buffer_factory_config,
    } = it;
    refuse!(at; loadshed_points, buffer_factory_config);
    let mut overload = Overload {
        refresh_interval: refresh_interval.map(|it| wire::duration(at.field("refresh_interval"), it)),
        ..Overload::default()
    };
    for (index, it) in resource_monitors.into_iter().enumerate() {
        monitor(at.index("resource_monitors", index), it, &mut overload);
    }
    for (index, it) in actions.into_iter().enumerate() {
        let at = at.index("actions", index);
        let Some(rule) = action(at, it) else { continue };
        if overload.actions.iter().any(|other| other.action == rule.action) {
            at.field("name").refuse("is there twice");
        }
        overload.actions.push(rule);
    }
    if !overload.actions.is_empty() && overload.max_heap_bytes.is_none() {
        at.field("resource_monitors").refuse(format!("has no {FIXED_HEAP}, which actions refer to"));
    }
    overload
}

fn monitor(at: At<'_>, it: pb::ResourceMonitor, overload: &mut Overload) {
    // Monitors are told apart by their types, but actions name them.
    let pb::ResourceMonitor { name, config_type } = it;
    let at_config = at.field("typed_config");
    let Some(pb::resource_monitor::ConfigType::TypedConfig(any)) = config_type else {
        return at_config.refuse("is required");
    };
    if wire::is::<FixedHeapConfig>(&any) {
        let FixedHeapConfig { max_heap_size_bytes, max_heap_size_bytes_runtime } =
            wire::unpack(at_config, &any);
        refuse!(at_config; max_heap_size_bytes_runtime);
        if max_heap_size_bytes == 0 {
            at_config.field("max_heap_size_bytes").refuse("has to be more than 0");
        }
        if name != FIXED_HEAP {
            at.field("name").refuse(format!("only {FIXED_HEAP} is supported for this type"));
        }
        if overload.max_heap_bytes.replace(max_heap_size_bytes).is_some() {
            at.refuse(TWICE);
        }
    } else if wire::is::<DownstreamConnectionsConfig>(&any) {
        let DownstreamConnectionsConfig { max_active_downstream_connections: max } =
            wire::unpack(at_config, &any);
        match u64::try_from(max) {
            Ok(max @ 1..) => {
                if overload.max_connections.replace(max).is_some() {
                    at.refuse(TWICE);
                }
            }
            _ => at_config.field("max_active_downstream_connections").refuse("has to be more than 0"),
        }
    } else {
        wire::unknown_type(at_config, &any);
    }
}

fn action(at: At<'_>, it: pb::OverloadAction) -> Option<OverloadRule> {
    let pb::OverloadAction { name, triggers, typed_config } = it;
    refuse!(at; typed_config);
    let Some(action) = OverloadAction::ALL.into_iter().find(|action| action.name() == name) else {
        at.field("name").refuse(format!("the action {name} is not supported"));
        return None;
    };
    let at_triggers = at.field("triggers");
    // There is one resource that sets actions off.
    let [trigger] =
        <[pb::Trigger; 1]>::try_from(triggers).map_err(|_| at_triggers.refuse("has to be one")).ok()?;
    let at = at.index("triggers", 0);
    let pb::Trigger { name, trigger_oneof } = trigger;
    if name != FIXED_HEAP {
        at.field("name").refuse(format!("only {FIXED_HEAP} triggers actions, not {name}"));
    }
    let value = match trigger_oneof {
        Some(pb::trigger::TriggerOneof::Threshold(it)) => it.value,
        // Envoy rolls dice between the two thresholds.
        Some(pb::trigger::TriggerOneof::Scaled(_)) => {
            at.unsupported("scaled");
            return None;
        }
        None => {
            at.refuse("a threshold is required");
            return None;
        }
    };
    if !(0.0..=1.0).contains(&value) {
        at.field("threshold").refuse("has to be between 0 and 1");
        return None;
    }
    Some(OverloadRule { action, threshold: (value * 1_000_000.0).round() as u32 })
}
