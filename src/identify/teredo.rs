//! Teredo: what keeps an IPv6 tunnel in UDP alive when it carries nothing. RFC 4380 sections 2.8 and 5.1.1.
//!
//! ```text
//! 00 01 authentication (optional) | 00 00 origin (8, optional) | IPv6 header (40), nothing behind it
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | an IPv6 header that fills the datagram, of length 0, next header 59, from or to `2001::/32` or `fe80::/10` | high |
//!
//! Such a bubble opens a NAT. A datagram with a packet inside is decoded as that packet, and its flow
//! is the packet's; so a bubble is all that is left to recognise here.

use super::bytes::Reader;
use super::sides::{self, Message, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// Teredo.
pub(super) const DETECTOR: Detector = Detector {
    token: "teredo",
    name: "Teredo",
    reference: "RFC 4380",
    carriers: &[(Carrier::Datagrams, &[0x00..=0x00, 0x60..=0x6f])],
    carried_after: &[],
    probe,
};

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    match sides::fitting(&seen).next() {
        Some(()) => Probe::Match(Claim::new(Confidence::High, "a Teredo bubble")),
        None => sides::undecided(&seen),
    }
}

fn read(message: &Message<'_>) -> Seen<()> {
    let mut reader = Reader::new(message.bytes);
    match fields(&mut reader, message) {
        Some(true) => Seen::Fits(()),
        Some(false) => Seen::Foreign,
        None => match message.bytes.first() {
            Some(0 | 0x60..=0x6f) if message.len >= HEADER => message.ran_out(),
            _ => Seen::Foreign,
        },
    }
}

fn fields(reader: &mut Reader<'_>, message: &Message<'_>) -> Option<bool> {
    if reader.rest().starts_with(&[0, 1]) {
        reader.skip(2)?;
        let client = usize::from(reader.u8()?);
        let value = usize::from(reader.u8()?);
        // A nonce of eight bytes and a confirmation (RFC 4380, 5.1.1).
        reader.skip(client + value + 9)?;
    }
    if reader.rest().starts_with(&[0, 0]) {
        reader.skip(8)?;
    }
    let left = message.len - (message.bytes.len() - reader.remaining());
    let version = reader.u32()? >> 28;
    let length = reader.u16()?;
    let next = reader.u8()?;
    reader.skip(1)?;
    let from = reader.take(16)?;
    let to = reader.take(16)?;
    Some(
        left == HEADER
            && (version, length, next) == (6, 0, NO_NEXT_HEADER)
            && (is_teredo(from) || is_teredo(to)),
    )
}

/// An address of Teredo's own, or of the link (RFC 4380, 2.8 and 5.2.1).
fn is_teredo(address: &[u8]) -> bool {
    matches!(address, [0x20, 0x01, 0, 0, ..] | [0xfe, 0x80..=0xbf, ..])
}

/// Bytes of an IPv6 header.
const HEADER: usize = 40;
/// RFC 8200, 4.7.
const NO_NEXT_HEADER: u8 = 59;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::sample::Sample;

    const CLIENT: &str = "20010000 4136e378 8000 63bf 3fff fdd2";

    fn bubble(before: &str, next: &str, from: &str) -> Vec<u8> {
        hex(&format!("{before} 60000000 0000 {next} 80 {from} 20010db8 000000000000000000000001"))
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&bubble("", "3b", CLIENT)], &[]),
            datagrams(
                &[],
                &[&bubble("0001 0000 0011223344556677 00 0000 bce1 f1a5d3b4", "3b", CLIENT)],
            ),
        ]
    }

    #[test]
    fn recognises() {
        for sample in samples() {
            let bubble = claim(&DETECTOR, &sample);
            assert_eq!((bubble.confidence, bubble.requester), (Confidence::High, None));
        }
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 30)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let mut longer = bubble("", "3b", CLIENT);
        longer.push(0);
        for other in [
            longer,
            bubble("", "11", CLIENT),
            bubble("", "3b", "20010db8 000000000000000000000002"),
            bubble("", "3b", CLIENT)[..30].to_vec(),
            vec![0; 40],
            hex("0001 0000 2112a442 000102030405060708090a0b"),
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
