//! Whether a request may become something else: an upgrade, or the tunnel of a CONNECT.

use ir::route::RouteUpgrade;
use stdx::Str;

/// As configuration calls the method CONNECT.
const CONNECT: &str = "connect";

/// Whether a request may ask for this protocol (`CONNECT` for the method of that name): the route
/// says it, and where it does not, the connection manager.
pub fn allowed(of_manager: &[Str], of_route: &[RouteUpgrade], wanted: &[u8]) -> bool {
    let is = |name: &Str| name.as_bytes().eq_ignore_ascii_case(wanted);
    match of_route.iter().find(|it| is(&it.upgrade_type)) {
        Some(it) => it.enabled,
        None => of_manager.iter().any(is),
    }
}

/// Whether a CONNECT ends at this route, and its payload goes on as it is. Otherwise the endpoint is
/// asked for the tunnel.
pub fn ends_connect(of_route: &[RouteUpgrade]) -> bool {
    of_route.iter().any(|it| it.connect_config && &*it.upgrade_type == CONNECT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upgrade(upgrade_type: &str, enabled: bool, connect_config: bool) -> RouteUpgrade {
        RouteUpgrade { upgrade_type: upgrade_type.into(), enabled, connect_config }
    }

    #[test]
    fn the_route_has_the_last_word() {
        let manager = ["websocket".into(), "connect".into()];
        let route = [upgrade("connect", false, false), upgrade("other", true, false)];
        for (wanted, expected) in
            [("WebSocket", true), ("CONNECT", false), ("other", true), ("connect-udp", false)]
        {
            assert_eq!(allowed(&manager, &route, wanted.as_bytes()), expected, "{wanted}");
        }
        assert!(allowed(&manager, &[], b"CONNECT"));
        assert!(!allowed(&[], &[], b"CONNECT"));
    }

    #[test]
    fn a_connect_ends_where_the_route_says_how() {
        assert!(ends_connect(&[upgrade("websocket", true, false), upgrade("connect", true, true)]));
        assert!(!ends_connect(&[upgrade("connect", true, false)]));
        assert!(!ends_connect(&[]));
    }
}
