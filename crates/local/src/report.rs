//! What people see: progress while the mesh starts, a table when it has, a line for each change.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::status::{PodStatus, Status};

/// Prints to standard output; progress goes to standard error if that is a terminal.
pub struct Reporter {
    progress: ProgressBar,
    is_terminal: bool,
    /// Whether the table has been printed.
    started: bool,
    last: String,
}

impl Reporter {
    pub fn new() -> Reporter {
        let is_terminal = std::io::stderr().is_terminal();
        let progress = ProgressBar::no_length();
        progress.set_draw_target(if is_terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let template = if colour() { "{spinner:.cyan} {msg}" } else { "{spinner} {msg}" };
        if let Ok(style) = ProgressStyle::with_template(template) {
            progress.set_style(style);
        }
        if is_terminal {
            progress.enable_steady_tick(Duration::from_millis(100));
        }
        Reporter { progress, is_terminal, started: false, last: String::new() }
    }

    /// What is being done now. Plain lines where there is no terminal.
    pub fn step(&mut self, text: String) {
        if self.started || self.last == text {
            return;
        }
        if self.is_terminal {
            self.progress.set_message(text.clone());
        } else {
            print_line(&text);
        }
        self.last = text;
    }

    /// Something happened.
    pub fn line(&self, text: &str) {
        self.progress.suspend(|| print_line(text));
    }

    /// The mesh is up: the table, and where to go.
    pub fn started(&mut self, status: &Status, logs: &std::path::Path) {
        self.started = true;
        self.progress.finish_and_clear();
        print_line(&table(&status.pods));
        print_line("");
        print_line(&format!("Gateway: {}", status.gateway_url));
        print_line(&format!("Logs:    {}", logs.display()));
        print_line("Ctrl-C ends the mesh.");
    }

    /// No more progress.
    pub fn ending(&mut self) {
        self.started = true;
        self.progress.finish_and_clear();
    }

    pub fn has_started(&self) -> bool {
        self.started
    }
}

/// A reader that has gone away is no reason to stop the mesh.
fn print_line(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The workloads.
pub fn table(pods: &[PodStatus]) -> String {
    let mut table = plain_table(&["NAME", "ADDRESS", "IDENTITY", "PROXY"]);
    for pod in pods {
        let proxy = match (pod.ready, pod.proxy.as_str()) {
            (false, "ready" | "none") => format!("{} ({})", pod.proxy, pod.waits_for),
            _ => pod.proxy.clone(),
        };
        let identity = if pod.identity.is_empty() { "-" } else { &pod.identity };
        table.add_row([&pod.name, &pod.address.to_string(), identity, &proxy]);
    }
    trimmed(&table)
}

/// As `lateen status` prints it: with memory.
pub fn status_table(status: &Status) -> String {
    let mut table =
        plain_table(&["NAME", "NAMESPACE", "ADDRESS", "READY", "PROXY", "PROXY MEMORY", "IDENTITY"]);
    for pod in &status.pods {
        let proxy = pod.containers.iter().find(|container| container.name == crate::render::PROXY);
        let identity = if pod.identity.is_empty() { "-" } else { &pod.identity };
        table.add_row([
            pod.name.as_str(),
            &pod.namespace,
            &pod.address.to_string(),
            if pod.ready { "yes" } else { "no" },
            &pod.proxy,
            &mebibytes(proxy.and_then(|proxy| proxy.resident)),
            identity,
        ]);
    }
    let control = &status.control;
    let state = if control.ready { "ready" } else { "not ready" };
    let memory = mebibytes(control.resident);
    let proxies =
        status.pods.iter().flat_map(|pod| &pod.containers).filter(|c| c.name == crate::render::PROXY);
    let most = proxies.filter_map(|proxy| proxy.resident).max();
    format!(
        "{}\n\nControl plane: {state}, resident memory {memory}\nLargest proxy: resident memory {}\nGateway: {}",
        trimmed(&table),
        mebibytes(most),
        status.gateway_url
    )
}

fn mebibytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)))
}

/// A table as kubectl prints one: columns and blanks, nothing else.
fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table
}

fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}
