//! Istio's tutorial files for Bookinfo, unmodified: each has the effect that its tutorial
//! describes, and while it comes and goes no request fails.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lateen_tests::{Sidecar, apply, bookinfo, delete, get};
use testkit::client::Ask;
use testkit::{Load, Mesh, conformance, eventually, root};

const JASON: (&str, &str) = ("cookie", "user=jason");

#[test]
fn istios_tutorial_on_our_proxy() {
    if root("tutorial, our proxy") {
        run("tutorial, our proxy", &Sidecar::Lateen);
    }
}

#[test]
fn istios_tutorial_on_stock_envoy() {
    let test = "tutorial, stock Envoy";
    if root(test)
        && let Some(envoy) = Sidecar::envoy(test)
    {
        run(test, &envoy);
    }
}

fn run(test: &str, sidecar: &Sidecar) {
    let Some(data) = conformance(test) else { return };
    let files = data.join("samples/bookinfo/networking");
    let file = |name: &str| files.join(name);
    let mesh = bookinfo(sidecar, &[]);
    let gateway = apply(&mesh, &file("bookinfo-gateway.yaml"));
    eventually("the page is there", Duration::from_secs(10), || {
        let page = get(&mesh, "/productpage", &[]);
        if page.status == 200 { Ok(()) } else { Err(format!("{} {}", page.status, page.text())) }
    });

    let faulty = Arc::new(AtomicBool::new(false));
    let nobody = load(&mesh, None, Arc::new(AtomicBool::new(false)));
    let jason = load(&mesh, Some(JASON), faulty.clone());

    let rules = apply(&mesh, &file("destination-rule-all.yaml"));
    shares(&mesh, &[], "all versions", |s| s.len() == 3);

    let all_v1 = apply(&mesh, &file("virtual-service-all-v1.yaml"));
    shares(&mesh, &[], "v1 only", |s| only(s, "v1"));

    with(&mesh, &file("virtual-service-reviews-90-10.yaml"), || {
        shares(&mesh, &[], "90 to 10", |s| {
            let (v1, v2) = (count(s, "v1"), count(s, "v2"));
            count(s, "v3") == 0 && v2 > 0 && (0.80..0.98).contains(&(v1 as f64 / (v1 + v2) as f64))
        });
    });
    with(&mesh, &file("virtual-service-reviews-jason-v2-v3.yaml"), || {
        shares(&mesh, &[JASON], "jason to v2", |s| only(s, "v2"));
        shares(&mesh, &[], "others to v3", |s| only(s, "v3"));
    });
    with(&mesh, &file("virtual-service-reviews-test-v2.yaml"), || {
        shares(&mesh, &[JASON], "jason to v2", |s| only(s, "v2"));
        shares(&mesh, &[], "others to v1", |s| only(s, "v1"));
        faulty.store(true, Ordering::Relaxed);
        with(&mesh, &file("virtual-service-ratings-test-delay.yaml"), || delayed(&mesh));
        with(&mesh, &file("virtual-service-ratings-test-abort.yaml"), || aborted(&mesh));
        eventually("jason's stars are back", Duration::from_secs(30), || {
            let page = get(&mesh, "/productpage", &[JASON]).text();
            if page.contains("unavailable") || page.contains("Error fetching") { Err(page) } else { Ok(()) }
        });
        // Requests that met the delay may still be under way.
        std::thread::sleep(Duration::from_secs(7));
        faulty.store(false, Ordering::Relaxed);
    });

    delete(&mesh, &all_v1);
    shares(&mesh, &[], "all versions again", |s| s.len() == 3);
    delete(&mesh, &rules);
    shares(&mesh, &[], "all versions without rules", |s| s.len() == 3);
    nobody.stop().assert_clean("as nobody");
    jason.stop().assert_clean("as jason");
    delete(&mesh, &gateway);
}

/// 50 requests a second. A page that lost a part is a failure, unless `faulty` says that a
/// fault is meant to be there.
fn load(mesh: &Mesh, user: Option<(&str, &str)>, faulty: Arc<AtomicBool>) -> Load {
    let mut ask = Ask::get(&mesh.gateway.to_string(), "/productpage");
    if let Some((name, value)) = user {
        ask = ask.header(name, value);
    }
    let expect = move |status: u16, body: &[u8]| {
        let page = String::from_utf8_lossy(body);
        let lost = page.contains("Error fetching") || page.contains("unavailable");
        match status {
            200 if lost && !faulty.load(Ordering::Relaxed) => Err("a part of the page is missing".to_owned()),
            _ => Ok(()),
        }
    };
    Load::start(mesh.gateway, ask, 50, Some(Arc::new(expect)))
}

/// Applies a file, checks, and puts back what was there before it.
fn with(mesh: &Mesh, file: &Path, check: impl FnOnce()) {
    let before: BTreeMap<_, _> = std::fs::read_dir(mesh.yaml())
        .expect("the watched folder")
        .flatten()
        .map(|entry| (entry.file_name(), std::fs::read_to_string(entry.path()).expect("YAML")))
        .collect();
    let names = apply(mesh, file);
    check();
    for name in names {
        match before.get(std::ffi::OsStr::new(&name)) {
            Some(text) => mesh.apply(&name, text),
            None => mesh.remove(&name),
        }
    }
}

type Shares = BTreeMap<&'static str, usize>;

fn count(shares: &Shares, version: &str) -> usize {
    shares.get(version).copied().unwrap_or(0)
}

fn only(shares: &Shares, version: &str) -> bool {
    shares.len() == 1 && shares.contains_key(version)
}

/// Which versions of reviews serve 60 pages; until they are as expected.
#[track_caller]
fn shares(mesh: &Mesh, headers: &[(&str, &str)], what: &str, expected: impl Fn(&Shares) -> bool) {
    let start = Instant::now();
    eventually(what, Duration::from_secs(20), || {
        let mut shares = Shares::new();
        for _ in 0..60 {
            let page = get(mesh, "/productpage", headers).text();
            let found = ["v1", "v2", "v3"].into_iter().find(|v| page.contains(&format!("reviews-{v}")));
            *shares.entry(found.unwrap_or("none")).or_default() += 1;
        }
        if expected(&shares) { Ok(()) } else { Err(format!("{shares:?}")) }
    });
    println!("{what}: after {:?}", start.elapsed());
}

/// Ratings wait 7 s for jason; productpage gives up on reviews after 3 s, twice.
fn delayed(mesh: &Mesh) {
    eventually("jason waits in vain", Duration::from_secs(30), || {
        let start = Instant::now();
        let page = get(mesh, "/productpage", &[JASON]).text();
        let took = start.elapsed();
        if page.contains("Error fetching product reviews!") && took > Duration::from_secs(5) {
            return Ok(());
        }
        Err(format!("{took:?}: {page}"))
    });
    let start = Instant::now();
    let page = get(mesh, "/productpage", &[]).text();
    assert!(
        page.contains("reviews-v1") && start.elapsed() < Duration::from_secs(3),
        "{:?}: {page}",
        start.elapsed()
    );
}

/// Ratings fail for jason; the page says so and is there.
fn aborted(mesh: &Mesh) {
    eventually("jason has no stars", Duration::from_secs(30), || {
        let page = get(mesh, "/productpage", &[JASON]).text();
        if page.contains("Ratings service is currently unavailable") { Ok(()) } else { Err(page) }
    });
    assert!(get(mesh, "/productpage", &[]).text().contains("reviews-v1"));
}
