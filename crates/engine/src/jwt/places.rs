//! Where tokens are in a request.

use ir::jwt::{JwtHeader, JwtProvider};
use stdx::Str;

use crate::Request;
use crate::request::{cookie, query_parameter};

/// Where a token was.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Header(JwtHeader),
    Param(Str),
    Cookie(Str),
}

/// The places of a provider, in a fixed order.
pub fn of(it: &JwtProvider) -> Vec<Place> {
    if it.from_headers.is_empty() && it.from_params.is_empty() && it.from_cookies.is_empty() {
        let bearer = JwtHeader { name: "authorization".into(), prefix: "Bearer ".into() };
        return vec![Place::Header(bearer), Place::Param("access_token".into())];
    }
    let headers = it.from_headers.iter().cloned().map(Place::Header);
    let params = it.from_params.iter().cloned().map(Place::Param);
    let cookies = it.from_cookies.iter().cloned().map(Place::Cookie);
    let mut all: Vec<Place> = headers.chain(params).chain(cookies).collect();
    all.sort();
    all.dedup();
    all
}

impl Place {
    /// The token that is there, if one is.
    pub fn find<R: Request + ?Sized>(&self, request: &R) -> Option<String> {
        let found = match self {
            Place::Header(it) => {
                let value = request.header(&it.name)?;
                let text = String::from_utf8_lossy(&value).into_owned();
                if it.prefix.is_empty() {
                    return Some(text);
                }
                let after = text.find(it.prefix.as_str())? + it.prefix.len();
                return Some(token_in(&text[after..]).to_owned());
            }
            Place::Param(name) => query_parameter(request.path(), name)?.to_vec(),
            Place::Cookie(name) => cookie(&request.header("cookie")?, name)?.to_vec(),
        };
        Some(String::from_utf8_lossy(&found).into_owned())
    }
}

/// The first run of characters that tokens are made of.
fn token_in(text: &str) -> &str {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let Some(start) = text.find(is_token) else { return text };
    let rest = &text[start..];
    &rest[..rest.find(|c| !is_token(c)).unwrap_or(rest.len())]
}
