//! Our codes for objects together.

use super::Entry;

pub(super) const ENTRIES: &[Entry] = &[];
