//! TDS, what SQL Server speaks: the pre-login that opens it, or the batches and calls of one under
//! way. MS-TDS sections 2.2.3.1, 2.2.5.3 and 2.2.6.5.
//!
//! ```text
//!  0      1        2        4      6        7        8
//! | type | status | length | spid | packet | window | option (1), offset (2), length (2)… ff
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | type `12`, whose first option is the version (`00`, 6 bytes) | high |
//! | type `04`, the answer of the same shape | high |
//! | type `01` or `03`, then `16 00 00 00 12 00 00 00 02 00`: a batch or call with its transaction | high |
//! | type `01` or `03` that fills its packet, then text: a batch or call before version 7.2 | high |
//! | type `04` that fills its packet, then a token: an answer from the middle | medium |
//!
//! TLS, where it is used at all, comes next and is wrapped in more packets of type `12`; such a
//! stream is not recognised from the middle. Easily confused with nothing: status, window and the
//! bytes behind the header are fixed.

use super::bytes::{self, Prefix, Reader};
use super::sides::{self, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::{Carrier, Piece};

/// TDS.
pub(super) const DETECTOR: Detector = Detector {
    token: "tds",
    name: "TDS (SQL Server)",
    reference: "MS-TDS",
    carriers: &[(Carrier::Stream, &[0x01..=0x01, 0x03..=0x04, 0x12..=0x12])],
    carried_after: &[],
    probe,
};

/// What a packet is; what says more stands later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Request,
    Response,
    /// What answers a batch or call.
    Answer,
    /// A batch or a call.
    Call,
}

fn probe(view: &View<'_>) -> Probe {
    let mut seen = sides::streams(view, read);
    for (side, seen) in SIDES.into_iter().zip(&mut seen) {
        if let (Seen::Foreign | Seen::Short, Some(piece)) = (&*seen, view.pieces(side).first())
            && let Some(kind) = packet(piece)
        {
            *seen = Seen::Fits(kind);
        }
    }
    let claim = match sides::fitting(&seen).max() {
        None => return sides::undecided(&seen),
        Some(Kind::Call) => Claim::new(Confidence::High, "a batch or call"),
        Some(Kind::Answer) => Claim::new(Confidence::Medium, "an answer from the middle"),
        Some(Kind::Request | Kind::Response) => Claim::new(Confidence::High, "pre-login"),
    };
    let is = |kinds: [Kind; 2]| {
        SIDES.map(|side| seen[side.index()].fits().is_some_and(|kind| kinds.contains(kind)))
    };
    let asked = is([Kind::Request, Kind::Call]);
    Probe::Match(claim.asked_by(sides::requester(asked, is([Kind::Response, Kind::Answer]))))
}

/// One packet that fills a segment, of a connection under way: a batch or call that names no
/// transaction, as before version 7.2, or an answer.
fn packet(piece: &Piece<'_>) -> Option<Kind> {
    let mut reader = Reader::new(piece.bytes);
    let kind = reader.u8()?;
    let status = reader.u8()?;
    let length = reader.u16()?;
    let process = reader.u16()?;
    let (number, window) = (reader.u8()?, reader.u8()?);
    let last = status & STATUS == status && status & 1 == 1;
    if !last || u32::from(length) != piece.wire_len || number != 1 || window != 0 {
        return None;
    }
    let fits = match kind {
        0x01 => process == 0 && is_text(reader, MIN_TEXT),
        0x03 if process == 0 => match reader.u16_le()? {
            // A procedure that has a number in place of a name (MS-TDS 2.2.6.6).
            u16::MAX => (1..=15).contains(&reader.u16_le()?),
            letters => letters <= MAX_NAME && is_text(reader, usize::from(letters).min(MIN_TEXT)),
        },
        0x04 => return TOKENS.contains(&reader.u8()?).then_some(Kind::Answer),
        _ => false,
    };
    fits.then_some(Kind::Call)
}

/// Whether so many characters of ASCII come next, two bytes each.
fn is_text(mut reader: Reader<'_>, characters: usize) -> bool {
    characters > 0
        && (0..characters).all(|_| matches!(reader.u16_le(), Some(9 | 10 | 13 | 0x20..=0x7e)))
}

fn read(bytes: &[u8]) -> Seen<Kind> {
    let kind = match bytes.first() {
        Some(0x12) => Kind::Request,
        Some(0x04) => Kind::Response,
        Some(0x01 | 0x03) => return call(bytes),
        _ => return Seen::Foreign,
    };
    let mut reader = Reader::new(bytes);
    let fields = (|| {
        reader.skip(1)?;
        let status = reader.u8()?;
        let length = reader.u16()?;
        reader.skip(3)?;
        let window = reader.u8()?;
        let option = reader.u8()?;
        let offset = reader.u16()?;
        let size = reader.u16()?;
        // The version stands within the packet, behind its own entry and the end mark.
        let within = (OFFSET..=length.saturating_sub(HEADER + 6)).contains(&offset);
        Some((status, window, option, size) == (1, 0, 0, 6) && within)
    })();
    match fields {
        Some(true) => Seen::Fits(kind),
        None if agrees(bytes) => Seen::Short,
        Some(false) | None => Seen::Foreign,
    }
}

