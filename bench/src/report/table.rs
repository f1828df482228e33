//! Medians and ratios for people.

use comfy_table::{CellAlignment, Table, presets};

use crate::metric::{Metric, Samples};
use crate::peers::Peer;

/// One scenario: a row for each peer. The last column is ours divided by theirs.
pub fn table(samples: &Samples) -> Table {
    let metrics = samples.metrics();
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let titles = metrics.iter().map(|metric| metric.title().to_owned());
    table.set_header(
        [String::from("peer")].into_iter().chain(titles).chain([String::from("Lateen CPU to it")]),
    );
    for peer in samples.peers() {
        let show = |metric: &Metric| {
            samples.value(peer, *metric).map_or_else(|| "–".to_owned(), |value| metric.show(value))
        };
        let ratio = match samples.ratio(Metric::CpuPerRequest, peer) {
            Some(ratio) if peer != Peer::Lateen => format!("{ratio:.2}x"),
            _ => String::new(),
        };
        table.add_row([peer.name().to_owned()].into_iter().chain(metrics.iter().map(show)).chain([ratio]));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
