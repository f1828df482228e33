//! Where a request or a connection goes whose cluster has no endpoints of its own.

use std::rc::Rc;
use std::sync::Arc;

use engine::forward_proxy::Target;
use upstream::Destination;

use super::{Cache, Refused};
use crate::config::snapshot::Cluster;
use crate::worker::Worker;

/// The port of a name without one, as the transport has it.
pub fn default_port(cluster: &Cluster) -> u16 {
    let transport = cluster.transports.get(cluster.default_transport);
    if transport.is_some_and(|it| it.tls.is_some()) { 443 } else { 80 }
}

/// What is known of `to`; `None`: nothing.
pub fn known(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    cache: &Cache,
    to: Target<'_>,
) -> Option<Result<Rc<Destination>, Refused>> {
    cache.look(to, |host| match host.named.addresses.is_empty() {
        true => Err(Refused::Failed(host.failure.clone())),
        false => Ok(worker.named(cluster, to.host, host)),
    })
}

/// The destination behind a name, which is asked for where nothing is known of it.
///
/// # Errors
/// There is none, for this reason.
pub async fn find(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    cache: &Cache,
    to: Target<'_>,
) -> Result<Rc<Destination>, Refused> {
    let found = match known(worker, cluster, cache, to) {
        Some(known) => known,
        None => {
            cache.ask(to).await?;
            known(worker, cluster, cache, to).unwrap_or_else(|| Err(Refused::Failed("forgotten".into())))
        }
    }?;
    if is_ejected(worker, cluster, &found) { Err(Refused::Ejected) } else { Ok(found) }
}

/// As Envoy has it, a name is one host, however many addresses it has.
fn is_ejected(worker: &Worker, cluster: &Cluster, to: &Destination) -> bool {
    let (Some(_), Some(health)) = (&cluster.config.outlier, cluster.state.health()) else { return false };
    worker.with_dice(|dice| health.tick(&cluster.state, dice));
    to.endpoint.is_ejected()
}
