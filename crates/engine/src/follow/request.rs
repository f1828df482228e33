//! From a request to its cluster.

use ir::RouteAction;
use ir::http::RouteSource;
use ir::route::RequireTls;

use super::{Call, ClientTls, Configuration, Followed, Refusal};
use crate::dice::Dice;
use crate::request::PlainRequest;
use crate::route::{self, ClientCertificate, RouteTable, Selection};

pub fn route(
    configuration: &Configuration,
    source: &RouteSource,
    call: &Call,
    dice: &mut dyn Dice,
    found: &mut Followed,
) -> Result<(), Refusal> {
    let inline;
    let table = match source {
        // A configuration that never comes has no virtual hosts.
        RouteSource::Rds(name) | RouteSource::RdsFrom(name, _) => {
            configuration.routes(name).ok_or(Refusal::NoVirtualHost)?
        }
        RouteSource::Inline(config) => {
            inline = RouteTable::compile(config.clone()).map_err(|_| Refusal::NoVirtualHost)?;
            &inline
        }
    };
    let request = PlainRequest {
        scheme: if call.tls == ClientTls::Plaintext { "http".into() } else { "https".into() },
        ..PlainRequest::get(&call.authority, &call.path)
    };
    let selection = table.select(&request, ClientCertificate::default(), dice);
    let (Selection::Route { vhost, .. } | Selection::NoRoute { vhost }) = selection else {
        return Err(Refusal::NoVirtualHost);
    };
    let virtual_host = table.vhost(vhost);
    found.virtual_host = Some(virtual_host.name.clone());
    if virtual_host.require_tls != RequireTls::None && call.tls == ClientTls::Plaintext {
        return Err(Refusal::TlsRedirect);
    }
    let Selection::Route { vhost, route } = selection else { return Err(Refusal::NoRoute) };
    let route = table.route(vhost, route);
    found.route = Some(route.name.clone()).filter(|name| !name.is_empty());
    if let RouteAction::Forward(forward) = &route.action {
        found.cluster = route::cluster(forward, &request, dice).map(|chosen| chosen.name.as_ref().into());
    }
    Ok(())
}
