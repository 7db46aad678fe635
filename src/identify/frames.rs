//! Messages carried in a byte stream, as media over TCP is.
//!
//! | framing | bytes | document |
//! |---|---|---|
//! | TURN | a STUN message, or channel data padded to 4; each has its length within | RFC 8656 section 12.5 |
//! | RFC 4571 | length (2), message | RFC 4571 section 2 |
//! | MS-TURN | 2 control or 3 data, 0, length (2), message | MS-TURN 2.1.2 |
//!
//! Neither has a magic number: a length is believed only when the message behind it is.

use std::slice;

use super::View;
use super::bytes::Reader;
use super::sides::{Datagrams, Message, SIDES, Seen};
use super::stun::pseudo_tls;
use crate::flow::sample::{Carrier, Piece};

/// How messages are set apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// None: messages of TURN say how long they are.
    Turn,
    /// RFC 4571.
    Rfc4571,
    /// MS-TURN over TCP.
    MsTurn,
}

impl Framing {
    /// Every framing.
    pub(super) const ALL: [Self; 3] = [Self::Turn, Self::Rfc4571, Self::MsTurn];

    /// The stable name used in facts.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Rfc4571 => "rfc4571",
            Self::MsTurn => "ms-turn",
        }
    }
}

/// What one side sent, message by message.
#[derive(Debug, Clone)]
pub(super) enum Messages<'v> {
    Datagrams(Datagrams<'v>),
    Frames(Frames<'v>),
    Segments(Segments<'v>),
}

impl<'v> Iterator for Messages<'v> {
    type Item = Message<'v>;

    fn next(&mut self) -> Option<Message<'v>> {
        match self {
            Self::Datagrams(datagrams) => datagrams.next(),
            Self::Frames(frames) => frames.next(),
            Self::Segments(segments) => segments.next(),
        }
    }
}

/// The messages from the beginning of a stream; the last one may be cut. Stops at a header that
/// the framing does not allow.
#[derive(Debug, Clone)]
pub(super) struct Frames<'v> {
    reader: Reader<'v>,
    framing: Framing,
}

impl<'v> Frames<'v> {
    /// The messages of a stream that begins with `bytes`.
    pub(super) fn of(bytes: &'v [u8], framing: Framing) -> Self {
        Self { reader: Reader::new(bytes), framing }
    }
}

impl<'v> Iterator for Frames<'v> {
    type Item = Message<'v>;

    fn next(&mut self) -> Option<Message<'v>> {
        if self.framing == Framing::Turn {
            return turn(&mut self.reader);
        }
        let len = length(&mut self.reader, self.framing)?;
        Some(Message { bytes: self.reader.take_up_to(len), len })
    }
}

/// The segments of one side, if each holds exactly one message behind its length; none otherwise. The
/// hello with which MS-TURN opens is passed over.
/// Shows large messages of which a stream's beginning would hold but one.
#[derive(Debug, Clone)]
pub(super) struct Segments<'v> {
    pieces: slice::Iter<'v, Piece<'v>>,
    framing: Framing,
}

impl<'v> Segments<'v> {
    fn of(pieces: &'v [Piece<'v>], framing: Framing) -> Self {
        let pieces = match pieces {
            [hello, rest @ ..] if is_pseudo_tls(hello) => rest,
            all => all,
        };
        let each = pieces.iter().all(|piece| segment(piece, framing).is_some());
        Self { pieces: if each { pieces.iter() } else { [].iter() }, framing }
    }
}

impl<'v> Iterator for Segments<'v> {
    type Item = Message<'v>;

    fn next(&mut self) -> Option<Message<'v>> {
        self.pieces.next().and_then(|piece| segment(piece, self.framing))
    }
}

/// The message that fills a segment behind its length.
fn segment<'v>(piece: &Piece<'v>, framing: Framing) -> Option<Message<'v>> {
    let mut reader = Reader::new(piece.bytes);
    let len = length(&mut reader, framing)?;
    let header = piece.bytes.len() - reader.remaining();
    (len + header == piece.wire_len as usize).then(|| Message { bytes: reader.rest(), len })
}

