//! Where a request's body ends: Content-Length, Transfer-Encoding, both, and disguises of either.

use http1::Refusal as R;

use super::Verdict::{self, Body, Refused};
use super::{Case, message};

/// What a request smuggled behind a chunked body of nothing looks like.
const CHUNKED_THEN_REQUEST: &[u8] = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const HELLO: &[u8] = b"hello";
const HELLO_CHUNK: &[u8] = b"5\r\nhello\r\n0\r\n\r\n";

/// Name, field lines, bytes behind the head.
type Row = (&'static str, &'static [u8], &'static [u8], Verdict);

const ROWS: &[Row] = &[
    ("length", b"Content-Length: 5", HELLO, Body(HELLO)),
    ("length of zero", b"Content-Length: 0", b"", Body(b"")),
    ("length with blanks around", b"content-length:  5 \t", HELLO, Body(HELLO)),
    ("length without blank", b"Content-Length:5", HELLO, Body(HELLO)),
    ("length with leading zeros", b"Content-Length: 0005", HELLO, Body(HELLO)),
    ("chunked", b"Transfer-Encoding: chunked", HELLO_CHUNK, Body(HELLO)),
    ("chunked in capitals", b"transfer-encoding: CHUNKED", HELLO_CHUNK, Body(HELLO)),
    ("chunked with blanks around", b"Transfer-Encoding:\tchunked ", HELLO_CHUNK, Body(HELLO)),
    ("chunked in a list with empty elements", b"Transfer-Encoding: , chunked,", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    // CL.TE and TE.CL.
    ("CL.TE", b"Content-Length: 4\r\nTransfer-Encoding: chunked", CHUNKED_THEN_REQUEST, Refused(R::LengthAndEncoding)),
    ("TE.CL", b"Transfer-Encoding: chunked\r\nContent-Length: 4", CHUNKED_THEN_REQUEST, Refused(R::LengthAndEncoding)),
    ("CL.TE, equal ends", b"Content-Length: 15\r\nTransfer-Encoding: chunked", HELLO_CHUNK, Refused(R::LengthAndEncoding)),
    ("CL.0 TE", b"Content-Length: 0\r\nTransfer-Encoding: chunked", CHUNKED_THEN_REQUEST, Refused(R::LengthAndEncoding)),
    ("CL.TE identity", b"Content-Length: 5\r\nTransfer-Encoding: identity", HELLO, Refused(R::LengthAndEncoding)),
    ("CL.TE empty", b"Content-Length: 5\r\nTransfer-Encoding:", HELLO, Refused(R::LengthAndEncoding)),
    ("CL invalid, TE", b"Content-Length: x\r\nTransfer-Encoding: chunked", HELLO_CHUNK, Refused(R::LengthAndEncoding)),
    ("CL.TE of other letters", b"CONTENT-LENGTH: 4\r\ntransfer-ENCODING: chunked", CHUNKED_THEN_REQUEST, Refused(R::LengthAndEncoding)),
    ("CL.TE, one named away", b"Connection: Content-Length\r\nContent-Length: 4\r\nTransfer-Encoding: chunked", CHUNKED_THEN_REQUEST, Refused(R::LengthAndEncoding)),
    // CL.CL.
    ("two lengths", b"Content-Length: 5\r\nContent-Length: 6", b"hello!", Refused(R::ContentLengthDuplicate)),
    ("two equal lengths", b"Content-Length: 5\r\nContent-Length: 5", HELLO, Refused(R::ContentLengthDuplicate)),
    ("two lengths apart", b"Content-Length: 5\r\nX: y\r\ncontent-length: 0", HELLO, Refused(R::ContentLengthDuplicate)),
    ("list of equal lengths", b"Content-Length: 5, 5", HELLO, Refused(R::ContentLengthInvalid)),
    ("list of lengths", b"Content-Length: 5,6", HELLO, Refused(R::ContentLengthInvalid)),
    ("length with an empty element", b"Content-Length: 5,", HELLO, Refused(R::ContentLengthInvalid)),
    ("length with plus", b"Content-Length: +5", HELLO, Refused(R::ContentLengthInvalid)),
    ("length with minus", b"Content-Length: -5", HELLO, Refused(R::ContentLengthInvalid)),
    ("length of minus zero", b"Content-Length: -0", b"", Refused(R::ContentLengthInvalid)),
    ("length in hexadecimal", b"Content-Length: 0x5", HELLO, Refused(R::ContentLengthInvalid)),
    ("length in octal", b"Content-Length: 0o5", HELLO, Refused(R::ContentLengthInvalid)),
    ("length with underscore", b"Content-Length: 0_5", HELLO, Refused(R::ContentLengthInvalid)),
    ("length with a blank inside", b"Content-Length: 0 5", HELLO, Refused(R::ContentLengthInvalid)),
    ("length with a fraction", b"Content-Length: 5.0", HELLO, Refused(R::ContentLengthInvalid)),
    ("length with exponent", b"Content-Length: 5e0", HELLO, Refused(R::ContentLengthInvalid)),
    ("length in quotes", b"Content-Length: \"5\"", HELLO, Refused(R::ContentLengthInvalid)),
    ("length with text behind", b"Content-Length: 5 bytes", HELLO, Refused(R::ContentLengthInvalid)),
    ("no length", b"Content-Length: ", HELLO, Refused(R::ContentLengthInvalid)),
    ("length of no value", b"Content-Length:", HELLO, Refused(R::ContentLengthInvalid)),
    ("length in Arabic digits", b"Content-Length: \xd9\xa5", HELLO, Refused(R::ContentLengthInvalid)),
    ("length of 2^64 + 5", b"Content-Length: 18446744073709551621", HELLO, Refused(R::ContentLengthInvalid)),
    ("length of 2^32 + 5", b"Content-Length: 4294967301", HELLO, Verdict::Incomplete),
    ("length of 2^63 - 1", b"Content-Length: 9223372036854775807", HELLO, Verdict::Incomplete),
    ("length of hundred digits", b"Content-Length: 0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000005", HELLO, Refused(R::ContentLengthInvalid)),
    ("length with NUL", b"Content-Length: 5\0", HELLO, Refused(R::FieldValue)),
    // TE.TE.
    ("chunked twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HELLO_CHUNK, Refused(R::TransferEncodingDuplicate)),
    ("chunked twice in a list", b"Transfer-Encoding: chunked, chunked", HELLO_CHUNK, Refused(R::TransferEncodingDuplicate)),
    ("chunked and identity", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("identity and chunked", b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("identity, chunked", b"Transfer-Encoding: identity, chunked", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("identity", b"Transfer-Encoding: identity", HELLO, Refused(R::TransferEncodingUnknown)),
    ("gzip, chunked", b"Transfer-Encoding: gzip, chunked", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("chunked, gzip", b"Transfer-Encoding: chunked, gzip", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("chunked and cow", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: cow", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("xchunked", b"Transfer-Encoding: xchunked", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("chunked with x behind", b"Transfer-Encoding: chunkedx", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("chunked in quotes", b"Transfer-Encoding: \"chunked\"", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("chunked with a parameter", b"Transfer-Encoding: chunked;q=1", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("two words", b"Transfer-Encoding: chunked chunked", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("no coding", b"Transfer-Encoding: ", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("only a comma", b"Transfer-Encoding: ,", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("chunked and nothing", b"Transfer-Encoding: chunked\r\nTransfer-Encoding:", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("vertical tab before chunked", b"Transfer-Encoding: \x0bchunked", HELLO_CHUNK, Refused(R::FieldValue)),
    ("form feed behind chunked", b"Transfer-Encoding: chunked\x0c", HELLO_CHUNK, Refused(R::FieldValue)),
    ("CR before chunked", b"Transfer-Encoding: \rchunked", HELLO_CHUNK, Refused(R::FieldValue)),
    ("NUL behind chunked", b"Transfer-Encoding: chunked\0", HELLO_CHUNK, Refused(R::FieldValue)),
    ("next line (U+0085) before chunked", b"Transfer-Encoding: \xc2\x85chunked", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("no-break space before chunked", b"Transfer-Encoding: \xa0chunked", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    ("long s for s", b"Transfer-Encoding: \xe2\x84\xaahunked", HELLO_CHUNK, Refused(R::TransferEncodingUnknown)),
    // Disguised names. What is no token is refused; another token is another field.
    ("blank before colon of a length", b"Content-Length : 5", HELLO, Refused(R::FieldName)),
    ("tab before colon of a length", b"Content-Length\t: 5", HELLO, Refused(R::FieldName)),
    ("blank before colon of a coding", b"Transfer-Encoding : chunked", HELLO_CHUNK, Refused(R::FieldName)),
    ("CR before colon of a coding", b"Transfer-Encoding\r: chunked", HELLO_CHUNK, Refused(R::FieldName)),
    ("NUL in a coding's name", b"Transfer\0-Encoding: chunked", HELLO_CHUNK, Refused(R::FieldName)),
    ("soft hyphen in a length's name", b"Content\xc2\xad-Length: 5", HELLO, Refused(R::FieldName)),
    ("blank in a length's name", b"Content -Length: 5", HELLO, Refused(R::FieldName)),
    ("blank before a coding's name", b" Transfer-Encoding: chunked", HELLO_CHUNK, Refused(R::LineFolding)),
    ("coding folded under a field", b"X: y\r\n Transfer-Encoding: chunked", HELLO_CHUNK, Refused(R::LineFolding)),
    ("folded coding", b"Transfer-Encoding:\r\n chunked", HELLO_CHUNK, Refused(R::LineFolding)),
    ("folded length", b"Content-Length:\r\n 5", HELLO, Refused(R::LineFolding)),
    ("coding behind a bare LF", b"X: y\nTransfer-Encoding: chunked", HELLO_CHUNK, Refused(R::BareLineFeed)),
    ("coding behind a bare CR", b"X: y\rTransfer-Encoding: chunked", HELLO_CHUNK, Refused(R::FieldValue)),
    ("coding behind CR CR LF", b"X: y\r\r\nTransfer-Encoding: chunked", HELLO_CHUNK, Refused(R::FieldValue)),
    ("length with underscore for hyphen is another field", b"Content_Length: 5", b"", Body(b"")),
    ("coding with underscore for hyphen is another field", b"Content-Length: 5\r\nTransfer_Encoding: chunked", HELLO, Body(HELLO)),
    ("length in a field called Foo", b"Foo: Content-Length: 5", b"", Body(b"")),
];

pub(super) fn cases() -> Vec<Case> {
    let case = |(name, fields, body, verdict): &Row| {
        let bytes = [b"POST /p HTTP/1.1\r\nHost: a\r\n", *fields, b"\r\n\r\n", *body].concat();
        Case::one(&format!("framing: {name}"), bytes, message("POST", "/p", "a", b""), *verdict)
    };
    ROWS.iter().map(case).collect()
}
