//! JSON web tokens: which ones a request needs, and whether those it has are good. A pure function over
//! the request, keys and time; who has keys elsewhere fetches them and asks again.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/jwt_authn_filter>.

mod keys;
mod places;
mod status;
mod token;
mod told;

use std::sync::Arc;
use std::time::Duration;

use ir::JwtAuthn;
use ir::jwt::{Jwks, JwtProvider, JwtRequirement};
use stdx::Str;

pub use keys::Keys;
pub use places::Place;
pub use status::Status;
pub use token::{Alg, Token};
pub use told::{Edits, told};

use crate::route::Matcher;
use crate::{Dice, Problem, Request, matcher};

/// A compiled [`JwtAuthn`].
#[derive(Debug)]
pub struct Jwt {
    pub config: JwtAuthn,
    pub providers: Vec<Provider>,
    rules: Vec<(Matcher, Option<Requirement>)>,
    named: Vec<(Str, Requirement)>,
}

#[derive(Debug)]
pub struct Provider {
    pub config: JwtProvider,
    /// Those of the configuration, or what is wrong with them; `None`: they are elsewhere.
    pub keys: Option<Result<Arc<Keys>, Status>>,
    places: Vec<Place>,
    subjects: Option<matcher::Text>,
}

/// A compiled [`JwtRequirement`]. Providers are numbers.
#[derive(Debug)]
pub enum Requirement {
    Provider {
        provider: usize,
        audiences: Option<Vec<Str>>,
    },
    Any(Vec<Requirement>),
    All(Vec<Requirement>),
    /// Of these providers.
    AllowMissing(Vec<usize>),
    AllowMissingOrFailed(Vec<usize>),
}

/// What is known of a provider's keys.
#[derive(Clone, Debug)]
pub enum Known {
    Keys(Arc<Keys>),
    Bad(Status),
    /// They have to be fetched.
    Unknown,
}

/// A token that is good.
#[derive(Debug)]
pub struct Good {
    pub provider: usize,
    pub place: Place,
    pub header: serde_json::Value,
    pub payload: serde_json::Value,
    /// base64url without padding, as it came.
    pub payload_base64: String,
}

/// What became of a request.
#[derive(Debug)]
pub enum Verdict {
    Passed(Vec<Good>),
    Refused(Status),
    /// The keys of this provider are needed.
    Fetch(usize),
}

impl Jwt {
    /// # Errors
    /// An expression that is not RE2's, or a name that nothing has.
    pub fn compile(config: &JwtAuthn) -> Result<Self, Problem> {
        let provider = |(name, it): (&Str, &JwtProvider)| {
            Ok(Provider {
                keys: match &it.jwks {
                    Jwks::Inline(text) => Some(Keys::parse(text.as_bytes()).map(Arc::new)),
                    Jwks::Remote(_) => None,
                },
                places: places::of(it),
                subjects: it
                    .subjects
                    .as_ref()
                    .map(matcher::Text::compile)
                    .transpose()
                    .map_err(|p: Problem| p.inside(format!("providers[{name:?}].subjects")))?,
                config: it.clone(),
            })
        };
        let providers = config.providers.iter().map(provider).collect::<Result<_, Problem>>()?;
        let requirement = |it: &JwtRequirement| Requirement::compile(it, config);
        let rule = |it: &ir::jwt::JwtRule| {
            let requires = it.requires.as_ref().map(requirement).transpose()?;
            Ok((Matcher::compile(&it.matches)?, requires))
        };
        let named = |(name, it): (&Str, &JwtRequirement)| Ok((name.clone(), requirement(it)?));
        Ok(Jwt {
            providers,
            rules: config.rules.iter().map(rule).collect::<Result<_, Problem>>()?,
            named: config.requirements.iter().map(named).collect::<Result<_, Problem>>()?,
            config: config.clone(),
        })
    }

    /// What the first rule that matches requires.
    pub fn required<R: Request + ?Sized>(&self, request: &R, dice: &mut dyn Dice) -> Option<&Requirement> {
        self.rules.iter().find(|(rule, _)| rule.matches(request, dice))?.1.as_ref()
    }

    /// A requirement that a route names.
    pub fn named(&self, name: &str) -> Option<&Requirement> {
        self.named.iter().find(|(of, _)| of == name).map(|(_, it)| it)
    }

