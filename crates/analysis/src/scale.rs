//! How long an analysis of a large mesh takes, and one of a single changed file. Ignored: it is a
//! measurement, and the limits hold for a release build.
//!
//! `cargo test --release -p analysis --lib scale -- --ignored --nocapture`

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::analyzers;
use crate::file::{File, Reading};
use crate::run::analyze;
use crate::session::Session;
use crate::snapshot::{Settings, Snapshot};

/// Ten objects each: a service with its workload, routes, policies and what goes with them.
const SERVICES: usize = 1_000;

/// The objects of one service.
fn service(i: usize) -> String {
    let (namespace, name, next) = (format!("ns-{}", i % 50), format!("svc-{i}"), (i + 50) % SERVICES);
    let mut text = String::new();
    let mut object = |version: &str, kind: &str, metadata: &str, body: &str| {
        let _ = write!(
            text,
            "apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: {namespace}\n{metadata}{body}---\n"
        );
    };
    object(
        "v1",
        "Service",
        "",
        &format!(
            "spec:\n  selector:\n    app: {name}\n  ports:\n  - name: http\n    port: 80\n    targetPort: 8080\n"
        ),
    );
    object(
        "apps/v1",
        "Deployment",
        "",
        &format!(
            "spec:\n  selector:\n    matchLabels:\n      app: {name}\n  template:\n    metadata:\n      labels:\n        app: {name}\n        \
             version: v1\n    spec:\n      serviceAccountName: {name}\n      containers:\n      - name: app\n        image: app:1\n        \
             env:\n        - name: NEXT\n          value: http://svc-{next}/x\n"
        ),
    );
    object(
        "v1",
        "Pod",
        &format!("  labels:\n    app: {name}\n    version: v1\n"),
        "spec:\n  containers:\n  - name: app\n    image: app:1\n  - name: istio-proxy\n    image: proxy:1\n",
    );
    object("v1", "ServiceAccount", "", "");
    object(
        "networking.istio.io/v1",
        "VirtualService",
        "",
        &format!(
            "spec:\n  hosts:\n  - {name}\n  http:\n  - match:\n    - uri:\n        prefix: /a\n    retries:\n      attempts: 2\n    timeout: 5s\n    \
             route:\n    - destination:\n        host: {name}\n        subset: v1\n      weight: 90\n    - destination:\n        host: {name}\n        \
             subset: v2\n      weight: 10\n  - route:\n    - destination:\n        host: {name}\n"
        ),
    );
    object(
        "networking.istio.io/v1",
        "DestinationRule",
        "",
        &format!(
            "spec:\n  host: {name}\n  trafficPolicy:\n    outlierDetection:\n      consecutive5xxErrors: 5\n  subsets:\n  - name: v1\n    labels:\n      \
             version: v1\n  - name: v2\n    labels:\n      version: v2\n"
        ),
    );
    object(
        "security.istio.io/v1",
        "AuthorizationPolicy",
        "",
        &format!(
            "spec:\n  selector:\n    matchLabels:\n      app: {name}\n  rules:\n  - from:\n    - source:\n        namespaces:\n        - {namespace}\n"
        ),
    );
    object(
        "security.istio.io/v1",
        "PeerAuthentication",
        "",
        &format!("spec:\n  selector:\n    matchLabels:\n      app: {name}\n  mtls:\n    mode: STRICT\n"),
    );
    object(
        "networking.istio.io/v1",
        "Gateway",
        "",
        &format!(
            "spec:\n  selector:\n    istio: ingressgateway\n  servers:\n  - port:\n      number: 443\n      name: https\n      protocol: HTTPS\n    \
             hosts:\n    - {name}.example.com\n    tls:\n      mode: SIMPLE\n      credentialName: {name}\n"
        ),
    );
    object(
        "networking.istio.io/v1",
        "ServiceEntry",
        "",
        &format!(
            "spec:\n  hosts:\n  - {name}.external.com\n  ports:\n  - number: 443\n    name: tls\n    protocol: TLS\n  resolution: DNS\n"
        ),
    );
    text
}

