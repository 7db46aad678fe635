//! Many flows in one row, kept in blocks so that the row grows without being moved.

use super::entry::Entry;

/// Flows in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct Entries {
    blocks: Vec<Vec<Entry>>,
    len: usize,
}

impl Entries {
    /// How many.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The flow at a position.
    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&Entry> {
        self.blocks.get(at as usize / BLOCK)?.get(at as usize % BLOCK)
    }

    /// The flow at a position, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Entry> {
        self.blocks.get_mut(at as usize / BLOCK)?.get_mut(at as usize % BLOCK)
    }

    /// Adds a flow.
    pub(super) fn push(&mut self, entry: Entry) {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            // The first block of a small table stays small.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push(Vec::with_capacity(room));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(entry);
            self.len += 1;
        }
    }

    /// All flows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flatten()
    }

    /// All flows, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.blocks.iter_mut().flatten()
    }

    /// All flows; each block is freed when its flows are taken.
    pub(super) fn into_iter(self) -> impl Iterator<Item = Entry> {
        self.blocks.into_iter().flatten()
    }
}

/// Flows of a block: half a megabyte.
const BLOCK: usize = 4096;
