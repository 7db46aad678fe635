//! QUIC: what HTTP/3 and others run on. RFC 9000 section 17.2, RFC 8999 (what all versions share),
//! RFC 9369 (version 2).
//!
//! ```text
//!  0             1         5
//! | 11 type … | version | length, destination id | length, source id | token, length, packet
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | a long header of a known version, ids of at most 20 bytes, a length that fits | high |
//! | version 0 and a list of versions, one of them known | high |
//! | Google's QUIC before it was a standard: flags, an id, `Q0` and two digits | high |
//!
//! Packets of a connection under way have a short header, which is one bit and random bytes; they are
//! not recognised. Easily confused with: RTP, whose first byte lies below.

mod google;

use super::bytes::Reader;
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, FirstBytes, Probe, View};
use crate::flow::sample::Carrier;

/// QUIC.
pub(super) const DETECTOR: Detector = Detector {
    token: "quic",
    name: "QUIC",
    reference: "RFC 9000, RFC 9369",
    carriers: &[(Carrier::Datagrams, FIRST)],
    carried_after: &[],
    probe,
};

/// The first packet with a long header of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head<'v> {
    version: Option<String>,
    destination: &'v [u8],
    source: &'v [u8],
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    if sides::fitting(&seen).next().is_none() {
        return match google::probe(view) {
            Probe::No => sides::undecided(&seen),
            found => found,
        };
    }
    let heads = || sides::fitting(&seen);
    let claim = match (heads().next(), heads().any(|head| head.version.is_some())) {
        (None, _) => return sides::undecided(&seen),
        (_, true) => Claim::new(Confidence::High, "QUIC long header"),
        (_, false) => Claim::new(Confidence::High, "QUIC version negotiation"),
    };
    let negotiates =
        SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| head.version.is_none()));
    let requester = match [seen[0].fits(), seen[1].fits()] {
        [Some(a), Some(b)] => sides::only([answers(b, a), answers(a, b)]),
        _ => sides::requester([false, false], negotiates),
    };
    Probe::Match(
        claim
            .asked_by(requester)
            .fact("quic_version", heads().find_map(|head| head.version.clone())),
    )
}

/// The first packet of a client goes to an id that it made up; the answer goes to the client's own
/// (RFC 9000, 7.2).
fn answers(answer: &Head<'_>, first: &Head<'_>) -> bool {
    answer.destination == first.source && answer.source != first.destination
        || answer.version.is_none() && first.version.is_some()
}

fn read<'v>(message: &Message<'v>) -> Seen<Head<'v>> {
    let mut reader = Reader::new(message.bytes);
    match fields(&mut reader, message) {
        Some(seen) => seen,
        None => match message.bytes {
            // A version that is known, or begins like one.
            [0x80..=0xff, 0, 0, 0, 0 | 1, ..]
            | [0x80..=0xff, 0x6b, 0x33, 0x43, 0xcf, ..]
            | [0x80..=0xff, b'Q' | b'T', b'0', b'5', ..] => message.ran_out(),
            _ => Seen::Foreign,
        },
    }
}

fn fields<'v>(reader: &mut Reader<'v>, message: &Message<'v>) -> Option<Seen<Head<'v>>> {
    let first = reader.u8()?;
    let number = reader.u32()?;
    let version = version(number);
    let negotiates = number == 0;
    let fixed_bit = first & 0x40 != 0;
    if first & 0x80 == 0 || (version.is_none() || !fixed_bit) && !negotiates {
        return Some(Seen::Foreign);
    }
    let destination = reader.block8()?;
    let source = reader.block8()?;
    if destination.len() > MAX_ID || source.len() > MAX_ID {
        return Some(Seen::Foreign);
    }
    let left = message.len - (message.bytes.len() - reader.remaining());
    let fits =
        if negotiates { versions(reader, left)? } else { packet(reader, first, number, left)? };
    Some(if fits { Seen::Fits(Head { version, destination, source }) } else { Seen::Foreign })
}

/// Whether what stands behind the ids is possible in a packet of its type.
fn packet(reader: &mut Reader<'_>, first: u8, number: u32, mut left: usize) -> Option<bool> {
    // Version 2 counts its types from another start (RFC 9369, 3.2).
    let shift = u8::from(number == VERSION_2);
    let kind = ((first >> 4 & 3) + 4 - shift) % 4;
    let before = reader.remaining();
    match kind {
        0 => {
            let token = variable(reader)?;
            if token >= left as u64 {
                return Some(false);
            }
            reader.skip(usize::try_from(token).ok()?)?;
        }
        // A retry has a token and a tag of 16 bytes (RFC 9000, 17.2.5).
        3 => return Some(left > 16),
        _ => {}
    }
    let length = variable(reader)?;
    left = left.saturating_sub(before - reader.remaining());
    // The number of the packet, and what its protection samples (RFC 9001, 5.4.2).
    Some((20..=left as u64).contains(&length))
}

