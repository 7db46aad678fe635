//! The samples of all flows of a table: pieces one behind the other in a few large blocks.
//!
//! Each piece tells how far before it the one before of the same flow is, and the flow names its last
//! one. So a piece is written at the end of the store, wherever the flow is, and nothing is allocated or
//! moved for it; and the blocks of one store go into another as they are.

use super::key::Side;
use super::sample::{Carrier, Heard, MAX_GIST, Measure, Piece, Sample, Taste};

/// Pieces of many flows.
#[derive(Debug, Clone, Default)]
pub(super) struct Samples {
    blocks: Vec<Vec<u8>>,
    taste: Taste,
    /// Room for the gist of a payload.
    gist: Vec<u8>,
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

    /// Whether it has no piece.
    pub(super) fn is_empty(self) -> bool {
        self.last == 0
    }

    /// Whether another has as much room left.
    pub(super) fn measures_as(self, other: Self) -> bool {
        self.measure == other.measure
    }

    /// The same sample after its store was adopted by another.
    pub(super) fn shifted(self, shift: u32) -> Self {
        let last = if self.last == 0 { 0 } else { self.last + shift };
        Self { last, ..self }
    }
}

/// Where the payload of a flow is, and what is needed to make sense of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Track {
    pub(super) chain: Chain,
    pub(super) carrier: Carrier,
    /// Sequence number of the first byte of each side of a stream, where its SYN was captured.
    pub(super) begins: [Option<u32>; 2],
}

impl Default for Track {
    fn default() -> Self {
        Self { chain: Chain::default(), carrier: Carrier::Stream, begins: [None; 2] }
    }
}

impl Samples {
    /// No pieces yet, and what will be kept of them.
    pub(super) fn tasting(taste: Taste) -> Self {
        Self { taste, ..Self::default() }
    }

    /// No pieces, and what is kept of them here.
    pub(super) fn anew(&self) -> Self {
        Self::tasting(self.taste)
    }

    /// Adds a packet's payload to a flow's sample, as far as the bounds allow.
    pub(super) fn push(
        &mut self,
        chain: &mut Chain,
        carrier: Carrier,
        side: Side,
        piece: &Piece<'_>,
    ) {
        let mut gist = std::mem::take(&mut self.gist);
        gist.clear();
        (self.taste.gist)(carrier, piece.bytes, &mut gist);
        gist.truncate(MAX_GIST);
        self.put(chain, carrier, side, (piece, &gist));
        self.gist = gist;
    }

    /// The same for a payload of which the gist is known.
    pub(super) fn put(
        &mut self,
        chain: &mut Chain,
        carrier: Carrier,
        side: Side,
        (piece, gist): (&Piece<'_>, &[u8]),
    ) {
        let Some(kept) = chain.measure.take(carrier, side, piece) else {
            return;
        };
        let kept = kept.get(..(self.taste.keep)(carrier, kept)).unwrap_or(kept);
        let wanted = !gist.is_empty() && chain.measure.take_gist(side);
        let gist = if wanted { gist } else { &[] };
        let gist_len = if gist.is_empty() { 0 } else { 1 + gist.len() };
        let len = HEADER + (kept.len() + gist_len).next_multiple_of(WORD);
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
        let place = (at / WORD) as u32 + 1;
        let back = if chain.last == 0 { 0 } else { place - chain.last };
        let mut flags = if side == Side::B { SIDE_B } else { 0 };
        if !gist.is_empty() {
            flags |= HAS_GIST;
        }
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&back.to_ne_bytes());
        header[4..6].copy_from_slice(&(kept.len() as u16 | flags).to_ne_bytes());
        header[6..8].copy_from_slice(&piece.wire_len_16().to_ne_bytes());
        header[8..].copy_from_slice(&piece.sequence.to_ne_bytes());
        block.extend_from_slice(&header);
        block.extend_from_slice(kept);
        if !gist.is_empty() {
            block.push(gist.len() as u8);
            block.extend_from_slice(gist);
        }
        block.resize(at - above + len, 0);
        chain.last = place;
    }

    /// The sample of a flow, for itself.
    pub(super) fn sample(&self, track: Track) -> Sample {
        let mut sample = Sample::new(track.carrier).beginning(track.begins);
        self.each(track.chain, |side, piece, gist| sample.put(side, &piece, gist));
        sample
    }

