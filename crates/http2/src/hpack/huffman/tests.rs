use proptest::prelude::*;

use super::*;

pub(crate) fn code(symbol: u16) -> (u32, u32) {
    let at = ORDER.symbols.iter().position(|s| *s == symbol).unwrap();
    let length = usize::from(LENGTHS[usize::from(symbol)]);
    (ORDER.first[length] + (at - usize::from(ORDER.before[length])) as u32, length as u32)
}

fn decoded(input: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; room(input.len())];
    let len = decode(input, &mut out)?;
    out.truncate(len);
    Some(out)
}

#[test]
fn codes_are_those_of_appendix_b() {
    for (symbol, expected) in [
        (u16::from(b'0'), (0x0, 5)),
        (u16::from(b't'), (0x9, 5)),
        (u16::from(b' '), (0x14, 6)),
        (u16::from(b'u'), (0x2d, 6)),
        (u16::from(b':'), (0x5c, 7)),
        (u16::from(b'z'), (0x7b, 7)),
        (u16::from(b'&'), (0xf8, 8)),
        (u16::from(b'Z'), (0xfd, 8)),
        (u16::from(b'!'), (0x3f8, 10)),
        (u16::from(b'|'), (0x7fc, 11)),
        (u16::from(b'>'), (0xffb, 12)),
        (0, (0x1ff8, 13)),
        (u16::from(b'^'), (0x3ffc, 14)),
        (u16::from(b'{'), (0x7ffe, 15)),
        (u16::from(b'\\'), (0x7fff0, 19)),
        (128, (0xfffe6, 20)),
        (153, (0x1fffdc, 21)),
        (129, (0x3fffd2, 22)),
        (1, (0x7fffd8, 23)),
        (9, (0xffffea, 24)),
        (199, (0x1ffffec, 25)),
        (255, (0x3ffffee, 26)),
        (254, (0x7fffff0, 27)),
        (249, (0xffffffe, 28)),
        (10, (0x3ffffffc, 30)),
        (EOS, (0x3fffffff, 30)),
    ] {
        assert_eq!(code(symbol), expected, "{symbol}");
    }
}

#[test]
fn every_byte_alone_and_among_others() {
    for byte in 0..=255u8 {
        for around in ["", "a", "www", "a longer piece of text around it"] {
            let text = [around.as_bytes(), &[byte], around.as_bytes()].concat();
            assert_eq!(decoded(&encode(&text)), Some(text));
        }
    }
}

#[test]
fn refuses_eos_and_wrong_padding() {
    assert_eq!(decoded(&[]), Some(vec![]));
    // 'a' is 00011; then come three bits of padding.
    assert_eq!(decoded(&[0b0001_1111]), Some(b"a".to_vec()));
    for bad in [0b0001_1110, 0b0001_1011, 0b0001_1000] {
        assert_eq!(decoded(&[bad]), None);
    }
    // A whole byte of padding, alone and behind others; a code that is cut off; EOS.
    for bad in [&[0xff][..], &[0b0001_1111, 0xff], &[0xff, 0xff], &[0xfe], &[0xff; 4], &[0xff; 40]] {
        assert_eq!(decoded(bad), None, "{bad:?}");
    }
    let long = [encode(b"0123456789abcdef"), vec![0xff]].concat();
    assert_eq!(decoded(&long), None);
}

proptest! {
    #[test]
    fn there_and_back(text: Vec<u8>, ascii in "[ -~]{0,200}") {
        prop_assert_eq!(decoded(&encode(&text)), Some(text));
        prop_assert_eq!(decoded(&encode(ascii.as_bytes())), Some(ascii.into_bytes()));
    }

    /// What is valid at all is the only encoding of its text.
    #[test]
    fn never_panics_and_takes_one_encoding(bytes: Vec<u8>) {
        if let Some(text) = decoded(&bytes) {
            prop_assert_eq!(encode(&text), bytes);
        }
    }
}