    /// Judges a request at `now`, since the epoch.
    pub fn judge<R: Request + ?Sized>(
        &self,
        requirement: &Requirement,
        request: &R,
        now: Duration,
        keys: &dyn Fn(usize) -> Known,
    ) -> Verdict {
        let mut judge = Judge { jwt: self, request, now: now.as_secs(), keys, good: Vec::new() };
        match judge.meets(requirement) {
            Ok(()) => Verdict::Passed(judge.good),
            Err(No::Status(status)) => Verdict::Refused(status),
            Err(No::Fetch(provider)) => Verdict::Fetch(provider),
        }
    }
}

impl Requirement {
    fn compile(it: &JwtRequirement, config: &JwtAuthn) -> Result<Self, Problem> {
        let index = |name: &Str| {
            let found = config.providers.keys().position(|key| key == name);
            found.ok_or_else(|| Problem::new("requires", format!("there is no provider {name:?}")))
        };
        let all = |all: &[JwtRequirement]| -> Result<Vec<Self>, Problem> {
            all.iter().map(|it| Self::compile(it, config)).collect()
        };
        let everyone = || (0..config.providers.len()).collect();
        Ok(match it {
            JwtRequirement::Provider(name) => {
                Requirement::Provider { provider: index(name)?, audiences: None }
            }
            JwtRequirement::ProviderAndAudiences(name, audiences) => {
                Requirement::Provider { provider: index(name)?, audiences: Some(audiences.clone()) }
            }
            JwtRequirement::All(every) => Requirement::All(all(every)?),
            JwtRequirement::Any(any) => Self::any(any, config)?,
            JwtRequirement::AllowMissing => Requirement::AllowMissing(everyone()),
            JwtRequirement::AllowMissingOrFailed => Requirement::AllowMissingOrFailed(everyone()),
            JwtRequirement::Named(name) => match config.requirements.get(name) {
                Some(JwtRequirement::Named(_)) | None => {
                    return Err(Problem::new("requirement_name", format!("there is no {name:?}")));
                }
                Some(it) => Self::compile(it, config)?,
            },
        })
    }

    /// Of those that let requests without a token pass the most lenient one is last, and sees the tokens of
    /// its neighbours' providers only.
    fn any(any: &[JwtRequirement], config: &JwtAuthn) -> Result<Self, Problem> {
        let mut lenient = None;
        let (mut used, mut all) = (Vec::new(), Vec::new());
        for it in any {
            match it {
                JwtRequirement::AllowMissing => lenient = lenient.or(Some(false)),
                JwtRequirement::AllowMissingOrFailed => lenient = Some(true),
                it => {
                    let compiled = Self::compile(it, config)?;
                    if let Requirement::Provider { provider, .. } = compiled {
                        used.push(provider);
                    }
                    all.push(compiled);
                }
            }
        }
        if used.is_empty() {
            used = (0..config.providers.len()).collect();
        }
        all.extend(lenient.map(|failed| match failed {
            true => Requirement::AllowMissingOrFailed(used),
            false => Requirement::AllowMissing(used),
        }));
        Ok(Requirement::Any(all))
    }
}

/// Why a requirement is not met.
enum No {
    Status(Status),
    Fetch(usize),
}

impl From<Status> for No {
    fn from(status: Status) -> Self {
        No::Status(status)
    }
}

struct Judge<'a, R: ?Sized> {
    jwt: &'a Jwt,
    request: &'a R,
    now: u64,
    keys: &'a dyn Fn(usize) -> Known,
    good: Vec<Good>,
}