    /// The samples of up to [`AT_ONCE`] flows, each as it lies in the store, in order. Pieces lie wherever memory
    /// was when they came, so each step back waits for it; the steps of several flows wait together.
    pub(super) fn heard<'s>(&'s self, tracks: &[Track], mut take: impl FnMut(Heard<'s>)) {
        let mut all = [Places::default(); AT_ONCE];
        for (places, track) in all.iter_mut().zip(tracks) {
            *places = Places::ending(track.chain.last);
        }
        let mut going = true;
        while going {
            going = false;
            for places in all.iter_mut().take(tracks.len()) {
                going |= self.step_back(places);
            }
        }
        for (places, track) in all.iter().zip(tracks) {
            let mut heard = Heard::new(track.carrier, track.begins);
            self.each_at(places, |side, piece, gist| heard.push(side, piece, gist));
            take(heard);
        }
    }

    /// The sample of one flow as it lies in the store.
    pub(super) fn all(&self, track: Track) -> Heard<'_> {
        let mut heard = Heard::new(track.carrier, track.begins);
        self.each(track.chain, |side, piece, gist| heard.push(side, piece, gist));
        heard
    }

    /// Appends a flow's sample in another store to one in this.
    pub(super) fn append(
        &mut self,
        chain: &mut Chain,
        carrier: Carrier,
        (others, other): (&Self, Chain),
    ) {
        others.each(other, |side, piece, gist| self.put(chain, carrier, side, (&piece, gist)));
    }

    /// Whether the blocks of another store have room here.
    pub(super) fn can_adopt(&self, others: &Self) -> bool {
        self.blocks.len() + others.blocks.len() <= MAX_BLOCKS
    }

    /// Takes over the blocks of another store. Its chains are good here with [`Chain::shifted`] by what
    /// is returned.
    pub(super) fn adopt(&mut self, mut others: Self) -> u32 {
        let shift = self.blocks.len() * (BLOCK / WORD);
        self.blocks.append(&mut others.blocks);
        shift as u32
    }

    /// Appends one sample to another, both of this store; `flipped` when its sides are the other way
    /// round.
    pub(super) fn join(
        &mut self,
        chain: &mut Chain,
        carrier: Carrier,
        other: Chain,
        flipped: bool,
    ) {
        let places = self.places(other);
        for place in places.in_order() {
            let mut copy = [0; MAX_KEPT + MAX_GIST];
            let Some((side, piece, gist)) = self.piece(place) else { continue };
            let (sequence, wire_len) = (piece.sequence, piece.wire_len);
            let Some((bytes, gist)) = copied(&mut copy, piece.bytes, gist) else { continue };
            let side = if flipped { side.other() } else { side };
            self.put(chain, carrier, side, (&Piece { sequence, wire_len, bytes }, gist));
        }
    }

    /// Where the pieces of a flow are.
    fn places(&self, chain: Chain) -> Places {
        let mut places = Places::ending(chain.last);
        while self.step_back(&mut places) {}
        places
    }

    /// Finds one more piece of a flow; tells whether there may be others.
    #[inline]
    fn step_back(&self, places: &mut Places) -> bool {
        let next = places.next;
        let Some(slot) = places.known.get_mut(usize::from(places.count)).filter(|_| next != 0)
        else {
            return false;
        };
        let back = self.bytes(next).and_then(|bytes| bytes.first_chunk());
        let back = back.map_or(0, |back| u32::from_ne_bytes(*back));
        *slot = next;
        places.count += 1;
        places.next = if back == 0 { 0 } else { next.saturating_sub(back) };
        places.next != 0
    }

    /// Goes through the pieces of a flow and their gists in capture order.
    pub(super) fn each<'s>(&'s self, chain: Chain, take: impl FnMut(Side, Piece<'s>, &'s [u8])) {
        self.each_at(&self.places(chain), take);
    }

    fn each_at<'s>(&'s self, places: &Places, mut take: impl FnMut(Side, Piece<'s>, &'s [u8])) {
        for place in places.in_order() {
            if let Some((side, piece, gist)) = self.piece(place) {
                take(side, piece, gist);
            }
        }
    }

    fn piece(&self, place: u32) -> Option<(Side, Piece<'_>, &[u8])> {
        let (header, rest) = self.bytes(place)?.split_first_chunk::<HEADER>()?;
        let [_, _, _, _, s0, s1, w0, w1, q0, q1, q2, q3] = *header;
        let flagged = u16::from_ne_bytes([s0, s1]);
        let (bytes, rest) = rest.split_at_checked(usize::from(flagged & !(SIDE_B | HAS_GIST)))?;
        let gist = match rest.split_first() {
            Some((len, rest)) if flagged & HAS_GIST != 0 => rest.get(..usize::from(*len))?,
            _ => &[],
        };
        let side = if flagged & SIDE_B == 0 { Side::A } else { Side::B };
        let wire_len = u32::from(u16::from_ne_bytes([w0, w1]));
        let sequence = u32::from_ne_bytes([q0, q1, q2, q3]);
        Some((side, Piece { sequence, wire_len, bytes }, gist))
    }

    /// What is stored from a place on.
    fn bytes(&self, place: u32) -> Option<&[u8]> {
        let at = (place as usize).checked_sub(1)? * WORD;
        self.blocks.get(at / BLOCK)?.get(at % BLOCK..)
    }
}

