//! What an AuthorizationPolicy may look like. Its rules are conditions: what is not understood of
//! them closes what they open.

use model::Str;

use crate::schema::macros::message;
use crate::schema::rules::{ACCOUNTS_ALONE, SELECTOR_OR_TARGET};
use crate::schema::{choice, list, object, text, texts};
use crate::selector::{Selector, TargetReference};

message! {
    /// Who may ask for what.
    table SPEC {
        "selector" = object(&Selector::MESSAGE),
        "targetRef" = object(&TargetReference::MESSAGE),
        "targetRefs" = list(&object(&TargetReference::MESSAGE)).max(16),
        /// One must match. Empty: none does, so an ALLOW policy then allows nothing.
        "rules" = list(&object(&RULE)).max(512),
        "action" = choice(&["ALLOW", "DENY", "AUDIT", "CUSTOM"]),
        /// Who is asked with CUSTOM.
        "provider" = object(&Provider::MESSAGE),
    }
    rules SELECTOR_OR_TARGET;
}

message! {
    /// An extension provider of the mesh.
    pub struct Provider {
        "name" name: Str = text(),
    }
}

message! {
    /// One source, one operation and all conditions must match.
    table RULE {
        "from" = list(&object(&FROM)).max(512),
        "to" = list(&object(&TO)),
        "when" = list(&object(&Condition::MESSAGE)),
    }
    conditions true;
}

message! {
    /// A source.
    table FROM {
        "source" = object(&SOURCE).rules(ACCOUNTS_ALONE),
    }
    conditions true;
}

message! {
    /// Conditions on the peer, all of which must hold.
    table SOURCE {
        "principals" = texts(),
        "notPrincipals" = texts(),
        /// ISSUER/SUBJECT of the token.
        "requestPrincipals" = texts(),
        "notRequestPrincipals" = texts(),
        "namespaces" = texts(),
        "notNamespaces" = texts(),
        /// Addresses of the connection.
        "ipBlocks" = texts(),
        "notIpBlocks" = texts(),
        /// Addresses of the original client.
        "remoteIpBlocks" = texts(),
        "notRemoteIpBlocks" = texts(),
        "serviceAccounts" = list(&text().max(320)).max(16),
        "notServiceAccounts" = list(&text().max(320)).max(16),
        "trustDomains" = texts(),
        "notTrustDomains" = texts(),
    }
    conditions true;
}

message! {
    /// An operation.
    table TO {
        "operation" = object(&OPERATION),
    }
    conditions true;
}

message! {
    /// Conditions on the request, all of which must hold.
    table OPERATION {
        "hosts" = texts(),
        "notHosts" = texts(),
        "ports" = texts(),
        "notPorts" = texts(),
        "methods" = texts(),
        "notMethods" = texts(),
        "paths" = texts(),
        "notPaths" = texts(),
    }
    conditions true;
}

message! {
    /// A condition on an attribute.
    pub struct Condition {
        /// As in `request.headers[user-agent]`: <https://istio.io/latest/docs/reference/config/security/conditions/>.
        "key" key: Str = text().required(),
        "values" values: Vec<Str> = texts(),
        "notValues" not_values: Vec<Str> = texts(),
    }
}
