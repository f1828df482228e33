//! Logging, set up once per process. Logs go to stderr: stdout belongs to the command's result.

pub mod levels;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(format!("unknown log format {other:?} (text, json)")),
        }
    }
}

/// Installs the process's logger. `default_filter` (for example `info` or `info,h2=warn`) counts
/// where neither `LATEEN_LOG` nor `RUST_LOG` is set. Colour only on a terminal, and never with
/// `NO_COLOR`. A second call does nothing.
///
/// # Errors
/// The filter given by the environment is not one; the sentence names the variable.
pub fn init(format: LogFormat, default_filter: &str) -> Result<(), String> {
    let filter = filter_from(|name| std::env::var(name).ok(), default_filter)?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let text = filter.to_string();
    let logger = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(colour);
    let installed = match format {
        LogFormat::Text => {
            let logger = logger.with_env_filter(filter).with_filter_reloading();
            let reload = logger.reload_handle();
            logger.finish().try_init().map(|()| levels::keep(text, reloading(reload)))
        }
        LogFormat::Json => {
            let logger = logger.json().flatten_event(true).with_env_filter(filter).with_filter_reloading();
            let reload = logger.reload_handle();
            logger.finish().try_init().map(|()| levels::keep(text, reloading(reload)))
        }
    };
    drop(installed);
    Ok(())
}

fn reloading<S: 'static>(
    handle: tracing_subscriber::reload::Handle<EnvFilter, S>,
) -> Box<dyn Fn(EnvFilter) -> Result<(), String> + Send>
where
    tracing_subscriber::reload::Handle<EnvFilter, S>: Send,
{
    Box::new(move |filter| handle.reload(filter).map_err(|error| error.to_string()))
}

/// The first variable that is set and not empty wins.
fn filter_from(variable: impl Fn(&str) -> Option<String>, default: &str) -> Result<EnvFilter, String> {
    for name in ["LATEEN_LOG", "RUST_LOG"] {
        if let Some(text) = variable(name).filter(|text| !text.is_empty()) {
            return EnvFilter::try_new(&text).map_err(|error| format!("{name}={text}: {error}"));
        }
    }
    EnvFilter::try_new(default).map_err(|error| format!("log filter {default:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_and_is_checked() {
        let check = |lateen: &str, rust: &str, expected: Result<&str, &str>| {
            let variable = |name: &str| match name {
                "LATEEN_LOG" => Some(lateen.to_owned()),
                _ => Some(rust.to_owned()),
            };
            match (filter_from(variable, "info"), expected) {
                (Ok(filter), Ok(text)) => assert_eq!(filter.to_string(), text),
                (Err(error), Err(start)) => assert!(error.starts_with(start), "{error}"),
                (got, _) => panic!("{lateen} {rust}: {got:?}"),
            }
        };
        check("", "", Ok("info"));
        check("debug", "trace", Ok("debug"));
        check("", "agent=trace", Ok("agent=trace"));
        check("a=b=c", "", Err("LATEEN_LOG=a=b=c"));
    }

    #[test]
    fn formats_are_read() {
        assert_eq!("json".parse(), Ok(LogFormat::Json));
        assert!("xml".parse::<LogFormat>().is_err());
    }
}
