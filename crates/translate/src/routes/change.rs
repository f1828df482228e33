//! A route configuration of which a change concerns a few virtual hosts: these are made again, and nothing is
//! asked of the thousands beside them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ir::VirtualHost;
use model::Host;
use registry::{Delta, Key, Service};

use super::memo::{Making, Of, Rule, Ruled, Whole};
use super::sidecar::{Context, speaks_http};
use crate::names;

/// The virtual hosts of services and VirtualServices. `None`: what was made before does not say what the
/// change leads to.
pub fn made_again(cx: &Context<'_>, making: &mut Making<'_>) -> Option<Vec<Arc<VirtualHost>>> {
    let (mut whole, delta) = making.whole(cx.port)?;
    // The services are as before.
    cx.view.record(&[Key::ServicesOnPort(cx.port)]);
    let (rules, named) = rules_now(cx, making, &whole, delta);
    let Some(places) = places(cx, &whole, &rules, delta, named) else {
        making.give_back();
        return None;
    };
    for Place { host, service, rule, at } in places {
        let before = whole.built[at].clone();
        let domains = before.domains.clone();
        let (name, service, ruled) = (before.name.clone(), service.as_ref(), rule.map(|(_, ruled)| ruled));
        let of = Of { name, host: &host, service, ruled };
        let by = rule.map(|(rule, ruled)| (ruled, rule.origin("")));
        let made = cx.virtual_host(&of, domains.clone(), by, true);
        let made = if made == *before { before } else { Arc::new(made) };
        making.keep(of, domains, made.clone());
        whole.built[at] = made;
    }
    whole.rules = rules;
    let built = whole.built.clone();
    making.keep_whole(whole);
    Some(built)
}

/// The VirtualServices as they are now, and the hosts that those name, or named, which are not as before.
fn rules_now(
    cx: &Context<'_>,
    making: &mut Making<'_>,
    whole: &Whole,
    delta: &Delta,
) -> (Vec<Rule>, BTreeSet<Host>) {
    let services: Vec<&Arc<Service>> = whole.services.iter().collect();
    let now = cx.rules(&services, true);
    let before = &whole.rules;
    let same = |((old, _), new): &(&Rule, &super::sidecar::Rules)| {
        Arc::ptr_eq(&old.spec, &new.spec) && (&old.object, old.created) == (&new.object, new.created)
    };
    let head = before.iter().zip(&now).take_while(same).count();
    let rest = before[head..].iter().rev().zip(now[head..].iter().rev());
    let tail = rest.take_while(same).count();
    let mut named = BTreeSet::new();
    for (rule, ruled) in &before[head..before.len() - tail] {
        making.forget(rule);
        named.extend(ruled.hosts.iter().cloned());
    }
    let (middle, end) = (head..now.len() - tail, before.len() - tail);
    let mut rules: Vec<Rule> = Vec::with_capacity(now.len());
    for (at, rule) in now.into_iter().enumerate() {
        let known = match at {
            at if at < middle.start => before.get(at),
            at if at >= middle.end => before.get(at - middle.end + end),
            _ => None,
        };
        let ruled = match known.filter(|(_, ruled)| !ruled.is_touched(delta)) {
            Some((_, ruled)) => {
                cx.view.record(ruled.keys());
                ruled.clone()
            }
            None => {
                let ruled = cx.ruled(making, &rule);
                named.extend(ruled.hosts.iter().cloned());
                ruled
            }
        };
        rules.push((rule, ruled));
    }
    (rules, named)
}

/// A virtual host that is to be made again.
struct Place<'r> {
    host: Host,
    service: Option<Arc<Service>>,
    /// Who says where its requests go.
    rule: Option<&'r Rule>,
    /// Where it is.
    at: usize,
}

/// What is to be made again. `None`: some host comes or goes.
fn places<'r>(
    cx: &Context<'_>,
    whole: &Whole,
    rules: &'r [Rule],
    delta: &Delta,
    named: BTreeSet<Host>,
) -> Option<Vec<Place<'r>>> {
    let mut hosts = named;
    for key in delta.keys() {
        match key {
            Key::DestinationRule(host) if host.is_wildcard() => return None,
            Key::DestinationRule(host) if whole.service(host).is_some() => drop(hosts.insert(host.clone())),
            _ => {}
        }
    }
    let mut places = Vec::new();
    for host in hosts {
        let service = whole.service(&host).cloned();
        if host.is_wildcard() {
            return None;
        }
        if service.as_ref().is_some_and(|service| !speaks_http(service, cx.port)) {
            continue;
        }
        let at = whole.at(&names::host_port(host.as_str(), cx.port))?;
        // Where no wildcard is about, the first that names a host has it.
        let takes = |ruled: &Ruled| {
            let is_about_the_port = || service.is_some() || cx.port == 80 || names_service(cx, whole, ruled);
            ruled.hosts.contains(&host) && ruled.routes_something() && is_about_the_port()
        };
        let rule = rules.iter().find(|(_, ruled)| takes(ruled));
        if service.is_none() && rule.is_none() {
            return None;
        }
        places.push(Place { host, service, rule, at });
    }
    Some(places)
}

/// Whether a VirtualService names a service of the port.
fn names_service(cx: &Context<'_>, whole: &Whole, ruled: &Ruled) -> bool {
    ruled.hosts.iter().filter_map(|host| whole.service(host)).any(|service| speaks_http(service, cx.port))
}
