//! What a rule does instead of forwarding: redirects and fixed answers.

use ir::body::BodySource;
use ir::route::{DirectResponse, Redirect, RouteAction};
use istio_api::networking::http_action::{Body, DerivePort};
use istio_api::networking::{DirectResponse as WrittenResponse, Redirect as WrittenRedirect};

/// A redirect of requests that came for `port`, over TLS or not. `None`: of a status that Envoy
/// has no redirect for; Istio lets such a rule match nothing.
pub fn redirect(written: &WrittenRedirect, port: u16, tls: bool) -> Option<RouteAction> {
    let status = match written.redirect_code {
        None | Some(0) => 301,
        Some(status @ (301 | 302 | 303 | 307 | 308)) => u16::try_from(status).ok()?,
        Some(_) => return None,
    };
    let some = |text: &Option<stdx::Str>| text.clone().filter(|text| !text.is_empty());
    let port = match (written.port, written.derive_port) {
        (Some(port), _) => u16::try_from(port).ok(),
        (None, Some(DerivePort::FromRequestPort)) => Some(port),
        (None, Some(DerivePort::FromProtocolDefault) | None) => None,
    };
    let scheme = some(&written.scheme);
    let https = scheme.as_deref().map_or(tls, |scheme| scheme == "https");
    // A port that the scheme implies is not written.
    let port = port.filter(|port| *port != if https { 443 } else { 80 });
    Some(RouteAction::Redirect(Redirect {
        https: scheme.as_deref() == Some("https"),
        scheme: scheme.clone().filter(|scheme| scheme != "https"),
        host: some(&written.authority),
        port,
        path: some(&written.uri),
        prefix_rewrite: some(&written.prefix_rewrite),
        status,
        ..Redirect::default()
    }))
}

/// A fixed answer.
pub fn direct(written: &WrittenResponse) -> RouteAction {
    let status = written.status.and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    let body = match &written.body {
        Some(Body { string: Some(text), .. }) => text.into(),
        _ => BodySource::default(),
    };
    RouteAction::Direct(DirectResponse { status, body, format: None })
}
