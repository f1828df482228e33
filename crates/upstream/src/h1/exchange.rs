//! One request and its response on an HTTP/1 connection.

use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http1::{Incoming, ReadError};
use identity::TlsError;
use net::Io;

use super::Idle;
use crate::gauge::Gauge;
use crate::response::Inside;
use crate::send::{Call, Inner};
use crate::{
    Body, BodyError, BodyKind, Facts, Failure, Frame, Interim, Response, ResponseBody, ResponseHead,
    SendError,
};

/// Interim responses to one request. A client may be slow to take them.
const MAX_INTERIM: u32 = 16;

/// The connection while it is in use; the request's body as far as it has to be sent.
pub(crate) struct Exchange<B> {
    /// Before the connection, which is another's when it goes.
    gauge: Option<Gauge>,
    /// `None` once the exchange is over.
    conn: Option<Box<Idle>>,
    facts: Rc<Facts>,
    inner: Rc<Inner>,
    request: B,
    sending: Sending,
    incoming: Option<Incoming<Io>>,
    /// The request asks for an upgrade.
    upgrading: bool,
    /// It is CONNECT: success is a tunnel.
    connect: bool,
    /// Who takes interim responses, and how many there were.
    interim: Option<Rc<dyn Interim>>,
    interims: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    Active,
    /// All is queued.
    Last,
    Done,
    /// The socket takes nothing more; a response may still be there.
    Broken,
}

impl<B: Body> Exchange<B> {
    pub(super) fn start(
        mut conn: Box<Idle>,
        inner: &Rc<Inner>,
        call: &Call<'_>,
        head: &http1::RequestHead,
        request: B,
    ) -> Self {
        conn.conn.start(head, request.kind());
        let gauge = call.options.watch.as_ref().map(|watch| {
            watch.sending(&conn.facts);
            let meter = conn.conn.meter();
            Gauge::new(watch, move || meter.wire())
        });
        Exchange {
            gauge,
            facts: conn.facts.clone(),
            conn: Some(conn),
            inner: inner.clone(),
            request,
            sending: Sending::Active,
            incoming: None,
            upgrading: head.upgrade().is_some(),
            connect: head.is_connect(),
            interim: call.interim(),
            interims: 0,
        }
    }

