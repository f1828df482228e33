//! The head of a response.

use std::borrow::Cow;

use http::response::Parts;
use http::{Response, StatusCode};

use super::{Fields, convert};

/// A response's head as it came, or of our own making.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    form: ResponseForm,
}

#[derive(Clone, Debug)]
enum ResponseForm {
    H1(http1::ResponseHead),
    H2(Box<H2Response>),
}

#[derive(Clone, Debug)]
struct H2Response {
    status: StatusCode,
    fields: Fields,
}

impl ResponseHead {
    /// A head of our own.
    pub fn new(status: u16) -> Self {
        ResponseHead::from_h1(http1::ResponseHead::new(status))
    }

    pub fn from_h1(head: http1::ResponseHead) -> Self {
        ResponseHead { form: ResponseForm::H1(head) }
    }

    pub fn from_h2(parts: Parts) -> Self {
        let head = H2Response { status: parts.status, fields: Fields::new(parts.headers) };
        ResponseHead { form: ResponseForm::H2(Box::new(head)) }
    }

    /// For a client that speaks HTTP/1.
    pub fn into_h1(self) -> http1::ResponseHead {
        match self.form {
            ResponseForm::H1(head) => head,
            ResponseForm::H2(head) => convert::response_to_h1(head.status, &head.fields.map),
        }
    }

    /// For a client that speaks HTTP/2.
    pub fn into_h2(self) -> Response<()> {
        match self.form {
            ResponseForm::H1(head) => convert::response_to_h2(&head),
            ResponseForm::H2(head) => {
                let mut response = Response::new(());
                *response.status_mut() = head.status;
                *response.version_mut() = http::Version::HTTP_2;
                *response.headers_mut() = head.fields.map;
                convert::mark_unique(response.headers_mut());
                response
            }
        }
    }

    pub fn status(&self) -> u16 {
        match &self.form {
            ResponseForm::H1(head) => head.status(),
            ResponseForm::H2(head) => head.status.as_u16(),
        }
    }

    /// Below 100 and above 999 it becomes 500.
    pub fn set_status(&mut self, status: u16) {
        match &mut self.form {
            ResponseForm::H1(head) => head.set_status(status),
            ResponseForm::H2(head) => {
                head.status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            }
        }
    }

    /// The first value.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        match &self.form {
            ResponseForm::H1(head) => head.get(name),
            ResponseForm::H2(head) => head.fields.first(name),
        }
    }

    /// All values, joined by `,`.
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match &self.form {
            ResponseForm::H1(head) => head.joined(name),
            ResponseForm::H2(head) => head.fields.joined(name),
        }
    }

    /// How many field lines there are.
    pub fn field_count(&self) -> usize {
        match &self.form {
            ResponseForm::H1(head) => head.len(),
            ResponseForm::H2(head) => head.fields.map.len(),
        }
    }

    pub fn for_each(&self, mut f: impl FnMut(&[u8], &[u8])) {
        match &self.form {
            ResponseForm::H1(head) => head.iter().for_each(|(name, value)| f(name, value)),
            ResponseForm::H2(head) => {
                head.fields.map.iter().for_each(|(name, value)| f(name.as_ref(), value.as_bytes()));
            }
        }
    }

    /// Names are lower case. Values that no header may have are made harmless.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        match &mut self.form {
            ResponseForm::H1(head) => head.set(name, value),
            ResponseForm::H2(head) => head.fields.set(name, value.as_ref()),
        }
    }

    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        match &mut self.form {
            ResponseForm::H1(head) => head.append(name, value),
            ResponseForm::H2(head) => head.fields.append(name, value.as_ref()),
        }
    }

    #[inline]
    pub fn remove(&mut self, name: &str) -> bool {
        match &mut self.form {
            ResponseForm::H1(head) => head.remove(name),
            ResponseForm::H2(head) => head.fields.remove(name),
        }
    }

    /// Removes what concerns the endpoint's connection only. `keep_upgrade`: a 101 is passed on.
    pub fn strip_hop_by_hop(&mut self, keep_upgrade: bool) {
        match &mut self.form {
            ResponseForm::H1(head) => head.strip_hop_by_hop(keep_upgrade),
            // `h2` takes no head with anything of a connection in it.
            ResponseForm::H2(_) => {}
        }
    }

    pub fn content_length(&self) -> Option<u64> {
        super::number(self.get("content-length")?)
    }
}
