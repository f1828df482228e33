//! Rules one by one; the schedules of whole pushes are in `simulation`.

use super::*;
use crate::Reference;
use stdx::Digest;

mod simulation;

use ResourceType::{Cluster, Endpoints, Listener, NameTable, Route};

/// `a@1>b>c`: name, version, and what it names (of the type that such a resource names).
pub(super) fn resource(ty: ResourceType, text: &str) -> Arc<Encoded> {
    let (name, rest) = text.split_once('@').unwrap();
    let mut rest = rest.split('>');
    let version = Digest(rest.next().unwrap().parse().unwrap());
    let reference = |name: &str| {
        let named = match (ty, name.strip_prefix("rds:")) {
            (Cluster, _) => Reference { ty: Endpoints, name: name.into() },
            (Listener, Some(route)) => Reference { ty: Route, name: route.into() },
            _ => Reference { ty: Cluster, name: name.into() },
        };
        assert!(matches!(ty, Cluster | Listener | Route));
        named
    };
    let references = rest.map(reference).collect();
    Arc::new(Encoded {
        ty,
        name: name.into(),
        version,
        body: vec![0; 100].into(),
        references,
        step: None,
        origin: None,
    })
}

fn set(types: &[(ResourceType, &str)]) -> Arc<ResourceSet> {
    let all = types.iter().flat_map(|(ty, list)| list.split_whitespace().map(|text| resource(*ty, text)));
    Arc::new(all.collect())
}

/// One line per response: `CDS a@1 -b #3`.
fn line(response: &Response) -> String {
    let mut parts = vec![response.ty.short().to_owned()];
    parts.extend(response.add.iter().map(|r| format!("{}@{}", r.name, r.version.0)));
    parts.extend(response.remove.iter().map(|name| format!("-{name}")));
    parts.push(format!("#{}", response.nonce));
    parts.join(" ")
}

/// Drives a stream by lines: `CDS` asks for all, `EDS +a -b`, `CDS #1` acknowledges,
/// `CDS #1 !text` refuses, `CDS =a@1` says what the client has.
struct Driver {
    stream: Stream,
    now: Instant,
}

impl Driver {
    fn new() -> Self {
        let now = Instant::now();
        Driver { stream: Stream::new(1 << 20, now), now }
    }

    #[track_caller]
    fn says(&mut self, text: &str, expected: &[&str]) -> &mut Self {
        let (text, error) =
            text.split_once(" !").map_or((text, None), |(text, error)| (text, Some(error.into())));
        let mut words = text.split(' ');
        let short = words.next().unwrap();
        let ty = ResourceType::ALL.into_iter().find(|ty| ty.short() == short).unwrap();
        let mut request = Request { error, ..Request::new(ty) };
        for word in words {
            let (sign, rest) = word.split_at(1);
            match sign {
                "+" => request.subscribe.push(rest.into()),
                "-" => request.unsubscribe.push(rest.into()),
                "#" => request.nonce = rest.into(),
                "=" => {
                    let (name, version) = rest.split_once('@').unwrap();
                    let version = version.parse::<u128>().map_or(version.into(), |v| Digest(v).to_string());
                    request.initial_versions.push((name.into(), version.into()));
                }
                _ => panic!("{word}"),
            }
        }
        let responses = self.stream.on_request(request, self.now);
        self.check(responses, expected)
    }

    #[track_caller]
    fn update(&mut self, types: &[(ResourceType, &str)], expected: &[&str]) -> &mut Self {
        let responses = self.stream.on_update(set(types), self.now);
        self.check(responses, expected)
    }

    #[track_caller]
    fn later(&mut self, seconds: u64, expected: &[&str]) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        let responses = self.stream.on_timeout(self.now);
        self.check(responses, expected)
    }

    #[track_caller]
    fn check(&mut self, responses: Vec<Response>, expected: &[&str]) -> &mut Self {
        assert_eq!(responses.iter().map(line).collect::<Vec<_>>(), expected);
        self
    }
}

