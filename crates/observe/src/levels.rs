//! Levels of the log, while the process runs.

use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_subscriber::EnvFilter;

/// Envoy's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warning,
    Error,
    Off,
}

impl Level {
    fn directive(self) -> &'static str {
        match self {
            Level::Trace => "trace",
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warning => "warn",
            Level::Error => "error",
            Level::Off => "off",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Level::Warning { "warning" } else { self.directive() })
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "trace" => Level::Trace,
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" | "warning" => Level::Warning,
            "error" => Level::Error,
            "off" => Level::Off,
            _ => return Err(()),
        })
    }
}

/// Whose levels can be set: crates, as they are named in log lines.
const LOGGERS: &[&str] = &[
    "agent",
    "h2",
    "http1",
    "hyper",
    "identity",
    "lateen",
    "net",
    "proxy",
    "rustls",
    "upstream",
    "xds_client",
];

type Reload = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send>;

/// The filter of the process's logger, and the way to change it.
struct Filter {
    text: String,
    reload: Reload,
}

static FILTER: Mutex<Option<Filter>> = Mutex::new(None);

fn lock() -> MutexGuard<'static, Option<Filter>> {
    FILTER.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn keep(text: String, reload: Reload) {
    *lock() = Some(Filter { text, reload });
}

/// Every logger with its level; empty where somebody else set up logging.
pub fn current() -> Vec<(&'static str, Level)> {
    let filter = lock();
    let Some(filter) = &*filter else { return Vec::new() };
    LOGGERS.iter().map(|name| (*name, level_of(&filter.text, name))).collect()
}

/// Sets every level.
///
/// # Errors
/// Somebody else set up logging.
pub fn set_all(level: Level) -> Result<(), String> {
    change(|_| level.directive().to_owned())
}

/// Sets the levels of some loggers.
///
/// # Errors
/// Somebody else set up logging, or a name is not one of a logger.
pub fn set(levels: &[(&str, Level)]) -> Result<(), String> {
    let more: String = levels.iter().map(|(name, level)| format!(",{name}={}", level.directive())).collect();
    change(|text| format!("{text}{more}"))
}

fn change(new: impl FnOnce(&str) -> String) -> Result<(), String> {
    let mut filter = lock();
    let filter = filter.as_mut().ok_or("logging was set up elsewhere")?;
    let text = new(&filter.text);
    let parsed = EnvFilter::try_new(&text).map_err(|error| error.to_string())?;
    // As it is understood: what was overridden is gone.
    let text = parsed.to_string();
    (filter.reload)(parsed)?;
    filter.text = text;
    Ok(())
}

/// The level that `name=level,level` gives a logger. Directives with spans or fields do not count.
fn level_of(text: &str, name: &str) -> Level {
    let mut general = Level::Error;
    for directive in text.split(',') {
        match directive.split_once('=') {
            None => general = directive.parse().unwrap_or(general),
            Some((target, level)) if target == name => return level.parse().unwrap_or(general),
            Some(_) => {}
        }
    }
    general
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_changed_one_by_one_and_all_at_once() {
        assert_eq!(set_all(Level::Info), Err("logging was set up elsewhere".to_owned()));
        keep("info,h2=warn".into(), Box::new(|_| Ok(())));
        let of = |name: &str| current().into_iter().find(|(logger, _)| *logger == name).unwrap().1;
        assert_eq!((of("h2"), of("proxy")), (Level::Warning, Level::Info));
        set(&[("proxy", Level::Trace), ("h2", Level::Off)]).unwrap();
        assert_eq!((of("h2"), of("proxy"), of("net")), (Level::Off, Level::Trace, Level::Info));
        set_all(Level::Debug).unwrap();
        assert_eq!((of("h2"), of("proxy")), (Level::Debug, Level::Debug));
        assert!(set(&[("a b=", Level::Off)]).is_err());
    }
}
