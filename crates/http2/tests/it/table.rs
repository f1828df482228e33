//! How much of the compression's table is used.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// SETTINGS, and GET on three streams: no settings of the client's say anything of a table.
const REQUESTS: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a\
    \0\0\x06\x01\x05\0\0\0\x03\x82\x86\x84\x41\x01a\
    \0\0\x06\x01\x05\0\0\0\x05\x82\x86\x84\x41\x01a";

/// The blocks of three equal responses.
fn blocks(table_size: Option<u32>) -> Vec<Vec<u8>> {
    let (tell, told) = std::sync::mpsc::channel();
    run(async move {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        serve(far, Config { table_size, ..Config::default() }, |mut incoming| async move {
            let fields = [("x-repeated", "something that is said again and again")];
            incoming.send.respond(&response(200, &fields), true).unwrap();
        });
        near.write_all(REQUESTS).await.unwrap();
        let mut found = 0;
        while found < 3 {
            let mut head = [0; 9];
            near.read_exact(&mut head).await.unwrap();
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            near.read_exact(&mut payload).await.unwrap();
            if head[3] == 1 {
                found += 1;
                tell.send(payload).unwrap();
            }
        }
    });
    told.iter().collect()
}

#[test]
fn what_repeats_costs_a_byte_unless_the_table_is_too_small() {
    for size in [None, Some(4096), Some(65_536)] {
        let blocks = blocks(size);
        assert!(blocks[0].len() > 40 && blocks[2].len() == 2, "{size:?} {blocks:?}");
    }
    // The first block says so: a size update (RFC 7541, section 6.3).
    for (size, update) in [(0, &[0x20][..]), (100, &[0x3f, 0x45])] {
        let blocks = blocks(Some(size));
        assert!(blocks[0].starts_with(update), "{size} {blocks:?}");
        assert_eq!(blocks[0][update.len()..], blocks[1][..]);
        assert_eq!(blocks[1], blocks[2], "{size}");
    }
}
