//! LLMNR: a host that asks its link for a name when DNS does not know it. RFC 4795 section 2.1.
//!
//! | seen | sure |
//! |---|---|
//! | a DNS question for one label, without recursion and with nothing else in the message | medium |
//! | the same with the answer to it | high |
//!
//! Easily confused with: DNS, whose message it is. DNS asks with recursion, or for longer names; a
//! resolver that asks the root servers for a top level domain does neither, hence no more than medium.
//! A question for an address has more than one label and stays `dns`, as does LLMNR over TCP.

use super::dns::{self, Kin};
use super::{Detector, Probe, View, gate};
use crate::flow::sample::Carrier;

/// LLMNR.
pub(super) const DETECTOR: Detector = Detector {
    token: "llmnr",
    name: "LLMNR",
    reference: "RFC 4795",
    carriers: &[(Carrier::Datagrams, gate::ANY)],
    carried_after: &[],
    probe,
};

fn probe(view: &View<'_>) -> Probe {
    dns::probe_for(view, Kin::LinkLocal)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Confidence;
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const HOST: &str = "04 66653031 00 0001 0001";

    fn question() -> Vec<u8> {
        hex(&format!("1234 0000 0001 0000 0000 0000 {HOST}"))
    }

    fn answer() -> Vec<u8> {
        hex(&format!("1234 8000 0001 0001 0000 0000 {HOST} c00c 0001 0001 0000001e 0004 0a000105"))
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&question()], &[]),
            datagrams(&[&answer()], &[]),
            datagrams(&[&question()], &[&answer()]),
        ]
    }

    #[test]
    fn recognises() {
        let question = claim(&DETECTOR, &samples()[0]);
        assert_eq!(question.confidence, Confidence::Medium);
        assert_eq!(question.requester, Some(Side::A));
        assert_eq!(question.facts["qname"], "fe01");
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::B));
        assert_eq!(claim(&DETECTOR, &samples()[2]).confidence, Confidence::High);
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 20)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            // Recursion; two labels; a resolver's extension beside the question; authority.
            hex(&format!("1234 0100 0001 0000 0000 0000 {HOST}")),
            hex("1234 0000 0001 0000 0000 0000 02 6665 02 6164 00 0001 0001"),
            hex(&format!("1234 0000 0001 0000 0000 0001 {HOST} 00 0029 1000 00000000 0000")),
            hex(&format!(
                "1234 8400 0001 0001 0000 0000 {HOST} c00c 0001 0001 0000001e 0004 0a000105"
            )),
            hex(&format!(
                "1234 8180 0001 0001 0000 0000 {HOST} c00c 0001 0001 0000001e 0004 0a000105"
            )),
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
