//! IKE, which sets up `IPsec`: versions 1 and 2, and Windows' `AuthIP`. RFC 7296 section 3.1,
//! RFC 2408 section 3.1, RFC 3948 section 2.2 (the marker), MS-AIPS section 2.2.
//!
//! ```text
//!  0               8               16     17        18         19      20           24       28
//! | initiator SPI | responder SPI | next | version | exchange | flags | message id | length |
//! ```
//!
//! Where it shares its port with ESP, four zero bytes stand before it.
//!
//! | seen | sure |
//! |---|---|
//! | version, exchange, flags and a length that fills the datagram | high |
//! | the same with a longer length, in what may be the first fragment of a datagram | medium |
//!
//! Messages with certificates do not fit into a packet. Easily confused with nothing; ESP in UDP has an
//! SPI where the marker would be, and is not claimed.

use super::bytes::Reader;
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View, gate};
use crate::flow::sample::Carrier;

/// IKE.
pub(super) const DETECTOR: Detector = Detector {
    token: "ike",
    name: "IKE",
    reference: "RFC 7296, RFC 2408",
    carriers: &[(Carrier::Datagrams, gate::ANY)],
    carried_after: &[],
    probe,
};

/// The first message of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    sender: Sender,
    version: &'static str,
    exchange: &'static str,
    extent: Extent,
}

/// How a message compares with the datagram that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Extent {
    /// It fills it.
    Whole,
    /// It is longer: the datagram was cut into fragments, of which this is the first.
    Beyond,
}

/// Who sent a message, as the message itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Sender {
    Initiator,
    Responder,
    Unknown,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    // The initiator's message tells how it began, whichever side that is.
    let Some(first) = seen.iter().filter_map(Seen::fits).min() else {
        return sides::undecided(&seen);
    };
    let sent = |sender| {
        SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| head.sender == sender))
    };
    let claim = if sides::fitting(&seen).any(|head| head.extent == Extent::Whole) {
        Claim::new(Confidence::High, "IKE header")
    } else {
        Claim::new(Confidence::Medium, "IKE header of a first fragment")
    };
    Probe::Match(
        claim
            .asked_by(sides::requester(sent(Sender::Initiator), sent(Sender::Responder)))
            .fact("ike_version", Some(first.version))
            .fact("ike_exchange", Some(first.exchange)),
    )
}

fn read(message: &Message<'_>) -> Seen<Head> {
    match message.bytes {
        [0, 0, 0, 0, rest @ ..] => header(&Message { bytes: rest, ..*message }, 4),
        _ => header(message, 0),
    }
}

/// Reads the header behind a marker of so many bytes.
fn header(message: &Message<'_>, marker: usize) -> Seen<Head> {
    let message = &Message { len: message.len.saturating_sub(marker), ..*message };
    if message.len < HEADER {
        return Seen::Foreign;
    }
    let mut reader = Reader::new(message.bytes);
    let fields = (|| {
        let initiator = reader.u64()?;
        let responder = reader.u64()?;
        let next = reader.u8()?;
        let kind = (reader.u8()?, reader.u8()?, reader.u8()?);
        reader.skip(4)?;
        let length = reader.u32()?;
        let extent = extent(length as usize, message.len, marker).filter(|_| initiator != 0);
        Some(extent.and_then(|extent| head(kind, next, responder, extent)))
    })();
    match fields {
        None => message.ran_out(),
        Some(None) => Seen::Foreign,
        Some(Some(head)) => Seen::Fits(head),
    }
}

/// How a length compares with the bytes that are there; `None` where it cannot be theirs. Fragments but
/// the last end at a multiple of 8 in the datagram (RFC 791, 3.2), behind 8 bytes of UDP.
fn extent(length: usize, there: usize, marker: usize) -> Option<Extent> {
    let first_fragment = there >= MIN_FRAGMENT && (there + marker).is_multiple_of(8);
    match length.checked_sub(there)? {
        0 => Some(Extent::Whole),
        _ if first_fragment && u16::try_from(length).is_ok() => Some(Extent::Beyond),
        _ => None,
    }
}

