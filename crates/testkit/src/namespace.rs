//! Running a piece of a test inside a pod's network namespace.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `work` on a thread of its own whose sockets belong to the network namespace of the
/// process `pid`. Only the network changes: files, users and processes stay the test's.
///
/// # Panics
/// The namespace cannot be entered, or `work` panics.
pub fn in_network_of<T: Send>(pid: u32, work: impl FnOnce() -> T + Send) -> T {
    in_namespace(Path::new(&format!("/proc/{pid}/ns/net")), work)
}

/// As [`in_network_of`], by the path of a namespace file.
pub fn in_namespace<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> T {
    let file = std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).expect("setns");
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
