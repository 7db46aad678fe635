//! TLS: the handshake that opens it, or the records of one that began before the capture.
//! RFC 8446, RFC 5246; the SSLv2-format hello is RFC 5246 appendix E.2.
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `16 03 0x` length `01` length `03 0x` | hello of the client | high |
//! | `16 03 0x` length `02` length `03 0x` | hello of the server | high |
//! | `80` length `01 03 0x` | SSLv2-format hello of an old client | medium |
//! | `15 03 0x 00 02` level, description | an alert and nothing before it | medium |
//! | `17 03 0x` length, `14 03 0x 00 01 01` | records from the middle | medium |
//!
//! An alert alone is no more than medium: it refuses something that was not seen. Records from
//! the middle show no requester.
//!
//! Easily confused with: the pseudo-TLS of MS-TURN, whose two hellos are TLS 1.0 to the letter
//! and are followed by no TLS at all (the STUN detector has it); DTLS, whose versions count
//! downwards from `fe ff`.
//!
//! Hellos outgrow the bytes kept, so the extensions are read as far as they go. Whether the client
//! showed a certificate is read off what it sends next; `second_flight` has the rule.

mod alert;
mod certificate;

mod gist;
mod hello;
mod second_flight;

use super::bytes::{self, Reader};
use super::sides::{self, SIDES, Seen};
use super::stun::pseudo_tls;
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

use certificate::LeafNames;
pub(super) use gist::gist;
use hello::Hello;

/// TLS.
pub(super) const DETECTOR: Detector = Detector {
    token: "tls",
    name: "TLS",
    reference: "RFC 8446, RFC 5246",
    carriers: &[(Carrier::Stream, &[0x14..=0x17, 0x80..=0xff])],
    carried_after: &[],
    probe,
};

