//! ACK and NACK: what a client has afterwards.

use std::sync::Arc;

use stdx::Str;

use super::known::Known;
use super::subscription::{InFlight, Subscription};
use crate::{Encoded, Refusal};

impl Subscription {
    /// The client has applied a response.
    pub fn accepted(&mut self, sent: InFlight) {
        for name in sent.remove {
            self.removed(name);
        }
        for resource in sent.add {
            self.isolate.remove(&resource.name);
            self.has(resource);
        }
    }

    /// The client has refused a response. Which resources it means is known if it names them, or
    /// if there was only one. Else each is sent again alone, which tells.
    pub fn refused(&mut self, sent: InFlight, message: &str) -> Vec<Str> {
        for name in sent.remove {
            self.removed(name);
        }
        let alone = sent.add.len() == 1;
        // Which of them is to be sent again depends on what follows here.
        self.reopen(sent.add.iter().map(|resource| resource.name.clone()));
        let named: Vec<bool> = sent.add.iter().map(|r| alone || names(message, &r.name)).collect();
        let nobody = !named.contains(&true);
        let mut refused = Vec::new();
        for (resource, named) in sent.add.into_iter().zip(named) {
            if nobody {
                self.isolate.insert(resource.name.clone());
            } else if named {
                self.isolate.remove(&resource.name);
                let refusal = Refusal {
                    version: resource.version,
                    message: shortened(message),
                    origin: resource.origin.clone(),
                };
                self.rejected.insert(resource.name.clone(), refusal);
                refused.push(resource.name.clone());
            } else {
                self.has(resource);
            }
        }
        refused
    }

    fn has(&mut self, resource: Arc<Encoded>) {
        if self.wants(&resource.name) {
            self.known.insert(resource.name.clone(), Known::Has(resource));
        }
    }

    fn removed(&mut self, name: Str) {
        if self.names.contains(&name) {
            self.known.insert(name, Known::Absent);
        } else {
            self.known.remove(&name);
        }
    }
}

/// What is kept of a NACK's text for each resource, characters.
const MAX_MESSAGE: usize = 1000;

fn shortened(message: &str) -> Str {
    message.char_indices().nth(MAX_MESSAGE).map_or(message, |(at, _)| &message[..at]).into()
}

/// Whether a NACK's text names a resource: the name with no other name's character on either side.
fn names(message: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '|' | '/');
    message.match_indices(name).any(|(at, _)| {
        let before = message[..at].chars().next_back();
        let mut after = message[at + name.len()..].chars();
        let (next, second) = (after.next(), after.next());
        // A full stop ends a sentence or goes on with a host name.
        let starts = before.is_none_or(|c| !part_of_name(c) && c != '.');
        let ends = match next {
            Some('.' | ':') => second.is_none_or(|c| !part_of_name(c)),
            Some(c) => !part_of_name(c),
            None => true,
        };
        starts && ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_whole_names_only() {
        let check =
            |message, name, expected| assert_eq!(names(message, name), expected, "{message} / {name}");
        let text =
            "Error adding/updating cluster(s) outbound|80||a.shop.svc: bad, outbound|80|v1|b.x: worse.";
        check(text, "outbound|80||a.shop.svc", true);
        check(text, "outbound|80||a.shop", false);
        check(text, "outbound|80|v1|b.x", true);
        check(text, "80", false);
        check("listener 0.0.0.0_80.", "0.0.0.0_80", true);
        check("listener 0.0.0.0_8080", "0.0.0.0_80", false);
        check("anything", "", false);
    }
}
