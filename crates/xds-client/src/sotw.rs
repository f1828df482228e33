//! State of the world on the wire, behind the delta state machine: one stream's translation.
//!
//! A request names everything that is subscribed to, every time, and carries the version that was
//! accepted last; a response has one version for all. Of listeners and clusters it has all there are, so
//! that what is missing is gone; of other types it may have any part.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol>.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use ir::ResourceType;
use stdx::{Digest, Str, digest};

use crate::state::State;

/// Translates one stream. A new one begins without a version: a server that has begun to count anew
/// must not take us for up to date.
#[derive(Debug, Default)]
pub(crate) struct Sotw {
    types: BTreeMap<String, Type>,
}

#[derive(Debug, Default)]
struct Type {
    names: BTreeSet<String>,
    /// Of the last response that was applied.
    version: String,
    /// Of the last response of all: requests about subscriptions carry it too.
    nonce: String,
    pending_version: String,
    /// What came last under each name on this stream, and the version that the state machine knows it by.
    seen: HashMap<Str, (Digest, String)>,
}

impl Sotw {
    pub fn request(&mut self, delta: DeltaDiscoveryRequest) -> DiscoveryRequest {
        let ty = self.types.entry(delta.type_url.clone()).or_default();
        // To name nothing in the first request is to ask for everything, in either protocol.
        ty.names.extend(delta.resource_names_subscribe);
        for name in &delta.resource_names_unsubscribe {
            ty.names.remove(name);
            // Asked for again it is news, whatever its content.
            ty.seen.remove(name.as_str());
        }
        if !delta.response_nonce.is_empty() && delta.error_detail.is_none() {
            ty.version = ty.pending_version.clone();
        }
        DiscoveryRequest {
            version_info: ty.version.clone(),
            node: delta.node,
            resource_names: ty.names.iter().cloned().collect(),
            type_url: delta.type_url,
            response_nonce: ty.nonce.clone(),
            error_detail: delta.error_detail,
            ..DiscoveryRequest::default()
        }
    }

    /// The response as the difference to what `state` has.
    pub fn response(&mut self, sotw: DiscoveryResponse, state: &State) -> DeltaDiscoveryResponse {
        let ty = self.types.entry(sotw.type_url.clone()).or_default();
        ty.nonce = sotw.nonce;
        ty.pending_version = sotw.version_info.clone();
        let known = ResourceType::by_type_url(&sotw.type_url);
        let mut resources = Vec::with_capacity(sotw.resources.len());
        let (mut named, mut nameless) = (BTreeSet::new(), false);
        for any in sotw.resources {
            let name = xds_codec::name_of(&any).unwrap_or_default();
            nameless |= name.is_empty();
            let applied = known.and_then(|known| state.version(known, &name));
            let version = ty.version_of(&name, &any, &sotw.version_info, applied);
            resources.push(Resource {
                name: name.to_string(),
                version,
                resource: Some(any),
                ..Resource::default()
            });
            named.insert(name);
        }
        let whole = matches!(known, Some(ResourceType::Listener | ResourceType::Cluster));
        let mut removed = Vec::new();
        // One without a name may be any of those that seem to be missing.
        if let Some(known) = known.filter(|_| whole && !nameless) {
            removed.extend(state.applied(known).filter(|name| !named.contains(*name)).map(Str::to_string));
            ty.seen.retain(|name, _| named.contains(name));
        }
        DeltaDiscoveryResponse {
            resources,
            removed_resources: removed,
            type_url: sotw.type_url,
            // An ACK needs a nonce; a server that sends none is answered all the same.
            nonce: if ty.nonce.is_empty() { "-".into() } else { ty.nonce.clone() },
            ..DeltaDiscoveryResponse::default()
        }
    }
}

