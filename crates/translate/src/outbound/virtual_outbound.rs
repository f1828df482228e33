//! The listener that captured connections arrive at first. It hands them to the listener of their
//! original destination and keeps what nobody serves.

use std::net::{IpAddr, SocketAddr};

use ir::filter::Reporter;
use ir::{Address, Direction, Listener};
use model::DataPlane;

use crate::chains;
use crate::names;
use crate::settings::Settings;

pub fn build(wildcard: IpAddr, settings: &Settings, data_plane: DataPlane) -> Listener {
    let port = settings.outbound_port;
    let stats = chains::tcp_stats(data_plane, Reporter::Source);
    Listener {
        name: names::VIRTUAL_OUTBOUND.into(),
        address: Address::Socket(SocketAddr::new(wildcard, port)),
        bind_to_port: true,
        use_original_dst: true,
        direction: Direction::Outbound,
        listener_filters: Vec::new(),
        listener_filters_timeout: None,
        continue_on_listener_filters_timeout: false,
        filter_chains: vec![
            chains::blackhole(names::VIRTUAL_OUTBOUND_BLACKHOLE, port, settings, stats),
            chains::unclaimed(names::VIRTUAL_OUTBOUND_CATCH_ALL, settings, data_plane),
        ],
        default_filter_chain: None,
        access_log: settings.listener_access_log(),
        origin: None,
    }
}
