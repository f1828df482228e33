//! What can be expected of a scenario.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::client::Reply;

#[derive(Clone, Debug)]
pub enum Expected {
    /// `503`: the status. Bytes that were answered count as 200.
    Status(u16),
    /// `closed`, `refused`, `late`: there was no answer.
    Failed(String),
    /// `from a,b`: these servers answered, and no others.
    From(BTreeSet<String>),
    /// `share a 70..90`: of 100 answers so many came from it.
    Share(String, u32, u32),
    /// `sticky`: one server answered all.
    Sticky,
    /// `got NAME: VALUE` or `got NAME`: a header that the server received. `not got NAME`.
    Got(String, Option<String>, bool),
    /// `says NAME: VALUE` or `says NAME`: a header of the answer. `not says NAME`.
    Says(String, Option<String>, bool),
    /// `FACT is VALUE`: something that the server told (`path`, `authority`, `protocol`, `tls.sni` …); `-`: nothing.
    Told(String, String),
    /// `contains TEXT`: the answer's body has it.
    Body(String),
    /// `presents NAME`: in the proxy's certificate.
    Presents(String),
    /// `after MS`, `within MS`.
    After(u64),
    Within(u64),
    /// `seen SERVER N`: so many requests of the scenario came to the server, or to all (`*`).
    Seen(String, u32),
}

impl Expected {
    pub fn parse(text: &str) -> Self {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let pair = |text: &str, is: bool| {
            let (name, value) =
                text.split_once(": ").map_or((text, None), |(name, value)| (name, Some(value)));
            (name.to_owned(), value.map(str::to_owned), is)
        };
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"));
        match word {
            "closed" | "refused" | "late" => Expected::Failed(word.to_owned()),
            "from" => Expected::From(rest.split(',').map(str::to_owned).collect()),
            "share" => {
                let (name, range) = rest.split_once(' ').expect("share NAME FROM..TO");
                let (from, to) = range.split_once("..").expect("FROM..TO");
                Expected::Share(name.to_owned(), number(from), number(to))
            }
            "sticky" => Expected::Sticky,
            "contains" => Expected::Body(rest.to_owned()),
            "presents" => Expected::Presents(rest.to_owned()),
            "after" => Expected::After(u64::from(number(rest))),
            "within" => Expected::Within(u64::from(number(rest))),
            "seen" => {
                let (name, count) = rest.split_once(' ').expect("seen NAME N");
                Expected::Seen(name.to_owned(), number(count))
            }
            "got" | "says" | "not" => {
                let (word, rest, is) = match rest.split_once(' ') {
                    Some((inner, rest)) if word == "not" => (inner, rest, false),
                    _ => (word, rest, true),
                };
                let (name, value, is) = pair(rest, is);
                if word == "got" { Expected::Got(name, value, is) } else { Expected::Says(name, value, is) }
            }
            _ => match text.split_once(" is ") {
                Some((fact, value)) => Expected::Told(fact.to_owned(), value.to_owned()),
                None => Expected::Status(number(text) as u16),
            },
        }
    }

    /// What is different, if anything is. `seen` tells how often a server was asked.
    pub fn differs(&self, replies: &[Reply], seen: &dyn Fn(&str) -> u32) -> Option<String> {
        let each = |what: &dyn Fn(&Reply) -> Option<String>| replies.iter().find_map(what);
        let who = |reply: &Reply| reply.told["pod"].as_str().unwrap_or("nobody").to_owned();
        match self {
            Expected::Status(status) => each(&|reply| {
                (reply.status != *status)
                    .then(|| format!("{status} expected, it is {} {}", reply.status, reply.error))
            }),
            Expected::Failed(error) => each(&|reply| {
                (reply.error != *error)
                    .then(|| format!("{error} expected, it is {} {}", reply.status, reply.error))
            }),
            Expected::From(names) => {
                let found: BTreeSet<String> = replies.iter().map(who).collect();
                (found != *names).then(|| format!("from {names:?} expected, it is {found:?}"))
            }
            Expected::Share(name, from, to) => {
                let of = replies.iter().filter(|reply| who(reply) == *name).count() * 100;
                let share = (of / replies.len().max(1)) as u32;
                (!(*from..=*to).contains(&share)).then(|| format!("{name} has {share} %, not {from} to {to}"))
            }
            Expected::Sticky => {
                let found: BTreeSet<String> = replies.iter().map(who).collect();
                (found.len() != 1).then(|| format!("one server expected, there are {found:?}"))
            }
            Expected::Got(name, value, is) => each(&|reply| {
                let found = reply.told["headers"][name].as_str();
                holds(found, value.as_deref(), *is, "the server got", name)
            }),
            Expected::Says(name, value, is) => each(&|reply| {
                let found = reply.headers.get(name).map(String::as_str);
                holds(found, value.as_deref(), *is, "the answer says", name)
            }),
            Expected::Told(fact, value) => each(&|reply| {
                let found = reply.told.pointer(&format!("/{}", fact.replace('.', "/")));
                let found = found.map_or("-".to_owned(), |found| match found.as_str() {
                    Some("") => "-".to_owned(),
                    Some(text) => text.to_owned(),
                    None => found.to_string(),
                });
                (found != *value).then(|| format!("{fact} is {found:?}, not {value:?}"))
            }),
            Expected::Body(text) => each(&|reply| {
                (!reply.body.contains(text)).then(|| format!("{text:?} is not in {:.300}", reply.body))
            }),
            Expected::Presents(name) => each(&|reply| {
                (!reply.presented.contains(name))
                    .then(|| format!("{name} is not among {:?}", reply.presented))
            }),
            Expected::After(millis) => each(&|reply| {
                let early = reply.took < Duration::from_millis(*millis);
                early.then(|| format!("after {:?} already", reply.took))
            }),
            Expected::Within(millis) => each(&|reply| {
                let late = reply.took > Duration::from_millis(*millis);
                late.then(|| format!("after {:?} only", reply.took))
            }),
            Expected::Seen(name, count) => {
                let found = seen(name);
                (found != *count).then(|| format!("{name} saw {found} requests, not {count}"))
            }
        }
    }
}

fn holds(found: Option<&str>, value: Option<&str>, is: bool, what: &str, name: &str) -> Option<String> {
    let fits = found.is_some() && (value.is_none() || found == value);
    (fits != is)
        .then(|| format!("{what} {name}: {found:?}, expected {}{value:?}", if is { "" } else { "not " }))
}
