//! Cross-origin resource sharing: what a request asks for, and what it is told.
//! See <https://fetch.spec.whatwg.org/#http-cors-protocol>.

use ir::CorsPolicy;
use stdx::Str;

use crate::matcher::Text;
use crate::{Dice, Problem, Request, dice};

/// A compiled [`CorsPolicy`] of one level.
#[derive(Clone, Debug)]
pub struct Cors {
    policy: Box<CorsPolicy>,
    origins: Box<[Text]>,
}

/// Headers of a response.
pub type Told = Vec<(&'static str, Vec<u8>)>;

/// What becomes of a request with an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The policy has nothing to say.
    Pass,
    /// The response has to tell this.
    Allow(Told),
    /// A question before the request, answered here with status 200. `allowed`: the origin is known;
    /// without it the answer permits nothing.
    Preflight { told: Told, allowed: bool },
    /// An origin that is not allowed: the request goes on, its response permits nothing.
    Unknown,
}

impl Cors {
    /// # Errors
    /// A regular expression is not RE2's.
    pub fn compile(policy: &CorsPolicy) -> Result<Self, Problem> {
        let one = |(i, it)| {
            Text::compile(it).map_err(|p: Problem| p.inside(format!("allow_origin_string_match[{i}]")))
        };
        let origins = policy.allow_origins.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        Ok(Cors { policy: Box::new(policy.clone()), origins })
    }
}

/// Judges a request by the policies of its route, the most specific first: what one leaves out is as
/// the next has it.
pub fn decide<R: Request + ?Sized>(levels: &[&Cors], request: &R, dice: &mut dyn Dice) -> Verdict {
    let Some(first) = levels.first() else { return Verdict::Pass };
    if !dice::happens(dice, first.policy.enabled) {
        return Verdict::Pass;
    }
    let Some(origin) = request.header("origin").filter(|it| !it.is_empty()) else { return Verdict::Pass };
    let origins = levels.iter().find(|level| !level.origins.is_empty());
    let allowed = origins.is_some_and(|level| level.origins.iter().any(|text| text.matches(&origin)));
    let asked = |name| request.header(name).filter(|it| !it.is_empty());
    let preflight = request.method() == b"OPTIONS" && asked("access-control-request-method").is_some();
    let flag = |of: fn(&CorsPolicy) -> Option<bool>| levels.iter().find_map(|level| of(&level.policy));
    let mut told: Told = Vec::new();
    if allowed {
        told.push(("access-control-allow-origin", origin.into_owned()));
    }
    if allowed && flag(|it| it.allow_credentials) == Some(true) {
        told.push(("access-control-allow-credentials", b"true".to_vec()));
    }
    let text =
        |of: fn(&CorsPolicy) -> &Option<Str>| levels.iter().find_map(|level| of(&level.policy).as_ref());
    let say = |told: &mut Told, name, value: Option<&Str>| {
        told.extend(value.map(|value| (name, value.as_bytes().to_vec())));
    };
    if !preflight {
        say(&mut told, "access-control-expose-headers", text(|it| &it.expose_headers));
        return if allowed { Verdict::Allow(told) } else { Verdict::Unknown };
    }
    if !allowed && flag(|it| it.forward_not_matching_preflights) != Some(false) {
        return Verdict::Unknown;
    }
    let private = asked("access-control-request-private-network").is_some_and(|it| it.as_ref() == b"true");
    if allowed && private && flag(|it| it.allow_private_network_access) == Some(true) {
        told.push(("access-control-allow-private-network", b"true".to_vec()));
    }
    say(&mut told, "access-control-allow-methods", text(|it| &it.allow_methods));
    say(&mut told, "access-control-allow-headers", text(|it| &it.allow_headers));
    say(&mut told, "access-control-max-age", text(|it| &it.max_age));
    if allowed {
        say(&mut told, "access-control-expose-headers", text(|it| &it.expose_headers));
    }
    Verdict::Preflight { told, allowed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::SplitMix;
    use crate::request::PlainRequest;

    #[test]
    fn simple_requests_and_preflights() {
        let level = |policy: CorsPolicy| Cors::compile(&policy).unwrap();
        let vhost = level(CorsPolicy {
            allow_methods: Some("GET".into()),
            allow_credentials: Some(true),
            ..CorsPolicy::default()
        });
        let route = |forward| {
            level(CorsPolicy {
                allow_origins: vec![ir::StringMatcher::suffix(".example")],
                max_age: Some("60".into()),
                allow_credentials: Some(false),
                forward_not_matching_preflights: forward,
                ..CorsPolicy::default()
            })
        };
        let check =
            |forward, request: PlainRequest| decide(&[&route(forward), &vhost], &request, &mut SplitMix(1));
        let get = || PlainRequest::get("h", "/");
        let options = || PlainRequest { method: "OPTIONS".into(), ..get() };
        let asks =
            |origin: &str| options().with("origin", origin).with("access-control-request-method", "PUT");
        let origin = || ("access-control-allow-origin", b"http://a.example".to_vec());
        assert_eq!(decide(&[], &asks("http://a.example"), &mut SplitMix(1)), Verdict::Pass);
        assert_eq!(check(None, get()), Verdict::Pass);
        assert_eq!(check(None, get().with("origin", "http://a.example")), Verdict::Allow(vec![origin()]));
        assert_eq!(check(None, get().with("origin", "http://evil")), Verdict::Unknown);
        assert_eq!(check(None, asks("http://evil")), Verdict::Unknown);
        // Without the method that is asked for it is a request like others.
        let plain = options().with("origin", "http://a.example");
        assert_eq!(check(None, plain), Verdict::Allow(vec![origin()]));
        let rest = || {
            vec![
                ("access-control-allow-methods", b"GET".to_vec()),
                ("access-control-max-age", b"60".to_vec()),
            ]
        };
        let refused = Verdict::Preflight { told: rest(), allowed: false };
        assert_eq!(check(Some(false), asks("http://evil")), refused);
        let told = [vec![origin()], rest()].concat();
        assert_eq!(check(None, asks("http://a.example")), Verdict::Preflight { told, allowed: true });
    }
}
