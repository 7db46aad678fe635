//! The first payload bytes of a flow, bounded: all that the identification ever sees.
//!
//! A sample has no addresses and no ports, so a detector cannot be led by them. It is also the
//! largest part of a flow in memory, so its bounds decide how many flows fit: at most
//! [`MAX_BYTES`] of payload, in one allocation.

mod said;

use super::key::Side;
use super::samples::{Samples, Track};

pub use said::{Heard, Said};

/// Packets with payload that a side may contribute.
pub const MAX_PIECES: usize = 5;
/// Payload bytes kept of a side's first datagram: it names the protocol, and the cookie of DHCP
/// stands at 236 (RFC 2131).
pub const MAX_DATAGRAM: usize = 248;
/// Payload bytes kept of each further datagram: enough to follow a sequence.
pub const MAX_NEXT_DATAGRAM: usize = 36;
/// A side whose datagrams are shorter than this in sum has not said anything yet: keepalives.
pub const MIN_SAID: usize = 16;
/// Payload bytes of a stream's side up to which pieces are kept whole: a TLS hello with its server
/// name, mostly.
pub const MAX_STREAM_HEAD: usize = 255;
/// The same for both sides of a stream together.
pub const MAX_STREAM_HEADS: usize = 400;
/// Payload bytes kept of any further piece of a stream: enough for a length and the RTP header
/// behind it (RFC 4571), so that a sequence can be followed.
pub const MIN_PIECE: usize = 16;
/// Payload bytes that a sample can hold.
pub const MAX_BYTES: usize = 2 * (MAX_DATAGRAM + MAX_PIECES * MAX_NEXT_DATAGRAM);

/// How the payload is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A byte stream (TCP).
    Stream,
    /// Separate messages (UDP, SCTP).
    Datagrams,
}

/// The payload of one packet, cut to what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Piece<'a> {
    /// TCP sequence number of the first byte; 0 for datagrams.
    pub sequence: u32,
    /// The payload's length on the wire in bytes; kept as at most 65,535.
    pub wire_len: u32,
    /// The bytes kept.
    pub bytes: &'a [u8],
}

impl Piece<'_> {
    /// The length on the wire in 16 bits: what one datagram can hold. Only offloaded segments are
    /// longer.
    pub(super) fn wire_len_16(&self) -> u16 {
        u16::try_from(self.wire_len).unwrap_or(u16::MAX)
    }
}

/// What is of use in a payload, told by who reads samples.
#[derive(Debug, Clone, Copy)]
pub struct Taste {
    /// How many of its bytes at most: of some there is nothing to learn behind the header. Asked again
    /// about what was kept it must not want less, so it looks at no more than the [`MAX_NEXT_DATAGRAM`]
    /// or [`MIN_PIECE`] bytes that any piece may have.
    pub keep: fn(Carrier, &[u8]) -> usize,
    /// What else is to be known of all that was captured of it: written to the end of the list, at most
    /// [`MAX_GIST`] bytes, nothing mostly.
    pub gist: fn(Carrier, &[u8], &mut Vec<u8>),
}

impl Taste {
    /// All that the bounds allow, and nothing else.
    pub const PLAIN: Self = Self { keep: |_, _| usize::MAX, gist: |_, _, _| {} };
}

impl Default for Taste {
    fn default() -> Self {
        Self::PLAIN
    }
}

/// Bytes of a gist.
pub const MAX_GIST: usize = 255;

/// How much a sample holds, and so what it still takes.
///
/// Joining two halves must equal reading the whole, so there must never be more room in the whole than
/// in a part of it. Hence this counts what the pieces before *weighed* on the wire, which is the same
/// for both, not what was kept of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Measure {
    /// Pieces per side, and whether the gist of one was kept ([`Self::HAS_GIST`]).
    counts: [u8; 2],
    /// Payload bytes on the wire per side, of which more than [`MAX_STREAM_HEAD`] count as that.
    weights: [u8; 2],
}

