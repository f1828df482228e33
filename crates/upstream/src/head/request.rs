//! The head of a request.

use std::borrow::Cow;

use http::request::Parts;
use http::{Extensions, HeaderName, Method, Uri};

use super::Fields;

/// A request's head as it came: HTTP/1 bytes, or HTTP/2 fields.
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub(super) form: RequestForm,
    pub(super) scheme: &'static str,
}

#[derive(Clone, Debug)]
pub(super) enum RequestForm {
    H1(http1::RequestHead),
    H2(Box<H2Request>),
}

/// HTTP/2's parts; what of the target was edited stands beside them, so that a target which was
/// not is sent on without being copied or read again.
#[derive(Clone, Debug)]
pub(super) struct H2Request {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) extensions: Extensions,
    pub(super) fields: Fields,
    /// Also that of a Host which stands in for `:authority`.
    pub(super) new_authority: Option<Box<[u8]>>,
    pub(super) new_path: Option<Box<[u8]>>,
}

impl H2Request {
    pub(super) fn authority(&self) -> &[u8] {
        match &self.new_authority {
            Some(new) => new,
            None => self.uri.authority().map_or(b"", |authority| authority.as_str().as_bytes()),
        }
    }

    pub(super) fn path(&self) -> &[u8] {
        match &self.new_path {
            Some(new) => new,
            None => self.uri.path_and_query().map_or(b"/", |path| path.as_str().as_bytes()),
        }
    }
}

impl RequestHead {
    /// `https` says that the client used TLS.
    pub fn from_h1(head: http1::RequestHead, https: bool) -> Self {
        RequestHead { form: RequestForm::H1(head), scheme: scheme(https) }
    }

    pub fn from_h2(mut parts: Parts) -> Self {
        let host = parts.headers.remove(http::header::HOST);
        // RFC 9113, section 8.3.1: `:authority` wins, Host stands in for it.
        let stands_in = host.filter(|_| parts.uri.authority().is_none());
        let new_authority = stands_in.map(|host| host.as_bytes().into());
        let https = parts.uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        // An upgrade is judged by the same rules in every version of HTTP (RFC 8441, section 4).
        if parts.method == http::Method::CONNECT && parts.extensions.get::<h2::ext::Protocol>().is_some() {
            parts.method = http::Method::GET;
        }
        let Parts { method, uri, extensions, headers, .. } = parts;
        let fields = Fields::new(headers);
        let head = H2Request { method, uri, extensions, fields, new_authority, new_path: None };
        RequestHead { form: RequestForm::H2(Box::new(head)), scheme: scheme(https) }
    }

    /// A head of our own, for callouts.
    pub fn new(method: &str, scheme: &'static str, authority: &str, path: &str) -> Self {
        RequestHead { form: RequestForm::H1(http1::RequestHead::new(method, authority, path)), scheme }
    }