#[test]
fn a_wildcard_gets_all_and_then_differences() {
    let mut d = Driver::new();
    d.says("CDS", &[]);
    d.update(&[(Cluster, "a@1 b@1")], &["CDS a@1 b@1 #1"]);
    d.says("CDS #1", &[]);
    d.update(&[(Cluster, "a@1 b@2 c@1")], &["CDS b@2 c@1 #2"]);
    d.says("CDS #2", &[]);
    d.update(&[(Cluster, "c@1")], &["CDS -a -b #3"]);
    d.says("CDS #3", &[]);
    d.update(&[(Cluster, "c@1")], &[]);
}

/// Of a table of thousands of hosts those are not waited for again that the client has.
#[test]
fn a_table_waits_for_what_is_new_in_it() {
    let table = |from: u128, new: &[&str]| {
        let references = new.iter().map(|name| Reference { ty: Cluster, name: (*name).into() }).collect();
        let step = Some(crate::Step { from: Digest(from), references });
        let table = Encoded { step, ..Arc::into_inner(resource(Route, "80@2>a>b")).unwrap() };
        let rest = [resource(Cluster, "a@2"), resource(Cluster, "b@1")];
        Arc::new(rest.into_iter().chain([Arc::new(table)]).collect::<ResourceSet>())
    };
    for (from, new, at_once) in [(1, &[][..], true), (1, &["b"], true), (1, &["a"], false), (7, &[], false)] {
        let mut d = Driver::new();
        d.says("CDS", &[]).says("RDS +80", &[]);
        let before = [(Cluster, "a@1 b@1"), (Route, "80@1>a>b")];
        d.update(&before, &["CDS a@1 b@1 #1"]).says("CDS #1", &["RDS 80@1 #2"]).says("RDS #2", &[]);
        let responses = d.stream.on_update(table(from, new), d.now);
        let expected: &[&str] = if at_once { &["CDS a@2 #3", "RDS 80@2 #4"] } else { &["CDS a@2 #3"] };
        d.check(responses, expected);
    }
}

#[test]
fn types_nobody_asked_for_are_not_sent() {
    let mut d = Driver::new();
    d.says("CDS", &[]);
    d.update(&[(Cluster, "a@1"), (Listener, "l@1"), (NameTable, "@1")], &["CDS a@1 #1"]);
    d.says("NDS", &["NDS @1 #2"]);
}

#[test]
fn an_empty_world_is_answered_once() {
    let mut d = Driver::new();
    d.update(&[], &[]);
    d.says("LDS", &["LDS #1"]);
    d.says("LDS #1", &[]);
    d.update(&[(Cluster, "a@1")], &[]);
    // Who has something already is not waiting for the answer.
    let mut d = Driver::new();
    d.update(&[(Listener, "l@1")], &[]);
    d.says("LDS =l@1", &[]);
}

#[test]
fn changes_are_merged_while_an_answer_is_missing() {
    let mut d = Driver::new();
    d.says("CDS", &[]);
    d.update(&[(Cluster, "a@1")], &["CDS a@1 #1"]);
    d.update(&[(Cluster, "a@2")], &[]);
    d.update(&[(Cluster, "a@3 b@1")], &[]);
    d.update(&[(Cluster, "a@4 c@1")], &[]);
    d.says("CDS #1", &["CDS a@4 c@1 #2"]);
}

#[test]
fn names_are_served_and_what_does_not_exist_is_said_to_be_gone() {
    let mut d = Driver::new();
    d.update(&[(Endpoints, "a@1 b@1")], &[]);
    d.says("EDS +a +x", &["EDS a@1 -x #1"]);
    d.says("EDS #1", &[]);
    d.update(&[(Endpoints, "a@1 b@2")], &[]);
    d.update(&[(Endpoints, "a@2 x@1")], &["EDS a@2 x@1 #2"]);
    d.says("EDS #2", &[]);
    d.says("EDS -x", &[]);
    d.update(&[(Endpoints, "a@2 x@2")], &[]);
    // Asked for again, it comes again whatever the client had.
    d.says("EDS +a", &["EDS a@2 #3"]);
    d.says("EDS +a", &[]);
    d.says("EDS #3", &["EDS a@2 #4"]);
}

