//! Looks after connections that nobody uses: closes those that the endpoint closed, that got too
//! old, or that lead where no configuration does any more.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::h1::Idle;
use crate::send::Inner;

/// How often endpoints are looked for that no configuration names. Two looks end a connection.
const LOOK: Duration = Duration::from_secs(15);
/// How long a connection may be kept until the task is told of its end. Under load it is in use again long
/// before, so that nobody has to wait for what happens to it in between.
const UNWATCHED: Duration = Duration::from_millis(250);

/// The sweeping task of a worker: there while something is kept.
#[derive(Default)]
pub(crate) struct Sweeper {
    /// Woken when an endpoint closes an idle connection that was there at the last sweep.
    waker: RefCell<Option<Waker>>,
    /// Connections were kept since then.
    unwatched: Cell<bool>,
    running: Cell<bool>,
    /// When the task looks next by itself.
    next: Cell<Option<Instant>>,
    /// It was woken to look by then, and not at once.
    sooner: Cell<Option<Instant>>,
}

impl Inner {
    /// Keeps a connection for the next request.
    pub(crate) fn give_back(self: &Rc<Self>, idle: Box<Idle>) {
        if self.closed.get() {
            return;
        }
        let Some(idle) = self.queue.borrow_mut().hand_over(idle) else { return };
        let expires = idle.expires();
        self.h1.borrow_mut().put(idle);
        self.look_at(expires);
        if !self.sweeper.unwatched.replace(true) {
            self.look_sooner(Instant::now().checked_add(UNWATCHED));
        }
    }

    /// Makes sure that the task runs, and looks by then.
    pub(crate) fn look_at(self: &Rc<Self>, expires: Option<Instant>) {
        if !self.sweeper.running.replace(true) {
            tokio::task::spawn_local(run(Rc::downgrade(self)));
            return;
        }
        self.look_sooner(expires);
    }

    /// Makes sure that the task, if it runs, looks by then.
    pub(crate) fn look_sooner(&self, expires: Option<Instant>) {
        let sooner = expires.is_some_and(|end| self.sweeper.next.get().is_some_and(|next| end < next));
        if let Some(waker) = self.sweeper.waker.borrow().as_ref().filter(|_| sooner) {
            self.sweeper.next.set(expires);
            self.sweeper.sooner.set(expires);
            waker.wake_by_ref();
        }
    }

    /// Drops what is not worth keeping; when to look again, `None` if nothing is kept.
    fn sweep(&self, look_for_orphans: bool, cx: &mut Context<'_>) -> Option<Instant> {
        let now = Instant::now();
        let (mut h1, mut h2) = (self.h1.borrow_mut(), self.h2.borrow_mut());
        h1.sweep(now, look_for_orphans, cx);
        h2.sweep(now, look_for_orphans);
        if h1.len() + h2.len() == 0 {
            return None;
        }
        let expiry = h1.next_expiry().into_iter().chain(h2.next_expiry()).min();
        Some(expiry.map_or(now + LOOK, |end| end.min(now + LOOK)))
    }
}

async fn run(inner: Weak<Inner>) {
    let mut last_look = Instant::now();
    let mut timer = pin!(sleep_until(tokio::time::Instant::now()));
    poll_fn(|cx| {
        loop {
            let Some(inner) = inner.upgrade() else { return Poll::Ready(()) };
            if let Some(end) = inner.sweeper.sooner.take() {
                // An endpoint may have closed a connection in the same turn, which woke this task, too.
                timer.as_mut().reset(end.min(Instant::now() + UNWATCHED).into());
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
            *inner.sweeper.waker.borrow_mut() = Some(cx.waker().clone());
            let look = last_look.elapsed() >= LOOK;
            if look {
                last_look = Instant::now();
            }
            inner.sweeper.unwatched.set(false);
            let next = inner.sweep(look, cx);
            inner.sweeper.next.set(next);
            let Some(next) = next else {
                inner.sweeper.running.set(false);
                *inner.sweeper.waker.borrow_mut() = None;
                return Poll::Ready(());
            };
            timer.as_mut().reset(next.into());
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http1::{BodyKind, Limits, ResponseHead, ServerConn};
    use tokio::net::TcpListener;

    use super::*;
    use crate::{Destination, Empty, Registry, RequestHead, SendOptions, Upstream};

    async fn serve(listener: TcpListener) {
        let (stream, _) = listener.accept().await.unwrap();
        let mut conn = ServerConn::new(stream, Limits::default());
        while let Ok(Some(_)) = conn.read_head().await {
            conn.start(&ResponseHead::new(204), BodyKind::None, false);
            conn.finish().await.unwrap();
        }
    }

    fn destination(registry: &Registry, address: &ir::Address) -> Destination {
        let config = ir::Cluster::new("a", ir::ClusterDiscovery::OriginalDst);
        let cluster = registry.cluster(&config.name);
        let endpoint = cluster.endpoint(address);
        Destination {
            config: Arc::new(config),
            cluster,
            endpoint,
            tls: None,
            transport_key: 0,
            proxy_protocol: None,
            named: None,
        }
    }

    #[tokio::test]
    async fn an_endpoint_that_no_configuration_names_is_left() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = ir::Address::Socket(listener.local_addr().unwrap());
        let test = async {
            tokio::task::spawn_local(serve(listener));
            let (registry, upstream) = (Registry::default(), Upstream::new());
            let to = destination(&registry, &address);
            let head = RequestHead::new("GET", "http", "a", "/");
            drop(upstream.send(&to, &head, Empty, &SendOptions::default()).await.unwrap());
            let look = || upstream.inner().sweep(true, &mut Context::from_waker(Waker::noop()));
            look();
            look();
            assert_eq!(upstream.kept().0, 1);
            drop(to);
            look();
            assert_eq!(upstream.kept().0, 1, "once is not enough: a push may be on its way");
            look();
            assert_eq!(upstream.kept().0, 0);
            registry.collect();
        };
        tokio::task::LocalSet::new().run_until(test).await;
    }

    /// One that was in use again since the last sweep, too, is closed soon after its endpoint has.
    #[tokio::test]
    async fn the_end_of_a_connection_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = ir::Address::Socket(listener.local_addr().unwrap());
        let test = async {
            let leave = Rc::new(tokio::sync::Notify::new());
            let left = leave.clone();
            tokio::task::spawn_local(async move {
                tokio::select! {
                    () = serve(listener) => {}
                    () = left.notified() => {}
                }
            });
            let (registry, upstream) = (Registry::default(), Upstream::new());
            let to = destination(&registry, &address);
            let head = RequestHead::new("GET", "http", "a", "/");
            for _ in 0..3 {
                drop(upstream.send(&to, &head, Empty, &SendOptions::default()).await.unwrap());
                // In the turn in which it is kept: later, on a busy machine, it may have been swept.
                assert!(upstream.inner().sweeper.unwatched.get());
                tokio::task::yield_now().await;
            }
            assert_eq!(upstream.kept().0, 1);
            leave.notify_one();
            let gone = async {
                while upstream.kept().0 > 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(4 * UNWATCHED, gone).await.expect("noticed");
        };
        tokio::task::LocalSet::new().run_until(test).await;
    }
}
