//! The authority from request to certificate, and everything that must be refused.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use model::SpiffeId;
use rcgen::{CertificateParams, KeyPair, SanType};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::*;

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

fn issuer(dir: &std::path::Path) -> Issuer {
    Issuer::new(SigningCa::load_or_create(dir, "cluster.local", now()).unwrap(), IssuerLimits::default())
}

fn reviews() -> SpiffeId {
    SpiffeId::new("cluster.local", "shop", "reviews")
}

/// A request that asks for someone else's names: they must not count.
fn request(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![
        SanType::URI("spiffe://cluster.local/ns/shop/sa/admin".try_into().unwrap()),
        SanType::DnsName("bank.example".try_into().unwrap()),
    ];
    params.serialize_request(key).unwrap().pem().unwrap()
}

#[test]
fn a_leaf_is_what_istio_issues() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = issuer(dir.path());
    let key = KeyPair::generate().unwrap();
    let issued = issuer.issue(&request(&key), &reviews(), Some(HOUR), now()).unwrap();
    assert_eq!(issued.chain.len(), 2);
    assert_eq!(issued.chain.last().map(String::as_str), Some(issuer.root_pem()));

    let (_, pem) = parse_x509_pem(issued.chain[0].as_bytes()).unwrap();
    let (_, leaf) = X509Certificate::from_der(&pem.contents).unwrap();
    let (_, root_pem) = parse_x509_pem(issuer.root_pem().as_bytes()).unwrap();
    let (_, root) = X509Certificate::from_der(&root_pem.contents).unwrap();
    leaf.verify_signature(Some(root.public_key())).unwrap();
    assert_eq!(leaf.public_key().subject_public_key.data.as_ref(), key.public_key_raw());
    assert_eq!(leaf.subject().iter().count(), 0);
    assert!(!leaf.is_ca());
    let sans = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(sans.critical);
    assert_eq!(sans.value.general_names, [GeneralName::URI("spiffe://cluster.local/ns/shop/sa/reviews")]);
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.any);
    let (start, end) = (leaf.validity().not_before.timestamp(), leaf.validity().not_after.timestamp());
    assert_eq!((start, end), (1_900_000_000 - 120, 1_900_000_000 + 3600));
    assert_eq!(issued.not_after, end);
    assert_eq!(spiffe_of(&pem.contents), Some(reviews()));
}

#[test]
fn validity_is_limited() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = issuer(dir.path());
    let csr = request(&KeyPair::generate().unwrap());
    let check = |asked: Option<Duration>, expected: u64| {
        let issued = issuer.issue(&csr, &reviews(), asked, now()).unwrap();
        assert_eq!(issued.not_after - 1_900_000_000, i64::try_from(expected).unwrap(), "{asked:?}");
    };
    check(None, 24 * 3600);
    check(Some(Duration::from_secs(20)), 20);
    check(Some(Duration::from_secs(u64::MAX)), 90 * 24 * 3600);
    // Never beyond the authority itself.
    let late = now() + Duration::from_secs(10 * 365 * 24 * 3600 - 60);
    assert_eq!(issuer.issue(&csr, &reviews(), Some(HOUR), late).unwrap().not_after, issuer.ca().not_after());
}

#[test]
fn bad_requests_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let issuer = issuer(dir.path());
    let good = request(&KeyPair::generate().unwrap());
    let check = |csr: &str, expected: &str| match issuer.issue(csr, &reviews(), None, now()) {
        Err(IssueError::BadCsr(why)) => assert!(why.contains(expected), "{why}"),
        other => panic!("{expected}: {other:?}"),
    };
    check("", "not PEM");
    check(issuer.root_pem(), "not of a CERTIFICATE REQUEST");
    check(&"x".repeat(20_000), "longer");
    check("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "PKCS #10");
    let (_, pem) = parse_x509_pem(good.as_bytes()).unwrap();
    let forged = |change: &dyn Fn(&mut Vec<u8>)| {
        use base64::Engine as _;
        let mut der = pem.contents.clone();
        change(&mut der);
        let text = base64::engine::general_purpose::STANDARD.encode(&der);
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{text}\n-----END CERTIFICATE REQUEST-----\n")
    };
    check(&forged(&|der| *der.last_mut().unwrap() ^= 1), "signature");
    check(&forged(&|der| der.push(0)), "after the request");
    // No byte flip makes it panic or pass with another key.
    for index in 0..pem.contents.len() {
        let _ = issuer.issue(&forged(&|der| der[index] ^= 0x40), &reviews(), None, now());
    }
}

