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
//! Hellos outgrow the bytes kept, so the extensions are read as far as they go.

use super::bytes::{self, Reader};
use super::sides::{self, SIDES, Seen};
use super::stun::pseudo_tls;
use super::{Claim, Confidence, Detector, Probe};
use crate::flow::sample::{Carrier, Sample};

/// TLS.
pub(super) const DETECTOR: Detector = Detector {
    token: "tls",
    name: "TLS",
    reference: "RFC 8446, RFC 5246",
    carriers: &[Carrier::Stream],
    carried_after: &[],
    probe,
};

/// What one side begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Head {
    Client(Hello),
    Server(Hello),
    OldClient { version: u16 },
    Alert,
    Records,
}

/// What a hello says, as far as it was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Hello {
    legacy: u16,
    supported: Vec<u16>,
    /// Every extension was read, so that what was not found is not there.
    complete: bool,
    sni: Option<String>,
    alpn: Option<String>,
}

fn probe(sample: &Sample) -> Probe {
    let seen = sides::streams(sample, read);
    let Some(claim) = claim(&seen) else {
        return sides::undecided(&seen);
    };
    let client = |head: &Head| matches!(head, Head::Client(_) | Head::OldClient { .. });
    let server = |head: &Head| matches!(head, Head::Server(_));
    let asked = SIDES.map(|side| seen[side.index()].fits().is_some_and(client));
    let answered = SIDES.map(|side| seen[side.index()].fits().is_some_and(server));
    let mut claim = claim.asked_by(sides::requester(asked, answered));
    for head in seen.iter().filter_map(Seen::fits) {
        claim = match head {
            Head::Client(hello) => claim
                .fact("tls_offered", hello.version().map(name))
                .fact("sni", hello.sni.clone())
                .fact("alpn", hello.alpn.clone()),
            Head::Server(hello) => claim.fact("tls_version", hello.version().map(name)),
            Head::OldClient { version } => claim
                .fact("tls_offered", Some(name(*version)))
                .fact("tls_hello", Some("sslv2")),
            Head::Alert | Head::Records => claim,
        };
    }
    Probe::Match(claim)
}

fn claim(seen: &[Seen<Head>; 2]) -> Option<Claim> {
    let has = |wanted: fn(&Head) -> bool| seen.iter().filter_map(Seen::fits).any(wanted);
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

fn read(bytes: &[u8]) -> Seen<Head> {
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
    let fits = (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind)
        && is_version(version)
        && (1..=MAX_RECORD).contains(&len);
    if fits {
        Seen::Fits((kind, len.into()))
    } else {
        Seen::Foreign
    }
}

fn handshake(bytes: &[u8]) -> Seen<Head> {
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
        CLIENT_HELLO => client_hello(body.take_up_to(size), size).map(Head::Client),
        SERVER_HELLO => server_hello(body.take_up_to(size), size).map(Head::Server),
        // A message of a handshake under way; one that does not fill its record exactly may
        // share it with others, but never reaches beyond it by chance.
        _ if LATER_MESSAGES.contains(&kind) && size + 4 <= len => Seen::Fits(Head::Records),
        _ => Seen::Foreign,
    }
}

fn client_hello(body: &[u8], size: usize) -> Seen<Hello> {
    let mut reader = Reader::new(body);
    let mut hello = match hello_version(&mut reader) {
        Seen::Fits(hello) => hello,
        other => return other,
    };
    match client_lists(&mut reader) {
        Some(true) => {}
        Some(false) => return Seen::Foreign,
        None => return Seen::Fits(hello),
    }
    let left = size - (body.len() - reader.remaining());
    hello.complete = extensions(&mut reader, left, |id, data| match id {
        SERVER_NAME => hello.sni = server_name(data),
        ALPN => hello.alpn = alpn(data),
        SUPPORTED_VERSIONS => {
            hello.supported = Reader::new(data).block8().map(versions).unwrap_or_default();
        }
        _ => {}
    });
    Seen::Fits(hello)
}

fn server_hello(body: &[u8], size: usize) -> Seen<Hello> {
    let mut reader = Reader::new(body);
    let mut hello = match hello_version(&mut reader) {
        Seen::Fits(hello) => hello,
        other => return other,
    };
    match server_choices(&mut reader) {
        Some(true) => {}
        Some(false) => return Seen::Foreign,
        None => return Seen::Fits(hello),
    }
    let left = size - (body.len() - reader.remaining());
    hello.complete = extensions(&mut reader, left, |id, data| {
        if id == SUPPORTED_VERSIONS {
            hello.supported = versions(data);
        }
    });
    Seen::Fits(hello)
}

fn hello_version(reader: &mut Reader<'_>) -> Seen<Hello> {
    match reader.u16() {
        None => Seen::Short,
        Some(legacy) if is_version(legacy) => Seen::Fits(Hello {
            legacy,
            ..Hello::default()
        }),
        Some(_) => Seen::Foreign,
    }
}

