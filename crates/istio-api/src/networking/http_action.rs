//! What an HTTPRoute does beside choosing destinations: redirects, answers, delegates, rewrites,
//! mirrors and header operations. See
//! <https://istio.io/latest/docs/reference/config/networking/virtual-service/#HTTPRoute>.

use std::collections::BTreeMap;

use model::Str;

use super::Destination;
use super::http_route::DESTINATION;
use crate::schema::macros::{choice, message};
use crate::schema::{bytes, choice as one_of, object, text, text_map, texts, uint32};
use crate::units::{PERCENT, Percent};

message! {
    /// An answer that sends the client elsewhere.
    pub struct Redirect {
        "uri" uri: Option<Str> = text(),
        /// In the place of the path's matched prefix.
        "prefixRewrite" prefix_rewrite: Option<Str> = text(),
        "authority" authority: Option<Str> = text(),
        "port" port: Option<u32> = uint32(),
        "derivePort" derive_port: Option<DerivePort> = one_of(DerivePort::NAMES),
        "scheme" scheme: Option<Str> = text(),
        /// A status from 300 to 399; 301 without.
        "redirectCode" redirect_code: Option<u32> = uint32(),
    }
    one_of ["port", "derivePort"];
}

choice! {
    /// Where a redirect's port comes from.
    pub enum DerivePort {
        "FROM_PROTOCOL_DEFAULT" FromProtocolDefault,
        "FROM_REQUEST_PORT" FromRequestPort,
    }
}

message! {
    /// A fixed answer.
    pub struct DirectResponse {
        "status" status: Option<u32> = uint32().required(),
        "body" body: Option<Body> = object(&Body::MESSAGE),
    }
}

message! {
    /// The content of an answer.
    pub struct Body {
        "string" string: Option<Str> = text(),
        /// In base64.
        "bytes" bytes: Option<Str> = bytes(),
    }
    one_of ["string", "bytes"];
}

message! {
    /// The VirtualService without hosts whose rules are put in here.
    pub struct Delegate {
        "name" name: Str = text(),
        /// Empty: the root's own.
        "namespace" namespace: Str = text(),
    }
}

message! {
    /// Changes to a request's path and host before it is forwarded.
    pub struct Rewrite {
        /// The new path, or what replaces the matched prefix.
        "uri" uri: Option<Str> = text(),
        "authority" authority: Option<Str> = text(),
        "uriRegexRewrite" uri_regex_rewrite: Option<RegexRewrite> = object(&RegexRewrite::MESSAGE),
    }
}

message! {
    /// A substitution in the path.
    pub struct RegexRewrite {
        /// RE2 syntax.
        "match" pattern: Str = text(),
        /// The replacement; \1 is the first group.
        "rewrite" rewrite: Str = text(),
    }
}

message! {
    /// Copies of requests, whose answers are dropped.
    pub struct Mirror {
        "destination" destination: Option<Destination> = object(&DESTINATION).required(),
        /// All without.
        "percentage" percentage: Option<Percent> = object(&PERCENT),
    }
}

message! {
    /// Changes to headers.
    pub struct Headers {
        "request" request: Option<HeaderOperations> = object(&HeaderOperations::MESSAGE),
        "response" response: Option<HeaderOperations> = object(&HeaderOperations::MESSAGE),
    }
}

message! {
    /// Headers to be set, added and removed, in this order.
    pub struct HeaderOperations {
        "set" set: BTreeMap<Str, Str> = text_map(),
        "add" add: BTreeMap<Str, Str> = text_map(),
        "remove" remove: Vec<Str> = texts(),
    }
}
