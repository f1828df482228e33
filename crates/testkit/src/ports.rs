//! Ports for servers that say themselves where they listen.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// A loopback port that is free now, and that the kernel gives to nobody by itself: below those of outgoing
/// connections (`net.ipv4.ip_local_port_range`), of which tests open many.
pub fn free_port() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    // Test binaries that run side by side begin at different places.
    let begin = std::process::id().wrapping_mul(613);
    loop {
        let offset = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], (FIRST + offset) as u16));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
