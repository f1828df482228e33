//! A plan as text that `nft -f` reads: for people, and for tests.

use std::fmt;

use crate::apply::TABLE;
use crate::config::Owner;
use crate::plan::{Hook, Match, Plan, Rule, Transport, Verdict};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {TABLE} {{")?;
        for (index, hook) in [Hook::Prerouting, Hook::Output].into_iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            writeln!(f, "\tchain {hook} {{")?;
            writeln!(f, "\t\ttype nat hook {hook} priority -100; policy accept;")?;
            for rule in self.rules.iter().filter(|rule| rule.hook == hook) {
                writeln!(f, "\t\t{rule}")?;
            }
            writeln!(f, "\t}}")?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = self.matches.iter().find_map(|m| match m {
            Match::Transport(transport) => Some(*transport),
            _ => None,
        });
        let has_port = self.matches.iter().any(|m| matches!(m, Match::DestinationPort(_)));
        for condition in &self.matches {
            match (condition, transport) {
                // `tcp dport` says both.
                (Match::Transport(_), _) if has_port => {}
                (Match::DestinationPort(port), Some(transport)) => write!(f, "{transport} dport {port} ")?,
                _ => write!(f, "{condition} ")?,
            }
        }
        write!(f, "counter {} comment \"{}\"", self.verdict, self.comment)
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = |ipv4: bool| if ipv4 { "ip" } else { "ip6" };
        match self {
            Match::Transport(transport) => write!(f, "meta l4proto {transport}"),
            Match::DestinationPort(port) => write!(f, "th dport {port}"),
            Match::Source(range) => write!(f, "{} saddr {range}", family(range.address.is_ipv4())),
            Match::Destination(range) => write!(f, "{} daddr {range}", family(range.address.is_ipv4())),
            Match::OnLoopback => f.write_str("oifname \"lo\""),
            Match::Owner(Owner::Uid(uid)) => write!(f, "meta skuid {uid}"),
            Match::Owner(Owner::Gid(gid)) => write!(f, "meta skgid {gid}"),
            Match::Owner(Owner::Mark(mark)) => write!(f, "meta mark {mark:#x}"),
        }
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Hook::Prerouting => "prerouting",
            Hook::Output => "output",
        })
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Return => f.write_str("return"),
            Verdict::Redirect(port) => write!(f, "redirect to :{port}"),
        }
    }
}
