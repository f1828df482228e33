//! The hub with sources that say what a test tells them to.

use std::sync::Arc;
use std::time::Duration;

use istio_api::parse_stream;
use lifecycle::Readiness;
use model::{Finding, Level, ObjectRef};
use registry::{Change, Delta, Key, Settings};
use source::{Debounce, Hub, HubBuilder, Outlet, Source, Update};
use tokio::sync::mpsc;
use tokio::time::{Instant, advance, timeout};

/// Passes on what it is handed; ends when the test lets go.
struct Told(&'static str, mpsc::UnboundedReceiver<Update>);

impl Source for Told {
    fn name(&self) -> &'static str {
        self.0
    }

    async fn run(mut self, outlet: Outlet) -> Result<(), String> {
        while let Some(update) = self.1.recv().await {
            if !outlet.send(update).await {
                return Ok(());
            }
        }
        Err("nobody tells it anything".into())
    }
}

type Tell = mpsc::UnboundedSender<Update>;

fn start<const N: usize>(
    names: [&'static str; N],
) -> (Hub, [Tell; N], Readiness, tokio::task::JoinHandle<Result<(), String>>) {
    let readiness = Readiness::new();
    let mut builder = HubBuilder::new(Settings::default(), Debounce::default(), &readiness);
    let tells = names.map(|name| {
        let (tell, told) = mpsc::unbounded_channel();
        builder = std::mem::replace(
            &mut builder,
            HubBuilder::new(Settings::default(), Debounce::default(), &Readiness::new()),
        )
        .source(Told(name, told));
        tell
    });
    let (hub, task) = builder.build();
    (hub, tells, readiness, tokio::spawn(task.run()))
}

fn namespace(name: &str) -> Change {
    let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}");
    Change::Upsert(Arc::new(parse_stream("f.yaml", &text).documents.remove(0)))
}

fn update(names: &[&str], complete: bool) -> Update {
    Update { changes: names.iter().map(|name| namespace(name)).collect(), complete, ..Update::default() }
}

fn touched(delta: &Delta) -> Vec<&'static str> {
    ["a", "b", "c", "d"].into_iter().filter(|name| delta.touches(&Key::Namespace((*name).into()))).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_published_before_every_source_is_complete() {
    let (hub, [one, two], readiness, _task) = start(["one", "two"]);
    let mut subscription = hub.subscribe();
    one.send(update(&["a"], true)).expect("send");
    two.send(update(&["b"], false)).expect("send");
    assert!(timeout(Duration::from_secs(60), subscription.next()).await.is_err());
    assert_eq!(readiness.missing(), ["two"]);
    assert_eq!(hub.snapshot().objects().count(), 0);
    two.send(update(&["c"], true)).expect("send");
    let (snapshot, delta) = subscription.next().await.expect("snapshot");
    assert_eq!((snapshot.objects().count(), delta), (3, Delta::everything()));
    assert!(readiness.is_ready());
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_the_union_of_what_it_missed() {
    let (hub, [tell], _, _task) = start(["one"]);
    tell.send(update(&[], true)).expect("send");
    hub.ready().await;
    let (mut slow, mut quick) = (hub.subscribe(), hub.subscribe());
    assert_eq!(slow.next().await.expect("first").1, Delta::everything());
    assert_eq!(quick.next().await.expect("first").1, Delta::everything());
    for name in ["a", "b"] {
        tell.send(update(&[name], false)).expect("send");
        let (_, delta) = quick.next().await.expect("next");
        assert_eq!(touched(&delta), [name]);
    }
    let (snapshot, delta) = slow.next().await.expect("union");
    assert_eq!(touched(&delta), ["a", "b"]);
    assert_eq!(snapshot.objects().count(), 2);
    assert!(timeout(Duration::from_secs(1), slow.next()).await.is_err());
    drop(quick);
    tell.send(update(&["c"], false)).expect("send");
    assert_eq!(touched(&slow.next().await.expect("next").1), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_batch_and_an_endless_one_is_cut() {
    let (hub, [tell], _, _task) = start(["one"]);
    tell.send(update(&[], true)).expect("send");
    hub.ready().await;
    let mut subscription = hub.subscribe();
    subscription.next().await.expect("first");
    let started = Instant::now();
    for name in ["a", "b", "c"] {
        tell.send(update(&[name], false)).expect("send");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(touched(&subscription.next().await.expect("batch").1), ["a", "b", "c"]);
    assert!(started.elapsed() < Duration::from_millis(20), "{:?}", started.elapsed());

    let started = Instant::now();
    let endless = tokio::spawn(async move {
        loop {
            tell.send(Update { changes: vec![namespace("d")], ..Update::default() }).expect("send");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(touched(&subscription.next().await.expect("cut").1), ["d"]);
    assert!(started.elapsed() >= Duration::from_millis(499), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_millis(550), "{:?}", started.elapsed());
    endless.abort();
}

#[tokio::test(start_paused = true)]
async fn findings_of_all_parts_are_together_and_get_places() {
    let finding = |message: &str, object: Option<ObjectRef>| Finding {
        level: Level::Warning,
        code: "LTN0000",
        object,
        field: "".into(),
        place: None,
        message: message.into(),
    };
    let (hub, [tell], _, _task) = start(["one"]);
    let findings = Some(vec![finding("from a source", None)]);
    tell.send(Update { findings, ..update(&["a"], true) }).expect("send");
    hub.ready().await;
    hub.report("translation", vec![finding("of a namespace", Some(ObjectRef::new("Namespace", "", "a")))])
        .await;
    let mut watch = hub.watch_findings();
    let all = watch.wait_for(|all| all.len() == 2).await.expect("findings").clone();
    let lines: Vec<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["Warning [LTN0000] from a source", "f.yaml:1:1: Warning [LTN0000] (Namespace a) of a namespace"]
    );
    hub.report("translation", Vec::new()).await;
    watch.wait_for(|all| all.len() == 1).await.expect("findings");
    advance(Duration::from_secs(1)).await;
    assert_eq!(hub.findings().len(), 1);
}

#[tokio::test]
async fn a_source_that_ends_ends_the_hub_and_says_why() {
    let (hub, [one, _two], _, task) = start(["one", "two"]);
    let mut subscription = hub.subscribe();
    drop(one);
    let error = task.await.expect("task").expect_err("error");
    assert_eq!(error, "the source one failed: nobody tells it anything");
    assert!(subscription.next().await.is_none());
}
