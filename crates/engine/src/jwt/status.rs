//! How tokens fail.

/// Why a request has no good token; in Envoy's words, which clients read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Missing,
    BadFormat,
    HeaderBadBase64,
    HeaderBadJson,
    HeaderBadAlg,
    HeaderUnknownAlg,
    HeaderBadKid,
    PayloadBadBase64,
    PayloadBadJson,
    /// The field of the payload, and what it is not.
    PayloadField(&'static str, &'static str),
    SignatureBadBase64,
    UnknownIssuer,
    NotYetValid,
    Expired,
    AudienceNotAllowed,
    VerificationFails,
    KeysBadJson,
    KeysMissing,
    KeysNoArray,
    NoValidKey,
    NoMatchingKey,
    FetchFailed,
}

impl Status {
    /// What a client reads.
    pub fn text(self) -> String {
        let text = match self {
            Status::Missing => "Jwt is missing",
            Status::BadFormat => {
                "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
            }
            Status::HeaderBadBase64 => "Jwt header is an invalid Base64url encoded",
            Status::HeaderBadJson => "Jwt header is an invalid JSON",
            Status::HeaderBadAlg => "Jwt header [alg] field is required and must be a string",
            Status::HeaderUnknownAlg => "Jwt header [alg] is not supported",
            Status::HeaderBadKid => "Jwt header [kid] field is not a string",
            Status::PayloadBadBase64 => "Jwt payload is an invalid Base64url encoded",
            Status::PayloadBadJson => "Jwt payload is an invalid JSON",
            Status::PayloadField(name, what) => return format!("Jwt payload [{name}] field is not {what}"),
            Status::SignatureBadBase64 => "Jwt signature is an invalid Base64url encoded",
            Status::UnknownIssuer => "Jwt issuer is not configured",
            Status::NotYetValid => "Jwt not yet valid",
            Status::Expired => "Jwt is expired",
            Status::AudienceNotAllowed => "Audiences in Jwt are not allowed",
            Status::VerificationFails => "Jwt verification fails",
            Status::KeysBadJson => "Jwks is an invalid JSON",
            Status::KeysMissing => "Jwks does not have [keys] field",
            Status::KeysNoArray => "[keys] in Jwks is not an array",
            Status::NoValidKey => "Jwks doesn't have any valid public key",
            Status::NoMatchingKey => "Jwks doesn't have key to match kid or alg from Jwt",
            Status::FetchFailed => "Jwks remote fetch is failed",
        };
        text.to_owned()
    }

    /// 403 for a good token that is meant for others, else 401.
    pub fn http(self) -> u16 {
        if self == Status::AudienceNotAllowed { 403 } else { 401 }
    }
}
