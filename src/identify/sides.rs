//! The two sides of a flow as a detector reads them: one reader, asked once for each side, and a
//! common answer when neither side fits.

use std::slice;

use super::{Probe, View};
use crate::flow::key::Side;
use crate::flow::sample::Piece;

/// What a reader makes of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen<T> {
    /// The side sent nothing that was captured.
    Silent,
    /// It agrees so far, but is too short to tell.
    Short,
    /// It is something else.
    Foreign,
    /// It is this protocol.
    Fits(T),
}

impl<T> Seen<T> {
    /// What was read, if it fits.
    pub(super) fn fits(&self) -> Option<&T> {
        match self {
            Self::Fits(found) => Some(found),
            Self::Silent | Self::Short | Self::Foreign => None,
        }
    }

    /// The same answer about something made of what was read.
    pub(super) fn map<U>(self, make: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Fits(found) => Seen::Fits(make(found)),
            Self::Silent => Seen::Silent,
            Self::Short => Seen::Short,
            Self::Foreign => Seen::Foreign,
        }
    }
}

/// One message of known length, of which the beginning was kept: a datagram, or a frame of a
/// stream that carries messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// The bytes kept.
    pub(super) bytes: &'a [u8],
    /// The whole length in bytes.
    pub(super) len: usize,
}

impl Message<'_> {
    /// Answer for a reader that ran out of bytes: something else, unless bytes are missing.
    pub(super) fn ran_out<T>(&self) -> Seen<T> {
        if self.bytes.len() < self.len { Seen::Short } else { Seen::Foreign }
    }
}

/// Both sides, in the order of [`Side::index`].
pub(super) const SIDES: [Side; 2] = [Side::A, Side::B];

/// Reads the beginning of both byte streams.
pub(super) fn streams<'v, T>(
    view: &'v View<'_>,
    read: impl Fn(&'v [u8]) -> Seen<T>,
) -> [Seen<T>; 2] {
    SIDES.map(|side| match view.stream(side) {
        [] => Seen::Silent,
        bytes => read(bytes),
    })
}

/// The datagrams of one side, those without captured bytes left out.
#[derive(Debug, Clone)]
pub(super) struct Datagrams<'v>(slice::Iter<'v, Piece<'v>>);

impl<'v> Datagrams<'v> {
    /// The datagrams among `pieces`.
    pub(super) fn of(pieces: &'v [Piece<'v>]) -> Self {
        Self(pieces.iter())
    }
}

impl<'v> Iterator for Datagrams<'v> {
    type Item = Message<'v>;

    fn next(&mut self) -> Option<Message<'v>> {
        let piece = self.0.find(|piece| !piece.bytes.is_empty())?;
        Some(Message { bytes: piece.bytes, len: piece.wire_len as usize })
    }
}

/// Reads the datagrams of both sides and keeps for each the first that fits, or else what the
/// first one is.
pub(super) fn first_fit<'v, T>(
    view: &'v View<'_>,
    read: impl Fn(&Message<'v>) -> Seen<T>,
) -> [Seen<T>; 2] {
    SIDES.map(|side| {
        let mut first = Seen::Silent;
        for message in view.datagrams(side) {
            match read(&message) {
                Seen::Fits(found) => return Seen::Fits(found),
                other if matches!(first, Seen::Silent) => first = other,
                _ => {}
            }
        }
        first
    })
}

/// What was read of the sides that fit.
pub(super) fn fitting<T>(sides: &[Seen<T>; 2]) -> impl Iterator<Item = &T> + Clone {
    sides.iter().filter_map(Seen::fits)
}

/// The answer when no side fits: more payload can only help while no side is something else.
pub(super) fn undecided<T>(sides: &[Seen<T>; 2]) -> Probe {
    if sides.iter().any(|side| matches!(side, Seen::Foreign)) { Probe::No } else { Probe::NeedMore }
}

/// The one side for which `holds`, if it holds for just one.
pub(super) fn only(holds: [bool; 2]) -> Option<Side> {
    match holds {
        [true, false] => Some(Side::A),
        [false, true] => Some(Side::B),
        _ => None,
    }
}

/// The requester, given which sides sent requests and which sent answers: a lone request speaks
/// for its sender, a lone answer for the other side.
pub(super) fn requester(asked: [bool; 2], answered: [bool; 2]) -> Option<Side> {
    only(asked).or_else(|| match asked {
        [false, false] => only(answered).map(Side::other),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::sample::{Carrier, Piece, Sample};

    #[test]
    fn more_payload_helps_only_while_nothing_is_foreign() {
        assert_eq!(undecided::<()>(&[Seen::Silent, Seen::Silent]), Probe::NeedMore);
        assert_eq!(undecided::<()>(&[Seen::Short, Seen::Silent]), Probe::NeedMore);
        assert_eq!(undecided::<()>(&[Seen::Short, Seen::Foreign]), Probe::No);
    }

    #[test]
    fn the_requester_asks_or_is_answered() {
        assert_eq!(requester([true, false], [false, true]), Some(Side::A));
        assert_eq!(requester([false, false], [true, false]), Some(Side::B));
        assert_eq!(requester([true, true], [false, true]), None);
        assert_eq!(requester([false, false], [false, false]), None);
    }

    #[test]
    fn a_datagram_without_captured_bytes_is_silence() {
        let mut sample = Sample::new(Carrier::Datagrams);
        sample.push(Side::A, &Piece { sequence: 0, bytes: b"", wire_len: 40 });
        sample.push(Side::B, &Piece { sequence: 0, bytes: b"ab", wire_len: 40 });
        let view = View::of(&sample);
        let seen = first_fit(&view, |message| match message.bytes {
            b"ab" => message.ran_out::<()>(),
            _ => Seen::Foreign,
        });
        assert_eq!(seen, [Seen::Silent, Seen::Short]);
    }
}