/// One file per object, as most people keep them: a change concerns one kind.
fn files() -> Vec<(String, String)> {
    let objects = (0..SERVICES).map(service).enumerate().flat_map(|(i, text)| {
        let parts: Vec<String> = text.split_inclusive("---\n").map(str::to_owned).collect();
        parts.into_iter().enumerate().map(move |(j, part)| (format!("{i}-{j}.yaml"), part))
    });
    objects.collect()
}

/// The most memory this process has had, in MiB.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default() / 1024
}

/// Prints what the slowest analyzers take.
fn slowest(texts: &[(String, String)], reading: &Reading) {
    let files = texts.iter().map(|(name, text)| Arc::new(File::read(name, text, reading))).collect();
    let start = Instant::now();
    let snapshot = Snapshot::new(files, Settings::default());
    snapshot.workloads();
    snapshot.hosts();
    println!("{:?} snapshot and indexes", start.elapsed());
    let mut times: Vec<(Duration, &str)> = analyzers::by_default()
        .map(|analyzer| {
            let start = Instant::now();
            analyze(&snapshot, &[analyzer]);
            (start.elapsed(), analyzer.name)
        })
        .collect();
    times.sort();
    times.iter().rev().take(8).for_each(|(time, name)| println!("{time:?} {name}"));
}

/// Changes a file of each kind several times over. The longest time, of the kinds' means, until the
/// findings are there.
fn changes(session: &mut Session, texts: &[(String, String)], reading: &Reading) -> Duration {
    const TIMES: u32 = 10;
    let mut longest = Duration::ZERO;
    for (name, text) in texts.iter().take(texts.len() / SERVICES) {
        let kind = text.lines().find_map(|line| line.strip_prefix("kind: ")).unwrap_or_default();
        let (start, used) = (Instant::now(), processor_time());
        for lines in 0..TIMES {
            let moved = "\n".repeat(lines as usize + 1) + text;
            session.put(File::read(name, &moved, reading));
            assert!(!session.findings().is_empty());
        }
        let (time, used) = (start.elapsed() / TIMES, (processor_time() - used) / TIMES);
        println!("{time:?}, {used:?} of processor time, after a change of one {kind}");
        longest = longest.max(time);
    }
    longest
}

/// The processor time that this process has had: on a busy machine the clock says little.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<i64> = stat.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    // Without the name and the state, user and system time are the 12th and 13th, in ticks of 10 ms.
    Duration::from_millis(10 * fields.iter().skip(11).take(2).sum::<i64>().unsigned_abs())
}

#[test]
#[ignore = "a measurement"]
fn ten_thousand_resources() {
    let reading = Reading::default();
    let texts = files();
    let mut session = Session::new(analyzers::by_default().collect(), Settings::default());

    let start = Instant::now();
    let size = texts.len().div_ceil(2);
    let files: Vec<File> = std::thread::scope(|scope| {
        let read = |part: &[(String, String)]| -> Vec<File> {
            part.iter().map(|(name, text)| File::read(name, text, &reading)).collect()
        };
        let parts: Vec<_> = texts.chunks(size).map(|part| scope.spawn(move || read(part))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("reads")).collect()
    });
    let objects: usize = files.iter().map(|file| file.objects.len()).sum();
    assert_eq!(objects, 10 * SERVICES);
    let read = start.elapsed();
    files.into_iter().for_each(|file| session.put(file));
    let findings = session.findings();
    let (whole, memory) = (start.elapsed(), peak_memory());
    assert!(!findings.is_empty());

    let again = changes(&mut session, &texts, &reading);
    let (name, route) =
        texts.iter().find(|(_, text)| text.contains("kind: VirtualService")).expect("a route");
    session.put(File::read(name, &route.replace("weight: 90", "weight: 80"), &reading));
    assert_eq!(session.findings().iter().filter(|f| f.code == "LTN0102").count(), 1);

    slowest(&texts, &reading);
    println!(
        "{objects} resources: {whole:?} ({read:?} of it reading), {memory} MiB, {} findings; one changed file: {again:?}",
        findings.len()
    );
    if !cfg!(debug_assertions) {
        assert!(whole < Duration::from_secs(2), "{whole:?}");
        assert!(again < Duration::from_millis(100), "{again:?}");
        assert!(memory < 300, "{memory} MiB");
    }
}