/// Moves over random, session, suites and compression; whether they make sense, or `None` where
/// they are cut.
fn client_lists(reader: &mut Reader<'_>) -> Option<bool> {
    reader.skip(32)?;
    let session = reader.u8()?;
    if session > 32 {
        return Some(false);
    }
    reader.skip(session.into())?;
    let suites = reader.u16()?;
    if suites < 2 || suites % 2 != 0 {
        return Some(false);
    }
    reader.skip(suites.into())?;
    let compression = reader.u8()?;
    reader.skip(compression.into())?;
    Some(compression > 0)
}

fn server_choices(reader: &mut Reader<'_>) -> Option<bool> {
    reader.skip(32)?;
    let session = reader.u8()?;
    if session > 32 {
        return Some(false);
    }
    reader.skip(session.into())?;
    reader.skip(2)?;
    // Null or DEFLATE (RFC 3749); nothing else was ever assigned.
    Some(reader.u8()? <= 1)
}

/// Shows each extension that is wholly there to `take`; whether that was all of them. `left` is
/// what the hello still holds by its length.
fn extensions(reader: &mut Reader<'_>, left: usize, mut take: impl FnMut(u16, &[u8])) -> bool {
    if left < 2 {
        return true;
    }
    let Some(total) = reader.u16() else {
        return false;
    };
    let mut list = Reader::new(reader.take_up_to(total.into()));
    let whole = list.remaining() == usize::from(total);
    while let Some(id) = list.u16() {
        let Some(data) = list.block16() else {
            return false;
        };
        take(id, data);
    }
    whole
}

fn server_name(data: &[u8]) -> Option<String> {
    let mut list = Reader::new(data);
    list.skip(2)?;
    // Type 0 is a host name; no other was ever defined (RFC 6066, 3).
    (list.u8()? == 0)
        .then(|| list.block16())?
        .and_then(bytes::text)
}

fn alpn(data: &[u8]) -> Option<String> {
    let mut list = Reader::new(data);
    list.skip(2)?;
    let names: Vec<String> = std::iter::from_fn(|| list.block8())
        .filter(|name| !is_grease(name))
        .filter_map(bytes::text)
        .collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// Names that clients make up so that servers learn to ignore the unknown (RFC 8701).
fn is_grease(name: &[u8]) -> bool {
    matches!(name, [a, b] if a == b && a & 0x0f == 0x0a)
}

fn versions(data: &[u8]) -> Vec<u16> {
    let mut reader = Reader::new(data);
    std::iter::from_fn(|| reader.u16())
        .filter(|&version| is_version(version) || is_draft(version))
        .collect()
}

impl Hello {
    /// The version offered or chosen; `None` where it may stand in what was cut.
    fn version(&self) -> Option<u16> {
        let settled = self.complete || self.legacy < 0x0303;
        let rank = |version: &u16| if is_draft(*version) { 0x0304 } else { *version };
        self.supported
            .iter()
            .map(rank)
            .max()
            .or(settled.then_some(self.legacy))
    }
}

fn old_hello(bytes: &[u8]) -> Seen<Head> {
    let mut reader = Reader::new(bytes);
    let fields = (|| {
        let len = usize::from(reader.u16()? & 0x7fff);
        let kind = reader.u8()?;
        let version = reader.u16()?;
        let suites = usize::from(reader.u16()?);
        let session = usize::from(reader.u16()?);
        let challenge = usize::from(reader.u16()?);
        let fits = kind == CLIENT_HELLO
            && is_version(version)
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
fn records(bytes: &[u8]) -> Seen<Head> {
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
fn opening(kind: u8, len: usize, body: &[u8]) -> Seen<Head> {
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

fn is_version(version: u16) -> bool {
    (0x0300..=0x0304).contains(&version)
}

/// Drafts of TLS 1.3 counted in their own range.
fn is_draft(version: u16) -> bool {
    version >> 8 == 0x7f
}

fn name(version: u16) -> &'static str {
    match version {
        0x0300 => "ssl3",
        0x0301 => "1.0",
        0x0302 => "1.1",
        0x0303 => "1.2",
        _ => "1.3",
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
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;
/// The longest record: 2^14 bytes and the expansion that TLS 1.2 allows (RFC 5246, 6.2.3).
const MAX_RECORD: u16 = 16384 + 2048;
/// The shortest hello: version, random, no session, a suite and a compression method.
const MIN_HELLO: usize = 38;
/// Longer hellos do not occur; the length field would allow 16 MiB.
const MAX_HELLO: usize = 1 << 17;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{claim, hex, matches, stream, survive};
    use super::*;
    use crate::flow::key::Side;

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
    fn wants_more() {
        for cut in [1, 3, 8] {
            let sample = stream(&client()[..cut], b"");
            assert_eq!(probe(&sample), Probe::NeedMore, "cut at {cut}");
        }
        assert_eq!(probe(&stream(b"", b"")), Probe::NeedMore);
        assert_eq!(probe(&stream(&[0x17, 3], b"")), Probe::NeedMore);
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
            assert_eq!(probe(&stream(&other, b"")), Probe::No, "{other:x?}");
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