#[test]
fn legacy_and_explicit_wildcards() {
    // The empty first request, then names beside it.
    let mut d = Driver::new();
    d.update(&[(Cluster, "a@1 b@1")], &[]);
    d.says("CDS", &["CDS a@1 b@1 #1"]);
    d.says("CDS #1", &[]);
    d.says("CDS +a", &["CDS a@1 #2"]);
    d.says("CDS #2", &[]);
    d.says("CDS -*", &[]);
    d.update(&[(Cluster, "a@2 b@2")], &["CDS a@2 #3"]);
    d.says("CDS #3 -a", &[]);
    d.update(&[(Cluster, "a@3 b@3")], &[]);
    // A name given up under a wildcard: the client is told that it is still there, or is not.
    let mut d = Driver::new();
    d.update(&[(Cluster, "a@1")], &[]);
    d.says("CDS +* +a +x", &["CDS a@1 -x #1"]);
    d.says("CDS #1", &[]);
    d.says("CDS -a -x", &["CDS a@1 -x #2"]);
    // Endpoints are asked for by name, or with a star: an empty request asks for nothing.
    let mut d = Driver::new();
    d.update(&[(Endpoints, "a@1")], &[]);
    d.says("EDS", &[]);
    d.says("EDS +*", &["EDS a@1 #1"]);
}

#[test]
fn a_returning_client_gets_differences() {
    let mut d = Driver::new();
    d.update(&[(Cluster, "a@1 b@2"), (Endpoints, "e@1")], &[]);
    // What it has too much is taken away only when it is known who may still use it.
    d.says("CDS =a@1 =b@1 =gone@1", &["CDS b@2 #1"]);
    d.says("CDS #1", &[]);
    d.says("EDS +e =e@1", &[]);
    d.says("LDS", &["LDS #2"]);
    d.says("RDS +x", &["CDS -gone #3", "RDS -x #4"]);
    // Versions of another server are unknown: sent again.
    let mut d = Driver::new();
    d.update(&[(Cluster, "a@1")], &[]);
    d.says("CDS =a@2024-11-21T05:00:00Z/7", &["CDS a@1 #1"]);
}

#[test]
fn a_refused_version_is_not_sent_again_and_holds_nothing_up() {
    let mut d = Driver::new();
    d.says("CDS", &[]);
    d.update(&[(Cluster, "a@1 b@1 c@1")], &["CDS a@1 b@1 c@1 #1"]);
    d.says("CDS #1 !b: lb_policy: no", &[]);
    assert_eq!(
        d.stream.take_notices(),
        [Notice::Rejected { ty: Cluster, names: vec!["b".into()], message: "b: lb_policy: no".into() }]
    );
    d.update(&[(Cluster, "a@2 b@1 c@1")], &["CDS a@2 #2"]);
    d.says("CDS #2", &[]);
    d.update(&[(Cluster, "a@2 b@2 c@1")], &["CDS b@2 #3"]);
    d.says("CDS #3", &[]);
    let status = &d.stream.status()[&Cluster];
    assert_eq!((status.nonce_sent.as_str(), status.nonce_acked.as_str(), status.resources), ("3", "3", 3));
    assert_eq!(status.last_nack.as_deref(), Some("b: lb_policy: no"));
}

#[test]
fn a_refusal_that_names_nobody_is_found_out_by_sending_one_by_one() {
    let mut d = Driver::new();
    d.says("RDS +a +b", &[]);
    d.update(&[(Route, "a@1 b@1")], &["RDS a@1 b@1 #1"]);
    d.says("RDS #1 !Only unique values for domains are permitted", &["RDS a@1 #2", "RDS b@1 #3"]);
    d.says("RDS #2", &[]);
    d.says("RDS #3 !Only unique values for domains are permitted", &[]);
    d.update(&[(Route, "a@2 b@1")], &["RDS a@2 #4"]);
}

