//! The picture: for each scenario a bar for each peer.

use std::fmt::Write as _;

use super::{Finding, Report};
use crate::metric::Metric;
use crate::peers::Peer;

const WIDTH: f64 = 860.0;
const LABEL: f64 = 110.0;
const VALUE: f64 = 150.0;
const BAR: f64 = 18.0;
const GAP: f64 = 4.0;
const TITLE: f64 = 40.0;

/// What a scenario is about, the first of these that it has.
const SHOWN: &[Metric] = &[Metric::CpuPerRequest, Metric::PerConnection, Metric::Resident];

/// Readable on white and on black: no background, and colours of middle lightness.
pub fn svg(report: &Report) -> String {
    let mut body = String::new();
    let mut y = 28.0;
    let subtitle = format!(
        "medians of {} interleaved rounds in one run; shorter is better; {}, Linux {}",
        report.effort.rounds, report.machine.cpu, report.machine.kernel
    );
    text(&mut body, 0.0, y, "title", "Lateen beside its peers");
    text(&mut body, 0.0, y + 18.0, "note", &subtitle);
    y += 24.0;
    for finding in &report.scenarios {
        y = group(&mut body, finding, y);
    }
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">
<style>
text {{ font: 13px system-ui, sans-serif; fill: #7a828e }}
.title {{ font-size: 18px; font-weight: 600 }}
.name {{ font-weight: 600 }}
.note {{ font-size: 11px }}
.ours {{ fill: #1f9e89 }}
.theirs {{ fill: #9aa3af }}
</style>
{body}</svg>
"##,
        height = y + 20.0
    )
}

/// Bars to one scale within a scenario, and none across: the units differ. Returns where it ends.
fn group(body: &mut String, finding: &Finding, top: f64) -> f64 {
    let samples = &finding.measured.samples;
    let Some(metric) = SHOWN.iter().find(|metric| samples.value(Peer::Lateen, **metric).is_some()) else {
        return top;
    };
    let rows: Vec<(Peer, f64)> =
        samples.peers().into_iter().filter_map(|peer| Some((peer, samples.value(peer, *metric)?))).collect();
    let longest = rows.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let mut y = top + TITLE;
    text(body, 0.0, y - 10.0, "name", &format!("{}, {}", finding.scenario.name, metric.title()));
    for (peer, value) in rows {
        let (class, width) = match peer {
            Peer::Lateen => ("ours", value),
            _ => ("theirs", value),
        };
        let width = (width / longest * (WIDTH - LABEL - VALUE)).max(1.0);
        let middle = y + BAR - 5.0;
        text(body, 0.0, middle, "peer", peer.name());
        let _ = writeln!(
            body,
            r#"<rect class="{class}" x="{LABEL}" y="{y:.1}" width="{width:.1}" height="{BAR}" rx="2"/>"#
        );
        let ratio = match samples.ratio(*metric, peer) {
            Some(ratio) if peer != Peer::Lateen => format!(" (Lateen {ratio:.2}x)"),
            _ => String::new(),
        };
        text(body, LABEL + width + 6.0, middle, "value", &format!("{}{ratio}", metric.show(value)));
        y += BAR + GAP;
    }
    y
}

/// Names and numbers only, but what comes from the machine is escaped all the same.
fn text(body: &mut String, x: f64, y: f64, class: &str, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(body, r#"<text class="{class}" x="{x:.1}" y="{y:.1}">{what}</text>"#);
}
