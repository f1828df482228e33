//! Gateways with TLS, several servers on a port, `tls` and `tcp` rules; and these at sidecars.

use ir::tls::{CertificateSource, CommonTls, RootsSource, TlsVersion};
use ir::{FilterChain, ResourceType};
use model::Node;

use crate::calls::check;
use crate::common::{Proxy, router, service, snapshot};

fn gateway(name: &str, servers: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: istio-system}}\n\
         spec: {{selector: {{istio: gw}}, servers: [{servers}]}}\n"
    )
}

fn rules(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n"
    )
}

fn node() -> Node {
    router("istio-system", "10.1.0.1", "istio=gw")
}

fn edge(yaml: &str) -> Proxy {
    let web = service("web", "10.0.0.1", "{port: 80, name: http}, {port: 9000, name: tcp}");
    Proxy::of(&snapshot(&(web + yaml)), &node())
}

fn https(name: &str, host: &str, tls: &str) -> String {
    format!("{{port: {{number: 443, name: {name}, protocol: HTTPS}}, hosts: [\"{host}\"], tls: {{{tls}}}}}")
}

fn to_web(name: &str, host: &str) -> String {
    let route = "http: [{route: [{destination: {host: web, port: {number: 80}}}]}]";
    rules(name, &format!("hosts: [\"{host}\"], gateways: [istio-system/gw], {route}"))
}

const WEB: &str = "outbound|80||web.shop.svc.cluster.local";
const TCP: &str = "outbound|9000||web.shop.svc.cluster.local";

fn only(proxy: &Proxy, listener: &str) -> FilterChain {
    match proxy.listener(listener).filter_chains.as_slice() {
        [chain] => chain.clone(),
        chains => panic!("{chains:#?}"),
    }
}

#[test]
fn each_mode_asks_for_its_own_certificates() {
    for (tls, required, judged) in [
        ("mode: SIMPLE, credentialName: c", false, None),
        ("mode: MUTUAL, credentialName: c", true, Some("kubernetes://c-cacert")),
        ("mode: OPTIONAL_MUTUAL, credentialName: c", false, Some("kubernetes://c-cacert")),
        ("mode: MUTUAL, credentialName: c, caCertCredentialName: r", true, Some("kubernetes://r")),
        ("mode: ISTIO_MUTUAL", true, Some("ROOTCA")),
    ] {
        let proxy = edge(&(gateway("gw", &https("a", "a.com", tls)) + &to_web("a", "a.com")));
        let chain = only(&proxy, "0.0.0.0_443");
        let context = chain.tls.expect("TLS");
        assert_eq!(context.require_client_certificate, required, "{tls}");
        let roots = context.common.validation.as_ref().map(|validation| match &validation.roots {
            RootsSource::Sds(sds) => sds.name.as_str(),
            RootsSource::Inline(_) => "inline",
        });
        assert_eq!(roots, judged, "{tls}");
        assert_eq!(chain.matches.server_names, ["a.com"]);
        let client = if required { "mtls=a.com" } else { "tls=a.com" };
        check(&proxy, &[(format!("gateway 10.1.0.1:443 http a.com {client}").as_str(), WEB)]);
    }
}

#[test]
fn versions_and_names_of_clients_are_kept() {
    let tls = "mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /ca, minProtocolVersion: TLSV1_3, \
               subjectAltNames: [client.com]";
    let proxy = edge(&(gateway("gw", &https("a", "*", tls)) + &to_web("a", "a.com")));
    let context = only(&proxy, "0.0.0.0_443").tls.expect("TLS").common;
    assert_eq!((context.min_version, context.max_version), (Some(TlsVersion::V1_3), Some(TlsVersion::V1_3)));
    assert!(matches!(context.certificate, Some(CertificateSource::Inline(_))));
    assert_eq!(context.validation.expect("a validation").match_sans.len(), 1);
    let refused = "mode: SIMPLE, credentialName: c, maxProtocolVersion: TLSV1_1";
    let proxy = edge(&gateway("gw", &https("a", "*", refused)));
    assert!(proxy.names(ResourceType::Listener).is_empty() && !proxy.findings().is_empty());
}

