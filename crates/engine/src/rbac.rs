//! Whether a caller may: Envoy's RBAC over a connection and, where there is one, a request.

use std::net::{IpAddr, SocketAddr};

use ir::rbac::{Permission, Principal, RbacAction};
use stdx::Str;

use crate::request::path_only;
use crate::{Problem, Request, matcher, metadata};

/// What is known of the connection a caller came on.
#[derive(Clone, Debug)]
pub struct Peer<'a> {
    /// The client's address, as believed from `x-forwarded-for`; for TCP the peer's.
    pub remote: IpAddr,
    /// The TCP peer's address.
    pub direct_remote: IpAddr,
    /// Where the connection was going.
    pub local: SocketAddr,
    /// Server name of the ClientHello, or empty.
    pub server_name: &'a str,
    /// The verified certificate of the peer.
    pub certificate: Option<&'a Certificate>,
    /// What filters have said of the request.
    pub metadata: Option<&'a ir::Metadata>,
}

/// What a verified certificate says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    pub uri_sans: Vec<Str>,
    pub dns_sans: Vec<Str>,
    /// RFC 2253.
    pub subject: Str,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// Allowed, and the log is to know whether a policy matched.
    Logged {
        matched: bool,
    },
    /// With the policy that denied; `None` if no ALLOW policy matched.
    Denied {
        policy: Option<Str>,
    },
}

/// A compiled [`ir::Rbac`].
#[derive(Debug)]
pub struct Rbac {
    action: RbacAction,
    policies: Box<[(Str, Box<[Node]>, Box<[Node]>)]>,
}

/// A condition. Permissions and principals differ in what they may say, not in how it is judged.
#[derive(Debug)]
enum Node {
    Any,
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    Header(matcher::Header),
    Path(matcher::Text),
    DestinationIp(ir::Cidr),
    DestinationPorts { start: u32, end: u32 },
    ServerName(matcher::Text),
    Authenticated(Option<matcher::Text>),
    DirectRemoteIp(ir::Cidr),
    RemoteIp(ir::Cidr),
    Metadata(metadata::Matcher),
}

impl Rbac {
    /// Compiles rules.
    ///
    /// # Errors
    /// An expression that is not RE2's.
    pub fn compile(rules: &ir::Rbac) -> Result<Self, Problem> {
        let compile = |(name, policy): (&Str, &ir::rbac::Policy)| {
            let permissions = all(&policy.permissions, "permissions", permission);
            let principals = all(&policy.principals, "principals", principal);
            permissions
                .and_then(|permissions| Ok((name.clone(), permissions, principals?)))
                .map_err(|problem: Problem| problem.inside(format!("policies[{name:?}]")))
        };
        Ok(Rbac {
            action: rules.action,
            policies: rules.policies.iter().map(compile).collect::<Result<_, _>>()?,
        })
    }

    /// Judges a request, or a connection (`request` is `None`). Conditions on a request never
    /// hold for a connection.
    pub fn decide<R: Request + ?Sized>(&self, peer: &Peer<'_>, request: Option<&R>) -> Verdict {
        let facts = Facts { peer, request };
        let matched = self.policies.iter().find(|(_, permissions, principals)| {
            permissions.iter().any(|node| facts.holds(node))
                && principals.iter().any(|node| facts.holds(node))
        });
        match (self.action, matched) {
            (RbacAction::Log, matched) => Verdict::Logged { matched: matched.is_some() },
            (RbacAction::Allow, Some(_)) | (RbacAction::Deny, None) => Verdict::Allowed,
            (RbacAction::Allow, None) => Verdict::Denied { policy: None },
            (RbacAction::Deny, Some((name, ..))) => Verdict::Denied { policy: Some(name.clone()) },
        }
    }
}

struct Facts<'a, R: ?Sized> {
    peer: &'a Peer<'a>,
    request: Option<&'a R>,
}

impl<R: Request + ?Sized> Facts<'_, R> {
    fn holds(&self, node: &Node) -> bool {
        match node {
            Node::Any => true,
            Node::And(nodes) => nodes.iter().all(|n| self.holds(n)),
            Node::Or(nodes) => nodes.iter().any(|n| self.holds(n)),
            Node::Not(node) => !self.holds(node),
            Node::Header(header) => self.request.is_some_and(|r| header.matches(r)),
            // CONNECT has no path: no rule about paths is about it.
            Node::Path(text) => self
                .request
                .map(|request| path_only(request.path()))
                .is_some_and(|path| !path.is_empty() && text.matches(path)),
            Node::DestinationIp(range) => range.contains(self.peer.local.ip()),
            Node::DestinationPorts { start, end } => {
                (*start..*end).contains(&u32::from(self.peer.local.port()))
            }
            Node::ServerName(text) => text.matches(self.peer.server_name.as_bytes()),
            Node::Authenticated(text) => self.authenticated(text.as_ref()),
            Node::DirectRemoteIp(range) => range.contains(self.peer.direct_remote),
            Node::RemoteIp(range) => range.contains(self.peer.remote),
            Node::Metadata(matcher) => matcher.matches(self.peer.metadata),
        }
    }

    /// Envoy looks at the URI SANs; at the DNS SANs if there are none; else at the subject.
    fn authenticated(&self, text: Option<&matcher::Text>) -> bool {
        let Some(certificate) = self.peer.certificate else { return false };
        let Some(text) = text else { return true };
        if !certificate.uri_sans.is_empty() {
            return certificate.uri_sans.iter().any(|san| text.matches(san.as_bytes()));
        }
        if !certificate.dns_sans.is_empty() {
            return certificate.dns_sans.iter().any(|san| text.matches(san.as_bytes()));
        }
        text.matches(certificate.subject.as_bytes())
    }
}

