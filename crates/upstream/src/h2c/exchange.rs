//! One request and its response on an HTTP/2 stream.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};

use super::connection::{Connection, Counted, Stream};
use super::error::StreamError;
use crate::head::{h2_trailers, switched, trailers_of_h2};
use crate::response::Inside;
use crate::tunnel::{H2Tunnel, poll_capacity};
use crate::{
    Body, BodyError, BodyKind, Facts, Failure, Frame, Outbox, RequestHead, Response, ResponseBody,
    ResponseHead,
};

/// A stream and the request's body as far as it has to be sent.
pub(crate) struct Exchange<B> {
    response: ResponseFuture,
    /// `None` once the request is sent, or has no taker any more.
    send: Option<SendStream<Bytes>>,
    request: B,
    /// Taken from the body, not yet from us.
    pending: Bytes,
    sent: bool,
    recv: Option<RecvStream>,
    data_ended: bool,
    outbox: Rc<Outbox>,
    counted: Option<Counted>,
    reused: bool,
    /// An upgrade was asked for: what goes out is not the request's body.
    upgrade: bool,
}

impl<B: Body> Exchange<B> {
    pub(super) fn new(stream: Stream, request: B, ends: bool, upgrade: bool) -> Self {
        let Stream { response, send, outbox, counted, reused } = stream;
        Exchange {
            response,
            send: (!ends).then_some(send),
            request,
            pending: Bytes::new(),
            sent: ends,
            recv: None,
            data_ended: false,
            outbox,
            counted: Some(counted),
            reused,
            upgrade,
        }
    }

    /// Sends the request as far as it goes, until the response's head is there.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<http::response::Parts, StreamError>> {
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
        let response =
            ready!(Pin::new(&mut self.response).poll(cx)).map_err(|error| StreamError::of(&error))?;
        let (parts, recv) = response.into_parts();
        self.recv = Some(recv);
        Poll::Ready(Ok(parts))
    }

    /// Sends what there is of the request. Errors of the stream come with the response.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        if self.sent || self.upgrade {
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
                    send.send_reset(Reason::CANCEL);
                }
                Err(error)
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        loop {
            let Some(send) = &mut self.send else { return Poll::Ready(Ok(())) };
            if !self.pending.is_empty() {
                ready!(self.outbox.poll_room(cx));
                let Some(Ok(room)) = ready!(poll_capacity(send, self.pending.len(), cx)) else {
                    return Poll::Ready(Ok(()));
                };
                let part = self.pending.split_to(room.min(self.pending.len()));
                let len = part.len();
                // The end goes with the last bytes, where it is known: another frame costs as much.
                let last = self.pending.is_empty() && self.request.is_end();
                if send.send_data(part, last).is_err() {
                    return Poll::Ready(Ok(()));
                }
                self.outbox.add(len);
                self.request.release(len);
                if last {
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
                Some(Frame::Trailers(trailers)) => send.send_trailers(h2_trailers(&trailers)),
                None => send.send_data(Bytes::new(), true),
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
        parts: http::response::Parts,
        conn: &Connection,
        request: &RequestHead,
    ) -> Response<B> {
        let granted = self.upgrade && parts.status.is_success();
        let head = ResponseHead::from_h2(parts);
        let facts = Facts { reused: self.reused, ..conn.facts.clone() };
        if granted {
            let body = ResponseBody::new(BodyKind::None, Inside::H2(self));
            return Response { head: switched(request, head), body, facts };
        }
        self.refuse_upgrade();
        let is_head = request.method() == b"HEAD";
        let over = self.recv.as_ref().is_none_or(RecvStream::is_end_stream);
        let kind = match head.content_length() {
            _ if over || is_head => BodyKind::None,
            Some(length) => BodyKind::Length(length),
            None => BodyKind::Chunked,
        };
        if over {
            self.finish();
        }
        Response { head, body: ResponseBody::new(kind, Inside::H2(self)), facts }
    }

    /// The endpoint answers an upgrade like any request: there is nothing more to send.
    fn refuse_upgrade(&mut self) {
        if std::mem::take(&mut self.upgrade) {
            self.sent = self.send.take().is_none_or(|mut send| send.send_data(Bytes::new(), true).is_ok());
        }
    }

    /// After an upgrade that was granted: the stream's bytes.
    pub(crate) fn into_tunnel(self) -> Option<H2Tunnel> {
        let mut tunnel = H2Tunnel::new(self.recv?, self.send?, self.outbox);
        tunnel.attach(self.counted);
        Some(tunnel)
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        if self.drive(cx).is_err() {
            self.finish();
            return Poll::Ready(Err(BodyError::Stopped("the request's body failed")));
        }
        let frame = ready!(self.poll_recv(cx));
        if !matches!(frame, Ok(Some(Frame::Data(_)))) {
            self.finish();
        }
        Poll::Ready(frame)
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        let Some(recv) = &mut self.recv else { return Poll::Ready(Ok(None)) };
        while !self.data_ended {
            match ready!(recv.poll_data(cx)) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => return Poll::Ready(Ok(Some(Frame::Data(data)))),
                Some(Err(error)) => return Poll::Ready(Err(body_error(&error))),
                None => self.data_ended = true,
            }
        }
        Poll::Ready(match ready!(recv.poll_trailers(cx)) {
            Ok(None) => Ok(None),
            Ok(Some(map)) => Ok(Some(Frame::Trailers(trailers_of_h2(&map)))),
            Err(error) => Err(body_error(&error)),
        })
    }

    /// The taker has the bytes: the endpoint may send as many more.
    pub(crate) fn release(&mut self, bytes: usize) {
        if let Some(recv) = &mut self.recv {
            // Fails only for more than was received; then the window is as large as it can be.
            let _ = recv.flow_control().release_capacity(bytes);
        }
    }

    /// The response is over. What is left of the request has no taker: dropping the stream's
    /// handles resets it.
    fn finish(&mut self) {
        self.recv = None;
        self.send = None;
        self.counted = None;
    }

    /// All of the response's body was given out, and no trailers follow.
    pub(crate) fn is_end(&self) -> bool {
        self.recv.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    pub(crate) fn request_done(&self) -> bool {
        self.sent
    }
}

fn body_error(error: &h2::Error) -> BodyError {
    match (error.get_io(), error.reason()) {
        (Some(io), _) => BodyError::Io(std::io::Error::new(io.kind(), io.to_string())),
        (None, Some(reason)) => BodyError::Reset(reason.into()),
        (None, None) => BodyError::Incomplete,
    }
}
