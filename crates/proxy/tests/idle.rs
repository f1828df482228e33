//! What an idle connection holds in memory. A binary of its own: it counts every byte of the process.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::time::Duration;

use ir::RouteAction;
use ir::route::DirectResponse;
use support::client::Client;
use support::{Setup, route};

static LIVE: AtomicIsize = AtomicIsize::new(0);

struct Counting;

#[allow(unsafe_code)]
// SAFETY: everything is left to the system's allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: as our own caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: as our own caller promised.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Connections that have had one request each.
fn connect(to: std::net::SocketAddr, count: usize) -> Vec<Client> {
    let one = |_| {
        let mut client = Client::connect(to);
        assert_eq!(client.get("/").status, 200);
        client
    };
    (0..count).map(one).collect()
}

#[test]
fn an_idle_connection_holds_less_than_two_kibibytes() {
    let mut setup = Setup::new();
    setup.concurrency = 1;
    setup.routes.push(route("/", RouteAction::Direct(DirectResponse { status: 200, body: "ok".into() })));
    let proxy = setup.start();
    let settled = || {
        std::thread::sleep(Duration::from_millis(200));
        LIVE.load(Relaxed)
    };
    // What a process allocates once: pools, tables that grow by doubling.
    let warm = connect(proxy.address, 300);
    let count = 200;
    let before = settled();
    let more = connect(proxy.address, count);
    let after = settled();
    // Our own end: a buffer each.
    let client = size_of::<Client>() as isize + 8 * 1024;
    let each = (after - before) / count as isize - client;
    println!("{each} bytes per idle connection");
    assert!(each <= 2048, "{each} bytes");
    drop((warm, more));
}
