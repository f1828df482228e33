//! AuthorizationPolicy:
//! <https://istio.io/latest/docs/reference/config/security/authorization-policy/>.

use model::{Labels, Level, Str};

use super::authorization_schema::{Condition, Provider};
use crate::codes;
use crate::reader::{Absent, Fields, Item};
use crate::selector::TargetReference;

/// Who may ask for what.
#[derive(Clone, Debug, Default, PartialEq)]
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
    pub target_refs: Vec<TargetReference>,
    /// The extension provider that is asked with CUSTOM.
    pub provider: Option<Str>,
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
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    pub from: Vec<Source>,
    pub to: Vec<Operation>,
    pub when: Vec<Condition>,
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
    pub request_principals: Vec<Str>,
    pub not_request_principals: Vec<Str>,
    /// Addresses of the connection: single ones or blocks.
    pub ip_blocks: Vec<Str>,
    pub not_ip_blocks: Vec<Str>,
    /// Addresses of the original client.
    pub remote_ip_blocks: Vec<Str>,
    pub not_remote_ip_blocks: Vec<Str>,
    pub trust_domains: Vec<Str>,
    pub not_trust_domains: Vec<Str>,
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
    let selector = spec.get("selector").as_ref().and_then(super::read_selector);
    let action_item = spec.get("action");
    let action = action_item.as_ref().and_then(|item| item.one_of(&ACTIONS)).unwrap_or_default();
    report_action(action_item.as_ref().unwrap_or(spec.item()), action);
    let targets = [spec.get("targetRef"), spec.get("targetRefs")];
    let attached = targets.iter().any(Option::is_some);
    for item in targets.iter().flatten() {
        let message = "policies attached by targetRef have no effect yet";
        item.report(Level::Warning, codes::NO_EFFECT, message.into());
    }
    if dry_run {
        let message = "istio.io/dry-run is true: the policy is not enforced, and not logged yet";
        spec.item().report(Level::Info, codes::NO_EFFECT, message.into());
    }
    let rules = spec.get("rules").map(|item| item.objects(|f| Some(read_rule(f)))).unwrap_or_default();
    let mut target_refs: Vec<TargetReference> = Absent::from_item(spec.get("targetRefs"));
    target_refs.extend(Option::from_item(spec.get("targetRef")));
    let provider: Option<Provider> = Absent::from_item(spec.get("provider"));
    spec.finish();
    AuthorizationPolicy {
        selector,
        action,
        rules,
        attached,
        dry_run,
        target_refs,
        provider: provider.map(|provider| provider.name),
        broken: cx.is_broken(),
    }
}

fn report_action(at: &Item<'_>, action: Action) {
    match action {
        Action::Custom => {
            let message = "external authorization has no effect yet: what the rules match is denied";
            at.report(Level::Warning, codes::NO_EFFECT, message.into());
        }
        Action::Audit => at.no_effect(),
        Action::Allow | Action::Deny => {}
    }
}

fn read_rule(fields: Fields<'_>) -> Rule {
    let mut rule = Rule { path: fields.path(), ..Rule::default() };
    for (list, inner) in [("from", "source"), ("to", "operation")] {
        for item in fields.get(list).map(|item| item.list()).unwrap_or_default() {
            read_part(&item, inner, &mut rule);
        }
    }
    rule.when = Absent::from_item(fields.get("when"));
    rule.unsupported.extend(fields.conditions(&["when"]));
    rule.unsupported.extend(fields.finish_conditions());
    rule
}

/// One entry of `from` or `to`. What is wrong with it narrows the rule, it never widens it.
fn read_part(item: &Item<'_>, inner: &'static str, rule: &mut Rule) {
    let Some(fields) = item.object() else { return };
    let content = fields.get(inner).and_then(|item| item.object());
    let unknown = fields.finish_conditions();
    rule.unsupported.extend(unknown);
    match content {
        Some(fields) if inner == "source" => rule.from.push(read_source(fields)),
        Some(fields) => rule.to.push(read_operation(fields)),
        None => {}
    }
}

/// Conditions of a source that cannot be evaluated yet.
const UNSUPPORTED: [&str; 8] = [
    "ipBlocks",
    "notIpBlocks",
    "remoteIpBlocks",
    "notRemoteIpBlocks",
    "requestPrincipals",
    "notRequestPrincipals",
    "trustDomains",
    "notTrustDomains",
];

fn read_source(fields: Fields<'_>) -> Source {
    let values = |name| Absent::from_item(fields.get(name));
    let source = Source {
        path: fields.path(),
        principals: values("principals"),
        not_principals: values("notPrincipals"),
        namespaces: values("namespaces"),
        not_namespaces: values("notNamespaces"),
        service_accounts: values("serviceAccounts"),
        not_service_accounts: values("notServiceAccounts"),
        request_principals: values("requestPrincipals"),
        not_request_principals: values("notRequestPrincipals"),
        ip_blocks: values("ipBlocks"),
        not_ip_blocks: values("notIpBlocks"),
        remote_ip_blocks: values("remoteIpBlocks"),
        not_remote_ip_blocks: values("notRemoteIpBlocks"),
        trust_domains: values("trustDomains"),
        not_trust_domains: values("notTrustDomains"),
        unsupported: Vec::new(),
    };
    let mut unsupported = fields.conditions(&UNSUPPORTED);
    unsupported.extend(fields.finish_conditions());
    Source { unsupported, ..source }
}

fn read_operation(fields: Fields<'_>) -> Operation {
    let values = |name| Absent::from_item(fields.get(name));
    let ports = |name| {
        let texts: Vec<Str> = Absent::from_item(fields.get(name));
        texts.iter().filter_map(|text| text.parse().ok()).collect()
    };
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
    operation.unsupported.extend(fields.finish_conditions());
    operation
}
