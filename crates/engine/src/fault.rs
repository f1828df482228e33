//! Which fault a request meets.

use std::time::Duration;

use ir::fault::AbortStatus;

use crate::{Dice, dice};

/// What to do to one request: wait first, then answer in the upstream's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub delay: Option<Duration>,
    pub abort: Option<AbortStatus>,
}

/// Rolls for delay and abort, independently of each other.
pub fn decide(fault: &ir::Fault, dice: &mut dyn Dice) -> Plan {
    let delay = fault.delay.as_ref().filter(|delay| dice::happens(dice, delay.fraction)).map(|d| d.fixed);
    let abort = fault.abort.as_ref().filter(|abort| dice::happens(dice, abort.fraction)).map(|a| a.status);
    Plan { delay, abort }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::SplitMix;

    #[test]
    fn shares_are_kept() {
        let share = |parts_per_million| ir::Fraction { parts_per_million };
        let fault = ir::Fault {
            delay: Some(ir::fault::FaultDelay { fixed: Duration::from_secs(7), fraction: share(1_000_000) }),
            abort: Some(ir::fault::FaultAbort { status: AbortStatus::Http(500), fraction: share(100_000) }),
        };
        let mut dice = SplitMix(5);
        let aborted = (0..10_000).filter(|_| decide(&fault, &mut dice).abort.is_some()).count();
        assert!((900..1100).contains(&aborted), "{aborted}");
        assert_eq!(decide(&fault, &mut dice).delay, Some(Duration::from_secs(7)));
        assert_eq!(decide(&ir::Fault::default(), &mut dice), Plan::default());
    }
}
