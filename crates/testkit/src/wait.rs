//! Waiting for something to become true.

use std::time::{Duration, Instant};

/// Tries until `check` gives a value; panics with its last complaint when time is up.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match check() {
            Ok(value) => return value,
            Err(complaint) if start.elapsed() > limit => {
                panic!("{what}: not within {limit:?}; last: {complaint}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
