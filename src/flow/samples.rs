//! The samples of all flows of a table: pieces one behind the other in a few large blocks.
//!
//! Each piece names the one before it of the same flow, and the flow names its last one. So a piece is
//! written at the end of the store, wherever the flow is, and nothing is allocated or moved for it.

use super::key::Side;
use super::sample::{Carrier, Measure, Piece, Sample};

/// Pieces of many flows.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    blocks: Vec<Vec<u8>>,
}

/// The sample of one flow: its last piece, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chain {
    /// Where its last piece is, in words of four bytes from 1; 0 where there is none.
    last: u32,
    measure: Measure,
}

impl Chain {
    /// Whether a side still takes payload.
    #[inline]
    pub(super) fn wants(self, side: Side) -> bool {
        self.measure.wants(side)
    }
}

impl Samples {
    /// Adds a packet's payload to a flow's sample, as far as the bounds allow.
    pub(super) fn push(
        &mut self,
        chain: &mut Chain,
        carrier: Carrier,
        side: Side,
        piece: &Piece<'_>,
    ) {
        let Some(kept) = chain.measure.take(carrier, side, piece) else {
            return;
        };
        let len = HEADER + kept.len().next_multiple_of(WORD);
        let fits = self.blocks.last().is_some_and(|block| block.len() + len <= BLOCK);
        if !fits {
            if self.blocks.len() >= MAX_BLOCKS {
                return;
            }
            // The first block of a small table stays small.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push(Vec::with_capacity(room));
        }
        let above = (self.blocks.len() - 1) * BLOCK;
        let Some(block) = self.blocks.last_mut() else { return };
        let at = above + block.len();
        let flag = if side == Side::B { SIDE_B } else { 0 };
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&chain.last.to_ne_bytes());
        header[4..6].copy_from_slice(&(kept.len() as u16 | flag).to_ne_bytes());
        header[6..8].copy_from_slice(&piece.wire_len_16().to_ne_bytes());
        header[8..].copy_from_slice(&piece.sequence.to_ne_bytes());
        block.extend_from_slice(&header);
        block.extend_from_slice(kept);
        block.resize(at - above + len, 0);
        chain.last = (at / WORD) as u32 + 1;
    }

    /// The sample of a flow.
    pub(super) fn sample(&self, chain: Chain, carrier: Carrier) -> Sample {
        let mut sample = Sample::new(carrier);
        self.each(chain, |side, piece| sample.push(side, piece));
        sample
    }

    /// Appends a flow's sample in another store to one in this; `flipped` when its sides are the other
    /// way round.
    pub(super) fn append(
        &mut self,
        chain: &mut Chain,
        carrier: Carrier,
        (others, other): (&Self, Chain),
        flipped: bool,
    ) {
        others.each(other, |side, piece| {
            let side = if flipped { side.other() } else { side };
            self.push(chain, carrier, side, piece);
        });
    }

    /// Goes through the pieces of a flow in capture order.
    fn each(&self, chain: Chain, mut take: impl FnMut(Side, &Piece<'_>)) {
        let mut places = [0; MAX_PIECES_OF_BOTH];
        let mut count = 0;
        let mut last = chain.last;
        while let (Some(slot), Some(before)) = (places.get_mut(count), self.before(last)) {
            *slot = last;
            count += 1;
            last = before;
        }
        for place in places.get(..count).unwrap_or_default().iter().rev() {
            if let Some((side, piece)) = self.piece(*place) {
                take(side, &piece);
            }
        }
    }

    /// The place of the piece before one.
    fn before(&self, place: u32) -> Option<u32> {
        Some(u32::from_ne_bytes(*self.bytes(place)?.first_chunk()?))
    }

    fn piece(&self, place: u32) -> Option<(Side, Piece<'_>)> {
        let (header, rest) = self.bytes(place)?.split_first_chunk::<HEADER>()?;
        let [_, _, _, _, s0, s1, w0, w1, q0, q1, q2, q3] = *header;
        let flagged = u16::from_ne_bytes([s0, s1]);
        let bytes = rest.get(..usize::from(flagged & !SIDE_B))?;
        let side = if flagged & SIDE_B == 0 { Side::A } else { Side::B };
        let wire_len = u32::from(u16::from_ne_bytes([w0, w1]));
        let sequence = u32::from_ne_bytes([q0, q1, q2, q3]);
        Some((side, Piece { sequence, wire_len, bytes }))
    }

    /// What is stored from a place on.
    fn bytes(&self, place: u32) -> Option<&[u8]> {
        let at = (place as usize).checked_sub(1)? * WORD;
        self.blocks.get(at / BLOCK)?.get(at % BLOCK..)
    }
}

/// Place of the piece before (4 bytes), side and length (2), length on the wire (2), sequence number
/// (4), in native order.
const HEADER: usize = 12;
/// The bit of a length that says side B.
const SIDE_B: u16 = 0x8000;
/// What places are counted in, in bytes.
const WORD: usize = 4;
/// Length of a block in bytes.
const BLOCK: usize = 1 << 20;
/// Blocks whose places 32 bits can name: 16 GiB. Beyond, samples end; no table holds as many flows.
const MAX_BLOCKS: usize = 1 << 14;
/// Pieces of a whole sample.
const MAX_PIECES_OF_BOTH: usize = 2 * super::sample::MAX_PIECES;

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(len: usize, number: u32) -> Vec<u8> {
        vec![number as u8; len]
    }

    #[test]
    fn samples_of_many_flows_are_those_of_each_alone() {
        let mut store = Samples::default();
        let mut flows = vec![(Chain::default(), Sample::new(Carrier::Datagrams)); 3_000];
        for number in 0..40_000_u32 {
            let (chain, alone) = &mut flows[number as usize % 3_000];
            let side = if number % 7 < 3 { Side::A } else { Side::B };
            let bytes = piece(number as usize % 300 + 1, number);
            let piece = Piece { sequence: number, wire_len: bytes.len() as u32, bytes: &bytes };
            assert_eq!(chain.wants(side), alone.wants(side));
            store.push(chain, Carrier::Datagrams, side, &piece);
            alone.push(side, &piece);
        }
        assert!(store.blocks.len() > 1);
        let mut joined = Samples::default();
        for (chain, alone) in &flows {
            assert_eq!(store.sample(*chain, Carrier::Datagrams), *alone);
            let mut copy = Chain::default();
            joined.append(&mut copy, Carrier::Datagrams, (&store, *chain), true);
            let mut turned = alone.clone();
            turned.flip();
            assert_eq!(joined.sample(copy, Carrier::Datagrams), turned);
        }
    }

    #[test]
    fn a_flow_without_payload_has_an_empty_sample() {
        let store = Samples::default();
        assert!(store.sample(Chain::default(), Carrier::Stream).is_empty());
    }
}
