//! Both proxies on the same mesh: their processes, and what each does differently from what is expected.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::DataPlane;
use tokio::sync::Semaphore;

use crate::bootstrap::{self, Made, place};
use crate::client::{self, Captured, Reply};
use crate::mesh::Mesh;
use crate::network::{Block, Network};
use crate::scenario::{Scenario, To};

/// So many scenarios of a mesh are under way at once.
const AT_ONCE: usize = 6;

/// So long may a proxy take to listen.
const READY: Duration = Duration::from_secs(15);

/// What is wrong, and how many are marked.
#[derive(Default)]
pub struct Outcome {
    pub wrong: Vec<String>,
    pub marked: usize,
}

impl Outcome {
    pub fn add(&mut self, other: Outcome) {
        self.wrong.extend(other.wrong);
        self.marked += other.marked;
    }
}

pub fn run(mesh: &Mesh, network: &Network, lateen: &Path, envoy: &Path) -> Outcome {
    let (ours, theirs) = std::thread::scope(|scope| {
        let ours = scope.spawn(|| side(mesh, network, lateen, DataPlane::Lateen));
        let theirs = side(mesh, network, envoy, DataPlane::Envoy);
        (ours.join().expect("Lateen's side"), theirs)
    });
    let mut outcome = Outcome::default();
    for (i, scenario) in mesh.scenarios.iter().enumerate() {
        outcome.marked += usize::from(scenario.not_yet.is_some());
        for (side, found) in [("lateen", &ours[i]), ("envoy", &theirs[i])] {
            let marked = scenario.not_yet.as_ref().is_some_and(|(who, _)| who == side || who == "both");
            let name = format!("{}/{} with {side}", mesh.name, scenario.name);
            match (found, marked) {
                (Some(what), false) => outcome.wrong.push(format!("== {name}: {what}")),
                (None, true) => {
                    outcome.wrong.push(format!("== {name} is as it should be: take the mark off"))
                }
                _ => {}
            }
        }
    }
    outcome
}

/// For each scenario what differs.
fn side(mesh: &Mesh, network: &Network, binary: &Path, data_plane: DataPlane) -> Vec<Option<String>> {
    let tag = if data_plane == DataPlane::Lateen { "lateen" } else { "envoy" };
    let own = network.block();
    let made = bootstrap::make(mesh, network, data_plane, own);
    let _process = match start(mesh, network, binary, tag, &made) {
        Ok(process) => process,
        Err(why) => return mesh.scenarios.iter().map(|_| Some(why.clone())).collect(),
    };
    network.runtime.block_on(async {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        let scenarios = mesh.scenarios.iter().enumerate().map(|(number, scenario)| {
            let permits = permits.clone();
            async move {
                let _permit = permits.acquire().await.expect("open");
                judge(mesh, network, scenario, own, &format!("{}-{tag}-{number}", mesh.name)).await
            }
        });
        all(scenarios).await
    })
}

/// Waits for all of them at once, in their order.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|cx| {
        let mut ready = true;
        for (future, result) in &mut pending {
            if result.is_none() {
                match future.as_mut().poll(cx) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, result)| result).collect()
}

async fn judge(
    mesh: &Mesh,
    network: &Network,
    scenario: &Scenario,
    own: Block,
    case: &str,
) -> Option<String> {
    let mut replies: Vec<Reply> = Vec::new();
    for _ in 0..scenario.times {
        let (listener, captured) = target(mesh, scenario, own);
        replies.push(client::ask(scenario, listener, captured, &network.authority, case).await);
    }
    let seen = |name: &str| mesh.seen.of(case, name);
    let mut differs = None;
    // Mirrored requests may arrive later than the answer.
    for _ in 0..20 {
        differs = scenario.expected.iter().find_map(|expected| expected.differs(&replies, &seen));
        let late = differs.as_ref().is_some_and(|what| what.contains(" saw "));
        if !late {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let what = differs?;
    let last = replies.last().map(|reply| format!("{reply:?}")).unwrap_or_default();
    Some(format!("{what}\n     {:.900}", mesh.block.out_of_text(&last)))
}

/// The listener to connect to, and what the PROXY protocol says there.
fn target(mesh: &Mesh, scenario: &Scenario, own: Block) -> (SocketAddr, Option<Captured>) {
    let pod = mesh.viewer.address;
    let view = mesh.snapshot.view();
    let config = view.mesh();
    let captured = |to: std::net::IpAddr, from: std::net::IpAddr| {
        let from = scenario.from.map_or(from, Into::into);
        Some(Captured { from: client::v4(from, 40_000), to: client::v4(to, scenario.port) })
    };
    match scenario.to {
        To::Outbound => {
            let to = scenario.address.expect("out ADDRESS:PORT");
            (SocketAddr::new(own.at(1), config.proxy_listen_port), captured(to, pod))
        }
        To::Inbound => {
            let to = SocketAddr::new(own.at(1), config.proxy_inbound_listen_port);
            (to, captured(pod, mesh.block.at(200)))
        }
        To::Listener => {
            let written = scenario.address.unwrap_or([0, 0, 0, 0].into());
            // What stands before it tells it who asks, only if the scenario does.
            let told = scenario.from.and_then(|from| captured(pod, from.into()));
            (place(SocketAddr::new(written, scenario.port), mesh.block, own), told)
        }
    }
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Until it listens everywhere. The error says what it said instead.
fn start(mesh: &Mesh, network: &Network, binary: &Path, tag: &str, made: &Made) -> Result<Process, String> {
    let path = |end: &str| network.folder.path().join(format!("{}-{tag}.{end}", mesh.name));
    let (config, output) = (path("json"), path("out"));
    std::fs::write(&config, made.json.to_string()).expect("writing a bootstrap");
    let file = std::fs::File::create(&output).expect("a file");
    let mut command = Command::new(binary);
    match tag {
        "lateen" => command.args(["proxy", "--concurrency", "1", "-c"]),
        _ => command.args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "-c"]),
    };
    command.arg(&config).stdout(file.try_clone().expect("a file")).stderr(file);
    let mut process = Process(command.spawn().expect("starting a proxy"));
    let begin = Instant::now();
    loop {
        let connect = |address: &SocketAddr| std::net::TcpStream::connect(address).map(drop);
        let Some(missing) = made.listens.iter().find(|address| connect(address).is_err()) else {
            return Ok(process);
        };
        let ended = process.0.try_wait().ok().flatten();
        if ended.is_some() || begin.elapsed() > READY {
            let said = std::fs::read_to_string(&output).unwrap_or_default();
            return Err(format!("it does not listen at {missing} ({ended:?}): {said:.1500}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
