//! Who a waker wakes.

use std::ptr;
use std::task::Waker;

/// What tells a waker from others, without holding its task: [`Waker::will_wake`] for a waker that was given
/// away. It means something for as long as somebody has that waker: afterwards another task may have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakerId {
    data: usize,
    vtable: usize,
}

impl WakerId {
    /// No waker has it.
    pub const NOBODY: WakerId = WakerId { data: 0, vtable: 0 };

    #[inline]
    pub fn of(waker: &Waker) -> WakerId {
        WakerId { data: waker.data().addr(), vtable: ptr::from_ref(waker.vtable()).addr() }
    }

    /// For tables by task. Not evenly spread: tasks are aligned to 128 bytes.
    #[inline]
    pub fn address(self) -> usize {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::task::Wake;

    use super::*;

    struct Task;

    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn copies_are_the_same_and_others_are_not() {
        let (one, other) = (Waker::from(Arc::new(Task)), Waker::from(Arc::new(Task)));
        assert_eq!(WakerId::of(&one), WakerId::of(&one.clone()));
        assert_ne!(WakerId::of(&one), WakerId::of(&other));
        assert_ne!(WakerId::of(Waker::noop()), WakerId::NOBODY);
    }
}
