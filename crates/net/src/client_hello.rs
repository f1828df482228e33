//! What a TLS client says first: server name and protocols (RFC 8446, section 4.1.2).

/// Most bytes of records that are looked at; a hello with large post-quantum key shares and many
/// extensions stays far below.
pub const MAX_HELLO: usize = 64 * 1024;

/// What the first bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsVerdict {
    Tls(ClientHello),
    NotTls,
    NeedMore,
}

/// The parts of a ClientHello that choose a filter chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// In lower case.
    pub server_name: Option<String>,
    /// In the client's order.
    pub alpn: Vec<Vec<u8>>,
}

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// Judges the first bytes of a connection. Whatever is no well-formed ClientHello is not TLS.
pub fn parse(bytes: &[u8]) -> TlsVerdict {
    match hello_message(bytes) {
        Err(Short) if bytes.len() >= MAX_HELLO => TlsVerdict::NotTls,
        Err(Short) => TlsVerdict::NeedMore,
        Ok(None) => TlsVerdict::NotTls,
        Ok(Some(message)) => parse_hello(&message).map_or(TlsVerdict::NotTls, TlsVerdict::Tls),
    }
}

/// More bytes are needed.
struct Short;

/// Puts the handshake message together from its records; `None`: it is no ClientHello.
fn hello_message(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, Short> {
    let mut message = Vec::new();
    loop {
        let header = &bytes[..bytes.len().min(5)];
        let looks_right = header.iter().enumerate().all(|(at, byte)| match at {
            0 => *byte == HANDSHAKE,
            1 => *byte == 3,
            2 => *byte <= 4,
            _ => true,
        });
        if !looks_right {
            return Ok(None);
        }
        let [_, _, _, high, low] = *header else { return Err(Short) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length == 0 || length > (1 << 14) + 256 {
            return Ok(None);
        }
        let rest = &bytes[5..];
        message.extend_from_slice(&rest[..rest.len().min(length)]);
        if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
            return Ok(None);
        }
        if let [_, a, b, c, ..] = message[..] {
            let wanted = 4 + usize::from(a) * 65536 + usize::from(b) * 256 + usize::from(c);
            if wanted > MAX_HELLO {
                return Ok(None);
            }
            if message.len() >= wanted {
                message.truncate(wanted);
                message.drain(..4);
                return Ok(Some(message));
            }
        }
        if rest.len() < length {
            return Err(Short);
        }
        bytes = &rest[length..];
    }
}

/// `None`: malformed.
fn parse_hello(message: &[u8]) -> Option<ClientHello> {
    let mut reader = Reader(message);
    reader.take(2 + 32)?; // legacy_version, random
    reader.vector8()?; // legacy_session_id
    reader.vector16()?; // cipher_suites
    reader.vector8()?; // legacy_compression_methods
    let mut hello = ClientHello::default();
    if reader.0.is_empty() {
        return Some(hello);
    }
    let mut extensions = Reader(reader.vector16()?);
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let mut data = Reader(extensions.vector16()?);
        match kind {
            SERVER_NAME => hello.server_name = server_name(&mut data)?,
            ALPN => hello.alpn = protocols(&mut data)?,
            _ => {}
        }
    }
    Some(hello)
}

/// The host name; an outer `None` means malformed, an inner one that there is none.
fn server_name(data: &mut Reader<'_>) -> Option<Option<String>> {
    let mut names = Reader(data.vector16()?);
    while !names.0.is_empty() {
        let kind = names.take(1)?[0];
        let name = names.vector16()?;
        if kind == 0 {
            let text = std::str::from_utf8(name).ok()?;
            let valid = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
            return valid.then(|| Some(text.to_ascii_lowercase()));
        }
    }
    Some(None)
}

fn protocols(data: &mut Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let mut list = Reader(data.vector16()?);
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        protocols.push(list.vector8().filter(|name| !name.is_empty())?.to_vec());
    }
    Some(protocols)
}

/// Reads TLS's presentation language. `None`: too short.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.take(1)?[0];
        self.take(length.into())
    }

    fn vector16(&mut self) -> Option<&'a [u8]> {
        let length = self.number16()?;
        self.take(length.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};

    fn hello(name: &str, alpn: &[&str]) -> Vec<u8> {
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).unwrap();
        bytes
    }

    fn expected(name: Option<&str>, alpn: &[&str]) -> TlsVerdict {
        let alpn = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        TlsVerdict::Tls(ClientHello { server_name: name.map(str::to_owned), alpn })
    }

    #[test]
    fn reads_a_real_hello_at_every_split() {
        let name = "outbound_.80_._.reviews.default.svc.cluster.local";
        let bytes = hello(name, &["istio", "h2"]);
        assert_eq!(parse(&bytes), expected(Some(name), &["istio", "h2"]));
        for end in 0..bytes.len() {
            assert_eq!(parse(&bytes[..end]), TlsVerdict::NeedMore, "{end}");
        }
        assert_eq!(parse(&hello("10.0.0.1", &[])), expected(None, &[]));
    }

    #[test]
    fn reads_a_hello_cut_into_records() {
        let bytes = hello("a.example", &["istio-peer-exchange"]);
        for size in [1, 7, 100] {
            let mut cut = Vec::new();
            for part in bytes[5..].chunks(size) {
                cut.extend_from_slice(&[22, 3, 1]);
                cut.extend_from_slice(&(part.len() as u16).to_be_bytes());
                cut.extend_from_slice(part);
            }
            assert_eq!(parse(&cut), expected(Some("a.example"), &["istio-peer-exchange"]), "{size}");
        }
    }

    #[test]
    fn survives_any_bytes() {
        for bytes in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x00\x00",
            b"\x16\x02\x01",
            b"\x17",
            b"\x16\x03\x01\xff\xff",
        ] {
            assert_eq!(parse(bytes), TlsVerdict::NotTls, "{bytes:?}");
        }
        let good = hello("a.example", &["h2"]);
        for at in 0..good.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                parse(&bad);
                parse(&bad[..at]);
            }
        }
    }
}