    pub fn method(&self) -> &[u8] {
        match &self.form {
            RequestForm::H1(head) => head.method(),
            RequestForm::H2(head) => head.method.as_str().as_bytes(),
        }
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    pub fn authority(&self) -> &[u8] {
        match &self.form {
            RequestForm::H1(head) => head.authority(),
            RequestForm::H2(head) => head.authority(),
        }
    }

    /// With the query.
    pub fn path(&self) -> &[u8] {
        match &self.form {
            RequestForm::H1(head) => head.path(),
            RequestForm::H2(head) => head.path(),
        }
    }

    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`: `%PROTOCOL%`.
    pub fn protocol(&self) -> &'static str {
        match &self.form {
            RequestForm::H1(head) => head.version().as_str(),
            RequestForm::H2(_) => "HTTP/2",
        }
    }

    /// The first value.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        match &self.form {
            RequestForm::H1(head) => head.get(name),
            RequestForm::H2(head) if name == "host" => Some(head.authority()),
            RequestForm::H2(head) => head.fields.first(name),
        }
    }

    /// All values, joined by `,`.
    #[inline]
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match &self.form {
            RequestForm::H1(head) => head.joined(name),
            RequestForm::H2(head) if name == "host" => Some(Cow::Borrowed(head.authority())),
            RequestForm::H2(head) => head.fields.joined(name),
        }
    }

    /// How many field lines there are, without pseudo-headers.
    pub fn field_count(&self) -> usize {
        match &self.form {
            RequestForm::H1(head) => head.len(),
            RequestForm::H2(head) => head.fields.map.len(),
        }
    }

    /// Without pseudo-headers and Host.
    pub fn for_each(&self, mut f: impl FnMut(&[u8], &[u8])) {
        match &self.form {
            RequestForm::H1(head) => {
                let fields = head.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
                fields.for_each(|(name, value)| f(name, value));
            }
            RequestForm::H2(head) => {
                head.fields.map.iter().for_each(|(name, value)| f(name.as_ref(), value.as_bytes()));
            }
        }
    }

    /// Names are lower case. Values that no header may have are made harmless.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        match &mut self.form {
            RequestForm::H1(head) => head.set(name, value),
            RequestForm::H2(head) if name == "host" => {
                head.new_authority = Some(value.as_ref().into());
            }
            RequestForm::H2(head) => head.fields.set(name, value.as_ref()),
        }
    }

    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        match &mut self.form {
            // A second Host would make two messages of one.
            _ if name == "host" => self.set(name, value),
            RequestForm::H1(head) => head.append(name, value),
            RequestForm::H2(head) => head.fields.append(name, value.as_ref()),
        }
    }

    /// Host stays: every request has one.
    #[inline]
    pub fn remove(&mut self, name: &str) -> bool {
        match &mut self.form {
            _ if name == "host" => false,
            RequestForm::H1(head) => head.remove(name),
            RequestForm::H2(head) => head.fields.remove(name),
        }
    }

    /// Removes every header whose name starts with `prefix` (in lower case) and is `unwanted`, which is
    /// asked about names in whatever case. Not for Host.
    pub fn remove_where(&mut self, prefix: &str, unwanted: impl Fn(&[u8]) -> bool) {
        match &mut self.form {
            RequestForm::H1(head) => head.remove_where(prefix, unwanted),
            RequestForm::H2(head) => {
                let map = &mut head.fields.map;
                let doomed =
                    |name: &&HeaderName| name.as_str().starts_with(prefix) && unwanted(name.as_ref());
                let doomed: Vec<HeaderName> = map.keys().filter(doomed).cloned().collect();
                doomed.into_iter().for_each(|name| drop(map.remove(name)));
            }
        }
    }

    /// What is no token is ignored.
    pub fn set_method(&mut self, method: &str) {
        match &mut self.form {
            RequestForm::H1(head) => head.set_method(method),
            RequestForm::H2(head) => {
                if let Ok(method) = http::Method::from_bytes(method.as_bytes()) {
                    head.method = method;
                }
            }
        }
    }

    pub fn set_authority(&mut self, authority: impl AsRef<[u8]>) {
        match &mut self.form {
            RequestForm::H1(head) => head.set_authority(authority),
            RequestForm::H2(head) => head.new_authority = Some(authority.as_ref().into()),
        }
    }

    pub fn set_path(&mut self, path: impl AsRef<[u8]>) {
        match &mut self.form {
            RequestForm::H1(head) => head.set_path(path),
            RequestForm::H2(head) => head.new_path = Some(path.as_ref().into()),
        }
    }

    pub fn set_scheme(&mut self, https: bool) {
        self.scheme = scheme(https);
    }

    /// The protocol of an upgrade (HTTP/1's Upgrade or HTTP/2's `:protocol`).
    pub fn upgrade(&self) -> Option<&[u8]> {
        match &self.form {
            // RFC 9113, section 3.1: nobody has to take an upgrade to h2c, and it goes one hop only.
            RequestForm::H1(head) => head.upgrade().filter(|wanted| !wanted.eq_ignore_ascii_case(b"h2c")),
            RequestForm::H2(head) => {
                head.extensions.get::<h2::ext::Protocol>().map(|protocol| protocol.as_str().as_bytes())
            }
        }
    }

    pub fn is_connect(&self) -> bool {
        self.method() == b"CONNECT"
    }

    /// Content-Type is `application/grpc` or `application/grpc+…`.
    pub fn is_grpc(&self) -> bool {
        let rest = self.get("content-type").and_then(|value| value.strip_prefix(b"application/grpc"));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
    }

    /// Removes what concerns the client's connection only; call it before anything is added.
    /// `keep_upgrade`: an upgrade is passed on.
    pub fn strip_hop_by_hop(&mut self, keep_upgrade: bool) {
        match &mut self.form {
            RequestForm::H1(head) => head.strip_hop_by_hop(keep_upgrade),
            RequestForm::H2(head) => {
                // Nothing else of the connection is in it: `h2` takes no such head.
                head.fields.remove("expect");
                if !keep_upgrade {
                    head.extensions.remove::<h2::ext::Protocol>();
                }
            }
        }
    }

    /// What the client announced.
    pub fn content_length(&self) -> Option<u64> {
        super::number(self.get("content-length")?)
    }
}

fn scheme(https: bool) -> &'static str {
    if https { "https" } else { "http" }
}

impl engine::Request for RequestHead {
    fn method(&self) -> &[u8] {
        self.method()
    }

    fn scheme(&self) -> &[u8] {
        self.scheme.as_bytes()
    }

    fn authority(&self) -> &[u8] {
        self.authority()
    }

    fn path(&self) -> &[u8] {
        self.path()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.joined(name)
    }

    fn any_value(&self, name: &str, wanted: &mut dyn FnMut(&[u8]) -> bool) -> Option<bool> {
        let mut any = None;
        let mut see = |value: &[u8]| any = Some(any == Some(true) || wanted(value));
        match &self.form {
            RequestForm::H1(head) => {
                let named = head.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
                named.for_each(|(_, value)| see(value));
            }
            // HTTP/2 may cut a cookie into pieces, which are one value.
            RequestForm::H2(_) if name == "cookie" => {
                if let Some(value) = self.joined(name) {
                    see(&value);
                }
            }
            RequestForm::H2(head) => {
                head.fields.map.get_all(name).iter().for_each(|value| see(value.as_bytes()));
            }
        }
        any
    }
}
