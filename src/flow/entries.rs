//! Many flows in one row, kept in blocks so that the row grows without being moved.

use super::entry::Entry;

/// Flows in the order in which they were first seen. Their positions rise in that order, with gaps: where
/// a row was appended to another, and where a flow was joined to one before.
#[derive(Debug, Default)]
pub(super) struct Entries {
    blocks: Vec<Block>,
    len: usize,
}

#[derive(Debug, Default)]
struct Block {
    entries: Vec<Entry>,
    /// Flows of it that were joined to others.
    gone: usize,
}

impl Entries {
    /// How many.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A number above every position.
    pub(super) fn end(&self) -> usize {
        self.blocks.len() * BLOCK
    }

    /// The flow at a position.
    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&Entry> {
        self.blocks.get(at as usize / BLOCK)?.entries.get(at as usize % BLOCK)
    }

    /// The flow at a position, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Entry> {
        self.blocks.get_mut(at as usize / BLOCK)?.entries.get_mut(at as usize % BLOCK)
    }

    /// Adds a flow; tells its position.
    pub(super) fn push(&mut self, entry: Entry) -> u32 {
        if self.blocks.last().is_none_or(|block| block.entries.len() == BLOCK) {
            // The first block of a small table stays small.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push(Block { entries: Vec::with_capacity(room), gone: 0 });
        }
        let before = self.blocks.len().saturating_sub(1) * BLOCK;
        let Some(block) = self.blocks.last_mut() else { return 0 };
        block.entries.push(entry);
        self.len += 1;
        (before + block.entries.len() - 1) as u32
    }

    /// Appends another row as it lies in memory; tells by how much its positions are larger now.
    pub(super) fn adopt(&mut self, mut others: Self) -> u32 {
        let base = self.end();
        self.blocks.append(&mut others.blocks);
        self.len += others.len;
        base as u32
    }

    /// Takes out a flow that was joined to another. The memory of a block is given back when none of its
    /// flows is left.
    pub(super) fn remove(&mut self, at: u32) {
        let Some(block) = self.blocks.get_mut(at as usize / BLOCK) else { return };
        let Some(entry) = block.entries.get_mut(at as usize % BLOCK) else { return };
        entry.leave();
        block.gone += 1;
        self.len -= 1;
        if block.gone == block.entries.len() && block.gone == BLOCK {
            *block = Block { entries: Vec::new(), gone: 0 };
        }
    }

    /// All flows.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.blocks.iter().flat_map(|block| &block.entries).filter(|entry| !entry.is_gone())
    }

    /// All flows, to be changed.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        let entries = self.blocks.iter_mut().flat_map(|block| &mut block.entries);
        entries.filter(|entry| !entry.is_gone())
    }

    /// All flows with their positions; each block is freed when its flows are taken.
    pub(super) fn into_iter(self) -> impl Iterator<Item = (u32, Entry)> {
        let blocks = self.blocks.into_iter().enumerate();
        let all = blocks.flat_map(|(nth, block)| {
            let position = move |at| (nth * BLOCK + at) as u32;
            block.entries.into_iter().enumerate().map(move |(at, entry)| (position(at), entry))
        });
        all.filter(|(_, entry)| !entry.is_gone())
    }
}

/// Flows of a block: half a megabyte.
const BLOCK: usize = 4096;
