//! Applies a plan to a network namespace of its own and asks with real sockets who sees what.
//! Needs root and `ip`; says so and does nothing otherwise.

#![allow(deprecated, reason = "rustix's safe `unshare`: only this thread's network namespace changes")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use redirect::{CaptureConfig, DnsCapture, Owner, plan};
use rustix::thread::UnshareFlags;

/// The uid that stands for the proxy here. The test itself is root, so it is "the application"
/// or, when root is declared the proxy, "the proxy".
const NOBODY: u32 = 65534;
const ROOT: u32 = 0;

fn run(command: &str) {
    let status = Command::new("sh").args(["-c", command]).status().unwrap();
    assert!(status.success(), "{command}: {status}");
}

/// Runs `test` in a new namespace with address 10.9.0.1 and a default route to a link where nobody answers.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !testkit::root("redirect: capture rules in a namespace") {
        return;
    }
    let thread = std::thread::spawn(|| {
        rustix::thread::unshare(UnshareFlags::NEWNET).unwrap();
        run(
            "ip link set lo up && ip link add d0 type veth peer name d1 && ip link set d1 up && ip addr add 10.9.0.1/24 dev d0 \
             && ip link set d0 up && ip route add default dev d0",
        );
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn listen(port: u16) -> TcpListener {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap()
}

/// Whether a connection to `target` arrives at `listener`, and its original destination there.
fn arrives(listener: &TcpListener, target: &str) -> Option<SocketAddr> {
    listener.set_nonblocking(true).unwrap();
    let target: SocketAddr = target.parse().unwrap();
    let mut client = TcpStream::connect_timeout(&target, Duration::from_millis(200)).ok()?;
    let (mut server, _) = listener.accept().ok()?;
    server.write_all(b"x").unwrap();
    let mut byte = [0];
    client.read_exact(&mut byte).unwrap();
    let original = rustix::net::sockopt::ip_original_dst(&server).ok();
    Some(original.map_or(server.local_addr().unwrap(), SocketAddr::V4))
}

fn capture(own: Owner) -> CaptureConfig {
    let dns = Some(DnsCapture { port: 15053, servers: Vec::new() });
    CaptureConfig { own: vec![own], dns, exclude_outbound_ports: vec![25], ..CaptureConfig::default() }
}

#[test]
fn outbound_connections_reach_the_proxy_with_their_destination() {
    in_namespace(|| {
        let outbound = listen(15001);
        let application = listen(9080);
        redirect::apply(&plan(&capture(Owner::Uid(NOBODY)))).unwrap();
        assert_eq!(arrives(&outbound, "10.8.7.6:80"), Some("10.8.7.6:80".parse().unwrap()));
        assert_eq!(arrives(&outbound, "10.8.7.6:25"), None, "an excluded port");
        assert!(arrives(&application, "127.0.0.1:9080").is_some(), "loopback is left alone");
        assert!(arrives(&application, "10.9.0.1:9080").is_some(), "its own address is left alone");

        redirect::remove().unwrap();
        redirect::remove().unwrap();
        assert_eq!(arrives(&outbound, "10.8.7.6:80"), None, "nothing is captured after removal");
    });
}

#[test]
fn the_proxy_is_not_captured_except_on_its_way_home() {
    in_namespace(|| {
        let (inbound, outbound) = (listen(15006), listen(15001));
        // Twice: the second replaces the first.
        redirect::apply(&plan(&capture(Owner::Uid(NOBODY)))).unwrap();
        redirect::apply(&plan(&capture(Owner::Uid(ROOT)))).unwrap();
        assert_eq!(arrives(&outbound, "10.8.7.6:80"), None);
        assert_eq!(arrives(&inbound, "10.9.0.1:9080"), Some("10.9.0.1:9080".parse().unwrap()));
        let application = listen(9080);
        assert!(arrives(&application, "127.0.0.1:9080").is_some());
    });
}

#[test]
fn calls_from_127_0_0_6_reach_the_application() {
    in_namespace(|| {
        let application = listen(9080);
        redirect::apply(&plan(&capture(Owner::Uid(ROOT)))).unwrap();
        let domain = rustix::net::AddressFamily::INET;
        let socket = rustix::net::socket(domain, rustix::net::SocketType::STREAM, None).unwrap();
        rustix::net::bind(&socket, &"127.0.0.6:0".parse::<SocketAddr>().unwrap()).unwrap();
        rustix::net::connect(&socket, &"10.9.0.1:9080".parse::<SocketAddr>().unwrap()).unwrap();
        let (_, peer) = application.accept().unwrap();
        assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 6));
    });
}

#[test]
fn dns_queries_reach_the_agent() {
    in_namespace(|| {
        let agent = UdpSocket::bind("0.0.0.0:15053").unwrap();
        agent.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let mut buffer = [0; 8];
        let mut ask = || {
            let client = UdpSocket::bind("0.0.0.0:0").unwrap();
            client.send_to(b"query", "10.8.7.6:53").unwrap();
            agent.recv_from(&mut buffer).is_ok()
        };
        redirect::apply(&plan(&capture(Owner::Uid(NOBODY)))).unwrap();
        assert!(ask());
        redirect::apply(&plan(&capture(Owner::Uid(ROOT)))).unwrap();
        assert!(!ask(), "the agent's own queries leave");
    });
}

#[test]
fn the_kernel_holds_what_the_plan_says() {
    in_namespace(|| {
        let plan = plan(&capture(Owner::Uid(NOBODY)));
        assert_eq!(redirect::tables().unwrap(), [""; 0]);
        redirect::apply(&plan).unwrap();
        assert_eq!(redirect::tables().unwrap(), ["inet lateen"]);
        let listing = match Command::new("nft").args(["list", "ruleset"]).output() {
            Ok(output) => String::from_utf8(output.stdout).unwrap(),
            Err(_) => return eprintln!("SKIPPED: no nft to list the rules with"),
        };
        let kernel = listing.lines().filter(|line| line.contains("counter")).count();
        assert_eq!(kernel, plan.rules.len(), "{listing}");
        // The printed plan means the same: nft reads it, and lists the same rules.
        redirect::remove().unwrap();
        let file = std::env::temp_dir().join(format!("lateen-plan-{}.nft", std::process::id()));
        std::fs::write(&file, plan.to_string()).unwrap();
        run(&format!("nft -f {}", file.display()));
        std::fs::remove_file(&file).unwrap();
        let again = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
        assert_eq!(rules_only(&listing), rules_only(&String::from_utf8(again.stdout).unwrap()));
    });
}

/// The rules of a listing, without the counters' values and without the words nft adds or
/// leaves out (`meta l4proto tcp` before a port).
fn rules_only(listing: &str) -> Vec<String> {
    let rule = |line: &str| {
        line.split_whitespace().filter(|word| word.parse::<u64>() != Ok(60)).collect::<Vec<_>>().join(" ")
    };
    listing.lines().filter(|line| line.contains("counter")).map(rule).map(strip_counts).collect()
}

fn strip_counts(rule: String) -> String {
    let Some((before, after)) = rule.split_once("counter packets ") else { return rule };
    let rest: Vec<&str> = after.split(' ').skip(3).collect();
    format!("{} {}", before.replace("meta l4proto tcp ", "").replace("meta l4proto udp ", ""), rest.join(" "))
}
