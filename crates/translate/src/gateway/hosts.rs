//! Sets of hosts.

use std::cmp::Ordering;

use model::Host;

/// The hosts that both lists stand for, each once, in the order of `a`.
pub fn intersection(a: &[Host], b: &[Host]) -> Vec<Host> {
    let mut both: Vec<Host> = Vec::new();
    for one in a {
        for other in b {
            let narrower = if other.covers(one) {
                one
            } else if one.covers(other) {
                other
            } else {
                continue;
            };
            if !both.contains(narrower) {
                both.push(narrower.clone());
            }
        }
    }
    both
}

/// More specific hosts first: names before wildcards, longer before shorter, then by name.
pub fn by_specificity(a: &Host, b: &Host) -> Ordering {
    let key = |host: &Host| (host.is_wildcard(), std::cmp::Reverse(host.as_str().len()), host.clone());
    key(a).cmp(&key(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_of_two_hosts_is_in_both() {
        let hosts = |texts: &[&str]| texts.iter().map(Host::new).collect::<Vec<_>>();
        let check = |a: &[&str], b: &[&str], expected: &[&str]| {
            assert_eq!(intersection(&hosts(a), &hosts(b)), hosts(expected), "{a:?} {b:?}");
        };
        check(&["*"], &["a.com", "b.com"], &["a.com", "b.com"]);
        check(&["a.com"], &["*.com"], &["a.com"]);
        check(&["*.com"], &["*.a.com"], &["*.a.com"]);
        check(&["a.com"], &["b.com"], &[]);
        check(&["*", "*.com"], &["a.com"], &["a.com"]);
    }
}
