use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RSA_PSS_SHA512, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ir::jwt::{ClaimToHeader, JwtHeader};
use ir::metadata::Json;

use super::*;
use crate::request::PlainRequest;

fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

const SECRET: &[u8] = b"a secret of some length, for tests";

fn secret_keys() -> String {
    format!(r#"{{"keys":[{{"kty":"oct","kid":"s","alg":"HS256","k":"{}"}}]}}"#, base64(SECRET))
}

fn signed(header: &str, payload: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", base64(header), base64(payload));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", base64(signature))
}

fn token(payload: &str) -> String {
    signed(r#"{"alg":"HS256","kid":"s"}"#, payload, |message| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET), message).as_ref().to_vec()
    })
}

fn provider(issuer: &str) -> JwtProvider {
    JwtProvider {
        issuer: Some(issuer.into()),
        audiences: Vec::new(),
        subjects: None,
        require_expiration: false,
        max_lifetime: None,
        jwks: Jwks::Inline(secret_keys().into()),
        forward: false,
        from_headers: Vec::new(),
        from_params: Vec::new(),
        from_cookies: Vec::new(),
        forward_payload_header: None,
        pad_forward_payload_header: false,
        payload_in_metadata: None,
        space_delimited_claims: Vec::new(),
        header_in_metadata: None,
        clock_skew: None,
        claim_to_headers: Vec::new(),
    }
}

fn jwt(providers: Vec<(&str, JwtProvider)>, requirement: JwtRequirement) -> Jwt {
    let config = JwtAuthn {
        providers: providers.into_iter().map(|(name, it)| (name.into(), it)).collect(),
        requirements: [("r".into(), requirement)].into(),
        ..JwtAuthn::default()
    };
    Jwt::compile(&config).unwrap()
}

fn judge(jwt: &Jwt, request: &PlainRequest) -> Result<Vec<Good>, String> {
    let known = |provider: usize| match jwt.providers[provider].keys.clone() {
        Some(Ok(keys)) => Known::Keys(keys),
        Some(Err(status)) => Known::Bad(status),
        None => Known::Unknown,
    };
    match jwt.judge(jwt.named("r").unwrap(), request, Duration::from_secs(1000), &known) {
        Verdict::Passed(good) => Ok(good),
        Verdict::Refused(status) => Err(status.text()),
        Verdict::Fetch(provider) => Err(format!("fetch {provider}")),
    }
}

fn bearer(token: &str) -> PlainRequest {
    PlainRequest::get("a", "/").with("authorization", &format!("Bearer {token}"))
}

#[track_caller]
fn refused(jwt: &Jwt, request: &PlainRequest, expected: &str) {
    assert_eq!(judge(jwt, request).map(|_| ()), Err(expected.to_owned()));
}

