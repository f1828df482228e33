//! Hashes of requests, for balancers that stick, and the functions that Envoy hashes with.

use std::borrow::Cow;
use std::net::IpAddr;

use ir::HashPolicy;
use ir::hash_policy::{HashBy, HashCookie};

use crate::Request;
use crate::request;

/// What [`of_request`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found<'a> {
    pub hash: Option<u64>,
    /// The client has to be given these cookies, with a value whose hash is already part of `hash`.
    pub cookies: Vec<(&'a HashCookie, u64)>,
}

/// The hash of a request. `fresh` makes values of cookies that a client does not have yet.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto#config-route-v3-routeaction-hashpolicy>.
pub fn of_request<'a, R: Request + ?Sized>(
    policies: &'a [HashPolicy],
    request: &R,
    client: IpAddr,
    mut fresh: impl FnMut() -> u64,
) -> Found<'a> {
    let mut found = Found::default();
    for policy in policies {
        let hash = match &policy.by {
            HashBy::Header(name) => request::value(request, name).map(|value| xxh64(&value)),
            HashBy::Cookie(cookie) => match of_cookie(request, cookie) {
                Some(hash) => Some(hash),
                None => cookie.ttl.map(|_| {
                    let value = fresh();
                    found.cookies.push((cookie, value));
                    xxh64(cookie_value(value).as_bytes())
                }),
            },
            HashBy::SourceIp => Some(of_address(client)),
            HashBy::QueryParameter(name) => request::query_parameter(request.path(), name).map(xxh64),
        };
        if let Some(hash) = hash {
            // Turned, or two equal ones would cancel each other out.
            found.hash = Some(found.hash.map_or(hash, |before| before.rotate_left(1) ^ hash));
        }
        if policy.terminal && found.hash.is_some() {
            break;
        }
    }
    found
}

/// Of a client, for TCP.
pub fn of_address(client: IpAddr) -> u64 {
    xxh64(client.to_canonical().to_string().as_bytes())
}

/// The text of a fresh cookie.
pub fn cookie_value(value: u64) -> String {
    format!("{value:016x}")
}

/// `Set-Cookie` as Envoy writes it: `name="value"; Max-Age=…; Path=…; HttpOnly`.
pub fn set_cookie(cookie: &HashCookie, value: u64) -> String {
    use std::fmt::Write;
    let mut text = format!("{}=\"{}\"", cookie.name, cookie_value(value));
    if let Some(ttl) = cookie.ttl.filter(|ttl| !ttl.is_zero()) {
        let _ = write!(text, "; Max-Age={}", ttl.as_secs());
    }
    if !cookie.path.is_empty() {
        let _ = write!(text, "; Path={}", cookie.path);
    }
    for (name, value) in &cookie.attributes {
        let _ = match value.is_empty() {
            true => write!(text, "; {name}"),
            false => write!(text, "; {name}={value}"),
        };
    }
    text.push_str("; HttpOnly");
    text
}

fn of_cookie<R: Request + ?Sized>(request: &R, cookie: &HashCookie) -> Option<u64> {
    let header: Cow<'_, [u8]> = request.header("cookie")?;
    let mut pairs = header.split(|b| matches!(b, b';' | b',')).map(|pair| pair.trim_ascii());
    let value = pairs.find_map(|pair| pair.strip_prefix(cookie.name.as_bytes())?.strip_prefix(b"="))?;
    let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
    (!bare.is_empty()).then(|| xxh64(bare))
}

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

/// XXH64 with the seed 0.
pub fn xxh64(bytes: &[u8]) -> u64 {
    xxh64_seeded(bytes, 0)
}

/// XXH64, after <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>.
pub fn xxh64_seeded(bytes: &[u8], seed: u64) -> u64 {
    let round =
        |lane: u64, word: u64| lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1);
    let (stripes, mut rest) = bytes.as_chunks::<32>();
    let mut hash = seed.wrapping_add(P5);
    if !stripes.is_empty() {
        let mut lanes =
            [seed.wrapping_add(P1).wrapping_add(P2), seed.wrapping_add(P2), seed, seed.wrapping_sub(P1)];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<8>().0) {
                *lane = round(*lane, u64::from_le_bytes(*word));
            }
        }
        let turned = [1, 7, 12, 18].into_iter().zip(lanes).map(|(by, lane)| lane.rotate_left(by));
        hash = turned.fold(0, u64::wrapping_add);
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(P1).wrapping_add(P4);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    while let Some((word, more)) = rest.split_first_chunk::<8>() {
        hash = (hash ^ round(0, u64::from_le_bytes(*word))).rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
        rest = more;
    }
    if let Some((word, more)) = rest.split_first_chunk::<4>() {
        let word = u64::from(u32::from_le_bytes(*word));
        hash = (hash ^ word.wrapping_mul(P1)).rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        rest = more;
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte).wrapping_mul(P5)).rotate_left(11).wrapping_mul(P1);
    }
    hash = (hash ^ (hash >> 33)).wrapping_mul(P2);
    hash = (hash ^ (hash >> 29)).wrapping_mul(P3);
    hash ^ (hash >> 32)
}

