//! HTTP in clear text: a request or status line of HTTP/1, or the preface of HTTP/2.
//! RFC 9112, RFC 9113, RFC 9110 sections 7.8 (Upgrade) and 9.3.6 (CONNECT).
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | method ` ` target ` HTTP/1.x` end of line | request | high |
//! | known method ` /`…, longer than what was kept | request | medium |
//! | `GET /…`, end of line and nothing else | request of HTTP/0.9, as balancers probe | medium |
//! | `HTTP/1.x nnn` | status | high |
//! | `PRI * HTTP/2.0` … `SM` | preface | high |
//! | `00 00` length `04 00 00000000`, settings that are assigned | HTTP/2 of the server | high |
//!
//! What both ends agree to go on with is another protocol: `WebSocket` has its own detector, and a
//! proxy's tunnel is told by its destination and by how it begins. Until then it is HTTP.
//!
//! Easily confused with: SIP and RTSP, which copied the shape of both lines and differ in the
//! version at the end of the one and at the beginning of the other.

use super::bytes::{self, Prefix, Reader, StartLine};
use super::sides::{self, SIDES, Seen};
use super::then::then;
use super::{Claim, Confidence, Detector, FirstBytes, Probe, View, websocket};
use crate::flow::key::Side;
use crate::flow::sample::Carrier;

/// HTTP.
pub(super) const DETECTOR: Detector = Detector {
    token: "http",
    name: "HTTP",
    reference: "RFC 9112, RFC 9113",
    carriers: &[(Carrier::Stream, FIRST)],
    carried_after: &[],
    probe,
};

/// What one side begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head<'v> {
    /// A request line and the header behind it, as far as it was kept.
    Request(Request<'v>),
    /// A request whose line goes on beyond what was kept.
    CutRequest {
        /// Its method.
        method: &'v [u8],
    },
    /// A status line and the header behind it.
    Status(Status<'v>),
    /// What a client of HTTP/2 sends first.
    Preface,
    /// What a server of HTTP/2 sends first.
    Settings,
}

/// What is kept of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request<'v> {
    method: &'v [u8],
    target: &'v [u8],
    version: &'static str,
    /// The host that is asked.
    pub(super) host: Option<&'v [u8]>,
    /// The protocol that the client would rather speak.
    pub(super) upgrade: Option<&'v [u8]>,
}

/// What is kept of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status<'v> {
    version: &'static str,
    /// 101: the server switches to another protocol.
    pub(super) switches: bool,
    /// The protocol that it switches to, or offers.
    pub(super) upgrade: Option<&'v [u8]>,
}

/// What both sides begin with.
pub(super) fn heads<'v>(view: &'v View<'_>) -> [Seen<Head<'v>>; 2] {
    sides::streams(view, read)
}

/// The protocol that both ends go on with, if the server switches.
pub(super) fn switched<'v>(seen: &[Seen<Head<'v>>; 2]) -> Option<&'v [u8]> {
    let status = sides::fitting(seen).find_map(|head| match head {
        Head::Status(status) if status.switches => Some(status),
        _ => None,
    })?;
    // Where the answer is cut, the question says what it was.
    status.upgrade.or_else(|| sides::fitting(seen).find_map(Head::wished))
}

/// The side that asked.
pub(super) fn requester(seen: &[Seen<Head<'_>>; 2]) -> Option<Side> {
    let answer = |head: &Head<'_>| matches!(head, Head::Status(_) | Head::Settings);
    let asked = SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| !answer(head)));
    let answered = SIDES.map(|side| seen[side.index()].fits().is_some_and(answer));
    sides::requester(asked, answered)
}

