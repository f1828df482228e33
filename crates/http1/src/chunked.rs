//! The chunked transfer coding (RFC 9112, section 7.1), read strictly.

use bytes::{Buf, Bytes, BytesMut};
use httparse::Status;

use crate::body::Fields;
use crate::parse::Patience;
use crate::tokens::{Known, is_hop_by_hop, known};
use crate::{Frame, Limits, Refusal};

/// Longest line with a chunk's size and extensions.
const MAX_LINE: usize = 1024;
/// Bytes of extensions in a whole body: a peer that sends more than that is not sending data.
const MAX_EXTENSIONS: usize = 16 * 1024;

/// Where in a body we are.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    extensions: usize,
    patience: Patience,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

/// What a look at the buffer yields.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Frame(Frame),
    NeedMore,
    Done,
}

impl Decoder {
    pub(crate) fn new() -> Self {
        Decoder { state: State::Size, extensions: 0, patience: Patience::default() }
    }

    /// Takes the next frame off the buffer.
    pub(crate) fn step(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Step, Refusal> {
        loop {
            match self.state {
                State::Size => match self.size_line(buffer)? {
                    None => return Ok(Step::NeedMore),
                    Some(0) => self.state = State::Trailers,
                    Some(size) => self.state = State::Data(size),
                },
                State::Data(left) => {
                    let len = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    if len == 0 {
                        return Ok(Step::NeedMore);
                    }
                    let left = left - len as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Step::Frame(Frame::Data(buffer.split_to(len).freeze())));
                }
                State::DataEnd => match buffer.get(..2) {
                    Some(b"\r\n") => {
                        buffer.advance(2);
                        self.state = State::Size;
                    }
                    None if matches!(buffer.first(), None | Some(b'\r')) => return Ok(Step::NeedMore),
                    _ => return Err(Refusal::ChunkEnd),
                },
                State::Trailers => {
                    if !self.patience.worth_parsing(buffer) && buffer.len() <= limits.max_head_bytes() {
                        return Ok(Step::NeedMore);
                    }
                    let Some(trailers) = trailers(buffer, limits)? else { return Ok(Step::NeedMore) };
                    self.state = State::Done;
                    if !trailers.is_empty() {
                        return Ok(Step::Frame(Frame::Trailers(trailers)));
                    }
                }
                State::Done => return Ok(Step::Done),
            }
        }
    }

    /// How many bytes of data are known to follow, for the size of the next read.
    pub(crate) fn expected(&self) -> u64 {
        if let State::Data(left) = self.state { left } else { 0 }
    }

    fn size_line(&mut self, buffer: &mut BytesMut) -> Result<Option<u64>, Refusal> {
        let line_end = buffer.iter().take(MAX_LINE).position(|b| *b == b'\n');
        let digits = buffer.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        // 15 digits are beyond any size and never overflow.
        if digits > 15 || (digits == 0 && !buffer.is_empty()) {
            return Err(Refusal::ChunkSize);
        }
        let Some(line_end) = line_end else {
            let bad = buffer.len() >= MAX_LINE || !extension_so_far(&buffer[digits..]);
            return if bad { Err(Refusal::ChunkExtension) } else { Ok(None) };
        };
        let line = &buffer[..line_end];
        let extension = match &line[digits..] {
            [extension @ .., b'\r'] => extension,
            [] => return Err(Refusal::ChunkSize),
            _ => return Err(Refusal::ChunkExtension),
        };
        if !is_extension(extension) {
            return Err(Refusal::ChunkExtension);
        }
        self.extensions += extension.len();
        if self.extensions > MAX_EXTENSIONS {
            return Err(Refusal::ChunkExtension);
        }
        let value = |digit: u8| u64::from((digit as char).to_digit(16).unwrap_or(0));
        let size = line[..digits].iter().fold(0, |size, digit| size * 16 + value(*digit));
        buffer.advance(line_end + 1);
        Ok(Some(size))
    }
}

/// Nothing, or `;` (white space before it is allowed) and text.
fn is_extension(bytes: &[u8]) -> bool {
    let text = |b: &u8| *b == b'\t' || (*b >= b' ' && *b != 0x7f);
    bytes.is_empty() || (crate::tokens::trim(bytes).first() == Some(&b';') && bytes.iter().all(text))
}

/// The beginning of an extension and of the line's end.
fn extension_so_far(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    is_extension(bytes) || crate::tokens::trim(bytes).is_empty()
}

/// The trailer section; `None`: it is not complete.
fn trailers(buffer: &mut BytesMut, limits: &Limits) -> Result<Option<Fields>, Refusal> {
    // Nearly always there is none.
    if buffer.starts_with(b"\r\n") {
        buffer.advance(2);
        return Ok(Some(Fields::default()));
    }
    let mut room = vec![httparse::EMPTY_HEADER; limits.max_headers_count.min(1 << 16) as usize];
    let (len, fields) = match httparse::parse_headers(buffer, &mut room) {
        Err(httparse::Error::TooManyHeaders) => return Err(Refusal::TooManyHeaders),
        Err(_) => return Err(Refusal::Trailers),
        Ok(Status::Partial) if buffer.len() > limits.max_head_bytes() => return Err(Refusal::HeadTooLarge),
        Ok(Status::Partial) => return Ok(None),
        Ok(Status::Complete((len, _))) if len > limits.max_head_bytes() => return Err(Refusal::HeadTooLarge),
        Ok(Status::Complete((len, parsed))) => (len, copied(parsed)?),
    };
    let section = &buffer[..len];
    let bare = section.iter().enumerate().any(|(at, b)| *b == b'\n' && (at == 0 || section[at - 1] != b'\r'));
    if bare {
        return Err(Refusal::BareLineFeed);
    }
    buffer.advance(len);
    Ok(Some(fields))
}

