//! Whatever is done to the files, following them ends where reading them afresh does.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use model::{Finding, ObjectRef};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use registry::Change;
use source::Update;
use tempfile::TempDir;

use crate::tree::{Look, Tree};
use crate::{FileSource, GRACE};

/// Objects with their content and place, and all findings.
type Seen = (BTreeMap<ObjectRef, String>, Vec<Finding>);

fn take(seen: &mut Seen, update: Update) {
    for change in update.changes {
        match change {
            Change::Upsert(document) => {
                seen.0.insert(document.object.clone(), format!("{} {:?}", document.place, document.body));
            }
            Change::Remove(object) => drop(seen.0.remove(&object)),
            Change::MeshConfig(_) => {}
        }
    }
    if let Some(findings) = update.findings {
        seen.1 = findings;
    }
}

fn afresh(roots: &[&Path]) -> Seen {
    let mut tree = Tree::new(roots.iter().map(|root| root.to_path_buf()).collect(), None);
    let mut seen = Seen::default();
    take(&mut seen, tree.look(Look::Everything, Instant::now()).0.expect("the first update"));
    seen
}

fn service(name: u8, port: u8) -> String {
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{name}}}\nspec: {{ports: [{{port: {}}}]}}\n",
        80 + u16::from(port)
    )
}

/// Something that happens to the folder `config` or, as `aside`, beside it.
#[derive(Clone, Debug)]
enum Step {
    Write(usize, Vec<(u8, u8)>),
    Append(usize, u8),
    Replace(usize, u8),
    Rename(usize, usize),
    Remove(usize),
    Folder(usize),
    Link(usize, usize),
    Hard(usize, usize),
    Pause,
}

/// Files, folders, hidden ones, and those that are no configuration.
const PLACES: [&str; 12] = [
    "config/a.yaml",
    "config/b.yaml",
    "config/one/a.yaml",
    "config/one",
    "config/one/deep",
    "config/one/deep/b.json",
    "config/two",
    "config/..data",
    "config/..data/a.yaml",
    "aside/a.yaml",
    "aside",
    "config/notes.txt",
];

fn step() -> impl Strategy<Value = Step> {
    let place = || 0..PLACES.len();
    prop_oneof![
        4 => (place(), prop::collection::vec((0..6u8, 0..9u8), 0..3)).prop_map(|(at, says)| Step::Write(at, says)),
        1 => (place(), 0..6u8).prop_map(|(at, name)| Step::Append(at, name)),
        3 => (place(), 0..9u8).prop_map(|(at, port)| Step::Replace(at, port)),
        3 => (place(), place()).prop_map(|(from, to)| Step::Rename(from, to)),
        2 => place().prop_map(Step::Remove),
        2 => place().prop_map(Step::Folder),
        1 => (place(), place()).prop_map(|(to, at)| Step::Link(to, at)),
        1 => (place(), place()).prop_map(|(of, at)| Step::Hard(of, at)),
        2 => Just(Step::Pause),
    ]
}

/// What cannot be done now is not done.
fn run(step: &Step, base: &Path) -> io::Result<()> {
    let path = |at: usize| base.join(PLACES[at]);
    match step {
        Step::Write(at, says) => {
            let text: String = says.iter().map(|(name, port)| service(*name, *port)).collect();
            fs::write(path(*at), text)
        }
        Step::Append(at, name) => {
            let mut file = fs::OpenOptions::new().append(true).open(path(*at))?;
            io::Write::write_all(&mut file, service(*name, 0).as_bytes())
        }
        Step::Replace(at, port) => {
            fs::write(base.join("new"), service(*port % 6, *port))?;
            fs::rename(base.join("new"), path(*at))
        }
        Step::Rename(from, to) => fs::rename(path(*from), path(*to)),
        Step::Remove(at) if path(*at).is_symlink() || !path(*at).is_dir() => fs::remove_file(path(*at)),
        Step::Remove(at) => fs::remove_dir_all(path(*at)),
        Step::Folder(at) => fs::create_dir(path(*at)),
        Step::Link(to, at) => {
            symlink(path(*to), base.join("link"))?;
            fs::rename(base.join("link"), path(*at)).or_else(|_| fs::remove_file(base.join("link")))
        }
        Step::Hard(of, at) => fs::hard_link(path(*of), path(*at)),
        Step::Pause => {
            std::thread::sleep(Duration::from_millis(7));
            Ok(())
        }
    }
}

/// Links out of the folder lead to files of which no events come: polling is for them.
fn polls(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Link(..) | Step::Hard(..)))
}

#[test]
fn following_ends_where_reading_afresh_does() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 24, max_shrink_iters: 60, ..Config::default() });
    let history = (prop::collection::vec(step(), 1..40), any::<bool>());
    let result = runner.run(&history, |(steps, nested)| {
        let (seen, expected) = runtime.block_on(history_of(steps, nested));
        prop_assert_eq!(seen, expected);
        Ok(())
    });
    result.unwrap();
}

/// What was told in the end, and what should have been.
async fn history_of(steps: Vec<Step>, nested: bool) -> (Seen, Seen) {
    let folder = TempDir::new().unwrap();
    let base = folder.path().to_owned();
    ["config", "config/one", "aside"].iter().for_each(|name| fs::create_dir(base.join(name)).unwrap());
    let (config, one) = (base.join("config"), base.join("config/one"));
    let roots: Vec<&Path> = if nested { vec![&one, &config] } else { vec![&config] };
    let poll = if polls(&steps) { Duration::from_millis(100) } else { Duration::from_secs(3600) };
    let seen = Arc::new(Mutex::new(Seen::default()));
    let told = seen.clone();
    let source =
        FileSource { roots: roots.iter().map(|root| root.to_path_buf()).collect(), mesh_config: None, poll };
    let follow = tokio::spawn(source.follow(move |update| {
        take(&mut told.lock().unwrap(), update);
        async { true }
    }));
    let of_steps = move || {
        for step in &steps {
            // What is not possible in this history is left out of it.
            let _ = run(step, &base);
        }
    };
    tokio::task::spawn_blocking(of_steps).await.unwrap();
    let started = Instant::now();
    let expected = afresh(&roots);
    while *seen.lock().unwrap() != expected && started.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // And stays there.
    tokio::time::sleep(GRACE / 2).await;
    follow.abort();
    let seen = seen.lock().unwrap().clone();
    (seen, expected)
}
