//! The file a proxy starts from.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use model::Locality;
use stdx::Str;

use crate::{Address, Cluster, ConfigSource, Listener, Overload, Secret};

/// `envoy.config.bootstrap.v3.Bootstrap`, as far as Lateen honours it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bootstrap {
    pub node: BootstrapNode,
    /// `None`: no admin server.
    pub admin: Option<Address>,
    pub listeners: Vec<Listener>,
    pub clusters: Vec<Cluster>,
    pub secrets: Vec<Secret>,
    /// The aggregated stream, if `dynamic_resources.ads_config` is there.
    pub ads: Option<AdsConfig>,
    /// `dynamic_resources.lds_config` and `cds_config`.
    pub lds: Option<ConfigSource>,
    pub cds: Option<ConfigSource>,
    /// `overload_manager`.
    pub overload: Option<Overload>,
}

/// Who the proxy says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootstrapNode {
    pub id: Str,
    pub cluster: Str,
    pub locality: Locality,
    pub metadata: BTreeMap<Str, Json>,
}

/// A `google.protobuf.Value`. Numbers are kept as text so that the value is `Eq`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Str),
    Text(Str),
    List(Vec<Json>),
    Map(BTreeMap<Str, Json>),
}

/// As RFC 8259 has it, without spaces.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Number(number) => f.write_str(number),
            Json::Text(text) => quoted(text, f),
            Json::List(list) => {
                f.write_char('[')?;
                for (at, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if at > 0 { "," } else { "" })?;
                }
                f.write_char(']')
            }
            Json::Map(map) => {
                f.write_char('{')?;
                for (at, (key, value)) in map.iter().enumerate() {
                    f.write_str(if at > 0 { "," } else { "" })?;
                    quoted(key, f)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// How to reach the control plane: a gRPC `ApiConfigSource`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdsConfig {
    /// A static cluster.
    pub cluster: Str,
    /// `DELTA_GRPC`, else state of the world.
    pub delta: bool,
    /// `initial_metadata` of the gRPC stream.
    pub metadata: Vec<(Str, Str)>,
}
