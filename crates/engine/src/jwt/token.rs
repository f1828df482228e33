//! Reading tokens: RFC 7519 in the compact form of RFC 7515.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::status::Status;

/// More than any head of a request has room for.
const MAX_BYTES: usize = 1 << 20;

/// A token that was read; nothing of it was verified.
#[derive(Debug)]
pub struct Token<'a> {
    pub alg: Alg,
    pub kid: Option<String>,
    pub header: Value,
    pub payload: Value,
    /// As it came.
    pub payload_base64: &'a str,
    /// Header and payload as they came, which were signed.
    pub signed: &'a str,
    pub signature: Vec<u8>,
    pub issuer: Option<String>,
    pub subject: Option<String>,
    pub audiences: Vec<String>,
    /// Seconds since the epoch.
    pub not_before: Option<u64>,
    pub expires: Option<u64>,
}

/// RFC 7518, section 3.1, and RFC 8037.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alg {
    Rs(Hash),
    Ps(Hash),
    Es(Hash),
    Hs(Hash),
    EdDsa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Alg {
    pub fn parse(text: &str) -> Option<Self> {
        if text == "EdDSA" {
            return Some(Alg::EdDsa);
        }
        let hash = match text.get(2..)? {
            "256" => Hash::Sha256,
            "384" => Hash::Sha384,
            "512" => Hash::Sha512,
            _ => return None,
        };
        Some(match text.get(..2)? {
            "RS" => Alg::Rs(hash),
            "PS" => Alg::Ps(hash),
            "ES" => Alg::Es(hash),
            "HS" => Alg::Hs(hash),
            _ => return None,
        })
    }
}

impl<'a> Token<'a> {
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &'a str) -> Result<Self, Status> {
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Status::BadFormat);
        };
        if text.len() > MAX_BYTES {
            return Err(Status::BadFormat);
        }
        let head = decode(header).ok_or(Status::HeaderBadBase64)?;
        let head = object(&head).ok_or(Status::HeaderBadJson)?;
        let alg = head.get("alg").and_then(Value::as_str).ok_or(Status::HeaderBadAlg)?;
        let alg = Alg::parse(alg).ok_or(Status::HeaderUnknownAlg)?;
        let kid = match head.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(Status::HeaderBadKid),
        };
        let body = decode(payload).ok_or(Status::PayloadBadBase64)?;
        let body = object(&body).ok_or(Status::PayloadBadJson)?;
        let issuer = text_of(&body, "iss")?;
        let subject = text_of(&body, "sub")?;
        seconds(&body, "iat")?;
        let not_before = seconds(&body, "nbf")?;
        let expires = seconds(&body, "exp")?;
        text_of(&body, "jti")?;
        let audiences = audiences(&body)?;
        Ok(Token {
            alg,
            kid,
            payload_base64: payload,
            signed: &text[..header.len() + 1 + payload.len()],
            signature: decode(signature).ok_or(Status::SignatureBadBase64)?,
            issuer,
            subject,
            audiences,
            not_before,
            expires,
            header: head,
            payload: body,
        })
    }

    /// Whether it holds now, give or take `skew` (all in seconds).
    ///
    /// # Errors
    /// It does not yet, or not any more.
    pub fn holds(&self, now: u64, skew: u64) -> Result<(), Status> {
        if self.not_before.is_some_and(|begin| now.saturating_add(skew) < begin) {
            return Err(Status::NotYetValid);
        }
        match self.expires {
            Some(end) if now > end.saturating_add(skew) => Err(Status::Expired),
            _ => Ok(()),
        }
    }
}

pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn object(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().filter(Value::is_object)
}

fn text_of(payload: &Value, name: &'static str) -> Result<Option<String>, Status> {
    match payload.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Status::PayloadField(name, "a string")),
    }
}

fn seconds(payload: &Value, name: &'static str) -> Result<Option<u64>, Status> {
    let Some(value) = payload.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(seconds));
    }
    match value.as_f64() {
        None => Err(Status::PayloadField(name, "an integer")),
        // Fractions of a second are cut off.
        Some(seconds) if (0.0..18_446_744_073_709_551_615.0).contains(&seconds) => Ok(Some(seconds as u64)),
        Some(_) => Err(Status::PayloadField(name, "a positive 64 bit integer")),
    }
}

fn audiences(payload: &Value) -> Result<Vec<String>, Status> {
    let wrong = Status::PayloadField("aud", "a string or string list");
    match payload.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(all)) => all.iter().map(|it| it.as_str().map(str::to_owned).ok_or(wrong)).collect(),
        Some(_) => Err(wrong),
    }
}
