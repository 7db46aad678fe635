//! The first payload bytes of a flow, bounded: all that the identification ever sees.
//!
//! A sample has no addresses and no ports, so a detector cannot be led by them.

use super::key::Side;

/// Packets with payload that a side may contribute.
pub const MAX_PIECES: usize = 6;
/// Payload bytes kept per side and flow.
pub const MAX_BYTES: usize = 512;
/// Payload bytes kept of a side's first datagram: it names the protocol, and DHCP's cookie stands
/// at 236.
pub const MAX_DATAGRAM: usize = 248;
/// Payload bytes kept of each further datagram. Headers are enough to follow a sequence, and all
/// [`MAX_PIECES`] fit: large connectivity checks must not use up the room of the media behind
/// them.
pub const MAX_NEXT_DATAGRAM: usize = 52;

/// Payload bytes of a stream's side up to which pieces are kept whole.
pub const MAX_STREAM_HEAD: usize = 432;
/// Payload bytes kept of each further piece of a stream: media over TCP puts one frame into one
/// segment, and the beginning of each shows the sequence.
pub const MAX_STREAM_PIECE: usize = 16;

/// How the payload is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A byte stream (TCP).
    Stream,
    /// Separate messages (UDP, SCTP).
    Datagrams,
}

/// The payload of one packet, cut to what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// TCP sequence number of the first byte; 0 for datagrams.
    pub sequence: u32,
    /// The payload's length on the wire in bytes.
    pub wire_len: u32,
    /// The bytes kept.
    pub bytes: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kept {
    sequence: u32,
    wire_len: u32,
    len: u16,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Head {
    pieces: Vec<Kept>,
    bytes: Vec<u8>,
}

/// First payload bytes of both sides of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    carrier: Carrier,
    heads: [Head; 2],
}

impl Sample {
    /// An empty sample.
    pub fn new(carrier: Carrier) -> Self {
        Self { carrier, heads: [Head::default(), Head::default()] }
    }

    /// How the payload is carried.
    pub fn carrier(&self) -> Carrier {
        self.carrier
    }

    /// Whether neither side sent payload.
    pub fn is_empty(&self) -> bool {
        self.heads.iter().all(|head| head.pieces.is_empty())
    }

    /// Whether `side` still takes payload.
    pub fn wants(&self, side: Side) -> bool {
        let head = &self.heads[side.index()];
        head.pieces.len() < MAX_PIECES
    }

    /// Keeps a packet's payload as far as the bounds allow. The rule looks at nothing but what
    /// the side already holds, so that joining two halves equals reading the whole.
    pub fn push(&mut self, side: Side, sequence: u32, payload: &[u8], wire_len: u32) {
        if wire_len == 0 || !self.wants(side) {
            return;
        }
        let head = &mut self.heads[side.index()];
        // What a piece may take never grows with what is held, so a part that is read on its own
        // keeps at least what the whole would keep of it. `MAX_BYTES` follows from the others.
        let most = match self.carrier {
            Carrier::Stream => {
                MAX_STREAM_HEAD.saturating_sub(head.bytes.len()).max(MAX_STREAM_PIECE)
            }
            Carrier::Datagrams if head.pieces.is_empty() => MAX_DATAGRAM,
            Carrier::Datagrams => MAX_NEXT_DATAGRAM,
        };
        let piece = payload.len().min(most);
        head.pieces.push(Kept { sequence, wire_len, len: piece as u16 });
        head.bytes.extend_from_slice(payload.get(..piece).unwrap_or(payload));
    }

    /// Appends the sample of the part that follows; `flipped` when its sides are the other way
    /// round.
    pub fn merge(&mut self, next: &Self, flipped: bool) {
        for side in [Side::A, Side::B] {
            let from = if flipped { side.other() } else { side };
            for piece in next.pieces(from) {
                self.push(side, piece.sequence, piece.bytes, piece.wire_len);
            }
        }
    }

    /// Swaps the sides.
    pub fn flip(&mut self) {
        self.heads.swap(0, 1);
    }

