//! How long a burst of changes may settle.

use std::time::Duration;

/// A batch is applied when nothing came for `quiet`, at the latest `cap` after its first change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce {
    pub quiet: Duration,
    pub cap: Duration,
}

impl Default for Debounce {
    fn default() -> Self {
        Debounce { quiet: Duration::from_millis(5), cap: Duration::from_millis(500) }
    }
}

impl Debounce {
    /// From Istio's `PILOT_DEBOUNCE_AFTER` and `PILOT_DEBOUNCE_MAX`, looked up with `variable`.
    ///
    /// # Errors
    /// A sentence that names the variable that is no duration.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let read = |name: &str, default| match variable(name) {
            None => Ok(default),
            Some(text) => stdx::duration::parse(&text).map_err(|error| format!("{name}: {error}")),
        };
        let default = Debounce::default();
        let quiet = read("PILOT_DEBOUNCE_AFTER", default.quiet)?;
        let cap = read("PILOT_DEBOUNCE_MAX", default.cap.max(quiet))?;
        Ok(Debounce { quiet: quiet.min(cap), cap })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istios_variables_are_honoured() {
        let read = |after: Option<&str>, max: Option<&str>| {
            Debounce::from_env(|name| match name {
                "PILOT_DEBOUNCE_AFTER" => after.map(str::to_owned),
                _ => max.map(str::to_owned),
            })
        };
        let ms = Duration::from_millis;
        assert_eq!(read(None, None), Ok(Debounce::default()));
        assert_eq!(read(Some("100ms"), Some("10s")), Ok(Debounce { quiet: ms(100), cap: ms(10_000) }));
        assert_eq!(read(Some("2s"), None), Ok(Debounce { quiet: ms(2000), cap: ms(2000) }));
        assert!(read(Some("soon"), None).is_err_and(|e| e.contains("PILOT_DEBOUNCE_AFTER")));
    }
}
