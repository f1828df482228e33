//! Exit statuses and output, without a process of its own for each.

use clap::Parser;

use super::*;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

struct Done {
    status: u8,
    out: String,
    err: String,
}

/// Runs as if these were the words after `analyze`; wrong usage is 64, as `main` has it.
fn lateen(words: &[&str]) -> Done {
    let line = match Line::try_parse_from(std::iter::once("analyze").chain(words.iter().copied())) {
        Ok(line) => line,
        Err(error) => return Done { status: USAGE, out: String::new(), err: error.to_string() },
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console { out: &mut out, err: &mut err };
    let status = execute(&line.args, Style::default(), &mut console).expect("runs");
    Done { status, out: String::from_utf8(out).expect("text"), err: String::from_utf8(err).expect("text") }
}

const GOOD: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80, name: http}]}\n";
const INFO: &str =
    "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80, name: web}]}\n";
const ERROR: &str = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r}\n\
    spec: {hosts: [a], http: [{route: [{destination: {host: nobody}}]}]}\n";
const BROKEN: &str = "a: [\n";

fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("written");
    }
    let path = folder.path().to_string_lossy().into_owned();
    (folder, path)
}

#[test]
fn every_exit_status_is_the_same_in_every_format() {
    let files = [("good.yaml", GOOD), ("info.yaml", INFO), ("error.yaml", ERROR), ("broken.yaml", BROKEN)];
    let (inside, path) = folder(&files);
    std::fs::write(inside.path().join("binary.yaml"), [0xff, 0xfe]).expect("written");
    for (format, _) in Format::ALL {
        let run = |file: &str, more: &[&str]| {
            let file = format!("{path}/{file}.yaml");
            lateen(&[&["-o", format, &file], more].concat()).status
        };
        assert_eq!(run("good", &[]), 0, "{format}");
        assert_eq!(run("info", &[]), 0, "{format}");
        assert_eq!(run("info", &["--failure-threshold", "info"]), 79, "{format}");
        assert_eq!(run("error", &[]), 79, "{format}");
        assert_eq!(run("error", &["--use-kube=false"]), 79, "{format}");
        assert_eq!(run("broken", &[]), 65, "{format}");
        assert_eq!(run("broken", &["--ignore-unknown"]), 0, "{format}");
        assert_eq!(run("binary", &[]), 65, "{format}");
        assert_eq!(run("missing", &[]), 65, "{format}");
        assert_eq!(run("good", &["--use-kube"]), 64, "{format}");
        assert_eq!(run("good", &["--no-such-flag"]), 64, "{format}");
        let both = lateen(&["-o", format, &format!("{path}/error.yaml"), &format!("{path}/broken.yaml")]);
        assert_eq!(both.status, 79, "{format}");
    }
}

#[test]
fn usage_is_judged_before_anything_is_read() {
    for words in [
        &[][..],
        &["-o", "xml", "f"],
        &["--failure-threshold", "bad", "f"],
        &["-S", "IST0101", "f"],
        &["--analyzer", "nobody", "f"],
        &["--revision", "one", "f"],
        &["--remote-contexts", "one", "f"],
        &["--cluster", "one", "f"],
        &["--timeout", "soon", "f"],
        &["--yes", "f"],
    ] {
        assert_eq!(lateen(words).status, USAGE, "{words:?}");
    }
    assert!(lateen(&["--use-kube", "f"]).err.contains("--use-kube: clusters are not supported yet"));
}

#[test]
fn findings_of_one_namespace_are_shown() {
    let other = ERROR.replace("name: r", "name: r, namespace: shop");
    let (_folder, path) = folder(&[("f.yaml", &other)]);
    let done = lateen(&[&path]);
    assert_eq!((done.status, done.out.as_str()), (0, ""));
    assert!(done.err.contains("1 findings are in namespaces other than default"), "{}", done.err);
    assert_eq!(lateen(&["-n", "shop", &path]).status, 79);
    assert_eq!(lateen(&["-A", &path]).status, 79);
    // Objects without a namespace live in the one that was named.
    let (_folder, path) = folder(&[("f.yaml", ERROR)]);
    let line = lateen(&["-n", "shop", &path]).out;
    assert!(line.starts_with("Error [IST0101] (VirtualService shop/r "), "{line}");
    assert!(line.ends_with("/f.yaml:4) Referenced host not found: \"nobody\"\n"), "{line}");
    assert!(lateen(&["-A", &path]).out.contains("(VirtualService r "));
}

