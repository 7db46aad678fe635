//! SSDP: devices that announce themselves and are looked for, in datagrams that read like HTTP.
//! `UPnP` Device Architecture 2.0 section 1.
//!
//! | first line | meaning | sure |
//! |---|---|---|
//! | `M-SEARCH * HTTP/1.1` | who is there | high |
//! | `NOTIFY * HTTP/1.1` | an announcement | high |
//! | `HTTP/1.1 200`, then `ST:` or `USN:` | an answer | high |
//! | `HTTP/1.1 200`, both beyond what was kept | an answer | medium |
//!
//! Easily confused with: HTTP, which does not come in datagrams; SIP, whose version differs.

use super::bytes::{self, Prefix};
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// SSDP.
pub(super) const DETECTOR: Detector = Detector {
    token: "ssdp",
    name: "SSDP",
    reference: "UPnP Device Architecture 2.0",
    carriers: &[(Carrier::Datagrams, &[b'H'..=b'H', b'M'..=b'N'])],
    carried_after: &[],
    probe,
};

/// A first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Search,
    Notify,
    Answer,
    /// An answer whose header shows neither target nor name.
    BareAnswer,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    let has = |line| SIDES.map(|side| seen[side.index()].fits() == Some(&line));
    let (searches, notifies) = (has(Line::Search), has(Line::Notify));
    let answers = [Line::Answer, Line::BareAnswer].map(has);
    let claim = if searches.contains(&true) {
        Claim::new(Confidence::High, "M-SEARCH")
    } else if notifies.contains(&true) {
        Claim::new(Confidence::High, "NOTIFY")
    } else if answers[0].contains(&true) {
        Claim::new(Confidence::High, "answer to M-SEARCH")
    } else if answers[1].contains(&true) {
        Claim::new(Confidence::Medium, "a status line in a datagram")
    } else {
        return sides::undecided(&seen);
    };
    let side = |kinds: [[bool; 2]; 2]| SIDES.map(|s| kinds.iter().any(|kind| kind[s.index()]));
    Probe::Match(claim.asked_by(sides::requester(side([searches, notifies]), side(answers))))
}

fn read(message: &Message<'_>) -> Seen<Line> {
    let mut answer = Seen::Foreign;
    for (start, line) in LINES {
        match bytes::prefix(message.bytes, start) {
            Prefix::Part => answer = message.ran_out(),
            Prefix::Differs => {}
            Prefix::Whole if line != Line::Answer => return Seen::Fits(line),
            Prefix::Whole => {
                let named = ["st", "usn"].iter().any(|n| bytes::header(message.bytes, n).is_some());
                return match named {
                    true => Seen::Fits(Line::Answer),
                    false if message.bytes.len() < message.len => Seen::Fits(Line::BareAnswer),
                    false => Seen::Foreign,
                };
            }
        }
    }
    answer
}

const LINES: [(&[u8], Line); 3] = [
    (b"M-SEARCH * HTTP/1.", Line::Search),
    (b"NOTIFY * HTTP/1.", Line::Notify),
    (b"HTTP/1.1 200 ", Line::Answer),
];

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const SEARCH: &[u8] =
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nST: ssdp:all\r\n\r\n";
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nEXT:\r\nST: upnp:rootdevice\r\nUSN: uuid:x\r\n\r\n";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[SEARCH], &[ANSWER]),
            datagrams(&[b"NOTIFY * HTTP/1.1\r\nNTS: ssdp:alive\r\n\r\n"], &[]),
            datagrams(&[ANSWER], &[]),
            snapped(&datagrams(&[ANSWER], &[]), 20),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[1]).evidence, "NOTIFY");
        assert_eq!(claim(&DETECTOR, &samples()[2]).requester, Some(Side::B));
        assert_eq!(claim(&DETECTOR, &samples()[3]).confidence, Confidence::Medium);
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 9)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            &b"NOTIFY sip:a@b SIP/2.0\r\n"[..],
            b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
            b"M-SEARCH",
            b"HELLO",
        ] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[other], &[])), Probe::No, "{other:?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
