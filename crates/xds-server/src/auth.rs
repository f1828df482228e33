//! Whether a client may have the configuration of the node it says it is.

use model::Node;

use crate::{PeerInfo, Refused};

/// On a plaintext port anybody may (whoever binds it decides who reaches it). Over TLS the client
/// certificate must be of the node's namespace and service account: one workload cannot read the
/// configuration of another.
///
/// # Errors
/// No identity was proved, or that of somebody else.
pub fn authorize(node: &Node, peer: &PeerInfo) -> Result<(), Refused> {
    if !peer.secure {
        return Ok(());
    }
    let Some(identity) = &peer.identity else {
        return Err(Refused::Unauthenticated("a client certificate of the mesh is required".into()));
    };
    let id = &identity.spiffe;
    if id.namespace != node.namespace {
        let (ours, theirs) = (&id.namespace, &node.namespace);
        return Err(Refused::Denied(format!("{id} is of namespace {ours}, the node says {theirs}")));
    }
    if id.service_account != node.service_account {
        let (ours, theirs) = (&id.service_account, &node.service_account);
        return Err(Refused::Denied(format!("{id} is of service account {ours}, the node says {theirs}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::SpiffeId;

    use super::*;
    use crate::PeerIdentity;

    #[test]
    fn a_certificate_opens_its_own_node_only() {
        let mut node = Node::parse_id("sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local").unwrap();
        node.service_account = "web".into();
        let check = |secure, id: Option<&str>, expected: Option<fn(String) -> Refused>| {
            let identity = id.map(|id| PeerIdentity { spiffe: id.parse::<SpiffeId>().unwrap() });
            let got = authorize(&node, &PeerInfo { address: None, secure, identity }).err();
            let same = match (&got, expected) {
                (None, None) => true,
                (Some(got), Some(kind)) => {
                    std::mem::discriminant(got) == std::mem::discriminant(&kind(String::new()))
                }
                _ => false,
            };
            assert!(same, "{secure} {id:?}: {got:?}");
        };
        check(false, None, None);
        check(true, None, Some(Refused::Unauthenticated));
        check(true, Some("spiffe://cluster.local/ns/shop/sa/web"), None);
        check(true, Some("spiffe://cluster.local/ns/shop/sa/other"), Some(Refused::Denied));
        check(true, Some("spiffe://cluster.local/ns/other/sa/web"), Some(Refused::Denied));
    }
}
