//! The supervisor: makes what the files ask for, and nothing else stays.

mod mesh;
mod pods;
mod tell;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use istio_api::Document;
use lifecycle::Readiness;
use registry::{Settings, Snapshot};
use source::{Debounce, HubBuilder, Subscription};
use source_file::FileSource;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::addresses::{self, Pool, Ranges};
use crate::control::{self, Control, ControlState};
use crate::dns::Dns;
use crate::documents::Documents;
use crate::images::Images;
use crate::links::Links;
use crate::options::{ControlPlace, Options, Roles};
use crate::preflight::{self, Refusal};
use crate::relay::Relay;
use crate::report::Reporter;
use crate::{folder, pod};

use mesh::Mesh;

/// From SIGTERM to SIGKILL when the mesh ends. Ending as a whole takes 5 s at most.
const LAST_GRACE: Duration = Duration::from_millis(1500);
/// The control plane starts in milliseconds; pods are not kept waiting for one that does not.
const CONTROL_START: Duration = Duration::from_secs(10);

/// Runs a mesh until SIGINT, SIGTERM or SIGHUP. Returns the exit status: 0, or 2 if it did not
/// start for a reason that is the user's to mend. Must be called on the main thread, which lives
/// as long as the process: children die with the thread that made them.
///
/// # Errors
/// Something that should work did not.
pub fn run(options: Options, roles: Box<dyn Roles>) -> anyhow::Result<u8> {
    match run_checked(options, roles) {
        Ok(()) => Ok(0),
        Err(error) => match error.downcast::<Refusal>() {
            Ok(refusal) => {
                eprintln!("lateen up: {refusal}");
                Ok(2)
            }
            Err(error) => Err(error),
        },
    }
}

fn run_checked(mut options: Options, mut roles: Box<dyn Roles>) -> anyhow::Result<()> {
    let images = Images::new(&options.images).map_err(Refusal::Usage)?;
    for file in &mut options.files {
        // Children may have another working directory.
        *file = std::path::absolute(&file).context("working directory")?;
        if !file.exists() {
            return Err(Refusal::Usage(format!("{}: no such file or folder", file.display())).into());
        }
    }
    options.runtime_dir = std::path::absolute(&options.runtime_dir).context("working directory")?;
    preflight::permissions()?;
    let lock = preflight::lock(&options.runtime_dir)?;
    let dir = options.runtime_dir.clone();
    // Tokens and keys are inside.
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700))?;
    let left = preflight::clean(&dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        roles.prepare(&dir.join("control"))?;
        start(options, images, Rc::from(roles), left).await
    });
    drop(local);
    runtime.shutdown_timeout(Duration::from_millis(100));
    let cleaned = preflight::clean(&dir);
    preflight::remove_folder(&dir);
    drop(lock);
    result.and(cleaned.map(drop))
}

async fn start(
    options: Options,
    images: Images,
    roles: Rc<dyn Roles>,
    mut left: Vec<String>,
) -> anyhow::Result<()> {
    // From here on a signal is an order to end, also while starting.
    let mut signals = Signals::new()?;
    let mut reporter = Reporter::new();
    let links = Links::open()?;
    left.extend(links.remove_ours().await?);
    if !left.is_empty() {
        reporter.line(&format!("Removed what an earlier run left: {}", left.join(", ")));
    }
    let result = tokio::select! {
        result = serve(&options, images, roles, &links, &mut reporter) => result,
        () = signals.recv() => Ok(None),
    };
    let ended = match result {
        Ok(Some(mut running)) => {
            let result = running.run(&mut signals, reporter).await;
            running.end().await;
            result
        }
        ended => {
            reporter.ending();
            ended.map(drop)
        }
    };
    links.remove_ours().await.map(drop).and(ended)
}

/// Everything that is started before the first pod.
async fn serve(
    options: &Options,
    images: Images,
    roles: Rc<dyn Roles>,
    links: &Links,
    reporter: &mut Reporter,
) -> anyhow::Result<Option<Running>> {
    reporter.step("Making the network".into());
    let relay =
        Relay::start(options.gateway_port).await.map_err(|error| Refusal::Usage(format!("{error:#}")))?;
    let ranges = addresses::choose(&links.used_ranges().await?)
        .ok_or_else(|| Refusal::Usage("no private address range is free on this host".into()))?;
    let pool = Pool::new(ranges.pods);
    links.add_bridge(pool.bridge(), ranges.pods.prefix).await?;
    warn_of_firewall(reporter);
    let dns = match Dns::start(pool.bridge()).await {
        Ok(dns) => Some(dns),
        Err(error) => {
            reporter.line(&format!("Pods without a proxy have no name server: {error:#}"));
            None
        }
    };
    let logs = options.runtime_dir.join("logs");
    folder::folder_with_mode(&logs, 0o755)?;
    let documents = Documents::create(&options.runtime_dir.join("config"))?;
    reporter.step("Starting the control plane".into());
    let control = start_control(options, &*roles, &pool, ranges, &logs);
    let (hub, feed) = HubBuilder::new(Settings::default(), Debounce::default(), &Readiness::new())
        .source(FileSource::new(options.files.clone()).mesh_config(options.mesh_config.clone()))
        .build();
    // What is wrong with the files is the control plane's to say, once.
    tokio::spawn(async move {
        let _ = feed.run().await;
    });
    let mut state = control.state.clone();
    // Without a control plane pods would not become ready either, so it is no error to go on.
    let _ = tokio::time::timeout(CONTROL_START, state.wait_for(|state| state.ready)).await;
    let snapshots = hub.subscribe();
    let (reports, queue) = mpsc::unbounded_channel();
    let mesh = Mesh::new(mesh::Parts {
        options: options.clone(),
        images,
        roles,
        links: links.clone(),
        relay,
        dns,
        documents,
        pool,
        reports,
        logs,
    });
    Ok(Some(Running { mesh, control, snapshots, queue, _hub: hub }))
}

