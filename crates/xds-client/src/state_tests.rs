use super::*;

fn strs(names: &[&str]) -> Vec<Str> {
    names.iter().map(|name| Str::from(*name)).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(Str, Str)> {
    list.iter().map(|(name, version)| ((*name).into(), (*version).into())).collect()
}

fn applied(list: &[(&str, &str)]) -> Verdict {
    Verdict { applied: pairs(list), ..Verdict::default() }
}

/// One line per request: `CDS +a -b =c@1 nonce!error`.
#[track_caller]
fn check(requests: &[Request], expected: &[&str]) {
    let lines: Vec<String> = requests.iter().map(line).collect();
    assert_eq!(lines, expected);
}

fn line(request: &Request) -> String {
    let mut parts = vec![request.ty.short().to_owned()];
    parts.extend(request.subscribe.iter().map(|name| format!("+{name}")));
    parts.extend(request.unsubscribe.iter().map(|name| format!("-{name}")));
    parts.extend(request.initial_versions.iter().map(|(name, version)| format!("={name}@{version}")));
    if !request.nonce.is_empty() {
        parts.push(format!("#{}", request.nonce));
    }
    parts.extend(request.error.iter().map(|error| format!("!{error}")));
    parts.join(" ")
}

use ResourceType::{Cluster, Endpoints, Listener, Route};

#[test]
fn a_stream_begins_with_what_is_subscribed() {
    let mut state = State::default();
    state.subscribe_all(Cluster);
    state.subscribe_all(Listener);
    state.subscribe(Endpoints, strs(&["b", "a"]));
    check(&state.flush(), &[]);
    check(&state.on_connected(), &["CDS", "EDS +a +b", "LDS"]);
    check(&state.flush(), &[]);
}

#[test]
fn subscriptions_are_told_as_differences() {
    let mut state = State::default();
    check(&state.on_connected(), &[]);
    state.subscribe(Endpoints, strs(&["a", "b"]));
    check(&state.flush(), &["EDS +a +b"]);
    state.subscribe(Endpoints, strs(&["b", "c"]));
    state.unsubscribe(Endpoints, strs(&["a", "never"]));
    check(&state.flush(), &["EDS +c -a"]);
    // Changed and changed back: nothing to tell.
    state.subscribe(Endpoints, strs(&["d"]));
    state.unsubscribe(Endpoints, strs(&["d"]));
    check(&state.flush(), &[]);
    // Given up and wanted again: the server has to send it again.
    state.unsubscribe(Endpoints, strs(&["b"]));
    state.subscribe(Endpoints, strs(&["b"]));
    check(&state.flush(), &["EDS +b"]);
    state.subscribe_all(Endpoints);
    check(&state.flush(), &["EDS +*"]);
    state.unsubscribe(Route, strs(&["x"]));
    check(&state.flush(), &[]);
}

#[test]
fn the_good_ones_of_a_response_are_remembered_across_streams() {
    let mut state = State::default();
    state.subscribe_all(Cluster);
    state.subscribe(Route, strs(&["80", "90"]));
    state.on_connected();
    let mut verdict = applied(&[("a", "1"), ("b", "1")]);
    verdict.refused.push(("c".into(), "lb_policy: unknown".into()));
    verdict.refused.push(("d".into(), "name: empty".into()));
    let answer = state.answer(Cluster, "n1".into(), verdict);
    check(&[answer], &["CDS #n1 !c: lb_policy: unknown; d: name: empty"]);
    check(&[state.answer(Route, "n2".into(), applied(&[("80", "7")]))], &["RDS #n2"]);
    check(
        &[state.answer(Cluster, "n3".into(), Verdict { removed: strs(&["b"]), ..applied(&[("a", "2")]) })],
        &["CDS #n3"],
    );

    state.on_disconnected();
    state.subscribe(Route, strs(&["443"]));
    check(&state.flush(), &[]);
    check(&state.on_connected(), &["CDS =a@2", "RDS +443 +80 +90 =80@7"]);
}

#[test]
fn an_update_after_unsubscribing_is_not_news() {
    let mut state = State::default();
    state.subscribe(Endpoints, strs(&["a", "b"]));
    state.on_connected();
    assert!(state.is_news(Endpoints, &"a".into(), "1"));
    state.answer(Endpoints, "n".into(), applied(&[("a", "1"), ("b", "1")]));
    assert!(!state.is_news(Endpoints, &"a".into(), "1"), "the same version again");
    assert!(state.is_news(Endpoints, &"a".into(), "2"));
    state.unsubscribe(Endpoints, strs(&["a"]));
    assert!(!state.is_news(Endpoints, &"a".into(), "2"));
    assert!(!state.is_news(Cluster, &"a".into(), "1"), "a type that nobody asked for");
    // Asked for again: whatever comes is news, even the version from before.
    state.subscribe(Endpoints, strs(&["a"]));
    assert!(state.is_news(Endpoints, &"a".into(), "1"));
}

#[test]
fn what_is_applied_after_unsubscribing_is_not_remembered() {
    let mut state = State::default();
    state.subscribe(Endpoints, strs(&["a", "b"]));
    state.on_connected();
    state.unsubscribe(Endpoints, strs(&["a"]));
    check(&[state.answer(Endpoints, "n".into(), applied(&[("a", "1"), ("b", "1")]))], &["EDS #n"]);
    check(&state.flush(), &["EDS -a"]);
    check(&state.on_connected(), &["EDS +b =b@1"]);
}

#[test]
fn a_wildcard_beside_names_is_said() {
    let mut state = State::default();
    state.subscribe_all(Cluster);
    state.subscribe(Cluster, strs(&["x"]));
    check(&state.on_connected(), &["CDS +* +x"]);
    state.answer(Cluster, "n".into(), applied(&[("x", "1"), ("y", "1")]));
    // The wildcard still covers it.
    state.unsubscribe(Cluster, strs(&["x"]));
    check(&state.flush(), &["CDS -x"]);
    check(&state.on_connected(), &["CDS =x@1 =y@1"]);
}

#[test]
fn a_refusal_names_all_but_does_not_grow_without_bound() {
    let refused: Vec<(Str, String)> =
        (0..2000).map(|i| (format!("cluster-{i}").into(), "x".repeat(100))).collect();
    let text = error_detail(&refused);
    assert!(text.len() < MAX_ERROR + 2000 * 16 && text.ends_with("; cluster-1999"), "{}", text.len());
}

/// What the server was told as a whole, for a history of any kind.
#[derive(Default)]
struct Plain {
    names: BTreeSet<Str>,
    told: BTreeSet<Str>,
    forgotten: BTreeSet<Str>,
}

#[test]
fn any_history_is_told_as_comparing_everything_would() {
    let mut dice = 3u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let (mut state, mut plain) = (State::default(), Plain::default());
    state.subscribe(Endpoints, strs(&["always"]));
    plain.names.insert("always".into());
    let mut told_something = 0;
    state.on_connected();
    plain.told.clone_from(&plain.names);
    for round in 0..4000 {
        let name = Str::from(roll(6).to_string());
        match roll(9) {
            0..4 => {
                state.subscribe(Endpoints, [name.clone()]);
                plain.names.insert(name);
            }
            4..7 => {
                state.unsubscribe(Endpoints, [name.clone()]);
                if plain.names.remove(&name) {
                    plain.forgotten.insert(name);
                }
            }
            7 => {
                let requests = state.flush();
                let again = |n: &&Str| !plain.told.contains(*n) || plain.forgotten.contains(*n);
                let subscribe: Vec<Str> = plain.names.iter().filter(again).cloned().collect();
                let unsubscribe: Vec<Str> = plain.told.difference(&plain.names).cloned().collect();
                let expected = Request { subscribe, unsubscribe, ..Request::empty(Endpoints) };
                let is_empty = expected == Request::empty(Endpoints);
                assert_eq!(requests, if is_empty { Vec::new() } else { vec![expected] }, "round {round}");
                told_something += usize::from(!is_empty);
                plain.told.clone_from(&plain.names);
                plain.forgotten.clear();
            }
            _ => {
                state.on_disconnected();
                let subscribe = plain.names.iter().cloned().collect();
                let requests = state.on_connected();
                assert_eq!(requests, [Request { subscribe, ..Request::empty(Endpoints) }], "round {round}");
                plain.told.clone_from(&plain.names);
                plain.forgotten.clear();
            }
        }
    }
    assert!(told_something > 200, "{told_something}");
}