/// Trailers as owned bytes. Framing and routing fields are refused (RFC 9110, section 6.5.1),
/// what concerns one connection is left out.
fn copied(parsed: &[httparse::Header<'_>]) -> Result<Fields, Refusal> {
    let mut fields = Fields::default();
    for header in parsed {
        let name = header.name.as_bytes();
        if matches!(known(name), Known::ContentLength | Known::TransferEncoding | Known::Host) {
            return Err(Refusal::Trailers);
        }
        if !is_hop_by_hop(name) {
            fields.push(Bytes::copy_from_slice(name), Bytes::copy_from_slice(header.value));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes, with the input cut into pieces of `size`; body, trailers as text, rest.
    fn decode(bytes: &[u8], size: usize) -> Result<Option<(String, String, usize)>, Refusal> {
        let mut decoder = Decoder::new();
        let (mut buffer, mut body, mut trailers) = (BytesMut::new(), String::new(), String::new());
        let mut pieces = bytes.chunks(size);
        loop {
            match decoder.step(&mut buffer, &Limits::default())? {
                Step::Frame(Frame::Data(data)) => body += std::str::from_utf8(&data).unwrap(),
                Step::Frame(Frame::Trailers(fields)) => {
                    for (name, value) in fields.iter() {
                        trailers +=
                            &format!("{}={};", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
                    }
                }
                Step::Done => {
                    return Ok(Some((body, trailers, buffer.len() + pieces.map(<[u8]>::len).sum::<usize>())));
                }
                Step::NeedMore => match pieces.next() {
                    Some(piece) => buffer.extend_from_slice(piece),
                    None => return Ok(None),
                },
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: Result<Option<(&str, &str, usize)>, Refusal>) {
        let expected =
            expected.map(|o| o.map(|(body, trailers, rest)| (body.to_owned(), trailers.to_owned(), rest)));
        for size in 1..=text.len().max(1) {
            assert_eq!(decode(text.as_bytes(), size), expected, "{text:?} in pieces of {size}");
        }
    }

    #[test]
    fn decodes_at_every_split() {
        check("0\r\n\r\n", Ok(Some(("", "", 0))));
        check("5\r\nhello\r\n0\r\n\r\n", Ok(Some(("hello", "", 0))));
        check("5\r\nhello\r\n6;a=b\r\n world\r\n000\r\n\r\nGET", Ok(Some(("hello world", "", 3))));
        check(
            "A;x=\"y z\"\r\n0123456789\r\n0\r\nA: b\r\nc:d\r\n\r\n",
            Ok(Some(("0123456789", "A=b;c=d;", 0))),
        );
        check("0\r\nconnection: a\r\nx: y\r\n\r\n", Ok(Some(("", "x=y;", 0))));
        check("1 ;a\r\nx\r\n0\r\n\r\n", Ok(Some(("x", "", 0))));
        check("5\r\nhel", Ok(None));
        check("5", Ok(None));
        check("", Ok(None));
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        check("\r\n", Err(Refusal::ChunkSize));
        check("g\r\n", Err(Refusal::ChunkSize));
        check("-1\r\n", Err(Refusal::ChunkSize));
        check("+1\r\n", Err(Refusal::ChunkSize));
        check(" 1\r\n", Err(Refusal::ChunkSize));
        check("0x1\r\nx\r\n", Err(Refusal::ChunkExtension));
        check("ffffffffffffffff\r\n", Err(Refusal::ChunkSize));
        check("1 \r\nx\r\n", Err(Refusal::ChunkExtension));
        check("1\rX\nx\r\n", Err(Refusal::ChunkExtension));
        check("1;a\rb\r\nx\r\n", Err(Refusal::ChunkExtension));
        check("1;a\0b\r\nx\r\n", Err(Refusal::ChunkExtension));
        check("1\r\nxy\r\n", Err(Refusal::ChunkEnd));
        check("1\r\nx\n0\r\n\r\n", Err(Refusal::ChunkEnd));
        check("0\r\nContent-Length: 1\r\n\r\n", Err(Refusal::Trailers));
        check("0\r\nTransfer-Encoding: chunked\r\n\r\n", Err(Refusal::Trailers));
        check("0\r\nbad header\r\n\r\n", Err(Refusal::Trailers));
        check("0\r\na: b\n\r\n", Err(Refusal::BareLineFeed));
        let long = format!("1;{}", "a".repeat(2000));
        assert_eq!(decode(long.as_bytes(), 100), Err(Refusal::ChunkExtension));
        let many = format!("1;{}\r\nx\r\n", "a".repeat(900)).repeat(20);
        assert_eq!(decode(many.as_bytes(), 4096), Err(Refusal::ChunkExtension));
        assert_eq!(decode(b"1\nx\r\n0\r\n\r\n", 100), Err(Refusal::ChunkSize));
    }
}
