//! Keys: RFC 7517, and signatures by them.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use serde_json::Value;

use super::status::Status;
use super::token::{Alg, Hash, Token, decode};

/// A set of keys.
#[derive(Debug)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    /// Tokens with another one are not for this key.
    alg: Option<Alg>,
    material: Material,
}

enum Material {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The curve goes with the hash: P-256, P-384, P-521. An uncompressed point.
    Ec {
        curve: Hash,
        point: Vec<u8>,
    },
    Ed25519(Vec<u8>),
    Secret(Vec<u8>),
}

impl std::fmt::Debug for Material {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Material::Rsa { .. } => "RSA",
            Material::Ec { .. } => "EC",
            Material::Ed25519(_) => "Ed25519",
            // Never in a log.
            Material::Secret(_) => "oct",
        })
    }
}

impl Keys {
    /// Reads a JSON Web Key Set. Keys that are not understood are left out.
    ///
    /// # Errors
    /// It is none, or no key is left.
    pub fn parse(text: &[u8]) -> Result<Self, Status> {
        let set: Value = serde_json::from_slice(text).map_err(|_| Status::KeysBadJson)?;
        let keys = set.get("keys").ok_or(Status::KeysMissing)?.as_array().ok_or(Status::KeysNoArray)?;
        let keys: Vec<Key> = keys.iter().filter_map(key).collect();
        if keys.is_empty() { Err(Status::NoValidKey) } else { Ok(Keys(keys)) }
    }

    /// Whether one of the keys has signed the token.
    ///
    /// # Errors
    /// None has, or none is for such tokens.
    pub fn verify(&self, token: &Token<'_>) -> Result<(), Status> {
        let mut status = Status::NoMatchingKey;
        for key in &self.0 {
            if matches!((&token.kid, &key.kid), (Some(wanted), Some(kid)) if wanted != kid)
                || key.alg.is_some_and(|alg| alg != token.alg)
            {
                continue;
            }
            if key.material.has_signed(token) {
                return Ok(());
            }
            status = Status::VerificationFails;
        }
        Err(status)
    }
}

fn key(it: &Value) -> Option<Key> {
    let text = |name: &str| it.get(name).and_then(Value::as_str);
    let bytes =
        |name: &str| text(name).and_then(|it| decode(it.trim_end_matches('='))).filter(|it| !it.is_empty());
    let alg = match it.get("alg") {
        None => None,
        Some(alg) => Some(Alg::parse(alg.as_str()?)?),
    };
    let material = match text("kty")? {
        "RSA" => Material::Rsa { n: bytes("n")?, e: bytes("e")? },
        "EC" => {
            let (curve, size) = match text("crv")? {
                "P-256" => (Hash::Sha256, 32),
                "P-384" => (Hash::Sha384, 48),
                "P-521" => (Hash::Sha512, 66),
                _ => return None,
            };
            let (x, y) = (bytes("x")?, bytes("y")?);
            if x.len() > size || y.len() > size {
                return None;
            }
            let mut point = vec![0; 1 + 2 * size];
            point[0] = 4;
            point[1 + size - x.len()..1 + size].copy_from_slice(&x);
            point[1 + 2 * size - y.len()..].copy_from_slice(&y);
            Material::Ec { curve, point }
        }
        "OKP" if text("crv")? == "Ed25519" => Material::Ed25519(bytes("x").filter(|x| x.len() == 32)?),
        "oct" => Material::Secret(bytes("k")?),
        _ => return None,
    };
    let fits = match (alg, &material) {
        (None, _) => true,
        (Some(Alg::Rs(_) | Alg::Ps(_)), Material::Rsa { .. }) => true,
        (Some(Alg::Es(hash)), Material::Ec { curve, .. }) => hash == *curve,
        (Some(Alg::EdDsa), Material::Ed25519(_)) | (Some(Alg::Hs(_)), Material::Secret(_)) => true,
        _ => false,
    };
    fits.then(|| Key { kid: text("kid").filter(|kid| !kid.is_empty()).map(str::to_owned), alg, material })
}

impl Material {
    /// A key of one kind never verifies what another kind's algorithm has signed.
    fn has_signed(&self, token: &Token<'_>) -> bool {
        let (message, signature) = (token.signed.as_bytes(), &token.signature[..]);
        match (self, token.alg) {
            (Material::Rsa { n, e }, Alg::Rs(hash)) => rsa(n, e, pkcs1(hash), message, signature),
            (Material::Rsa { n, e }, Alg::Ps(hash)) => rsa(n, e, pss(hash), message, signature),
            (Material::Ec { curve, point }, Alg::Es(hash)) if *curve == hash => {
                let algorithm = match hash {
                    Hash::Sha256 => &signature::ECDSA_P256_SHA256_FIXED,
                    Hash::Sha384 => &signature::ECDSA_P384_SHA384_FIXED,
                    Hash::Sha512 => &signature::ECDSA_P521_SHA512_FIXED,
                };
                UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
            }
            (Material::Ed25519(key), Alg::EdDsa) => {
                UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signature).is_ok()
            }
            (Material::Secret(secret), Alg::Hs(hash)) => {
                let algorithm = match hash {
                    Hash::Sha256 => hmac::HMAC_SHA256,
                    Hash::Sha384 => hmac::HMAC_SHA384,
                    Hash::Sha512 => hmac::HMAC_SHA512,
                };
                hmac::verify(&hmac::Key::new(algorithm, secret), message, signature).is_ok()
            }
            _ => false,
        }
    }
}

fn rsa(n: &[u8], e: &[u8], how: &'static RsaParameters, message: &[u8], signature: &[u8]) -> bool {
    // Some write a zero in front, lest the number look negative.
    let n = &n[n.iter().take_while(|byte| **byte == 0).count()..];
    RsaPublicKeyComponents { n, e }.verify(how, message, signature).is_ok()
}

fn pkcs1(hash: Hash) -> &'static RsaParameters {
    match hash {
        Hash::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Hash::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
    }
}

fn pss(hash: Hash) -> &'static RsaParameters {
    match hash {
        Hash::Sha256 => &signature::RSA_PSS_2048_8192_SHA256,
        Hash::Sha384 => &signature::RSA_PSS_2048_8192_SHA384,
        Hash::Sha512 => &signature::RSA_PSS_2048_8192_SHA512,
    }
}
