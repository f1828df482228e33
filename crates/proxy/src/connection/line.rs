//! The line that a connection has in its listener's logs, whatever it carries.

use std::rc::Rc;
use std::sync::Arc;

use net::{Io, Meter};

use super::ConnInfo;
use crate::access_log::{Flag, Record};
use crate::config::snapshot::Listener;
use crate::http::HttpConnection;
use crate::worker::Worker;

/// Of a connection that carries requests. Dropping it writes the line.
pub struct Line {
    worker: Rc<Worker>,
    listener: Arc<Listener>,
    info: Rc<ConnInfo>,
    record: Record,
    meter: Arc<Meter>,
    http: Option<Rc<HttpConnection>>,
}

impl Line {
    /// Begins to count.
    pub fn open(
        worker: &Rc<Worker>,
        listener: Arc<Listener>,
        info: &Rc<ConnInfo>,
        record: Record,
        io: Io,
    ) -> (Self, Io) {
        let (io, meter) = io.metered();
        let (worker, info) = (worker.clone(), info.clone());
        (Line { worker, listener, info, record, meter, http: None }, io)
    }

    /// Whose connection it is.
    pub fn set_http(&mut self, conn: &Rc<HttpConnection>) {
        self.http = Some(conn.clone());
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let record = &mut self.record;
        (record.bytes_received, record.bytes_sent) = (self.meter.received(), self.meter.sent());
        if let Some(http) = &self.http {
            record.protocol = http.spoken();
            if http.malformed.get() {
                record.flag(Flag::DPE);
            }
        }
        super::log(&self.worker, &self.listener.access_log, record, &self.info);
    }
}
