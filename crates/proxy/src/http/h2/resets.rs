//! Streams that are reset as soon as they are opened cost us much and their client nothing
//! (CVE-2023-44487).

use std::time::Duration;

/// Envoy's `overload.premature_reset_total_stream_count`.
const ALLOWED: u32 = 500;
/// Envoy's `overload.premature_reset_min_stream_lifetime_seconds`.
const PREMATURE: Duration = Duration::from_secs(1);

/// Counts a connection's streams that ended, and those whose client reset them at once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Resets {
    ended: u32,
    premature: u32,
}

impl Resets {
    /// Counts a stream. `true`: at least half of all were reset prematurely, of the first 500 too.
    pub(super) fn ended(&mut self, lived: Duration, reset: bool) -> bool {
        self.ended = self.ended.saturating_add(1);
        if !reset || lived >= PREMATURE {
            return false;
        }
        self.premature = self.premature.saturating_add(1);
        self.premature.saturating_mul(2) >= self.ended.max(ALLOWED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_ONCE: Duration = Duration::from_millis(1);

    #[test]
    fn a_flood_is_too_many() {
        let mut resets = Resets::default();
        let counted = (0..1000).take_while(|_| !resets.ended(AT_ONCE, true)).count();
        assert_eq!(counted, 249);
    }

    #[test]
    fn clients_may_change_their_mind() {
        let mut resets = Resets::default();
        for round in 0..10_000 {
            assert!(!resets.ended(AT_ONCE, false), "{round}");
            assert!(round % 3 != 0 || !resets.ended(AT_ONCE, true), "{round}");
            assert!(!resets.ended(PREMATURE, true), "{round}");
        }
    }
}
