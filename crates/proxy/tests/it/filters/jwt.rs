//! JSON web tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ir::jwt::{ClaimToHeader, Jwks, JwtAuthn, JwtProvider, JwtRequirement, JwtRule, RemoteJwks};
use ir::metadata::{MetadataMatcher, ValueMatcher};
use ir::rbac::{Permission, Policy, Principal, Rbac, RbacAction};
use ir::route::RouteMatch;

use super::*;

const KEYS: &str = r#"{"keys":[{"kty":"oct","kid":"s","alg":"HS256","k":"YSBzZWNyZXQgb2Ygc29tZSBsZW5ndGgsIGZvciB0ZXN0cw"}]}"#;
/// `{"iss":"me","sub":"s","role":"admin"}` and the same without a role.
const ADMIN: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6InMifQ.eyJpc3MiOiJtZSIsInN1YiI6InMiLCJyb2xlIjoiYWRtaW4ifQ.5hNdrIsmwEg8WJZQErddgLp16gW6xD02IO_AxqsnaSM";
const NOBODY: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6InMifQ.eyJpc3MiOiJtZSIsInN1YiI6InMifQ.dWcfPs-HHG3DQL20-JFFkWsXf44EmLad0ubq_C1E-s4";

fn filter(jwks: Jwks) -> HttpFilter {
    let provider = JwtProvider {
        issuer: Some("me".into()),
        audiences: Vec::new(),
        subjects: None,
        require_expiration: false,
        max_lifetime: None,
        jwks,
        forward: false,
        from_headers: Vec::new(),
        from_params: Vec::new(),
        from_cookies: Vec::new(),
        forward_payload_header: None,
        pad_forward_payload_header: false,
        payload_in_metadata: Some("payload".into()),
        space_delimited_claims: Vec::new(),
        header_in_metadata: None,
        clock_skew: None,
        claim_to_headers: vec![ClaimToHeader { header: "x-sub".into(), claim: "sub".into() }],
    };
    let rule =
        JwtRule { matches: RouteMatch::prefix("/"), requires: Some(JwtRequirement::Provider("p".into())) };
    HttpFilter::JwtAuthn(Box::new(JwtAuthn {
        providers: [("p".into(), provider)].into(),
        rules: vec![rule],
        ..JwtAuthn::default()
    }))
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

#[test]
fn who_has_no_good_token_does_not_pass() {
    let backend = Backend::start("b");
    let proxy = with(vec![filter(Jwks::Inline(KEYS.into()))], Setup::new(), &backend);
    let missing = get(proxy.address, "/headers", "");
    assert_eq!((missing.status, missing.text().as_str()), (401, "Jwt is missing"));
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"http://a.example/headers\""));
    assert!(proxy.logged("GET /headers").contains("401 - jwt_authn_access_denied{Jwt_is_missing}"));
    let forged = get(proxy.address, "/headers", &bearer(&format!("{NOBODY}A")));
    assert_eq!(forged.status, 401);
    assert!(forged.header("www-authenticate").is_some_and(|it| it.ends_with("error=\"invalid_token\"")));
    assert_eq!(backend.seen(), 0);
    let good = get(proxy.address, "/headers", &format!("x-sub: forged\r\n{}", bearer(NOBODY)));
    assert!(good.text().contains("x-sub: s\n"), "{}", good.text());
    assert!(!good.text().contains("authorization") && !good.text().contains("forged"), "{}", good.text());
    proxy.expect_stat("http.test.jwt_authn.allowed", 1);
    proxy.expect_stat("http.test.jwt_authn.denied", 2);
}

#[test]
fn access_control_reads_claims() {
    let role = MetadataMatcher {
        filter: "envoy.filters.http.jwt_authn".into(),
        path: vec!["payload".into(), "role".into()],
        value: ValueMatcher::Text(StringMatcher::exact("admin")),
        invert: false,
    };
    let admins = Policy { permissions: vec![Permission::Any], principals: vec![Principal::Metadata(role)] };
    let rules = Rbac { action: RbacAction::Allow, policies: [("admins".into(), admins)].into() };
    let rbac = HttpFilter::Rbac(ir::RbacFilter::enforce("", rules));
    let backend = Backend::start("b");
    let proxy = with(vec![filter(Jwks::Inline(KEYS.into())), rbac], Setup::new(), &backend);
    assert_eq!(get(proxy.address, "/status/204", &bearer(ADMIN)).status, 204);
    assert_eq!(get(proxy.address, "/status/204", &bearer(NOBODY)).status, 403);
}

#[test]
fn keys_are_fetched_once() {
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let keys = server(move |head| match head.lines().next().unwrap_or("") {
        "get /keys.json http/1.1" if head.contains("host: keys.example") => {
            count.fetch_add(1, Ordering::SeqCst);
            response(200, "", KEYS)
        }
        _ => response(404, "", ""),
    });
    let remote = |path: &str| {
        Jwks::Remote(RemoteJwks {
            uri: format!("http://keys.example{path}").into(),
            cluster: "keys".into(),
            timeout: Duration::from_secs(1),
            cache_duration: None,
        })
    };
    let backend = Backend::start("b");
    let proxy = with(vec![filter(remote("/keys.json"))], Setup::new().cluster("keys", &[keys]), &backend);
    // Nothing is fetched for what cannot be good.
    assert_eq!(get(proxy.address, "/status/204", &bearer("a.b")).status, 401);
    for _ in 0..3 {
        assert_eq!(get(proxy.address, "/status/204", &bearer(ADMIN)).status, 204);
    }
    assert_eq!(fetched.load(Ordering::SeqCst), 1);
    let proxy = with(vec![filter(remote("/none"))], Setup::new().cluster("keys", &[keys]), &backend);
    let reply = get(proxy.address, "/status/204", &bearer(ADMIN));
    assert_eq!((reply.status, reply.text().as_str()), (401, "Jwks remote fetch is failed"));
}
