//! Names in certificates.

use std::fmt::Write as _;
use std::net::IpAddr;

use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use stdx::Str;
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::certificate::bad;
use crate::error::TlsError;

/// What a certificate says of its owner, and when it is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    pub uri_sans: Vec<Str>,
    pub dns_sans: Vec<Str>,
    pub email_sans: Vec<Str>,
    pub ip_sans: Vec<IpAddr>,
    /// Of the kind `otherName`, those whose value is a text.
    pub other_sans: Vec<Str>,
    /// As RFC 2253 writes it (`CN=…,O=…`), empty for workloads.
    pub subject: Str,
    /// Unix seconds.
    pub not_before: i64,
    /// Unix seconds.
    pub not_after: i64,
}

impl Names {
    /// Reads the names of a DER certificate.
    ///
    /// # Errors
    /// It is not one.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|_| bad("certificate is not valid DER"))?;
        let mut names = Names {
            uri_sans: Vec::new(),
            dns_sans: Vec::new(),
            email_sans: Vec::new(),
            ip_sans: Vec::new(),
            other_sans: Vec::new(),
            subject: rfc2253(parsed.subject()).into(),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        };
        let sans = parsed.subject_alternative_name().map_err(|_| bad("certificate has malformed names"))?;
        for name in sans.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::URI(uri) => names.uri_sans.push((*uri).into()),
                GeneralName::DNSName(dns) => names.dns_sans.push((*dns).into()),
                GeneralName::RFC822Name(email) => names.email_sans.push((*email).into()),
                GeneralName::IPAddress(bytes) => names.ip_sans.extend(ip_of(bytes)),
                GeneralName::OtherName(_, value) => names.other_sans.extend(other(value)),
                _ => {}
            }
        }
        Ok(names)
    }

    /// Whether `now` (Unix seconds) is within the validity.
    pub fn check_time(&self, now: i64) -> Result<(), TlsError> {
        let problem = if now < self.not_before {
            CertificateError::NotValidYet
        } else if now > self.not_after {
            CertificateError::Expired
        } else {
            return Ok(());
        };
        Err(TlsError::from_rustls(&rustls::Error::InvalidCertificate(problem)))
    }

    /// The first SPIFFE id among the URIs.
    pub fn spiffe(&self) -> Option<model::SpiffeId> {
        self.uri_sans.iter().find_map(|uri| uri.parse().ok())
    }
}

fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// The value of an `otherName`, which is tagged `[0]`, where it is a text.
fn other(value: &[u8]) -> Option<Str> {
    let (_, tagged) = Any::from_der(value).ok()?;
    let (_, inner) = Any::from_der(tagged.data).ok()?;
    let is_text = matches!(
        inner.tag(),
        Tag::Utf8String | Tag::Ia5String | Tag::PrintableString | Tag::VisibleString | Tag::OctetString
    );
    std::str::from_utf8(inner.data).ok().filter(|_| is_text).map(Str::from)
}

/// The name as RFC 2253 has it, the last part first, which is how Envoy shows subjects.
pub(crate) fn rfc2253(name: &X509Name<'_>) -> String {
    let registry = x509_parser::objects::oid_registry();
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|rdn| {
            let attributes: Vec<String> = rdn
                .iter()
                .map(|attribute| {
                    let oid = attribute.attr_type();
                    let key = x509_parser::objects::oid2abbrev(oid, registry)
                        .map_or_else(|_| oid.to_id_string(), str::to_owned);
                    format!("{key}={}", escaped(attribute.as_str().unwrap_or("")))
                })
                .collect();
            attributes.join("+")
        })
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// What is no printable ASCII is written as the hexadecimal of its UTF-8, as Envoy has it.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        if !matches!(c, ' '..='~') {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "\\{byte:02X}");
            }
            continue;
        }
        let special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';');
        let edge = (c == ' ' && (index == 0 || index == last)) || (c == '#' && index == 0);
        if special || edge {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_escaped() {
        assert_eq!(escaped(" a,b#"), "\\ a\\,b#");
        assert_eq!(escaped("#x"), "\\#x");
        assert_eq!(escaped("Zür\n"), "Z\\C3\\BCr\\0A");
    }

    #[test]
    fn texts_of_other_names_are_read() {
        assert_eq!(other(&[0xa0, 4, 0x0c, 2, b'h', b'i']).as_deref(), Some("hi"));
        assert_eq!(other(&[0xa0, 3, 0x02, 1, 5]), None);
        assert_eq!(other(&[0xa0, 9, 0x0c]), None);
    }
}
