//! Sources of configuration besides the aggregated stream: files, and streams of one type.

mod files;
mod watch;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use ir::bootstrap::AdsConfig;
use ir::{ConfigSource, ResourceType};
use stdx::Str;
use tokio::sync::mpsc;
use xds_client::AdsClient;

use crate::config::source::{Names, Want};
use crate::proxy::State;
use crate::xds;
use files::Files;

/// A stream of one type.
struct Stream {
    client: AdsClient,
    names: BTreeSet<Str>,
}

/// Brings what is wanted, again whenever it changes. Ends with the manager.
pub async fn keep(state: Arc<State>, mut wants: mpsc::UnboundedReceiver<Want>) {
    let mut files = Files::new(state.manager.clone());
    let mut streams: BTreeMap<(AdsConfig, ResourceType), Stream> = BTreeMap::new();
    loop {
        tokio::select! {
            want = wants.recv() => match want {
                Some(Want::Files(secret)) => files.watch_files_of(secret),
                Some(Want::NoFiles(secret)) => files.forget_files_of(&secret),
                Some(Want::Resources { source: ConfigSource::Path(path), ty, names }) => {
                    files.want(*path, ty, names).await;
                }
                Some(Want::Resources { source: ConfigSource::Api(api), ty, names }) => {
                    stream(&state, &mut streams, *api, ty, names);
                }
                // It is asked directly.
                Some(Want::Resources { source: ConfigSource::Ads, .. }) => {}
                None => return,
            },
            () = files.changed() => files.look().await,
        }
    }
}

fn stream(
    state: &Arc<State>,
    streams: &mut BTreeMap<(AdsConfig, ResourceType), Stream>,
    api: AdsConfig,
    ty: ResourceType,
    names: Names,
) {
    let key = (api, ty);
    let (names, all) = match names {
        Names::These(names) if names.is_empty() => {
            streams.remove(&key);
            return;
        }
        Names::These(names) => (names, false),
        Names::All => (BTreeSet::new(), true),
    };
    if !streams.contains_key(&key) {
        let Some(client) = xds::stream_of_type(state, &key.0, ty, all) else { return };
        streams.insert(key.clone(), Stream { client, names: BTreeSet::new() });
    }
    if let Some(stream) = streams.get_mut(&key) {
        let handle = stream.client.handle();
        handle.subscribe(ty, names.difference(&stream.names).cloned());
        handle.unsubscribe(ty, stream.names.difference(&names).cloned());
        stream.names = names;
    }
}
