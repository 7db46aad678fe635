//! The flow table: packets find their flow, and tables of adjacent parts join into one.
//!
//! Merging is a monoid in capture order: for any way of cutting a capture into parts, joining the
//! parts' tables gives the table of the whole. Three decisions make that exact:
//!
//! - A TCP flow is named by its handshake (who opened it, with which initial sequence number).
//!   A handshake packet that names another one than the flow in force starts a new flow; a
//!   retransmission names the same and does not. Both a SYN and a SYN-ACK name it, so the decision
//!   needs nothing but the packet and the flow's name.
//! - Flows are kept in the order in which they were first seen, which appending preserves.
//! - A bound that is reached makes a table refuse to join ([`FlowTable::merge`]), since the part
//!   may have dropped what an earlier part has room for; the caller reads the part again on top of
//!   the earlier ones, which is exact.

mod join;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::ops::Range;

use super::association::Seen;
use super::entries::Entries;
use super::entry::Entry;
use super::extra::{Store, graver};
use super::fragments::{FragmentCounts, Fragments, Kind, Owner, Piece};
use super::index::Index;
use super::observation::{Around, Observation};
use super::opening::Opening;
use super::sample::{Heard, Sample, Taste};
use super::samples::{AT_ONCE, Track};
use super::{Counters, Flow, FlowKey, FrameRef, IcmpSeen, mix};
use crate::decode::{Detail, Packet, Parts, Quoted};
use crate::input::{Frame, Timestamp};

/// Bounds of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Flows kept; packets of further flows are counted as untracked.
    pub max_flows: usize,
}

impl Default for Limits {
    /// Four million flows. A flow takes some 200 bytes, and up to 1 kB more where both sides say as much as
    /// is kept of them; while parts are joined both are held.
    fn default() -> Self {
        Self { max_flows: 4_000_000 }
    }
}

/// ICMP errors kept whose flow has not been seen (yet).
const MAX_PENDING_ERRORS: usize = 65_536;
/// Two tables cannot be joined exactly, because a bound was or would be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// Flows by key, in first-seen order.
#[derive(Debug)]
pub struct FlowTable {
    limits: Limits,
    seed: u64,
    /// The latest entry of each key.
    index: Index,
    entries: Entries,
    store: Store,
    /// ICMP errors about keys that have no flow here; ordered, so that nothing depends on hashes.
    pending: BTreeMap<FlowKey, IcmpSeen>,
    fragments: Fragments,
    /// Flows that left since the store was renewed.
    left: usize,
    untracked: Counters,
    exceeded: bool,
}

impl FlowTable {
    /// An empty table, to be filled from the beginning of a run.
    pub fn new(limits: Limits) -> Self {
        Self::with(limits, Fragments::live())
    }

    /// An empty table, to be filled from somewhere on and joined to that of what is before.
    pub fn part(limits: Limits) -> Self {
        Self::with(limits, Fragments::journal())
    }

    /// The same with a known seed. Tables of one run share it with what else is told by mixed keys.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same that keeps of payload only what is of use. Tables that are joined share it.
    #[must_use]
    pub fn tasting(self, taste: Taste) -> Self {
        Self { store: Store::tasting(taste), ..self }
    }

    fn with(limits: Limits, fragments: Fragments) -> Self {
        Self {
            // Positions are 32 bits wide.
            limits: Limits { max_flows: limits.max_flows.min(u32::MAX as usize) },
            seed: mix::seed(),
            index: Index::new(),
            entries: Entries::default(),
            store: Store::default(),
            pending: BTreeMap::new(),
            fragments,
            left: 0,
            untracked: Counters::default(),
            exceeded: false,
        }
    }

    /// Flows held.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no flow is held.
    pub fn is_empty(&self) -> bool {
        self.entries.len() == 0
    }

    /// What could not be attributed to a flow because the table was full.
    pub fn untracked(&self) -> Counters {
        self.untracked
    }

