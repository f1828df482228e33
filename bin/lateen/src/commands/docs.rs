//! `lateen docs CODE`: the page about a code of a finding, without a network.

use std::io::Write;
use std::process::ExitCode;

use analysis::catalogue;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code, as in IST0109; without one, all codes are listed
    code: Option<String>,
}

/// Prints the page, or the list. An unknown code is wrong usage.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match text(args.code.as_deref()) {
        Ok(text) => {
            std::io::stdout().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Err(problem) => {
            eprintln!("lateen docs: {problem}");
            Ok(ExitCode::from(64))
        }
    }
}

fn text(code: Option<&str>) -> Result<String, String> {
    let Some(code) = code else {
        return Ok(catalogue::all().map(|e| format!("{}  {:<8} {}\n", e.code, e.level, e.name)).collect());
    };
    catalogue::find(code)
        .map(catalogue::page)
        .ok_or_else(|| format!("there is no code {code}; `lateen docs` lists all"))
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn pages_are_found_in_any_case_and_the_list_has_all() {
        assert!(text(Some("ist0109")).is_ok_and(|page| page.starts_with("# IST0109 Conflicting")));
        assert!(text(Some("IST9999")).is_err_and(|problem| problem.contains("IST9999")));
        assert!(text(None).is_ok_and(|list| list.contains("IST0001") && list.contains("LTN0001")));
    }
}
