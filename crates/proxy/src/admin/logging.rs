//! `/logging`: levels of the log.

use std::fmt::Write;

use ::http::StatusCode;

use super::{Answer, Query, text};

/// Envoy's names of levels; ours have no `critical`.
const LEVELS: &str = "trace debug info warning error critical off";

const USAGE: &str = "
usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
usage: /logging?group=<group_name>:<level> (change group of loggers)
";

pub fn answer(query: &Query) -> Answer {
    match change(query) {
        Ok(()) => text(StatusCode::OK, active()),
        Err(why) => {
            let body = format!("error: {why}\n{USAGE}levels: {LEVELS} \n{}", active());
            text(StatusCode::BAD_REQUEST, body)
        }
    }
}

fn active() -> String {
    let mut out = String::from("active loggers:\n");
    let mut traced = false;
    for (name, level) in observe::levels::current() {
        let _ = writeln!(out, "  {name}: {level}");
        traced |= level == observe::levels::Level::Trace;
    }
    if traced && tracing::level_filters::STATIC_MAX_LEVEL < tracing::level_filters::LevelFilter::TRACE {
        out.push_str("this build has no messages of level trace: it says what debug does\n");
    }
    out
}

fn change(query: &Query) -> Result<(), String> {
    let Some((name, value)) = query.first() else { return Ok(()) };
    let pairs: Vec<(&str, &str)> = match name {
        "level" => {
            return observe::levels::set_all(level(value)?);
        }
        "group" => vec![value.split_once(':').ok_or("empty logger group")?],
        "paths" => {
            let pairs = value
                .split(',')
                .map(|pair| pair.split_once(':').ok_or("empty logger name or empty logger level"));
            pairs.collect::<Result<_, _>>()?
        }
        name => vec![(name, value)],
    };
    let known = observe::levels::current();
    let mut levels = Vec::new();
    for (name, value) in pairs {
        let level = level(value)?;
        if !known.iter().any(|(logger, _)| *logger == name) {
            return Err("unknown logger name".to_owned());
        }
        levels.push((name, level));
    }
    observe::levels::set(&levels)
}

fn level(name: &str) -> Result<observe::levels::Level, String> {
    match name {
        // What is critical ends the process.
        "critical" => "error".parse(),
        name => name.parse(),
    }
    .map_err(|_| "unknown logger level".to_owned())
}
