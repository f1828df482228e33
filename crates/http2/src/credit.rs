//! Frames that cost their sender nothing: SETTINGS, PING, PRIORITY, RST_STREAM, WINDOW_UPDATE, unknown
//! ones, DATA without bytes. Each is answered or looked at, so a flood of them has to end.

use std::time::Instant;

use crate::frame::{Head, flag, kind};

/// What a connection may spend at once, and what it earns again.
const CREDIT: i64 = 2000;
const PER_SECOND: i64 = 200;
/// For a head or bytes of a body: control frames belong to them.
const PER_FRAME: i64 = 10;
/// Bytes that we sent are worth one: they may be acknowledged by WINDOW_UPDATEs.
const BYTES_SENT: usize = 256;

/// What is left to spend.
#[derive(Debug)]
pub(crate) struct Credit {
    left: i64,
    since: Instant,
}

impl Credit {
    pub(crate) fn new(now: Instant) -> Self {
        Credit { left: CREDIT, since: now }
    }

    /// A frame came. `false`: it is one too many.
    pub(crate) fn take(&mut self, head: &Head) -> bool {
        self.left = (self.left + worth(head)).min(CREDIT);
        self.left >= 0 || self.earn(Instant::now())
    }

    /// The clock is read only where the credit is used up.
    fn earn(&mut self, now: Instant) -> bool {
        let earned = now.saturating_duration_since(self.since).as_secs_f64() * PER_SECOND as f64;
        self.left = (self.left + earned as i64).min(CREDIT);
        self.since = now;
        self.left >= 0
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.left = (self.left + (bytes / BYTES_SENT) as i64).min(CREDIT);
    }
}

/// What a frame adds to the credit or takes from it.
fn worth(head: &Head) -> i64 {
    match head.kind {
        kind::DATA if head.len > 0 || head.has(flag::END_STREAM) => PER_FRAME,
        kind::HEADERS => PER_FRAME,
        // May change the window of every stream.
        kind::SETTINGS => -10,
        // Bounded by the size of the list, unless it is empty.
        kind::CONTINUATION if head.len > 0 => 0,
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, len: usize) -> Head {
        Head { len, kind, flags, stream: 1 }
    }

    /// How many of such frames pass at once.
    fn pass(frames: &[Head]) -> Option<usize> {
        let start = Instant::now();
        let mut credit = Credit::new(start);
        (0..100_000).find(|_| {
            frames.iter().for_each(|frame| credit.left = (credit.left + worth(frame)).min(CREDIT));
            credit.left < 0 && !credit.earn(start)
        })
    }

    #[test]
    fn floods_end() {
        assert_eq!(pass(&[frame(kind::PING, 0, 8)]), Some(2000));
        assert_eq!(pass(&[frame(kind::SETTINGS, 0, 6)]), Some(200));
        assert_eq!(pass(&[frame(kind::DATA, 0, 0)]), Some(2000));
        assert_eq!(pass(&[frame(kind::PRIORITY, 0, 5)]), Some(2000));
        assert_eq!(pass(&[frame(kind::CONTINUATION, 0, 0)]), Some(2000));
    }

    #[test]
    fn work_goes_on() {
        let update = frame(kind::WINDOW_UPDATE, 0, 4);
        assert_eq!(pass(&[frame(kind::HEADERS, 5, 30), update, frame(kind::PING, 0, 8)]), None);
        assert_eq!(pass(&[frame(kind::DATA, 0, 1), update]), None);
        let start = Instant::now();
        let mut credit = Credit::new(start);
        for second in 0..10_000 {
            (0..100).for_each(|_| credit.left += worth(&frame(kind::PING, 0, 8)));
            assert!(credit.left >= 0 || credit.earn(start + Duration::from_secs(second)), "{second}");
        }
        // A download whose every frame is acknowledged twice.
        for _ in 0..10_000 {
            credit.sent(16 * 1024);
            assert!(credit.take(&update) && credit.take(&update));
        }
    }
}
