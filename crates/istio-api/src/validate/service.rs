//! Kubernetes' Service: whether its ports say what they speak. A mesh would find out by looking at
//! the first bytes; `istioctl validate` asks for names. See
//! <https://istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection/>.

use model::Protocol;

use crate::reader::Item;

/// Protocols that Kubernetes itself has names for.
const KUBERNETES: [&str; 3] = ["kubernetes.io/h2c", "kubernetes.io/ws", "kubernetes.io/wss"];

pub(crate) fn check(document: &Item<'_>, namespace: &str) {
    // The control plane's own.
    if namespace == "istio-system" {
        return;
    }
    let Some(spec) = document.field("spec") else { return };
    let ports = spec.each("ports").into_iter();
    for port in ports.filter(|port| !port.field_text("protocol").eq_ignore_ascii_case("UDP")) {
        let declared = port.field_text("appProtocol");
        let name = port.field_text("name");
        if !declared.is_empty() {
            if Protocol::by_name(declared).is_none() && !KUBERNETES.contains(&declared) {
                let message = format!("{declared:?} is no protocol that the mesh knows");
                port.field_or_self("appProtocol").invalid(message);
            }
        } else if name.is_empty() {
            port.invalid("has no name, which would say what it speaks (http-web, tcp-db)".into());
        } else if Protocol::by_name(name.split('-').next().unwrap_or(name)).is_none() {
            let message = format!("{name:?} does not begin with a protocol (http-web, tcp-db)");
            port.field_or_self("name").invalid(message);
        }
    }
}