impl Measure {
    /// The bit of a count.
    const HAS_GIST: u8 = 0x80;

    /// Whether a side still takes payload.
    #[inline]
    pub(super) fn wants(self, side: Side) -> bool {
        usize::from(self.counts[side.index()] & !Self::HAS_GIST) < MAX_PIECES
    }

    /// Whether the gist of a side's piece is kept: only the first one is.
    pub(super) fn take_gist(&mut self, side: Side) -> bool {
        let count = &mut self.counts[side.index()];
        let first = *count & Self::HAS_GIST == 0;
        *count |= Self::HAS_GIST;
        first
    }

    /// Counts a piece and gives what is kept of it.
    pub(super) fn take<'a>(
        &mut self,
        carrier: Carrier,
        side: Side,
        piece: &Piece<'a>,
    ) -> Option<&'a [u8]> {
        if piece.wire_len == 0 || !self.wants(side) {
            return None;
        }
        let kept = piece.bytes.get(..self.room(carrier, side)).unwrap_or(piece.bytes);
        self.counts[side.index()] += 1;
        let weight = &mut self.weights[side.index()];
        *weight = weight.saturating_add(u8::try_from(piece.wire_len).unwrap_or(u8::MAX));
        Some(kept)
    }

    /// How much the next piece of a side may take.
    fn room(self, carrier: Carrier, side: Side) -> usize {
        let [a, b] = self.weights.map(usize::from);
        let own = usize::from(self.weights[side.index()]);
        match carrier {
            Carrier::Stream => MAX_STREAM_HEAD
                .saturating_sub(own)
                .min(MAX_STREAM_HEADS.saturating_sub(a + b))
                .max(MIN_PIECE),
            Carrier::Datagrams if own < MIN_SAID => MAX_DATAGRAM,
            Carrier::Datagrams => MAX_NEXT_DATAGRAM,
        }
    }
}

/// First payload bytes of both sides of a flow, in capture order.
#[derive(Debug, Clone)]
pub struct Sample {
    store: Samples,
    track: Track,
}

impl Sample {
    /// An empty sample.
    pub fn new(carrier: Carrier) -> Self {
        Self { store: Samples::default(), track: Track { carrier, ..Track::default() } }
    }

    /// The same with the sequence numbers of the first byte of each side, as far as they are known.
    pub(super) fn beginning(mut self, begins: [Option<u32>; 2]) -> Self {
        self.track.begins = begins;
        self
    }

    /// How the payload is carried.
    pub fn carrier(&self) -> Carrier {
        self.track.carrier
    }

    /// Whether neither side sent payload.
    pub fn is_empty(&self) -> bool {
        self.track.chain.is_empty()
    }

    /// Whether `side` still takes payload.
    pub fn wants(&self, side: Side) -> bool {
        self.track.chain.wants(side)
    }

    /// Keeps a packet's payload as far as the bounds allow.
    pub fn push(&mut self, side: Side, piece: &Piece<'_>) {
        self.put(side, piece, &[]);
    }

    /// The same with the gist of the payload.
    pub(super) fn put(&mut self, side: Side, piece: &Piece<'_>, gist: &[u8]) {
        let Track { chain, carrier, .. } = &mut self.track;
        self.store.put(chain, *carrier, side, (piece, gist));
    }

    /// Appends the sample of the part that follows; `flipped` when its sides are the other way
    /// round.
    pub fn merge(&mut self, next: &Self, flipped: bool) {
        next.store.each(next.track.chain, |side, piece, gist| {
            self.put(if flipped { side.other() } else { side }, &piece, gist);
        });
    }

    /// Swaps the sides.
    pub fn flip(&mut self) {
        let [a, b] = self.track.begins;
        let mut flipped = Self::new(self.track.carrier).beginning([b, a]);
        flipped.merge(self, true);
        *self = flipped;
    }
}

