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
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    let (high, low) = (hex(high), hex(low));
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&high[..8]);
    text[9..13].copy_from_slice(&high[8..12]);
    text[14..18].copy_from_slice(&high[12..]);
    text[19..23].copy_from_slice(&low[..4]);
    text[24..].copy_from_slice(&low[4..]);
    text
}

/// The digits of a number, eight at a time.
fn hex(number: u64) -> [u8; 16] {
    const ONES: u64 = u64::MAX / 255;
    let half = |half: u64| {
        // A byte for every four bits.
        let spread = (half << 16 & 0xffff_0000_0000) | (half & 0xffff);
        let spread = (spread << 8 & 0x00ff_0000_00ff_0000) | (spread & 0x0000_00ff_0000_00ff);
        let spread = (spread << 4 & 0x0f00_0f00_0f00_0f00) | (spread & 0x000f_000f_000f_000f);
        let letters = (spread + ONES * 6) >> 4 & ONES;
        (spread + ONES * u64::from(b'0') + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
    };
    let mut digits = [0; 16];
    digits[..8].copy_from_slice(&half(number >> 32));
    digits[8..].copy_from_slice(&half(number & 0xffff_ffff));
    digits
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
