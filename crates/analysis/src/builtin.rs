//! The ingress gateway that analysis of files takes for granted: a Pod and a Service, as istioctl
//! adds them, so that a Gateway for Istio's default ingress finds something. Files that contain
//! the gateway themselves are not disturbed.

use crate::file::{File, Reading};
use crate::mesh::Mesh;

/// The name of the "file" these objects are in.
pub const FILE: &str = "(built in)";

/// The built-in objects; none if the mesh has no ingress controller.
pub fn file(mesh: &Mesh) -> Option<File> {
    if mesh.get("ingressControllerMode").str() == "OFF" {
        return None;
    }
    let service = match mesh.get("ingressService").str() {
        "" => "istio-ingressgateway",
        name => name,
    };
    let selector = match mesh.get("ingressSelector").str() {
        "" => "ingressgateway",
        name => name,
    };
    // istioctl puts them beside the control plane.
    let namespace = mesh.root_namespace();
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {service:?}-dummypod, namespace: {namespace:?}, \
         labels: {{istio: {selector:?}}}}}\nspec: {{containers: [{{name: istio-proxy}}]}}\n---\n\
         apiVersion: v1\nkind: Service\nmetadata: {{name: {service:?}, namespace: {namespace:?}}}\nspec:\n  \
         selector: {{istio: {selector:?}}}\n  ports:\n\
         \x20 - {{name: http2, port: 80, targetPort: 80, protocol: TCP}}\n\
         \x20 - {{name: https, port: 443, targetPort: 443, protocol: TCP}}\n\
         \x20 - {{name: tcp, port: 31400, targetPort: 31400, protocol: TCP}}\n\
         \x20 - {{name: tls, port: 15443, targetPort: 15443, protocol: TCP}}\n"
    );
    let text = text.replace(&format!("{service:?}-dummypod"), &format!("\"{service}-dummypod\""));
    let mut file = File::read(FILE, &text, &Reading::default());
    for object in &mut file.objects {
        if let Some(object) = std::sync::Arc::get_mut(object) {
            object.built_in = true;
        }
    }
    file.findings.clear();
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;

    #[test]
    fn the_gateway_is_a_pod_and_a_service_that_selects_it() {
        let file = file(&Mesh::default()).expect("built in");
        let shown: Vec<String> = file.objects.iter().map(|o| o.shown.to_string()).collect();
        assert_eq!(
            shown,
            ["Pod istio-system/istio-ingressgateway-dummypod", "Service istio-system/istio-ingressgateway"]
        );
        assert_eq!(file.objects[1].kind, Kind::Service);
        let selector = crate::object::labels_of(file.objects[1].spec().get("selector"));
        assert!(selector.select(&file.objects[0].labels));
    }
}
