//! Where redirects lead, composed as Envoy does it.

use ir::route::{Redirect, RouteMatch};

use crate::request::path_only;
use crate::rewrite::{self, Rewrite};
use crate::{Problem, Request};

/// A redirect whose expression is compiled.
#[derive(Clone, Debug)]
pub struct Target {
    regex: Option<Rewrite>,
}

impl Target {
    /// # Errors
    /// What cannot be compiled.
    pub fn compile(redirect: &Redirect) -> Result<Self, Problem> {
        let compile = |it| Rewrite::compile(it).map_err(|p| p.inside("regex_rewrite"));
        Ok(Target { regex: redirect.regex_rewrite.as_ref().map(compile).transpose()? })
    }
}

/// The `location` of a response. `target` is what was compiled of `redirect`.
pub fn location<R: Request + ?Sized>(
    redirect: &Redirect,
    target: Option<&Target>,
    matches: &RouteMatch,
    request: &R,
) -> Vec<u8> {
    let old = request.scheme();
    let scheme: &[u8] = match &redirect.scheme {
        _ if redirect.https => b"https",
        Some(scheme) => scheme.as_bytes(),
        None => old,
    };
    let port = redirect.port.map(|port| format!(":{port}")).unwrap_or_default();
    let host = match &redirect.host {
        Some(host) => host.as_bytes(),
        None => host(request.authority(), old, scheme, redirect.port.is_some()),
    };
    let path = path(redirect, target, matches, request.path());
    let slash: &[u8] = if path.starts_with(b"/") { b"" } else { b"/" };
    [scheme, b"://", host, port.as_bytes(), slash, &path].concat()
}

/// The host that was asked for. Its port goes where there is a new one, and where it is the old
/// scheme's own.
fn host<'a>(authority: &'a [u8], old: &[u8], new: &[u8], has_port: bool) -> &'a [u8] {
    let end = match authority.first() {
        Some(b'[') => authority.windows(2).rposition(|pair| pair == b"]:").map(|at| at + 1),
        _ => authority.iter().rposition(|b| *b == b':'),
    };
    let Some(end) = end else { return authority };
    let own = matches!((old, &authority[end..]), (b"https", b":443") | (b"http", b":80"));
    if has_port || (old != new && own) { &authority[..end] } else { authority }
}

fn path(redirect: &Redirect, target: Option<&Target>, matches: &RouteMatch, old: &[u8]) -> Vec<u8> {
    let query = &old[path_only(old).len()..];
    let mut path = match (&redirect.path, &redirect.prefix_rewrite, target.and_then(|it| it.regex.as_ref())) {
        // A query of its own takes the place of the request's, and stays.
        (Some(new), ..) if new.contains('?') => return new.as_bytes().to_vec(),
        (Some(new), ..) => [new.as_bytes(), query].concat(),
        (None, Some(new), _) => rewrite::prefix(old, rewrite::matched_len(matches, old), new),
        (None, None, Some(regex)) => rewrite::path(old, regex),
        (None, None, None) => old.to_vec(),
    };
    if redirect.strip_query
        && let Some(at) = path.iter().position(|b| *b == b'?')
    {
        path.truncate(at);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::PlainRequest;

    #[test]
    fn composes_as_envoy() {
        let check = |redirect: Redirect, request: &str, expected: &str| {
            let (scheme, rest) = request.split_once("://").unwrap();
            let at = rest.find('/').unwrap();
            let asked = PlainRequest { scheme: scheme.into(), ..PlainRequest::get(&rest[..at], &rest[at..]) };
            let target = Target::compile(&redirect).unwrap();
            let found = location(&redirect, Some(&target), &RouteMatch::prefix("/a"), &asked);
            assert_eq!(String::from_utf8(found).unwrap(), expected, "{redirect:?} {request}");
        };
        let none = Redirect::default;
        let https = || Redirect { https: true, ..none() };
        check(https(), "http://h:80/a?b", "https://h/a?b");
        check(https(), "http://h:8080/a", "https://h:8080/a");
        check(https(), "http://[::1]:80/a", "https://[::1]/a");
        check(Redirect { scheme: Some("http".into()), ..none() }, "https://h:443/a", "http://h/a");
        check(Redirect { port: Some(443), ..https() }, "http://h:80/a", "https://h:443/a");
        check(Redirect { host: Some("x".into()), ..none() }, "http://h:80/a", "http://x/a");
        check(Redirect { path: Some("/p".into()), ..none() }, "http://h/a?q=1", "http://h/p?q=1");
        check(Redirect { path: Some("p".into()), ..none() }, "http://h/a", "http://h/p");
        check(Redirect { path: Some("/p?z".into()), ..none() }, "http://h/a?q=1", "http://h/p?z");
        let strip = |redirect| Redirect { strip_query: true, ..redirect };
        check(strip(Redirect { path: Some("/p".into()), ..none() }), "http://h/a?q", "http://h/p");
        check(Redirect { prefix_rewrite: Some("/n".into()), ..none() }, "http://h/a/b?q", "http://h/n/b?q");
        let rewrite = ir::route::RegexRewrite { pattern: "a+".into(), substitution: "z".into() };
        check(Redirect { regex_rewrite: Some(rewrite), ..none() }, "http://h/aa/b?aa", "http://h/z/b?aa");
    }
}