    /// Sends the request as far as it goes, until the response's head is there.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<http1::ResponseHead, SendError>> {
        if let Err(error) = self.drive(cx) {
            return Poll::Ready(Err(self.failed(Failure::RequestBody(error), String::new())));
        }
        loop {
            let Some(conn) = &mut self.conn else {
                return Poll::Ready(Err(SendError::new(Failure::Closed)));
            };
            let head = match ready!(conn.conn.poll_head(cx)) {
                Ok(head) => head,
                Err(error) => return Poll::Ready(Err(self.unread(error))),
            };
            match head.status() {
                101 if !self.upgrading => {
                    let detail = "101 without an upgrade".to_owned();
                    return Poll::Ready(Err(self.failed(Failure::Protocol, detail)));
                }
                100 | 102..=199 => {
                    if let Err(detail) = self.pass_on(head) {
                        return Poll::Ready(Err(self.failed(Failure::Protocol, detail.to_owned())));
                    }
                }
                _ => return Poll::Ready(Ok(head)),
            }
        }
    }

    /// Gives an interim response to the client's side.
    fn pass_on(&mut self, mut head: http1::ResponseHead) -> Result<(), &'static str> {
        self.interims += 1;
        if self.interims > MAX_INTERIM {
            return Err("too many interim responses");
        }
        if let Some(taker) = &self.interim {
            head.strip_hop_by_hop(false);
            taker.interim(ResponseHead::from_h1(head));
        }
        Ok(())
    }

    /// Sends what there is of the request.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        let Some(conn) = &mut self.conn else { return Ok(()) };
        if self.sending == Sending::Active {
            match conn.conn.poll_write_body(&mut self.request, cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(Ok(()))) => self.sending = Sending::Last,
                Poll::Ready(Ok(Err(error))) => {
                    self.sending = Sending::Broken;
                    return Err(error);
                }
                Poll::Ready(Err(_)) => self.sending = Sending::Broken,
            }
        }
        if self.sending == Sending::Last {
            match conn.conn.poll_flushed(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.sending = Sending::Done,
                Poll::Ready(Err(_)) => self.sending = Sending::Broken,
            }
        }
        Ok(())
    }

    fn unread(&mut self, error: ReadError) -> SendError {
        match error {
            ReadError::Closed => self.failed(Failure::Closed, String::new()),
            ReadError::Refused(why) => self.failed(Failure::Protocol, why.to_string()),
            // With TLS 1.3 the endpoint's refusal of our certificate comes here.
            ReadError::Io(error) => match TlsError::from_io(error) {
                TlsError::Io(_) => self.failed(Failure::Closed, String::new()),
                tls => {
                    if let Some(conn) = &self.conn {
                        conn.note_refused(&tls);
                    }
                    SendError { by_tls: true, ..self.failed(Failure::Closed, tls.to_string()) }
                }
            },
        }
    }

    fn failed(&mut self, failure: Failure, detail: String) -> SendError {
        let (request_started, response_started) = match &self.conn {
            Some(conn) => (conn.conn.sent() > 0, conn.conn.received() > 0),
            None => (false, false),
        };
        let over = Some(self.facts.clone());
        self.gauge = None;
        self.conn = None;
        SendError { request_started, response_started, detail, over, ..SendError::new(failure) }
    }

    /// Of its connection.
    pub(super) fn facts(&self) -> &Rc<Facts> {
        &self.facts
    }

    /// To try again with.
    pub(super) fn into_request_body(self) -> B {
        self.request
    }

    /// The head is there; the body is to come.
    pub(super) fn respond(mut self, head: http1::ResponseHead, reused: bool) -> Box<Response<B>> {
        let facts = self.facts.clone();
        let incoming = self.conn.as_ref().map(|conn| conn.conn.body());
        let kind = incoming.as_ref().map_or(BodyKind::None, Body::kind);
        let upgraded = head.status() == 101 || (self.connect && (200..300).contains(&head.status()));
        self.incoming = incoming;
        if !upgraded {
            self.finish_if_over();
        }
        stdx::boxed(|| {
            let body = ResponseBody::new(kind, Inside::H1(self));
            Response { head: ResponseHead::from_h1(head), body, facts, reused }
        })
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        if self.drive(cx).is_err() {
            self.gauge = None;
            self.conn = None;
            return Poll::Ready(Err(BodyError::Stopped("the request's body failed")));
        }
        let Some(incoming) = self.incoming.as_mut().filter(|_| self.conn.is_some()) else {
            return Poll::Ready(Ok(None));
        };
        let frame = ready!(incoming.poll_frame(cx));
        match &frame {
            Ok(_) => self.finish_if_over(),
            Err(_) => self.conn = None,
        }
        Poll::Ready(frame)
    }

    /// Gives the connection back as soon as the response's last byte was read, before anyone asks
    /// for more.
    fn finish_if_over(&mut self) {
        let over = self.incoming.as_ref().is_none_or(Incoming::is_end);
        if !over {
            return;
        }
        self.incoming = None;
        // A response before the request's end: the rest has no taker, the connection no use.
        if let Some(mut conn) = self.conn.take().filter(|_| self.sending == Sending::Done)
            && conn.may_serve_again()
        {
            self.inner.give_back(conn);
        }
    }

    /// All of the response's body was given out.
    pub(crate) fn is_end(&self) -> bool {
        self.conn.is_none() && self.incoming.is_none()
    }

    pub(crate) fn request_done(&self) -> bool {
        self.sending == Sending::Done
    }

    pub(crate) fn into_upgraded(mut self) -> io::Result<(Io, Bytes)> {
        let conn = self.conn.take().filter(|_| self.sending == Sending::Done);
        conn.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?.into_upgraded()
    }
}
