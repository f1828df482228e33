use super::*;
use crate::access_log::{Flag, Record};
use crate::connection::ConnInfo;
use std::borrow::Cow;

struct Fake;
impl Headers for Fake {
    fn request(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let value: &[u8] = match name {
            ":method" => b"GET",
            ":authority" => b"h",
            ":path" => b"/x?y=1",
            "user-agent" => b"curl\n\"",
            "x-empty" => b"",
            _ => return None,
        };
        Some(Cow::Borrowed(value))
    }
    fn response(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        (name == "server").then_some(Cow::Borrowed(b"envoy"))
    }
    fn trailer(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
}

#[track_caller]
fn check(format: &str, expected: &str) {
    let mut record = Record::new();
    record.status = 503;
    record.flag(Flag::UF);
    record.flag(Flag::URX);
    record.details = "via_upstream".into();
    record.bytes_sent = 7;
    record.cluster = Some("outbound|80||a".into());
    let mut conn = ConnInfo::for_test("10.0.0.1:1000", "10.0.0.2:80");
    conn.sni = Some("a.example".into());
    let mut out = Vec::new();
    let entry = Entry { record: &record, conn: &conn, headers: &Fake };
    Format::compile(&format.into()).unwrap().write(&entry, &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
}

#[test]
fn writes_operators() {
    check("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(X?Y)%", "GET /x?y=1 -");
    check("%REQ(:PATH):2%|%RESP(Server):3%|%TRAILER(a)%", "/x|env|-");
    check("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%", "503 UF,URX via_upstream");
    check("%BYTES_RECEIVED%/%BYTES_SENT% 100%%\n", "0/7 100%\n");
    check("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_PORT%", "10.0.0.1:1000 80");
    check("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.1");
    check("%REQUESTED_SERVER_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_HOST%", "a.example outbound|80||a -");
    check("%PATH% %PATH(NQ)% %QUERY_PARAMS% %QUERY_PARAM(y)%", "/x?y=1 /x y=1 1");
    check("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)%", "10.0.0.0/8");
    check("%REQUESTED_SERVER_NAME(HOST_FIRST)% %ENVIRONMENT(NO_SUCH_VARIABLE)%", "h -");
    check("%ACCESS_LOG_TYPE% %TRACE_ID% %DYNAMIC_METADATA(a:b)%", "NotSet - -");
    check("%REQ(USER-AGENT)%", "curl\\x0a\"");
    // What is there and empty is not missing.
    check("[%REQ(X-EMPTY)%] [%REQ(X-EMPTY?:PATH)%] [%REQ(X-NONE?X-EMPTY)%]", "[] [] []");
    check("[%QUERY_PARAM(y)%] [%QUERY_PARAM(z)%]", "[1] [-]");
    check("%DOWNSTREAM_PEER_SERIAL% %DOWNSTREAM_PEER_CERT_V_START(%s)% %UPSTREAM_PEER_CERT%", "- - -");
}

#[test]
fn json_keeps_types_and_may_leave_out_what_is_missing() {
    use ir::access_log::{LogContent, LogFormat};
    use ir::bootstrap::Json;
    let text = |text: &str| Json::Text(text.into());
    let nested =
        [("y".into(), Json::List(vec![text("%RESPONSE_CODE%"), Json::Bool(true), text("%REQ(no)%")]))];
    let fields = [
        ("a".into(), text("%RESPONSE_CODE%")),
        ("b".into(), text("%REQ(no)% x")),
        ("c".into(), text("%REQ(no)%")),
        ("c0".into(), text("%REQ(x-empty)%")),
        ("d".into(), Json::Map([("e".into(), text("%REQ(no)%"))].into())),
        ("e\"\n".into(), text("%REQ(:PATH)%\u{1}")),
        ("z".into(), Json::Map(nested.into())),
    ];
    let check = |omit_empty_values, expected: &str| {
        let content = LogContent::Json(fields.clone().into());
        let format = Format::compile(&LogFormat { content, omit_empty_values }).unwrap();
        let mut record = Record::new();
        record.status = 200;
        let conn = ConnInfo::for_test("10.0.0.1:1000", "10.0.0.2:80");
        let mut out = Vec::new();
        format.write(&Entry { record: &record, conn: &conn, headers: &Fake }, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\n"));
    };
    // Both as Envoy 1.40 writes them.
    let whole = concat!(
        r#"{"a":200,"b":"- x","c":null,"c0":"","d":{"e":null},"e\"\n":"/x?y=1\u0001","#,
        r#""z":{"y":[200,true,null]}}"#
    );
    check(false, whole);
    check(true, r#"{"a":200,"b":" x","c0":"","e\"\n":"/x?y=1\u0001","z":{"y":[200,true]}}"#);
}

#[test]
fn refuses_what_it_does_not_know_by_name() {
    let check = |format: &str, part: &str| {
        let error = Template::parse(format).unwrap_err().to_string();
        assert!(error.contains(part), "{format}: {error}");
    };
    check("%NO_SUCH%", "NO_SUCH");
    check("ab %RESPONSE_CODE(1)%", "at position 3");
    check("%PROTOCOL:3%", "length");
    check("%GRPC_STATUS(X)%", "SNAKE_STRING");
    check("%COMMON_DURATION(DS_RX_BEG:NO:ms)%", "NO");
    check("%REQ%", "REQ");
    check("%START_TIME", "closed");
    check("%REQ(a", "bracket");
    check("%REQ(a):x%", "length");
    check("%PROTOCOL(a)%", "PROTOCOL");
    check("%VIRTUAL_HOST_NAME%", "VIRTUAL_HOST_NAME");
    check("%UPSTREAM_LOCAL_SUBJECT%", "UPSTREAM_LOCAL_SUBJECT");
    check("%DOWNSTREAM_PEER_CERT_V_END(%Q)%", "%Q");
    check("%DOWNSTREAM_PEER_CERT:3%", "length");
}

#[test]
fn the_first_operator_with_a_value_counts() {
    let of = |operators: &str| format!(r#"%COALESCE({{"operators": [{operators}]}})%"#);
    check(&of(r#""ROUTE_NAME", "UPSTREAM_CLUSTER""#), "outbound|80||a");
    check(
        &of(r#"{"command": "REQ", "param": "no"}, {"command": "RESP", "param": "server", "max_length": 2}"#),
        "en",
    );
    // What is there and empty is a value, as it is elsewhere.
    check(&format!("[{}]", of(r#"{"command": "REQ", "param": "x-empty"}, "PROTOCOL""#)), "[]");
    check(&of(r#""ROUTE_NAME""#), "-");
    let refused = |format: &str, part: &str| {
        let error = Template::parse(format).unwrap_err().to_string();
        assert!(error.contains(part), "{format}: {error}");
    };
    refused("%COALESCE%", "JSON");
    refused("%COALESCE(x)%", "JSON");
    refused("%COALESCE({})%", "list");
    refused(&of(""), "at least one");
    refused(&of(r#""NO_SUCH""#), "NO_SUCH");
    refused(&of(r#""PROTOCOL% %PROTOCOL""#), "takes operators");
    refused(&of(r#"{"command": "REQ", "other": 1}"#), "other");
    refused(&of(r#"{"command": "PROTOCOL", "max_length": 2}"#), "length");
    refused(&of("1"), "has 1");
}

#[test]
fn what_an_exchange_was_like_is_known_where_it_is_asked_for() {
    let asks = |format: &str| Template::parse(format).unwrap().asks().exchange;
    assert!(asks("%UPSTREAM_HOSTS_ATTEMPTED%") && asks("%COMMON_DURATION(DS_RX_BEG:US_TX_END:us)%"));
    assert!(asks(r#"%COALESCE({"operators": ["UPSTREAM_HOST_NAME"]})%"#) && asks("%REQUEST_TX_DURATION%"));
    assert!(!asks(
        "%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:ms)% %UPSTREAM_CONNECTION_ID% %REQUEST_HEADERS_BYTES%"
    ));
    // Of nobody there is nothing to tell.
    check("%UPSTREAM_HOST_NAME% %UPSTREAM_CONNECTION_ID% %UPSTREAM_CONNECTION_IDS_ATTEMPTED%", "- 0 -");
    check("%COMMON_DURATION(US_TX_BEG:US_RX_BEG:ms)% %DOWNSTREAM_DIRECT_LOCAL_ADDRESS%", "- 10.0.0.2:80");
}

#[test]
fn what_envoy_knows_refuses_no_listener() {
    for format in
        ["%CEL(request.path)%", r#"%COALESCE({"operators": ["PROTOCOL"]})%"#, "%START_TIME_LOCAL%", "%XFCC%"]
    {
        Template::parse(format).unwrap();
    }
}

#[test]
fn what_tells_of_certificates_is_known_beforehand() {
    let asks = |format: &str| Template::parse(format).unwrap().asks();
    let of = |clients, servers| Asks { clients, servers, exchange: false };
    assert_eq!(asks("%DOWNSTREAM_PEER_SUBJECT% %UPSTREAM_PEER_CERT_V_END% %REQ(a)%"), of(false, false));
    assert_eq!(asks("%DOWNSTREAM_PEER_CHAIN_SERIALS%"), of(true, false));
    assert_eq!(asks("%UPSTREAM_PEER_ISSUER%"), of(false, true));
}