fn probe(view: &View<'_>) -> Probe {
    let seen = heads(view);
    if switched(&seen).is_some_and(websocket::is_token) {
        return Probe::No;
    }
    let heads = || sides::fitting(&seen);
    let Some(confidence) = heads().map(Head::confidence).max() else {
        return sides::undecided(&seen);
    };
    let mut claim = Claim::new(confidence, evidence(&seen)).asked_by(requester(&seen));
    for head in heads() {
        claim = match head {
            Head::Request(request) => {
                let destination = (request.method == b"CONNECT").then_some(request.target);
                claim
                    .fact("method", bytes::text(request.method))
                    .fact("version", Some(request.version))
                    .fact("host", request.host.and_then(bytes::text))
                    .fact("upgrade", request.upgrade.and_then(bytes::text))
                    .fact("connect", destination.and_then(bytes::text))
            }
            Head::CutRequest { method } => claim.fact("method", bytes::text(method)),
            Head::Status(status) if claim.facts.get("version").is_none() => {
                claim.fact("version", Some(status.version))
            }
            Head::Status(_) => claim,
            Head::Preface | Head::Settings => claim.fact("version", Some("2")),
        };
    }
    Probe::Match(claim.fact("then", then(view)))
}

impl<'v> Head<'v> {
    /// The protocol that a request asks for in place of this one.
    pub(super) fn wished(&self) -> Option<&'v [u8]> {
        match self {
            Self::Request(request) => request.upgrade,
            _ => None,
        }
    }

    fn confidence(&self) -> Confidence {
        match self {
            Self::CutRequest { .. } | Self::Request(Request { version: BARE, .. }) => {
                Confidence::Medium
            }
            _ => Confidence::High,
        }
    }
}

fn evidence(seen: &[Seen<Head<'_>>; 2]) -> &'static str {
    let mut heads = sides::fitting(seen);
    match (heads.next(), heads.next()) {
        (Some(Head::Preface), _) | (_, Some(Head::Preface)) => "HTTP/2 preface",
        (Some(Head::Settings), _) | (_, Some(Head::Settings)) => "HTTP/2 settings",
        (Some(Head::Status(_)), None) => "status line",
        (Some(Head::Status(_)), _) | (_, Some(Head::Status(_))) => "request and status line",
        (Some(Head::CutRequest { .. }), _) => "request line, cut",
        (Some(Head::Request(Request { version: BARE, .. })), None) => "bare request",
        _ => "request line",
    }
}

fn read(bytes: &[u8]) -> Seen<Head<'_>> {
    match bytes::prefix(bytes, PREFACE) {
        Prefix::Whole => return Seen::Fits(Head::Preface),
        Prefix::Part => return Seen::Short,
        Prefix::Differs => {}
    }
    match bytes::prefix(bytes, b"HTTP/1.") {
        Prefix::Whole => return status(bytes),
        Prefix::Part => return Seen::Short,
        Prefix::Differs => {}
    }
    if bytes.first() == Some(&0) {
        return settings(bytes);
    }
    match bytes::start_line(bytes) {
        StartLine::Whole(line) => request(line, bytes),
        StartLine::Open(line) => cut_request(line),
        StartLine::Binary => Seen::Foreign,
    }
}

/// The settings with which a server opens (RFC 9113, 6.5): entries of an identifier and a value.
fn settings(bytes: &[u8]) -> Seen<Head<'static>> {
    let mut reader = Reader::new(bytes);
    let (Some(len), Some(kind), Some(stream)) = (reader.u24(), reader.u16(), reader.u32()) else {
        // Zeros, a length and more zeros are common.
        return match bytes {
            [0] | [0, 0] | [0, 0, _] | [0, 0, _, 4, ..] => Seen::Short,
            _ => Seen::Foreign,
        };
    };
    let len = len as usize;
    if kind != SETTINGS
        || stream != 0
        || !len.is_multiple_of(6)
        || !(6..=MAX_SETTINGS).contains(&len)
    {
        return Seen::Foreign;
    }
    match reader.u16() {
        None => Seen::Short,
        Some(1..=6 | 8 | 9) => Seen::Fits(Head::Settings),
        Some(_) => Seen::Foreign,
    }
}

fn status(bytes: &[u8]) -> Seen<Head<'_>> {
    match bytes.get(7..) {
        Some([minor, b' ', code @ ..]) if code.len() >= 4 => {
            let ends = matches!(code.get(3), Some(b' ' | b'\r' | b'\n'));
            let digits = code.get(..3).unwrap_or_default();
            match version(*minor) {
                Some(version) if ends && digits.iter().all(u8::is_ascii_digit) => {
                    Seen::Fits(Head::Status(Status {
                        version,
                        switches: digits == b"101",
                        upgrade: bytes::header(bytes, "upgrade"),
                    }))
                }
                _ => Seen::Foreign,
            }
        }
        Some(rest) if rest.len() < 6 => Seen::Short,
        _ => Seen::Foreign,
    }
}

