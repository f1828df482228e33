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
    /// The tokens that are there: each value of a header is one.
    pub fn find<R: Request + ?Sized>(&self, request: &R) -> Vec<String> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        match self {
            Place::Header(it) => {
                let mut found = Vec::new();
                request.any_value(&it.name, &mut |value| {
                    let value = text(value);
                    let after = value.find(it.prefix.as_str()).map(|at| at + it.prefix.len());
                    found.extend(after.map(|at| value[at..].to_owned()));
                    false
                });
                found
            }
            Place::Param(name) => query_parameter(request.path(), name).map(text).into_iter().collect(),
            Place::Cookie(name) => {
                let header = request.header("cookie");
                header.as_deref().and_then(|it| cookie(it, name)).map(text).into_iter().collect()
            }
        }
    }
}
