//! SIGTERM and SIGINT.

use std::fmt;
use std::io;

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// A request to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    Terminate,
    Interrupt,
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Signal::Terminate => "SIGTERM",
            Signal::Interrupt => "SIGINT",
        })
    }
}

/// Receives SIGTERM and SIGINT from its creation on, so that one that comes while the process is
/// still starting is not lost. A second [`Shutdown::recv`] gets the next one ("now, please").
pub struct Shutdown {
    terminate: Stream,
    interrupt: Stream,
}

impl Shutdown {
    /// Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The handlers could not be installed.
    pub fn new() -> io::Result<Self> {
        Ok(Shutdown {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal.
    pub async fn recv(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Terminate,
            _ = self.interrupt.recv() => Signal::Interrupt,
        }
    }
}
