//! What is made from secrets, until they change.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use crate::error::TlsError;

/// A value made from one generation of secrets. Readers take no lock; where a new one is due, one of them
/// makes it and the others wait for that in place of making their own (with ticket keys of their own).
pub(crate) struct Latest<T> {
    held: ArcSwapOption<Held<T>>,
    making: Mutex<()>,
}

struct Held<T> {
    generation: Generation,
    value: Arc<T>,
}

/// Of certificate, alternative certificate and roots; 0 for what there is none of.
pub(crate) type Generation = [u64; 3];

impl<T> Latest<T> {
    pub(crate) fn none() -> Self {
        Latest { held: ArcSwapOption::empty(), making: Mutex::new(()) }
    }

    /// The value of the secrets as `generation` says they are now; `make` also says which it has used.
    ///
    /// # Errors
    /// Those of `make`.
    pub(crate) fn get(
        &self,
        generation: impl Fn() -> Generation,
        make: impl FnOnce() -> Result<(Generation, T), TlsError>,
    ) -> Result<Arc<T>, TlsError> {
        let current = || {
            let held = self.held.load();
            held.as_ref().filter(|held| held.generation == generation()).map(|held| held.value.clone())
        };
        if let Some(value) = current() {
            return Ok(value);
        }
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = current() {
            return Ok(value);
        }
        let (generation, value) = make()?;
        let value = Arc::new(value);
        self.held.store(Some(Arc::new(Held { generation, value: value.clone() })));
        Ok(value)
    }
}
