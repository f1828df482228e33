//! Retries that leave the priorities which were tried: `envoy.retry_priorities.previous_priorities`. See
//! <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/retry/priority/previous_priorities/v3/previous_priorities_config.proto>.

/// What was tried of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviousPriorities {
    /// In order.
    attempted: Vec<u32>,
    excluded: Vec<u32>,
}

impl PreviousPriorities {
    /// An endpoint of this priority was tried.
    pub fn note(&mut self, priority: u32) {
        self.attempted.push(priority);
    }

    /// The priorities to avoid with the next attempt: those that were tried, looked at whenever there were
    /// `every` attempts more. `has_others` says whether some endpoint is available outside of these
    /// priorities; where there is none all are tried again.
    pub fn avoid(&mut self, every: u32, has_others: impl Fn(&[u32]) -> bool) -> &[u32] {
        let (made, every) = (self.attempted.len(), every.max(1) as usize);
        if made >= every && made % every == 0 {
            for priority in &self.attempted {
                if !self.excluded.contains(priority) {
                    self.excluded.push(*priority);
                }
            }
            if !has_others(&self.excluded) {
                *self = PreviousPriorities::default();
            }
        }
        &self.excluded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is avoided before each attempt; each is made at the first priority of three that is not.
    fn check(every: u32, expected: &[&[u32]]) {
        let mut previous = PreviousPriorities::default();
        for (attempt, expected) in expected.iter().enumerate() {
            let first = |avoided: &[u32]| (0..3).find(|priority| !avoided.contains(priority));
            let avoided = previous.avoid(every, |avoided| first(avoided).is_some()).to_vec();
            assert_eq!(avoided, *expected, "attempt {attempt} of every {every}");
            previous.note(first(&avoided).unwrap());
        }
    }

    #[test]
    fn priorities_are_left_one_after_the_other() {
        check(1, &[&[], &[0], &[0, 1], &[], &[0], &[0, 1], &[]]);
        check(2, &[&[], &[], &[0], &[0], &[0, 1], &[0, 1], &[], &[], &[0]]);
    }
}
