//! A TCP socket that remembers who waits for it.

use std::io;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use stdx::WakerId;
use tokio::io::{Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::{has_budget_remaining, poll_proceed};

/// A socket, and which task is woken when something comes. Serving a request, a task says several times that
/// it waits, and each time tokio takes a lock and keeps a waker, although it has the very same already.
///
/// Reads and writes are system calls without the C library around them, whose `recv` and `send` are points
/// where a thread may be cancelled: in a program with several threads that takes two locked instructions each.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(crate) stream: TcpStream,
    reader: WakerId,
}

impl Tcp {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Tcp { stream, reader: WakerId::NOBODY }
    }

    /// Nothing has come since the socket was read to its last byte. A look at what the driver has noted.
    pub(crate) fn is_quiet(&self) -> bool {
        self.stream.try_io(Interest::READABLE, || Ok(())).is_err()
    }

    /// As [`tokio::io::AsyncRead::poll_read`]; without room it says whether there is something to read. The
    /// driver forgets its waker when something comes, and notes that; so as long as nothing is noted it still
    /// has the one that it got last.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let waker = WakerId::of(cx.waker());
        if self.reader == waker && self.is_quiet() {
            return Poll::Pending;
        }
        let progress = ready!(poll_proceed(cx));
        self.reader = WakerId::NOBODY;
        loop {
            match self.stream.try_io(Interest::READABLE, || read(&self.stream, buf)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => {
                    progress.made_progress();
                    return Poll::Ready(read.map(|all| self.note(Interest::READABLE, all)));
                }
            }
            // A task that has done enough for its turn waits for that alone: nobody looks at the socket.
            let looked = has_budget_remaining();
            if let Poll::Ready(ready) = self.stream.poll_read_ready(cx) {
                ready?;
                continue;
            }
            self.reader = if looked { waker } else { WakerId::NOBODY };
            return Poll::Pending;
        }
    }

    /// As [`tokio::io::AsyncWrite::poll_write`].
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let progress = ready!(poll_proceed(cx));
        loop {
            let write = || Ok(send(&self.stream, buf, SendFlags::NOSIGNAL)?);
            match self.stream.try_io(Interest::WRITABLE, write) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => {
                    progress.made_progress();
                    let all = written.as_ref().is_ok_and(|written| *written > 0 && *written < buf.len());
                    self.note(Interest::WRITABLE, all);
                    return Poll::Ready(written);
                }
            }
            ready!(self.stream.poll_write_ready(cx))?;
        }
    }

    /// `all`: the socket has given, or taken, as much as it could, and the driver will say when there is more.
    fn note(&self, interest: Interest, all: bool) {
        if all {
            let _ = self.stream.try_io(interest, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
        }
    }
}

/// Reads once. Says whether that was all there is.
#[allow(unsafe_code)]
fn read(stream: &TcpStream, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
    let room = buf.remaining();
    if room == 0 {
        return Ok(false);
    }
    // SAFETY: nothing is written there but by the kernel, which initializes what it writes.
    let ((filled, _), _) = recv(stream, unsafe { buf.unfilled_mut() }, RecvFlags::empty())?;
    let count = filled.len();
    // SAFETY: those bytes are what `recv` has just written, at the beginning of the unfilled part.
    unsafe { buf.assume_init(count) };
    buf.advance(count);
    Ok(count > 0 && count < room)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Tcp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (Tcp::new(near.unwrap()), far.unwrap().0)
    }

    fn poll(tcp: &mut Tcp, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(room);
        tcp.poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
    }

    async fn read(tcp: &mut Tcp, room: &mut [u8]) -> usize {
        poll_fn(|cx| {
            // As often as it is asked: the last answer counts.
            let _ = poll(tcp, cx, &mut []);
            poll(tcp, cx, room)
        })
        .await
        .unwrap()
    }

    /// A byte a time, each waited for by a task that was known before, by one that was not, or by both.
    #[tokio::test]
    async fn whoever_waited_last_is_woken() {
        let (mut tcp, mut far) = pair().await;
        for round in 0..300_u32 {
            if round % 3 == 1 {
                let _ = poll(&mut tcp, &mut Context::from_waker(Waker::noop()), &mut []);
            }
            let written = tokio::spawn(async move {
                tokio::task::yield_now().await;
                far.write_all(&[round as u8]).await.unwrap();
                far
            });
            let mut room = [0; 1];
            let count = match round % 2 {
                0 => read(&mut tcp, &mut room).await,
                _ => {
                    let (back, count, byte) = tokio::spawn(async move {
                        let count = read(&mut tcp, &mut room).await;
                        (tcp, count, room)
                    })
                    .await
                    .unwrap();
                    (tcp, room) = (back, byte);
                    count
                }
            };
            assert_eq!((count, room[0]), (1, round as u8));
            far = written.await.unwrap();
        }
        drop(far);
        assert_eq!(read(&mut tcp, &mut [0; 1]).await, 0);
    }

    /// tokio answers that it waits without having looked; that must not be taken for being registered.
    #[tokio::test]
    async fn a_task_without_budget_is_woken_nevertheless() {
        for spent in 120..=128 {
            let (mut tcp, mut far) = pair().await;
            let reading = tokio::spawn(async move {
                let mut first = true;
                poll_fn(|cx| {
                    for _ in 0..if std::mem::take(&mut first) { spent } else { 0 } {
                        std::task::ready!(std::pin::pin!(tokio::task::coop::consume_budget()).poll(cx));
                    }
                    poll(&mut tcp, cx, &mut [0; 1])
                })
                .await
            });
            tokio::task::yield_now().await;
            far.write_all(b"a").await.unwrap();
            let count = tokio::time::timeout(std::time::Duration::from_secs(10), reading).await;
            assert_eq!(count.expect("woken").unwrap().unwrap(), 1, "{spent}");
        }
    }
}