/// Judges version, exchange and flags together.
fn head(
    (version, exchange, flags): (u8, u8, u8),
    next: u8,
    responder: u64,
    extent: Extent,
) -> Option<Head> {
    match version {
        // Encryption, commit and authentication-only flags (RFC 2408, 3.1).
        0x10 if flags & 0xf8 == 0 => {
            let (version, exchange) = exchange_1(exchange)?;
            Some(Head {
                version,
                exchange,
                extent,
                sender: match responder {
                    0 => Sender::Initiator,
                    _ => Sender::Unknown,
                },
            })
        }
        // Initiator, version and response flags (RFC 7296, 3.1).
        0x20 if flags & 0xc7 == 0 && (next == 0 || (33..=54).contains(&next)) => Some(Head {
            version: "2",
            exchange: exchange_2(exchange)?,
            extent,
            sender: match flags & 0x08 {
                0 => Sender::Responder,
                _ => Sender::Initiator,
            },
        }),
        _ => None,
    }
}

fn exchange_1(number: u8) -> Option<(&'static str, &'static str)> {
    match number {
        1 => Some(("1", "base")),
        2 => Some(("1", "main")),
        3 => Some(("1", "authentication-only")),
        4 => Some(("1", "aggressive")),
        5 => Some(("1", "informational")),
        6 => Some(("1", "transaction")),
        32 => Some(("1", "quick")),
        33 => Some(("1", "new-group")),
        243 => Some(("authip", "main")),
        244 => Some(("authip", "quick")),
        245 => Some(("authip", "extended")),
        246 => Some(("authip", "notify")),
        _ => None,
    }
}

fn exchange_2(number: u8) -> Option<&'static str> {
    match number {
        34 => Some("sa-init"),
        35 => Some("auth"),
        36 => Some("create-child-sa"),
        37 => Some("informational"),
        38 => Some("session-resume"),
        43 => Some("intermediate"),
        44 => Some("followup-ke"),
        _ => None,
    }
}

const HEADER: usize = 28;
/// Bytes of a first fragment: links carry at least 576 (RFC 791, 3.2), less the headers.
const MIN_FRAGMENT: usize = 500;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn message(responder: &str, kind: &str) -> Vec<u8> {
        hex(&format!("0011223344556677 {responder} {kind} 00000000 00000024 0102030405060708"))
    }

    const ZERO: &str = "0000000000000000";
    const SOME: &str = "8899aabbccddeeff";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&message(ZERO, "21 20 22 08")], &[&message(SOME, "21 20 22 20")]),
            datagrams(&[&[0xff], &message(SOME, "08 10 05 01")], &[&message(ZERO, "01 10 02 00")]),
            datagrams(&[&[hex("00000000"), message(SOME, "2e 20 23 08")].concat()], &[]),
            datagrams(&[&message(ZERO, "85 10 f3 00")], &[]),
        ]
    }

    #[test]
    fn recognises() {
        let second = claim(&DETECTOR, &samples()[0]);
        assert_eq!(second.confidence, Confidence::High);
        assert_eq!(second.requester, Some(Side::A));
        assert_eq!(second.facts["ike_version"], "2");
        assert_eq!(second.facts["ike_exchange"], "sa-init");

        let first = claim(&DETECTOR, &samples()[1]);
        assert_eq!(first.requester, Some(Side::B));
        assert_eq!(first.facts["ike_version"], "1");

        assert_eq!(claim(&DETECTOR, &samples()[2]).facts["ike_exchange"], "auth");
        assert_eq!(claim(&DETECTOR, &samples()[3]).facts["ike_version"], "authip");
    }

    #[test]
    fn a_first_fragment_shows_the_header_of_a_longer_message() {
        let mut long = message(SOME, "2e 20 23 08");
        long[26..28].copy_from_slice(&3000_u16.to_be_bytes());
        let fragment = |len: usize| {
            let mut out = hex("00000000");
            out.extend(&long);
            out.resize(len, 0x5a);
            datagrams(&[&out], &[])
        };
        let first = claim(&DETECTOR, &fragment(1472));
        assert_eq!((first.confidence, &*first.facts["ike_exchange"]), (Confidence::Medium, "auth"));
        assert_eq!(ask(&DETECTOR, &fragment(1473)), Probe::No);
        assert_eq!(ask(&DETECTOR, &fragment(400)), Probe::No);
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 20)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let mut longer = message(ZERO, "21 20 22 08");
        longer.push(0);
        let mut nobody = message(ZERO, "21 20 22 08");
        nobody[..8].fill(0);
        for other in [
            longer,
            nobody,
            message(ZERO, "21 30 22 08"),
            message(ZERO, "21 20 21 08"),
            message(ZERO, "21 20 22 48"),
            message(ZERO, "01 10 07 00"),
            // ESP in UDP: an SPI and a sequence number.
            hex("c0ffee01 00000001 00112233445566778899aabbccddeeff0011223344556677"),
            vec![0xff],
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
