//! Numbers and addresses as text, without the machinery of `core::fmt`: access logs and headers
//! have a dozen of them per request.

use std::net::{IpAddr, SocketAddr};

/// Appends a decimal number.
pub fn put_number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a number of at least `width` digits (at most 20), with zeros in front.
pub fn put_padded(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    out.extend_from_slice(&b"00000000000000000000"[..width.min(20).saturating_sub(digits.len())]);
    out.extend_from_slice(digits);
}

/// Appends an address as its `Display` writes it.
pub fn put_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            for (i, octet) in ip.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                put_number(out, u64::from(octet));
            }
        }
        IpAddr::V6(ip) => put_display(out, ip),
    }
}

/// Appends an address as its `Display` writes it.
pub fn put_socket(out: &mut Vec<u8>, address: SocketAddr) {
    match address {
        SocketAddr::V4(v4) => {
            put_ip(out, IpAddr::V4(*v4.ip()));
            out.push(b':');
            put_number(out, u64::from(v4.port()));
        }
        SocketAddr::V6(v6) => put_display(out, v6),
    }
}

/// Appends whatever has a `Display`; for what is seldom written.
pub fn put_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    use std::io::Write;
    // A vector takes everything.
    let _ = write!(out, "{value}");
}

/// A UUID of version 4 from 128 random bits. Unique enough to name a request, no secret.
pub fn uuid(high: u64, low: u64) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    let bytes = ((u128::from(high) << 64) | u128::from(low)).to_be_bytes();
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (i, byte) in bytes.into_iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(put: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        put(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn writes_as_display_does() {
        for address in ["10.0.255.1:80", "0.0.0.0:0", "[::1]:65535", "[fe80::1%3]:1", "[2001:db8::a]:443"] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(written(|out| put_socket(out, address)), address.to_string());
            assert_eq!(written(|out| put_ip(out, address.ip())), address.ip().to_string());
        }
        assert_eq!(written(|out| put_padded(out, 7, 3)), "007");
        assert_eq!(written(|out| put_padded(out, 1234, 3)), "1234");
        assert_eq!(written(|out| put_number(out, u64::MAX)), u64::MAX.to_string());
    }

    #[test]
    fn a_uuid_says_its_version() {
        let text = |high, low| String::from_utf8(uuid(high, low).to_vec()).unwrap();
        assert_eq!(text(u64::MAX, u64::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(text(0, 0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(
            text(0x0123_4567_89ab_cdef, 0x0123_4567_89ab_cdef),
            "01234567-89ab-4def-8123-456789abcdef"
        );
    }
}