    /// The pieces of one side in capture order.
    pub fn pieces(&self, side: Side) -> impl Iterator<Item = Piece<'_>> {
        let head = &self.heads[side.index()];
        let mut rest = head.bytes.as_slice();
        head.pieces.iter().map(move |kept| {
            let (bytes, tail) = rest.split_at(usize::from(kept.len).min(rest.len()));
            rest = tail;
            Piece { sequence: kept.sequence, wire_len: kept.wire_len, bytes }
        })
    }

    /// The contiguous beginning of one side's byte stream, put in order by sequence number.
    /// Stops at the first gap. Empty for datagrams.
    pub fn stream(&self, side: Side) -> Vec<u8> {
        if self.carrier != Carrier::Stream {
            return Vec::new();
        }
        let mut pieces: Vec<Piece<'_>> = self.pieces(side).collect();
        let Some(base) = pieces.first().map(|piece| piece.sequence) else {
            return Vec::new();
        };
        // Distances are signed and wrap: sequence numbers live on a circle (RFC 9293, 3.4).
        pieces.sort_by_key(|piece| piece.sequence.wrapping_sub(base).cast_signed());
        let start = pieces.first().map_or(base, |piece| piece.sequence);
        let mut out: Vec<u8> = Vec::new();
        for piece in pieces {
            let at = piece.sequence.wrapping_sub(start) as usize;
            if at > out.len() {
                break;
            }
            if let Some(new) = piece.bytes.get(out.len() - at..) {
                out.extend_from_slice(new);
            }
            if (piece.bytes.len() as u64) < u64::from(piece.wire_len) {
                // What follows this piece on the wire was not kept.
                break;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_put_in_order_and_ends_at_a_gap() {
        let mut sample = Sample::new(Carrier::Stream);
        sample.push(Side::A, 105, b"world", 5);
        sample.push(Side::A, 100, b"hello", 5);
        sample.push(Side::A, 100, b"hello", 5);
        sample.push(Side::A, 120, b"lost before", 11);
        assert_eq!(sample.stream(Side::A), b"helloworld");
        assert!(sample.stream(Side::B).is_empty());
    }

    #[test]
    fn sequence_numbers_wrap() {
        let mut sample = Sample::new(Carrier::Stream);
        sample.push(Side::A, u32::MAX - 1, b"ab", 2);
        sample.push(Side::A, 0, b"cd", 2);
        assert_eq!(sample.stream(Side::A), b"abcd");
    }

    #[test]
    fn every_segment_of_a_stream_shows_its_beginning() {
        let mut sample = Sample::new(Carrier::Stream);
        for n in 0..9 {
            sample.push(Side::A, n * 1214, &[7; 1214], 1214);
        }
        let kept: Vec<usize> = sample.pieces(Side::A).map(|p| p.bytes.len()).collect();
        assert_eq!(kept, [432, 16, 16, 16, 16, 16]);
        assert_eq!(kept.iter().sum::<usize>(), MAX_BYTES);
        // What was left out is a gap.
        assert_eq!(sample.stream(Side::A).len(), 432);
    }

    #[test]
    fn every_datagram_finds_room_behind_large_ones() {
        let mut sample = Sample::new(Carrier::Datagrams);
        for _ in 0..MAX_PIECES {
            assert!(sample.wants(Side::A));
            sample.push(Side::A, 0, &[7; 1400], 1400);
        }
        assert!(!sample.wants(Side::A));
        let kept: Vec<usize> = sample.pieces(Side::A).map(|p| p.bytes.len()).collect();
        assert_eq!(kept, [248, 52, 52, 52, 52, 52]);
        assert!(kept.iter().sum::<usize>() <= MAX_BYTES);
    }

    #[test]
    fn joining_halves_equals_reading_the_whole() {
        let lengths: [[usize; 9]; 4] = [
            [40, 63, 86, 109, 132, 155, 178, 201, 224],
            [1, 1, 430, 2, 600, 1, 50, 1400, 3],
            [431, 600, 1, 600, 5, 20, 600, 1, 1],
            [1400, 1, 1, 1, 1400, 300, 250, 60, 9],
        ];
        let cases =
            lengths.iter().flat_map(|case| [(case, Carrier::Stream), (case, Carrier::Datagrams)]);
        for (case, carrier) in cases {
            let payloads: Vec<Vec<u8>> = (0..9u8).map(|n| vec![n; case[usize::from(n)]]).collect();
            let mut whole = Sample::new(carrier);
            for (n, p) in payloads.iter().enumerate() {
                whole.push(Side::A, n as u32, p, p.len() as u32);
            }
            for cut in 0..=payloads.len() {
                let mut left = Sample::new(carrier);
                let mut right = Sample::new(carrier);
                for (n, p) in payloads.iter().enumerate() {
                    let half = if n < cut { &mut left } else { &mut right };
                    half.push(Side::A, n as u32, p, p.len() as u32);
                }
                left.merge(&right, false);
                assert_eq!(left, whole, "cut at {cut}");
            }
        }
    }
}
