use proptest::prelude::*;

use super::*;

pub(crate) type Pair = (String, String, bool);

/// All fields of a block, and whether each is sensitive.
pub(crate) fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Pair>, DecodeError> {
    let mut fields = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    decoder.decode(block, |f| fields.push((text(f.name), text(f.value), f.sensitive)))?;
    Ok(fields)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// Decodes one block after the other; after each, the table's size is as the appendix has it.
fn check(decoder: &mut Decoder, blocks: &[(&str, &[&str], usize)]) {
    for (block, expected, size) in blocks {
        let fields = decoded(decoder, &hex(block)).unwrap();
        let lines: Vec<String> = fields.iter().map(|(n, v, _)| format!("{n}: {v}")).collect();
        assert_eq!(lines, *expected);
        assert_eq!(decoder.table.sizes().0, *size);
    }
}

#[test]
fn appendix_c_2() {
    let literal = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    check(&mut Decoder::new(4096), &[(literal, &["custom-key: custom-header"], 55)]);
    check(
        &mut Decoder::new(4096),
        &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], 0), ("82", &[":method: GET"], 0)],
    );
    let sensitive = decoded(&mut Decoder::new(0), &hex("1008 7061 7373 776f 7264 0673 6563 7265 74"));
    assert_eq!(sensitive, Ok(vec![("password".into(), "secret".into(), true)]));
}

#[test]
fn appendix_c_3_and_4() {
    let first = [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"];
    let second = [&first[..], &["cache-control: no-cache"]].concat();
    let third = [
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ];
    for [a, b, c] in [
        [
            "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "8286 84be 5808 6e6f 2d63 6163 6865",
            "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
        ],
        [
            "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
            "8286 84be 5886 a8eb 1064 9cbf",
            "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
        ],
    ] {
        check(&mut Decoder::new(4096), &[(a, &first, 57), (b, &second, 110), (c, &third, 164)]);
    }
}

#[test]
fn appendix_c_5_and_6() {
    let fields = |status: &'static str, second: &'static str| {
        [status, "cache-control: private", second, "location: https://www.example.com"]
    };
    let (date, later) = ("date: Mon, 21 Oct 2013 20:13:21 GMT", "date: Mon, 21 Oct 2013 20:13:22 GMT");
    let cookie = "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
    let third = [&fields(":status: 200", later)[..], &["content-encoding: gzip", cookie]].concat();
    for [a, b, c] in [
        [
            "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a
             3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
            "4803 3330 37c1 c0bf",
            "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04
             677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49
             553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
        ],
        [
            "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
             919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
            "4883 640e ffc1 c0bf",
            "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
             821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
             4ee5 b106 3d50 07",
        ],
    ] {
        // A table of 256 bytes, as in the appendix: entries are evicted.
        let a = format!("3f e1 01 {a}");
        check(
            &mut Decoder::new(4096),
            &[
                (&a, &fields(":status: 302", date), 222),
                (b, &fields(":status: 307", date), 222),
                (c, &third, 215),
            ],
        );
    }
}

#[test]
fn every_error() {
    use DecodeError::*;
    for (block, error) in [
        ("80", BadIndex),
        ("be", BadIndex),
        ("ff 80 80 80 00", BadIndex),
        ("7e 01 61", BadIndex),
        ("0f 2f 01 61", BadIndex),
        ("ff", Truncated),
        ("ff 80", Truncated),
        ("40", Truncated),
        ("40 01", Truncated),
        ("40 01 61", Truncated),
        ("40 01 61 02 61", Truncated),
        ("00 7f 80 80 04 61", Truncated),
        ("ff 80 80 80 80 00", IntegerOverflow),
        ("00 7f ff ff ff 7f", IntegerOverflow),
        ("3f ff ff ff 7f", IntegerOverflow),
        ("00 01 61 81 18", BadHuffman),
        ("00 81 ff 00", BadHuffman),
        ("00 01 61 84 ff ff ff ff", BadHuffman),
        ("3f e2 1f", SizeUpdateTooLarge),
        ("82 20", SizeUpdateMisplaced),
    ] {
        assert_eq!(decoded(&mut Decoder::new(4096), &hex(block)), Err(error), "{block}");
    }
}

#[test]
fn sizes_follow_the_updates() {
    let mut decoder = Decoder::new(8192);
    check(&mut decoder, &[("40 01 61 01 62 be", &["a: b", "a: b"], 34), ("", &[], 34)]);
    // Both updates, as section 4.2 has it, and alone in a block.
    check(&mut decoder, &[("20 3f e1 1f", &[], 0), ("40 01 61 01 62", &["a: b"], 34)]);
    check(&mut decoder, &[("3f e1 3f be", &["a: b"], 34), ("22 40 01 61 01 62", &["a: b"], 0)]);
    assert_eq!(decoded(&mut decoder, &hex("be")), Err(DecodeError::BadIndex));
}

#[test]
fn says_which_names_are_checked() {
    let (mut decoder, mut seen) = (Decoder::new(4096), Vec::new());
    // x: 1, not kept; x: 1, X: 1 and :y: 1, kept; those again, alone and with other values.
    let block =
        "00 0178 0131 40 0178 0131 40 0158 0131 40 023a79 0131 c0 bf be 7e 0132 7e 0132 04 0131 44 0131 be";
    decoder.decode(&hex(block), |f| seen.push((f.name.to_vec(), f.checked))).unwrap();
    let expected = [
        ("x", false),
        ("x", true),
        ("X", false),
        (":y", false),
        ("x", true),
        ("X", false),
        (":y", false),
        (":y", false),
        (":y", false),
        (":path", true),
        (":path", true),
        (":path", true),
    ];
    assert_eq!(seen, expected.map(|(name, checked)| (name.as_bytes().to_vec(), checked)));
}

#[test]
fn keeps_no_large_scratch() {
    let mut decoder = Decoder::new(4096);
    let mut block = bytes::BytesMut::from(&b"\x00\x01a"[..]);
    integer::put(&mut block, 0x80, 7, 50_000);
    // 'a' is 00011 each.
    let bits = [0b0001_1000, 0b1100_0110, 0b0011_0001, 0b1000_1100, 0b0110_0011];
    block.extend_from_slice(&bits.repeat(10_000));
    let fields = decoded(&mut decoder, &block).unwrap();
    assert_eq!((fields[0].1.len(), SCRATCH.take().capacity()), (80_000, 0));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic_or_grow(
        max_size in 0..10_000usize,
        blocks in prop::collection::vec(block(), 1..30),
    ) {
        let mut decoder = Decoder::new(max_size);
        for block in blocks {
            let _ = decoder.decode(&block, |_| ());
            let (size, memory) = decoder.table.sizes();
            prop_assert!(size <= max_size.max(4096) && memory <= 2 * max_size.max(4096));
        }
    }
}

/// Bytes, and pieces that are valid, so that some of it gets far.
fn block() -> impl Strategy<Value = Vec<u8>> {
    let valid = prop_oneof![
        Just(hex("82 be c0")),
        Just(hex("7f 00 02 61 62")),
        Just(hex("7e 84 31 65 31 65")),
        Just([&hex("40 02 61 62 7f 80 04")[..], &[b'x'; 639]].concat()),
        Just(hex("3f e1 1f")),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(valid, 0..12).prop_map(|pieces| pieces.concat())
}
