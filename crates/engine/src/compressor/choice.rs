//! Which of several codings a client is given (RFC 9110, section 12.5.3, as Envoy reads it).

use ir::compressor::Codec;

/// What `content-encoding` may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Brotli,
}

impl Coding {
    pub fn of(codec: &Codec) -> Self {
        match codec {
            Codec::Gzip { .. } => Coding::Gzip,
            Codec::Brotli(_) => Coding::Brotli,
        }
    }

    /// As headers have it.
    pub fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Brotli => "br",
        }
    }

    /// As names of statistics have it.
    pub fn stat_prefix(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Brotli => "brotli",
        }
    }
}

/// A filter that could compress a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub coding: Coding,
    pub choose_first: bool,
}

/// What becomes of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    Coding(Coding),
    /// Anything will do: the filter that comes first.
    Any(Coding),
    /// The plain text.
    Identity,
    /// Nothing that there is, or it cannot be read.
    NotValid,
}

impl Choice {
    pub fn is(self, coding: Coding) -> bool {
        matches!(self, Choice::Coding(it) | Choice::Any(it) if it == coding)
    }
}

/// What a client gets that says this, of filters in their order.
pub fn choose(accept_encoding: &[u8], filters: impl IntoIterator<Item = Candidate>) -> Choice {
    let mut allowed: Vec<Candidate> = Vec::new();
    for it in filters {
        // Of several for the same coding the first one speaks.
        if !allowed.iter().any(|known| known.coding == it.coding) {
            allowed.push(it);
        }
    }
    // What has no weight is refused wherever that is said.
    let wishes = || accept_encoding.split(|b| *b == b',').filter_map(wish);
    for (name, weight) in wishes() {
        if weight == 0.0 {
            allowed.retain(|it| !name.eq_ignore_ascii_case(it.coding.name().as_bytes()));
        }
    }
    let (mut choice, mut best) = (Choice::NotValid, 0.0);
    for (name, weight) in wishes() {
        let known = allowed.iter().find(|it| name.eq_ignore_ascii_case(it.coding.name().as_bytes()));
        let found = match (known, allowed.first()) {
            (Some(it), _) => Choice::Coding(it.coding),
            (None, Some(first)) if name == b"*" => Choice::Any(first.coding),
            (None, Some(_)) if name.eq_ignore_ascii_case(b"identity") => Choice::Identity,
            _ => continue,
        };
        let first = known.is_some_and(|it| it.choose_first);
        if weight > best || (weight == best && weight > 0.0 && first) {
            (choice, best) = (found, weight);
        }
    }
    choice
}

/// A name and its weight. `None`: there is no name, or the weight is no number.
fn wish(part: &[u8]) -> Option<(&[u8], f32)> {
    let mut pieces = part.splitn(2, |b| *b == b';');
    let name = pieces.next()?.trim_ascii();
    let parameter = pieces.next().unwrap_or_default();
    let weight = match parameter.iter().position(|b| *b == b'=') {
        Some(at) if parameter[..at].trim_ascii().eq_ignore_ascii_case(b"q") => {
            std::str::from_utf8(&parameter[at + 1..]).ok()?.trim().parse().ok()?
        }
        _ => 1.0,
    };
    (!name.is_empty()).then_some((name, weight))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GZIP: Candidate = Candidate { coding: Coding::Gzip, choose_first: false };
    const BROTLI: Candidate = Candidate { coding: Coding::Brotli, choose_first: false };
    const FIRST: Candidate = Candidate { coding: Coding::Brotli, choose_first: true };

    fn check(filters: &[Candidate], said: &str, expected: Choice) {
        assert_eq!(choose(said.as_bytes(), filters.iter().copied()), expected, "{said}");
    }

    #[test]
    fn one_coding_is_taken_or_not() {
        let gzip = Choice::Coding(Coding::Gzip);
        let takes = [
            "gzip",
            "deflate, gzip;q=0.5",
            "GZIP ; q=1",
            "gzip, identity",
            "identity;q=0.1, gzip",
            "br, gzip;Q=0.1",
        ];
        takes.iter().for_each(|it| check(&[GZIP], it, gzip));
        ["*", "br, *", "*;q=0.1"].iter().for_each(|it| check(&[GZIP], it, Choice::Any(Coding::Gzip)));
        ["identity", "identity, gzip;q=0.5", "identity, gzip"]
            .iter()
            .for_each(|it| check(&[GZIP], it, Choice::Identity));
        let refuses =
            ["", "br", "gzip;q=0", "*, gzip;q=0", "gzip;q=x", "*;q=0", "gzip;q=-1", "gzip;q=nan", ","];
        refuses.iter().for_each(|it| check(&[GZIP], it, Choice::NotValid));
        check(&[], "gzip, identity", Choice::NotValid);
    }

    #[test]
    fn of_several_codings_the_client_chooses_and_then_the_configuration() {
        let (gzip, br) = (Choice::Coding(Coding::Gzip), Choice::Coding(Coding::Brotli));
        let both = [GZIP, BROTLI];
        check(&both, "gzip, br", gzip);
        check(&both, "br, gzip", br);
        check(&both, "gzip;q=0.5, br", br);
        check(&both, "br;q=0.5, gzip;q=0.7", gzip);
        check(&both, "*", Choice::Any(Coding::Gzip));
        check(&both, "*, gzip;q=0", Choice::Any(Coding::Brotli));
        check(&both, "br;q=0.1, *;q=0.2", Choice::Any(Coding::Gzip));
        check(&[BROTLI, GZIP, BROTLI], "*", Choice::Any(Coding::Brotli));
        check(&[GZIP, FIRST], "gzip, br", br);
        check(&[GZIP, FIRST], "gzip, br;q=0.9", gzip);
        check(&[GZIP, FIRST], "*, br", br);
        check(&[GZIP, FIRST], "*", Choice::Any(Coding::Gzip));
    }
}