    /// Whether a bound was reached, so that this table cannot be joined to another.
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// What the keys of this table are mixed with; see [`Observation::of`].
    #[inline]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Has the memory at hand that counting these packets will need. Changes nothing: memory answers
    /// late, but many questions at a time, so a batch of packets waits little longer than one.
    #[inline]
    pub fn fetch<'p>(&self, packets: impl Iterator<Item = &'p Observation<'p>>) {
        self.fetch_mixed(packets.map(|packet| packet.mixed));
    }

    #[inline]
    fn fetch_mixed(&self, mixed: impl Iterator<Item = u64>) {
        let mut hints = [None; BATCH];
        for (hint, mixed) in hints.iter_mut().zip(mixed) {
            *hint = self.index.hint(mixed);
        }
        let mut sum = 0;
        for entry in hints.iter().flatten().filter_map(|at| self.entries.get(*at)) {
            sum ^= entry.touch();
        }
        // Nobody needs the sum; it keeps the compiler from leaving the reads out.
        black_box(sum);
    }

    /// Counts a packet of the run's capture number `capture`.
    pub fn observe(&mut self, capture: u32, packet: &Packet<'_>) {
        self.observe_whole(capture, packet);
    }

    fn observe_whole(&mut self, capture: u32, packet: &Packet<'_>) -> Option<Owner> {
        let observation = Observation::of(packet, self.seed);
        let owner = self.observed(capture, &observation, Around::of(packet).as_ref());
        if let Detail::IcmpError(quoted) = packet.detail {
            self.note_error(&quoted, FrameRef { capture, frame: packet.frame });
        }
        owner
    }

    /// The same for a packet that tells of no error, with what is around it.
    #[inline]
    pub fn observe_prepared(
        &mut self,
        capture: u32,
        packet: &Observation<'_>,
        around: Option<&Around>,
    ) {
        self.observed(capture, packet, around);
    }

    /// Counts a packet that is the first fragment of these datagrams.
    pub fn observe_first(&mut self, capture: u32, packet: &Packet<'_>, parts: &Parts) {
        let owner = self.observe_whole(capture, packet);
        let at = FrameRef { capture, frame: packet.frame };
        for part in parts.as_slice() {
            self.take_piece(Piece {
                part: *part,
                at,
                time: packet.time,
                wire_len: packet.wire_len,
                kind: Kind::First(owner),
            });
        }
    }

    /// Counts a frame that is a later fragment; the innermost of `parts` tells of which datagram.
    pub fn observe_later(&mut self, capture: u32, frame: &Frame<'_>, parts: &Parts) {
        if let Some(part) = parts.as_slice().last() {
            self.take_piece(Piece {
                part: *part,
                at: FrameRef { capture, frame: frame.number },
                time: frame.time,
                wire_len: frame.original_len,
                kind: Kind::Later,
            });
        }
    }

    fn take_piece(&mut self, piece: Piece) {
        let (entries, store) = (&mut self.entries, &mut self.store);
        let kept = self.fragments.take(piece, &mut |owner, late| {
            if let Some(entry) = entries.get_mut(owner.entry) {
                entry.add_late(owner.side, late, store);
            }
        });
        self.exceeded |= !kept;
    }

    /// Ends all fragmented datagrams: what became of them, and how many frames of each capture belong
    /// to no flow.
    pub fn finish_fragments(&mut self) -> (FragmentCounts, BTreeMap<u32, u64>) {
        self.fragments.finish()
    }

    /// Counts a packet; tells to which flow.
    #[inline]
    fn observed(
        &mut self,
        capture: u32,
        packet: &Observation<'_>,
        around: Option<&Around>,
    ) -> Option<Owner> {
        let opening = Opening::of(packet);
        let found = self.find(packet.mixed, &packet.key);
        let store = &mut self.store;
        let mut before = None;
        let owner = match found.and_then(|at| Some((at, self.entries.get_mut(at)?))) {
            Some((position, entry)) if entry.takes(opening) => {
                before = Some(entry.latest());
                Owner { entry: position, side: entry.add(packet, store) }
            }
            _ => self.open(capture, packet, opening)?,
        };
        if let Some(around) = around
            && let Some(entry) = self.entries.get_mut(owner.entry)
        {
            let at = FrameRef { capture, frame: packet.frame };
            let seen = Seen { side: owner.side, at, time: packet.time, before };
            entry.note_around(around, &seen, &mut self.store);
        }
        Some(owner)
    }

    /// Opens a flow, if there is room for it.
    #[inline(never)]
    fn open(
        &mut self,
        capture: u32,
        packet: &Observation<'_>,
        opening: Option<Opening>,
    ) -> Option<Owner> {
        if self.entries.len() >= self.limits.max_flows {
            self.untracked.add(Counters { packets: 1, bytes: packet.wire_len.into() });
            self.exceeded = true;
            return None;
        }
        let mut entry = Entry::open(packet, opening, capture, &mut self.store);
        let side = entry.add(packet, &mut self.store);
        Some(Owner { entry: self.insert(packet.mixed, entry), side })
    }

    /// Flows as they stand, in first-seen order.
    pub fn flows(&self) -> impl Iterator<Item = Flow> {
        self.entries.iter().map(|entry| entry.flow(&self.store))
    }

    /// The flows that show IPsec: security associations, ESP in UDP, and what could be read inside.
    pub fn secured(&self) -> impl Iterator<Item = Flow> {
        let secured = self.entries.iter().filter(|entry| entry.shows_ipsec(&self.store));
        secured.map(|entry| entry.flow(&self.store))
    }

    /// The hosts of TCP connections that plainly work and yet show one direction only.
    pub fn one_sided_connections(&self) -> impl Iterator<Item = [IpAddr; 2]> {
        self.entries.iter().filter_map(Entry::one_sided)
    }

    /// The hosts of TCP connections that show both directions.
    pub fn two_sided_connections(&self) -> impl Iterator<Item = [IpAddr; 2]> {
        self.entries.iter().filter_map(Entry::two_sided)
    }

    /// Flows whose first packet is of these times, as they stand, with their samples.
    pub fn begun(&self, times: Range<Timestamp>) -> impl Iterator<Item = (Flow, Sample)> {
        (self.entries.iter().filter(move |entry| times.contains(&entry.times(&self.store).0)))
            .map(|entry| (entry.flow(&self.store), entry.sample(&self.store)))
    }

    /// Takes out the flows whose latest packet is older than `before`, in first-seen order.
    pub fn take_idle(&mut self, before: Timestamp) -> Vec<(Flow, Sample)> {
        self.settle_errors();
        if self.pending.len() > MAX_PENDING_ERRORS / 2 {
            // What these quote was never captured, and there must be room for later ones.
            self.pending.clear();
        }
        let leaving =
            (self.entries.iter().filter(|entry| entry.times(&self.store).1 < before)).count();
        if leaving == 0 {
            return Vec::new();
        }
        // What the store keeps of flows that left is given back when it is as much as what it keeps of
        // the others: moving all of them is work, and frames are waiting.
        self.left += leaving;
        let renew = self.left >= self.entries.len() - leaving;
        let new = self.store.anew();
        let old = if renew { std::mem::replace(&mut self.store, new) } else { new };
        if renew {
            self.left = 0;
        }
        self.index.clear();
        let mut idle = Vec::with_capacity(leaving);
        let mut places = vec![None; self.entries.end()];
        for (at, entry) in std::mem::take(&mut self.entries).into_iter() {
            let kept_in = if renew { &old } else { &self.store };
            if entry.times(kept_in).1 < before {
                idle.push((entry.flow(kept_in), entry.sample(kept_in)));
            } else {
                let mixed = entry.key().mixed(self.seed);
                let entry = if renew { entry.moved(&old, &mut self.store) } else { entry };
                let place = self.insert(mixed, entry);
                if let Some(slot) = places.get_mut(at as usize) {
                    *slot = Some(place);
                }
            }
        }
        self.fragments.follow(|old| places.get(old as usize).copied().flatten());
        if self.entries.len() < self.limits.max_flows {
            self.exceeded = false;
        }
        idle
    }

    /// The newest flow of a key, as it stands, with its sample. Nothing is found any more once the table is
    /// [finished](Self::finish).
    pub fn heard_between(&self, key: &FlowKey) -> Option<(Flow, Sample)> {
        let entry = self.entries.get(self.find(key.mixed(self.seed), key)?)?;
        Some((entry.flow(&self.store), entry.sample(&self.store)))
    }

    /// Ends the observing: what came before its flow finds it, and what finds flows, which is large, is
    /// not needed any more.
    pub fn finish(&mut self) {
        self.settle_errors();
        self.index = Index::new();
    }

    /// A number above every position that [`Self::each_heard`] knows.
    pub fn positions(&self) -> usize {
        self.entries.end()
    }

    /// Hands on the flows of some positions in first-seen order, each with what was heard of it. There
    /// need not be a flow at each position.
    pub fn each_heard(&self, positions: Range<usize>, mut take: impl FnMut(Flow, Heard<'_>)) {
        for first in positions.clone().step_by(AT_ONCE) {
            let at_once = first as u32..(first + AT_ONCE).min(positions.end) as u32;
            let entries = || {
                let here = at_once.clone().filter_map(|at| self.entries.get(at));
                here.filter(|entry| !entry.is_gone())
            };
            let mut tracks = [Track::default(); AT_ONCE];
            let mut len = 0;
            for (track, entry) in tracks.iter_mut().zip(entries()) {
                *track = entry.track();
                len += 1;
            }
            let mut entries = entries();
            self.store.samples.heard(tracks.get(..len).unwrap_or_default(), |heard| {
                if let Some(entry) = entries.next() {
                    take(entry.flow(&self.store), heard);
                }
            });
        }
    }

    /// Ends the table: flows in first-seen order, made as they are asked for.
    pub fn into_flows(mut self) -> impl Iterator<Item = (Flow, Sample)> {
        self.finish();
        let store = self.store;
        self.entries.into_iter().map(move |(_, entry)| (entry.flow(&store), entry.sample(&store)))
    }

    #[inline]
    fn find(&self, mixed: u64, key: &FlowKey) -> Option<u32> {
        self.index.find(mixed, |at| self.entries.get(at).is_some_and(|entry| entry.key() == key))
    }

    fn insert(&mut self, mixed: u64, entry: Entry) -> u32 {
        let position = self.entries.push(entry);
        self.enter(mixed, position);
        position
    }

    /// Makes a flow be found by its key. A key that is there already now leads to its newest flow.
    fn enter(&mut self, mixed: u64, position: u32) {
        let entries = &self.entries;
        let Some(key) = entries.get(position).map(Entry::key) else { return };
        let is_it = |at| entries.get(at).is_some_and(|entry| entry.key() == key);
        self.index.put(mixed, position, is_it);
    }

    fn note_error(&mut self, quoted: &Quoted, at: FrameRef) {
        let (from, to) = (quoted.source, quoted.destination);
        let key = if let Some(spi) = quoted.spi {
            FlowKey::of_association(quoted.transport, from, to, spi)
        } else {
            let ends = ((from, quoted.source_port), (to, quoted.destination_port));
            FlowKey::of_ends(quoted.transport, ends.0, ends.1).0
        };
        let seen = IcmpSeen { first_frame: at, kind: quoted.kind, count: 1 };
        self.attach_error(key, seen);
    }

    fn attach_error(&mut self, key: FlowKey, seen: IcmpSeen) {
        let found = self.find(key.mixed(self.seed), &key);
        if let Some(entry) = found.and_then(|at| self.entries.get_mut(at)) {
            entry.add_error(seen, &mut self.store);
        } else if let Some(old) = self.pending.get_mut(&key) {
            *old = graver(*old, seen);
        } else if self.pending.len() < MAX_PENDING_ERRORS {
            self.pending.insert(key, seen);
        } else {
            self.exceeded = true;
        }
    }

    /// Gives errors that were captured before the packets they quote to the key's first flow.
    fn settle_errors(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        for entry in self.entries.iter_mut() {
            if let Some(seen) = self.pending.remove(entry.key()) {
                entry.add_error(seen, &mut self.store);
            }
        }
    }
}

/// Packets that [`FlowTable::fetch`] is asked about at a time.
pub const BATCH: usize = 32;
