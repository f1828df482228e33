//! One stream of either kind: what was asked for, and an answer whenever there is news.

use identity::SecretStore;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

/// What a client asked for and what it has.
pub(super) trait Subscriptions: Default + Send {
    type Request: Send + 'static;
    type Response: Send;

    /// # Errors
    /// The stream ends with this status.
    fn take(&mut self, request: Self::Request) -> Result<(), Status>;

    /// What the client lacks, if anything.
    fn news(&mut self, secrets: &SecretStore) -> Option<Self::Response>;
}

pub(super) async fn run<S: Subscriptions>(
    secrets: SecretStore,
    mut requests: Streaming<S::Request>,
    responses: mpsc::Sender<Result<S::Response, Status>>,
) {
    let mut subscriptions = S::default();
    let mut changes = secrets.changes();
    loop {
        let outcome = tokio::select! {
            request = requests.message() => match request {
                Ok(Some(request)) => subscriptions.take(request),
                Ok(None) | Err(_) => return,
            },
            _ = changes.changed() => Ok(()),
            () = responses.closed() => return,
        };
        let response = match outcome {
            Ok(()) => subscriptions.news(&secrets).map(Ok),
            Err(status) => Some(Err(status)),
        };
        if let Some(response) = response
            && responses.send(response).await.is_err()
        {
            return;
        }
    }
}
