//! A set of named tasks that belong together.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;

use tokio::task::{Id, JoinError, JoinSet};

/// Owns tasks: they are aborted when this is dropped, and none can end unnoticed.
pub struct Tasks<E> {
    set: JoinSet<Result<(), E>>,
    names: HashMap<Id, &'static str>,
}

/// How a task ended.
#[derive(Debug)]
pub enum TaskEnd<E> {
    Finished,
    Failed(E),
    Panicked(String),
    Aborted,
}

impl<E: fmt::Display> fmt::Display for TaskEnd<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskEnd::Finished => f.write_str("finished"),
            TaskEnd::Failed(error) => write!(f, "failed: {error}"),
            TaskEnd::Panicked(message) => write!(f, "panicked: {message}"),
            TaskEnd::Aborted => f.write_str("was stopped"),
        }
    }
}

impl<E: Send + 'static> Default for Tasks<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: Send + 'static> Tasks<E> {
    pub fn new() -> Self {
        Tasks { set: JoinSet::new(), names: HashMap::new() }
    }

    /// Starts a task.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = Result<(), E>> + Send + 'static) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits for the next task to end. `None`: there is none left.
    pub async fn next_end(&mut self) -> Option<(&'static str, TaskEnd<E>)> {
        let (id, end) = match self.set.join_next_with_id().await? {
            Ok((id, Ok(()))) => (id, TaskEnd::Finished),
            Ok((id, Err(error))) => (id, TaskEnd::Failed(error)),
            Err(error) => (error.id(), end_of(error)),
        };
        Some((self.names.remove(&id).unwrap_or("task"), end))
    }

    pub fn len(&self) -> usize {
        self.set.len()
    }

    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Stops all tasks and waits until they are gone.
    pub async fn stop(mut self) {
        self.set.shutdown().await;
    }
}

fn end_of<E>(error: JoinError) -> TaskEnd<E> {
    match error.try_into_panic() {
        Ok(panic) => TaskEnd::Panicked(message_of(&*panic)),
        Err(_) => TaskEnd::Aborted,
    }
}

fn message_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_end_is_seen_with_its_name() {
        let mut tasks: Tasks<String> = Tasks::new();
        tasks.spawn("good", async { Ok(()) });
        tasks.spawn("bad", async { Err("no".to_owned()) });
        let mut ends = Vec::new();
        while let Some((name, end)) = tasks.next_end().await {
            ends.push(format!("{name} {end}"));
        }
        ends.sort();
        assert_eq!(ends, ["bad failed: no", "good finished"]);
    }

    #[tokio::test]
    async fn stopping_ends_what_never_ends() {
        let mut tasks: Tasks<String> = Tasks::new();
        tasks.spawn("forever", std::future::pending());
        tasks.stop().await;
    }
}
