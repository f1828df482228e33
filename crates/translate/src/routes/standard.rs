//! Routes that no VirtualService asks for.

use std::time::Duration;

use ir::route::{DirectResponse, Forward, HeaderEdits, MaxStreamDuration, Route, RouteAction, RouteMatch};
use ir::{HashPolicy, VirtualHost};
use model::Origin;
use stdx::Str;

use super::sticky;
use crate::names;
use crate::settings::Settings;

/// To the service's own cluster, with Istio's retries and no timeout.
pub fn to_service(
    host: &str,
    port: u16,
    sticks: Option<HashPolicy>,
    origin: &Origin,
    settings: &Settings,
) -> Route {
    Route {
        name: names::DEFAULT_ROUTE.into(),
        matches: RouteMatch::prefix("/"),
        action: RouteAction::Forward(Forward {
            retry: settings.retry.clone().map(|retry| sticky::retry(retry, sticks.is_some())),
            hash_policy: sticks.into_iter().collect(),
            ..unlimited(names::outbound(port, "", host))
        }),
        fault: None,
        headers: HeaderEdits::default(),
        decorator: Some(format!("{host}:{port}/*").into()),
        origin: Some(origin.clone()),
    }
}

/// Takes the requests that call no known host.
pub fn unclaimed(settings: &Settings) -> VirtualHost {
    let (name, action) = if settings.allow_any {
        (names::ALLOW_ANY, RouteAction::Forward(unlimited(names::PASSTHROUGH_CLUSTER.into())))
    } else {
        (names::BLOCK_ALL, RouteAction::Direct(DirectResponse { status: 502, body: Str::default() }))
    };
    let route = Route {
        name: name.into(),
        matches: RouteMatch::prefix("/"),
        action,
        fault: None,
        headers: HeaderEdits::default(),
        decorator: None,
        origin: None,
    };
    VirtualHost {
        name: name.into(),
        domains: vec!["*".into()],
        routes: vec![route],
        include_request_attempt_count: true,
        ..VirtualHost::default()
    }
}

fn unlimited(cluster: Str) -> Forward {
    Forward {
        timeout: Some(Duration::ZERO),
        max_stream_duration: Some(MaxStreamDuration::AS_GRPC_CLIENTS_SAY),
        ..Forward::to(cluster)
    }
}
