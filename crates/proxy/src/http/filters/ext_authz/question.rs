//! What the service is asked.

use engine::Request as _;
use ir::ext_authz::AuthzBody;

use super::{Context, ExtAuthz, Part, Settings};

pub struct Question<'a> {
    pub ctx: &'a Context,
    pub filter: &'a ExtAuthz,
    pub settings: &'a Settings,
    pub part: Option<&'a (AuthzBody, Part)>,
}

impl Question<'_> {
    /// Headers that the service is told of, pseudo-headers among them; several of one name joined.
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let head = &self.ctx.head;
        let mut all: Vec<(String, Vec<u8>)> = Vec::new();
        let pseudo: [(&str, &[u8]); 4] = [
            (":authority", head.authority()),
            (":method", head.method()),
            (":path", head.path()),
            (":scheme", head.scheme().as_bytes()),
        ];
        for (name, value) in pseudo {
            if self.filter.tells(name.as_bytes()) {
                all.push((name.to_owned(), value.to_vec()));
            }
        }
        let mut names: Vec<String> = Vec::new();
        head.for_each(|name, _| {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            if self.filter.tells(name.as_bytes()) && !names.contains(&name) {
                names.push(name);
            }
        });
        for name in names {
            if let Some(value) = head.header(&name).map(|value| value.into_owned()) {
                all.push((name, value));
            }
        }
        if let Some((_, part)) = self.part {
            all.push(("x-envoy-auth-partial-body".into(), part.more.to_string().into_bytes()));
        }
        all
    }

    pub fn body(&self) -> &[u8] {
        self.part.map_or(b"", |(_, part)| &part.bytes)
    }
}
