//! Multicast DNS: hosts and services that announce themselves on a link. RFC 6762 sections 6 and 18.
//!
//! | seen | sure |
//! |---|---|
//! | a DNS question without id and recursion, below `local`, with the top bit of its class, or one of several | high |
//! | the same of an answer with authority that repeats no question | high |
//!
//! Easily confused with: DNS, whose message it is. A legacy question that carries an id, and one for
//! an address without the top bit, could be either and stay `dns`.

use super::dns::{self, Kin};
use super::{Detector, Probe, View};
use crate::flow::sample::Carrier;

/// Multicast DNS.
pub(super) const DETECTOR: Detector = Detector {
    token: "mdns",
    name: "Multicast DNS",
    reference: "RFC 6762",
    carriers: &[(Carrier::Datagrams, &[0x00..=0x00])],
    carried_after: &[],
    probe,
};

fn probe(view: &View<'_>) -> Probe {
    dns::probe_for(view, Kin::Multicast)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Confidence;
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const HOST: &str = "02 6665 05 6c6f63616c 00";

    fn question(class: &str) -> Vec<u8> {
        hex(&format!("0000 0000 0001 0000 0000 0000 {HOST} 0001 {class}"))
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        let rdata = "00000078 0004 0a000105";
        vec![
            datagrams(&[&question("0001")], &[]),
            datagrams(
                &[&hex(&format!("0000 8400 0000 0001 0000 0000 {HOST} 0001 8001 {rdata}"))],
                &[],
            ),
            // Not below `local`, but answered to one alone.
            datagrams(&[&hex("0000 0000 0001 0000 0000 0000 02 6665 00 0001 8001")], &[]),
            datagrams(
                &[&question("8001")],
                &[&hex(&format!("0000 8400 0000 0001 0000 0000 {HOST} 0001 8001 {rdata}"))],
            ),
        ]
    }

    #[test]
    fn recognises() {
        let question = claim(&DETECTOR, &samples()[0]);
        assert_eq!(question.confidence, Confidence::High);
        assert_eq!(question.requester, Some(Side::A));
        assert_eq!(question.facts["qname"], "fe.local");
        let answer = claim(&DETECTOR, &samples()[1]);
        assert_eq!(answer.requester, Some(Side::B));
        assert_eq!(answer.confidence, Confidence::High);
        assert_eq!(claim(&DETECTOR, &samples()[3]).evidence, "question and answer");
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 20)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            // An id; recursion; neither local nor marked; an answer that repeats its question.
            hex(&format!("0001 0000 0001 0000 0000 0000 {HOST} 0001 0001")),
            hex(&format!("0000 0100 0001 0000 0000 0000 {HOST} 0001 0001")),
            hex("0000 0000 0001 0000 0000 0000 02 6665 02 6164 00 0001 0001"),
            hex(
                "0000 8400 0001 0001 0000 0000 02 6665 00 0001 0001 c00c 0001 0001 00000078 0004 0a000105",
            ),
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
