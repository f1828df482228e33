use super::*;

const KEEP: Normalization =
    Normalization { normalize: true, merge_slashes: false, escaped_slashes: EscapedSlashes::KeepUnchanged };

fn run(path: &str, how: Normalization) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    match normalize(path.as_bytes(), how) {
        Verdict::Forward(path) => text(&path),
        Verdict::Redirect(path) => format!("307 {}", text(&path)),
        Verdict::Reject => "400".to_owned(),
    }
}

#[track_caller]
fn check(how: Normalization, table: &[(&str, &str)]) {
    for (path, expected) in table {
        assert_eq!(run(path, how), *expected, "{path} {how:?}");
        // What was forwarded once is forwarded as it is.
        if expected.starts_with('/') {
            assert_eq!(run(expected, how), *expected, "again: {path} {how:?}");
        }
    }
}

#[test]
fn normalises_as_rfc_3986_says() {
    check(
        KEEP,
        &[
            ("/xyz", "/xyz"),
            ("/x/y/z?q=/../%2e", "/x/y/z?q=/../%2e"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/./c", "/a/b/c"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/a/b/..?x", "/a/?x"),
            ("/..", "/"),
            ("/../a/b", "/a/b"),
            ("/a/b/../../../../c", "/c"),
            ("/a/.../b", "/a/.../b"),
            ("/.hidden", "/.hidden"),
            ("/a\\b", "/a/b"),
            ("/a/..\\c", "/c"),
            ("/a/b/%2E%2E/c", "/a/c"),
            ("/a/b/%2E./c", "/a/c"),
            ("/a/%2e/c", "/a/c"),
            ("/%41%7e%2d", "/A~-"),
            ("/%c0%af", "/%c0%af"),
            ("/%5c%25", "/%5c%25"),
            ("/a/%2F%2f/c", "/a/%2F%2f/c"),
            ("/A/B", "/A/B"),
            ("/a//b", "/a//b"),
            ("/a\"<b>", "/a%22%3Cb%3E"),
            ("/%zz/%2", "/%zz/%2"),
            ("/xyz/.%00../abc", "400"),
            ("/xyz/AAAAA%%0000/abc", "400"),
            ("/a#b", "400"),
            ("/a?b#c", "400"),
            ("/a`{}|^[]", "/a%60%7B%7D%7C%5E[]"),
            ("/a;x/..;/b", "/b"),
            ("/a/.;x/b", "/a/b"),
            ("/a/..;?q", "/?q"),
            ("/..;/..;/a", "/a"),
            ("/a/...;/b", "/a/...;/b"),
            ("/a/;../b", "/a/;../b"),
            ("/a/..%3b/b", "/a/..%3b/b"),
            ("/a/%2e%2e;/b", "/b"),
            ("/a\\..;\\b", "/b"),
            ("/x~!$&'()*+,;=:@-._/y", "/x~!$&'()*+,;=:@-._/y"),
            ("*", "*"),
        ],
    );
}

#[test]
fn merges_slashes_of_the_path_alone() {
    let merge = Normalization { normalize: false, merge_slashes: true, ..KEEP };
    check(
        merge,
        &[
            ("/a//b/c/", "/a/b/c/"),
            ("//a/b", "/a/b"),
            ("/a////b//", "/a/b/"),
            ("/a//b?a=///c", "/a/b?a=///c"),
            ("/a//b?", "/a/b?"),
            ("/a/../b", "/a/../b"),
            // Envoy leaves two slashes where there is nothing else.
            ("//", "/"),
            ("/a\\\\b", "/a\\\\b"),
        ],
    );
    check(
        Normalization { normalize: true, ..merge },
        &[("/a/.//b", "/a/b"), ("/a/\\b", "/a/b"), ("/a/%2e/%2e//b", "/a/b"), ("/a//../b", "/a/b")],
    );
}

#[test]
fn escaped_slashes_come_first() {
    let with = |escaped_slashes| Normalization { escaped_slashes, ..KEEP };
    let forward = with(EscapedSlashes::UnescapeAndForward);
    check(
        forward,
        &[
            ("/a%2Fb%2fc?%2F", "/a/b/c?%2F"),
            ("/a%5Cb%5c", "/a/b/"),
            ("/public/..%2fadmin", "/admin"),
            ("/public%2f%2e%2e%2fadmin", "/admin"),
            // Decoded once: what comes out is no escape of ours any more.
            ("/a%252Fb", "/a%252Fb"),
            ("/%2", "/%2"),
        ],
    );
    check(
        Normalization { merge_slashes: true, ..forward },
        &[("/a%2F/b", "/a/b"), ("/a%2f%2Fb", "/a/b"), ("/a%5c/b", "/a/b")],
    );
    check(with(EscapedSlashes::RejectRequest), &[("/a%2Fb", "400"), ("/a%5cb", "400"), ("/a?%2F", "/a?%2F")]);
    check(
        with(EscapedSlashes::UnescapeAndRedirect),
        &[("/a%2Fb?x", "307 /a/b?x"), ("/a%2F..%2Fb", "307 /b"), ("/a/./b", "/a/b"), ("/a%2Fb%00", "400")],
    );
    let only = Normalization { normalize: false, ..forward };
    check(only, &[("/a%2Fb%5Cc", "/a/b\\c"), ("/a%2F../b", "/a/../b"), ("/%41", "/%41")]);
    check(Normalization::default(), &[("/a%2F..//\\b", "/a%2F..//\\b")]);
}
