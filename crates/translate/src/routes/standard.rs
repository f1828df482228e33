//! Routes that no VirtualService asks for.

use std::time::Duration;

use ir::route::{DirectResponse, Forward, MaxStreamDuration, Route, RouteAction, RouteMatch};
use ir::{HashPolicy, VirtualHost};
use model::Origin;
use stdx::Str;

use super::sticky;
use crate::names;
use crate::settings::{Outbound, Settings};

/// To the service's own cluster, with Istio's retries and no timeout.
pub fn to_service(
    host: &str,
    port: u16,
    sticks: Option<HashPolicy>,
    origin: &Origin,
    settings: &Settings,
) -> Route {
    let forward = Forward {
        retry: settings.retry.clone().map(|retry| sticky::retry(retry, sticks.is_some())),
        hash_policy: sticks.into_iter().collect(),
        ..unlimited(names::outbound(port, "", host))
    };
    Route {
        name: names::DEFAULT_ROUTE.into(),
        decorator: Some(format!("{host}:{port}/*").into()),
        origin: Some(origin.clone()),
        ..Route::new(RouteMatch::prefix("/"), RouteAction::Forward(forward))
    }
}

/// Takes the requests that call no known host.
pub fn unclaimed(outbound: &Outbound) -> VirtualHost {
    let to = |cluster: Str| RouteAction::Forward(unlimited(cluster));
    let (name, action) = match outbound {
        Outbound::AllowAny => (names::ALLOW_ANY, to(names::PASSTHROUGH_CLUSTER.into())),
        Outbound::Through(cluster) => (names::ALLOW_ANY, to(cluster.clone())),
        Outbound::DynamicDns => (names::ALLOW_ANY_DYNAMIC_DNS, to(names::DYNAMIC_DNS_CLUSTER.into())),
        Outbound::RegistryOnly => (
            names::BLOCK_ALL,
            RouteAction::Direct(DirectResponse { status: 502, body: Default::default(), format: None }),
        ),
    };
    let route = Route { name: name.into(), ..Route::new(RouteMatch::prefix("/"), action) };
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
