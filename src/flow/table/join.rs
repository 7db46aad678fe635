//! Joins the tables of adjacent parts; see [`super`] for why that is exact.
//!
//! The flows of the part that follows stay where they lie in memory. Only those that continue a flow of
//! the parts before are added to it and taken out.

use super::{BATCH, FlowTable, MAX_PENDING_ERRORS, Refused};
use crate::flow::FrameRef;
use crate::flow::fragments::{Kind, Owner};

impl FlowTable {
    /// Appends the table of the part that follows, or refuses when a bound stands in the way of an
    /// exact result; nothing is changed then, and the part must be read again.
    pub fn merge(&mut self, next: Self) -> Result<(), Refused> {
        let too_many = self.entries.len() + next.entries.len() > self.limits.max_flows
            || self.pending.len() + next.pending.len() > MAX_PENDING_ERRORS
            || !self.store.can_adopt(&next.store)
            || !self.fragments.can_take(&next.fragments);
        if self.exceeded || next.exceeded || too_many {
            return Err(Refused);
        }
        for (key, seen) in next.pending {
            self.attach_error(key, seen);
        }
        let journal = next.fragments.into_journal();
        let shift = self.store.adopt(next.store);
        let positions = next.entries.end() as u32;
        let base = self.entries.adopt(next.entries);
        // Where the flows of that part are now, by where they were.
        let mut places = Vec::new();
        for first in (0..positions).step_by(BATCH) {
            // As with packets: what is looked up is fetched for many at a time.
            let mut batch = [(0, 0); BATCH];
            let mut len = 0;
            for at in first..(first + BATCH as u32).min(positions) {
                if let Some(entry) = self.entries.get_mut(base + at).filter(|e| !e.is_gone()) {
                    entry.shift(shift);
                    batch[len] = (at, entry.key().mixed(self.seed));
                    len += 1;
                }
            }
            let batch = batch.get(..len).unwrap_or_default();
            self.fetch_mixed(batch.iter().map(|(_, mixed)| *mixed));
            for (at, mixed) in batch {
                let place = self.join(*mixed, base + at);
                if !journal.is_empty() {
                    places.resize(*at as usize, None);
                    places.push(place);
                }
            }
        }
        for mut piece in journal {
            if let Kind::First(owner) = &mut piece.kind {
                *owner = owner.and_then(|owner| {
                    let (entry, flipped) = (*places.get(owner.entry as usize)?)?;
                    let side = if flipped { owner.side.other() } else { owner.side };
                    Some(Owner { entry, side })
                });
            }
            self.take_piece(piece);
        }
        Ok(())
    }

    /// Joins a flow of the part that follows, which is here already, to the one that it continues. Tells
    /// where it is now, and whether its sides are the other way round.
    fn join(&mut self, mixed: u64, at: u32) -> Option<(u32, bool)> {
        let next = self.entries.get(at)?;
        let found = self.find(mixed, next.key());
        if let Some(position) = found
            && self.entries.get(position)?.takes(next.opening())
        {
            let next = next.clone();
            let flipped = self.entries.get_mut(position)?.join(&next, &mut self.store);
            self.entries.remove(at);
            return Some((position, flipped));
        }
        self.enter(mixed, at);
        Some((at, false))
    }

    /// Adds `offset` to every frame number of a capture: a part read from the middle of a file
    /// counts from 1 until the parts before it are known.
    pub fn rebase(&mut self, capture: u32, offset: u64) {
        let shift = |at: &mut FrameRef| {
            if at.capture == capture {
                at.frame += offset;
            }
        };
        for entry in self.entries.iter_mut() {
            entry.rebase(shift);
        }
        self.store.rebase(shift);
        for seen in self.pending.values_mut() {
            shift(&mut seen.first_frame);
        }
        self.fragments.rebase(shift);
    }
}