#[test]
fn outdated_nonces_answer_nothing_but_subscribe() {
    let mut d = Driver::new();
    d.update(&[(Endpoints, "a@1 b@1")], &[]);
    d.says("EDS +a", &["EDS a@1 #1"]);
    d.says("EDS #1", &[]);
    d.says("EDS #1 +b", &["EDS b@1 #2"]);
    d.says("EDS #77", &[]);
    assert_eq!(d.stream.take_notices(), vec![Notice::ExpiredNonce { ty: Endpoints }; 2]);
}

#[test]
fn routes_wait_for_the_clusters_they_name_and_their_endpoints() {
    let mut d = Driver::new();
    let first = [(Cluster, "a@1>a"), (Endpoints, "a@1"), (Listener, "l@1>rds:80"), (Route, "80@1>a")];
    d.says("CDS", &[]).says("LDS", &[]).says("RDS +80", &[]);
    d.update(&first, &["CDS a@1 #1", "LDS l@1 #2"]);
    d.says("LDS #2", &[]);
    d.says("CDS #1", &[]);
    d.says("EDS +a", &["EDS a@1 #3"]);
    d.says("EDS #3", &["RDS 80@1 #4"]);
    d.says("RDS #4", &[]);
    // A new cluster, and the route that uses it; the old one goes after the route's ACK.
    let second = [(Cluster, "b@1>b"), (Endpoints, "b@1"), (Listener, "l@1>rds:80"), (Route, "80@2>b")];
    d.update(&second, &["CDS b@1 #5"]);
    d.says("EDS +b", &["EDS b@1 #6"]);
    d.says("EDS #6", &[]);
    d.says("CDS #5", &["RDS 80@2 #7"]);
    d.says("RDS #7", &["CDS -a #8"]);
    d.says("CDS #8", &["EDS -a #9"]);
    // The client gives the endpoints up by itself; the answer comes too late and does no harm.
    d.says("EDS -a", &[]);
    d.says("EDS #9", &[]);
}

#[test]
fn a_cluster_stays_as_long_as_a_refused_route_keeps_it() {
    let mut d = Driver::new();
    d.update(&[(Cluster, "a@1"), (Route, "80@1>a")], &[]);
    d.says("CDS", &["CDS a@1 #1"]).says("CDS #1", &[]);
    d.says("RDS +80", &["RDS 80@1 #2"]).says("RDS #2", &[]);
    d.update(&[(Cluster, "b@1"), (Route, "80@2>b")], &["CDS b@1 #3"]);
    d.says("CDS #3", &["RDS 80@2 #4"]);
    d.says("RDS #4 !80: bad regex", &[]);
    d.later(60, &[]);
    d.update(&[(Cluster, "b@1"), (Route, "80@3>b")], &["RDS 80@3 #5"]);
    d.says("RDS #5", &["CDS -a #6"]);
}

#[test]
fn a_cluster_goes_though_a_route_goes_on_naming_it() {
    // A Service was deleted, the VirtualService that leads to it was not.
    let mut d = Driver::new();
    d.update(&[(Cluster, "a@1"), (Route, "80@1>a")], &[]);
    d.says("CDS", &["CDS a@1 #1"]).says("CDS #1", &[]);
    d.says("RDS +80", &["RDS 80@1 #2"]).says("RDS #2", &[]);
    d.update(&[(Route, "80@1>a")], &["CDS -a #3"]);
}

#[test]
fn a_refused_cluster_does_not_hold_the_route_back() {
    let mut d = Driver::new();
    d.update(&[(Cluster, "a@1 bad@1"), (Route, "80@1>a>bad")], &[]);
    d.says("RDS +80", &["RDS 80@1 #1"]).says("RDS #1", &[]);
    let mut d = Driver::new();
    d.update(&[(Cluster, "a@1 bad@1"), (Route, "80@1>a>bad")], &[]);
    d.says("CDS", &["CDS a@1 bad@1 #1"]);
    d.says("RDS +80", &[]);
    d.says("CDS #1 !bad: no", &["RDS 80@1 #2"]);
}

