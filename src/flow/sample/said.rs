//! What one side of a flow said: its pieces, found once and read as often as it takes.

use std::borrow::Cow;

use super::{Carrier, MAX_PIECES, Piece, Sample};
use crate::flow::key::Side;

/// What both sides said, lent by whoever keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard<'a> {
    /// How the payload is carried.
    pub carrier: Carrier,
    /// What each side said, in the order of [`Side::index`].
    pub said: [Said<'a>; 2],
    /// Sequence number of the first byte of each side of a stream, where its SYN was captured.
    begins: [Option<u32>; 2],
}

impl<'a> Heard<'a> {
    /// Nothing yet.
    pub(in crate::flow) fn new(carrier: Carrier, begins: [Option<u32>; 2]) -> Self {
        Self { carrier, said: [Said::default(); 2], begins }
    }

    /// Adds what a side said next. What ends before the first byte of its stream is none of it: a
    /// keepalive repeats a byte that was never sent (RFC 9293, 3.8.4).
    pub(in crate::flow) fn push(&mut self, side: Side, piece: Piece<'a>, gist: &'a [u8]) {
        if let Some(begin) = self.begins[side.index()] {
            let end = piece.sequence.wrapping_add(piece.wire_len);
            if end.wrapping_sub(begin).cast_signed() <= 0 {
                return;
            }
        }
        let said = &mut self.said[side.index()];
        said.push(piece);
        if said.gist.is_empty() {
            said.gist = gist;
        }
    }
}

impl<'a> From<&'a Sample> for Heard<'a> {
    fn from(sample: &'a Sample) -> Self {
        sample.store.all(sample.track)
    }
}

/// The pieces of one side in capture order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said<'a> {
    pieces: [Piece<'a>; MAX_PIECES],
    count: usize,
    /// The first gist of a piece; see [`Taste::gist`](super::Taste::gist).
    pub gist: &'a [u8],
}

impl<'a> Said<'a> {
    /// Adds a piece. A sample has no more than [`MAX_PIECES`] of a side.
    pub(super) fn push(&mut self, piece: Piece<'a>) {
        if let Some(slot) = self.pieces.get_mut(self.count) {
            *slot = piece;
            self.count += 1;
        }
    }

    /// The pieces.
    pub fn pieces(&self) -> &[Piece<'a>] {
        self.pieces.get(..self.count).unwrap_or_default()
    }

    /// The contiguous beginning of the byte stream that the pieces are of, put in order by sequence
    /// number. Stops at the first gap. What lies in one piece is not copied.
    pub fn stream(&self) -> Cow<'a, [u8]> {
        let mut pieces = self.pieces;
        let pieces = pieces.get_mut(..self.count).unwrap_or_default();
        let Some(base) = pieces.first().map(|piece| piece.sequence) else {
            return Cow::default();
        };
        // Distances are signed and wrap: sequence numbers live on a circle (RFC 9293, 3.4).
        let distance = |piece: &Piece<'_>| piece.sequence.wrapping_sub(base).cast_signed();
        if !pieces.is_sorted_by_key(distance) {
            pieces.sort_by_key(distance);
        }
        joined(pieces)
    }
}

/// The bytes of pieces in order, up to the first gap.
fn joined<'a>(pieces: &[Piece<'a>]) -> Cow<'a, [u8]> {
    let start = pieces.first().map_or(0, |piece| piece.sequence);
    let mut out: Cow<'a, [u8]> = Cow::default();
    for (position, piece) in pieces.iter().enumerate() {
        let at = piece.sequence.wrapping_sub(start) as usize;
        if at > out.len() {
            break;
        }
        match piece.bytes.get(out.len() - at..) {
            None | Some([]) => {}
            Some(new) if out.is_empty() => out = Cow::Borrowed(new),
            Some(new) => extend(&mut out, new, pieces.get(position..).unwrap_or_default()),
        }
        if (piece.bytes.len() as u64) < u64::from(piece.wire_len) {
            // What follows this piece on the wire was not kept.
            break;
        }
    }
    out
}

/// Appends to the bytes so far; the first time with room for all that may follow.
fn extend<'a>(out: &mut Cow<'a, [u8]>, new: &[u8], rest: &[Piece<'a>]) {
    if let Cow::Borrowed(beginning) = *out {
        let room = rest.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        let mut own = Vec::with_capacity(beginning.len() + room);
        own.extend_from_slice(beginning);
        *out = Cow::Owned(own);
    }
    out.to_mut().extend_from_slice(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<'a>(pieces: &[(u32, &'a [u8])]) -> Said<'a> {
        let mut said = Said::default();
        for &(sequence, bytes) in pieces {
            said.push(Piece { sequence, wire_len: bytes.len() as u32, bytes });
        }
        said
    }

    #[test]
    fn one_piece_is_borrowed_and_more_are_joined() {
        let alone = said(&[(7, b"hello"), (7, b"hell"), (9, b"")]).stream();
        assert!(matches!(alone, Cow::Borrowed(b"hello")), "{alone:?}");
        let both = said(&[(7, b"hello"), (10, b"lo world"), (18, b"!")]).stream();
        assert!(matches!(both, Cow::Owned(_)));
        assert_eq!(*both, *b"hello world!");
        // A repeated beginning that says more says it in place of the first.
        assert_eq!(*said(&[(7, b"he"), (7, b"hello")]).stream(), *b"hello");
        assert!(said(&[]).stream().is_empty());
    }

    #[test]
    fn a_keepalive_before_the_first_byte_is_no_content() {
        let mut heard = Heard::new(Carrier::Stream, [Some(100), None]);
        for (sequence, bytes) in [(99, &b"\0"[..]), (100, b"SSH-2.0"), (99, b"\0")] {
            let piece = Piece { sequence, wire_len: bytes.len() as u32, bytes };
            heard.push(Side::A, piece, &[]);
            heard.push(Side::B, piece, &[]);
        }
        assert_eq!(*heard.said[0].stream(), *b"SSH-2.0");
        // Where the SYN was not captured nothing tells it from content.
        assert_eq!(*heard.said[1].stream(), *b"\0SSH-2.0");
    }

    #[test]
    fn a_piece_too_many_changes_nothing() {
        let six = said(&[(0, b"a"), (1, b"b"), (2, b"c"), (3, b"d"), (4, b"e"), (5, b"f")]);
        assert_eq!(six.pieces().len(), MAX_PIECES);
        assert_eq!(*six.stream(), *b"abcde");
    }
}
