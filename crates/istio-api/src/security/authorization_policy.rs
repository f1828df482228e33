//! AuthorizationPolicy:
//! <https://istio.io/latest/docs/reference/config/security/authorization-policy/>.

use model::{Labels, Level, Str};

use crate::codes;
use crate::reader::{Fields, Item};
use crate::validate;

/// Who may ask for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationPolicy {
    /// `None`: all workloads of the namespace, or of the mesh in the root namespace.
    pub selector: Option<Labels>,
    pub action: Action,
    /// One must match. Empty: none does, so an ALLOW policy then allows nothing.
    pub rules: Vec<Rule>,
    /// Attached by `targetRef(s)` to something that is no sidecar: it has no effect yet.
    pub attached: bool,
    /// The annotation `istio.io/dry-run` is `true`: to be logged, not enforced.
    pub dry_run: bool,
    /// Not valid: nothing of it holds, and what it selects refuses every request.
    pub broken: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    #[default]
    Allow,
    Deny,
    /// Only marks requests; has no effect yet.
    Audit,
    /// Asks an external authorizer. Until that can be done, what its rules match is denied.
    Custom,
}

/// One source, one operation and all conditions must match. Without any of the three, everything
/// matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub from: Vec<Source>,
    pub to: Vec<Operation>,
    /// Field paths of conditions that cannot be evaluated (`when`): with one, an ALLOW rule never
    /// matches, and any other is evaluated without it.
    pub unsupported: Vec<Str>,
    /// Field path: `spec.rules[0]`.
    pub path: Str,
}

/// Conditions on the peer, all of which must hold. In each list one value must match, or none for
/// the `not_` lists; an empty list is no condition. A value is exact, `PREFIX*`, `*SUFFIX`, or `*`
/// for any that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// `TRUST_DOMAIN/ns/NAMESPACE/sa/ACCOUNT`, without `spiffe://`.
    pub principals: Vec<Str>,
    pub not_principals: Vec<Str>,
    pub namespaces: Vec<Str>,
    pub not_namespaces: Vec<Str>,
    /// `ACCOUNT` (of the policy's namespace) or `NAMESPACE/ACCOUNT`.
    pub service_accounts: Vec<Str>,
    pub not_service_accounts: Vec<Str>,
    /// As [`Rule::unsupported`], for this source alone.
    pub unsupported: Vec<Str>,
    /// Field path: `spec.rules[0].from[0].source`.
    pub path: Str,
}

/// Conditions on the request, as in [`Source`]. All but `ports` need HTTP: on other connections
/// an ALLOW rule with one never matches, and any other is evaluated without it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operation {
    pub hosts: Vec<Str>,
    pub not_hosts: Vec<Str>,
    pub ports: Vec<u16>,
    pub not_ports: Vec<u16>,
    pub methods: Vec<Str>,
    pub not_methods: Vec<Str>,
    pub paths: Vec<Str>,
    pub not_paths: Vec<Str>,
    /// As [`Rule::unsupported`], for this operation alone.
    pub unsupported: Vec<Str>,
    /// Field path: `spec.rules[0].to[0].operation`.
    pub path: Str,
}

const ACTIONS: [(&str, Action); 4] =
    [("ALLOW", Action::Allow), ("DENY", Action::Deny), ("AUDIT", Action::Audit), ("CUSTOM", Action::Custom)];

pub(crate) fn read(spec: Fields<'_>, dry_run: bool) -> AuthorizationPolicy {
    let cx = spec.item().cx();
    let selector_item = spec.get("selector");
    let selector = selector_item.as_ref().and_then(super::read_selector);
    let action_item = spec.get("action");
    let action = action_item.as_ref().and_then(|item| item.one_of(&ACTIONS)).unwrap_or_default();
    let rules_item = spec.get("rules");
    let rules = rules_item.as_ref().map(|item| item.objects(|f| Some(read_rule(f)))).unwrap_or_default();
    check_action(&spec, action, action_item.as_ref(), rules_item.is_some());
    let targets = [spec.get("targetRef"), spec.get("targetRefs")];
    if targets.iter().flatten().count() + usize::from(selector_item.is_some()) > 1 {
        spec.item().invalid("only one of selector, targetRef and targetRefs is possible".into());
    }
    let attached = targets.iter().any(Option::is_some);
    for item in targets.iter().flatten() {
        let message = "policies attached by targetRef have no effect yet";
        item.report(Level::Warning, codes::NO_EFFECT, message.into());
    }
    if dry_run {
        let message = "istio.io/dry-run is true: the policy is not enforced, and not logged yet";
        spec.item().report(Level::Info, codes::NO_EFFECT, message.into());
    }
    spec.finish();
    AuthorizationPolicy { selector, action, rules, attached, dry_run, broken: cx.is_broken() }
}

fn check_action(spec: &Fields<'_>, action: Action, item: Option<&Item<'_>>, has_rules: bool) {
    let provider = spec.get("provider");
    let at = item.unwrap_or(spec.item());
    match action {
        Action::Custom => {
            if provider.is_none() {
                at.invalid("CUSTOM needs a provider".into());
            }
            let message = "external authorization has no effect yet: what the rules match is denied";
            at.report(Level::Warning, codes::NO_EFFECT, message.into());
        }
        _ => provider.iter().for_each(|item| item.invalid("only CUSTOM takes a provider".into())),
    }
    if action == Action::Audit {
        at.no_effect();
    }
    // An empty ALLOW policy denies everything; an empty policy of another kind is a mistake.
    if action != Action::Allow && !has_rules {
        at.invalid("needs rules: without any it would never match".into());
    }
}

