//! A mesh with stand-ins for control plane, agent and application, in a network namespace that
//! plays the host. This test binary is all of them, chosen by its first argument, as `lateen` is;
//! so there is no harness.

mod roles;
mod steps;

use std::ffi::OsString;
use std::path::PathBuf;

use local::{Options, Step};

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let status = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [Step::ARGUMENT, ..] => Step::parse(&arguments[1..]).expect("a step").run(),
        ["control", address] => roles::control(address),
        ["agent"] => roles::agent(),
        ["serve", port] => roles::serve(port),
        ["up", files, runtime_dir] => up(files, runtime_dir),
        ["exec", runtime_dir, pod, container, ..] => {
            let found = local::exec_in(runtime_dir.as_ref(), pod, Some(container), &arguments[4..]);
            found.unwrap_or_else(|error| panic!("{error:#}"))
        }
        ["--list", ..] => 0,
        _ => steps::run(),
    };
    std::process::exit(status.into());
}

fn up(files: &str, runtime_dir: &str) -> u8 {
    let options = Options {
        files: vec![files.into()],
        runtime_dir: PathBuf::from(runtime_dir),
        gateway_port: 0,
        images: Vec::new(),
        trust_domain: "test.local".into(),
        mesh_config: None,
    };
    local::run(options, Box::new(roles::StandIns)).unwrap_or_else(|error| panic!("{error:#}"))
}