/// What one side begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Head<'v> {
    Client(Hello<'v>),
    Server(Hello<'v>),
    OldClient { version: u16 },
    Alert,
    Records,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let Some(claim) = claim(&seen) else {
        return sides::undecided(&seen);
    };
    let client = |head: &Head<'_>| matches!(head, Head::Client(_) | Head::OldClient { .. });
    let server = |head: &Head<'_>| matches!(head, Head::Server(_));
    let asked = SIDES.map(|side| seen[side.index()].fits().is_some_and(client));
    let answered = SIDES.map(|side| seen[side.index()].fits().is_some_and(server));
    let mut claim = claim.asked_by(sides::requester(asked, answered));
    for head in sides::fitting(&seen) {
        claim = match head {
            Head::Client(hello) => claim
                .fact("tls_offered", hello.version().map(hello::name))
                .fact("sni", hello.sni.and_then(bytes::text))
                .fact("alpn", hello.protocols()),
            Head::Server(hello) => claim.fact("tls_version", hello.version().map(hello::name)),
            Head::OldClient { version } => claim
                .fact("tls_offered", Some(hello::name(*version)))
                .fact("tls_hello", Some("sslv2")),
            Head::Alert | Head::Records => claim,
        };
    }
    // Only a hello tells who is the client.
    if let Some(client) = sides::requester(asked, answered) {
        let server = seen[client.other().index()].fits();
        let protects =
            matches!(server, Some(Head::Server(hello)) if hello.version() == Some(0x0304));
        // Beside the hello of TLS 1.3 the rest of the server's handshake looks like data; before any
        // hello of a server a client may send early data (RFC 8446, 2.3).
        let answered = matches!(server, Some(Head::Server(_)));
        for (side, by, early) in
            [(client, "client", protects), (client.other(), "server", !answered)]
        {
            let (mine, theirs) = (view.pieces(side), view.pieces(side.other()));
            if let Some(about) = alert::fatal(mine, theirs, early) {
                claim = claim.fact("tls_alert", Some(about)).fact("tls_alert_by", Some(by));
            }
        }
    }
    for side in SIDES {
        // Of a short flight everything was kept; of a long one there is a gist.
        if let Some(Head::Server(_)) = seen[side.index()].fits()
            && let Some(leaf) = LeafNames::read(view.stream(side))
        {
            claim = claim.fact(gist::NAMES, gist::names(leaf));
        }
        claim = gist::tell(view.gist(side), claim);
    }
    Probe::Match(claim.fact("client_certificate", Some(client_certificate(view, &seen, asked))))
}

/// What is known of the client's certificate, given which sides sent a client's hello.
fn client_certificate(
    view: &View<'_>,
    seen: &[Seen<Head<'_>>; 2],
    asked: [bool; 2],
) -> &'static str {
    let Some(client) = sides::only(asked) else {
        return second_flight::NOT_OBSERVABLE;
    };
    let chosen = match seen[client.other().index()].fits() {
        Some(Head::Server(hello)) => hello.version(),
        _ => None,
    };
    second_flight::told(view.pieces(client), view.stream(client), chosen)
}

fn claim(seen: &[Seen<Head<'_>>; 2]) -> Option<Claim> {
    let has = |wanted: fn(&Head<'_>) -> bool| sides::fitting(seen).any(wanted);
    let client = has(|head| matches!(head, Head::Client(_)));
    let server = has(|head| matches!(head, Head::Server(_)));
    let (confidence, evidence) = match (client, server) {
        (true, true) => (Confidence::High, "hellos of client and server"),
        (true, false) => (Confidence::High, "hello of the client"),
        (false, true) => (Confidence::High, "hello of the server"),
        _ if has(|head| matches!(head, Head::OldClient { .. })) => {
            (Confidence::Medium, "SSLv2-format hello")
        }
        _ if has(|head| *head == Head::Alert) => (Confidence::Medium, "an alert, no hello"),
        _ if has(|head| *head == Head::Records) => (Confidence::Medium, "records from the middle"),
        _ => return None,
    };
    Some(Claim::new(confidence, evidence))
}

fn read(bytes: &[u8]) -> Seen<Head<'_>> {
    match pseudo_tls::read(bytes) {
        Seen::Fits(_) => return Seen::Foreign,
        Seen::Short => return Seen::Short,
        Seen::Foreign | Seen::Silent => {}
    }
    match bytes.first() {
        Some(0x80..) => old_hello(bytes),
        Some(&HANDSHAKE) => handshake(bytes),
        Some(&(CHANGE_CIPHER_SPEC | ALERT | APPLICATION_DATA)) => records(bytes),
        _ => Seen::Foreign,
    }
}

/// A record header: type and length. `None` when it cannot be one.
fn record(reader: &mut Reader<'_>) -> Seen<(u8, usize)> {
    let (Some(kind), Some(version), Some(len)) = (reader.u8(), reader.u16(), reader.u16()) else {
        return Seen::Short;
    };
    // Records never say 1.3: its own version field is frozen at 1.2 (RFC 8446, 5.1).
    let fits = (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind)
        && (0x0300..=0x0303).contains(&version)
        && (1..=MAX_RECORD).contains(&len);
    if fits { Seen::Fits((kind, len.into())) } else { Seen::Foreign }
}

fn handshake(bytes: &[u8]) -> Seen<Head<'_>> {
    // What is there of the fixed bytes must agree even when the header is cut.
    if bytes.get(1).is_some_and(|&major| major != 3) {
        return Seen::Foreign;
    }
    let mut reader = Reader::new(bytes);
    let (_, len) = match record(&mut reader) {
        Seen::Fits(header) => header,
        other => return other.map(|_| Head::Records),
    };
    let mut body = Reader::new(reader.take_up_to(len));
    let (Some(kind), Some(size)) = (body.u8(), body.u24()) else {
        return Seen::Short;
    };
    let size = size as usize;
    match kind {
        CLIENT_HELLO | SERVER_HELLO if !(MIN_HELLO..=MAX_HELLO).contains(&size) => Seen::Foreign,
        CLIENT_HELLO => hello::client(body.take_up_to(size), size).map(Head::Client),
        SERVER_HELLO => hello::server(body.take_up_to(size), size).map(Head::Server),
        _ if !LATER_MESSAGES.contains(&kind) => Seen::Foreign,
        // A message of a handshake under way; it fills its record, or shares it with others.
        _ if size + 4 == len => Seen::Fits(Head::Records),
        _ if size + 4 < len => match body.skip(size).and_then(|()| body.u8()) {
            Some(next) if LATER_MESSAGES.contains(&next) => Seen::Fits(Head::Records),
            _ => Seen::Foreign,
        },
        _ => Seen::Foreign,
    }
}

fn old_hello(bytes: &[u8]) -> Seen<Head<'_>> {
    let mut reader = Reader::new(bytes);
    let fields = (|| {
        let len = usize::from(reader.u16()? & 0x7fff);
        let kind = reader.u8()?;
        let version = reader.u16()?;
        let suites = usize::from(reader.u16()?);
        let session = usize::from(reader.u16()?);
        let challenge = usize::from(reader.u16()?);
        let fits = kind == CLIENT_HELLO
            && hello::is_version(version)
            && suites > 0
            && suites % 3 == 0
            && matches!(session, 0 | 16)
            && (16..=32).contains(&challenge)
            && len == 9 + suites + session + challenge;
        Some(fits.then_some(version))
    })();
    match fields {
        Some(Some(version)) => Seen::Fits(Head::OldClient { version }),
        Some(None) => Seen::Foreign,
        None if bytes.get(2).is_some_and(|&kind| kind != CLIENT_HELLO) => Seen::Foreign,
        None => Seen::Short,
    }
}