#[test]
fn servers_of_a_port_are_told_apart_by_name() {
    let simple = "mode: SIMPLE, credentialName: c";
    let servers =
        [https("a", "a.com", simple), https("b", "b.com", "mode: PASSTHROUGH"), https("c", "c.com", simple)];
    let tls = "tls: [{match: [{sniHosts: [b.com], port: 443}], route: [{destination: {host: web, port: {number: 9000}}}]}]";
    let yaml = gateway("gw", &servers.join(", "))
        + &to_web("a", "a.com")
        + &rules("b", &format!("hosts: [b.com], gateways: [istio-system/gw], {tls}"));
    let proxy = edge(&yaml);
    check(
        &proxy,
        &[
            ("gateway 10.1.0.1:443 http a.com tls=a.com", WEB),
            ("gateway 10.1.0.1:443 http b.com tls=b.com", TCP),
            ("gateway 10.1.0.1:443 http c.com tls=c.com", "no_route"),
            ("gateway 10.1.0.1:443 http d.com tls=d.com", "no_filter_chain"),
            ("gateway 10.1.0.1:443 http a.com", "no_filter_chain"),
        ],
    );
}

#[test]
fn what_excludes_each_other_is_reported() {
    let simple = "mode: SIMPLE, credentialName: c";
    let http = "{port: {number: 443, name: h, protocol: HTTP}, hosts: [\"*\"]}";
    let yaml = gateway("gw", &https("a", "./a.com", simple))
        + &gateway("later", &format!("{}, {http}", https("a", "a.com", simple)))
        + &to_web("a", "a.com");
    let proxy = edge(&yaml);
    check(&proxy, &[("gateway 10.1.0.1:443 http a.com tls=a.com", "no_route")]);
    let lost: Vec<&str> = proxy
        .findings()
        .iter()
        .filter(|f| f.code == "LTN0203")
        .map(|finding| finding.field.as_str())
        .collect();
    assert_eq!(lost, ["spec.servers[0]", "spec.servers[1]"], "{:?}", proxy.findings());
}

#[test]
fn plaintext_is_sent_to_https() {
    let server = "{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"a.com\", \"b.com\"], tls: {httpsRedirect: true}}";
    let proxy = edge(&(gateway("gw", server) + &to_web("a", "a.com")));
    check(
        &proxy,
        &[
            ("gateway 10.1.0.1:80 http a.com", "tls_redirect"),
            ("gateway 10.1.0.1:80 http b.com", "tls_redirect"),
            ("gateway 10.1.0.1:80 http c.com", "no_virtual_host"),
        ],
    );
}

#[test]
fn bytes_are_routed_by_tcp_rules() {
    let server = "{port: {number: 9000, name: tcp, protocol: TCP}, hosts: [\"*\"]}, \
                  {port: {number: 9001, name: tls, protocol: TLS}, hosts: [\"*\"], tls: {mode: SIMPLE, credentialName: c}}, \
                  {port: {number: 9002, name: none, protocol: TCP}, hosts: [\"*\"]}";
    let tcp = "tcp: [{match: [{port: 9000}, {port: 9001}], route: [{destination: {host: web, port: {number: 9000}}}]}]";
    let proxy = edge(
        &(gateway("gw", server)
            + &rules("a", &format!("hosts: [\"*\"], gateways: [istio-system/gw], {tcp}"))),
    );
    check(
        &proxy,
        &[
            ("gateway 10.1.0.1:9000 tcp", TCP),
            ("gateway 10.1.0.1:9001 tcp tls=x", TCP),
            ("gateway 10.1.0.1:9001 tcp", "tls_error"),
            ("gateway 10.1.0.1:9002 tcp", "no_listener"),
        ],
    );
}

#[test]
fn mutual_tls_of_the_mesh_passes_by_cluster_name() {
    let server = "{port: {number: 15443, name: tls, protocol: TLS}, hosts: [\"*.local\"], tls: {mode: AUTO_PASSTHROUGH}}";
    let proxy = edge(&gateway("gw", server));
    let name = "outbound_.80_._.web.shop.svc.cluster.local";
    check(
        &proxy,
        &[
            (format!("gateway 10.1.0.1:15443 tcp mtls={name}").as_str(), name),
            (format!("gateway 10.1.0.1:15443 tcp tls={name}").as_str(), "no_filter_chain"),
            ("gateway 10.1.0.1:15443 tcp mtls=web.shop.svc.cluster.local", "no_filter_chain"),
        ],
    );
    assert!(proxy.cluster(name).tls.is_none());
}

