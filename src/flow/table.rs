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

use std::collections::BTreeMap;
use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::entry::{Entry, Opening, add_error, counters, graver};
use super::fragments::{FragmentCounts, Fragments, Kind, Owner, Piece};
use super::sample::Sample;
use super::{Counters, Flow, FlowKey, FrameRef, IcmpSeen};
use crate::decode::{Detail, Packet, Parts, Quoted};
use crate::input::{Frame, Timestamp};

/// Bounds of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Flows kept; packets of further flows are counted as untracked.
    pub max_flows: usize,
}

impl Default for Limits {
    /// Four million flows, about 2 GB with full samples.
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
    hasher: RandomState,
    /// The latest entry of each key.
    index: HashTable<u32>,
    entries: Vec<Entry>,
    /// ICMP errors about keys that have no flow here; ordered, so that nothing depends on hashes.
    pending: BTreeMap<FlowKey, IcmpSeen>,
    fragments: Fragments,
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

    fn with(limits: Limits, fragments: Fragments) -> Self {
        Self {
            // Positions are 32 bits wide.
            limits: Limits { max_flows: limits.max_flows.min(u32::MAX as usize) },
            hasher: RandomState::default(),
            index: HashTable::new(),
            entries: Vec::new(),
            pending: BTreeMap::new(),
            fragments,
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
        self.entries.is_empty()
    }

    /// What could not be attributed to a flow because the table was full.
    pub fn untracked(&self) -> Counters {
        self.untracked
    }

    /// Whether a bound was reached, so that this table cannot be joined to another.
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// Counts a packet of the run's capture number `capture`.
    pub fn observe(&mut self, capture: u32, packet: &Packet<'_>) {
        self.observed(capture, packet);
    }

    /// Counts a packet that is the first fragment of these datagrams.
    pub fn observe_first(&mut self, capture: u32, packet: &Packet<'_>, parts: &Parts) {
        let owner = self.observed(capture, packet);
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
        let entries = &mut self.entries;
        let kept = self.fragments.take(piece, &mut |owner, late| {
            if let Some(entry) = entries.get_mut(owner.entry as usize) {
                entry.add_late(owner.side, late);
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
    fn observed(&mut self, capture: u32, packet: &Packet<'_>) -> Option<Owner> {
        let (key, from_low) = FlowKey::of(packet);
        let at = FrameRef { capture, frame: packet.frame };
        let opening = Opening::of(packet, from_low);
        let hash = self.hasher.hash_one(key);
        let found = find(&self.index, &self.entries, hash, &key);
        let full = self.entries.len() >= self.limits.max_flows;
        let owner = match found.and_then(|i| Some((i, self.entries.get_mut(i)?))) {
            Some((position, entry)) if opening.is_none() || entry.opening == opening => {
                let side = entry.add(packet, from_low, at);
                Some(Owner { entry: position as u32, side })
            }
            _ if full => {
                self.untracked.add(counters(packet));
                self.exceeded = true;
                None
            }
            _ => {
                let mut entry = Entry::open(from_low, opening, packet, at);
                let side = entry.add(packet, from_low, at);
                Some(Owner { entry: self.insert(hash, entry), side })
            }
        };
        if let Detail::IcmpError(quoted) = packet.detail {
            self.note_error(&quoted, at);
        }
        owner
    }

    /// Appends the table of the part that follows, or refuses when a bound stands in the way of an
    /// exact result; nothing is changed then, and the part must be read again.
    pub fn merge(&mut self, next: Self) -> Result<(), Refused> {
        let too_many = self.entries.len() + next.entries.len() > self.limits.max_flows
            || self.pending.len() + next.pending.len() > MAX_PENDING_ERRORS
            || !self.fragments.can_take(&next.fragments);
        if self.exceeded || next.exceeded || too_many {
            return Err(Refused);
        }
        for (key, seen) in next.pending {
            self.attach_error(key, seen);
        }
        let journal = next.fragments.into_journal();
        let mut places = Vec::new();
        for entry in next.entries {
            let place = self.join(entry);
            if !journal.is_empty() {
                places.push(place);
            }
        }
        for mut piece in journal {
            if let Kind::First(owner) = &mut piece.kind {
                *owner = owner.and_then(|owner| {
                    let (entry, flipped) = *places.get(owner.entry as usize)?;
                    let side = if flipped { owner.side.other() } else { owner.side };
                    Some(Owner { entry, side })
                });
            }
            self.take_piece(piece);
        }
        Ok(())
    }

    /// Joins a flow of the part that follows to this table. Tells where it is now, and whether its
    /// sides are the other way round.
    fn join(&mut self, entry: Entry) -> (u32, bool) {
        let hash = self.hasher.hash_one(entry.key());
        let found = find(&self.index, &self.entries, hash, &entry.key());
        match found.and_then(|i| Some((i, self.entries.get_mut(i)?))) {
            Some((position, ours)) if entry.opening.is_none() || ours.opening == entry.opening => {
                (position as u32, ours.join(entry))
            }
            _ => (self.insert(hash, entry), false),
        }
    }

    /// Adds `offset` to every frame number of a capture: a part read from the middle of a file
    /// counts from 1 until the parts before it are known.
    pub fn rebase(&mut self, capture: u32, offset: u64) {
        let shift = |at: &mut FrameRef| {
            if at.capture == capture {
                at.frame += offset;
            }
        };
        for entry in &mut self.entries {
            shift(&mut entry.flow.first_frame);
            shift(&mut entry.flow.last_frame);
            if let Some(ah) = &mut entry.flow.ah {
                shift(&mut ah.first_frame);
            }
            if let Some(icmp) = &mut entry.flow.icmp {
                shift(&mut icmp.first_frame);
            }
        }
        for seen in self.pending.values_mut() {
            shift(&mut seen.first_frame);
        }
        self.fragments.rebase(shift);
    }

    /// Flows as they stand, in first-seen order.
    pub fn flows(&self) -> impl Iterator<Item = (&Flow, &Sample)> {
        self.entries.iter().map(|entry| (&entry.flow, &entry.sample))
    }

    /// Takes out the flows whose latest packet is older than `before`, in first-seen order.
    pub fn take_idle(&mut self, before: Timestamp) -> Vec<(Flow, Sample)> {
        self.settle_errors();
        if self.pending.len() > MAX_PENDING_ERRORS / 2 {
            // What these quote was never captured, and there must be room for later ones.
            self.pending.clear();
        }
        self.index.clear();
        let mut idle = Vec::new();
        let mut places = Vec::with_capacity(self.entries.len());
        for entry in std::mem::take(&mut self.entries) {
            if entry.flow.last < before {
                places.push(None);
                idle.push(entry);
            } else {
                let hash = self.hasher.hash_one(entry.key());
                places.push(Some(self.insert(hash, entry)));
            }
        }
        self.fragments.follow(|old| places.get(old as usize).copied().flatten());
        if self.entries.len() < self.limits.max_flows {
            self.exceeded = false;
        }
        idle.into_iter().map(|entry| (entry.flow, entry.sample)).collect()
    }

    /// Ends the table: flows in first-seen order.
    pub fn into_flows(mut self) -> Vec<(Flow, Sample)> {
        self.settle_errors();
        self.entries.into_iter().map(|entry| (entry.flow, entry.sample)).collect()
    }

    fn insert(&mut self, hash: u64, entry: Entry) -> u32 {
        let position = self.entries.len() as u32;
        let key = entry.key();
        self.entries.push(entry);
        let (entries, hasher) = (&self.entries, &self.hasher);
        let key_of = |i: u32| entries.get(i as usize).map(Entry::key);
        let slot = self.index.entry(
            hash,
            |&i| key_of(i) == Some(key),
            |&i| key_of(i).map_or(0, |k| hasher.hash_one(k)),
        );
        // A key that is there already now leads to its newest flow.
        *slot.or_insert(position).get_mut() = position;
        position
    }

    fn note_error(&mut self, quoted: &Quoted, at: FrameRef) {
        let (key, _) = FlowKey::of_ends(
            quoted.transport,
            (quoted.source, quoted.source_port),
            (quoted.destination, quoted.destination_port),
        );
        let seen = IcmpSeen { first_frame: at, kind: quoted.kind, count: 1 };
        self.attach_error(key, seen);
    }

    fn attach_error(&mut self, key: FlowKey, seen: IcmpSeen) {
        let hash = self.hasher.hash_one(key);
        let found = find(&self.index, &self.entries, hash, &key);
        if let Some(entry) = found.and_then(|i| self.entries.get_mut(i)) {
            add_error(&mut entry.flow, seen);
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
        for entry in &mut self.entries {
            if let Some(seen) = self.pending.remove(&entry.key()) {
                add_error(&mut entry.flow, seen);
            }
        }
    }
}

fn find(index: &HashTable<u32>, entries: &[Entry], hash: u64, key: &FlowKey) -> Option<usize> {
    index
        .find(hash, |&i| entries.get(i as usize).is_some_and(|entry| entry.key() == *key))
        .map(|&i| i as usize)
}