#[test]
fn the_root_survives_a_restart_and_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let first = issuer(dir.path()).root_pem().to_owned();
    assert_eq!(issuer(dir.path()).root_pem(), first);
    let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("ca-key.pem"), mode("ca-cert.pem")), (0o600, 0o644));
    // Key written, certificate not: the next start goes on from there.
    let dir = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(dir.path().join("ca-key.pem"), &key).unwrap();
    issuer(dir.path());
    assert_eq!(std::fs::read_to_string(dir.path().join("ca-key.pem")).unwrap(), key);
}

#[test]
fn a_given_intermediate_signs_with_its_whole_chain() {
    let top = tempfile::tempdir().unwrap();
    let root = SigningCa::load_or_create(top.path(), "root", now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let between = params.signed_by(&key, &root.issuer).unwrap().pem();
    let given = |root: &str| SigningCa::from_pem(root, &between, &key.serialize_pem(), &between, now());
    let issuer = Issuer::new(given(root.root_pem()).unwrap(), IssuerLimits::default());
    let csr = request(&KeyPair::generate().unwrap());
    let issued = issuer.issue(&csr, &reviews(), None, now()).unwrap();
    assert_eq!(issued.chain.len(), 3, "leaf, intermediate, root");
    assert_eq!(issued.chain[2], root.root_pem());

    let other = tempfile::tempdir().unwrap();
    let stranger = SigningCa::load_or_create(other.path(), "root", now()).unwrap();
    let error = given(stranger.root_pem()).err().unwrap().to_string();
    assert!(error.contains("does not lead to root-cert.pem"), "{error}");
    let wrong_key = KeyPair::generate().unwrap().serialize_pem();
    let error =
        SigningCa::from_pem(root.root_pem(), &between, &wrong_key, "", now()).err().unwrap().to_string();
    assert!(error.contains("is not the key of"), "{error}");
    let error =
        SigningCa::from_pem(root.root_pem(), root.root_pem(), &wrong_key, "", now() + HOUR * 24 * 3660);
    assert!(error.is_err());
}

#[test]
fn tokens_say_who_and_nothing_else_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token-key.pem");
    let key = TokenKey::load_or_create(&path, "cluster.local").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let request = TokenRequest {
        namespace: "shop",
        service_account: "reviews",
        pod: "reviews-v1-0",
        audience: TOKEN_AUDIENCE,
        lifetime: HOUR,
    };
    let token = key.mint(&request, now()).unwrap();
    let again = TokenKey::load_or_create(&path, "cluster.local").unwrap();
    let verified = again.verify(&token, TOKEN_AUDIENCE, now()).unwrap();
    assert_eq!(verified.id, reviews());
    assert_eq!(verified.pod, Some(PodRef { namespace: "shop".into(), name: "reviews-v1-0".into() }));

    let check = |token: &str, audience: &str, at: SystemTime, expected: &str| {
        let error = key.verify(token, audience, at).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&token, TOKEN_AUDIENCE, now() + HOUR + Duration::from_secs(31), "expired");
    check(&token, TOKEN_AUDIENCE, now() - HOUR, "not valid yet");
    check(&token, "other", now(), "audience");
    check("", TOKEN_AUDIENCE, now(), "not a JWT");
    check("a.b.c", TOKEN_AUDIENCE, now(), "not a JWT");
    check(&"a".repeat(20_000), TOKEN_AUDIENCE, now(), "too long");
    let other = TokenKey::load_or_create(&dir.path().join("other.pem"), "cluster.local").unwrap();
    check(&other.mint(&request, now()).unwrap(), TOKEN_AUDIENCE, now(), "InvalidSignature");
    let mut parts: Vec<&str> = token.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    check(&format!("{none}.{}.", parts[1]), TOKEN_AUDIENCE, now(), "not a JWT");
    // HS256 with the public key as the secret: the oldest trick.
    let public = KeyPair::from_pem(&std::fs::read_to_string(&path).unwrap()).unwrap().public_key_pem();
    let claims: serde_json::Value = claims_of(&token);
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let secret = jsonwebtoken::EncodingKey::from_secret(public.as_bytes());
    let forged = jsonwebtoken::encode(&header, &claims, &secret).unwrap();
    check(&forged, TOKEN_AUDIENCE, now(), "InvalidAlgorithm");
    parts[2] = "AAAA";
    check(&parts.join("."), TOKEN_AUDIENCE, now(), "not a JWT");
}

