//! `lateen validate` and `lateen manifest` as processes.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const GOOD: &str =
    "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec: {host: reviews}\n";
const WARNED: &str =
    "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a}\nspec: {selector: {}}\n";
const BAD: &str = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: b}\nspec:\n  host: '*.*'\n  \
                   subset: []\n";

fn lateen(args: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lateen"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    for (name, text) in
        [("good.yaml", GOOD), ("inner/bad.yml", BAD), ("inner/warned.json", WARNED), ("x.txt", "[")]
    {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

#[test]
fn the_exit_status_says_whether_there_is_an_error_in_every_format() {
    let folder = folder();
    let file = |name| path(folder.path(), name);
    for format in ["text", "json", "yaml"] {
        for (files, expected) in [
            (vec![file("good.yaml")], 0),
            (vec![file("inner/warned.json")], 0),
            (vec![file("inner/bad.yml")], 1),
            (vec![file("good.yaml"), file("inner")], 1),
            (vec![file("good.yaml"), file("missing.yaml")], 1),
        ] {
            let mut args = vec!["validate", "-o", format, "-f"];
            args.extend(files.iter().map(String::as_str));
            let output = lateen(&args, "");
            assert_eq!(output.status.code(), Some(expected), "{args:?} {output:?}");
        }
    }
    assert_eq!(lateen(&["validate"], "").status.code(), Some(64));
}

#[test]
fn all_problems_of_all_files_are_shown_with_their_lines() {
    let folder = folder();
    let output = lateen(&["validate", "-f", &path(folder.path(), "")], "");
    let text = stdout(&output);
    let bad = path(folder.path(), "inner/bad.yml");
    let lines = [
        "error[IST0106]: spec.host: \"*.*\" is no host name: \"*\" is no label".to_owned(),
        format!("  --> {bad}:5:9 (DestinationRule default/b)"),
        " 5 |   host: '*.*'".to_owned(),
        "   |         ^^^^^".to_owned(),
        "error[LTN0003]: spec.subset: unknown field \"subset\"; did you mean subsets?".to_owned(),
        " 6 |   subset: []".to_owned(),
        "   |   ^^^^^^".to_owned(),
        "3 files: 2 errors, 1 warning".to_owned(),
    ];
    for line in lines {
        assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
    }
    assert!(text.contains("warning[IST0133]: spec.selector: "), "{text}");
    assert!(!text.contains('\u{1b}'), "no color in a pipe");
}

#[test]
fn the_standard_input_is_a_file_too_and_programs_get_lists() {
    let output = lateen(&["validate", "-f", "-", "-o", "json"], BAD);
    let findings: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let first = &findings[0];
    assert_eq!(
        (&first["code"], &first["level"], &first["origin"], &first["field"], &first["reference"]),
        (
            &"IST0106".into(),
            &"Error".into(),
            &"DestinationRule default/b".into(),
            &"spec.host".into(),
            &"-:5:9".into()
        )
    );
    let output = lateen(&["validate", "-f", "-", "-o", "yaml"], BAD);
    assert!(
        stdout(&output).starts_with("- code: \"IST0106\"\n  column: 9\n  field: \"spec.host\"\n"),
        "{}",
        stdout(&output)
    );
    assert_eq!(stdout(&lateen(&["validate", "-f", "-", "-o", "json"], GOOD)), "[]\n");
}

#[test]
fn what_is_no_text_is_said_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.yaml");
    std::fs::write(&file, b"a: 1\nb: \xff\n").unwrap();
    let output = lateen(&["validate", "-f", &file.display().to_string()], "");
    assert!(stdout(&output).contains("error[LTN0001]: is no text in UTF-8"), "{}", stdout(&output));
    assert!(stdout(&output).contains("a.yaml:2:4"), "{}", stdout(&output));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_definitions_are_printed_and_are_yaml() {
    let output = lateen(&["manifest", "generate"], "");
    let text = stdout(&output);
    assert_eq!(text.matches("\nkind: CustomResourceDefinition\n").count(), 15);
    for part in
        ["name: virtualservices.networking.istio.io", "x-kubernetes-validations:", "shortNames:\n    - vs"]
    {
        assert!(text.contains(part), "{part}");
    }
    assert!(istio_api::value::Free::parse(&text).is_ok_and(|documents| documents.len() == 15));
}