fn is_pseudo_tls(piece: &Piece<'_>) -> bool {
    matches!(pseudo_tls::read(piece.bytes), Seen::Fits((_, [])))
}

/// Judges what each side sent message by message: its datagrams, or the frames of its stream in
/// whichever framing fits.
pub(super) fn messages<T>(
    view: &View<'_>,
    judge: impl Fn(&Messages<'_>) -> Seen<T>,
) -> [Seen<T>; 2] {
    if view.carrier() == Carrier::Datagrams {
        return SIDES.map(|side| {
            let datagrams = view.datagrams(side);
            match datagrams.clone().next() {
                None => Seen::Silent,
                Some(_) => judge(&Messages::Datagrams(datagrams)),
            }
        });
    }
    SIDES.map(|side| {
        let bytes = view.stream(side);
        if bytes.is_empty() {
            return Seen::Silent;
        }
        let rest = match pseudo_tls::read(bytes) {
            Seen::Fits((_, rest)) => rest,
            _ => bytes,
        };
        let framed = Framing::ALL.map(|framing| Messages::Frames(Frames::of(rest, framing)));
        let segments = [Framing::Rfc4571, Framing::MsTurn]
            .map(|framing| Messages::Segments(Segments::of(view.pieces(side), framing)));
        let mut answer = Seen::Foreign;
        for reading in framed.iter().chain(&segments) {
            match judge(reading) {
                Seen::Fits(found) => return Seen::Fits(found),
                Seen::Short => answer = Seen::Short,
                Seen::Foreign | Seen::Silent => {}
            }
        }
        answer
    })
}

/// A STUN message or channel data, whole.
fn turn<'v>(reader: &mut Reader<'v>) -> Option<Message<'v>> {
    let mut ahead = *reader;
    let (kind, len) = (ahead.u16()?, usize::from(ahead.u16()?));
    let (len, padded) = match kind {
        0..0x0400 => (20 + len, 20 + len),
        0x4000..0x5000 => (4 + len, 4 + len.next_multiple_of(4)),
        _ => return None,
    };
    let mut message = Reader::new(reader.take_up_to(padded));
    Some(Message { bytes: message.take_up_to(len), len })
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

    fn frames_of(bytes: &[u8], framing: Framing) -> Vec<Message<'_>> {
        Frames::of(bytes, framing).collect()
    }

    #[test]
    fn frames_follow_each_other_and_the_last_may_be_cut() {
        let found = frames_of(&[0, 2, 7, 8, 0, 0, 0, 9, 1], Framing::Rfc4571);
        let lens: Vec<_> = found.iter().map(|m| (m.bytes.len(), m.len)).collect();
        assert_eq!(lens, [(2, 2), (0, 0), (1, 9)]);
    }

    #[test]
    fn turn_has_no_frames_but_messages() {
        let bytes =
            [&[0, 1, 0, 0][..], &[7; 16], &[0x40, 1, 0, 1, 9, 0, 0, 0], &[0x40, 2, 0, 8, 5]]
                .concat();
        let found = frames_of(&bytes, Framing::Turn);
        let lens: Vec<_> = found.iter().map(|m| (m.bytes.len(), m.len)).collect();
        assert_eq!(lens, [(20, 20), (5, 5), (5, 12)]);
        assert!(frames_of(&[0x50, 0, 0, 0], Framing::Turn).is_empty());
    }

    #[test]
    fn ms_turn_frames_name_their_kind() {
        let found = frames_of(&[2, 0, 0, 1, 5, 3, 0, 0, 1, 6, 4, 0, 0, 0], Framing::MsTurn);
        let bytes: Vec<_> = found.iter().map(|m| m.bytes).collect();
        assert_eq!(bytes, [[5], [6]]);
        assert!(frames_of(&[1, 1, 0, 0], Framing::MsTurn).is_empty());
        assert!(frames_of(&[2], Framing::MsTurn).is_empty());
    }
}