#[test]
fn claims_must_be_complete_and_agree() {
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let key = TokenKey::from_pem(&pem, "cluster.local").unwrap();
    let request =
        TokenRequest { namespace: "a", service_account: "b", pod: "p", audience: "istio-ca", lifetime: HOUR };
    let good = claims_of(&key.mint(&request, now()).unwrap());
    let check = |change: &dyn Fn(&mut serde_json::Value), accepted: bool| {
        let mut claims = good.clone();
        change(&mut claims);
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        let signer = jsonwebtoken::EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
        let token = jsonwebtoken::encode(&header, &claims, &signer).unwrap();
        assert_eq!(key.verify(&token, "istio-ca", now()).is_ok(), accepted, "{claims}");
    };
    check(&|_| {}, true);
    for claim in ["exp", "aud", "sub", "iss", "kubernetes.io"] {
        check(&|claims| drop(claims.as_object_mut().unwrap().remove(claim)), false);
    }
    check(&|claims| claims["iss"] = "someone".into(), false);
    check(&|claims| claims["sub"] = "system:serviceaccount:a:c".into(), false);
    check(&|claims| claims["sub"] = "b".into(), false);
    check(&|claims| claims["kubernetes.io"]["namespace"] = "kube-system".into(), false);
    check(&|claims| claims["exp"] = "tomorrow".into(), false);
    check(&|claims| claims["sub"] = "system:serviceaccount:a:b/sa/c".into(), false);
}

fn claims_of(token: &str) -> serde_json::Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap())
        .unwrap()
}

#[test]
fn a_caller_is_a_certificate_or_a_token() {
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let key = std::sync::Arc::new(TokenKey::from_pem(&pem, "cluster.local").unwrap());
    let request =
        TokenRequest { namespace: "a", service_account: "b", pod: "p", audience: "istio-ca", lifetime: HOUR };
    let token = key.mint(&request, now()).unwrap();
    let authenticator = Authenticator::new(key, "cluster.local", "istio-ca");
    let peer = |id: Option<&str>| PeerInfo {
        address: "127.0.0.1:1".parse().unwrap(),
        identity: id.map(|id| id.parse().unwrap()),
    };
    let check = |id: Option<&str>, authorization: Option<&str>, expected: Result<&str, &str>| {
        let caller = authenticator.authenticate(Some(&peer(id)), authorization, now());
        let caller = caller.map(|caller| caller.id.to_string()).map_err(|error| error.to_string());
        match (&caller, expected) {
            (Ok(id), Ok(expected)) => assert_eq!(id, expected),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            _ => panic!("{caller:?}, not {expected:?}"),
        }
    };
    let (ours, foreign) = ("spiffe://cluster.local/ns/x/sa/y", "spiffe://elsewhere/ns/x/sa/y");
    check(Some(ours), None, Ok(ours));
    check(None, Some(&format!("Bearer {token}")), Ok("spiffe://cluster.local/ns/a/sa/b"));
    check(None, Some(&format!("bearer {token}")), Ok("spiffe://cluster.local/ns/a/sa/b"));
    check(None, None, Err("neither"));
    check(None, Some(&token), Err("neither"));
    check(None, Some("Bearer x"), Err("not a JWT"));
    check(Some(foreign), None, Err("trust domain"));
    check(Some(foreign), Some(&format!("Bearer {token}")), Ok("spiffe://cluster.local/ns/a/sa/b"));
}
