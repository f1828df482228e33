//! Medians and ratios for people.

use comfy_table::{CellAlignment, Table, presets};

use crate::metric::{Metric, Samples};
use crate::peers::Peer;

/// What is shown side by side, and of what the ratio of ours to a peer's is shown beside it.
const GROUPS: &[(&[Metric], &[Metric])] = &[
    (
        &[
            Metric::CpuPerRequest,
            Metric::UserPerRequest,
            Metric::SystemPerRequest,
            Metric::RequestsPerSecond,
            Metric::Errors,
            Metric::Resident,
            Metric::Anonymous,
            Metric::Ready,
            Metric::Change,
            Metric::SlowestChange,
            Metric::PerConnection,
            Metric::PerTlsConnection,
            Metric::PerHttp2Connection,
            Metric::BeforeBurst,
            Metric::DuringBurst,
            Metric::AfterBurst,
            Metric::LeftOver,
        ],
        &[Metric::CpuPerRequest],
    ),
    (
        &[Metric::P50, Metric::P99, Metric::P999, Metric::AddedP50, Metric::AddedP99],
        &[Metric::AddedP50, Metric::AddedP99],
    ),
];

/// The tables of one scenario: a row for each peer.
pub fn tables(samples: &Samples) -> String {
    let measured = samples.metrics();
    let mut text = String::new();
    for (metrics, ratios) in GROUPS {
        let there = |all: &[Metric]| -> Vec<Metric> {
            all.iter().filter(|metric| measured.contains(metric)).copied().collect()
        };
        let metrics = there(metrics);
        if metrics.iter().any(|metric| *metric != Metric::Errors) {
            text.push_str(&table(samples, &metrics, &there(ratios)).to_string());
            text.push_str("\n\n");
        }
    }
    text
}

fn table(samples: &Samples, metrics: &[Metric], ratios: &[Metric]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let mut header = vec!["peer".to_owned()];
    header.extend(metrics.iter().map(|metric| metric.title().to_owned()));
    header.extend(ratios.iter().map(|metric| format!("Lateen to it: {}", metric.title())));
    table.set_header(header);
    for peer in samples.peers() {
        let mut row = vec![peer.name().to_owned()];
        let dash = || "–".to_owned();
        row.extend(metrics.iter().map(|m| samples.value(peer, *m).map_or_else(dash, |value| m.show(value))));
        row.extend(ratios.iter().map(|m| match samples.ratio(*m, peer) {
            Some(ratio) if peer != Peer::Lateen => format!("{ratio:.2}x"),
            _ => String::new(),
        }));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