fn read_rule(fields: Fields<'_>) -> Rule {
    let path = fields.path();
    let part = |outer: &'static str| fields.get(outer).map(|item| item.list()).unwrap_or_default();
    let mut rule = Rule { path, ..Rule::default() };
    for (list, inner) in [("from", "source"), ("to", "operation")] {
        let items = part(list);
        if let (Some(item), true) = (fields.get(list), items.is_empty()) {
            item.invalid("must not be empty".into());
        }
        for item in items {
            read_part(&item, inner, &mut rule);
        }
    }
    if let Some(item) = fields.get("when") {
        read_when(&item);
    }
    rule.unsupported = fields.conditions(&["when"]);
    rule.unsupported.extend(fields.finish_conditions());
    rule
}

/// One entry of `from` or `to`. What is wrong with it narrows the rule, it never widens it.
fn read_part(item: &Item<'_>, inner: &'static str, rule: &mut Rule) {
    let Some(fields) = item.object() else { return };
    let content = fields.require(inner).and_then(|item| item.object());
    let unknown = fields.finish_conditions();
    rule.unsupported.extend(unknown);
    match content {
        Some(fields) if inner == "source" => rule.from.push(read_source(fields)),
        Some(fields) => rule.to.push(read_operation(fields)),
        None => {}
    }
}

fn read_source(fields: Fields<'_>) -> Source {
    let values = |name| fields.get(name).map(|item| read_values(&item)).unwrap_or_default();
    let source = Source {
        path: fields.path(),
        principals: values("principals"),
        not_principals: values("notPrincipals"),
        namespaces: values("namespaces"),
        not_namespaces: values("notNamespaces"),
        service_accounts: values("serviceAccounts"),
        not_service_accounts: values("notServiceAccounts"),
        unsupported: Vec::new(),
    };
    let accounts = !source.service_accounts.is_empty() || !source.not_service_accounts.is_empty();
    let others = [&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces];
    if accounts && others.iter().any(|list| !list.is_empty()) {
        fields.item().invalid("Cannot set serviceAccounts with namespaces or principals".into());
    }
    let blocks = ["ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks"];
    for item in blocks.iter().filter_map(|name| fields.get(name)) {
        item.list().iter().for_each(|block| {
            validate::address_or_block(block);
        });
    }
    for item in ["requestPrincipals", "notRequestPrincipals"].iter().filter_map(|name| fields.get(name)) {
        read_values(&item);
    }
    let mut unsupported = fields.conditions(&blocks);
    unsupported.extend(fields.conditions(&["requestPrincipals", "notRequestPrincipals"]));
    unsupported.extend(fields.conditions(&["trustDomains", "notTrustDomains"]));
    check_not_empty(&fields);
    unsupported.extend(fields.finish_conditions());
    Source { unsupported, ..source }
}

fn read_operation(fields: Fields<'_>) -> Operation {
    let values = |name| fields.get(name).map(|item| read_values(&item)).unwrap_or_default();
    let ports = |name| fields.get(name).map(|item| read_port_texts(&item)).unwrap_or_default();
    let mut operation = Operation {
        path: fields.path(),
        hosts: values("hosts"),
        not_hosts: values("notHosts"),
        ports: ports("ports"),
        not_ports: ports("notPorts"),
        methods: values("methods"),
        not_methods: values("notMethods"),
        paths: values("paths"),
        not_paths: values("notPaths"),
        unsupported: Vec::new(),
    };
    for (name, list) in [("paths", &mut operation.paths), ("notPaths", &mut operation.not_paths)] {
        if list.iter().any(|path| path.contains(['{', '}'])) {
            operation.unsupported.extend(fields.get(name).map(|item| item.unsupported_condition()));
            list.clear();
        }
    }
    check_not_empty(&fields);
    operation.unsupported.extend(fields.finish_conditions());
    operation
}

fn check_not_empty(fields: &Fields<'_>) {
    if fields.is_empty() {
        fields.item().invalid("must not be empty".into());
    }
}

/// Values to match; an empty list or value would be no condition, which nobody means.
fn read_values(item: &Item<'_>) -> Vec<Str> {
    let items = item.list();
    if items.is_empty() {
        item.invalid("must not be empty".into());
    }
    items.iter().filter_map(Item::non_empty).collect()
}

/// Ports, which Istio writes as strings.
fn read_port_texts(item: &Item<'_>) -> Vec<u16> {
    let port = |item: &Item<'_>| {
        let text = item.non_empty()?;
        let port = text.parse::<u16>().ok().filter(|port| *port > 0);
        if port.is_none() {
            item.invalid(format!("{text:?} is no port"));
        }
        port
    };
    let items = item.list();
    if items.is_empty() {
        item.invalid("must not be empty".into());
    }
    items.iter().filter_map(port).collect()
}

/// `when`: judged, though not evaluated yet.
fn read_when(item: &Item<'_>) {
    for fields in item.list().iter().filter_map(Item::object) {
        fields.require("key").and_then(|key| key.non_empty());
        let values = [fields.get("values"), fields.get("notValues")];
        if values.iter().all(Option::is_none) {
            fields.item().invalid("needs values or notValues".into());
        }
        values.iter().flatten().for_each(|item| {
            read_values(item);
        });
        fields.finish();
    }
}
