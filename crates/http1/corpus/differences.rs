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