#[test]
fn credentials_are_for_gateways_that_have_proved_who_they_are() {
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: istio-system}\n\
                  stringData: {tls.crt: chain, tls.key: key, ca.crt: roots}\n\
                  ---\napiVersion: v1\nkind: Secret\nmetadata: {name: other, namespace: istio-system}\n\
                  stringData: {tls.crt: chain, tls.key: key}\n";
    let yaml = gateway("gw", &https("a", "a.com", "mode: MUTUAL, credentialName: c")) + secret;
    let mesh = snapshot(&yaml);
    assert!(Proxy::of(&mesh, &node()).names(ResourceType::Secret).is_empty());
    let proved = Node { verified: true, ..node() };
    let names = Proxy::of(&mesh, &proved).names(ResourceType::Secret);
    assert_eq!(names, ["kubernetes://c", "kubernetes://c-cacert"]);
    let elsewhere = Node { verified: true, ..router("edge", "10.1.0.2", "istio=gw") };
    assert!(Proxy::of(&mesh, &elsewhere).names(ResourceType::Secret).is_empty());
}

#[test]
fn credentials_have_long_names_too() {
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: roots, namespace: shop}\ndata: {ca.crt: roots, other: x}\n";
    let secret = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: c, namespace: istio-system}\n\
                  stringData: {tls.crt: chain, tls.key: key}\n";
    let proved = Node { verified: true, ..node() };
    let of = |tls: &str| {
        let yaml = gateway("gw", &https("a", "a.com", tls)) + secret + map;
        Proxy::of(&snapshot(&yaml), &proved)
    };
    let found = of(
        "mode: MUTUAL, credentialName: 'kubernetes://istio-system/c', caCertCredentialName: 'configmap://shop/roots'",
    );
    let names = found.names(ResourceType::Secret);
    assert_eq!(
        names,
        ["configmap://shop/roots", "configmap://shop/roots-cacert", "kubernetes://istio-system/c"]
    );
    assert!(found.findings().is_empty(), "{:?}", found.findings());
    let found = of("mode: SIMPLE, credentialName: 'kubernetes://c'");
    assert_eq!(found.names(ResourceType::Secret), ["kubernetes://c"]);
    // What leads nowhere would be waited for in vain.
    for (tls, field) in [
        ("mode: SIMPLE, credentialName: 'kubernetes://other/c'", "credentialName"),
        ("mode: SIMPLE, credentialName: 'configmap://shop/roots'", "credentialName"),
        ("mode: SIMPLE, credentialName: 'sds://c'", "credentialName"),
        ("mode: MUTUAL, credentialName: c, caCertCredentialName: 'sds://c'", "caCertCredentialName"),
    ] {
        let found = of(tls);
        assert!(found.names(ResourceType::Listener).is_empty(), "{tls}");
        let told = found.findings().iter().any(|finding| finding.field.ends_with(&format!(".tls.{field}")));
        assert!(told, "{tls}: {:?}", found.findings());
    }
}

#[test]
fn sidecars_follow_tls_and_tcp_rules() {
    let mesh = service("web", "10.0.0.1", "{port: 443, name: tls}, {port: 9000, name: tcp}")
        + &service("v2", "10.0.0.2", "{port: 9000, name: tcp}")
        + &rules(
            "web",
            "hosts: [web, special.com], tls: [{match: [{sniHosts: [special.com]}], route: [{destination: {host: v2}}]}], \
             tcp: [{match: [{sourceLabels: {app: canary}}], route: [{destination: {host: v2}}]}, \
             {match: [{destinationSubnets: [10.0.0.0/30], sourceNamespace: other}], route: [{destination: {host: v2}}]}]",
        );
    let (web, v2) = ("outbound|9000||web.shop.svc.cluster.local", "outbound|9000||v2.shop.svc.cluster.local");
    let of = |labels: &str| Proxy::of(&snapshot(&mesh), &crate::common::sidecar("shop", "10.1.0.9", labels));
    check(&of(""), &[("out 10.0.0.1:9000 tcp", web), ("out 10.0.0.1:443 tcp tls=special.com", v2)]);
    check(&of("app=canary"), &[("out 10.0.0.1:9000 tcp", v2)]);
    check(&of(""), &[("out 10.0.0.1:443 tcp tls=web.com", "PassthroughCluster")]);
}