fn request<'v>(line: &'v [u8], bytes: &'v [u8]) -> Seen<Head<'v>> {
    let Some([method, target, last]) = bytes::three_words(line) else {
        return bare_request(line, bytes);
    };
    let version = match last.split_last() {
        Some((minor, b"HTTP/1.")) => version(*minor),
        _ => None,
    };
    match version {
        Some(version) if is_method(method) && !target.is_empty() => {
            Seen::Fits(Head::Request(Request {
                method,
                target,
                version,
                host: bytes::header(bytes, "host"),
                upgrade: bytes::header(bytes, "upgrade"),
            }))
        }
        _ => Seen::Foreign,
    }
}

/// A request without a version: one line, and no header behind it. Balancers send it by default.
fn bare_request<'v>(line: &'v [u8], bytes: &'v [u8]) -> Seen<Head<'v>> {
    let behind = bytes.get(line.len()..).unwrap_or_default();
    let fits = |target: &[u8]| target.starts_with(b"/") && !target.contains(&b' ');
    match line.strip_prefix(b"GET ") {
        Some(target)
            if fits(target) && matches!(behind, b"\r\n" | b"\r\n\r\n" | b"\n" | b"\n\n") =>
        {
            let method = b"GET";
            Seen::Fits(Head::Request(Request {
                method,
                target,
                version: BARE,
                host: None,
                upgrade: None,
            }))
        }
        _ => Seen::Foreign,
    }
}

/// Judges a request line by its beginning. Only a long one is believed: a short one is still on
/// its way.
fn cut_request(line: &[u8]) -> Seen<Head<'_>> {
    let mut words = line.splitn(3, |&b| b == b' ');
    let method = words.next().unwrap_or_default();
    let Some(target) = words.next() else {
        return if is_method(method) { Seen::Short } else { Seen::Foreign };
    };
    let begins = |with: &[u8]| bytes::prefix(target, with) != Prefix::Differs;
    let plausible = is_method(method)
        && (target.starts_with(b"/")
            || begins(b"http://")
            || begins(b"https://")
            || begins(b"*")
            || method == b"CONNECT");
    match plausible {
        true if line.len() >= LONG_LINE && METHODS.contains(&method) => {
            Seen::Fits(Head::CutRequest { method })
        }
        true => Seen::Short,
        false => Seen::Foreign,
    }
}

fn is_method(word: &[u8]) -> bool {
    (1..=MAX_METHOD).contains(&word.len())
        && word.iter().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'))
}

fn version(minor: u8) -> Option<&'static str> {
    match minor {
        b'0' => Some("1.0"),
        b'1' => Some("1.1"),
        _ => None,
    }
}

