//! `NetBIOS` session service: the call that opens a session, before anything is said in it.
//! RFC 1002 section 4.3.
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `81 00 00 44`, two encoded names | session request | high |
//! | `83 00 00 01` `80`–`83` or `8f` | refused | high |
//! | `84 00 00 06` address, port | sent elsewhere, to a request | high |
//! | `82 00 00 00` | granted: says nothing alone | |
//!
//! Easily confused with: SMB, which is what sessions are for. Once a message of it is seen the flow
//! is SMB; this is what remains of calls that are refused, or cut.

use super::bytes::{self, Prefix, Reader};
use super::sides::{self, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View, smb};
use crate::flow::sample::Carrier;

/// `NetBIOS` session service.
pub(super) const DETECTOR: Detector = Detector {
    token: "netbios-ssn",
    name: "NetBIOS session service",
    reference: "RFC 1002",
    carriers: &[(Carrier::Stream, &[REQUEST..=REQUEST, REFUSED..=RETARGET])],
    carried_after: &[],
    probe,
};

/// The first packet of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Granted,
    Refused,
    Retarget,
}

fn probe(view: &View<'_>) -> Probe {
    if smb::speaks(view) {
        return Probe::No;
    }
    let seen = sides::streams(view, read);
    let has = |kind| SIDES.map(|side| seen[side.index()].fits() == Some(&kind));
    let [asked, granted, refused, elsewhere] =
        [Kind::Request, Kind::Granted, Kind::Refused, Kind::Retarget].map(has);
    let evidence = if asked.contains(&true) {
        "session request"
    } else if refused.contains(&true) {
        "session refused"
    } else {
        return match sides::fitting(&seen).next() {
            Some(_) => Probe::NeedMore,
            None => sides::undecided(&seen),
        };
    };
    let answered =
        SIDES.map(|side| granted[side.index()] || refused[side.index()] || elsewhere[side.index()]);
    let answer = if granted.contains(&true) {
        Some("granted")
    } else if refused.contains(&true) {
        Some("refused")
    } else {
        elsewhere.contains(&true).then_some("retarget")
    };
    Probe::Match(
        Claim::new(Confidence::High, evidence)
            .asked_by(sides::requester(asked, answered))
            .fact("netbios_session", answer),
    )
}

fn read(bytes: &[u8]) -> Seen<Kind> {
    let fixed: &[u8] = match bytes.first() {
        Some(&REQUEST) => &[REQUEST, 0, 0, 0x44],
        Some(&GRANTED) => &[GRANTED, 0, 0, 0],
        Some(&REFUSED) => &[REFUSED, 0, 0, 1],
        Some(&RETARGET) => &[RETARGET, 0, 0, 6],
        _ => return Seen::Foreign,
    };
    match bytes::prefix(bytes, fixed) {
        Prefix::Differs => return Seen::Foreign,
        Prefix::Part => return Seen::Short,
        Prefix::Whole => {}
    }
    let mut reader = Reader::new(bytes.get(fixed.len()..).unwrap_or_default());
    match (bytes.first(), reader.remaining()) {
        (Some(&REQUEST), _) => smb::session_names(&mut reader).map(|()| Kind::Request),
        (Some(&GRANTED), _) => Seen::Fits(Kind::Granted),
        (Some(&REFUSED), 1) => match reader.u8() {
            Some(0x80..=0x83 | 0x8f) => Seen::Fits(Kind::Refused),
            _ => Seen::Foreign,
        },
        (Some(&RETARGET), 6) => Seen::Fits(Kind::Retarget),
        (_, 0..6) => Seen::Short,
        _ => Seen::Foreign,
    }
}

const REQUEST: u8 = 0x81;
const GRANTED: u8 = 0x82;
const REFUSED: u8 = 0x83;
const RETARGET: u8 = 0x84;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, hex, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn request() -> Vec<u8> {
        [&hex("81 000044 20")[..], &[b'C'; 32], &[0, 0x20], &[b'E'; 32], &[0]].concat()
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(&request(), &hex("82 000000")),
            stream(&request(), &hex("84 000006 0a000105 008b")),
            stream(b"", &hex("83 000001 82")),
        ]
    }

    #[test]
    fn recognises() {
        let granted = claim(&DETECTOR, &samples()[0]);
        assert_eq!(granted.confidence, Confidence::High);
        assert_eq!(granted.requester, Some(Side::A));
        assert_eq!(granted.facts["netbios_session"], "granted");
        assert_eq!(claim(&DETECTOR, &samples()[1]).facts["netbios_session"], "retarget");
        let refused = claim(&DETECTOR, &samples()[2]);
        assert_eq!(refused.requester, Some(Side::A));
        assert_eq!(refused.facts["netbios_session"], "refused");
    }

    #[test]
    fn wants_more() {
        for cut in [&request()[..50], &hex("82 000000"), &hex("83 0000")] {
            assert_eq!(ask(&DETECTOR, &stream(cut, b"")), Probe::NeedMore, "{cut:x?}");
        }
    }

    #[test]
    fn refuses_neighbours() {
        let smb = hex("00 000054 ff534d42 72 00000000 18 0128 0000");
        let opened = [request(), smb].concat();
        for other in [opened, hex("81 000044 20").repeat(20), hex("83 000001 10"), hex("84 000007")]
        {
            assert_eq!(ask(&DETECTOR, &stream(&other, b"")), Probe::No, "{other:x?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