#[test]
fn patience_ends() {
    let mut d = Driver::new();
    d.says("CDS", &[]).says("RDS +80", &[]);
    d.update(&[(Cluster, "a@1>a"), (Endpoints, "a@1"), (Route, "80@1>a")], &["CDS a@1 #1"]);
    d.says("CDS #1", &[]);
    // The client never asks for endpoints.
    d.later(14, &[]);
    assert!(d.stream.deadline().is_some());
    d.later(1, &["RDS 80@1 #2"]);
    assert_eq!(d.stream.take_notices(), [Notice::OutOfPatience]);
    d.says("RDS #2", &[]);
    assert_eq!(d.stream.deadline(), None);
}

#[test]
fn a_missing_answer_blocks_a_type_only_for_a_time() {
    // Envoy does not acknowledge a cluster that waits for its certificate, maybe for ever.
    let mut d = Driver::new();
    d.says("CDS", &[]);
    d.update(&[(Cluster, "a@1 stuck@1")], &["CDS a@1 stuck@1 #1"]);
    d.later(20, &[]);
    d.update(&[(Cluster, "a@2 stuck@1")], &["CDS a@2 #2"]);
    d.update(&[(Cluster, "a@1 stuck@1 b@1")], &[]);
    d.later(14, &[]);
    // What is on its way counts as there: the change back is sent, the stuck one is not.
    d.later(1, &["CDS a@1 b@1 #3"]);
    d.says("CDS #1", &[]).says("CDS #2", &[]).says("CDS #3", &[]);
    d.update(&[(Cluster, "a@1 b@1")], &["CDS -stuck #4"]);
}

#[test]
fn the_first_listeners_come_together() {
    let mut d = Driver::new();
    d.says("LDS", &[]).says("CDS", &[]);
    d.update(&[(Cluster, "a@1"), (Listener, "in@1 out@1>a")], &["CDS a@1 #1"]);
    d.says("CDS #1", &["LDS in@1 out@1 #2"]);
    d.says("LDS #2", &[]);
    // Later, one does not wait for the other.
    d.update(&[(Cluster, "a@1 b@1"), (Listener, "in@2 out@2>b")], &["CDS b@1 #3", "LDS in@2 #4"]);
    d.says("LDS #4", &[]);
    d.says("CDS #3", &["LDS out@2 #5"]);
}

#[test]
fn a_changed_cluster_gets_its_endpoints_again() {
    let mut d = Driver::new();
    d.update(&[(Cluster, "a@1>a b@1>b"), (Endpoints, "a@1 b@1")], &[]);
    d.says("CDS", &["CDS a@1 b@1 #1"]).says("CDS #1", &[]);
    d.says("EDS +a +b", &["EDS a@1 b@1 #2"]).says("EDS #2", &[]);
    d.update(&[(Cluster, "a@2>a b@1>b"), (Endpoints, "a@1 b@1")], &["CDS a@2 #3", "EDS a@1 #4"]);
    d.says("EDS #4", &[]);
    d.says("CDS #3", &[]);
}

#[test]
fn responses_are_cut() {
    let mut d = Driver::new();
    d.stream = Stream::new(600, d.now);
    d.says("CDS", &[]);
    d.update(&[(Cluster, "a@1 b@1 c@1 d@1 e@1")], &["CDS a@1 b@1 #1", "CDS c@1 d@1 #2", "CDS e@1 #3"]);
    // Only when all pieces are answered there is something new.
    d.update(&[(Cluster, "a@2")], &[]);
    d.says("CDS #2", &[]).says("CDS #1", &[]);
    d.says("CDS #3", &["CDS a@2 -b -c #4", "CDS -d -e #5"]);
}
