//! IKE and ESP in TCP: the prefix that the initiator of the connection sends first. RFC 9329 section 4.
//!
//! | first bytes | sure |
//! |---|---|
//! | `IKETCP`, then frames that begin with their length | high |
//!
//! Easily confused with nothing. What the other side sends begins with a frame and is not recognised alone.

use super::bytes::{self, Prefix};
use super::sides::{self, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// IKE and ESP in TCP.
pub(super) const DETECTOR: Detector = Detector {
    token: "ike-tcp",
    name: "IKE in TCP",
    reference: "RFC 9329",
    carriers: &[(Carrier::Stream, &[b'I'..=b'I'])],
    carried_after: &[],
    probe,
};

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, |bytes| match bytes::prefix(bytes, PREFIX) {
        Prefix::Whole => Seen::Fits(()),
        Prefix::Part => Seen::Short,
        Prefix::Differs => Seen::Foreign,
    });
    let sent = SIDES.map(|side| seen[side.index()].fits().is_some());
    if sent == [false; 2] {
        return sides::undecided(&seen);
    }
    let claim = Claim::new(Confidence::High, "stream prefix");
    Probe::Match(claim.asked_by(sides::requester(sent, [false; 2])))
}

const PREFIX: &[u8] = b"IKETCP";

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, hex, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        let message =
            hex("0022 00000000 1122334455667788 0000000000000000 2120220800000000 0000001c");
        vec![stream(&[PREFIX, &message].concat(), &message)]
    }

    #[test]
    fn recognises() {
        let claim = claim(&DETECTOR, &samples()[0]);
        assert_eq!((claim.confidence, claim.requester), (Confidence::High, Some(Side::A)));
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &stream(b"IKET", b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [&b"IKEUDP"[..], b"IKETCQ\x00\x22", b"iketcp"] {
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
