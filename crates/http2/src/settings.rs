//! What either side allows (RFC 9113, section 6.5; RFC 8441, section 3).

use crate::error::{Fault, Reason, broken};
use crate::frame::MAX_FRAME;

mod id {
    pub(super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(super) const ENABLE_PUSH: u16 = 2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(super) const MAX_FRAME_SIZE: u16 = 5;
    pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 8;
}

/// What windows begin with (section 6.9.2), and the most they may have.
pub(crate) const FIRST_WINDOW: u32 = 65_535;
pub(crate) const MAX_WINDOW: u32 = (1 << 31) - 1;
/// What the protocol begins with (section 6.5.2).
pub(crate) const FIRST_TABLE: u32 = 4096;
/// Nobody has more of them at a time.
const NO_LIMIT: usize = 1 << 30;

/// What we allow and want.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// What a peer may send ahead of the taker of one stream, in bytes.
    pub stream_window: u32,
    /// What it may send ahead on all streams together. Below 65,535 it is that.
    pub connection_window: u32,
    /// Streams that it may open at a time. Of a server.
    pub max_streams: u32,
    /// Streams that we open before its settings are here. Of a client.
    pub first_max_streams: usize,
    /// Of a head, as section 6.5.2 counts it, in bytes.
    pub max_head: usize,
    /// Of the table that its heads are compressed with, and at most of the one for ours, in bytes. 0: what
    /// has been sent before is sent again (Envoy's `hpack_table_size`).
    pub table_size: Option<u32>,
    /// Extended CONNECT is allowed (RFC 8441). Of a server.
    pub extended_connect: bool,
}

impl Default for Config {
    /// 256 KiB for a stream, 1 MiB for all, 100 streams, heads of 60 KiB.
    fn default() -> Self {
        Config {
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            max_streams: 100,
            first_max_streams: 100,
            max_head: 60 * 1024,
            table_size: None,
            extended_connect: false,
        }
    }
}

impl Config {
    pub(crate) fn table(&self) -> u32 {
        self.table_size.unwrap_or(FIRST_TABLE)
    }

    pub(crate) fn connection_window(&self) -> u32 {
        self.connection_window.clamp(FIRST_WINDOW, MAX_WINDOW)
    }

    pub(crate) fn stream_window(&self) -> u32 {
        self.stream_window.min(MAX_WINDOW)
    }

    /// As the first frame says it.
    pub(crate) fn announced(&self, server: bool) -> Vec<(u16, u32)> {
        let mut values = Vec::with_capacity(6);
        if let Some(size) = self.table_size {
            values.push((id::HEADER_TABLE_SIZE, size));
        }
        if server {
            values.push((id::MAX_CONCURRENT_STREAMS, self.max_streams));
        } else {
            values.push((id::ENABLE_PUSH, 0));
        }
        values.push((id::INITIAL_WINDOW_SIZE, self.stream_window()));
        values.push((id::MAX_HEADER_LIST_SIZE, u32::try_from(self.max_head).unwrap_or(u32::MAX)));
        if server && self.extended_connect {
            values.push((id::ENABLE_CONNECT_PROTOCOL, 1));
        }
        values
    }
}

/// What the peer allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer {
    /// Its first settings are here.
    pub(crate) known: bool,
    pub(crate) table_size: u32,
    pub(crate) max_streams: usize,
    pub(crate) stream_window: u32,
    pub(crate) max_frame: usize,
    pub(crate) extended_connect: bool,
}

impl Peer {
    pub(crate) fn new(max_streams: usize) -> Self {
        Peer {
            known: false,
            table_size: FIRST_TABLE,
            max_streams,
            stream_window: FIRST_WINDOW,
            max_frame: MAX_FRAME,
            extended_connect: false,
        }
    }

    /// Reads a frame. The first one that names no limit of streams lifts the one that we began with.
    pub(crate) fn apply(&mut self, payload: &[u8], from_server: bool) -> Result<(), Fault> {
        let (values, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return broken(Reason::FRAME_SIZE_ERROR, "SETTINGS of an odd length");
        }
        if !std::mem::replace(&mut self.known, true) {
            self.max_streams = NO_LIMIT;
        }
        for [i1, i2, v1, v2, v3, v4] in values {
            let value = u32::from_be_bytes([*v1, *v2, *v3, *v4]);
            match u16::from_be_bytes([*i1, *i2]) {
                id::HEADER_TABLE_SIZE => self.table_size = value,
                id::ENABLE_PUSH if value > 1 || (from_server && value != 0) => {
                    return broken(Reason::PROTOCOL_ERROR, "SETTINGS_ENABLE_PUSH");
                }
                id::MAX_CONCURRENT_STREAMS => self.max_streams = (value as usize).min(NO_LIMIT),
                id::INITIAL_WINDOW_SIZE if value > MAX_WINDOW => {
                    return broken(Reason::FLOW_CONTROL_ERROR, "SETTINGS_INITIAL_WINDOW_SIZE");
                }
                id::INITIAL_WINDOW_SIZE => self.stream_window = value,
                id::MAX_FRAME_SIZE if !(MAX_FRAME..1 << 24).contains(&(value as usize)) => {
                    return broken(Reason::PROTOCOL_ERROR, "SETTINGS_MAX_FRAME_SIZE");
                }
                id::MAX_FRAME_SIZE => self.max_frame = value as usize,
                id::ENABLE_CONNECT_PROTOCOL if value > 1 || (self.extended_connect && value == 0) => {
                    return broken(Reason::PROTOCOL_ERROR, "SETTINGS_ENABLE_CONNECT_PROTOCOL");
                }
                id::ENABLE_CONNECT_PROTOCOL => self.extended_connect = value == 1,
                // MAX_HEADER_LIST_SIZE is advice, and unknown ones are to be ignored.
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(values: &[(u16, u32)]) -> Vec<u8> {
        let mut out = bytes::BytesMut::new();
        crate::frame::settings(values, &mut out);
        out[crate::frame::HEAD..].to_vec()
    }

    #[test]
    fn takes_what_is_allowed() {
        let mut peer = Peer::new(100);
        peer.apply(&payload(&Config::default().announced(true)), true).unwrap();
        assert_eq!((peer.max_streams, peer.stream_window), (100, 256 * 1024));
        peer.apply(&payload(&[(0xabcd, 7), (5, 1 << 20), (8, 1)]), true).unwrap();
        assert_eq!((peer.max_frame, peer.extended_connect), (1 << 20, true));
        let mut silent = Peer::new(100);
        silent.apply(&[], false).unwrap();
        assert_eq!(silent.max_streams, NO_LIMIT);
    }

    #[test]
    fn refuses_what_is_not() {
        for (value, reason) in [
            ((2, 2), Reason::PROTOCOL_ERROR),
            ((4, 1 << 31), Reason::FLOW_CONTROL_ERROR),
            ((5, 16_383), Reason::PROTOCOL_ERROR),
            ((5, 1 << 24), Reason::PROTOCOL_ERROR),
            ((8, 2), Reason::PROTOCOL_ERROR),
        ] {
            let fault = Peer::new(1).apply(&payload(&[value]), false).unwrap_err();
            assert!(matches!(fault, Fault::Connection(told, _) if told == reason), "{value:?}: {fault:?}");
        }
        assert!(Peer::new(1).apply(&payload(&[(2, 1)]), true).is_err());
        assert!(Peer::new(1).apply(&[0; 5], true).is_err());
    }
}
