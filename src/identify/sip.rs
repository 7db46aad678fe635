//! SIP in clear text: a request or status line. RFC 3261 section 7.
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | method ` ` URI ` SIP/2.0` end of line | request | high |
//! | method ` sip:`…, longer than what was kept | request | medium |
//! | `SIP/2.0 nnn ` | status | high |
//! | CR LF, or zeros in a datagram | kept alive: says nothing | |
//!
//! Easily confused with: HTTP and RTSP (same shape, another version); MSRP, whose request line
//! has no URI. SIP behind TLS is TLS here: nothing of it can be read.
//!
//! Header fields that begin with `ms-` are Microsoft's own and show its UC products.

use super::bytes::{self, Prefix, StartLine};
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, FirstBytes, Probe, View};
use crate::flow::sample::Carrier;

/// SIP.
pub(super) const DETECTOR: Detector = Detector {
    token: "sip",
    name: "SIP",
    reference: "RFC 3261",
    carriers: &[(Carrier::Stream, TEXT), (Carrier::Datagrams, TEXT)],
    carried_after: &[],
    probe,
};

/// The first message of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head<'v> {
    kind: Kind,
    method: Option<&'v [u8]>,
    user_agent: Option<&'v [u8]>,
    microsoft: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A request whose line goes on beyond what was kept.
    CutRequest,
    Status,
    Request,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = match view.carrier() {
        Carrier::Stream => sides::streams(view, |bytes| read(without_keepalives(bytes))),
        Carrier::Datagrams => SIDES.map(|side| {
            view.datagrams(side)
                .find(|message| !is_keepalive(message.bytes))
                .map_or(Seen::Silent, |message| read_datagram(&message))
        }),
    };
    let heads = || sides::fitting(&seen);
    let Some(kind) = heads().map(|head| head.kind).max() else {
        return sides::undecided(&seen);
    };
    let (confidence, evidence) = match (kind, heads().any(|head| head.kind == Kind::Status)) {
        (Kind::Request, true) => (Confidence::High, "request and status line"),
        (Kind::Request, false) => (Confidence::High, "request line"),
        (Kind::Status, _) => (Confidence::High, "status line"),
        (Kind::CutRequest, _) => (Confidence::Medium, "request line, cut"),
    };
    let answer = |head: &Head<'_>| head.kind == Kind::Status;
    let asked = SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| !answer(head)));
    let answered = SIDES.map(|side| seen[side.index()].fits().is_some_and(answer));
    // The request speaks for the exchange; what only the answer says is added.
    let speaks = |head: &&Head<'_>| head.kind == kind;
    let ordered = || heads().filter(speaks).chain(heads().filter(|head| !speaks(head)));
    let method = ordered().find_map(|head| head.method).and_then(bytes::text);
    let user_agent = ordered().find_map(|head| head.user_agent).and_then(bytes::text);
    let microsoft = heads().any(|head| head.microsoft);
    Probe::Match(
        Claim::new(confidence, evidence)
            .asked_by(sides::requester(asked, answered))
            .fact("sip_method", method)
            .fact("user_agent", user_agent)
            .fact("microsoft", microsoft.then_some("true")),
    )
}

fn read_datagram<'v>(message: &Message<'v>) -> Seen<Head<'v>> {
    match read(without_keepalives(message.bytes)) {
        Seen::Short => message.ran_out(),
        other => other,
    }
}

fn read(bytes: &[u8]) -> Seen<Head<'_>> {
    match bytes::prefix(bytes, b"SIP/2.0 ") {
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

fn status(bytes: &[u8]) -> Seen<Head<'_>> {
    match bytes.get(8..) {
        Some([b'1'..=b'6', b, c, b' ' | b'\r' | b'\n', ..])
            if b.is_ascii_digit() && c.is_ascii_digit() =>
        {
            // `CSeq: 1 INVITE` names the method that is answered.
            let method = bytes::header(bytes, "cseq")
                .and_then(|value| value.rsplit(|&b| b == b' ').next())
                .filter(|word| is_method(word));
            Seen::Fits(Head::new(Kind::Status, method, bytes))
        }
        Some(rest) if rest.len() < 4 => Seen::Short,
        _ => Seen::Foreign,
    }
}

fn request<'v>(line: &'v [u8], bytes: &'v [u8]) -> Seen<Head<'v>> {
    match bytes::three_words(line) {
        Some([method, uri, b"SIP/2.0"]) if is_method(method) && uri.contains(&b':') => {
            Seen::Fits(Head::new(Kind::Request, Some(method), bytes))
        }
        _ => Seen::Foreign,
    }
}

/// Judges a request line by its beginning: a method, then a SIP or telephone URI.
fn cut_request(line: &[u8]) -> Seen<Head<'_>> {
    let mut words = line.splitn(3, |&b| b == b' ');
    let method = words.next().unwrap_or_default();
    if !is_method(method) && !method.is_empty() {
        return Seen::Foreign;
    }
    let Some(uri) = words.next() else {
        return Seen::Short;
    };
    let schemes: [&[u8]; 3] = [b"sip:", b"sips:", b"tel:"];
    let best = schemes
        .iter()
        .map(|scheme| bytes::prefix(uri, scheme))
        .find(|prefix| *prefix != Prefix::Differs);
    match best {
        Some(Prefix::Whole) if line.len() >= LONG_LINE && METHODS.contains(&method) => {
            Seen::Fits(Head::new(Kind::CutRequest, Some(method), &[]))
        }
        Some(_) => Seen::Short,
        None => Seen::Foreign,
    }
}

