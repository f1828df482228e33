//! Tells who watches a request what of it went over the wire.

use std::rc::Rc;

use http1::Wire;

use crate::Watch;

/// Tells it when it is dropped: before the connection or the stream is anybody else's.
pub(crate) struct Gauge {
    watch: Rc<dyn Watch>,
    wire: Box<dyn Fn() -> Wire>,
}

impl Gauge {
    pub(crate) fn new(watch: &Rc<dyn Watch>, wire: impl Fn() -> Wire + 'static) -> Self {
        Gauge { watch: watch.clone(), wire: Box::new(wire) }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.watch.moved((self.wire)());
    }
}
