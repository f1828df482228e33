//! What a request's `x-do` asks a server for, words with spaces between them.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use serde_json::Value;

/// `status=CODE`, `sleep=MS`, `set=NAME:VALUE` (`+` is a space), `reset`; `fail=N:CODE` and
/// `fail=N:reset` for the first N requests of the case; `bad=SERVER:CODE` for one server.
pub struct Actions {
    status: u16,
    pub sleep: u64,
    pub reset: bool,
    set: Vec<(String, String)>,
}

impl Actions {
    /// For this server, and the request of the case with this number.
    pub fn parse(text: &str, server: &str, count: u32) -> Self {
        let mut actions = Actions { status: 200, sleep: 0, reset: false, set: Vec::new() };
        for step in text.split(' ').filter(|step| !step.is_empty()) {
            let (what, value) = step.split_once('=').unwrap_or((step, ""));
            let (name, code) = value.split_once(':').unwrap_or((value, ""));
            match what {
                "status" => actions.fail(value),
                "sleep" => actions.sleep = number(value),
                "set" => actions.set.push((name.to_owned(), code.replace('+', " "))),
                "reset" => actions.reset = true,
                "fail" if u64::from(count) <= number(name) => actions.fail(code),
                "bad" if name == server => actions.fail(code),
                "fail" | "bad" => {}
                other => panic!("x-do: {other}"),
            }
        }
        actions
    }

    fn fail(&mut self, how: &str) {
        match how {
            "reset" => self.reset = true,
            code => self.status = number(code) as u16,
        }
    }

    pub fn response(self, about: Value) -> Response<Full<Bytes>> {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.set {
            response = response.header(name, value);
        }
        response.body(Full::new(about.to_string().into())).expect("a response")
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("x-do: {text:?} is no number"))
}
