use std::time::Duration;

use ir::rate_limit::{Action, RateLimitDescriptor, RouteRateLimit, TokenBucket};

use super::*;
use crate::request::PlainRequest;

fn bucket(max_tokens: u32, seconds: u64) -> TokenBucket {
    TokenBucket { max_tokens, tokens_per_fill: 1, fill_interval: Duration::from_secs(seconds) }
}

fn config(descriptors: &[(&str, TokenBucket)]) -> LocalRateLimit {
    let one = |(value, bucket): &(&str, TokenBucket)| RateLimitDescriptor {
        entries: vec![("k".into(), (*value).into())],
        bucket: *bucket,
        shadow: false,
    };
    LocalRateLimit {
        stat_prefix: "x".into(),
        status: 429,
        bucket: Some(bucket(2, 10)),
        enabled: ir::Fraction::ALL,
        enforced: ir::Fraction::ALL,
        request_headers_when_not_enforced: Vec::new(),
        response_headers: Vec::new(),
        per_connection: false,
        x_ratelimit_headers: false,
        as_resource_exhausted: false,
        descriptors: descriptors.iter().map(one).collect(),
        rate_limits: Vec::new(),
        stage: 0,
        vhost_rate_limits: Default::default(),
        always_consume_default: true,
        max_dynamic_descriptors: 20,
        retry_after: false,
    }
}

#[test]
fn descriptors_come_before_the_default_and_the_slowest_first() {
    let limit = RateLimit::compile(&config(&[("a", bucket(1, 10)), ("b", bucket(1, 99))])).unwrap();
    let take = |found: &[usize]| {
        let found = found.iter().map(|at| Found { which: Which::Descriptor(*at), hits: 1 }).collect();
        let taken = limit.take(&limit.buckets, found, Duration::from_secs(1));
        (taken.allowed, taken.from)
    };
    assert_eq!(take(&[0]), (true, Some(Which::Descriptor(0))));
    assert_eq!(take(&[0]), (false, Some(Which::Descriptor(0))));
    // `b` is slower, and has a token still, which is gone then.
    assert_eq!(take(&[0, 1]), (false, Some(Which::Descriptor(0))));
    assert_eq!(take(&[0, 1]), (false, Some(Which::Descriptor(1))));
    // Of the two of the default bucket one went with the first request.
    assert_eq!(take(&[]), (true, Some(Which::Default)));
    assert_eq!(take(&[]), (false, Some(Which::Default)));
}

#[test]
fn the_default_is_left_alone_where_it_is_so_configured() {
    let all = LocalRateLimit { always_consume_default: false, ..config(&[("a", bucket(9, 10))]) };
    let limit = RateLimit::compile(&all).unwrap();
    for _ in 0..3 {
        let found = vec![Found { which: Which::Descriptor(0), hits: 2 }];
        assert!(limit.take(&limit.buckets, found, Duration::ZERO).allowed);
    }
    let left = limit.buckets.get(Which::Default).map(|bucket| bucket.remaining(Duration::ZERO));
    assert_eq!(left, Some(2));
}

#[test]
fn actions_make_a_descriptor_or_none() {
    let request = PlainRequest {
        path: "/x?q=7".into(),
        headers: vec![("x-user".into(), "joe".into())],
        ..Default::default()
    };
    let check = |actions: &[Action], expected: Option<&[(&str, &str)]>| {
        let limits = compile(&[RouteRateLimit { stage: 0, hits: 1, actions: actions.to_vec() }]).unwrap();
        let subject = Subject {
            request: &request,
            remote: "10.1.2.3".parse().unwrap(),
            source_cluster: "me",
            destination_cluster: "them",
        };
        let found = limits[0].descriptor(&subject);
        let text = |all: Vec<Entry<'_>>| -> Vec<(String, String)> {
            let one = |(key, value): Entry<'_>| (key.to_owned(), String::from_utf8(value.to_vec()).unwrap());
            all.into_iter().map(one).collect()
        };
        let own = |all: &[(&str, &str)]| -> Vec<(String, String)> {
            all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(found.map(text), expected.map(own), "{actions:?}");
    };
    let header = |name: &str, skip_if_absent| Action::RequestHeader {
        name: name.into(),
        key: "h".into(),
        skip_if_absent,
    };
    let query =
        |name: &str| Action::QueryParameter { name: name.into(), key: "q".into(), skip_if_absent: false };
    check(
        &[Action::SourceCluster, Action::DestinationCluster],
        Some(&[("source_cluster", "me"), ("destination_cluster", "them")]),
    );
    check(&[Action::RemoteAddress], Some(&[("remote_address", "10.1.2.3")]));
    check(
        &[Action::MaskedRemoteAddress { v4: 16, v6: 64 }],
        Some(&[("masked_remote_address", "10.1.0.0/16")]),
    );
    check(&[header("x-user", false), query("q")], Some(&[("h", "joe"), ("q", "7")]));
    check(&[header("x-no", false), query("q")], None);
    check(&[header("x-no", true), query("q")], Some(&[("q", "7")]));
    check(&[header("x-no", true)], None);
    check(&[query("p")], None);
    let within = |range: &str, invert| Action::RemoteAddressMatch {
        key: "r".into(),
        value: "in".into(),
        ranges: vec![ir::Cidr { address: range.parse().unwrap(), prefix_len: 8 }],
        invert,
    };
    check(&[within("10.0.0.0", false)], Some(&[("r", "in")]));
    check(&[within("11.0.0.0", false)], None);
    check(&[within("11.0.0.0", true)], Some(&[("r", "in")]));
}

#[test]
fn any_value_has_a_bucket_of_its_own_beside_those_that_are_named() {
    let any = config(&[("", bucket(1, 10)), ("named", bucket(2, 10))]);
    let limit = RateLimit::compile(&LocalRateLimit { bucket: None, ..any }).unwrap();
    let hasher = std::hash::BuildHasherDefault::<std::collections::hash_map::DefaultHasher>::default();
    let now = Duration::from_secs(1);
    let take = |value: &'static str| {
        let which = limit.find(&limit.buckets, &[("k", value.as_bytes().into())], &hasher, now).unwrap();
        limit.take(&limit.buckets, vec![Found { which, hits: 1 }], now).allowed
    };
    assert!(take("a") && !take("a"));
    assert!(take("b") && !take("b"));
    assert!(take("named") && take("named") && !take("named"));
    assert_eq!(limit.find(&limit.buckets, &[("other", (&b"a"[..]).into())], &hasher, now), None);
}

#[test]
fn what_is_only_watched_refuses_nothing() {
    let mut watched = config(&[("a", bucket(1, 10))]);
    watched.descriptors[0].shadow = true;
    let limit = RateLimit::compile(&LocalRateLimit { bucket: None, ..watched }).unwrap();
    let found = || vec![Found { which: Which::Descriptor(0), hits: 1 }];
    for allowed in [true, false, false] {
        let taken = limit.take(&limit.buckets, found(), Duration::ZERO);
        assert_eq!((taken.allowed, taken.shadow), (allowed, !allowed));
    }
    assert_eq!(limit.buckets.get(Which::Descriptor(0)).map(|it| it.remaining(Duration::ZERO)), Some(0));
}
