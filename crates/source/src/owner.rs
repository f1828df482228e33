//! The one task that changes the registry.

use std::sync::Arc;
use std::time::Duration;

use lifecycle::{ReadyToken, Tasks};
use model::Finding;
use registry::{Change, Delta, Snapshot};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::{debug, error};

use crate::findings::{Ledger, Part};
use crate::hub::{HubTask, Shared};
use crate::{Debounce, Message, Update};

/// Findings that need the whole mesh are looked for when it has been quiet this long: they must not
/// delay a push.
const JUDGE_AFTER: Duration = Duration::from_millis(50);

pub(crate) struct Owner {
    shared: Arc<Shared>,
    receiver: mpsc::Receiver<Message>,
    debounce: Debounce,
    snapshot: Arc<Snapshot>,
    /// Of sources whose first full set is missing.
    tokens: Vec<Option<ReadyToken>>,
    published: bool,
    ledger: Ledger,
    judge_at: Option<Instant>,
    judging: Option<JoinHandle<Vec<Finding>>>,
}

/// What came within one debounce.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    complete: Vec<usize>,
    findings: bool,
}

impl HubTask {
    /// Runs the sources and the owner until a source fails.
    ///
    /// # Errors
    /// Names the source that ended, and why.
    pub async fn run(self) -> Result<(), String> {
        let HubTask { mut owner, runs } = self;
        let mut tasks: Tasks<String> = Tasks::new();
        for (name, run) in runs {
            tasks.spawn(name, run);
        }
        let ended = async {
            match tasks.next_end().await {
                Some((name, end)) => format!("the source {name} {end}"),
                None => std::future::pending().await,
            }
        };
        let result = tokio::select! {
            reason = ended => Err(reason),
            () = owner.run() => Ok(()),
        };
        owner.shared.close();
        result
    }
}

impl Owner {
    pub fn new(
        shared: Arc<Shared>,
        receiver: mpsc::Receiver<Message>,
        debounce: Debounce,
        tokens: Vec<Option<ReadyToken>>,
    ) -> Self {
        let snapshot = shared.empty().clone();
        Owner {
            shared,
            receiver,
            debounce,
            snapshot,
            tokens,
            published: false,
            ledger: Ledger::default(),
            judge_at: None,
            judging: None,
        }
    }

    /// Until every sender is gone.
    async fn run(&mut self) {
        // Without sources there is nothing to wait for.
        self.publish_if_ready(&Delta::default());
        loop {
            // References within a part of the mesh would look broken.
            let judge_at = self.judge_at.filter(|_| self.published && self.judging.is_none());
            tokio::select! {
                message = self.receiver.recv() => match message {
                    Some(message) => self.batch(message).await,
                    None => return,
                },
                () = sleep_until(judge_at.unwrap_or_else(Instant::now)), if judge_at.is_some() => self.judge(),
                Some(findings) = finished(&mut self.judging) => {
                    self.judging = None;
                    self.ledger.set(Part::Registry, findings);
                    self.publish_findings();
                }
            }
        }
    }

    /// Collects what follows a first message until it is quiet, and applies it.
    async fn batch(&mut self, first: Message) {
        let cap = Instant::now() + self.debounce.cap;
        let mut batch = Batch::default();
        self.take(first, &mut batch);
        loop {
            let quiet = (Instant::now() + self.debounce.quiet).min(cap);
            match timeout_at(quiet, self.receiver.recv()).await {
                Ok(Some(message)) => self.take(message, &mut batch),
                Ok(None) | Err(_) => break,
            }
            if Instant::now() >= cap {
                break;
            }
        }
        self.apply(batch);
    }

    fn take(&mut self, message: Message, batch: &mut Batch) {
        match message {
            Message::Update(source, Update { changes, findings, complete }) => {
                batch.changes.extend(changes);
                if complete {
                    batch.complete.push(source);
                }
                if let Some(findings) = findings {
                    batch.findings = true;
                    self.ledger.set(Part::Source(source), findings);
                }
            }
            Message::Report(part, findings) => {
                batch.findings = true;
                self.ledger.set(Part::Other(part), findings);
            }
        }
    }

    fn apply(&mut self, batch: Batch) {
        let mut delta = Delta::default();
        if !batch.changes.is_empty() {
            let started = Instant::now();
            let count = batch.changes.len();
            let (snapshot, changed) = self.snapshot.apply(batch.changes);
            self.snapshot = Arc::new(snapshot);
            delta = changed;
            debug!(changes = count, took = ?started.elapsed(), keys = delta.keys().count(), "applied");
            self.judge_at = Some(Instant::now() + JUDGE_AFTER);
        }
        for source in batch.complete {
            if let Some(token) = self.tokens.get_mut(source).and_then(Option::take) {
                token.ready();
            }
        }
        self.publish_if_ready(&delta);
        if batch.findings {
            self.publish_findings();
        }
    }

    /// A part of the mesh is never published for the whole: proxies would lose what is missing.
    fn publish_if_ready(&mut self, delta: &Delta) {
        if self.tokens.iter().any(Option::is_some) {
            return;
        }
        // Also without a difference: places of fields are new then.
        if !self.published || !Arc::ptr_eq(&self.snapshot, &self.shared.snapshot()) {
            self.published = true;
            self.shared.publish(self.snapshot.clone(), delta);
        }
    }

    fn judge(&mut self) {
        self.judge_at = None;
        let snapshot = self.snapshot.clone();
        self.judging = Some(tokio::task::spawn_blocking(move || registry::findings(&snapshot)));
    }

    fn publish_findings(&mut self) {
        let all = self.ledger.all(&self.snapshot);
        self.ledger.log_news(&all);
        self.shared.publish_findings(all);
    }
}

/// The result of a judgement that is under way; `None` if it was lost, never if there is none.
async fn finished(judging: &mut Option<JoinHandle<Vec<Finding>>>) -> Option<Vec<Finding>> {
    match judging {
        None => std::future::pending().await,
        Some(handle) => Some(handle.await.unwrap_or_else(|error| {
            error!("looking for findings failed: {error}");
            Vec::new()
        })),
    }
}
