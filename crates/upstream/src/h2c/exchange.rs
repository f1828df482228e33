//! One request and its response on an HTTP/2 stream.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http2::{Reason, Receive, Send};

use super::connection::{Connection, Counted, Stream};
use super::error::StreamError;
use crate::gauge::Gauge;
use crate::head::switched;
use crate::response::Inside;
use crate::tunnel::H2Tunnel;
use crate::{
    Body, BodyError, BodyKind, Failure, Frame, Interim, RequestHead, Response, ResponseBody, ResponseHead,
    Watch,
};

/// A stream and the request's body as far as it has to be sent.
pub(crate) struct Exchange<B> {
    /// Before the stream, which is forgotten when its halves go.
    gauge: Option<Gauge>,
    /// `None` once the response is over.
    receive: Option<Receive>,
    /// `None` once the request is sent, or has no taker any more.
    send: Option<Send>,
    request: B,
    /// Taken from the body, not yet from us.
    pending: Bytes,
    sent: bool,
    counted: Option<Counted>,
    reused: bool,
    /// An upgrade or CONNECT was asked for: what goes out is not the request's body.
    tunnel: bool,
}

impl<B: Body> Exchange<B> {
    pub(super) fn new(
        stream: Stream,
        request: B,
        ends: bool,
        tunnel: bool,
        watch: Option<&Rc<dyn Watch>>,
    ) -> Self {
        let Stream { receive, send, counted, reused } = stream;
        let gauge = watch.map(|watch| {
            let meter = send.meter();
            Gauge::new(watch, move || meter.wire())
        });
        Exchange {
            gauge,
            receive: Some(receive),
            send: (!ends).then_some(send),
            request,
            pending: Bytes::new(),
            sent: ends,
            counted: Some(counted),
            reused,
            tunnel,
        }
    }

    /// Sends the request as far as it goes, until the response's head is there.
    pub(super) fn poll_head(
        &mut self,
        interim: Option<&dyn Interim>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http1::ResponseHead, StreamError>> {
        if let Err(error) = self.drive(cx) {
            return Poll::Ready(Err(StreamError {
                failure: Failure::RequestBody(error),
                unseen: false,
                connection_over: false,
                started: true,
                by_tls: false,
                detail: String::new(),
            }));
        }
        let Some(receive) = &mut self.receive else { return Poll::Pending };
        while let Some(head) = receive.take_interim() {
            if let Some(taker) = interim {
                taker.interim(ResponseHead::from_h1(head));
            }
        }
        receive.poll_head(cx).map_err(|error| StreamError::of(&error))
    }

    /// Sends what there is of the request. Errors of the stream come with the response.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        if self.sent || self.tunnel {
            return Ok(());
        }
        match self.poll_send(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.send = None;
                Ok(())
            }
            Poll::Ready(Err(error)) => {
                if let Some(mut send) = self.send.take() {
                    send.reset(Reason::CANCEL);
                }
                Err(error)
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        loop {
            let Some(send) = &mut self.send else { return Poll::Ready(Ok(())) };
            if !self.pending.is_empty() {
                // The end goes with the last bytes, where it is known: another frame costs as much.
                let last = self.request.is_end();
                let Ok(len) = ready!(send.poll_data(&mut self.pending, last, cx)) else {
                    return Poll::Ready(Ok(()));
                };
                self.request.release(len);
                if last && self.pending.is_empty() {
                    self.sent = true;
                    return Poll::Ready(Ok(()));
                }
                continue;
            }
            let over = match ready!(self.request.poll_frame(cx))? {
                Some(Frame::Data(data)) => {
                    self.pending = data;
                    continue;
                }
                Some(Frame::Trailers(trailers)) => send.trailers(&trailers),
                None => send.end(),
            };
            self.sent = over.is_ok();
            return Poll::Ready(Ok(()));
        }
    }

    /// To try again with. The stream is reset.
    pub(super) fn into_request_body(self) -> B {
        self.request
    }

    /// The head is there; the body is to come.
    pub(super) fn respond(
        mut self,
        head: http1::ResponseHead,
        conn: &Connection,
        request: &RequestHead,
    ) -> Box<Response<B>> {
        let head = ResponseHead::from_h1(head);
        let granted = self.tunnel && (200..300).contains(&head.status());
        let (facts, reused) = (conn.facts.clone(), self.reused);
        if granted {
            let body = ResponseBody::new(BodyKind::None, Inside::H2(self));
            let head = if request.is_connect() { head } else { switched(request, head) };
            return Box::new(Response { head, body, facts, reused });
        }
        self.refuse_tunnel();
        let is_head = request.method() == b"HEAD";
        let over = self.is_end();
        let kind = match head.content_length() {
            _ if over || is_head => BodyKind::None,
            Some(length) => BodyKind::Length(length),
            None => BodyKind::Chunked,
        };
        if over {
            self.finish();
        }
        stdx::boxed(|| Response { head, body: ResponseBody::new(kind, Inside::H2(self)), facts, reused })
    }

    /// The endpoint answers an upgrade or CONNECT like any request: there is nothing more to send.
    fn refuse_tunnel(&mut self) {
        if std::mem::take(&mut self.tunnel) {
            self.sent = self.send.take().is_none_or(|mut send| send.end().is_ok());
        }
    }

    /// After an upgrade or CONNECT that was granted: the stream's bytes.
    pub(crate) fn into_tunnel(self) -> Option<H2Tunnel> {
        let mut tunnel = H2Tunnel::new(self.receive?, self.send?);
        tunnel.attach(self.counted);
        Some(tunnel)
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        if self.drive(cx).is_err() {
            self.finish();
            return Poll::Ready(Err(BodyError::Stopped("the request's body failed")));
        }
        let Some(receive) = &mut self.receive else { return Poll::Ready(Ok(None)) };
        let frame = ready!(receive.poll_frame(cx));
        if !matches!(frame, Ok(Some(Frame::Data(_)))) {
            self.finish();
        }
        Poll::Ready(frame.map_err(BodyError::from))
    }

    /// The taker has the bytes: the endpoint may send as many more.
    pub(crate) fn release(&mut self, bytes: usize) {
        if let Some(receive) = &mut self.receive {
            receive.release(bytes);
        }
    }

    /// The response is over. What is left of the request has no taker: dropping the stream's
    /// handles resets it.
    fn finish(&mut self) {
        self.gauge = None;
        self.receive = None;
        self.send = None;
        self.counted = None;
    }

    /// All of the response's body was given out, and no trailers follow.
    pub(crate) fn is_end(&self) -> bool {
        self.receive.as_ref().is_none_or(Receive::is_end)
    }

    pub(crate) fn request_done(&self) -> bool {
        self.sent
    }
}
