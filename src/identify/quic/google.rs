//! QUIC as Google had it before the standard: a version of four letters in what a client sends first.
//! The header of versions up to 43 (draft-hamilton-quic-transport-protocol-01, section 5) and that of
//! version 46.
//!
//! ```text
//!  0       1       9         13
//! | flags | id    | Q 0 4 3 | packet number, packet
//!  0           1         5    6
//! | 11 type … | Q 0 4 6 | 50 | id | packet number, packet
//! ```
//!
//! A server that knows the version leaves it out, so only the client is recognised. The flags, an id of
//! eight bytes and the letters leave chance one in 2^30. The versions from 50 on have the long header of
//! the standard.

use std::str;

use crate::identify::bytes::Reader;
use crate::identify::sides::{self, Message, SIDES, Seen};
use crate::identify::{Claim, Confidence, Probe, View};

/// Looks at datagrams.
pub(super) fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    let Some(version) = sides::fitting(&seen).next() else {
        return sides::undecided(&seen);
    };
    let named = SIDES.map(|side| seen[side.index()].fits().is_some());
    Probe::Match(
        Claim::new(Confidence::High, "a version of Google's QUIC")
            .asked_by(sides::only(named))
            .fact("quic_version", Some(version.clone())),
    )
}

fn read(message: &Message<'_>) -> Seen<String> {
    if message.len < SHORTEST {
        return Seen::Foreign;
    }
    let seen = version(message.bytes).unwrap_or_else(|| message.ran_out());
    seen.map(str::to_owned)
}

/// The version; `None` where it is cut.
fn version(bytes: &[u8]) -> Option<Seen<&str>> {
    let mut reader = Reader::new(bytes);
    let flags = reader.u8()?;
    if flags >= 0xc0 {
        let version: [u8; 4] = reader.array()?;
        let fits = version == *b"Q046" && reader.u8()? == CLIENT_ID;
        return Some(if fits { Seen::Fits("Q046") } else { Seen::Foreign });
    }
    // The version and an id of eight bytes are there, no reset; the bit between is part of the id's
    // length at first, later of another field.
    if flags & !0x34 != 0x09 {
        return Some(Seen::Foreign);
    }
    reader.skip(8)?;
    let version = reader.take(4)?;
    Some(match (version, str::from_utf8(version)) {
        ([b'Q', b'0', b'0'..=b'4', b'0'..=b'9'], Ok(version)) => Seen::Fits(version),
        _ => Seen::Foreign,
    })
}

/// Lengths of the ids of a client's packet: eight bytes to the server, none of its own.
const CLIENT_ID: u8 = 0x50;
/// A client fills its first packets with more than a thousand bytes; this leaves out what is no packet.
const SHORTEST: usize = 32;

#[cfg(test)]
pub(in crate::identify) mod tests {
    use super::super::DETECTOR;
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;
    use crate::identify::craft::{ask, claim, datagrams, hex, snapped, survive};

    fn packet(header: &str) -> Vec<u8> {
        let mut out = hex(header);
        out.resize(1350, 0xa5);
        out
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&packet("0d 484a3d55c439cd13 51303235 01")], &[&packet("00 01 8fd0ba82")]),
            datagrams(&[], &[&packet("c3 51303436 50 0102030405060708 00000001")]),
        ]
    }

    #[test]
    fn recognises() {
        let old = claim(&DETECTOR, &samples()[0]);
        assert_eq!((old.confidence, old.requester), (Confidence::High, Some(Side::A)));
        assert_eq!(old.facts["quic_version"], "Q025");
        let late = claim(&DETECTOR, &samples()[1]);
        assert_eq!((late.confidence, late.requester), (Confidence::High, Some(Side::B)));
        assert_eq!(late.facts["quic_version"], "Q046");
    }

    #[test]
    fn wants_more() {
        let first = datagrams(&[&packet("0d 484a3d55c439cd13 51303235 01")], &[]);
        assert_eq!(ask(&DETECTOR, &snapped(&first, 11)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            packet("0c 484a3d55c439cd13 51303235 01"),
            packet("0b 484a3d55c439cd13 51303235 01"),
            packet("0d 484a3d55c439cd13 51303535 01"),
            packet("0d 484a3d55c439cd13 5130323a 01"),
            packet("c3 51303436 55 0102030405060708"),
            hex("0d 484a3d55c439cd13 51303235 01"),
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