#[test]
fn findings_can_be_suppressed_and_chosen() {
    let (_folder, path) = folder(&[("f.yaml", ERROR), ("g.yaml", INFO)]);
    assert_eq!(lateen(&[&path]).out.lines().count(), 2);
    for object in ["VirtualService default/r", "VirtualService *.default", "*"] {
        let done = lateen(&["-S", &format!("IST0101={object}"), &path]);
        assert_eq!((done.status, done.out.lines().count()), (0, 1), "{object}");
    }
    assert!(lateen(&["-S", "IST9999=*", &path]).err.contains("no code IST9999"));
    let chosen = lateen(&["--analyzer", "service.PortNameAnalyzer", &path]);
    assert!(chosen.status == 0 && chosen.out.starts_with("Info [IST0118]"), "{}", chosen.out);
    let errors = lateen(&["--output-threshold", "Error", &path]);
    assert_eq!(errors.out.lines().count(), 1);
    let annotated =
        ERROR.replace("name: r", "name: r, annotations: {galley.istio.io/analyze-suppress: IST0101}");
    let (_folder, path) = folder(&[("f.yaml", &annotated)]);
    assert_eq!(lateen(&[&path]).status, 0);
}

#[test]
fn analyzers_are_listed() {
    let done = lateen(&["-L"]);
    assert_eq!(done.status, 0);
    assert!(done.out.contains("* gateway.ConflictingGatewayAnalyzer:\n    Checks a gateway's selector"));
}

#[test]
fn folders_mesh_config_and_clusters_are_read() {
    let telemetry = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t}\n\
        spec: {accessLogging: [{}]}\n";
    let mesh = "defaultProviders: {accessLogging: [envoy]}\n";
    let (_folder, path) = folder(&[("f.yaml", telemetry), ("notes.txt", "x"), ("mesh.conf", mesh)]);
    let done = lateen(&["--analyzer", "telemetry.ProviderAnalyzer", &path]);
    assert!(done.out.contains("IST0157") && done.err.contains("Skipping file"), "{} {}", done.out, done.err);
    let config = format!("--meshConfigFile={path}/mesh.conf");
    assert_eq!(lateen(&["--analyzer", "telemetry.ProviderAnalyzer", &config, &path]).out, "");
    let (_one, one) = folder(&[("f.yaml", GOOD)]);
    let (_two, two) = folder(&[("f.yaml", INFO)]);
    let done = lateen(&["--cluster", &format!("one={one}"), "--cluster", &format!("two={two}")]);
    assert!(done.out.contains("Warning [IST0170] [cluster-one]"), "{}", done.out);
}

#[test]
fn mends_are_shown_and_applied_when_told_to() {
    let route = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: r\nspec:\n  hosts: [a]\n  \
        http:\n  - fault:\n      delay:\n        percent: 50\n        fixedDelay: 1s\n    route:\n    \
        - destination: {host: a}\n";
    let (folder, path) = folder(&[("f.yaml", route), ("g.yaml", GOOD)]);
    let shown = lateen(&["--fix", &path]);
    assert!(shown.out.contains("-        percent: 50\n+        percentage: {value: 50}\n"), "{}", shown.out);
    let file = folder.path().join("f.yaml");
    assert_eq!(std::fs::read_to_string(&file).expect("read"), route);
    let applied = lateen(&["--fix", "--yes", &path]);
    assert!(applied.err.contains("Mended") && !applied.out.contains("IST0002"), "{}", applied.out);
    assert!(std::fs::read_to_string(&file).expect("read").contains("percentage: {value: 50}"));
    assert!(lateen(&["--fix", &path]).err.contains("nothing that could be mended"));
}
