//! The messages of `grpc.health.v1.Health/Check`, which are one field each.
//! See <https://github.com/grpc/grpc/blob/master/doc/health-checking.md>.

/// `ServingStatus.SERVING`.
const SERVING: u64 = 1;

/// `HealthCheckRequest`, framed.
pub fn grpc_request(service: &str) -> Vec<u8> {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(1 << 3 | 2);
        let mut length = service.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
    framed.extend(message);
    framed
}

/// Whether a response's body is one `HealthCheckResponse`, framed, that says `SERVING`; `None`: it is
/// none.
pub fn grpc_serving(body: &[u8]) -> Option<bool> {
    let (&[compressed, a, b, c, d], message) = body.split_first_chunk()?;
    if compressed != 0 || message.len() != u32::from_be_bytes([a, b, c, d]) as usize {
        return None;
    }
    let (mut rest, mut status) = (message, 0);
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        match tag & 7 {
            0 => {
                let value = varint(&mut rest)?;
                status = if tag >> 3 == 1 { value } else { status };
            }
            1 => rest = rest.get(8..)?,
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            5 => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status == SERVING)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
