//! How long to wait before something that ended is started again.

use std::time::Duration;

/// Doubles from `first` to `cap`; begins anew after a life of at least `healthy`.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    cap: Duration,
    healthy: Duration,
    next: Duration,
}

impl Backoff {
    /// For proxies and the control plane: traffic waits for them.
    pub fn prompt() -> Backoff {
        Self::new(Duration::from_millis(10), Duration::from_secs(10), Duration::from_secs(10))
    }

    /// For applications: as a kubelet, but from 1 s.
    pub fn patient() -> Backoff {
        Self::new(Duration::from_secs(1), Duration::from_secs(300), Duration::from_secs(600))
    }

    fn new(first: Duration, cap: Duration, healthy: Duration) -> Backoff {
        Backoff { first, cap, healthy, next: first }
    }

    /// The wait after a life that took `lived`.
    pub fn after(&mut self, lived: Duration) -> Duration {
        if lived >= self.healthy {
            self.next = self.first;
        }
        let wait = self.next;
        self.next = (wait * 2).min(self.cap);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_cap_and_begins_anew() {
        let mut backoff = Backoff::prompt();
        let millis: Vec<u128> = (0..12).map(|_| backoff.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(millis, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10_000, 10_000]);
        assert_eq!(backoff.after(Duration::from_secs(10)).as_millis(), 10);
        let mut backoff = Backoff::patient();
        let seconds: Vec<u64> = (0..10).map(|_| backoff.after(Duration::from_secs(60)).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
    }
}
