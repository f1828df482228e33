//! RequestAuthentication:
//! <https://istio.io/latest/docs/reference/config/security/request_authentication/>.

use std::time::Duration;

use model::Str;

use crate::schema::macros::{choice, message};
use crate::schema::rules::{HEADER, HTTP_URL, ONE_JWKS, SELECTOR_OR_TARGET};
use crate::schema::{boolean, choice as one_of, duration, list, object, text};
use crate::selector::{Selector, TargetReference};

message! {
    /// Which tokens of end users are accepted.
    pub struct RequestAuthentication {
        "selector" selector: Option<Selector> = object(&Selector::MESSAGE),
        "targetRef" target_ref: Option<TargetReference> = object(&TargetReference::MESSAGE),
        "targetRefs" target_refs: Vec<TargetReference> = list(&object(&TargetReference::MESSAGE)).max(16),
        /// A token that is there must satisfy one of these.
        "jwtRules" jwt_rules: Vec<JwtRule> = list(&object(&JwtRule::MESSAGE).rules(ONE_JWKS)).max(4096),
    }
    rules SELECTOR_OR_TARGET;
}

message! {
    /// An issuer of tokens.
    pub struct JwtRule {
        "issuer" issuer: Str = text().min(1),
        /// One of these must be in the token; empty: whichever.
        "audiences" audiences: Vec<Str> = list(&text().min(1)),
        /// Where the keys are; found by OpenID Connect without.
        "jwksUri" jwks_uri: Option<Str> = text().min(1).max(2048).rules(HTTP_URL),
        /// The older spelling of jwksUri.
        "jwks_uri" jwks_uri_alias: Option<Str> = text().min(1).max(2048).rules(HTTP_URL),
        /// The keys themselves.
        "jwks" jwks: Option<Str> = text(),
        "fromHeaders" from_headers: Vec<JwtHeader> = list(&object(&JwtHeader::MESSAGE)),
        "fromParams" from_params: Vec<Str> = list(&text().min(1)),
        "fromCookies" from_cookies: Vec<Str> = list(&text().min(1)),
        /// The header that gets the token's content, in base64.
        "outputPayloadToHeader" output_payload_to_header: Option<Str> = text(),
        "forwardOriginalToken" forward_original_token: bool = boolean(),
        "outputClaimToHeaders" output_claim_to_headers: Vec<ClaimToHeader> = list(&object(&ClaimToHeader::MESSAGE)),
        /// For fetching the keys; 5s without.
        "timeout" timeout: Option<Duration> = duration(),
        "presence" presence: Option<Presence> = one_of(Presence::NAMES),
        /// Claims whose text is a list, beside scope and permission.
        "spaceDelimitedClaims" space_delimited_claims: Vec<Str> = list(&text().min(1)).max(64),
    }
}

message! {
    /// A header that has the token.
    pub struct JwtHeader {
        "name" name: Str = text().min(1).required(),
        /// What stands before the token, as `Bearer ` does.
        "prefix" prefix: Str = text(),
    }
}

message! {
    /// A claim that is copied to a header.
    pub struct ClaimToHeader {
        "header" header: Str = text().min(1).pattern(&HEADER).required(),
        "claim" claim: Str = text().min(1).required(),
    }
}

choice! {
    /// Whether requests without a token are accepted.
    pub enum Presence {
        "OPTIONAL" Optional,
        "REQUIRED" Required,
    }
}
