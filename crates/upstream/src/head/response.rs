//! The head of a response.

use std::borrow::Cow;

use http::StatusCode;
use http::response::Parts;

use super::convert;

/// A response's head as it came, or of our own making.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    form: ResponseForm,
}

#[derive(Clone, Debug)]
enum ResponseForm {
    H1(http1::ResponseHead),
    H2(Box<Parts>),
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
        ResponseHead { form: ResponseForm::H2(Box::new(parts)) }
    }

    /// For a client that speaks HTTP/1.
    pub fn into_h1(self) -> http1::ResponseHead {
        match self.form {
            ResponseForm::H1(head) => head,
            ResponseForm::H2(parts) => convert::response_to_h1(&parts),
        }
    }

    /// For a client that speaks HTTP/2.
    pub fn into_h2(self) -> http::Response<()> {
        match self.form {
            ResponseForm::H1(head) => convert::response_to_h2(&head),
            ResponseForm::H2(mut parts) => {
                parts.version = http::Version::HTTP_2;
                convert::mark_unique(&mut parts.headers);
                http::Response::from_parts(*parts, ())
            }
        }
    }

    pub fn status(&self) -> u16 {
        match &self.form {
            ResponseForm::H1(head) => head.status(),
            ResponseForm::H2(parts) => parts.status.as_u16(),
        }
    }

    /// Below 100 and above 999 it becomes 500.
    pub fn set_status(&mut self, status: u16) {
        match &mut self.form {
            ResponseForm::H1(head) => head.set_status(status),
            ResponseForm::H2(parts) => {
                parts.status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            }
        }
    }

    /// The first value.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        match &self.form {
            ResponseForm::H1(head) => head.get(name),
            ResponseForm::H2(parts) => super::first(&parts.headers, name),
        }
    }

    /// All values, joined by `,`.
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match &self.form {
            ResponseForm::H1(head) => head.joined(name),
            ResponseForm::H2(parts) => super::joined(&parts.headers, name),
        }
    }

    /// How many field lines there are.
    pub fn field_count(&self) -> usize {
        match &self.form {
            ResponseForm::H1(head) => head.len(),
            ResponseForm::H2(parts) => parts.headers.len(),
        }
    }

    pub fn for_each(&self, mut f: impl FnMut(&[u8], &[u8])) {
        match &self.form {
            ResponseForm::H1(head) => head.iter().for_each(|(name, value)| f(name, value)),
            ResponseForm::H2(parts) => {
                parts.headers.iter().for_each(|(name, value)| f(name.as_ref(), value.as_bytes()));
            }
        }
    }

    /// Names are lower case. Values that no header may have are made harmless.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        match &mut self.form {
            ResponseForm::H1(head) => head.set(name, value),
            ResponseForm::H2(parts) => super::set(&mut parts.headers, name, value.as_ref()),
        }
    }

    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        match &mut self.form {
            ResponseForm::H1(head) => head.append(name, value),
            ResponseForm::H2(parts) => super::append(&mut parts.headers, name.as_bytes(), value.as_ref()),
        }
    }

    #[inline]
    pub fn remove(&mut self, name: &str) -> bool {
        match &mut self.form {
            ResponseForm::H1(head) => head.remove(name),
            ResponseForm::H2(parts) => super::remove(&mut parts.headers, name),
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
