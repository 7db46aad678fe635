//! `NetBIOS` name service: Windows hosts that register and look for names. RFC 1002 section 4.2,
//! RFC 1001 section 14.1 (how names are written).
//!
//! A DNS message whose name is 32 letters from A to P, two for each byte of a name of 15 characters
//! and its suffix. Such a name leaves no room for chance, so all of it is high. Easily confused with:
//! DNS, whose message it is.

use super::dns::{self, Kin};
use super::{Detector, Probe, View, gate};
use crate::flow::sample::Carrier;

/// `NetBIOS` name service.
pub(super) const DETECTOR: Detector = Detector {
    token: "netbios-ns",
    name: "NetBIOS name service",
    reference: "RFC 1002",
    carriers: &[(Carrier::Datagrams, gate::ANY)],
    carried_after: &[],
    probe,
};

fn probe(view: &View<'_>) -> Probe {
    dns::probe_for(view, Kin::NetBios)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::Confidence;
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn message(flags: &str, name: &[u8]) -> Vec<u8> {
        let mut out = hex(&format!("8001 {flags} 0001 0000 0000 0001 20"));
        out.extend(name);
        out.extend(hex("00 0020 0001 c00c 0020 0001 00000000 0006 0000 0a000105"));
        out
    }

    const NAME: &[u8] = b"EGEFDADBCACACACACACACACACACACACA";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        let mut lookup = hex("8002 0110 0001 0000 0000 0000 20");
        lookup.extend(NAME);
        lookup.extend(hex("00 0020 0001"));
        vec![datagrams(&[&message("2910", NAME)], &[]), datagrams(&[&lookup], &[])]
    }

    #[test]
    fn recognises() {
        let registration = claim(&DETECTOR, &samples()[0]);
        assert_eq!(registration.confidence, Confidence::High);
        assert_eq!(registration.requester, Some(Side::A));
        assert_eq!(registration.facts["qtype"], "NB");
        assert_eq!(registration.facts["qname"], "FE01<20>");
        assert_eq!(claim(&DETECTOR, &samples()[1]).confidence, Confidence::High);
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 20)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            message("2910", b"EGEFDADBCACACACACACACACACACACACa"),
            message("0100", b"QGEFDADBCACACACACACACACACACACACA"),
            hex("1234 0100 0001 0000 0000 0000 02 6665 00 0020 0001"),
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
