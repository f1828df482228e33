//! Moving bytes between two streams, both ways.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use crate::buffers;

/// Of a byte, between the client's and the server's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

/// Bytes that went either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyTotals {
    pub to_server: u64,
    pub to_client: u64,
}

/// How it ended.
#[derive(Debug)]
pub enum CopyEnd {
    /// Both sides said all they had to say.
    Finished,
    /// No byte moved for that long.
    Idle,
    /// Reading from the client or writing to it failed.
    ClientFailed(io::Error),
    /// Reading from the server or writing to it failed.
    ServerFailed(io::Error),
}

/// Copies both ways until both ends are over. An end of one side is passed on as a half-close.
/// `moved` hears of bytes as they are written. A direction holds a buffer only while bytes are
/// under way in it. `idle`: `None` waits for ever.
pub async fn copy_bidirectional<C, S>(
    client: &mut C,
    server: &mut S,
    idle: Option<Duration>,
    mut moved: impl FnMut(Direction, u64),
) -> (CopyTotals, CopyEnd)
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut to_server = Half::default();
    let mut to_client = Half::default();
    let mut timer = pin!(idle.map(|idle| sleep_until(Instant::now() + idle)));
    let end = poll_fn(|cx| {
        let before = to_server.total + to_client.total;
        let up = to_server.poll(client, server, cx, |n| moved(Direction::ToServer, n));
        let up = match up.map_err(|failure| failure.end(Direction::ToServer)) {
            Poll::Ready(Err(end)) => return Poll::Ready(end),
            other => other.is_ready(),
        };
        let down = to_client.poll(server, client, cx, |n| moved(Direction::ToClient, n));
        let down = match down.map_err(|failure| failure.end(Direction::ToClient)) {
            Poll::Ready(Err(end)) => return Poll::Ready(end),
            other => other.is_ready(),
        };
        if up && down {
            return Poll::Ready(CopyEnd::Finished);
        }
        if let (Some(mut timer), Some(idle)) = (timer.as_mut().as_pin_mut(), idle) {
            if to_server.total + to_client.total > before {
                timer.as_mut().reset(Instant::now() + idle);
            }
            ready!(timer.poll(cx));
            return Poll::Ready(CopyEnd::Idle);
        }
        Poll::Pending
    })
    .await;
    (CopyTotals { to_server: to_server.total, to_client: to_client.total }, end)
}

/// Which end of a direction failed.
enum Failure {
    Read(io::Error),
    Write(io::Error),
}

impl Failure {
    fn end(self, direction: Direction) -> CopyEnd {
        match (self, direction) {
            (Failure::Read(e), Direction::ToServer) | (Failure::Write(e), Direction::ToClient) => {
                CopyEnd::ClientFailed(e)
            }
            (Failure::Write(e), Direction::ToServer) | (Failure::Read(e), Direction::ToClient) => {
                CopyEnd::ServerFailed(e)
            }
        }
    }
}

/// One direction.
#[derive(Default)]
struct Half {
    /// Bytes `start..end` of it were read and not written yet. `None` holds no memory.
    buffer: Option<Box<[u8]>>,
    start: usize,
    end: usize,
    total: u64,
    state: State,
}

#[derive(Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    /// The reader ended; the writer is to be told.
    Ending,
    Done,
}

impl Half {
    fn poll<R, W>(
        &mut self,
        from: &mut R,
        to: &mut W,
        cx: &mut Context<'_>,
        mut moved: impl FnMut(u64),
    ) -> Poll<Result<(), Failure>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        loop {
            match self.state {
                State::Done => return Poll::Ready(Ok(())),
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(Failure::Write)?;
                    self.state = State::Done;
                }
                State::Open if self.buffer.is_some() => {
                    ready!(self.poll_drain(to, cx, &mut moved)).map_err(Failure::Write)?;
                }
                State::Open => match self.poll_fill(from, cx) {
                    Poll::Ready(filled) => filled.map_err(Failure::Read)?,
                    Poll::Pending => {
                        // Nothing more to read at once: let TLS send what it keeps.
                        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(Failure::Write)?;
                        return Poll::Pending;
                    }
                },
            }
        }
    }

    /// Takes a buffer, tries to read, gives it back at once if nothing is there.
    fn poll_fill<R: AsyncRead + Unpin>(
        &mut self,
        from: &mut R,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut buffer = buffers::take();
        let mut read = ReadBuf::new(&mut buffer);
        let result = Pin::new(from).poll_read(cx, &mut read);
        let filled = read.filled().len();
        match result {
            Poll::Ready(Ok(())) if filled > 0 => {
                self.buffer = Some(buffer);
                (self.start, self.end) = (0, filled);
                return Poll::Ready(Ok(()));
            }
            Poll::Ready(Ok(())) => self.state = State::Ending,
            _ => {}
        }
        buffers::give(buffer);
        result
    }

    fn poll_drain<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
        moved: &mut impl FnMut(u64),
    ) -> Poll<io::Result<()>> {
        while self.start < self.end {
            let Some(rest) = self.buffer.as_ref().and_then(|b| b.get(self.start..self.end)) else { break };
            let written = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start += written;
            self.total += written as u64;
            moved(written as u64);
        }
        if let Some(buffer) = self.buffer.take() {
            buffers::give(buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            buffers::give(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn copies_and_half_closes() {
        let (mut client, mut near) = duplex(64);
        let (mut far, mut server) = duplex(64);
        let mut heard = CopyTotals::default();
        let work = async {
            let pair = tokio::join!(
                copy_bidirectional(&mut near, &mut far, None, |direction, n| match direction {
                    Direction::ToServer => heard.to_server += n,
                    Direction::ToClient => heard.to_client += n,
                }),
                async {
                    client.write_all(&[7; 1000]).await.unwrap();
                    client.shutdown().await.unwrap();
                    let mut answer = Vec::new();
                    client.read_to_end(&mut answer).await.unwrap();
                    answer
                },
                async {
                    let mut request = Vec::new();
                    server.read_to_end(&mut request).await.unwrap();
                    // The other direction still works after the half-close.
                    server.write_all(&request[..300]).await.unwrap();
                    server.shutdown().await.unwrap();
                    request
                },
            );
            let ((totals, end), answer, request) = pair;
            assert!(matches!(end, CopyEnd::Finished), "{end:?}");
            assert_eq!(totals, CopyTotals { to_server: 1000, to_client: 300 });
            assert_eq!((request.len(), answer.len()), (1000, 300));
            totals
        };
        let totals = work.await;
        assert_eq!(heard, totals);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_when_idle() {
        let (mut client, mut near) = duplex(64);
        let (mut far, _server) = duplex(64);
        let begin = Instant::now();
        let (copied, ()) = tokio::join!(
            copy_bidirectional(&mut near, &mut far, Some(Duration::from_secs(10)), |_, _| ()),
            async {
                tokio::time::sleep(Duration::from_secs(6)).await;
                client.write_all(b"x").await.unwrap();
            }
        );
        assert!(matches!(copied, (CopyTotals { to_server: 1, to_client: 0 }, CopyEnd::Idle)), "{copied:?}");
        assert_eq!(begin.elapsed(), Duration::from_secs(16));
    }

    #[tokio::test]
    async fn tells_who_failed() {
        let (mut client, mut near) = duplex(64);
        let (mut far, server) = duplex(64);
        drop(server);
        client.write_all(b"x").await.unwrap();
        let (_, end) = copy_bidirectional(&mut near, &mut far, None, |_, _| ()).await;
        assert!(matches!(end, CopyEnd::ServerFailed(_)), "{end:?}");
    }
}
