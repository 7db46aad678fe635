//! DTLS: TLS over datagrams, as media keys and WebRTC data use it. RFC 6347, RFC 9147, RFC 5764.
//!
//! ```text
//!  0      1         3       5          11       13
//! | type | version | epoch | sequence | length | …
//! ```
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `16 fe ff`/`fe fd` epoch 0 … `01`, `02`, `03` | hello, or a server's request to verify | high |
//! | `14`…`17 fe ff`/`fe fd`, lengths that fill the datagram, both sides | records | high |
//! | the same on one side | records | medium |
//!
//! Versions count downwards from `fe ff`. Easily confused with: TLS, whose major version is 3;
//! CAPWAP, which puts four bytes before the record. The records of DTLS 1.3 after its handshake
//! have a header too short to be known.

use super::bytes::Reader;
use super::sides::{self, Datagrams, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// DTLS.
pub(super) const DETECTOR: Detector = Detector {
    token: "dtls",
    name: "DTLS",
    reference: "RFC 6347, RFC 9147",
    carriers: &[(Carrier::Datagrams, &[0x14..=0x17])],
    carried_after: &["stun"],
    probe,
};

/// What a datagram begins with; what says more stands later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Head {
    Records,
    Client,
    /// A server's request to verify, whose version means nothing (RFC 6347, 4.2.1).
    Verify,
    Server {
        version: u16,
    },
}

fn probe(view: &View<'_>) -> Probe {
    let seen = SIDES.map(|side| read_all(view.datagrams(side)));
    let heads = || sides::fitting(&seen);
    let client = |head: &Head| matches!(head, Head::Client);
    let server = |head: &Head| matches!(head, Head::Verify | Head::Server { .. });
    let claim = if heads().any(client) {
        Claim::new(Confidence::High, "hello of the client")
    } else if heads().any(server) {
        Claim::new(Confidence::High, "hello of the server")
    } else {
        match heads().count() {
            0 => return sides::undecided(&seen),
            1 => Claim::new(Confidence::Medium, "records"),
            _ => Claim::new(Confidence::High, "records both ways"),
        }
    };
    let asked = SIDES.map(|side| seen[side.index()].fits().is_some_and(client));
    let answered = SIDES.map(|side| seen[side.index()].fits().is_some_and(server));
    // The server settles the version; what a client writes there is only its oldest.
    let version = heads().find_map(|head| match head {
        Head::Server { version } => Some(name(*version)),
        Head::Records | Head::Client | Head::Verify => None,
    });
    Probe::Match(claim.asked_by(sides::requester(asked, answered)).fact("dtls_version", version))
}

/// The most telling of a side's datagrams, or else what the first one is.
fn read_all(datagrams: Datagrams<'_>) -> Seen<Head> {
    let mut seen = datagrams.map(|message| read(&message));
    let first = seen.next().unwrap_or(Seen::Silent);
    let heads = seen.chain([first.clone()]).filter_map(|seen| seen.fits().copied());
    heads.max().map_or(first, Seen::Fits)
}

fn read(message: &Message<'_>) -> Seen<Head> {
    let mut reader = Reader::new(message.bytes);
    let Some(&kind) = message.bytes.first() else {
        return Seen::Silent;
    };
    if !(CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind) {
        return Seen::Foreign;
    }
    let mut left = message.len;
    let mut first = None;
    while left > 0 {
        let record = match record(&mut reader) {
            Seen::Fits(record) if HEADER + record.len <= left => record,
            // The rest was not kept.
            Seen::Short if first.is_some() && reader.remaining() < left => break,
            Seen::Short => return message.ran_out(),
            _ => return Seen::Foreign,
        };
        left -= HEADER + record.len;
        let body = reader.take_up_to(record.len);
        if first.is_none() {
            match opening(record, body) {
                Seen::Fits(head) => first = Some(head),
                Seen::Short => return message.ran_out(),
                other => return other,
            }
        }
    }
    first.map_or(Seen::Foreign, Seen::Fits)
}

#[derive(Debug, Clone, Copy)]
struct Record {
    kind: u8,
    epoch: u16,
    len: usize,
}