/// Records whose headers chain as far as they are there.
fn records(bytes: &[u8]) -> Seen<Head<'_>> {
    if bytes.get(1).is_some_and(|&major| major != 3) {
        return Seen::Foreign;
    }
    let mut reader = Reader::new(bytes);
    let mut first = None;
    while reader.remaining() > 0 {
        let (kind, len) = match record(&mut reader) {
            Seen::Fits(header) => header,
            // A header cut by the end of what was kept says nothing against the ones before.
            Seen::Short if first.is_some() => break,
            other => return other.map(|_| Head::Records),
        };
        let body = reader.take_up_to(len);
        if first.is_none() {
            match opening(kind, len, body) {
                Seen::Fits(head) => first = Some(head),
                other => return other,
            }
        }
    }
    first.map_or(Seen::Short, Seen::Fits)
}

/// What a first record that is no handshake may be.
fn opening(kind: u8, len: usize, body: &[u8]) -> Seen<Head<'static>> {
    match (kind, len, body) {
        (CHANGE_CIPHER_SPEC, 1, []) | (ALERT, 2, [] | [_]) => Seen::Short,
        (ALERT, 2, [1 | 2, 0..=120]) => Seen::Fits(Head::Alert),
        // The shortest protected record: a tag, or a block and its MAC.
        (CHANGE_CIPHER_SPEC, 1, [1]) | (APPLICATION_DATA, 17.., _) | (ALERT, 18..=80, _) => {
            Seen::Fits(Head::Records)
        }
        _ => Seen::Foreign,
    }
}

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// Handshake messages that are no hellos: new session ticket, encrypted extensions, certificate,
/// key exchanges, certificate request, hello done, certificate verify, finished, status.
const LATER_MESSAGES: [u8; 11] = [0, 4, 8, 11, 12, 13, 14, 15, 16, 20, 22];
/// The longest record: 2^14 bytes and the expansion that TLS 1.2 allows (RFC 5246, 6.2.3).
const MAX_RECORD: u16 = 16384 + 2048;
/// The shortest hello: version, random, no session, a suite and a compression method.
const MIN_HELLO: usize = 38;
/// Longer hellos do not occur; the length field would allow 16 MiB.
const MAX_HELLO: usize = 1 << 17;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, dialogue, hex, matches, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn wrapped(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![22, 3, 1];
        out.extend(((body.len() + 4) as u16).to_be_bytes());
        out.push(kind);
        out.extend(&(body.len() as u32).to_be_bytes()[1..]);
        out.extend(body);
        out
    }

    fn client() -> Vec<u8> {
        let mut body = hex("0303");
        body.extend([7; 32]);
        body.extend(hex("00 0004 1301 c02f 01 00"));
        let extensions = hex("0a0a 0000
             0000 0013 0011 00 000e 666530312e 636f6e746f736f 2e6c
             0010 0011 000f 02 fafa 02 6832 08 687474702f312e31
             002b 0007 06 1a1a 0304 0303");
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        wrapped(1, &body)
    }

    fn server(legacy: u16, extensions: &[u8]) -> Vec<u8> {
        let mut body = legacy.to_be_bytes().to_vec();
        body.extend([9; 32]);
        body.extend(hex("00 c02f 00"));
        if !extensions.is_empty() {
            body.extend((extensions.len() as u16).to_be_bytes());
            body.extend(extensions);
        }
        wrapped(2, &body)
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(&client(), &server(0x0303, &hex("002b 0002 0304"))),
            stream(&client(), &hex("15 0303 0002 02 28")),
            stream(b"", &server(0x0301, b"")),
            stream(&hex("1703030020 0011223344"), b""),
            stream(
                &hex("802e 01 0301 0015 0000 0010
                     010080 020080 030080 040080 050080 060080 070080
                     000102030405060708090a0b0c0d0e0f"),
                b"",
            ),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["tls_version"], "1.3");
        assert_eq!(both.facts["tls_offered"], "1.3");
        assert_eq!(both.facts["sni"], "fe01.contoso.l");
        assert_eq!(both.facts["alpn"], "h2,http/1.1");

        let answer = claim(&DETECTOR, &samples()[2]);
        assert_eq!(answer.requester, Some(Side::A));
        assert_eq!(answer.facts["tls_version"], "1.0");

        let middle = claim(&DETECTOR, &samples()[3]);
        assert_eq!(middle.confidence, Confidence::Medium);
        assert_eq!(middle.requester, None);

        let old = claim(&DETECTOR, &samples()[4]);
        assert_eq!(old.confidence, Confidence::Medium);
        assert_eq!(old.facts["tls_offered"], "1.0");
        assert_eq!(old.facts["tls_hello"], "sslv2");
    }

    #[test]
    fn a_version_that_may_be_cut_is_not_guessed() {
        let mut hello = server(0x0303, &hex("002b 0002 0304"));
        let whole = claim(&DETECTOR, &stream(b"", &hello));
        assert_eq!(whole.facts["tls_version"], "1.3");
        hello.truncate(hello.len() - 3);
        let cut = claim(&DETECTOR, &stream(b"", &hello));
        assert_eq!(cut.facts.get("tls_version"), None);
        let without = claim(&DETECTOR, &stream(b"", &server(0x0303, b"")));
        assert_eq!(without.facts["tls_version"], "1.2");
    }

    #[test]
    fn a_hello_longer_than_the_sample_still_shows_its_first_extensions() {
        let mut body = hex("0303");
        body.extend([7; 32]);
        body.extend(hex("00 0002 1301 01 00"));
        let mut extensions = hex("0000 0009 0007 00 0004 666530 31");
        extensions.extend(hex("0033 0600"));
        extensions.extend([5; 0x600]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let claim = claim(&DETECTOR, &stream(&wrapped(1, &body), b""));
        assert_eq!(claim.confidence, Confidence::High);
        assert_eq!(claim.facts["sni"], "fe01");
        assert_eq!(claim.facts.get("tls_offered"), None);
    }

    #[test]
    fn a_fatal_alert_in_clear_is_told_with_its_side() {
        let refused = claim(&DETECTOR, &stream(&client(), &hex("15 0303 0002 02 46")));
        assert_eq!(refused.facts["tls_alert"], "protocol-version");
        assert_eq!(refused.facts["tls_alert_by"], "server");
        let (answer, alert) = (server(0x0303, b""), hex("15 0303 0002 02 28"));
        let sent = [&answer[..], &alert[..]].map(|bytes| (Side::B, bytes));
        let data = hex("17 0303 0020").into_iter().chain([7; 32]).collect::<Vec<_>>();
        let hello = client();
        let failed = [(Side::A, &hello[..]), sent[0], sent[1]];
        assert_eq!(claim(&DETECTOR, &dialogue(&failed)).facts["tls_alert"], "handshake-failure");
        let goes_on = [failed[0], failed[1], failed[2], (Side::A, &data[..])];
        assert_eq!(claim(&DETECTOR, &dialogue(&goes_on)).facts.get("tls_alert"), None);
        // Nobody knows whose it is without a hello.
        let alone = claim(&DETECTOR, &stream(b"", &hex("15 0303 0002 02 46")));
        assert_eq!(alone.facts.get("tls_alert"), None);
    }

    #[test]
    fn wants_more() {
        for cut in [1, 3, 8] {
            let sample = stream(&client()[..cut], b"");
            assert_eq!(ask(&DETECTOR, &sample), Probe::NeedMore, "cut at {cut}");
        }
        assert_eq!(ask(&DETECTOR, &stream(b"", b"")), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &stream(&[0x17, 3], b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            hex("16 0301 0200 03 000030 0303"),
            hex("16 0301 0200 01 000001 0303"),
            hex("16 0301 0200 01 0001fc 0403"),
            hex("16 fefd 0000 0000 0000 0000 0030 01"),
            hex("17 0303 0000 00"),
            hex("17 0303 0020 00").repeat(8),
            hex("15 0303 0002 07 28"),
            hex("8000 01 0301 0015 0000 0010"),
            b"SSH-2.0-x\r\n".to_vec(),
        ] {
            assert_eq!(ask(&DETECTOR, &stream(&other, b"")), Probe::No, "{other:x?}");
        }
        for pseudo in [pseudo_tls::tests::client(), pseudo_tls::tests::server()] {
            assert!(!matches(&DETECTOR, &stream(&pseudo, b"")));
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
