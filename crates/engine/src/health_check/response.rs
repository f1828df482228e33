//! What a response to a check says.

use ir::health_check::HttpCheck;

use super::Outcome;
use crate::Problem;
use crate::matcher::Text;

/// Compiled from an [`HttpCheck`].
#[derive(Debug)]
pub struct ResponseRules {
    expected: Box<[(u16, u16)]>,
    retriable: Box<[(u16, u16)]>,
    body: Box<[Vec<u8>]>,
    service: Option<Text>,
}

impl ResponseRules {
    /// # Errors
    /// An expression that cannot be compiled.
    pub fn compile(check: &HttpCheck) -> Result<Self, Problem> {
        let service = check.service_name.as_ref().map(Text::compile).transpose();
        let expected = match check.expected_statuses.is_empty() {
            true => vec![(200, 201)],
            false => check.expected_statuses.clone(),
        };
        Ok(ResponseRules {
            expected: expected.into(),
            retriable: check.retriable_statuses.clone().into(),
            body: check.receive.clone().into(),
            service: service.map_err(|problem| problem.inside("service_name_matcher"))?,
        })
    }

    /// Whether the body is looked at.
    pub fn wants_body(&self) -> bool {
        !self.body.is_empty()
    }

    /// Judges a response. `cluster` is its `x-envoy-upstream-healthchecked-cluster`, `degraded` says
    /// that it has `x-envoy-degraded`. The second is whether it came from another service.
    pub fn judge(&self, status: u16, cluster: Option<&[u8]>, degraded: bool, body: &[u8]) -> (Outcome, bool) {
        let within = |ranges: &[(u16, u16)]| ranges.iter().any(|(from, to)| (*from..*to).contains(&status));
        if !within(&self.expected) {
            return (Outcome::Failure { retriable: within(&self.retriable) }, false);
        }
        if self.wants_body() && !receive(&self.body, body) {
            return (Outcome::Failure { retriable: false }, false);
        }
        if let Some(service) = &self.service
            && !service.matches(cluster.unwrap_or_default())
        {
            return (Outcome::Failure { retriable: false }, true);
        }
        (Outcome::Success { degraded }, false)
    }
}

/// Whether `bytes` have all parts in them, each behind the one before.
pub fn receive(parts: &[Vec<u8>], bytes: &[u8]) -> bool {
    let mut rest = bytes;
    parts.iter().filter(|part| !part.is_empty()).all(|part| {
        let found = rest.windows(part.len()).position(|window| window == &part[..]);
        rest = found.map_or(&[], |at| &rest[at + part.len()..]);
        found.is_some()
    })
}
