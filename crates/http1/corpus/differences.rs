//! Where others read a case of the corpus in another way than we do, and why we do not follow them.

/// Why we refuse what another implementation accepts, and which cases that concerns.
pub type Reasons = &'static [(&'static str, &'static [&'static str])];

/// What hyper accepts and we do not.
pub const STRICTER_THAN_HYPER: Reasons = &[
    (
        "RFC 9112, section 6.1: a server may refuse Content-Length beside Transfer-Encoding. hyper ignores the \
         length; whoever reads it instead sees another message.",
        &[
            "framing: CL.TE",
            "framing: TE.CL",
            "framing: CL.TE, equal ends",
            "framing: CL.0 TE",
            "framing: CL.TE of other letters",
            "framing: CL.TE, one named away",
            "whole: a good request, then CL.TE",
        ],
    ),
    (
        "RFC 9110, section 8.6: equal lengths may be merged or refused. Merging is work for an attacker's next hop.",
        &["framing: two equal lengths"],
    ),
    (
        "A number of that many digits overflows in others.",
        &["framing: length of hundred digits", "chunk: many zeros before a size"],
    ),
    (
        "RFC 9112, section 7: a recipient decodes chunked once. What was coded twice, or with something that we do \
         not undo, is read differently by the next one.",
        &[
            "framing: chunked twice",
            "framing: chunked twice in a list",
            "framing: identity and chunked",
            "framing: identity, chunked",
            "framing: gzip, chunked",
        ],
    ),
    (
        "RFC 9112, section 2.2: a recipient may take a bare LF for a line's end. Others do not, and read one line.",
        &[
            "framing: coding behind a bare LF",
            "field: bare LF",
            "field: bare LF before the empty line",
            "whole: a bare LF first",
            "whole: bare LF behind the request line",
            "whole: bare LF as the empty line",
            "whole: only bare LFs",
        ],
    ),
    (
        "RFC 9112, section 2.2: at least one empty line before a request is to be ignored; more are no request.",
        &["whole: two empty lines first"],
    ),
    (
        "RFC 9112, section 3.2: the target has none of the four forms, or one that its method does not allow. hyper \
         leaves that to its service.",
        &[
            "line: absolute form of another scheme",
            "line: absolute form with user",
            "line: absolute form with a broken port",
            "line: authority without CONNECT",
            "line: CONNECT without port",
            "line: CONNECT of a path",
            "line: CONNECT of an absolute form",
            "line: relative path",
            "line: fragment",
            "line: bytes beyond ASCII",
        ],
    ),
    (
        "RFC 9112, section 3.2: a server must answer 400 without Host, with several, and with an invalid one. hyper \
         leaves that to its service.",
        &[
            "field: no host",
            "field: two hosts",
            "field: two equal hosts",
            "field: two hosts apart",
            "field: empty host",
            "field: host of only a port",
            "field: host with a blank",
            "field: host with a path",
            "field: host with a backslash",
            "field: host with user",
            "field: host with fragment",
            "field: host with query",
            "field: list of hosts",
            "field: host with a broken port",
            "field: host with two ports",
            "field: host with a signed port",
            "field: host with a scheme",
            "field: host of IPv6 without brackets",
            "field: host of an open bracket",
            "field: host beyond ASCII",
            "whole: absolute form without Host",
            "whole: absolute form with two hosts",
            "whole: two hosts in HTTP/1.0",
        ],
    ),
    (
        "RFC 9110, section 10.1.1: 417 may be said to an expectation that is not 100-continue.",
        &["field: other expectation", "field: expectation in a list"],
    ),
    ("Envoy's `max_request_headers_kb` of 60; hyper's buffer is larger.", &["field: 61 KiB"]),
    (
        "RFC 9112, section 7.1: no blank stands between a chunk's size and the line's end; recipients differ in what \
         they make of one.",
        &["chunk: blank behind a size", "chunk: tab behind a size"],
    ),
    (
        "RFC 9112, section 7.1.1: extensions are tokens and quoted text, and their length must be limited.",
        &["chunk: NUL in an extension", "chunk: extension of 2000 bytes"],
    ),
    (
        "RFC 9110, section 6.5.1: framing and routing do not belong into trailers; one who merges them would be misled.",
        &["chunk: length in the trailers", "chunk: coding in the trailers", "chunk: host in the trailers"],
    ),
    (
        "RFC 9110, section 9.3.6: CONNECT has no content; what follows its head is the tunnel's.",
        &["whole: CONNECT with a body", "whole: CONNECT in chunks"],
    ),
];