/// MurmurHash2, 64 bits, with the seed of libstdc++'s `std::hash`, which Envoy uses.
pub fn murmur2(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xc70f_6907;
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mix = |word: u64| {
        let word = word.wrapping_mul(M);
        (word ^ (word >> 47)).wrapping_mul(M)
    };
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    for word in words {
        hash = (hash ^ mix(u64::from_le_bytes(*word))).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 47)).wrapping_mul(M);
    hash ^ (hash >> 47)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_give_the_published_values() {
        // From the reference implementation's documentation and command-line tool.
        assert_eq!(xxh64(b""), 0xEF46_DB37_51D8_E999);
        assert_eq!(xxh64(b"a"), 0xD24E_C4F1_A98C_6E5B);
        assert_eq!(xxh64(b"abc"), 0x44BC_2CF5_AD77_0999);
        assert_ne!(xxh64_seeded(b"abc", 1), xxh64(b"abc"));
        let long: Vec<u8> = (0..100).collect();
        assert_ne!(xxh64(&long), xxh64(&long[..99]));
        assert_ne!(murmur2(b"10.0.0.1:80_0"), murmur2(b"10.0.0.1:80_1"));
    }

    struct Head(&'static str, Vec<(&'static str, &'static str)>);

    impl Request for Head {
        fn method(&self) -> &[u8] {
            b"GET"
        }
        fn scheme(&self) -> &[u8] {
            b"http"
        }
        fn authority(&self) -> &[u8] {
            b"a"
        }
        fn path(&self) -> &[u8] {
            self.0.as_bytes()
        }
        fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            self.1.iter().find(|(n, _)| *n == name).map(|(_, value)| Cow::Borrowed(value.as_bytes()))
        }
    }

    fn by(by: HashBy) -> HashPolicy {
        HashPolicy { by, terminal: false }
    }

    fn cookie(ttl: Option<u64>) -> HashCookie {
        let ttl = ttl.map(std::time::Duration::from_secs);
        HashCookie {
            name: "user".into(),
            ttl,
            path: "/a".into(),
            attributes: vec![("Secure".into(), "".into())],
        }
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn each_policy_finds_its_value() {
        let head = Head("/x?q=1&r=2", vec![("x-user", "bob"), ("cookie", "a=b; user=\"ann\"")]);
        let hash = |policies: &[HashPolicy]| of_request(policies, &head, CLIENT, || 7).hash;
        assert_eq!(hash(&[]), None);
        assert_eq!(hash(&[by(HashBy::Header("x-user".into()))]), Some(xxh64(b"bob")));
        assert_eq!(hash(&[by(HashBy::Header("x-none".into()))]), None);
        assert_eq!(hash(&[by(HashBy::QueryParameter("r".into()))]), Some(xxh64(b"2")));
        assert_eq!(hash(&[by(HashBy::SourceIp)]), Some(xxh64(b"127.0.0.1")));
        assert_eq!(hash(&[by(HashBy::Cookie(cookie(None)))]), Some(xxh64(b"ann")));
        let both = [by(HashBy::Header("x-user".into())), by(HashBy::SourceIp)];
        assert_eq!(hash(&both), Some(xxh64(b"bob").rotate_left(1) ^ xxh64(b"127.0.0.1")));
        let terminal = [HashPolicy { terminal: true, ..both[0].clone() }, both[1].clone()];
        assert_eq!(hash(&terminal), Some(xxh64(b"bob")));
    }

    #[test]
    fn a_cookie_is_given_to_who_has_none() {
        let head = Head("/", Vec::new());
        let policies = [by(HashBy::Cookie(cookie(Some(60))))];
        let found = of_request(&policies, &head, CLIENT, || 7);
        assert_eq!(found.hash, Some(xxh64(b"0000000000000007")));
        let [(cookie, value)] = found.cookies[..] else { panic!() };
        assert_eq!(
            set_cookie(cookie, value),
            "user=\"0000000000000007\"; Max-Age=60; Path=/a; Secure; HttpOnly"
        );
        let without = [by(HashBy::Cookie(self::cookie(None)))];
        assert_eq!(of_request(&without, &head, CLIENT, || 7), Found::default());
    }
}