/// Copies of a piece's bytes and gist, so that the store can be written to.
fn copied<'c>(room: &'c mut [u8], bytes: &[u8], gist: &[u8]) -> Option<(&'c [u8], &'c [u8])> {
    let (first, rest) = room.split_at_mut_checked(bytes.len())?;
    let second = rest.get_mut(..gist.len())?;
    first.copy_from_slice(bytes);
    second.copy_from_slice(gist);
    Some((first, second))
}

/// The places of a flow's pieces as far as they are known, the last one first.
#[derive(Debug, Clone, Copy, Default)]
struct Places {
    known: [u32; MAX_PIECES_OF_BOTH],
    count: u8,
    /// The one before the known ones; 0 where there is none.
    next: u32,
}

impl Places {
    fn ending(last: u32) -> Self {
        Self { next: last, ..Self::default() }
    }

    /// In capture order.
    fn in_order(&self) -> impl Iterator<Item = u32> {
        let known = self.known.get(..usize::from(self.count)).unwrap_or_default();
        known.iter().rev().copied()
    }
}

/// Flows whose samples are found together.
pub(super) const AT_ONCE: usize = 16;
/// Distance to the piece before (4 bytes; 0 where there is none), side and length (2), length on the wire (2), sequence number
/// (4), in native order.
const HEADER: usize = 12;
/// The bit of a length that says side B.
const SIDE_B: u16 = 0x8000;
/// The bit of a length that says that a gist follows: its length (1 byte) and its bytes.
const HAS_GIST: u16 = 0x4000;
/// What places are counted in, in bytes.
const WORD: usize = 4;
/// Bytes that a piece holds at most.
const MAX_KEPT: usize = super::sample::MAX_STREAM_HEAD;
/// Length of a block in bytes.
const BLOCK: usize = 1 << 20;
/// Blocks whose places 32 bits can name: 16 GiB. Beyond, samples end; no table holds as many flows.
const MAX_BLOCKS: usize = 1 << 14;
/// Pieces of a whole sample.
const MAX_PIECES_OF_BOTH: usize = 2 * super::sample::MAX_PIECES;

#[cfg(test)]
mod tests {
    use super::*;

    fn datagrams(chain: Chain) -> Track {
        Track { chain, carrier: Carrier::Datagrams, begins: [None; 2] }
    }

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
        let mut copied = Samples::default();
        let mut places = Vec::new();
        for (chain, alone) in &flows {
            assert_eq!(store.sample(datagrams(*chain)), *alone);
            let mut copy = Chain::default();
            copied.append(&mut copy, Carrier::Datagrams, (&store, *chain));
            places.push(copy);
        }
        // One store in another, and one sample after the other: what is too much is left out again.
        let shift = copied.adopt(store);
        for ((chain, alone), copy) in flows.iter().zip(&places) {
            assert_eq!(copied.sample(datagrams(*copy)), *alone);
            let moved = chain.shifted(shift);
            assert_eq!(copied.sample(datagrams(moved)), *alone);
            let mut turned = Chain::default();
            copied.join(&mut turned, Carrier::Datagrams, moved, true);
            let mut expected = alone.clone();
            expected.flip();
            assert_eq!(copied.sample(datagrams(turned)), expected);
        }
    }

    #[test]
    fn samples_found_together_are_those_found_alone() {
        let mut store = Samples::default();
        let mut tracks = vec![datagrams(Chain::default()); AT_ONCE];
        for number in 0..200_u32 {
            let Track { chain, carrier, .. } = &mut tracks[(number * number) as usize % AT_ONCE];
            let bytes = piece(30, number);
            let piece = Piece { sequence: 0, wire_len: 30, bytes: &bytes };
            store.push(chain, *carrier, if number % 3 == 0 { Side::B } else { Side::A }, &piece);
        }
        let mut seen = 0;
        store.heard(&tracks, |heard| {
            let alone = store.sample(tracks[seen]);
            assert_eq!(heard, Heard::from(&alone), "{seen}");
            seen += 1;
        });
        assert_eq!(seen, AT_ONCE);
    }

    #[test]
    fn a_flow_without_payload_has_an_empty_sample() {
        let store = Samples::default();
        assert!(store.sample(Track::default()).is_empty());
    }
}