impl Type {
    /// The version of one resource: that of the response in which it came to be what it is. What is
    /// merely repeated keeps it, so that nobody decodes a thousand clusters for the sake of one. A version
    /// that was applied already means nothing here: it may be of another stream to a server that counts
    /// from 1, or the server has no versions at all. Then the content makes one.
    fn version_of(
        &mut self,
        name: &Str,
        any: &xds_codec::Any,
        version: &str,
        applied: Option<&Str>,
    ) -> String {
        let content = digest(&any.value);
        let known = |applied: &Str| applied.split('#').next() == Some(version);
        let version = match self.seen.get(name) {
            Some((before, version)) if *before == content => return version.clone(),
            _ if applied.is_some_and(known) => format!("{version}#{content}"),
            _ => version.to_owned(),
        };
        self.seen.insert(name.clone(), (content, version.clone()));
        version
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Verdict;

    fn cluster(name: &str, connect_seconds: u64) -> xds_codec::Any {
        let discovery = ir::ClusterDiscovery::Static(Default::default());
        let mut cluster = ir::Cluster::new(name, discovery);
        cluster.connect_timeout = Some(std::time::Duration::from_secs(connect_seconds));
        xds_codec::encode(&ir::Resource::Cluster(cluster.into()))
    }

    fn response(version: &str, resources: Vec<xds_codec::Any>) -> DiscoveryResponse {
        DiscoveryResponse {
            version_info: version.into(),
            type_url: ResourceType::Cluster.type_url().into(),
            nonce: format!("n{version}"),
            resources,
            ..DiscoveryResponse::default()
        }
    }

    fn state(applied: &[&str]) -> State {
        let mut state = State::default();
        state.subscribe_all(ResourceType::Cluster);
        let applied = applied.iter().map(|name| (Str::from(*name), "1".into())).collect();
        state.answer(ResourceType::Cluster, "n".into(), Verdict { applied, ..Verdict::default() });
        state
    }

    fn versions(delta: &DeltaDiscoveryResponse) -> Vec<(&str, &str)> {
        delta.resources.iter().map(|it| (it.name.as_str(), it.version.as_str())).collect()
    }

    #[test]
    fn what_is_repeated_keeps_its_version() {
        let (mut sotw, state) = (Sotw::default(), state(&["a"]));
        let first = sotw.response(response("1", vec![cluster("a", 1), cluster("b", 1)]), &state);
        // What was applied as version 1 may be of another stream.
        let version = versions(&first)[0].1.to_owned();
        assert!(version.starts_with("1#"), "{version}");
        assert_eq!(versions(&first)[1], ("b", "1"));
        let second = sotw.response(response("2", vec![cluster("a", 1), cluster("b", 2)]), &state);
        assert_eq!(versions(&second), [("a", version.as_str()), ("b", "2")]);
    }

    #[test]
    fn missing_clusters_are_gone_unless_one_has_no_name() {
        let (mut sotw, state) = (Sotw::default(), state(&["a", "b"]));
        let delta = sotw.response(response("2", vec![cluster("b", 1)]), &state);
        assert_eq!(delta.removed_resources, ["a"]);
        let broken = xds_codec::Any { value: vec![0xff], ..cluster("b", 1) };
        let delta = sotw.response(response("3", vec![broken]), &state);
        assert!(delta.removed_resources.is_empty());
        let delta = sotw.response(response("4", vec![]), &state);
        assert_eq!(delta.removed_resources, ["a", "b"]);
    }

    #[test]
    fn a_refusal_leaves_the_version_that_holds() {
        let mut sotw = Sotw::default();
        let ask = |nonce: &str, refused: bool| DeltaDiscoveryRequest {
            type_url: ResourceType::Cluster.type_url().into(),
            response_nonce: nonce.into(),
            error_detail: refused.then(Default::default),
            ..DeltaDiscoveryRequest::default()
        };
        let sent = |it: DiscoveryRequest| (it.version_info, it.response_nonce);
        assert_eq!(sent(sotw.request(ask("", false))), ("".into(), "".into()));
        sotw.response(response("1", vec![]), &state(&[]));
        assert_eq!(sent(sotw.request(ask("n1", false))), ("1".into(), "n1".into()));
        sotw.response(response("2", vec![]), &state(&[]));
        assert_eq!(sent(sotw.request(ask("n2", true))), ("1".into(), "n2".into()));
    }
}
