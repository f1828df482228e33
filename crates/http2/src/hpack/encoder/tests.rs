use proptest::prelude::*;

use super::super::Decoder;
use super::super::decoder::tests::{Pair, decoded};
use super::*;

fn block(encoder: &mut Encoder, fields: &[(&str, &str)]) -> BytesMut {
    let mut out = BytesMut::new();
    encoder.begin(&mut out);
    for (name, value) in fields {
        encoder.field(name.as_bytes(), value.as_bytes(), false, &mut out);
    }
    out
}

#[test]
fn static_fields_are_one_byte_each() {
    let fields = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":status", "200"), ("etag", "")];
    assert_eq!(block(&mut Encoder::new(), &fields)[..], [0x82, 0x87, 0x84, 0x88, 0xa2]);
}

#[test]
fn what_repeats_shrinks_to_a_byte_and_what_does_not_stays_out() {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
    let names: Vec<String> = (0..30).map(|n| format!("x-name-{n}")).collect();
    for round in 0..2000 {
        let id = format!("{round:032x}");
        let mut fields: Vec<(&str, &str)> = names.iter().map(|name| (&name[..], "the same")).collect();
        fields.extend([("x-request-id", &id[..]), (":path", &id), ("date", &id)]);
        let out = block(&mut encoder, &fields);
        let expected = 30 + (1 + 13 + 33) + (1 + 33) + (2 + 33);
        assert!(round < 2 || out.len() == expected, "{round}: {}", out.len());
        let pairs = decoded(&mut decoder, &out).unwrap();
        assert!(pairs.iter().map(|(n, v, _)| (&n[..], &v[..])).eq(fields.iter().copied()));
    }
    assert_eq!(encoder.table.len(), 30);
}

#[test]
fn secrets_are_never_indexed() {
    let mut encoder = Encoder::new();
    let (long, short) = ("c=0123456789abcdefghijklmnop", "c=0123456789");
    for _ in 0..4 {
        let mut out = BytesMut::new();
        for (name, value) in [
            ("authorization", long),
            ("proxy-authorization", long),
            ("cookie", short),
            ("set-cookie", short),
            ("authorization", ""),
        ] {
            encoder.field(name.as_bytes(), value.as_bytes(), false, &mut out);
        }
        encoder.field(b":method", b"GET", true, &mut out);
        let fields = decoded(&mut Decoder::new(4096), &out).unwrap();
        assert!(fields.len() == 6 && fields.iter().all(|(_, _, sensitive)| *sensitive));
    }
    assert_eq!(encoder.table.len(), 0);
    let sizes = [(); 3].map(|()| block(&mut encoder, &[("cookie", long)]).len());
    // Not in the prefix of 4 bits, but of 6.
    assert_eq!(sizes, [3 + long.len(), 2 + long.len(), 1]);
}

#[test]
fn large_entries_stay_out() {
    let mut encoder = Encoder::new();
    for (len, kept) in [(4096 / 4 - 32 - 1, 1), (4096 / 4 - 32, 0)] {
        let value = "x".repeat(len);
        for _ in 0..3 {
            block(&mut encoder, &[("x", &value)]);
        }
        assert_eq!(encoder.table.len(), kept);
        encoder = Encoder::new();
    }
}

#[test]
fn sizes_go_with_the_next_block() {
    let mut encoder = Encoder::new();
    let update = |encoder: &mut Encoder, sizes: &[usize]| {
        sizes.iter().for_each(|size| encoder.set_max_size(*size));
        block(encoder, &[]).to_vec()
    };
    assert_eq!(update(&mut encoder, &[4096, 65_536]), []);
    assert_eq!(update(&mut encoder, &[0, 4096]), [0x20, 0x3f, 0xe1, 0x1f]);
    assert_eq!(update(&mut encoder, &[]), []);
    assert_eq!(update(&mut encoder, &[100, 10, 30]), [0x2a, 0x3e]);
    assert_eq!(update(&mut encoder, &[1 << 30]), [0x3f, 0xe1, 0x1f]);
    assert_eq!(update(&mut encoder, &[0, 0]), [0x20]);
}

fn fields() -> impl Strategy<Value = Vec<Pair>> {
    let name = prop_oneof!["[a-z-]{0,3}", "x-[a-c]", Just("cookie".into()), Just(":path".into())];
    let value = prop_oneof!["[ -~]{0,3}", "[ab]{10,12}", "[a-b]{1,2}[x]{300}"];
    prop::collection::vec((name, value, prop::bool::weighted(0.1)), 0..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn decodes_to_the_same(
        blocks in prop::collection::vec((fields(), prop::collection::vec(0..6000usize, 0..3)), 0..40),
        often in any::<bool>(),
    ) {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new(4096));
        for (fields, sizes) in blocks {
            if often || fields.len() > 15 {
                sizes.iter().for_each(|size| encoder.set_max_size(*size));
            }
            let mut out = BytesMut::new();
            encoder.begin(&mut out);
            for (name, value, sensitive) in &fields {
                encoder.field(name.as_bytes(), value.as_bytes(), *sensitive, &mut out);
            }
            let found = decoded(&mut decoder, &out).unwrap();
            prop_assert_eq!(found.len(), fields.len());
            for (found, field) in found.iter().zip(&fields) {
                prop_assert!((&found.0, &found.1) == (&field.0, &field.1) && found.2 >= field.2);
            }
        }
    }
}
