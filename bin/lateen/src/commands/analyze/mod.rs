//! `lateen analyze`: everything that can be known about configuration before it takes effect, from
//! files alone. Flags, findings and exit status are istioctl's; the exit status is the same for
//! every output format.

mod input;
mod mend;
mod options;
#[cfg(test)]
mod tests;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use analysis::format::{Format, Input, Style, render};
use analysis::{Analyzer, File, Finding, Settings, Snapshot, Suppression, analyzers, catalogue};
use model::Level;

use input::Source;

/// Analyze Istio configuration and print what is wrong with it
///
/// Exit status: 0 nothing at or above the failure threshold, 64 wrong usage, 65 input that cannot
/// be read, 79 findings at or above the failure threshold, 1 anything else.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files, folders, or - for standard input
    #[arg(value_name = "PATH")]
    paths: Vec<String>,
    /// List the analyzers, and do nothing else
    #[arg(short = 'L', long)]
    list_analyzers: bool,
    /// Show findings of every namespace, not of one only
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// The namespace to show, which is also where objects live that name none
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// MeshConfig to analyze with, over the defaults
    #[arg(long = "meshConfigFile", alias = "mesh-config-file", value_name = "FILE")]
    mesh_config_file: Option<String>,
    /// MeshNetworks to analyze with
    #[arg(long = "meshNetworksFile", alias = "mesh-networks-file", value_name = "FILE")]
    mesh_networks_file: Option<String>,
    /// A file or folder with the objects of one of several clusters; can be repeated
    #[arg(long, value_name = "NAME=PATH", value_parser = options::cluster)]
    cluster: Vec<(String, String)>,
    /// Do not report a code for an object, as in "IST0103=Pod *.testing"; can be repeated
    #[arg(short = 'S', long, value_name = "CODE=OBJECT", value_parser = options::suppression)]
    suppress: Vec<Suppression>,
    /// Run this analyzer only; can be repeated
    #[arg(long, value_name = "NAME", value_parser = options::analyzer)]
    analyzer: Vec<&'static Analyzer>,
    /// The level from which on findings make the exit status 79
    #[arg(long, value_name = "LEVEL", default_value = "Error", value_parser = options::level)]
    failure_threshold: Level,
    /// The level from which on findings are printed
    #[arg(long, value_name = "LEVEL", default_value = "Info", value_parser = options::level)]
    output_threshold: Level,
    /// log, json, yaml, sarif, junit or github
    #[arg(short, long, value_name = "FORMAT", default_value = "log", value_parser = options::format)]
    output: Format,
    /// Do not complain about documents that cannot be read
    #[arg(long)]
    ignore_unknown: bool,
    /// Show the mends that are certain as a diff, then ask whether to apply them
    #[arg(long)]
    fix: bool,
    /// With --fix, apply without asking
    #[arg(short, long, requires = "fix")]
    yes: bool,
    /// Print place, reason and mend beneath each finding; by default on a terminal
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    explain: Option<bool>,
    /// Color levels; by default on a terminal
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    color: Option<bool>,
    /// Say which analyzers run
    #[arg(short, long)]
    verbose: bool,
    /// How long the analysis may take
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = stdx::duration::parse)]
    timeout: Duration,
    /// As with istioctl, folders are always read with their subfolders
    #[arg(short = 'R', long)]
    recursive: bool,
    #[command(flatten)]
    live: options::Live,
}

/// istioctl's exit statuses.
const USAGE: u8 = 64;
const UNREADABLE: u8 = 65;
const FOUND: u8 = 79;

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let is_terminal = std::io::stdout().is_terminal();
    let color = is_terminal
        && std::env::var_os("NO_COLOR").is_none()
        && std::env::var("TERM").as_deref() != Ok("dumb");
    let style = Style { color: args.color.unwrap_or(color), explain: args.explain.unwrap_or(is_terminal) };
    let mut console = Console { out: &mut std::io::stdout(), err: &mut std::io::stderr() };
    Ok(ExitCode::from(execute(&args, style, &mut console)?))
}

/// Where to print to.
struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