#[test]
fn rules_hold_at_the_gateways_they_name() {
    let server = "{port: {number: 9000, name: tcp, protocol: TCP}, hosts: [\"*\"]}";
    let tcp = |condition: &str| {
        let weighted = "{destination: {host: web, port: {number: 9000}}, weight: 100}, {destination: {host: none}, weight: 0}";
        let spec =
            "hosts: [\"*\"], gateways: [istio-system/gw], tcp: [{match: [{CONDITION}], route: [ROUTE]}]";
        let spec = spec.replace("CONDITION", condition).replace("ROUTE", weighted);
        edge(&(gateway("gw", server) + &rules("a", &spec)))
    };
    let call = "gateway 10.1.0.1:9000 tcp";
    check(&tcp("gateways: [istio-system/gw]"), &[(call, TCP)]);
    check(&tcp("gateways: [istio-system/other]"), &[(call, "no_listener")]);
    check(&tcp("sourceSubnet: 192.0.2.0/24"), &[(call, TCP)]);
    check(&tcp("sourceSubnet: 198.51.100.0/24"), &[(call, "no_filter_chain")]);
    check(&tcp("destinationSubnets: [10.2.0.0/16]"), &[(call, "no_filter_chain")]);
}

#[test]
fn servers_may_have_addresses_of_their_own() {
    let server = |bind: &str, name: &str| {
        format!(
            "{{name: {name}, bind: {bind}, port: {{number: 443, name: {name}, protocol: HTTPS}}, hosts: [a.com], \
                 tls: {{mode: SIMPLE, credentialName: {name}}}}}"
        )
    };
    let yaml = gateway("gw", &format!("{}, {}", server("10.1.0.1", "x"), server("10.1.0.2", "y")))
        + &to_web("a", "a.com");
    let proxy = edge(&yaml);
    assert_eq!(proxy.names(ResourceType::Listener), ["10.1.0.1_443", "10.1.0.2_443"]);
    let ir::Terminal::Http(manager) = only(&proxy, "10.1.0.1_443").terminal else { panic!() };
    assert_eq!(manager.stat_prefix, "x");
    check(
        &proxy,
        &[
            ("gateway 10.1.0.2:443 http a.com tls=a.com", WEB),
            ("gateway 10.1.0.3:443 http a.com tls=a.com", "no_listener"),
        ],
    );
}

#[test]
fn of_several_certificates_each_client_gets_one_that_it_can_judge() {
    let context = |tls: &str| {
        let proxy = edge(&gateway("gw", &https("a", "a.com", tls)));
        only(&proxy, "0.0.0.0_443").tls.expect("TLS").common
    };
    let name = |source: &Option<CertificateSource>| match source {
        Some(CertificateSource::Sds(sds)) => sds.name.to_string(),
        Some(CertificateSource::Inline(pair)) => format!("{:?}", pair.chain),
        None => "none".to_owned(),
    };
    for (tls, first, second) in [
        ("credentialName: rsa", "kubernetes://rsa", "none"),
        ("credentialNames: [rsa, ecdsa]", "kubernetes://rsa", "kubernetes://ecdsa"),
        (
            "tlsCertificates: [{serverCertificate: /a, privateKey: /b}, {serverCertificate: /c, privateKey: /d}]",
            "File(\"/a\")",
            "File(\"/c\")",
        ),
    ] {
        let common = context(&format!("mode: SIMPLE, {tls}"));
        assert_eq!((name(&common.certificate).as_str(), name(&common.alternative).as_str()), (first, second));
    }
}