#[test]
fn claims_decide() {
    let it = JwtProvider { audiences: vec!["https://x/".into()], ..provider("me") };
    let jwt = jwt(vec![("a", it)], JwtRequirement::Provider("a".into()));
    let check = |payload: &str, expected: &str| refused(&jwt, &bearer(&token(payload)), expected);
    assert!(judge(&jwt, &bearer(&token(r#"{"iss":"me","aud":["y","x"]}"#))).is_ok());
    assert!(judge(&jwt, &bearer(&token(r#"{"iss":"me","aud":"http://x","exp":941,"nbf":1060}"#))).is_ok());
    check(r#"{"iss":"me","aud":"y"}"#, "Audiences in Jwt are not allowed");
    check(r#"{"iss":"you","aud":"x"}"#, "Jwt issuer is not configured");
    check(r#"{"aud":"x"}"#, "Jwt issuer is not configured");
    check(r#"{"iss":"me","aud":"x","exp":939}"#, "Jwt is expired");
    check(r#"{"iss":"me","aud":"x","nbf":1061}"#, "Jwt not yet valid");
    check(r#"{"iss":1}"#, "Jwt payload [iss] field is not a string");
    check(r#"{"exp":"1"}"#, "Jwt payload [exp] field is not an integer");
    check(r#"{"exp":-1}"#, "Jwt payload [exp] field is not a positive 64 bit integer");
    check("[]", "Jwt payload is an invalid JSON");
    refused(&jwt, &PlainRequest::get("a", "/"), "Jwt is missing");
}

#[test]
fn what_is_no_token_is_named() {
    let jwt = jwt(vec![("a", provider("me"))], JwtRequirement::Provider("a".into()));
    let format = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
    let check = |token: &str, expected: &str| refused(&jwt, &bearer(token), expected);
    check("a.b", format);
    check("a.b.c.d", format);
    check("e30.e30.e30", "Jwt header [alg] field is required and must be a string");
    check(&format!("{}.e30.", base64(r#"{"alg":"none"}"#)), "Jwt header [alg] is not supported");
    check(
        &format!("{}.e30.e30", base64(r#"{"alg":"HS256","kid":1}"#)),
        "Jwt header [kid] field is not a string",
    );
    check(&format!("{}.e.e30", base64(r#"{"alg":"HS256"}"#)), "Jwt payload is an invalid Base64url encoded");
    check(
        &format!("{}.e30.e", base64(r#"{"alg":"HS256"}"#)),
        "Jwt signature is an invalid Base64url encoded",
    );
    let mut forged = token(r#"{"iss":"me"}"#);
    forged.truncate(forged.len() - 2);
    forged.push_str("AA");
    check(&forged, "Jwt verification fails");
}

#[test]
fn signatures_of_every_kind() {
    let random = SystemRandom::new();
    let rsa = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    // RFC 8017, appendix A.1.1: a sequence of two numbers, 2048 bits and 65537.
    let der = rsa.public_key().as_ref();
    let (n, e) = (&der[9..265], &der[267..]);
    assert_eq!((der.len(), e), (270, &[1u8, 0, 1][..]));
    let point = ec.public_key().as_ref();
    let keys = format!(
        r#"{{"keys":[{{"kty":"RSA","kid":"r","n":"{}","e":"{}"}},{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}},
        {{"kty":"OKP","crv":"Ed25519","x":"{}"}},{{"kty":"new"}}]}}"#,
        base64(n),
        base64(e),
        base64(&point[1..33]),
        base64(&point[33..]),
        base64(ed.public_key().as_ref()),
    );
    let keys = Keys::parse(keys.as_bytes()).unwrap();
    let rsa_by = |how: &'static dyn aws_lc_rs::signature::RsaEncoding, message: &[u8]| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(how, &random, message, &mut signature).unwrap();
        signature
    };
    let tokens = [
        signed(r#"{"alg":"RS256","kid":"r"}"#, "{}", |m| rsa_by(&RSA_PKCS1_SHA256, m)),
        signed(r#"{"alg":"PS512"}"#, "{}", |m| rsa_by(&RSA_PSS_SHA512, m)),
        signed(r#"{"alg":"ES256"}"#, "{}", |m| ec.sign(&random, m).unwrap().as_ref().to_vec()),
        signed(r#"{"alg":"EdDSA"}"#, "{}", |m| ed.sign(m).as_ref().to_vec()),
    ];
    for token in &tokens {
        assert_eq!(keys.verify(&Token::parse(token).unwrap()), Ok(()), "{token}");
    }
    // The same signature under another algorithm, or by the public key taken for a secret.
    let signature = tokens[0].rsplit('.').next().unwrap();
    let other = format!("{}.{}.{signature}", base64(r#"{"alg":"PS256"}"#), base64("{}"));
    assert_eq!(keys.verify(&Token::parse(&other).unwrap()), Err(Status::VerificationFails));
    let hmac = signed(r#"{"alg":"HS256"}"#, "{}", |m| {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, point), m).as_ref().to_vec()
    });
    assert_eq!(keys.verify(&Token::parse(&hmac).unwrap()), Err(Status::VerificationFails));
    let unknown = signed(r#"{"alg":"RS256","kid":"x"}"#, "{}", |m| rsa_by(&RSA_PKCS1_SHA256, m));
    let only_r = Keys::parse(
        format!(r#"{{"keys":[{{"kty":"RSA","kid":"r","n":"{}","e":"AQAB"}}]}}"#, base64(n)).as_bytes(),
    );
    assert_eq!(only_r.unwrap().verify(&Token::parse(&unknown).unwrap()), Err(Status::NoMatchingKey));
}

#[test]
fn sets_without_keys_are_named() {
    let check =
        |text: &str, expected: Status| assert_eq!(Keys::parse(text.as_bytes()).unwrap_err(), expected);
    check("x", Status::KeysBadJson);
    check("{}", Status::KeysMissing);
    check(r#"{"keys":1}"#, Status::KeysNoArray);
    check(r#"{"keys":[]}"#, Status::NoValidKey);
    check(r#"{"keys":[{"kty":"EC","crv":"P-256","alg":"ES512","x":"AA","y":"AA"}]}"#, Status::NoValidKey);
}

#[test]
fn requirements_combine() {
    use JwtRequirement::{All, AllowMissing, AllowMissingOrFailed, Any, Provider};
    let header = |name: &str| vec![JwtHeader { name: name.into(), prefix: Str::default() }];
    let two = |requirement| {
        let a = JwtProvider { from_headers: header("x-a"), ..provider("a") };
        let b = JwtProvider { from_headers: header("x-b"), ..provider("b") };
        jwt(vec![("a", a), ("b", b)], requirement)
    };
    let (a, b) = (token(r#"{"iss":"a"}"#), token(r#"{"iss":"b"}"#));
    let none = PlainRequest::get("a", "/");
    let only_a = none.clone().with("x-a", &a);
    let both = only_a.clone().with("x-b", &b);
    let bad = none.clone().with("x-b", &a);
    let of = |name: &str| Provider(name.into());
    let any = two(Any(vec![of("a"), of("b")]));
    assert_eq!(judge(&any, &only_a).unwrap().len(), 1);
    refused(&any, &none, "Jwt is missing");
    refused(&any, &bad, "Jwt issuer is not configured");
    let all = two(All(vec![of("a"), of("b")]));
    assert_eq!(judge(&all, &both).unwrap().len(), 2);
    refused(&all, &only_a, "Jwt is missing");
    let lenient = two(Any(vec![AllowMissing, of("b")]));
    assert!(judge(&lenient, &none).unwrap().is_empty());
    refused(&lenient, &bad, "Jwt issuer is not configured");
    // Nobody looks for it there.
    assert!(judge(&lenient, &only_a).unwrap().is_empty());
    let lax = two(AllowMissingOrFailed);
    assert!(judge(&lax, &bad).unwrap().is_empty());
    assert_eq!(judge(&lax, &both).unwrap().len(), 2);
}

#[test]
fn keys_elsewhere_are_asked_for() {
    let remote = ir::jwt::RemoteJwks {
        uri: "http://keys/".into(),
        cluster: "keys".into(),
        timeout: Duration::from_secs(1),
        cache_duration: None,
    };
    let it = JwtProvider { jwks: Jwks::Remote(remote), ..provider("me") };
    let jwt = jwt(vec![("a", it)], JwtRequirement::Provider("a".into()));
    refused(&jwt, &bearer(&token(r#"{"iss":"me"}"#)), "fetch 0");
    // What is wrong without keys costs nobody a fetch.
    refused(&jwt, &bearer(&token(r#"{"iss":"me","exp":1}"#)), "Jwt is expired");
}

#[test]
fn good_tokens_tell() {
    let it = JwtProvider {
        from_params: vec!["t".into()],
        forward_payload_header: Some("x-payload".into()),
        pad_forward_payload_header: true,
        payload_in_metadata: Some("p".into()),
        space_delimited_claims: vec!["scope".into()],
        claim_to_headers: [("x-sub", "sub"), ("x-deep", "a.b"), ("x-list", "l"), ("x-no", "no")]
            .map(|(header, claim)| ClaimToHeader { header: header.into(), claim: claim.into() })
            .to_vec(),
        ..provider("me")
    };
    let jwt = jwt(vec![("a", it)], JwtRequirement::Provider("a".into()));
    let payload = r#"{"iss":"me","sub":"s","a":{"b":7},"l":[1],"scope":"x y"}"#;
    let request = PlainRequest::get("a", &format!("/p?q=1&t={}", token(payload)));
    let good = judge(&jwt, &request).unwrap().remove(0);
    let edits = told(&jwt, &good, request.path.as_bytes());
    assert_eq!(edits.path.as_deref(), Some(&b"/p?q=1"[..]));
    let text = |name: &str| edits.add.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    assert_eq!(
        (text("x-sub"), text("x-deep"), text("x-list"), text("x-no")),
        (Some("s"), Some("7"), Some("WzFd"), None)
    );
    assert_eq!(text("x-payload"), Some(base64::engine::general_purpose::URL_SAFE.encode(payload).as_str()));
    let Json::Map(fields) = &edits.metadata[0].1 else { panic!() };
    assert_eq!(fields["scope"], Json::List(vec![Json::Text("x".into()), Json::Text("y".into())]));
}
