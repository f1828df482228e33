//! One scenario, a line: `name | call | request | header: value … => expected ; expected …`.
//!
//! A call is `out ADDRESS:PORT`, `in PORT` (both captured), or `at PORT` / `at ADDRESS:PORT` (a listener
//! that is asked directly, as a gateway's), then words: `tls=SNI`, `mtls=SNI` (with the certificate
//! `as=NAMESPACE/ACCOUNT` or `as=NAME`, `forged` if the authority is unknown), `alpn=a,b`, `h2`,
//! `from=ADDRESS`. A request is `METHOD HOST /path` with `xN` before it to be sent N times, or `send WORDS`
//! for bytes. `expect.rs` has what can be expected.

use crate::expect::Expected;

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    pub to: To,
    pub port: u16,
    pub address: Option<std::net::IpAddr>,
    pub tls: Option<Tls>,
    pub http2: bool,
    /// The client's address, as the PROXY protocol says it.
    pub from: Option<std::net::Ipv4Addr>,
    pub times: u32,
    pub request: Request,
    pub expected: Vec<Expected>,
    /// With which proxy it does not hold yet (`lateen`, `envoy`, `both`), and why.
    pub not_yet: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Outbound,
    Inbound,
    Listener,
}

#[derive(Clone, Debug, Default)]
pub struct Tls {
    pub sni: String,
    pub alpn: Vec<String>,
    /// The name in the client's certificate.
    pub client: Option<String>,
    pub forged: bool,
}

#[derive(Clone, Debug)]
pub enum Request {
    Http { method: String, host: String, path: String, headers: Vec<(String, String)>, body: String },
    Bytes(String),
}

impl Scenario {
    pub fn parse(line: &str) -> Self {
        let (asked, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("{line}: nothing expected"));
        let mut cells = asked.split(" | ").map(str::trim);
        let mut cell = |what: &str| cells.next().unwrap_or_else(|| panic!("{line}: no {what}"));
        let (name, call, request) = (cell("name"), cell("call"), cell("request"));
        let mut scenario = Scenario {
            name: name.to_owned(),
            to: To::Outbound,
            port: 0,
            address: None,
            tls: None,
            http2: false,
            from: None,
            times: 1,
            request: Request::Bytes(String::new()),
            expected: Vec::new(),
            not_yet: None,
        };
        scenario.call(call);
        scenario.request(request, cells, line);
        for text in expected.split(" ; ").map(str::trim) {
            match text.strip_prefix("not yet ").and_then(|text| text.split_once(": ")) {
                Some((who, why)) => scenario.not_yet = Some((who.to_owned(), why.to_owned())),
                None => scenario.expected.push(Expected::parse(text)),
            }
        }
        scenario
    }

    fn call(&mut self, call: &str) {
        let mut words = call.split(' ');
        self.to = match words.next() {
            Some("out") => To::Outbound,
            Some("in") => To::Inbound,
            Some("at") => To::Listener,
            _ => panic!("{call}: out, in or at"),
        };
        let place = words.next().unwrap_or_else(|| panic!("{call}: where to"));
        let (address, port) = place.rsplit_once(':').map_or((None, place), |(ip, port)| (Some(ip), port));
        self.address = address.map(|ip| ip.parse().unwrap_or_else(|_| panic!("{call}: {ip}")));
        self.port = port.parse().unwrap_or_else(|_| panic!("{call}: {port}"));
        for word in words {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            match key {
                "h2" => self.http2 = true,
                "from" => self.from = Some(value.parse().expect("an address")),
                "tls" | "mtls" => self.tls.get_or_insert_default().sni = value.to_owned(),
                _ => {
                    let tls = self.tls.as_mut().unwrap_or_else(|| panic!("{call}: {word} without TLS"));
                    match key {
                        "alpn" => tls.alpn = value.split(',').map(str::to_owned).collect(),
                        "forged" => tls.forged = true,
                        "as" => tls.client = Some(identity(value)),
                        _ => panic!("{call}: {word}"),
                    }
                }
            }
            if key == "mtls" {
                let tls = self.tls.as_mut().expect("TLS");
                tls.client.get_or_insert_with(|| identity("shop/client"));
                tls.alpn = vec!["istio-http/1.1".into(), "istio".into()];
            }
        }
    }

    fn request<'a>(&mut self, request: &str, headers: impl Iterator<Item = &'a str>, line: &str) {
        let request = match request.split_once(' ') {
            Some((times, rest)) if times.starts_with('x') && times[1..].parse::<u32>().is_ok() => {
                self.times = times[1..].parse().expect("a number");
                rest
            }
            _ => request,
        };
        if let Some(words) = request.strip_prefix("send ") {
            self.request = Request::Bytes(words.to_owned());
            return;
        }
        let words: Vec<&str> = request.split(' ').collect();
        let [method, host, path] = words.as_slice() else { panic!("{line}: METHOD HOST /path") };
        let (mut given, mut body) = (Vec::new(), String::new());
        for header in headers {
            match header.split_once(": ") {
                Some((name, value)) => given.push((name.to_owned(), value.to_owned())),
                None => {
                    body =
                        header.strip_prefix("body=").unwrap_or_else(|| panic!("{line}: {header}")).to_owned()
                }
            }
        }
        self.request = Request::Http {
            method: (*method).to_owned(),
            host: (*host).to_owned(),
            path: (*path).to_owned(),
            headers: given,
            body,
        };
    }
}

/// `NAMESPACE/ACCOUNT` as SPIFFE writes it; other names as they are.
fn identity(text: &str) -> String {
    match text.split_once('/') {
        Some((namespace, account)) => format!("spiffe://cluster.local/ns/{namespace}/sa/{account}"),
        None => text.to_owned(),
    }
}
