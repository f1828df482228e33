//! The name table, from the control plane to the DNS server.

use std::sync::Arc;

use identity::{ClientTls, SecretStore, TlsError};
use ir::{Resource, ResourceType};
use xds_client::{AdsClient, AdsConfig, AdsHandle, Handler, NodeInfo, Reject, Target, Update};

use crate::AgentConfig;
use crate::bootstrap::control_tls;
use crate::dns::NameTableHandle;

struct Receiver(NameTableHandle);

impl Handler for Receiver {
    fn on_update(&mut self, update: Update, _: &AdsHandle) -> Vec<Reject> {
        for added in update.added {
            if let Resource::NameTable(table) = added.resource {
                tracing::debug!(hosts = table.table.len(), version = %added.version, "name table");
                self.0.set(&table);
            }
        }
        Vec::new()
    }
}

/// Subscribes to the name table. Needs the certificate: call it when that is there.
pub(crate) fn subscribe(
    config: &AgentConfig,
    secrets: &SecretStore,
    tables: NameTableHandle,
) -> Result<AdsClient, TlsError> {
    let tls = Arc::new(ClientTls::new(&control_tls(config), secrets)?);
    let workload = &config.workload;
    let node = NodeInfo {
        id: workload.node_id().into(),
        cluster: workload.canonical_name(),
        locality: workload.locality.clone(),
        metadata: workload.node_metadata(),
        user_agent_name: "lateen-agent".into(),
        user_agent_version: env!("CARGO_PKG_VERSION").into(),
    };
    let mut ads = AdsConfig::new(Target::Tls { address: config.control_address.clone(), tls }, node);
    ads.wildcards = vec![ResourceType::NameTable];
    Ok(AdsClient::spawn(ads, Receiver(tables)))
}