fn all<T>(
    items: &[T],
    field: &str,
    compile: impl Fn(&T) -> Result<Node, Problem>,
) -> Result<Box<[Node]>, Problem> {
    let compile = |(i, item)| compile(item).map_err(|p: Problem| p.inside(format!("{field}[{i}]")));
    items.iter().enumerate().map(compile).collect()
}

fn permission(permission: &Permission) -> Result<Node, Problem> {
    Ok(match permission {
        Permission::Any => Node::Any,
        Permission::And(rules) => Node::And(all(rules, "and_rules.rules", self::permission)?),
        Permission::Or(rules) => Node::Or(all(rules, "or_rules.rules", self::permission)?),
        Permission::Not(rule) => {
            Node::Not(Box::new(self::permission(rule).map_err(|p| p.inside("not_rule"))?))
        }
        Permission::Header(header) => Node::Header(matcher::Header::compile(header)?),
        Permission::UrlPath(text) => Node::Path(matcher::Text::compile(text)?),
        Permission::DestinationIp(range) => Node::DestinationIp(*range),
        Permission::DestinationPort(port) => {
            Node::DestinationPorts { start: u32::from(*port), end: u32::from(*port) + 1 }
        }
        Permission::DestinationPortRange { start, end } => {
            Node::DestinationPorts { start: *start, end: *end }
        }
        Permission::RequestedServerName(text) => Node::ServerName(matcher::Text::compile(text)?),
        Permission::Metadata(it) => Node::Metadata(metadata::Matcher::compile(it)?),
    })
}

fn principal(principal: &Principal) -> Result<Node, Problem> {
    Ok(match principal {
        Principal::Any => Node::Any,
        Principal::And(ids) => Node::And(all(ids, "and_ids.ids", self::principal)?),
        Principal::Or(ids) => Node::Or(all(ids, "or_ids.ids", self::principal)?),
        Principal::Not(id) => Node::Not(Box::new(self::principal(id).map_err(|p| p.inside("not_id"))?)),
        Principal::Authenticated(text) => {
            Node::Authenticated(text.as_ref().map(matcher::Text::compile).transpose()?)
        }
        Principal::DirectRemoteIp(range) => Node::DirectRemoteIp(*range),
        Principal::RemoteIp(range) => Node::RemoteIp(*range),
        Principal::Header(header) => Node::Header(matcher::Header::compile(header)?),
        Principal::UrlPath(text) => Node::Path(matcher::Text::compile(text)?),
        Principal::Metadata(it) => Node::Metadata(metadata::Matcher::compile(it)?),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::request::PlainRequest;

    fn rules(action: RbacAction, permissions: Vec<Permission>, principals: Vec<Principal>) -> Rbac {
        let policy = ir::rbac::Policy { permissions, principals };
        Rbac::compile(&ir::Rbac { action, policies: BTreeMap::from([("p".into(), policy)]) }).unwrap()
    }

    fn decide(rules: &Rbac, uri: Option<&str>, request: Option<&PlainRequest>) -> Verdict {
        let certificate = uri.map(|uri| Certificate { uri_sans: vec![uri.into()], ..Default::default() });
        let peer = Peer {
            remote: [10, 0, 0, 9].into(),
            direct_remote: [10, 0, 0, 9].into(),
            local: SocketAddr::from(([10, 0, 0, 1], 9080)),
            server_name: "",
            certificate: certificate.as_ref(),
            metadata: None,
        };
        rules.decide(&peer, request)
    }

    const ID: &str = "spiffe://cluster.local/ns/default/sa/bookinfo-productpage";

    #[test]
    fn allows_by_principal_method_and_path() {
        let method = ir::HeaderMatcher {
            name: ":method".into(),
            matches: ir::matcher::HeaderMatch::Value(ir::StringMatcher::exact("GET")),
            invert: false,
            treat_missing_as_empty: false,
        };
        let rules = rules(
            RbacAction::Allow,
            vec![Permission::And(vec![
                Permission::Header(method),
                Permission::UrlPath(ir::StringMatcher::prefix("/reviews/")),
            ])],
            vec![Principal::Authenticated(Some(ir::StringMatcher::exact(ID)))],
        );
        let get = PlainRequest::get("reviews", "/reviews/0?x");
        let post = PlainRequest { method: "POST".into(), ..get.clone() };
        let denied = Verdict::Denied { policy: None };
        assert_eq!(decide(&rules, Some(ID), Some(&get)), Verdict::Allowed);
        assert_eq!(decide(&rules, Some(ID), Some(&post)), denied);
        assert_eq!(decide(&rules, Some("spiffe://x/ns/y/sa/z"), Some(&get)), denied);
        assert_eq!(decide(&rules, None, Some(&get)), denied);
        assert_eq!(decide(&rules, Some(ID), Some(&PlainRequest::get("reviews", "/x"))), denied);
        assert_eq!(decide(&rules, Some(ID), None), denied);
    }

    #[test]
    fn denies_with_the_policys_name() {
        let port = Permission::DestinationPort(9080);
        let rules = rules(
            RbacAction::Deny,
            vec![port],
            vec![Principal::Not(Box::new(Principal::Authenticated(None)))],
        );
        assert_eq!(decide(&rules, None, None), Verdict::Denied { policy: Some("p".into()) });
        assert_eq!(decide(&rules, Some(ID), None), Verdict::Allowed);
    }

    #[test]
    fn allow_without_policies_denies_everything() {
        let rules =
            Rbac::compile(&ir::Rbac { action: RbacAction::Allow, policies: BTreeMap::new() }).unwrap();
        assert_eq!(decide(&rules, Some(ID), None), Verdict::Denied { policy: None });
    }
}