/// A batch or call: the header, then the one stream header of the transaction.
fn call(bytes: &[u8]) -> Seen<Kind> {
    if bytes.get(1).is_some_and(|&status| status & !STATUS != 0) {
        return Seen::Foreign;
    }
    let window = bytes.get(7).copied().unwrap_or_default();
    match bytes::prefix(bytes.get(8..).unwrap_or_default(), TRANSACTION) {
        _ if window != 0 => Seen::Foreign,
        Prefix::Whole => Seen::Fits(Kind::Call),
        Prefix::Part => Seen::Short,
        Prefix::Differs => Seen::Foreign,
    }
}

/// Whether what is there of the fixed bytes agrees.
fn agrees(bytes: &[u8]) -> bool {
    let is = |at: usize, value: u8| bytes.get(at).is_none_or(|&byte| byte == value);
    is(1, 1) && is(7, 0) && is(8, 0)
}

/// All headers 22 bytes, this one 18, of type 2 (MS-TDS 2.2.5.3.2).
const TRANSACTION: &[u8] = &[0x16, 0, 0, 0, 0x12, 0, 0, 0, 2, 0];
const HEADER: u16 = 8;
/// Last packet, the two ways to reset a connection (MS-TDS 2.2.3.1.2), and a bit of old (`04`) that is
/// seen and means nothing.
const STATUS: u8 = 0x1d;
/// Characters that must be text where nothing tells how many there are.
const MIN_TEXT: usize = 3;
/// Characters of a procedure's name: four identifiers of 128 and what is between them.
const MAX_NAME: u16 = 4 * 128 + 3;
/// With what an answer begins (MS-TDS 2.2.7): columns, a return status, an error, a message, a change, and
/// the three ends.
const TOKENS: [u8; 8] = [0x81, 0x79, 0xaa, 0xab, 0xe3, 0xfd, 0xfe, 0xff];
/// One entry of five bytes and the end mark.
const OFFSET: u16 = 6;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, hex, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const ASK: &str = "12 01 001a 0000 01 00 00 000b 0006 01 0011 0001 ff 0f0007d00000 02";
    const ANSWER: &str = "04 01 001a 0000 01 00 00 000b 0006 01 0011 0001 ff 0f0007d00000 03";

    const BATCH: &str = "01 01 0014 0000 01 00 43004f004d004d0049005400";
    const DONE: &str = "04 01 0011 013a 01 00 fd 0000 d500 00000000";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(&hex(ASK), &hex(ANSWER)),
            stream(&hex(ANSWER), b""),
            stream(b"", &hex("03 09 00b9 0000 01 00 16000000 12000000 0200 0000")),
            stream(&hex(BATCH), &hex(DONE)),
            stream(&hex(DONE), b""),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::B));
        assert_eq!(claim(&DETECTOR, &samples()[2]).evidence, "a batch or call");
        assert_eq!(claim(&DETECTOR, &samples()[2]).requester, Some(Side::B));
    }

    #[test]
    fn an_old_connection_is_known_from_the_middle() {
        let both = claim(&DETECTOR, &samples()[3]);
        assert_eq!((both.confidence, both.requester), (Confidence::High, Some(Side::A)));
        let answer = claim(&DETECTOR, &samples()[4]);
        assert_eq!((answer.confidence, answer.requester), (Confidence::Medium, Some(Side::B)));
        for call in [
            "03 01 0012 0000 01 00 0200 73007000 0000 0000",
            "03 09 0010 0000 01 00 ffff 0d00 0000 0000",
            "03 04 1f40 0000 01 00 16000000 12000000 0200 0000",
        ] {
            let call = claim(&DETECTOR, &stream(&hex(call), b""));
            assert_eq!((call.confidence, call.requester), (Confidence::High, Some(Side::A)));
        }
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &stream(&hex(ASK)[..9], b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            hex("12 01 001a 0000 01 01 00 000b 0006 01"),
            hex("12 01 001a 0000 01 00 00 0100 0006 01"),
            hex("12 01 001a 0000 01 00 16 0301 0040 01"),
            hex("04 01 01bb 0a00 01 05 00"),
            hex("12 34 001a 0000"),
            hex("03 09 00b9 0000 01 00 16000000 12000000 0300 0000"),
            // Not filled, no text, more to come, no procedure, no token.
            [hex(BATCH), vec![0]].concat(),
            hex("01 01 0014 0000 01 00 43014f004d004d0049005400"),
            hex("01 00 0014 0000 01 00 43004f004d004d0049005400"),
            hex("03 01 0010 0000 01 00 0000 7300 0000 0000"),
            hex("04 01 0011 013a 01 00 01 0000 d500 00000000"),
            hex("0300 0013 0e e0 0000 0000 00 01 00 0800 03000000"),
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