/// The version of a request that names none.
const BARE: &str = "0.9";
/// What a client of HTTP/2 with prior knowledge sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A frame of a SETTINGS without flags (RFC 9113, 6.5).
const SETTINGS: u16 = 0x0400;
/// Bytes of settings: more than there are identifiers.
const MAX_SETTINGS: usize = 6 * 16;
/// A method or the version of a status line; the length of a frame.
const FIRST: FirstBytes = &[0..=0, b'-'..=b'-', b'A'..=b'Z', b'_'..=b'_'];
/// Methods that are believed before the version is seen.
const METHODS: [&[u8]; 14] = [
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"DELETE",
    b"CONNECT",
    b"OPTIONS",
    b"TRACE",
    b"PATCH",
    b"PROPFIND",
    b"REPORT",
    b"SEARCH",
    b"RPC_IN_DATA",
    b"RPC_OUT_DATA",
];
/// The longest registered method has 17 characters.
const MAX_METHOD: usize = 24;
/// Bytes from which an unfinished request line counts.
const LONG_LINE: usize = 64;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, dialogue, hello, hex, stream, survive};
    use super::*;
    use crate::flow::sample::Sample;

    const GET: &[u8] = b"GET /meet?a=b HTTP/1.1\r\nHost: web.contoso.com\r\nAccept: */*\r\n\r\n";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(GET, b"HTTP/1.1 200 OK\r\n\r\n"),
            stream(b"HTTP/1.0 404 Not Found\r\n\r\n", b""),
            stream(PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]),
            stream(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b""),
            stream(format!("GET /{}", "a".repeat(600)).as_bytes(), b""),
            stream(b"", &hex("000006 04 00 00000000 0003 00000064")),
            dialogue(&[
                (Side::A, b"CONNECT sip.contoso.com:443 HTTP/1.1\r\n\r\n"),
                (Side::B, b"HTTP/1.1 200 Connection established\r\n\r\n"),
                (Side::A, &hello()),
            ]),
            // Asked for, not yet agreed.
            stream(
                b"GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
                b"",
            ),
        ]
    }

    #[test]
    fn what_it_goes_on_with_is_told() {
        let server = claim(&DETECTOR, &samples()[5]);
        assert_eq!((server.evidence, &*server.facts["version"]), ("HTTP/2 settings", "2"));
        assert_eq!(server.requester, Some(Side::A));

        let tunnel = claim(&DETECTOR, &samples()[6]);
        assert_eq!(tunnel.facts["connect"], "sip.contoso.com:443");
        assert_eq!(tunnel.facts["then"], "tls");

        let asked = claim(&DETECTOR, &samples()[7]);
        assert_eq!(asked.facts["upgrade"], "websocket");
        assert_eq!(asked.facts.get("then"), None);
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.evidence, "request and status line");
        assert_eq!(both.facts["method"], "GET");
        assert_eq!(both.facts["version"], "1.1");
        assert_eq!(both.facts["host"], "web.contoso.com");

        let answer = claim(&DETECTOR, &samples()[1]);
        assert_eq!(answer.requester, Some(Side::B));
        assert_eq!(answer.facts["version"], "1.0");

        let preface = claim(&DETECTOR, &samples()[2]);
        assert_eq!(preface.facts["version"], "2");
        assert_eq!(preface.requester, Some(Side::A));

        assert_eq!(claim(&DETECTOR, &samples()[4]).confidence, Confidence::Medium);
    }

    #[test]
    fn a_request_without_a_version_stands_alone() {
        for probe in ["GET /\r\n\r\n", "GET /\r\n", "GET /health?x=1\n"] {
            let bare = claim(&DETECTOR, &stream(probe.as_bytes(), b""));
            assert_eq!((bare.confidence, bare.requester), (Confidence::Medium, Some(Side::A)));
            assert_eq!((&*bare.facts["version"], bare.evidence), ("0.9", "bare request"));
        }
        for other in ["GET /\r\nHost: a\r\n", "GET x\r\n", "PUT /\r\n", "GET / \r\n"] {
            assert_eq!(ask(&DETECTOR, &stream(other.as_bytes(), b"")), Probe::No, "{other}");
        }
    }

    #[test]
    fn wants_more() {
        for cut in
            [&b"G"[..], b"GET /index", b"HTTP/1.1 2", b"PRI * HT", b"PATCH", b"\0\0\x06\x04\0"]
        {
            assert_eq!(ask(&DETECTOR, &stream(cut, b"")), Probe::NeedMore, "{cut:?}");
        }
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            &b"SIP/2.0 200 OK\r\n"[..],
            b"OPTIONS sip:fe01.contoso.com SIP/2.0\r\n",
            b"OPTIONS sip:fe01.contoso.com",
            b"OPTIONS rtsp://a/b RTSP/1.0\r\n",
            b"RTSP/1.0 200 OK\r\n",
            b"GET / HTTP/3.0\r\n",
            b"HTTP/1.1 2x0 OK\r\n",
            b"get / HTTP/1.1\r\n",
            b"GET  HTTP/1.1\r\n",
            b"EHLO mail.contoso.com\r\n",
            b"GET /\x00\x01 HTTP/1.1\r\n",
            // Settings that are empty, of an odd length, of a stream, of a number not assigned.
            b"\0\0\0\x04\0\0\0\0\0\0\x01",
            b"\0\0\x07\x04\0\0\0\0\0\0\x01",
            b"\0\0\x06\x04\0\0\0\0\x01\0\x01",
            b"\0\0\x06\x04\0\0\0\0\0\0\x10",
        ] {
            assert_eq!(ask(&DETECTOR, &stream(other, b"")), Probe::No, "{other:?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
