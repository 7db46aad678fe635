//! SMB, of any version, behind its session header. MS-SMB2 section 2.2, MS-CIFS section 2.2.3,
//! RFC 1002 section 4.3 (session request on the old port).
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `00` length (3) `ff S M B` | SMB 1 | high |
//! | `00` length (3) `fe S M B 40 00` | SMB 2 and 3 | high |
//! | `00` length (3) `fd S M B`, `fc S M B` | SMB 3 encrypted, compressed | high |
//! | `81 00 00 44`, two names, or `82 00 00 00`, then any of the above | a session, then SMB | high |
//!
//! Easily confused with: other protocols on the session header, which lack the magic. A session that
//! was called for and no more is `NetBIOS`'s.

use super::bytes::Reader;
use super::sides::{self, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// SMB.
pub(super) const DETECTOR: Detector = Detector {
    token: "smb",
    name: "SMB",
    reference: "MS-SMB2, MS-CIFS",
    carriers: &[(Carrier::Stream, &[0x00..=0x00, 0x81..=0x82])],
    carried_after: &[],
    probe,
};

/// The first message of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    kind: Kind,
    evidence: &'static str,
    dialect: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
    /// Encrypted: the direction is hidden.
    Hidden,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let heads = || sides::fitting(&seen);
    // The answer tells which version was agreed on.
    let speaker = heads().find(|head| head.kind == Kind::Response).or_else(|| heads().next());
    let Some(speaker) = speaker else {
        return sides::undecided(&seen);
    };
    let sent =
        |kind| SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| head.kind == kind));
    Probe::Match(
        Claim::new(Confidence::High, speaker.evidence)
            .asked_by(sides::requester(sent(Kind::Request), sent(Kind::Response)))
            .fact("smb_dialect", speaker.dialect),
    )
}

/// Whether a message of either side is SMB.
pub(super) fn speaks(view: &View<'_>) -> bool {
    sides::fitting(&sides::streams(view, read)).next().is_some()
}

fn read(bytes: &[u8]) -> Seen<Head> {
    let mut reader = Reader::new(bytes);
    let Some(kind) = reader.u8() else {
        return Seen::Short;
    };
    match kind {
        MESSAGE => message(reader),
        SESSION_REQUEST => match reader.u24() {
            Some(68) => match session_names(&mut reader) {
                Seen::Fits(()) => opened(reader),
                Seen::Short => Seen::Short,
                Seen::Foreign | Seen::Silent => Seen::Foreign,
            },
            Some(_) => Seen::Foreign,
            None => Seen::Short,
        },
        SESSION_GRANTED => match reader.u24() {
            Some(0) => opened(reader),
            Some(_) => Seen::Foreign,
            None => Seen::Short,
        },
        _ => Seen::Foreign,
    }
}

/// What follows the opening of a session.
fn opened(mut reader: Reader<'_>) -> Seen<Head> {
    match reader.u8() {
        Some(MESSAGE) => message(reader),
        Some(_) => Seen::Foreign,
        None => Seen::Short,
    }
}

/// A message behind the type byte of its session header.
fn message(mut reader: Reader<'_>) -> Seen<Head> {
    let (Some(len), Some(magic)) = (reader.u24(), reader.take(4)) else {
        return Seen::Short;
    };
    let Some((&first, b"SMB")) = magic.split_first() else {
        return Seen::Foreign;
    };
    match first {
        0xff if len >= 32 => smb1(reader),
        0xfe if len >= 64 => smb2(reader),
        0xfd if len >= 52 => hidden("SMB 3, encrypted"),
        0xfc if len >= 16 => hidden("SMB 3, compressed"),
        _ => Seen::Foreign,
    }
}

fn hidden(evidence: &'static str) -> Seen<Head> {
    Seen::Fits(Head { kind: Kind::Hidden, evidence, dialect: None })
}

/// Command, status (4), then the flags whose top bit marks a response.
fn smb1(mut reader: Reader<'_>) -> Seen<Head> {
    let (Some(_), Some(flags)) = (reader.take(5), reader.u8()) else {
        return Seen::Short;
    };
    Seen::Fits(Head {
        kind: if flags & 0x80 == 0 { Kind::Request } else { Kind::Response },
        evidence: "SMB 1 header",
        // A request may only offer to go on with SMB 2; the answer tells.
        dialect: (flags & 0x80 != 0).then_some("1"),
    })
}

