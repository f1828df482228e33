//! ProxyConfig: <https://istio.io/latest/docs/reference/config/networking/proxy-config/>.

use std::collections::BTreeMap;

use model::Str;

use crate::schema::macros::message;
use crate::schema::{int32, map, object, text};
use crate::selector::Selector;

message! {
    /// Settings of proxies that take effect when they start.
    pub struct ProxyConfig {
        /// Absent: all workloads of the namespace, or of the mesh in the root namespace.
        "selector" selector: Option<Selector> = object(&Selector::MESSAGE),
        /// Worker threads; 0: as many as there are cores.
        "concurrency" concurrency: Option<i32> = int32().min(0).nullable(),
        "environmentVariables" environment_variables: BTreeMap<Str, Str> = map(&text().max(2048)),
        "image" image: Option<ProxyImage> = object(&ProxyImage::MESSAGE),
    }
}

message! {
    /// Which of the proxy's images runs.
    pub struct ProxyImage {
        /// As in default, debug or distroless.
        "imageType" image_type: Str = text(),
    }
}