fn record(reader: &mut Reader<'_>) -> Seen<Record> {
    let mut ahead = *reader;
    let fields = (|| {
        let kind = ahead.u8()?;
        let version = ahead.u16()?;
        let epoch = ahead.u16()?;
        ahead.skip(6)?;
        let len = usize::from(ahead.u16()?);
        let fits = (CHANGE_CIPHER_SPEC..=APPLICATION_DATA).contains(&kind)
            && matches!(version, DTLS_1_0 | DTLS_1_2)
            && (1..=MAX_RECORD).contains(&len);
        Some(fits.then_some(Record { kind, epoch, len }))
    })();
    match fields {
        None => Seen::Short,
        Some(None) => Seen::Foreign,
        Some(Some(record)) => {
            *reader = ahead;
            Seen::Fits(record)
        }
    }
}

fn opening(record: Record, body: &[u8]) -> Seen<Head> {
    if (record.kind, record.epoch) != (HANDSHAKE, 0) {
        return Seen::Fits(Head::Records);
    }
    let mut reader = Reader::new(body);
    let fields = (|| {
        let kind = reader.u8()?;
        let size = reader.u24()?;
        reader.skip(2)?;
        let offset = reader.u24()?;
        let fragment = reader.u24()?;
        let version = reader.u16()?;
        Some((kind, size, offset, fragment, version))
    })();
    let Some((kind, size, offset, fragment, version)) = fields else {
        return Seen::Short;
    };
    let fits = offset.saturating_add(fragment) <= size && fragment as usize + 12 <= record.len;
    let begins = offset == 0 && matches!(version, DTLS_1_0 | DTLS_1_2);
    match kind {
        _ if !fits => Seen::Foreign,
        CLIENT_HELLO if begins => Seen::Fits(Head::Client),
        HELLO_VERIFY if begins => Seen::Fits(Head::Verify),
        SERVER_HELLO if begins => Seen::Fits(Head::Server { version }),
        CLIENT_HELLO..=HELLO_VERIFY if offset == 0 => Seen::Foreign,
        _ => Seen::Fits(Head::Records),
    }
}

fn name(version: u16) -> &'static str {
    match version {
        DTLS_1_0 => "1.0",
        _ => "1.2",
    }
}

const HEADER: usize = 13;
const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY: u8 = 3;
const DTLS_1_0: u16 = 0xfeff;
const DTLS_1_2: u16 = 0xfefd;
/// As in TLS 1.2 (RFC 5246, 6.2.3).
const MAX_RECORD: usize = 16384 + 2048;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn hello(kind: &str) -> Vec<u8> {
        let mut out =
            hex(&format!("16 feff 0000 000000000000 002e {kind} 000022 0000 000000 000022 fefd"));
        out.extend([7; 32]);
        out
    }

    fn data() -> Vec<u8> {
        let mut out = hex("17 fefd 0001 000000000001 0020");
        out.extend([0x5a; 32]);
        out
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&hello("01")], &[&hello("03"), &hello("02")]),
            datagrams(&[&hello("03")], &[]),
            datagrams(&[&data()], &[&data()]),
            datagrams(&[&data()], &[]),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["dtls_version"], "1.2");
        let verify = claim(&DETECTOR, &samples()[1]);
        assert_eq!(verify.requester, Some(Side::B));
        assert_eq!(verify.facts.get("dtls_version"), None);
        assert_eq!(claim(&DETECTOR, &samples()[2]).confidence, Confidence::High);
        assert_eq!(claim(&DETECTOR, &samples()[3]).confidence, Confidence::Medium);
    }

    #[test]
    fn wants_more() {
        let cut = snapped(&datagrams(&[&hello("01")], &[]), 20);
        assert_eq!(ask(&DETECTOR, &cut), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &datagrams(&[], &[])), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let mut long = data();
        long.push(0);
        for other in [
            hex("16 0301 0200 01 0001fc 0303"),
            hex("16 feff 0000 000000000000 002e 01 000022 0000 000000 000022 fefd"),
            hex("16 feff 0000 000000000000 0010 01 000022 0000 000001 000022 fefd 0000"),
            hex("18 fefd 0001 000000000001 0001 00"),
            hex("17 fefc 0001 000000000001 0001 00"),
            data()[..20].to_vec(),
            long,
        ] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[&other], &[])), Probe::No, "{other:x?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
