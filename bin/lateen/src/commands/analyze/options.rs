//! What the flags take.

use analysis::format::Format;
use analysis::{Analyzer, Suppression, analyzers};
use model::Level;

/// Flags about clusters: istioctl has them, and nothing here can honour them yet.
#[derive(Debug, Default, clap::Args)]
pub struct Live {
    /// Analyze a cluster together with the files; only =false is supported yet
    #[arg(short = 'k', long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    use_kube: Option<bool>,
    /// Refused: needs a cluster
    #[arg(short, long, value_name = "NAME", hide = true)]
    revision: Option<String>,
    /// Refused: needs clusters; see --cluster
    #[arg(long, value_name = "NAME", hide = true)]
    remote_contexts: Vec<String>,
    /// Refused: needs a cluster
    #[arg(short = 'c', long, value_name = "FILE", hide = true)]
    kubeconfig: Option<String>,
    /// Refused: needs a cluster
    #[arg(long, value_name = "NAME", hide = true)]
    context: Option<String>,
}

impl Live {
    /// Why this cannot be done.
    pub fn problem(&self) -> Option<String> {
        let flag = match self {
            Live { use_kube: Some(true), .. } => "--use-kube",
            Live { revision: Some(_), .. } => "--revision",
            Live { kubeconfig: Some(_), .. } => "--kubeconfig",
            Live { context: Some(_), .. } => "--context",
            Live { remote_contexts, .. } if !remote_contexts.is_empty() => "--remote-contexts",
            _ => return None,
        };
        Some(format!("{flag}: clusters are not supported yet; name files, and use --use-kube=false"))
    }
}

pub fn format(text: &str) -> Result<Format, String> {
    let names: Vec<&str> = Format::ALL.iter().map(|(name, _)| *name).collect();
    Format::parse(text).ok_or_else(|| format!("must be one of {}", names.join(", ")))
}

pub fn level(text: &str) -> Result<Level, String> {
    let levels = [Level::Error, Level::Warning, Level::Info];
    let found = levels.into_iter().find(|level| level.to_string().eq_ignore_ascii_case(text));
    found.ok_or_else(|| "must be Info, Warning or Error".to_owned())
}

pub fn suppression(text: &str) -> Result<Suppression, String> {
    Suppression::parse(text).ok_or_else(|| "must be CODE=KIND NAMESPACE/NAME".to_owned())
}

/// An analyzer by its name. Istio has one for the schema of each kind; ours is for all.
pub fn analyzer(text: &str) -> Result<&'static Analyzer, String> {
    let schema = || {
        text.starts_with("schema.ValidationAnalyzer.").then(|| analyzers::find("schema.ValidationAnalyzer"))
    };
    analyzers::find(text).or_else(|| schema()?).ok_or_else(|| "no such analyzer; -L lists them".to_owned())
}

pub fn cluster(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok((name.into(), path.into())),
        _ => Err("must be NAME=PATH".to_owned()),
    }
}
