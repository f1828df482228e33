//! Endpoints that fail are left out for a while.

use std::time::Duration;

use ir::*;

use super::get_with;
use crate::support::backend::{self, Backend};
use crate::support::{Setup, cluster, free_port};

/// Half of the endpoints may be ejected, and nobody panics.
fn watched(to: &[std::net::SocketAddr], outlier: OutlierDetection) -> Setup {
    let mut setup = Setup::new();
    let outlier = OutlierDetection { max_ejection_percent: Some(50), ..outlier };
    let mut cluster = Cluster { outlier: Some(Box::new(outlier)), ..cluster("b", to) };
    cluster.common_lb.healthy_panic_threshold = Some(Fraction { parts_per_million: 0 });
    setup.clusters.push(cluster);
    setup.route("/", "b")
}

#[test]
fn a_dead_endpoint_is_ejected_and_returns() {
    let backend = Backend::start("a");
    let outlier = OutlierDetection {
        consecutive_5xx: Some(2),
        interval: Some(Duration::from_millis(50)),
        base_ejection_time: Some(Duration::from_millis(300)),
        ..Default::default()
    };
    let proxy = watched(&[free_port(), backend.address], outlier).start();
    let ask = || get_with(proxy.address, "/", "").status;
    // Each worker has its own round robin, so that two failures take a few requests.
    let failed = (0..20).filter(|_| ask() == 503).count();
    assert_eq!(failed, 2);
    assert_eq!(proxy.stat("cluster.b.outlier_detection.ejections_active"), 1);
    assert_eq!(proxy.stat("cluster.b.outlier_detection.ejections_enforced_consecutive_5xx"), 1);
    std::thread::sleep(Duration::from_millis(350));
    let failed = (0..20).filter(|_| ask() == 503).count();
    assert_eq!(failed, 2, "it came back, and failed again");
    assert_eq!(proxy.stat("cluster.b.outlier_detection.ejections_enforced_total"), 2);
}

#[test]
fn failures_of_the_endpoint_and_ours_are_told_apart() {
    let failing = backend::tcp(|mut stream| {
        use std::io::{Read, Write};
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {
            let _ = stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let backend = Backend::start("a");
    let gateway = OutlierDetection {
        enforcing_consecutive_5xx: Some(0),
        consecutive_gateway_failure: Some(2),
        enforcing_consecutive_gateway_failure: Some(100),
        ..Default::default()
    };
    let proxy = watched(&[failing, backend.address], gateway).start();
    let failed = (0..20).filter(|_| get_with(proxy.address, "/", "").status == 500).count();
    assert!(failed >= 9, "500 is no failure of a gateway: {failed}");
    assert_eq!(proxy.stat("cluster.b.outlier_detection.ejections_active"), 0);
    let local = OutlierDetection {
        split_external_local_origin_errors: true,
        consecutive_local_origin_failure: Some(2),
        ..gateway
    };
    let proxy = watched(&[free_port(), backend.address], local).start();
    let failed = (0..20).filter(|_| get_with(proxy.address, "/", "").status == 503).count();
    assert_eq!(failed, 2);
    let name = "cluster.b.outlier_detection.ejections_enforced_consecutive_local_origin_failure";
    assert_eq!(proxy.stat(name), 1);
}

#[test]
fn too_many_are_not_ejected() {
    let outlier = OutlierDetection { consecutive_5xx: Some(1), ..Default::default() };
    let proxy = watched(&[free_port(), free_port()], outlier).start();
    for _ in 0..8 {
        assert_eq!(get_with(proxy.address, "/", "").status, 503);
    }
    assert_eq!(proxy.stat("cluster.b.outlier_detection.ejections_active"), 1);
    assert!(proxy.stat("cluster.b.outlier_detection.ejections_overflow") >= 1);
}
