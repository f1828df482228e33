//! Consistent hashing: the ring (ketama) and Maglev. Both place endpoints by their addresses as
//! Envoy does, so that a request sticks to the same one through either proxy.
//! Maglev: <https://research.google/pubs/maglev-a-fast-and-reliable-software-network-load-balancer/>.

use ir::LbPolicy;
use ir::bootstrap::Json;
use ir::lb::{HashFunction, RingHash};

use super::group::Member;
use super::{EndpointSet, Settings};
use crate::hash::{murmur2, xxh64, xxh64_seeded};

const MIN_RING: u64 = 1024;
const MAX_RING: u64 = 8 << 20;
const TABLE_SIZE: u64 = 65_537;

#[derive(Debug)]
pub(super) enum Table {
    /// Places by their hash.
    Ring(Box<[(u64, u32)]>),
    /// By the rest of the hash.
    Maglev(Box<[u32]>),
}

/// An endpoint with its part of the whole, which is 1.
pub(super) struct Part {
    key: String,
    pub index: u32,
    pub part: f64,
}

impl Table {
    /// `None`: the policy does not hash.
    pub fn compile(set: &EndpointSet, settings: &Settings, groups: &[(u64, Vec<Member>)]) -> Option<Self> {
        match settings.policy {
            LbPolicy::RingHash(config) => Some(ring(&config, &parts(set, settings, groups))),
            LbPolicy::Maglev(config) => {
                Some(maglev(config.table_size.unwrap_or(TABLE_SIZE), &parts(set, settings, groups)))
            }
            _ => None,
        }
    }

    /// The endpoint of a hash, or the next one that is not skipped.
    pub fn pick(&self, hash: u64, skip: &dyn Fn(usize) -> bool) -> Option<usize> {
        let free = |index: u32| (!skip(index as usize)).then_some(index as usize);
        match self {
            Table::Ring(ring) => {
                let start = ring.partition_point(|(place, _)| *place < hash) % ring.len().max(1);
                let (before, after) = ring.split_at(start);
                after.iter().chain(before).find_map(|(_, index)| free(*index))
            }
            Table::Maglev(table) => {
                let start = (hash % (table.len().max(1) as u64)) as usize;
                let (before, after) = table.split_at(start);
                after.iter().chain(before).find_map(|index| free(*index))
            }
        }
    }
}

pub(super) fn parts(set: &EndpointSet, settings: &Settings, groups: &[(u64, Vec<Member>)]) -> Vec<Part> {
    let of_groups: f64 = groups.iter().map(|(weight, _)| *weight as f64).sum();
    let mut parts = Vec::new();
    for (weight, members) in groups {
        let of_members: f64 = members.iter().map(|member| member.weight as f64).sum();
        parts.extend(members.iter().map(|member| Part {
            key: key(set, settings, member.index as usize),
            index: member.index,
            part: *weight as f64 / of_groups * (member.weight as f64 / of_members),
        }));
    }
    parts
}

fn key(set: &EndpointSet, settings: &Settings, index: usize) -> String {
    let endpoint = &set.endpoints()[index];
    match endpoint.lb_metadata.get("hash_key") {
        Some(Json::Text(key)) if !key.is_empty() => key.to_string(),
        _ if settings.common.use_hostname_for_hashing => endpoint.hostname.to_string(),
        _ => endpoint.address.to_string(),
    }
}

/// So many places that the least endpoint has a whole number of them, within the bounds.
fn ring(config: &RingHash, parts: &[Part]) -> Table {
    let least = parts.iter().map(|part| part.part).fold(f64::MAX, f64::min);
    let minimum = config.minimum_size.unwrap_or(MIN_RING) as f64;
    let scale = ((least * minimum).ceil() / least).min(config.maximum_size.unwrap_or(MAX_RING) as f64);
    let mut ring = Vec::with_capacity(scale.ceil() as usize);
    let (mut placed, mut due) = (0.0, 0.0);
    for part in parts {
        due += scale * part.part;
        let mut number = 0;
        while placed < due {
            let place = format!("{}_{number}", part.key);
            let hash = match config.function {
                HashFunction::XxHash => xxh64(place.as_bytes()),
                HashFunction::MurmurHash2 => murmur2(place.as_bytes()),
            };
            ring.push((hash, part.index));
            (placed, number) = (placed + 1.0, number + 1);
        }
    }
    ring.sort_unstable();
    Table::Ring(ring.into())
}

fn maglev(size: u64, parts: &[Part]) -> Table {
    let most = parts.iter().map(|part| part.part).fold(0.0, f64::max);
    struct Row<'a> {
        part: &'a Part,
        next: u64,
        skip: u64,
        due: f64,
    }
    let mut rows: Vec<Row<'_>> = parts
        .iter()
        .map(|part| {
            let next = xxh64(part.key.as_bytes()) % size;
            let skip = xxh64_seeded(part.key.as_bytes(), 1) % (size - 1).max(1) + 1;
            Row { part, next, skip, due: 0.0 }
        })
        .collect();
    let mut table = vec![u32::MAX; size as usize];
    let (mut left, mut turn) = (size, 0.0);
    while left > 0 && !rows.is_empty() {
        turn += 1.0;
        for row in &mut rows {
            if left == 0 {
                break;
            }
            // The heaviest has a place in every turn, the others in their part of them.
            if turn * row.part.part < row.due {
                continue;
            }
            row.due += most;
            while table[row.next as usize] != u32::MAX {
                row.next = (row.next + row.skip) % size;
            }
            table[row.next as usize] = row.part.index;
            row.next = (row.next + row.skip) % size;
            left -= 1;
        }
    }
    Table::Maglev(table.into())
}
