//! HTTP/1.1 requests at a fixed rate, whatever the answers do.
//!
//! Each request has a time at which it is due. If all connections are busy it waits, and the wait
//! counts: latency is from the due time to the last byte, so a stall is felt by every request that it
//! held up, not only by those under way (no "coordinated omission", which `wrk` has).

mod connection;

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::OwnedFd;

use connection::{Connection, Progress};

/// What of the latencies is reported.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency {
    pub p50: Duration,
    pub p99: Duration,
    pub p999: Duration,
    #[cfg_attr(not(test), expect(dead_code, reason = "what a test counts"))]
    pub requests: u64,
    pub errors: u64,
    /// Whether the rate could not be kept: half a second of requests was due and not sent.
    pub overloaded: bool,
}

#[derive(Debug, Clone, Copy)]
pub struct OpenLoop {
    pub connections: usize,
    /// Requests per second.
    pub rate: f64,
    pub duration: Duration,
}

/// Runs on this thread until `duration` is over and the last answers have come.
///
/// # Errors
/// The proxy does not take connections.
pub fn run(it: OpenLoop, port: u16) -> anyhow::Result<Latency> {
    // Sleeps are exact to the microsecond; by default the kernel may add 50 to each.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let latency = Run::open(it, port)?.drive();
    rustix::thread::set_current_timer_slack(None)?;
    latency
}

struct Run {
    epoll: OwnedFd,
    port: u16,
    connections: Vec<Connection>,
    /// Connections that wait for a request.
    idle: Vec<usize>,
    /// Due times of requests that wait for a connection.
    waiting: VecDeque<Instant>,
    schedule: Schedule,
    histogram: Histogram<u64>,
    errors: u64,
    most_waiting: usize,
    rate: f64,
}

impl Run {
    fn open(it: OpenLoop, port: u16) -> anyhow::Result<Run> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(it.connections);
        for index in 0..it.connections {
            connections.push(Connection::open(port, &epoll, index)?);
        }
        Ok(Run {
            epoll,
            port,
            idle: (0..it.connections).collect(),
            connections,
            waiting: VecDeque::new(),
            schedule: Schedule::new(Instant::now(), it.rate, it.duration),
            // In nanoseconds, up to a minute.
            histogram: Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?,
            errors: 0,
            most_waiting: 0,
            rate: it.rate,
        })
    }

    fn drive(mut self) -> anyhow::Result<Latency> {
        let mut events = Vec::with_capacity(self.connections.len());
        let give_up = self.schedule.end + Duration::from_secs(5);
        loop {
            let now = Instant::now();
            self.schedule.due(now, &mut self.waiting);
            self.send_waiting()?;
            self.most_waiting = self.most_waiting.max(self.waiting.len());
            let all_idle = self.idle.len() == self.connections.len();
            if self.schedule.is_over() && self.waiting.is_empty() && all_idle {
                break;
            }
            if now > give_up {
                self.errors += (self.waiting.len() + self.connections.len() - self.idle.len()) as u64;
                break;
            }
            self.sleep(now)?;
            epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                Some(&Timespec::default()),
            )?;
            for event in events.drain(..) {
                self.progress(event.data.u64() as usize)?;
            }
        }
        let at = |quantile| Duration::from_nanos(self.histogram.value_at_quantile(quantile));
        Ok(Latency {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            requests: self.histogram.len(),
            errors: self.errors,
            overloaded: self.most_waiting as f64 > self.rate / 2.0,
        })
    }

    /// Until an answer comes or a request is due. `epoll_wait` counts in milliseconds, so it is
    /// `ppoll` that waits.
    fn sleep(&self, now: Instant) -> anyhow::Result<()> {
        let limit =
            self.schedule.next().map_or(Duration::from_millis(100), |due| due.saturating_duration_since(now));
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
        poll(&mut [PollFd::new(&self.epoll, PollFlags::IN)], Some(&limit)).context("poll")?;
        Ok(())
    }

    fn send_waiting(&mut self) -> anyhow::Result<()> {
        while !self.waiting.is_empty() {
            let (Some(index), Some(due)) = (self.idle.pop(), self.waiting.front().copied()) else { break };
            self.waiting.pop_front();
            if self.connections[index].send(due).is_err() {
                self.replace(index)?;
            }
        }
        Ok(())
    }

    fn progress(&mut self, index: usize) -> anyhow::Result<()> {
        match self.connections[index].read() {
            Progress::Pending => {}
            Progress::Done { due, ok } => {
                let nanoseconds = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.histogram.saturating_record(nanoseconds);
                self.errors += u64::from(!ok);
                self.idle.push(index);
            }
            Progress::Broken => self.replace(index)?,
        }
        Ok(())
    }

    /// A broken connection costs one error if it was busy, and a new one takes its place.
    fn replace(&mut self, index: usize) -> anyhow::Result<()> {
        self.errors += u64::from(!self.idle.contains(&index));
        self.connections[index] = Connection::open(self.port, &self.epoll, index)?;
        if !self.idle.contains(&index) {
            self.idle.push(index);
        }
        Ok(())
    }
}

/// When requests are due.
struct Schedule {
    start: Instant,
    end: Instant,
    interval: f64,
    sent: u64,
    total: u64,
}

impl Schedule {
    fn new(start: Instant, rate: f64, duration: Duration) -> Schedule {
        let total = (rate * duration.as_secs_f64()) as u64;
        Schedule { start, end: start + duration, interval: 1.0 / rate, sent: 0, total }
    }

    /// The due times up to `now`.
    fn due(&mut self, now: Instant, into: &mut VecDeque<Instant>) {
        while let Some(due) = self.next().filter(|due| *due <= now) {
            into.push_back(due);
            self.sent += 1;
        }
    }

    fn next(&self) -> Option<Instant> {
        (!self.is_over()).then(|| self.start + Duration::from_secs_f64(self.interval * self.sent as f64))
    }

    fn is_over(&self) -> bool {
        self.sent >= self.total
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_stall_is_felt_by_those_that_waited() {
        // One connection, a request each 2.5 ms, and a server that sleeps 80 ms once: about thirty
        // of forty requests wait, in a closed loop only one would have.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            for answered in 0.. {
                if stream.read(&mut buffer).unwrap_or(0) == 0 {
                    break;
                }
                if answered == 5 {
                    std::thread::sleep(Duration::from_millis(80));
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            }
        });
        let it = OpenLoop { connections: 1, rate: 400.0, duration: Duration::from_millis(100) };
        let latency = run(it, port).unwrap();
        server.join().unwrap();
        assert_eq!((latency.requests, latency.errors), (40, 0));
        assert!(latency.p50 > Duration::from_millis(5), "{latency:?}");
    }
}
