//! Large values that are made where they stay.

use std::pin::Pin;

/// `Box::new(make())`, made in its box. `Box::new` gets its value before there is memory for it and then has to
/// copy all of it: of a future that has not begun yet that is kilobytes of room for what comes later.
#[inline(always)]
pub fn boxed<T>(make: impl FnOnce() -> T) -> Box<T> {
    let room = Box::new_uninit();
    Box::write(room, make())
}

/// [`boxed`] for futures.
#[inline(always)]
pub fn pinned<T>(make: impl FnOnce() -> T) -> Pin<Box<T>> {
    Box::into_pin(boxed(make))
}
