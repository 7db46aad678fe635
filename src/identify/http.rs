//! HTTP in clear text: a request or status line of HTTP/1, or the preface of HTTP/2.
//! RFC 9112, RFC 9113.
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | method ` ` target ` HTTP/1.x` end of line | request | high |
//! | known method ` /`…, longer than what was kept | request | medium |
//! | `HTTP/1.x nnn` | status | high |
//! | `PRI * HTTP/2.0` … `SM` | preface | high |
//!
//! Easily confused with: SIP and RTSP, which copied the shape of both lines and differ in the
//! version at the end of the one and at the beginning of the other.

use super::bytes::{self, Prefix, StartLine};
use super::sides::{self, SIDES, Seen};
use super::{Claim, Confidence, Detector, FirstBytes, Probe, View};
use crate::flow::sample::Carrier;

/// HTTP.
pub(super) const DETECTOR: Detector = Detector {
    token: "http",
    name: "HTTP",
    reference: "RFC 9112, RFC 9113",
    carriers: &[(Carrier::Stream, TEXT)],
    carried_after: &[],
    probe,
};

/// What one side begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head<'v> {
    Request {
        method: &'v [u8],
        version: &'static str,
        host: Option<&'v [u8]>,
    },
    /// A request whose line goes on beyond what was kept.
    CutRequest {
        method: &'v [u8],
    },
    Status {
        version: &'static str,
    },
    Preface,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let heads = || sides::fitting(&seen);
    let Some(confidence) = heads().map(Head::confidence).max() else {
        return sides::undecided(&seen);
    };
    let evidence = evidence(&seen);
    let answer = |head: &Head<'_>| matches!(head, Head::Status { .. });
    let asked = SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| !answer(head)));
    let answered = SIDES.map(|side| seen[side.index()].fits().is_some_and(answer));
    let mut claim = Claim::new(confidence, evidence).asked_by(sides::requester(asked, answered));
    for head in heads() {
        claim = match head {
            Head::Request { method, version, host } => claim
                .fact("method", bytes::text(method))
                .fact("version", Some(*version))
                .fact("host", host.and_then(bytes::text)),
            Head::CutRequest { method } => claim.fact("method", bytes::text(method)),
            Head::Status { version } if claim.facts.get("version").is_none() => {
                claim.fact("version", Some(*version))
            }
            Head::Status { .. } => claim,
            Head::Preface => claim.fact("version", Some("2")),
        };
    }
    Probe::Match(claim)
}

impl Head<'_> {
    fn confidence(&self) -> Confidence {
        match self {
            Self::Request { .. } | Self::Status { .. } | Self::Preface => Confidence::High,
            Self::CutRequest { .. } => Confidence::Medium,
        }
    }
}

fn evidence(seen: &[Seen<Head<'_>>; 2]) -> &'static str {
    let mut heads = sides::fitting(seen);
    match (heads.next(), heads.next()) {
        (Some(Head::Preface), _) | (_, Some(Head::Preface)) => "HTTP/2 preface",
        (Some(Head::Status { .. }), None) => "status line",
        (Some(Head::Status { .. }), _) | (_, Some(Head::Status { .. })) => {
            "request and status line"
        }
        (Some(Head::CutRequest { .. }), _) => "request line, cut",
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
    match bytes::start_line(bytes) {
        StartLine::Whole(line) => request(line, bytes),
        StartLine::Open(line) => cut_request(line),
        StartLine::Binary => Seen::Foreign,
    }
}

fn status(bytes: &[u8]) -> Seen<Head<'static>> {
    match bytes.get(7..) {
        Some([minor, b' ', a, b, c, b' ' | b'\r' | b'\n', ..])
            if [a, b, c].iter().all(|digit| digit.is_ascii_digit()) =>
        {
            version(*minor).map_or(Seen::Foreign, |version| Seen::Fits(Head::Status { version }))
        }
        Some(rest) if rest.len() < 6 => Seen::Short,
        _ => Seen::Foreign,
    }
}

fn request<'v>(line: &'v [u8], bytes: &'v [u8]) -> Seen<Head<'v>> {
    let Some([method, target, last]) = bytes::three_words(line) else {
        return Seen::Foreign;
    };
    let version = match last.split_last() {
        Some((minor, b"HTTP/1.")) => version(*minor),
        _ => None,
    };
    match version {
        Some(version) if is_method(method) && !target.is_empty() => {
            Seen::Fits(Head::Request { method, version, host: bytes::header(bytes, "host") })
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

/// What a client of HTTP/2 with prior knowledge sends first (RFC 9113, 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A method or the version of a status line.
const TEXT: FirstBytes = &[b'-'..=b'-', b'A'..=b'Z', b'_'..=b'_'];
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
    use super::super::craft::{ask, claim, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const GET: &[u8] = b"GET /meet?a=b HTTP/1.1\r\nHost: web.contoso.com\r\nAccept: */*\r\n\r\n";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(GET, b"HTTP/1.1 200 OK\r\n\r\n"),
            stream(b"HTTP/1.0 404 Not Found\r\n\r\n", b""),
            stream(PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]),
            stream(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b""),
            stream(format!("GET /{}", "a".repeat(600)).as_bytes(), b""),
        ]
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
    fn wants_more() {
        for cut in [&b"G"[..], b"GET /index", b"HTTP/1.1 2", b"PRI * HT", b"PATCH"] {
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
            b"GET /old\r\n",
            b"GET / HTTP/3.0\r\n",
            b"HTTP/1.1 2x0 OK\r\n",
            b"get / HTTP/1.1\r\n",
            b"GET  HTTP/1.1\r\n",
            b"EHLO mail.contoso.com\r\n",
            b"GET /\x00\x01 HTTP/1.1\r\n",
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
