//! Looking at the first bytes of a connection without taking them away.

use std::future::poll_fn;
use std::io;

use crate::Io;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspected<T> {
    Decided(T),
    /// The stream ended before that.
    Eof,
    /// So many bytes were not enough.
    Full,
}

/// Reads until `judge` can decide from the bytes so far, at most `max` of them. They stay in
/// front of the stream ([`Io::prefix`]), and so they do when this future is dropped: put a
/// timeout around it. No buffer is held while nothing has arrived.
///
/// # Errors
/// The socket failed.
pub async fn inspect<T>(
    io: &mut Io,
    max: usize,
    mut judge: impl FnMut(&[u8]) -> Option<T>,
) -> io::Result<Inspected<T>> {
    loop {
        if let Some(verdict) = judge(io.prefix()) {
            return Ok(Inspected::Decided(verdict));
        }
        let room = max.saturating_sub(io.prefix().len());
        if room == 0 {
            return Ok(Inspected::Full);
        }
        if poll_fn(|cx| io.poll_peek_more(cx, room)).await? == 0 {
            return Ok(Inspected::Eof);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn keeps_the_bytes_even_if_dropped() {
        let (mut far, near) = UnixStream::pair().unwrap();
        let mut near = Io::from(near);
        let four = |bytes: &[u8]| (bytes.len() >= 4).then(|| bytes.to_vec());
        far.write_all(b"ab").await.unwrap();
        let dropped = tokio::time::timeout(Duration::from_millis(20), inspect(&mut near, 64, four)).await;
        assert!(dropped.is_err());
        assert_eq!(near.prefix(), b"ab");
        far.write_all(b"cde").await.unwrap();
        let seen = inspect(&mut near, 64, four).await.unwrap();
        assert_eq!(seen, Inspected::Decided(b"abcde".to_vec()));
        drop(far);
        let mut all = Vec::new();
        near.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"abcde");
    }

    #[tokio::test]
    async fn is_bounded_and_sees_the_end() {
        let (mut far, near) = UnixStream::pair().unwrap();
        let mut near = Io::from(near);
        far.write_all(b"abcdef").await.unwrap();
        assert_eq!(inspect(&mut near, 4, |_| None::<()>).await.unwrap(), Inspected::Full);
        drop(far);
        assert_eq!(inspect(&mut near, 64, |_| None::<()>).await.unwrap(), Inspected::Eof);
        assert_eq!(near.prefix(), b"abcdef");
    }
}
