//! Messages carried in a byte stream behind a length, as media over TCP is.
//!
//! | framing | bytes | document |
//! |---|---|---|
//! | RFC 4571 | length (2), message | RFC 4571 section 2 |
//! | MS-TURN | 2 control or 3 data, 0, length (2), message | MS-TURN 2.1.2 |
//!
//! Neither has a magic number: a length is believed only when the message behind it is.

use super::bytes::Reader;
use super::sides::{self, Message, SIDES, Seen};
use super::stun::pseudo_tls;
use crate::flow::key::Side;
use crate::flow::sample::{Carrier, Sample};

/// How messages are set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// RFC 4571.
    Rfc4571,
    /// MS-TURN over TCP.
    MsTurn,
}

impl Framing {
    /// Every framing.
    pub(super) const ALL: [Self; 2] = [Self::Rfc4571, Self::MsTurn];

    /// The stable name used in facts.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Rfc4571 => "rfc4571",
            Self::MsTurn => "ms-turn",
        }
    }
}

/// The messages from the beginning of a stream; the last one may be cut. Stops at a header that
/// the framing does not allow.
pub(super) fn frames(bytes: &[u8], framing: Framing) -> Vec<Message<'_>> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while let Some(len) = length(&mut reader, framing) {
        found.push(Message { bytes: reader.take_up_to(len), len });
    }
    found
}

/// Judges what each side sent message by message: its datagrams, or the frames of its stream in
/// whichever framing fits.
pub(super) fn messages<T>(
    sample: &Sample,
    judge: impl Fn(&[Message<'_>]) -> Seen<T>,
) -> [Seen<T>; 2] {
    if sample.carrier() == Carrier::Datagrams {
        return SIDES.map(|side| match sides::datagrams(sample, side) {
            none if none.is_empty() => Seen::Silent,
            some => judge(&some),
        });
    }
    SIDES.map(|side| {
        let bytes = sample.stream(side);
        if bytes.is_empty() {
            return Seen::Silent;
        }
        let rest = match pseudo_tls::read(&bytes) {
            Seen::Fits((_, rest)) => rest,
            _ => &bytes,
        };
        let readings = Framing::ALL.map(|framing| frames(rest, framing));
        let mut answer = Seen::Foreign;
        for reading in readings.iter().chain([&segments(sample, side)]) {
            match judge(reading) {
                Seen::Fits(found) => return Seen::Fits(found),
                Seen::Short => answer = Seen::Short,
                Seen::Foreign | Seen::Silent => {}
            }
        }
        answer
    })
}

/// The segments of one side, if each holds exactly one message behind its length. Shows large
/// messages of which a stream's beginning would hold but one.
fn segments(sample: &Sample, side: Side) -> Vec<Message<'_>> {
    let all: Option<Vec<_>> = sample
        .pieces(side)
        .map(|piece| {
            let mut reader = Reader::new(piece.bytes);
            let len = reader.u16()?;
            (u32::from(len) + 2 == piece.wire_len)
                .then(|| Message { bytes: reader.rest(), len: len.into() })
        })
        .collect();
    all.unwrap_or_default()
}

fn length(reader: &mut Reader<'_>, framing: Framing) -> Option<usize> {
    if framing == Framing::MsTurn && !matches!(reader.u16()?, 0x0200 | 0x0300) {
        return None;
    }
    reader.u16().map(usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_follow_each_other_and_the_last_may_be_cut() {
        let found = frames(&[0, 2, 7, 8, 0, 0, 0, 9, 1], Framing::Rfc4571);
        let lens: Vec<_> = found.iter().map(|m| (m.bytes.len(), m.len)).collect();
        assert_eq!(lens, [(2, 2), (0, 0), (1, 9)]);
    }

    #[test]
    fn ms_turn_frames_name_their_kind() {
        let found = frames(&[2, 0, 0, 1, 5, 3, 0, 0, 1, 6, 4, 0, 0, 0], Framing::MsTurn);
        let bytes: Vec<_> = found.iter().map(|m| m.bytes).collect();
        assert_eq!(bytes, [[5], [6]]);
        assert!(frames(&[1, 1, 0, 0], Framing::MsTurn).is_empty());
        assert!(frames(&[2], Framing::MsTurn).is_empty());
    }
}