/// Does what was asked, and says the exit status.
fn execute(args: &Args, style: Style, console: &mut Console<'_>) -> anyhow::Result<u8> {
    if args.list_analyzers {
        console.out.write_all(list().as_bytes())?;
        return Ok(0);
    }
    if let Some(problem) = args.live.problem() {
        writeln!(console.err, "lateen analyze: {problem}")?;
        return Ok(USAGE);
    }
    if args.paths.is_empty() && args.cluster.is_empty() {
        writeln!(
            console.err,
            "lateen analyze: name files or folders to analyze; clusters are not supported yet"
        )?;
        return Ok(USAGE);
    }
    let (sources, settings) = match input::read(args, console.err) {
        Ok(read) => read,
        Err(problem) => {
            writeln!(console.err, "lateen analyze: {problem}")?;
            return Ok(UNREADABLE);
        }
    };
    for suppression in args.suppress.iter().filter(|s| catalogue::find(&s.code).is_none()) {
        writeln!(
            console.err,
            "Warning: there is no code {}; suppressing it has no effect",
            suppression.code
        )?;
    }
    let Some(mut outcome) = analyze(args, &sources, &settings, console)? else { return Ok(1) };
    if args.fix && mend::offer(&sources, &outcome.findings, args.yes, args.output, console)? {
        let (sources, settings) = input::read(args, &mut std::io::sink()).map_err(anyhow::Error::msg)?;
        let Some(after) = analyze(args, &sources, &settings, console)? else { return Ok(1) };
        outcome = after;
    }
    report(args, style, &sources, &outcome, console)
}

/// What came of an analysis: findings to be shown or judged, and whether all could be read.
struct Outcome {
    findings: Vec<Finding>,
    unreadable: bool,
}

/// `None` after the time is over, which has been said then.
fn analyze(
    args: &Args,
    sources: &[Source],
    settings: &Settings,
    console: &mut Console<'_>,
) -> anyhow::Result<Option<Outcome>> {
    let analyzers: Vec<&'static Analyzer> = match args.analyzer.is_empty() {
        true => analyzers::by_default().collect(),
        false => args.analyzer.clone(),
    };
    if args.verbose {
        let names: Vec<&str> = analyzers.iter().map(|analyzer| analyzer.name).collect();
        writeln!(console.err, "Executed analyzers:\n\t{}", names.join("\n\t"))?;
    }
    let (sender, receiver) = mpsc::channel();
    let (sources, settings) = (sources.to_vec(), settings.clone());
    let reading = args.reading();
    // An analysis that takes too long is left behind; the process ends.
    std::thread::spawn(move || {
        let files: Vec<Arc<File>> = input::parse(&sources, &reading);
        let unreadable = files.iter().any(|file| file.unreadable);
        let findings = analysis::analyze(&Snapshot::new(files, settings), &analyzers);
        let _ = sender.send(Outcome { findings, unreadable });
    });
    let Ok(mut outcome) = receiver.recv_timeout(args.timeout) else {
        writeln!(console.err, "lateen analyze: not done within {:?}", args.timeout)?;
        return Ok(None);
    };
    outcome.findings.retain(|finding| !args.suppress.iter().any(|suppression| suppression.covers(finding)));
    if args.ignore_unknown {
        outcome.findings.retain(|finding| !is_about_reading(finding));
        outcome.unreadable = false;
    }
    Ok(Some(outcome))
}

fn report(
    args: &Args,
    style: Style,
    sources: &[Source],
    outcome: &Outcome,
    console: &mut Console<'_>,
) -> anyhow::Result<u8> {
    let is_shown = |f: &&Finding| args.all_namespaces || analysis::in_namespace(f, &args.namespace);
    let here: Vec<Finding> = outcome.findings.iter().filter(is_shown).cloned().collect();
    let shown: Vec<Finding> = here.iter().filter(|f| f.level <= args.output_threshold).cloned().collect();
    let files: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
    let input = Input {
        findings: &shown,
        files: &files,
        failure: args.failure_threshold,
        version: env!("CARGO_PKG_VERSION"),
        style,
    };
    console.out.write_all(render(args.output, &input).as_bytes())?;
    if shown.is_empty() {
        let what = if files.len() == 1 { files.concat() } else { format!("{} files", files.len()) };
        writeln!(console.err, "\u{2714} No validation issues found when analyzing {what}.")?;
    }
    let elsewhere = outcome.findings.len() - here.len();
    if elsewhere > 0 {
        let namespace = &args.namespace;
        writeln!(
            console.err,
            "{elsewhere} findings are in namespaces other than {namespace}; -A shows them."
        )?;
    }
    // What cannot be read has an exit status of its own.
    let failed = here.iter().any(|f| f.level <= args.failure_threshold && !is_about_reading(f));
    Ok(match (failed, outcome.unreadable) {
        (true, _) => FOUND,
        (false, true) => UNREADABLE,
        (false, false) => 0,
    })
}

fn is_about_reading(finding: &Finding) -> bool {
    use istio_api::codes::{LIMIT, OTHER_KIND, SYNTAX};
    matches!(finding.code, SYNTAX | LIMIT | OTHER_KIND)
}

/// The analyzers as istioctl lists them.
fn list() -> String {
    analyzers::all()
        .map(|a| format!("* {}:\n    {} ({})\n", a.name, a.description, a.codes.join(", ")))
        .collect()
}