/// Whether the rest is a list of versions, one of them known.
fn versions(reader: &mut Reader<'_>, left: usize) -> Option<bool> {
    if left == 0 || !left.is_multiple_of(4) || left > 4 * MAX_VERSIONS {
        return Some(false);
    }
    let first = reader.u32()?;
    let mut known = version(first).is_some();
    while let Some(next) = reader.u32() {
        known |= version(next).is_some();
    }
    Some(known)
}

/// A number of one to eight bytes, its size in the first two bits (RFC 9000, 16).
fn variable(reader: &mut Reader<'_>) -> Option<u64> {
    let first = reader.u8()?;
    let more = (1_usize << (first >> 6)) - 1;
    let rest = reader.take(more)?;
    Some(rest.iter().fold(u64::from(first & 0x3f), |value, &byte| value << 8 | u64::from(byte)))
}

fn version(number: u32) -> Option<String> {
    match number {
        1 => Some("1".to_owned()),
        VERSION_2 => Some("2".to_owned()),
        // The last of Google's have the header of the drafts.
        0x5130_3530 => Some("Q050".to_owned()),
        0x5430_3530 | 0x5430_3531 => Some(format!("T05{}", char::from(number as u8))),
        0xff00_0017..=0xff00_0022 => Some(format!("draft-{}", number & 0xff)),
        _ => None,
    }
}

/// A long header, or the flags of Google's with a version.
const FIRST: FirstBytes = &[
    0x09..=0x09,
    0x0d..=0x0d,
    0x19..=0x19,
    0x1d..=0x1d,
    0x29..=0x29,
    0x2d..=0x2d,
    0x39..=0x39,
    0x3d..=0x3d,
    0x80..=0xff,
];
const VERSION_2: u32 = 0x6b33_43cf;
/// RFC 9000, 17.2.
const MAX_ID: usize = 20;
/// Longer lists do not occur.
const MAX_VERSIONS: usize = 32;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn initial(first: &str, version: &str, ids: &str) -> Vec<u8> {
        let mut out = hex(&format!("{first} {version} {ids} 00 449e"));
        out.resize(out.len() + 0x49e, 0x5a);
        out
    }

    const ONE: &str = "00000001";
    const ASKS: &str = "08 8394c8f03e515708 04 c0c1c2c3";
    const ANSWERS: &str = "04 c0c1c2c3 08 f067a5502a4262b5";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&initial("c3", ONE, ASKS)], &[&initial("c1", ONE, ANSWERS)]),
            datagrams(&[&initial("d3", "6b3343cf", ASKS)], &[]),
            datagrams(&[&initial("c3", "ff00001d", ASKS)], &[]),
            datagrams(&[], &[&hex(&format!("ea 00000000 {ANSWERS} 1a2a3a4a 00000001"))]),
        ]
        .into_iter()
        .chain(google::tests::samples())
        .collect()
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["quic_version"], "1");
        let mut other_way = samples().remove(0);
        other_way.flip();
        assert_eq!(claim(&DETECTOR, &other_way).requester, Some(Side::B));
        assert_eq!(claim(&DETECTOR, &samples()[1]).facts["quic_version"], "2");
        assert_eq!(claim(&DETECTOR, &samples()[2]).facts["quic_version"], "draft-29");
        let negotiation = claim(&DETECTOR, &samples()[3]);
        assert_eq!(negotiation.evidence, "QUIC version negotiation");
        assert_eq!(negotiation.requester, Some(Side::A));
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 15)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let whole = initial("c3", ONE, ASKS);
        for other in [
            // Without the fixed bit; an unknown version; a long id; a packet beyond its datagram.
            initial("83", ONE, ASKS),
            initial("c3", "00000003", ASKS),
            hex(&format!("c3 {ONE} 15 {} 00 00 14 {}", "00".repeat(21), "5a".repeat(20))),
            whole[..whole.len() - 1].to_vec(),
            // Lists without a known version, and of half a one; RTP; zeros.
            hex(&format!("ea 00000000 {ANSWERS} 1a2a3a4a")),
            hex(&format!("ea 00000000 {ANSWERS} 00000001 00")),
            hex("8008 0001 000000a0 00000001 d5d5d5d5d5d5d5d5d5d5"),
            vec![0; 60],
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
