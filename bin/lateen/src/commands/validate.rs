//! `lateen validate`: what is wrong with files, by schema and by Istio's rules, all at once.

pub mod input;
mod structured;
mod text;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use istio_api::validate_bytes;
use model::{Finding, Level};

/// Exit status: 0 if there is no error (warnings do not count), 1 if there is one or a file cannot
/// be read, 64 for wrong usage, as istioctl has them. It is the same for every output format.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files to validate; folders are searched for .yaml, .yml and .json, and - is the standard input
    #[arg(long = "filename", short = 'f', value_name = "FILE", required = true, num_args = 1.., value_delimiter = ',')]
    files: Vec<PathBuf>,
    /// The form of the output
    #[arg(long, short, value_enum, default_value_t = Format::Text)]
    output: Format,
    /// Also show what is only for information
    #[arg(long)]
    info: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For people, with the line that each finding is about; in color on a terminal, unless
    /// NO_COLOR is set
    Text,
    Json,
    Yaml,
}

/// A file and what was found in it.
struct Judged {
    /// As it is shown.
    name: String,
    content: Vec<u8>,
    findings: Vec<Finding>,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (files, problems) = input::read(&args.files);
    let shown = |finding: &Finding| args.info || finding.level != Level::Info;
    let judged: Vec<Judged> = files
        .into_iter()
        .map(|(name, content)| {
            let mut findings = validate_bytes(&name, &content).findings;
            findings.retain(shown);
            findings.sort_by(|a, b| (&a.place, a).cmp(&(&b.place, b)));
            Judged { name, content, findings }
        })
        .collect();
    let out = match args.output {
        Format::Text => text::render(&judged, text::Paint::for_stdout()),
        Format::Json => structured::json(&judged)?,
        Format::Yaml => structured::yaml(&judged)?,
    };
    // Whoever reads may have had enough; the exit status says it all the same.
    let _ = std::io::stdout().write_all(out.as_bytes());
    problems.iter().for_each(|problem| eprintln!("lateen: {problem}"));
    let findings = judged.iter().flat_map(|file| &file.findings);
    let good = problems.is_empty() && !findings.into_iter().any(|finding| finding.level == Level::Error);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
