//! Addresses of 127.0.0.0/8 for everything that listens. Meshes say 127.1.0.x; each has a /24 of its own
//! for its endpoints, and each proxy one for its listeners, so that all run side by side.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::certificates::Authority;

pub struct Network {
    /// The second octet.
    process: u8,
    next: AtomicU8,
    pub authority: Authority,
    pub folder: tempfile::TempDir,
    /// Where the echo servers run.
    pub runtime: tokio::runtime::Runtime,
    /// Nobody else takes the same octet as long as this listens.
    _lock: TcpListener,
}

impl Network {
    pub fn new() -> Self {
        let own = std::process::id() % 200;
        let free = (0..200).find_map(|i| {
            let process = 20 + ((own + i) % 200) as u8;
            let lock = TcpListener::bind((Ipv4Addr::new(127, process, 255, 254), 9))
                .or_else(|_| TcpListener::bind((Ipv4Addr::new(127, process, 255, 254), 9009)));
            Some((process, lock.ok()?))
        });
        let (process, lock) = free.expect("a part of 127.0.0.0/8 that nobody uses");
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Authority::new(folder.path());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Network {
            process,
            next: AtomicU8::new(1),
            authority,
            folder,
            runtime: runtime.expect("a runtime"),
            _lock: lock,
        }
    }

    /// A /24 that nobody else has.
    pub fn block(&self) -> Block {
        Block([127, self.process, self.next.fetch_add(1, Ordering::Relaxed)])
    }
}

/// A /24.
#[derive(Clone, Copy, Debug)]
pub struct Block([u8; 3]);

/// As addresses are written in meshes.
pub const WRITTEN: &str = "127.1.0.";

impl Block {
    pub fn at(self, last: u8) -> IpAddr {
        let [a, b, c] = self.0;
        Ipv4Addr::new(a, b, c, last).into()
    }

    /// The text with the addresses of this block in the place of those written.
    pub fn in_text(self, text: &str) -> String {
        let [a, b, c] = self.0;
        text.replace(WRITTEN, &format!("{a}.{b}.{c}."))
    }

    /// The text as it would have been written.
    pub fn out_of_text(self, text: &str) -> String {
        let [a, b, c] = self.0;
        text.replace(&format!("{a}.{b}.{c}."), WRITTEN)
    }
}
