//! What pages there are, as `/help` lists them.

use std::fmt::Write;

/// One page.
pub struct Page {
    pub path: &'static str,
    /// It changes something, so it has to be asked for by POST.
    pub post: bool,
    pub help: &'static str,
    pub params: &'static [(&'static str, &'static str)],
}

const fn page(
    path: &'static str,
    help: &'static str,
    params: &'static [(&'static str, &'static str)],
) -> Page {
    Page { path, post: false, help, params }
}

const fn action(
    path: &'static str,
    help: &'static str,
    params: &'static [(&'static str, &'static str)],
) -> Page {
    Page { path, post: true, help, params }
}

const USED_ONLY: (&str, &str) = ("usedonly", "only numbers that something has happened to");
const FILTER: (&str, &str) = ("filter", "regular expression that a part of the name has to match");
const INVERT: (&str, &str) = ("invert_filter", "only what the filter does not match");

/// By path.
pub const PAGES: &[Page] = &[
    page("/", "this list, with links", &[]),
    page("/certs", "certificates and trust bundles in use, with their validity", &[]),
    page(
        "/clusters",
        "clusters with their endpoints, numbers and health",
        &[
            ("filter", "regular expression that a part of the cluster's name has to match"),
            ("format", "text, json"),
        ],
    ),
    page(
        "/config_dump",
        "the configuration in effect",
        &[
            ("resource", "only this repeated field of the sections"),
            ("mask", "only these fields, with dots between levels and commas between paths"),
            ("name_regex", "only resources whose name matches"),
            ("include_eds", "endpoints as well"),
        ],
    ),
    action(
        "/drain_listeners",
        "stop listening",
        &[
            ("graceful", "connections are told of the end first, for the drain time"),
            ("skip_exit", "tell connections of the end, and go on listening"),
            ("inboundonly", "only listeners of the inbound direction"),
        ],
    ),
    action("/healthcheck/fail", "health checks fail from here on, and connections are told to end", &[]),
    action("/healthcheck/ok", "health checks succeed again", &[]),
    page("/help", "this list", &[]),
    page("/hot_restart_version", "there is no hot restart", &[]),
    page("/listeners", "listeners with their addresses", &[("format", "text, json")]),
    action(
        "/logging",
        "show and change the levels of the log",
        &[
            ("level", "of everything: trace, debug, info, warning, error, critical, off"),
            ("paths", "of several: name1:level1,name2:level2"),
            ("<name>", "of one"),
        ],
    ),
    page("/memory", "what the process has allocated", &[]),
    action("/quitquitquit", "end the process", &[]),
    page("/ready", "the server's state: 200 if it is LIVE, else 503", &[]),
    action("/reopen_logs", "open the files of access logs anew", &[]),
    action("/reset_counters", "count from zero", &[]),
    page("/server_info", "version, state and command line", &[]),
    page(
        "/stats",
        "statistics",
        &[
            USED_ONLY,
            FILTER,
            INVERT,
            ("format", "text, json, prometheus"),
            ("type", "All, Counters, Gauges, Histograms, TextReadouts"),
            ("histogram_buckets", "summary, cumulative, disjoint, detailed"),
        ],
    ),
    page("/stats/prometheus", "statistics in Prometheus' text format", &[USED_ONLY, FILTER, INVERT]),
];

/// The page of a path.
pub fn find(path: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.path == path)
}

/// All pages, as `/help` shows them.
pub fn help() -> String {
    let mut out = String::from("admin commands are:\n");
    for page in PAGES {
        let post = if page.post { " (POST)" } else { "" };
        let _ = writeln!(out, "  {}{post}: {}", page.path, page.help);
        for (name, help) in page.params {
            let _ = writeln!(out, "      {name}: {help}");
        }
    }
    out
}

/// The start page.
pub fn index() -> String {
    let mut out = String::from(concat!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Lateen Admin</title></head>\n",
        "<body>\n<table>\n"
    ));
    for Page { path, post, help, .. } in PAGES {
        let entry = match post {
            false => format!("<a href=\"{path}\">{path}</a>"),
            true => format!("<form action=\"{path}\" method=\"post\"><button>{path}</button></form>"),
        };
        let _ = writeln!(out, "<tr><td>{entry}</td><td>{help}</td></tr>");
    }
    out + "</table>\n</body>\n</html>\n"
}
