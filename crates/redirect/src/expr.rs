//! Rules as nf_tables expressions. Names and numbers are those of `linux/netfilter/nf_tables.h`.

use std::net::IpAddr;

use crate::config::{Cidr, Owner};
use crate::encode::Encoder;
use crate::plan::{Family, Match, Rule, Transport, Verdict};

const NFTA_LIST_ELEM: u16 = 1;
const NFTA_EXPR_NAME: u16 = 1;
const NFTA_EXPR_DATA: u16 = 2;
const NFTA_DATA_VALUE: u16 = 1;
const NFTA_DATA_VERDICT: u16 = 2;
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG_1: u32 = 1;
const NFT_RETURN: i32 = -5;

const NFT_META_MARK: u32 = 3;
const NFT_META_OIFNAME: u32 = 7;
const NFT_META_SKUID: u32 = 10;
const NFT_META_SKGID: u32 = 11;
const NFT_META_NFPROTO: u32 = 15;
const NFT_META_L4PROTO: u32 = 16;

const NFT_PAYLOAD_NETWORK_HEADER: u32 = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER: u32 = 2;

/// Writes the expressions of a rule as the elements of `NFTA_RULE_EXPRESSIONS`.
pub fn expressions(rule: &Rule, out: &mut Encoder) {
    if let Some(family) = family(rule) {
        let number = match family {
            Family::V4 => 2,
            Family::V6 => 10,
        };
        meta_equals(out, NFT_META_NFPROTO, &[number]);
    }
    for condition in &rule.matches {
        compare(condition, out);
    }
    expression(out, "counter", |_| {});
    verdict(rule.verdict, out);
}

/// The address family that a rule is about, if it names an address.
fn family(rule: &Rule) -> Option<Family> {
    rule.matches.iter().find_map(|condition| match condition {
        Match::Source(range) | Match::Destination(range) => {
            Some(if range.address.is_ipv4() { Family::V4 } else { Family::V6 })
        }
        _ => None,
    })
}

fn compare(condition: &Match, out: &mut Encoder) {
    match condition {
        Match::Transport(Transport::Tcp) => meta_equals(out, NFT_META_L4PROTO, &[6]),
        Match::Transport(Transport::Udp) => meta_equals(out, NFT_META_L4PROTO, &[17]),
        Match::DestinationPort(port) => {
            payload(out, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
            equals(out, &port.to_be_bytes());
        }
        Match::Source(range) => in_range(out, range, if range.address.is_ipv4() { 12 } else { 8 }),
        Match::Destination(range) => in_range(out, range, if range.address.is_ipv4() { 16 } else { 24 }),
        Match::OnLoopback => {
            // Compared over the whole of IFNAMSIZ, else "lo" would be a prefix.
            let mut name = [0; 16];
            name[..2].copy_from_slice(b"lo");
            meta_equals(out, NFT_META_OIFNAME, &name);
        }
        Match::Owner(Owner::Uid(uid)) => meta_equals(out, NFT_META_SKUID, &uid.to_ne_bytes()),
        Match::Owner(Owner::Gid(gid)) => meta_equals(out, NFT_META_SKGID, &gid.to_ne_bytes()),
        Match::Owner(Owner::Mark(mark)) => meta_equals(out, NFT_META_MARK, &mark.to_ne_bytes()),
    }
}

fn verdict(verdict: Verdict, out: &mut Encoder) {
    match verdict {
        Verdict::Return => expression(out, "immediate", |e| {
            e.be32(1, NFT_REG_VERDICT);
            e.nest(2, |e| e.nest(NFTA_DATA_VERDICT, |e| e.be32(1, NFT_RETURN as u32)));
        }),
        Verdict::Redirect(port) => {
            expression(out, "immediate", |e| {
                e.be32(1, NFT_REG_1);
                e.nest(2, |e| e.attribute(NFTA_DATA_VALUE, &port.to_be_bytes()));
            });
            expression(out, "redir", |e| e.be32(1, NFT_REG_1));
        }
    }
}

fn meta_equals(out: &mut Encoder, key: u32, value: &[u8]) {
    expression(out, "meta", |e| {
        e.be32(1, NFT_REG_1);
        e.be32(2, key);
    });
    equals(out, value);
}

/// An address at `offset` of the network header is in `range`.
fn in_range(out: &mut Encoder, range: &Cidr, offset: u32) {
    let address = match range.address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    payload(out, NFT_PAYLOAD_NETWORK_HEADER, offset, address.len() as u32);
    let bits = usize::from(range.prefix);
    if bits < address.len() * 8 {
        let mask: Vec<u8> = (0..address.len()).map(|byte| mask_byte(bits.saturating_sub(byte * 8))).collect();
        expression(out, "bitwise", |e| {
            e.be32(1, NFT_REG_1);
            e.be32(2, NFT_REG_1);
            e.be32(3, address.len() as u32);
            e.nest(4, |e| e.attribute(NFTA_DATA_VALUE, &mask));
            e.nest(5, |e| e.attribute(NFTA_DATA_VALUE, &vec![0; address.len()]));
        });
    }
    equals(out, &address);
}

/// A mask byte with the first `bits` (at most 8 count) set.
fn mask_byte(bits: usize) -> u8 {
    0xff00u16.wrapping_shr(bits.min(8) as u32) as u8
}

fn payload(out: &mut Encoder, base: u32, offset: u32, length: u32) {
    expression(out, "payload", |e| {
        e.be32(1, NFT_REG_1);
        e.be32(2, base);
        e.be32(3, offset);
        e.be32(4, length);
    });
}

fn equals(out: &mut Encoder, value: &[u8]) {
    const NFT_CMP_EQ: u32 = 0;
    expression(out, "cmp", |e| {
        e.be32(1, NFT_REG_1);
        e.be32(2, NFT_CMP_EQ);
        e.nest(3, |e| e.attribute(NFTA_DATA_VALUE, value));
    });
}

fn expression(out: &mut Encoder, name: &str, data: impl FnOnce(&mut Encoder)) {
    out.nest(NFTA_LIST_ELEM, |e| {
        e.text(NFTA_EXPR_NAME, name);
        e.nest(NFTA_EXPR_DATA, data);
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn masks() {
        let mask = |bits| super::mask_byte(bits);
        assert_eq!([mask(0), mask(1), mask(4), mask(8), mask(24)], [0, 0x80, 0xf0, 0xff, 0xff]);
    }
}
