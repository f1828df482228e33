//! The processes between the supervisor and a container, all of them this binary again. Each
//! is fresh and single-threaded when it changes namespaces, so nothing runs between `fork` and
//! `exec` and no namespace is entered by half a process.
//!
//! ```text
//! lateen up ─► guard ─► lateen control                        dies with `up`
//!           └► holder (new namespaces) ─► init (process 1) ─► container ─► the application
//! ```
//!
//! The holder dies with `up`, the init dies with the holder, and with process 1 of its namespace
//! everything in the pod. The init ends too when the socket to the supervisor closes.

mod check;
mod container;
mod first;
mod holder;
mod rootfs;
mod setup;

use std::ffi::OsString;

pub use check::get;

/// This binary, by its path where it still has one: the name that a process list shows follows
/// from it.
pub fn binary() -> std::path::PathBuf {
    std::env::current_exe().ok().filter(|path| path.exists()).unwrap_or_else(|| "/proc/self/exe".into())
}

/// The hidden arguments of the binary that lead here; the caller's command line must pass what
/// follows [`Step::ARGUMENT`] on to [`Step::run`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Holder,
    Init,
    Container { spec: OsString },
    Guard { parent: i32, command: Vec<OsString> },
    Enter { pid: i32, command: Vec<OsString> },
}

impl Step {
    /// The hidden subcommand.
    pub const ARGUMENT: &'static str = "local";

    /// Arguments for the binary, the subcommand included.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![Self::ARGUMENT.into()];
        match self {
            Step::Holder => arguments.push("holder".into()),
            Step::Init => arguments.push("init".into()),
            Step::Container { spec } => arguments.extend(["container".into(), spec.clone()]),
            Step::Guard { parent: pid, command } | Step::Enter { pid, command } => {
                let name = if matches!(self, Step::Guard { .. }) { "guard" } else { "enter" };
                arguments.extend([name.into(), pid.to_string().into()]);
                arguments.extend(command.iter().cloned());
            }
        }
        arguments
    }

    /// Reads what follows the subcommand.
    pub fn parse(arguments: &[OsString]) -> Option<Step> {
        let (name, rest) = arguments.split_first()?;
        Some(match (name.to_str()?, rest) {
            ("holder", []) => Step::Holder,
            ("init", []) => Step::Init,
            ("container", [spec]) => Step::Container { spec: spec.clone() },
            ("guard", [parent, command @ ..]) => {
                Step::Guard { parent: parent.to_str()?.parse().ok()?, command: command.to_vec() }
            }
            ("enter", [pid, command @ ..]) => {
                Step::Enter { pid: pid.to_str()?.parse().ok()?, command: command.to_vec() }
            }
            _ => return None,
        })
    }

    /// Does the step; returns the exit status, if it returns at all.
    pub fn run(self) -> u8 {
        let result = match self {
            Step::Holder => holder::run(),
            Step::Init => first::run(),
            Step::Container { spec } => container::run(spec.as_ref()),
            Step::Guard { parent, command } => holder::guard(parent, &command),
            Step::Enter { pid, command } => crate::exec::run(pid, &command),
        };
        result.unwrap_or_else(|error| {
            eprintln!("lateen: {error:#}");
            126
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_written() {
        let steps = [
            Step::Holder,
            Step::Init,
            Step::Container { spec: "/a b".into() },
            Step::Guard { parent: 7, command: vec!["control".into(), "--x".into()] },
            Step::Enter { pid: 8, command: vec!["ls".into()] },
        ];
        for step in steps {
            assert_eq!(Step::parse(&step.arguments()[1..]), Some(step));
        }
        assert_eq!(Step::parse(&["container".into()]), None);
    }
}