/// Header size 64, credit charge, status, command, credits, flags; the body begins at 64.
fn smb2(mut reader: Reader<'_>) -> Seen<Head> {
    let fields = (|| {
        let size = reader.u16_le()?;
        reader.skip(6)?;
        let command = reader.u16_le()?;
        reader.skip(2)?;
        let flags = reader.u16_le()?;
        Some((size, command, flags))
    })();
    let Some((size, command, flags)) = fields else {
        return Seen::Short;
    };
    if size != 64 || command > LAST_COMMAND {
        return Seen::Foreign;
    }
    let kind = if flags & 1 == 0 { Kind::Request } else { Kind::Response };
    let dialect = match (command, kind) {
        (NEGOTIATE, Kind::Response) => agreed(reader),
        _ => None,
    };
    Seen::Fits(Head { kind, evidence: "SMB 2 header", dialect })
}

/// The dialect of a negotiate response: behind the rest of the header (46 bytes), the structure
/// size and the security mode (MS-SMB2 2.2.4).
fn agreed(mut reader: Reader<'_>) -> Option<&'static str> {
    reader.skip(46 + 2 + 2)?;
    match reader.u16_le()? {
        0x0202 => Some("2.0.2"),
        0x0210 => Some("2.1"),
        0x0300 => Some("3.0"),
        0x0302 => Some("3.0.2"),
        0x0311 => Some("3.1.1"),
        _ => None,
    }
}

/// The two names of a session request: 32 letters from A to P, a length before and an end behind
/// each.
pub(super) fn session_names(reader: &mut Reader<'_>) -> Seen<()> {
    for _ in 0..2 {
        let Some(name) = reader.take(34) else {
            return Seen::Short;
        };
        let fits = matches!(name, [0x20, letters @ .., 0]
            if letters.iter().all(|b| (b'A'..=b'P').contains(b)));
        if !fits {
            return Seen::Foreign;
        }
    }
    Seen::Fits(())
}

const MESSAGE: u8 = 0x00;
const SESSION_REQUEST: u8 = 0x81;
const SESSION_GRANTED: u8 = 0x82;
const NEGOTIATE: u16 = 0;
/// The highest command: server to client notification (MS-SMB2 2.2.1).
const LAST_COMMAND: u16 = 0x13;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, hex, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn smb2(flags: &str) -> Vec<u8> {
        let mut out =
            hex(&format!("00 000080 fe534d42 4000 0000 00000000 0000 0100 {flags}000000"));
        out.extend([0; 44]);
        out.extend(hex("4100 0100 1103 0000"));
        out
    }

    fn session() -> Vec<u8> {
        let mut out = hex("81 000044");
        for _ in 0..2 {
            out.push(0x20);
            out.extend([b'C'; 32]);
            out.push(0);
        }
        out
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(&smb2("00"), &smb2("01")),
            stream(&hex("00 000054 ff534d42 72 00000000 18 0128 0000"), b""),
            stream(&[hex("82 000000"), hex("00 000054 ff534d42 72 00000000 98")].concat(), b""),
            stream(&[session(), smb2("00")].concat(), &hex("82 000000")),
            stream(&hex("00 0000a0 fd534d42 0011223344556677"), b""),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.evidence, "SMB 2 header");
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["smb_dialect"], "3.1.1");
        assert_eq!(claim(&DETECTOR, &samples()[1]).evidence, "SMB 1 header");
        assert_eq!(claim(&DETECTOR, &samples()[2]).requester, Some(Side::B));
        assert_eq!(claim(&DETECTOR, &samples()[3]).requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[4]).requester, None);
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &stream(&hex("00 000080 fe53"), b"")), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &stream(&hex("82 000000"), b"")), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &stream(&session(), b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            hex("00 000080 fe534d43 4000 0000 00000000 0000 0100 0000"),
            hex("00 000080 fe534d42 4100 0000 00000000 0000 0100 0000"),
            hex("00 000010 fe534d42 4000 0000 00000000 0000 0100 0000"),
            hex("81 000044 20").repeat(20),
            hex("00000000 00000000 00000000"),
            hex("03000013 0e e0 0000 0000 00 01000800 03000000"),
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
