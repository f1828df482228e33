//! How values of the types that `message!` makes are read. What is wrong with a value was reported
//! by the schema's check; here it is only left out.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{Labels, Str};

use super::Item;

/// Something that can be read from a value that is present.
pub(crate) trait Read: Sized {
    /// `None`: it is not what it should be.
    fn read(item: &Item<'_>) -> Option<Self>;
}

/// A field, which may be absent.
pub(crate) trait Absent {
    fn from_item(item: Option<Item<'_>>) -> Self;
}

impl<T: Read> Absent for Option<T> {
    fn from_item(item: Option<Item<'_>>) -> Self {
        item.and_then(|item| T::read(&item))
    }
}

impl<T: Read> Absent for Vec<T> {
    fn from_item(item: Option<Item<'_>>) -> Self {
        item.map(|item| item.list().iter().filter_map(T::read).collect()).unwrap_or_default()
    }
}

impl<T: Read> Absent for BTreeMap<Str, T> {
    fn from_item(item: Option<Item<'_>>) -> Self {
        let entry = |(key, item): (Str, Item<'_>)| Some((key, T::read(&item)?));
        item.map(|item| item.entries().into_iter().filter_map(entry).collect()).unwrap_or_default()
    }
}

impl Absent for Labels {
    fn from_item(item: Option<Item<'_>>) -> Self {
        item.map(|item| item.labels()).unwrap_or_default()
    }
}

impl Absent for Str {
    fn from_item(item: Option<Item<'_>>) -> Self {
        item.and_then(|item| item.str()).unwrap_or_default()
    }
}

impl Absent for bool {
    fn from_item(item: Option<Item<'_>>) -> Self {
        item.and_then(|item| item.bool()).unwrap_or_default()
    }
}

impl Read for Str {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.str()
    }
}

impl Read for bool {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.bool()
    }
}

impl Read for f64 {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.number()
    }
}

impl Read for i32 {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.int(i32::MIN.into(), i32::MAX.into()).and_then(|v| v.try_into().ok())
    }
}

impl Read for u32 {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.u32()
    }
}

impl Read for u64 {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.int(0, i64::MAX).and_then(|v| v.try_into().ok())
    }
}

/// A port or a status.
impl Read for u16 {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.int(0, u16::MAX.into()).and_then(|v| v.try_into().ok())
    }
}

impl Read for Duration {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.any_duration()
    }
}
