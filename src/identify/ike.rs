//! IKE, which sets up `IPsec`: versions 1 and 2, and Windows' `AuthIP`. RFC 7296 section 3.1,
//! RFC 2408 section 3.1, RFC 3948 section 2.2 (the marker), MS-AIPS section 2.2.
//!
//! | seen | sure |
//! |---|---|
//! | version, exchange, flags and a length that fills the datagram | high |
//! | the same with a longer length, in what may be the first fragment of a datagram | medium |
//!
//! Messages with certificates do not fit into a packet. Easily confused with nothing; ESP in UDP has an
//! SPI where the marker would be, and is not claimed.

pub mod message;

mod vendors;

use super::sides::{self, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View, gate};
use message::{Extent, Family, Sender, Unfit};
pub use vendors::Vendors;

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

fn read(message: &sides::Message<'_>) -> Seen<Head> {
    match message::header(message.bytes, message.len) {
        Err(Unfit::Short) => Seen::Short,
        Err(Unfit::Foreign) => Seen::Foreign,
        Ok((_, header)) => Seen::Fits(Head {
            sender: header.sender,
            version: match header.family {
                Family::Ike1 => "1",
                Family::AuthIp => "authip",
                Family::Ike2 => "2",
            },
            exchange: header.name,
            extent: header.extent,
        }),
    }
}

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