/// Where the kernel shows frames between pods to the host's firewall, its rules may keep pods
/// from each other. They are not ours to change.
fn warn_of_firewall(reporter: &Reporter) {
    let switch = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    let shown = std::fs::read_to_string(switch).is_ok_and(|value| value.trim() == "1");
    let tables = redirect::tables().unwrap_or_default();
    if shown && !tables.is_empty() {
        reporter.line(&format!(
            "The host has firewall rules ({}) and {switch} is 1: if pods cannot reach each other, the rules \
             must accept forwarding on {}.",
            tables.join(", "),
            crate::links::BRIDGE
        ));
    }
}

struct ControlHandle {
    state: watch::Receiver<ControlState>,
    notes: mpsc::UnboundedReceiver<String>,
    end: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

fn start_control(
    options: &Options,
    roles: &dyn Roles,
    pool: &Pool,
    ranges: Ranges,
    logs: &Path,
) -> ControlHandle {
    let mut config = options.files.clone();
    config.push(options.runtime_dir.join("config"));
    let place = ControlPlace {
        address: pool.bridge(),
        config,
        service_range: ranges.services,
        state_dir: options.runtime_dir.join("control"),
    };
    let (state, seen) = watch::channel(ControlState::default());
    let (notes, queue) = mpsc::unbounded_channel();
    let (end, ended) = watch::channel(false);
    let arguments = roles.control(&place);
    let log = logs.join("control.log");
    let control = Control { arguments, address: place.address, log, state, notes, end: ended };
    let task = tokio::task::spawn_local(control::run(control, LAST_GRACE));
    ControlHandle { state: seen, notes: queue, end, task }
}

/// A mesh with everything started but its pods.
struct Running {
    mesh: Mesh,
    control: ControlHandle,
    snapshots: Subscription,
    queue: mpsc::UnboundedReceiver<(u64, pod::Report)>,
    _hub: source::Hub,
}

impl Running {
    /// Follows files and pods until a signal comes.
    async fn run(&mut self, signals: &mut Signals, reporter: Reporter) -> anyhow::Result<()> {
        self.mesh.begin(reporter, *self.control.state.borrow())?;
        loop {
            tokio::select! {
                () = signals.recv() => return Ok(()),
                next = self.snapshots.next() => {
                    let (snapshot, _) = next.context("reading files ended")?;
                    self.mesh.desire(snapshot);
                }
                Some((number, report)) = self.queue.recv() => self.mesh.reported(number, report),
                Some(note) = self.control.notes.recv() => self.mesh.say(&note),
                Ok(()) = self.control.state.changed() => {
                    let state = *self.control.state.borrow_and_update();
                    self.mesh.control(state);
                }
                () = self.mesh.patience() => self.mesh.lose_patience(),
            }
            // What came together is looked at together.
            while let Ok((number, report)) = self.queue.try_recv() {
                self.mesh.reported(number, report);
            }
            self.mesh.settle()?;
        }
    }

    /// Ends everything at once.
    async fn end(mut self) {
        self.control.end.send_replace(true);
        self.mesh.end_all(LAST_GRACE);
        let all = async {
            while self.mesh.has_pods() {
                match self.queue.recv().await {
                    Some((number, pod::Report::Gone)) => self.mesh.forget(number),
                    Some(_) => {}
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(LAST_GRACE + Duration::from_secs(2), all).await;
        let _ = tokio::time::timeout(Duration::from_secs(1), self.control.task).await;
    }
}

/// Orders to end.
struct Signals {
    signals: lifecycle::Shutdown,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Signals> {
        Ok(Signals { signals: lifecycle::Shutdown::new()?, hangup: signal(SignalKind::hangup())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.signals.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The objects of a snapshot.
fn documents(snapshot: &Snapshot) -> impl Iterator<Item = &Document> {
    // Pods run whether the control plane looks at them or not.
    snapshot.objects().chain(snapshot.left_out()).map(|document| &**document)
}