impl<R: Request + ?Sized> Judge<'_, R> {
    fn meets(&mut self, requirement: &Requirement) -> Result<(), No> {
        match requirement {
            Requirement::Provider { provider, audiences } => {
                let tokens = self.tokens(&[*provider]);
                if tokens.is_empty() {
                    return Err(Status::Missing.into());
                }
                // A bad token beside a good one could be taken for it by the upstream.
                tokens.iter().rev().try_for_each(|found| self.accept(found, true, audiences.as_deref()))
            }
            Requirement::All(all) => all.iter().try_for_each(|it| self.meets(it)),
            Requirement::Any(any) => self.meets_any(any),
            Requirement::AllowMissing(of) => {
                self.tokens(of).iter().rev().try_for_each(|found| self.accept(found, false, None))
            }
            Requirement::AllowMissingOrFailed(of) => {
                for found in self.tokens(of).iter().rev() {
                    match self.accept(found, false, None) {
                        Err(No::Fetch(provider)) => return Err(No::Fetch(provider)),
                        Ok(()) | Err(No::Status(_)) => {}
                    }
                }
                Ok(())
            }
        }
    }

    /// The reason of a refusal is the last one that says more than that there is no such token.
    fn meets_any(&mut self, any: &[Requirement]) -> Result<(), No> {
        let mut status = Status::Missing;
        for it in any {
            let before = self.good.len();
            match self.meets(it) {
                Ok(()) => return Ok(()),
                Err(No::Fetch(provider)) => return Err(No::Fetch(provider)),
                Err(No::Status(found)) => {
                    self.good.truncate(before);
                    match found {
                        Status::Missing => {}
                        Status::UnknownIssuer if status != Status::Missing => {}
                        found => status = found,
                    }
                }
            }
        }
        Err(status.into())
    }

    /// Tokens at the places of these providers, each with those who look there.
    fn tokens(&self, providers: &[usize]) -> Vec<Found> {
        let mut places: Vec<(&Place, Vec<usize>)> = Vec::new();
        for provider in providers {
            for place in self.jwt.providers.get(*provider).into_iter().flat_map(|it| &it.places) {
                match places.iter_mut().find(|(known, _)| *known == place) {
                    Some((_, all)) => all.push(*provider),
                    None => places.push((place, vec![*provider])),
                }
            }
        }
        places.sort();
        let mut all = Vec::new();
        for (place, providers) in places {
            for text in place.find(self.request) {
                all.push(Found { text, place: place.clone(), providers: providers.clone() });
            }
        }
        all
    }

    /// Checks one token for one of the providers that look where it was.
    fn accept(&mut self, found: &Found, named: bool, audiences: Option<&[Str]>) -> Result<(), No> {
        let token = Token::parse(&found.text)?;
        let index = self.provider_of(&token, &found.providers, named).ok_or(Status::UnknownIssuer)?;
        let provider = &self.jwt.providers[index];
        let config = &provider.config;
        token.holds(self.now, config.clock_skew.map_or(60, |skew| skew.as_secs()))?;
        if let Some(subjects) = &provider.subjects
            && !subjects.matches(token.subject.as_deref().unwrap_or("").as_bytes())
        {
            return Err(Status::VerificationFails.into());
        }
        let lifetime = token.expires.map(|end| end.saturating_sub(self.now));
        let too_long = config.max_lifetime.is_some_and(|max| lifetime.is_none_or(|it| it > max.as_secs()));
        if too_long || (config.require_expiration && token.expires.is_none()) {
            return Err(Status::VerificationFails.into());
        }
        let wanted = audiences.unwrap_or(&config.audiences);
        let meant = |it: &String| wanted.iter().any(|wanted| audience(wanted) == audience(it));
        if !wanted.is_empty() && !token.audiences.iter().any(meant) {
            return Err(Status::AudienceNotAllowed.into());
        }
        let keys = match (self.keys)(index) {
            Known::Keys(keys) => keys,
            Known::Bad(status) => return Err(status.into()),
            Known::Unknown => return Err(No::Fetch(index)),
        };
        keys.verify(&token)?;
        self.good.push(Good {
            provider: index,
            place: found.place.clone(),
            payload_base64: token.payload_base64.to_owned(),
            header: token.header,
            payload: token.payload,
        });
        Ok(())
    }

    /// The provider of the token's issuer, else one for all issuers. Where several are alike it is the
    /// first of all that has the issuer, as in Envoy, if only one of them looks there.
    fn provider_of(&self, token: &Token<'_>, providers: &[usize], named: bool) -> Option<usize> {
        let issuer = token.issuer.as_deref().unwrap_or("");
        let all = &self.jwt.providers;
        let is = |index: usize, wanted: Option<&str>| {
            all.get(index).is_some_and(|it| it.config.issuer.as_deref() == wanted)
        };
        let allowed = |index: &&usize| is(**index, Some(issuer)) || is(**index, None);
        let found = providers.iter().find(allowed).copied()?;
        if named {
            return Some(found);
        }
        let first = |wanted| (0..all.len()).find(|index| is(*index, wanted));
        first(Some(issuer)).or_else(|| first(None))
    }
}

/// A token in a request.
struct Found {
    text: String,
    place: Place,
    providers: Vec<usize>,
}

/// As audiences are compared: without scheme and without a slash at the end.
fn audience(text: &str) -> &str {
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    text.strip_suffix('/').unwrap_or(text)
}

#[cfg(test)]
mod tests;
