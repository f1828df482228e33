//! What proxies refuse, as findings about the objects that it comes from.

use std::collections::BTreeMap;

use model::{Finding, Level};
use source::Hub;
use xds_server::{ClientStatus, Status};

/// A proxy does not take a resource.
const REFUSED: &str = "LTN0402";

/// Reports until the process ends.
pub async fn report(hub: Hub, status: Status) -> Result<(), String> {
    let mut changes = status.watch_refusals();
    loop {
        changes.changed().await.map_err(|_| "the xDS server has ended".to_owned())?;
        hub.report("proxies", findings(&status.clients())).await;
    }
}

/// One finding for each resource and reason, however many proxies refuse it.
fn findings(clients: &[ClientStatus]) -> Vec<Finding> {
    let mut found = BTreeMap::new();
    for client in clients {
        for (ty, status) in &client.types {
            for (name, refusal) in &status.rejected {
                found.entry((*ty, name, &refusal.message)).or_insert((client, refusal));
            }
        }
    }
    let findings = found.into_iter().map(|((ty, name, message), (client, refusal))| Finding {
        level: Level::Error,
        code: REFUSED,
        object: refusal.origin.as_ref().map(|origin| origin.object.clone()),
        field: refusal.origin.as_ref().map(|origin| origin.field.clone()).unwrap_or_default(),
        place: None,
        message: format!("{} refuses {ty} {name} and keeps what it has: {}", who(client), one_line(message))
            .into(),
    });
    findings.collect()
}

fn who(client: &ClientStatus) -> String {
    let node = &client.node;
    format!("proxy {}.{} ({})", node.name, node.namespace, client.user_agent)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
