//! What is known of a connection that a request was given up on.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::Facts;

/// Where an exchange that is dropped before its response's head came leaves what is known of its
/// connection. A copy begins empty.
#[derive(Default)]
pub struct Left(Cell<Option<Rc<Facts>>>);

impl Left {
    /// What was left since it was asked for last.
    pub fn take(&self) -> Option<Rc<Facts>> {
        self.0.take()
    }
}

impl Clone for Left {
    fn clone(&self) -> Self {
        Left::default()
    }
}

/// Waits for what an exchange yields. Whoever gives up before, as at a timeout, finds its facts in `left`.
pub(crate) async fn or_left<E, T>(
    left: &Left,
    exchange: &mut E,
    facts: impl Fn(&E) -> Rc<Facts>,
    mut poll: impl FnMut(&mut E, &mut Context<'_>) -> Poll<T>,
) -> T {
    let mut waiting = Waiting { exchange, facts, left: Some(left) };
    let came = poll_fn(|cx| poll(waiting.exchange, cx)).await;
    waiting.left = None;
    came
}

struct Waiting<'a, E, F: Fn(&E) -> Rc<Facts>> {
    exchange: &'a mut E,
    facts: F,
    /// `None` once nothing is waited for.
    left: Option<&'a Left>,
}

impl<E, F: Fn(&E) -> Rc<Facts>> Drop for Waiting<'_, E, F> {
    fn drop(&mut self) {
        if let Some(left) = self.left {
            left.0.set(Some((self.facts)(self.exchange)));
        }
    }
}