/// What Envoy 1.40 accepts, with its defaults, and we do not.
pub const STRICTER_THAN_ENVOY: Reasons = &[
    (
        "RFC 9112, section 5.2: a server may refuse a folded line or put a blank for the fold. Whoever reads the fold \
         as a line of its own sees another message.",
        &[
            "framing: coding folded under a field",
            "framing: folded coding",
            "framing: folded length",
            "field: folded host",
            "field: folded with a blank",
            "field: folded with a tab",
            "field: line of blanks",
            "chunk: folded trailer",
        ],
    ),
    (
        "RFC 9112, section 2.2: a recipient may take a bare LF for a line's end, and must refuse a bare CR or put a \
         blank for it. Others read one line, or two.",
        &[
            "framing: CR before chunked",
            "framing: coding behind a bare LF",
            "framing: coding behind a bare CR",
            "framing: coding behind CR CR LF",
            "line: CR at the end",
            "field: value with CR",
            "field: bare LF",
            "field: bare LF before the empty line",
            "whole: a bare LF first",
            "whole: bare LF behind the request line",
            "whole: bare LF as the empty line",
            "whole: only bare LFs",
            "chunk: bare LF at the end",
            "chunk: bare LF in the trailers",
        ],
    ),
    (
        "RFC 9112, section 2.2: at least one empty line before a request is to be ignored; more are no request.",
        &["whole: two empty lines first"],
    ),
    (
        "RFC 9112, section 7: an empty coding beside chunked is read differently by others.",
        &["framing: chunked and nothing"],
    ),
    (
        "A number of that many digits overflows in others. (Envoy waits for as many bytes as 2^64 - 1.)",
        &["framing: length of hundred digits", "chunk: many zeros before a size", "chunk: size of 2^64 - 1"],
    ),
    (
        "RFC 9112, section 3: one blank stands between the parts of a request line. More may be taken, and are read \
         differently.",
        &[
            "line: two blanks before the path",
            "line: two blanks before the version",
            "line: tab for a blank",
            "line: blank at the end",
        ],
    ),
    (
        "RFC 9110, section 4.2.4: user information in an http URI is to be treated as an error: it hides the host.",
        &["line: absolute form with user", "field: host with user"],
    ),
    (
        "RFC 9112, section 3.2: a server must answer 400 to several Host fields (Envoy joins them), to an invalid one, \
         and in HTTP/1.1 to none, also where the target names the host.",
        &[
            "field: two hosts",
            "field: two equal hosts",
            "field: two hosts apart",
            "field: empty host",
            "field: host of only a port",
            "field: host with a broken port",
            "field: host with two ports",
            "field: host with a signed port",
            "field: host of IPv6 without brackets",
            "field: host of an open bracket",
            "whole: absolute form without Host",
            "whole: absolute form with two hosts",
        ],
    ),
    (
        "RFC 9110, section 10.1.1: 417 may be said to an expectation that is not 100-continue.",
        &["field: other expectation", "field: expectation in a list"],
    ),
    (
        "RFC 9112, section 7.1: no blank and no text stands between a chunk's size and the line's end.",
        &["chunk: blank behind a size", "chunk: tab behind a size", "chunk: size with text behind"],
    ),
    (
        "RFC 9112, section 7.1.1: extensions are tokens and quoted text, and their length must be limited.",
        &[
            "chunk: NUL in an extension",
            "chunk: extension of 2000 bytes",
            "chunk: extensions of 18 KiB in all",
        ],
    ),
    (
        "RFC 9112, section 7.1: CRLF follows a chunk's data. Envoy skips what stands there instead.",
        &[
            "chunk: data longer than its size",
            "chunk: data shorter than its size",
            "chunk: bare LF behind the data",
        ],
    ),
    (
        "RFC 9110, section 6.5.1: framing and routing do not belong into trailers; one who merges them would be misled. \
         Envoy drops all trailers and counts none.",
        &[
            "chunk: length in the trailers",
            "chunk: coding in the trailers",
            "chunk: host in the trailers",
            "chunk: hundred and one trailers",
        ],
    ),
];

/// What Envoy refuses and we accept. hyper accepts it, too: [`STRICTER_THAN_HYPER`] has no counterpart.
pub const LAXER_THAN_ENVOY: Reasons = &[
    (
        "RFC 9110, section 9.1: any token is a method. Envoy knows a list, unless `allow_custom_methods` is set.",
        &["line: other method", "line: method of small letters is another method"],
    ),
    (
        "Envoy answers 404 where there is no path; ours are `*` and `/`.",
        &["line: asterisk", "line: absolute form with a query only"],
    ),
    (
        "RFC 9110, section 7.6.1: Connection must not name what is meant for all recipients. Envoy refuses it, we ignore it.",
        &["field: host named away"],
    ),
];

/// Whether a table names a case.
pub fn names(reasons: Reasons, case: &str) -> bool {
    reasons.iter().any(|(_, cases)| cases.contains(&case))
}

/// Names in a table that are no case.
pub fn strangers(reasons: Reasons) -> Vec<&'static str> {
    let known: Vec<String> = super::requests().into_iter().map(|case| case.name).collect();
    let all = reasons.iter().flat_map(|(_, cases)| cases.iter().copied());
    all.filter(|name| !known.iter().any(|known| known == name)).collect()
}
