//! Strategies that make any resource, for property tests here and in other crates.
//!
//! They cover all of `ir` that has a meaning. Left out are values that two spellings share, or that
//! Envoy refuses: empty names, prefixes and lists, `%` commands, a back-off limit without a base.

mod action;
mod authn;
mod balance;
mod cluster;
mod dns_cache;
mod http2;
mod listener;
mod matcher;
mod overrides;
mod rbac;
mod route;
mod text;
mod tls;

use std::collections::BTreeMap;

use ir::bootstrap::{AdsConfig, Bootstrap, BootstrapNode, Json};
use ir::name_table::{NameInfo, NameTable};
use ir::{ConfigSource, PathSource, Resource};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

pub use cluster::{address, cluster, load_assignment};
pub use listener::listener;
pub use route::{route_config, virtual_host};
pub use tls::secret;

/// Any resource of any type.
pub fn resource() -> BoxedStrategy<Resource> {
    prop_oneof![
        cluster().prop_map(|it| Resource::Cluster(it.into())),
        load_assignment().prop_map(|it| Resource::Endpoints(it.into())),
        listener().prop_map(|it| Resource::Listener(it.into())),
        route_config().prop_map(|it| Resource::Route(it.into())),
        secret().prop_map(|it| Resource::Secret(it.into())),
        name_table().prop_map(|it| Resource::NameTable(it.into())),
    ]
    .boxed()
}

/// Any name table.
pub fn name_table() -> BoxedStrategy<NameTable> {
    let info = (vec(text::ip(), 0..3), text::maybe_empty(), text::maybe_empty(), text::maybe_empty());
    let info = info.prop_map(|(ips, registry, shortname, namespace)| NameInfo {
        ips,
        registry,
        shortname,
        namespace,
    });
    btree_map(text::name(), info, 0..4).prop_map(|table| NameTable { table }).boxed()
}

fn path_source() -> impl Strategy<Value = PathSource> {
    let path = (text::name(), option::of(text::name()));
    path.prop_map(|(path, watched_directory)| PathSource { path, watched_directory })
}

/// Any source of discovered resources.
fn config_source() -> impl Strategy<Value = ConfigSource> {
    let api = (text::name(), any::<bool>(), vec((text::name(), text::name()), 0..2))
        .prop_map(|(cluster, delta, metadata)| AdsConfig { cluster, delta, metadata });
    prop_oneof![
        3 => Just(ConfigSource::Ads),
        1 => path_source().prop_map(|it| ConfigSource::Path(it.into())),
        1 => api.prop_map(|it| ConfigSource::Api(it.into())),
    ]
}

/// Any bootstrap.
pub fn bootstrap() -> BoxedStrategy<Bootstrap> {
    let ads = (text::name(), any::<bool>(), vec((text::name(), text::name()), 0..2))
        .prop_map(|(cluster, delta, metadata)| AdsConfig { cluster, delta, metadata });
    let over_ads = option::of((ads, option::of(config_source()), option::of(config_source())));
    let resources = (vec(listener(), 0..2), vec(cluster(), 0..2), vec(secret(), 0..2));
    (node(), option::of(address()), resources, over_ads, option::of(overload()))
        .prop_map(|(node, admin, resources, over_ads, overload)| {
            let (listeners, clusters, secrets) = resources;
            let (ads, lds, cds) = match over_ads {
                Some((ads, lds, cds)) => (Some(ads), lds, cds),
                None => (None, None, None),
            };
            Bootstrap { node, admin, listeners, clusters, secrets, ads, lds, cds, overload }
        })
        .boxed()
}

fn overload() -> impl Strategy<Value = ir::Overload> {
    let actions = btree_map(prop::sample::select(ir::OverloadAction::ALL.to_vec()), 0u32..=1_000_000, 0..3);
    (option::of(text::duration()), 1u64..1 << 40, option::of(1u64..1 << 40), actions).prop_map(
        |(refresh_interval, heap, max_connections, actions)| {
            let rule = |(action, threshold)| ir::OverloadRule { action, threshold };
            let actions = actions.into_iter().map(rule).collect();
            ir::Overload { refresh_interval, max_heap_bytes: Some(heap), max_connections, actions }
        },
    )
}

fn node() -> BoxedStrategy<BootstrapNode> {
    (text::name(), text::name(), text::locality(), btree_map(text::name(), json(), 0..3))
        .prop_map(|(id, cluster, locality, metadata)| BootstrapNode { id, cluster, locality, metadata })
        .boxed()
}

/// Metadata that a balancer looks at.
fn json_map() -> impl Strategy<Value = BTreeMap<ir::Str, Json>> {
    btree_map(text::name(), json(), 0..2)
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (-1_000_000i32..1_000_000).prop_map(|it| Json::Number((f64::from(it) / 8.0).to_string().into())),
        text::any_text().prop_map(Json::Text),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Json::List),
            btree_map(text::name(), inner, 0..3).prop_map(|it: BTreeMap<_, _>| Json::Map(it)),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strategies of strategies fill more than the 2 MiB of a test's thread where nothing is optimized.
    fn deep(test: impl FnOnce() + Send) {
        let thread = std::thread::Builder::new().stack_size(32 << 20);
        let done = std::thread::scope(|scope| thread.spawn_scoped(scope, test).unwrap().join());
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
    }

    fn cases(count: u32) -> ProptestConfig {
        ProptestConfig { source_file: Some(file!()), ..ProptestConfig::with_cases(count) }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        deep(|| {
            proptest!(cases(256), |(resource in resource())| {
                let any = crate::encode(&resource);
                prop_assert_eq!(&any.type_url, resource.ty().type_url());
                match crate::decode(&any) {
                    Ok(decoded) => prop_assert_eq!(decoded, resource),
                    Err(error) => prop_assert!(false, "{error}"),
                }
            });
        });
    }

    #[test]
    fn bytes_never_panic() {
        proptest!(cases(256), |(ty in 0usize..6, bytes in vec(any::<u8>(), 0..200))| {
            let _ = crate::decode_bytes(ir::ResourceType::ALL[ty], &bytes);
        });
    }

    #[test]
    fn damaged_bytes_never_panic() {
        deep(|| {
            proptest!(cases(256), |(resource in resource(), at in any::<prop::sample::Index>(), byte: u8)| {
                let mut any = crate::encode(&resource);
                if !any.value.is_empty() {
                    let at = at.index(any.value.len());
                    any.value[at] = byte;
                }
                if let Ok(decoded) = crate::decode(&any) {
                    prop_assert_eq!(crate::decode(&crate::encode(&decoded)), Ok(decoded));
                }
            });
        });
    }

    #[cfg(feature = "json")]
    #[test]
    fn a_bootstrap_survives_json() {
        deep(|| {
            proptest!(cases(12), |(bootstrap in bootstrap())| {
                let text = crate::json::bootstrap_to_json(&bootstrap).to_string();
                for read in [crate::json::bootstrap_from_json(&text), crate::json::bootstrap_from_yaml(&text)] {
                    match read {
                        Ok(read) => {
                            prop_assert_eq!(&read.bootstrap, &bootstrap);
                            prop_assert!(read.ignored.is_empty(), "{:?}", read.ignored);
                        }
                        Err(error) => prop_assert!(false, "{error}\n{text}"),
                    }
                }
            });
        });
    }
}
