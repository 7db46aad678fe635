//! RDP: the connection request of a remote desktop and its answer. MS-RDPBCGR section 2.2.1.1,
//! X.224 section 13, RFC 1006.
//!
//! ```text
//!  0   1   2         4              5
//! | 3 | 0 | length  | header length | e0 request, d0 confirm | references | class | cookie, negotiation
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | a request with `Cookie: mstshash=` or a negotiation of 8 bytes | high |
//! | a confirm with the answer to it | high |
//! | bare request and bare confirm | medium |
//!
//! Easily confused with: other users of the same frame (S7 and MMS on port 102, whose requests
//! carry parameters `c0` to `c2`); H.323, which uses the frame without X.224. What follows in TLS
//! is hidden; the answer says whether it does.

use super::bytes::Reader;
use super::sides::{self, SIDES, Seen};
use super::then::then;
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// RDP.
pub(super) const DETECTOR: Detector = Detector {
    token: "rdp",
    name: "RDP",
    reference: "MS-RDPBCGR",
    carriers: &[(Carrier::Stream, &[3..=3])],
    carried_after: &[],
    probe,
};

/// The first message of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    kind: Kind,
    proof: Proof,
    security: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Confirm,
}

/// Whether anything behind the X.224 header is RDP's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Own,
    Bare,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let heads = || sides::fitting(&seen);
    let claim = if heads().any(|head| head.proof == Proof::Own) {
        Claim::new(Confidence::High, "RDP negotiation")
    } else {
        match [seen[0].fits(), seen[1].fits()] {
            [Some(a), Some(b)] if a.kind != b.kind => {
                Claim::new(Confidence::Medium, "X.224 connection")
            }
            [None, None] => return sides::undecided(&seen),
            _ => return Probe::NeedMore,
        }
    };
    let sent =
        |kind| SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| head.kind == kind));
    Probe::Match(
        claim
            .asked_by(sides::requester(sent(Kind::Request), sent(Kind::Confirm)))
            .fact("rdp_security", heads().find_map(|head| head.security))
            .fact("then", then(view)),
    )
}

fn read(bytes: &[u8]) -> Seen<Head> {
    let mut reader = Reader::new(bytes);
    match header(&mut reader) {
        Some(Seen::Fits((kind, size))) => data(kind, size, reader.take_up_to(size)),
        None if agrees(bytes) => Seen::Short,
        _ => Seen::Foreign,
    }
}

/// Whether what is there of the fixed bytes agrees.
fn agrees(bytes: &[u8]) -> bool {
    bytes.first() == Some(&3)
        && bytes.get(1).is_none_or(|&reserved| reserved == 0)
        && bytes.get(5).is_none_or(|&code| matches!(code, 0xe0 | 0xd0))
}

/// The kind, and how much stands behind the X.224 header; `None` where the header is cut.
fn header(reader: &mut Reader<'_>) -> Option<Seen<(Kind, usize)>> {
    let version = reader.u16()?;
    let length = usize::from(reader.u16()?);
    let rest = usize::from(reader.u8()?);
    let kind = match reader.u8()? {
        0xe0 => Some(Kind::Request),
        0xd0 => Some(Kind::Confirm),
        _ => None,
    };
    reader.skip(4)?;
    let class = reader.u8()?;
    let fits = version == 0x0300 && class == 0 && rest >= X224 && length == rest + 5;
    Some(match kind {
        Some(kind) if fits => Seen::Fits((kind, rest - X224)),
        _ => Seen::Foreign,
    })
}

/// What stands behind the header: `size` bytes, of which `bytes` were kept.
fn data(kind: Kind, size: usize, bytes: &[u8]) -> Seen<Head> {
    let found = |proof, security| Seen::Fits(Head { kind, proof, security });
    match (kind, bytes) {
        _ if size == 0 => found(Proof::Bare, None),
        (Kind::Request, [1, _, 8, 0, ..]) => found(Proof::Own, None),
        (Kind::Request, text) if text.starts_with(b"Cookie: ") => found(Proof::Own, None),
        (Kind::Confirm, [3, _, 8, 0, ..]) => found(Proof::Own, Some("refused")),
        (Kind::Confirm, [2, _, 8, 0, protocol, 0, 0, 0]) => found(
            Proof::Own,
            match protocol {
                0 => Some("rdp"),
                1 => Some("tls"),
                2 => Some("credssp"),
                4 => Some("rdstls"),
                8 => Some("credssp-early"),
                16 => Some("aad"),
                _ => None,
            },
        ),
        _ if bytes.len() < size.min(NEGOTIATION) => Seen::Short,
        _ => Seen::Foreign,
    }
}

/// Bytes of the X.224 header behind its length: code, references, class.
const X224: usize = 6;
/// Bytes of a negotiation request or answer (MS-RDPBCGR 2.2.1.1.1).
const NEGOTIATION: usize = 8;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, dialogue, hello, hex, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const REQUEST: &str = "0300 0013 0e e0 0000 0000 00 01 00 0800 03000000";
    const CONFIRM: &str = "0300 0013 0e d0 0000 1234 00 02 1f 0800 02000000";
    const BARE: &str = "0300 000b 06 e0 0000 0000 00";

    fn cookie() -> Vec<u8> {
        let text = b"Cookie: mstshash=someone\r\n";
        let mut out = vec![3, 0, 0, 11 + text.len() as u8, 6 + text.len() as u8];
        out.extend(hex("e0 0000 0000 00"));
        out.extend(text);
        out
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(&hex(REQUEST), &hex(CONFIRM)),
            stream(&cookie(), b""),
            stream(&hex("0300 000b 06 d0 0000 1234 00"), &hex(BARE)),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["rdp_security"], "credssp");
        assert_eq!(claim(&DETECTOR, &samples()[1]).confidence, Confidence::High);
        let secured =
            dialogue(&[(Side::A, &hex(REQUEST)), (Side::B, &hex(CONFIRM)), (Side::A, &hello())]);
        assert_eq!(claim(&DETECTOR, &secured).facts["then"], "tls");
        let bare = claim(&DETECTOR, &samples()[2]);
        assert_eq!(bare.confidence, Confidence::Medium);
        assert_eq!(bare.requester, Some(Side::B));
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &stream(&hex(REQUEST)[..9], b"")), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &stream(&hex(BARE), b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            // S7 over the same frame; H.225 in it; lengths that disagree; a data unit.
            hex("0300 0016 11 e0 0000 0001 00 c00109 c1020100 c2020102"),
            hex("0300 0010 08 02 0001 05 04 00000000 00"),
            hex("0300 0014 0e e0 0000 0000 00 01 00 0800 03000000"),
            hex("0300 0007 02 f0 80"),
        ] {
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