impl<'v> Head<'v> {
    fn new(kind: Kind, method: Option<&'v [u8]>, bytes: &'v [u8]) -> Self {
        Self {
            kind,
            method,
            user_agent: bytes::header(bytes, "user-agent").filter(|value| !value.is_empty()),
            microsoft: bytes::header_lines(bytes)
                .any(|line| line.get(..3).is_some_and(|p| p.eq_ignore_ascii_case(b"ms-"))),
        }
    }
}

fn is_method(word: &[u8]) -> bool {
    (1..=MAX_METHOD).contains(&word.len())
        && word.iter().all(|b| b.is_ascii_uppercase() || matches!(b, b'-' | b'_'))
}

/// A keepalive holds nothing but line ends, or zeros as some clients send (RFC 5626, 3.5.1).
fn is_keepalive(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// What follows the line ends that may stand before any message (RFC 3261, 7.5).
fn without_keepalives(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !matches!(b, b'\r' | b'\n'));
    start.and_then(|at| bytes.get(at..)).unwrap_or_default()
}

/// A method or the version of a status line, or a keepalive before either.
const TEXT: FirstBytes = &[b'\n'..=b'\n', b'\r'..=b'\r', b'-'..=b'-', b'A'..=b'Z', b'_'..=b'_'];
/// Methods that are believed before the version is seen (RFC 3261 and its extensions; SERVICE
/// and BENOTIFY are Microsoft's, MS-SIP).
const METHODS: [&[u8]; 16] = [
    b"ACK",
    b"BENOTIFY",
    b"BYE",
    b"CANCEL",
    b"INFO",
    b"INVITE",
    b"MESSAGE",
    b"NOTIFY",
    b"OPTIONS",
    b"PRACK",
    b"PUBLISH",
    b"REFER",
    b"REGISTER",
    b"SERVICE",
    b"SUBSCRIBE",
    b"UPDATE",
];
/// Longer than any registered method.
const MAX_METHOD: usize = 24;
/// Bytes from which an unfinished request line counts.
const LONG_LINE: usize = 48;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const REGISTER: &[u8] = b"REGISTER sip:contoso.com SIP/2.0\r\n\
        Via: SIP/2.0/TCP 10.0.0.5:50001\r\n\
        ms-keep-alive: UAC;hop-hop=yes\r\n\
        User-Agent: UCCAPI/16.0.4266.1001 OC/16.0.4266.1001\r\n\
        CSeq: 1 REGISTER\r\n\r\n";
    const TRYING: &[u8] = b"SIP/2.0 100 Trying\r\nCSeq: 2 INVITE\r\n\r\n";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(REGISTER, TRYING),
            stream(&[b"\r\n\r\n", REGISTER].concat(), b""),
            datagrams(&[TRYING], &[]),
            datagrams(&[b"\0\0\0\0", b"\r\n\r\n", REGISTER], &[]),
            datagrams(&[b"INVITE tel:+1234 SIP/2.0\r\n\r\n"], &[TRYING]),
            stream(format!("INVITE sip:{}", "a".repeat(600)).as_bytes(), b""),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["sip_method"], "REGISTER");
        assert_eq!(both.facts["user_agent"], "UCCAPI/16.0.4266.1001 OC/16.0.4266.1001");
        assert_eq!(both.facts["microsoft"], "true");

        let answer = claim(&DETECTOR, &samples()[2]);
        assert_eq!(answer.requester, Some(Side::B));
        assert_eq!(answer.facts["sip_method"], "INVITE");
        assert_eq!(answer.facts.get("microsoft"), None);

        assert_eq!(claim(&DETECTOR, &samples()[5]).confidence, Confidence::Medium);
    }

    #[test]
    fn wants_more() {
        for cut in [&b"\r\n\r\n"[..], b"INV", b"INVITE si", b"SIP/2", b"SIP/2.0 40"] {
            assert_eq!(ask(&DETECTOR, &stream(cut, b"")), Probe::NeedMore, "{cut:?}");
        }
        assert_eq!(ask(&DETECTOR, &datagrams(&[b"\r\n"], &[])), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"HTTP/1.1 200 OK\r\n",
            b"OPTIONS rtsp://a/b RTSP/1.0\r\n",
            b"OPTIONS sip:a HTTP/1.1\r\n",
            b"MSRP a786hjs2 SEND\r\n",
            b"SIP/2.0 999 No\r\n",
            b"INVITE nowhere SIP/2.0\r\n",
            b"\x80\x00\x01\x02",
        ] {
            assert_eq!(ask(&DETECTOR, &stream(other, b"")), Probe::No, "{other:?}");
            assert_eq!(ask(&DETECTOR, &datagrams(&[other], &[])), Probe::No, "{other:?}");
        }
        // A whole datagram that ends where SIP would go on.
        assert_eq!(ask(&DETECTOR, &datagrams(&[b"INVITE si"], &[])), Probe::No);
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