/// Samples are equal that say the same and have as much room left.
impl PartialEq for Sample {
    fn eq(&self, other: &Self) -> bool {
        self.track.chain.measures_as(other.track.chain) && Heard::from(self) == Heard::from(other)
    }
}

impl Eq for Sample {}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(sample: &mut Sample, side: Side, sequence: u32, bytes: &[u8], wire_len: u32) {
        sample.push(side, &Piece { sequence, wire_len, bytes });
    }

    fn stream(sample: &Sample, side: Side) -> Vec<u8> {
        Heard::from(sample).said[side.index()].stream().into_owned()
    }

    #[test]
    fn a_stream_is_put_in_order_and_ends_at_a_gap() {
        let mut sample = Sample::new(Carrier::Stream);
        push(&mut sample, Side::A, 105, b"world", 5);
        push(&mut sample, Side::A, 100, b"hello", 5);
        push(&mut sample, Side::A, 100, b"hello", 5);
        push(&mut sample, Side::A, 120, b"lost before", 11);
        assert_eq!(*stream(&sample, Side::A), *b"helloworld");
        assert!(stream(&sample, Side::B).is_empty());
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut sample = Sample::new(Carrier::Stream);
        push(&mut sample, Side::A, u32::MAX - 1, b"ab", 2);
        push(&mut sample, Side::A, 0, b"cd", 2);
        assert_eq!(*stream(&sample, Side::A), *b"abcd");
    }

    #[test]
    fn every_segment_of_a_stream_shows_its_beginning() {
        let mut sample = Sample::new(Carrier::Stream);
        for n in 0..9 {
            push(&mut sample, Side::A, n * 1214, &[7; 1214], 1214);
        }
        let kept: Vec<usize> =
            Heard::from(&sample).said[0].pieces().iter().map(|p| p.bytes.len()).collect();
        assert_eq!(kept, [255, 16, 16, 16, 16]);
        // What was left out is a gap.
        assert_eq!(stream(&sample, Side::A).len(), 255);
    }

    #[test]
    fn every_datagram_finds_room_behind_large_ones() {
        let mut sample = Sample::new(Carrier::Datagrams);
        for _ in 0..MAX_PIECES {
            assert!(sample.wants(Side::A));
            push(&mut sample, Side::A, 0, &[7; 1400], 1400);
        }
        assert!(!sample.wants(Side::A));
        let kept: Vec<usize> =
            Heard::from(&sample).said[0].pieces().iter().map(|p| p.bytes.len()).collect();
        assert_eq!(kept, [248, 36, 36, 36, 36]);
        assert!(kept.iter().sum::<usize>() <= MAX_BYTES);
    }

    #[test]
    fn joining_halves_equals_reading_the_whole() {
        let lengths: [[usize; 9]; 5] = [
            [40, 63, 86, 109, 132, 155, 178, 201, 224],
            [1, 1, 430, 2, 600, 1, 50, 1400, 3],
            [431, 600, 1, 600, 5, 20, 600, 1, 1],
            [1400, 1, 1, 1, 1400, 300, 250, 60, 9],
            [100, 200, 300, 100, 200, 300, 100, 200, 300],
        ];
        // Bit n says whether side B sends piece n.
        for (case, sides) in lengths.iter().flat_map(|case| (0..512_u32).map(move |s| (case, s))) {
            for carrier in [Carrier::Stream, Carrier::Datagrams] {
                let part = |from: usize, to: usize| {
                    let mut sample = Sample::new(carrier);
                    for (n, len) in case.iter().enumerate().take(to).skip(from) {
                        let side = if sides >> n & 1 == 0 { Side::A } else { Side::B };
                        push(&mut sample, side, n as u32, &vec![n as u8; *len], *len as u32);
                    }
                    sample
                };
                let whole = part(0, 9);
                for cut in 0..=9 {
                    let mut joined = part(0, cut);
                    joined.merge(&part(cut, 9), false);
                    assert_eq!(joined, whole, "{case:?} {sides:b} cut at {cut}");
                }
            }
        }
    }
}
