//! Carries changes of the registry to translation, and what translation finds back.

use std::sync::Arc;

use discovery::Discovery;
use source::Hub;

use super::metrics::Metrics;

/// One push at a time; what changes meanwhile is taken together by the next.
pub async fn run(hub: Hub, discovery: Discovery, metrics: Arc<Metrics>) -> Result<(), String> {
    let mut snapshots = hub.subscribe();
    while let Some((snapshot, delta)) = snapshots.next().await {
        metrics.triggered(&delta);
        discovery.update(snapshot, delta).await.map_err(|_| "translation has stopped".to_owned())?;
    }
    Err("the registry has ended".into())
}

/// Puts the findings of translation among all others, where they are logged once.
pub async fn report_findings(hub: Hub, discovery: Discovery) -> Result<(), String> {
    let mut findings = discovery.findings();
    loop {
        let now = findings.borrow_and_update().clone();
        hub.report("translation", now.to_vec()).await;
        findings.changed().await.map_err(|_| "translation has stopped".to_owned())?;
    }
}