#[test]
fn tls_is_made_of_what_the_server_or_the_mesh_names() {
    let defaults = "{tlsDefaults: {minProtocolVersion: TLSV1_3, ecdhCurves: [P-384], cipherSuites: [ECDHE-RSA-AES128-GCM-SHA256]}, \
                    meshMTLS: {minProtocolVersion: TLSV1_3, ecdhCurves: [X25519]}}";
    let common = |tls: &str, mesh: &str| {
        let yaml =
            service("web", "10.0.0.1", "{port: 80, name: http}") + &gateway("gw", &https("a", "a.com", tls));
        let proxy = Proxy::of(&crate::common::with_mesh(&snapshot(&yaml), mesh), &node());
        only(&proxy, "0.0.0.0_443").tls.expect("TLS").common
    };
    let own =
        "cipherSuites: [ECDHE-ECDSA-AES256-GCM-SHA384], ecdhCurves: [P-256], minProtocolVersion: TLSV1_2";
    let simple = "mode: SIMPLE, credentialName: c";
    let suite = "ECDHE-ECDSA-AES256-GCM-SHA384";
    let is = |common: &CommonTls, min: TlsVersion, suites: &[&str], curves: &[&str]| {
        assert_eq!(common.min_version, Some(min), "{common:?}");
        assert_eq!(
            (common.cipher_suites.as_slice(), common.ecdh_curves.as_slice()),
            (&*strs(suites), &*strs(curves))
        );
    };
    is(&common(simple, "{}"), TlsVersion::V1_2, &[], &[]);
    is(&common(&format!("{simple}, {own}"), defaults), TlsVersion::V1_2, &[suite], &["P-256"]);
    is(&common(simple, defaults), TlsVersion::V1_3, &["ECDHE-RSA-AES128-GCM-SHA256"], &["P-384"]);
    is(&common("mode: ISTIO_MUTUAL", defaults), TlsVersion::V1_3, &[], &["X25519"]);
    // Sidecars among themselves.
    let mesh = service("web", "10.0.0.1", "{port: 80, name: http}")
        + &crate::common::pod("web", "10.1.0.1", "app: web");
    let mesh = crate::common::with_mesh(&snapshot(&mesh), defaults);
    let proxy = Proxy::of(&mesh, &crate::common::sidecar("shop", "10.1.0.1", "app=web"));
    let chains = &proxy.listener("virtualInbound").filter_chains;
    let mutual = chains.iter().find_map(|chain| chain.tls.as_ref()).expect("mutual TLS");
    is(&mutual.common, TlsVersion::V1_3, &[], &["X25519"]);
    let sent = proxy.cluster(WEB).transport_matches[0].tls.clone().expect("mutual TLS");
    is(&sent.common, TlsVersion::V1_3, &[], &["X25519"]);
}

fn strs(texts: &[&str]) -> Vec<stdx::Str> {
    texts.iter().map(|text| stdx::Str::from(*text)).collect()
}

#[test]
fn clients_are_judged_by_more_than_their_roots() {
    let tls = "mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /ca, caCrl: /crl, \
               verifyCertificateSpki: [NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=], \
               verifyCertificateHash: [df6ff72fe9116521268f6f2dd4966f51df479883fe7037b39f75916ac3049d1a]";
    let validation = |tls: &str| {
        let proxy = edge(&gateway("gw", &https("a", "*", tls)));
        only(&proxy, "0.0.0.0_443").tls.expect("TLS").common.validation.expect("a validation")
    };
    let judged = validation(tls);
    assert_eq!((judged.pins.spki.len(), judged.pins.hashes.len()), (1, 1));
    assert_eq!(judged.crl, Some(ir::tls::DataSource::File("/crl".into())));
    assert!(!judged.accept_untrusted);
    assert!(validation("mode: MUTUAL, credentialName: c, insecureSkipVerify: true").accept_untrusted);
    assert!(!validation("mode: MUTUAL, credentialName: c, insecureSkipVerify: false").accept_untrusted);
    // Where nobody is asked for a certificate, nobody could be one of these.
    let pin = "mode: SIMPLE, credentialName: c, verifyCertificateSpki: [NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A=]";
    let proxy = edge(&gateway("gw", &https("a", "*", pin)));
    assert!(proxy.names(ResourceType::Listener).is_empty());
    assert!(proxy.findings().iter().any(|finding| finding.field.ends_with("verifyCertificateSpki")));
}
