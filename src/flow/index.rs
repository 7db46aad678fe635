//! Finds the position of a flow by the mixed number of its key.
//!
//! Open addressing in one array of words: the upper half of a word is the upper half of the mixed
//! number, the lower half the position. Where a word belongs follows from its upper half alone, so that
//! growing needs no look at the flows. One look-up is one line of the cache, nearly always.

/// Positions by mixed number.
#[derive(Debug, Clone)]
pub(super) struct Index {
    /// Mark and position plus one; 0 where nothing is.
    slots: Vec<u64>,
    used: usize,
}

impl Index {
    /// An empty index.
    pub(super) fn new() -> Self {
        Self { slots: vec![0; FIRST], used: 0 }
    }

    /// The position for which `is_it` holds among those of a mixed number.
    #[inline]
    pub(super) fn find(&self, mixed: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.slot(mixed, is_it).ok().map(|at| self.position(at))
    }

    /// The first position that may be the one, without looking at the flow. It costs what a look-up
    /// costs in waiting for memory, and a row of them overlaps.
    #[inline]
    pub(super) fn hint(&self, mixed: u64) -> Option<u32> {
        self.find(mixed, |_| true)
    }

    /// Puts a position under a mixed number, in place of the one for which `is_it` holds.
    pub(super) fn put(&mut self, mixed: u64, position: u32, is_it: impl Fn(u32) -> bool) {
        if self.used * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        let word = u64::from(mark(mixed)) << 32 | (u64::from(position) + 1);
        match self.slot(mixed, is_it) {
            Ok(at) => self.slots[at] = word,
            Err(at) => {
                self.slots[at] = word;
                self.used += 1;
            }
        }
    }

    /// Forgets all positions.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.used = 0;
    }

    /// Where the position is, or where it would be put.
    #[inline]
    fn slot(&self, mixed: u64, is_it: impl Fn(u32) -> bool) -> Result<usize, usize> {
        let mark = mark(mixed);
        let mut at = home(mark, self.slots.len());
        // A quarter of the slots is free, so the walk ends.
        loop {
            let word = self.slots[at];
            if word == 0 {
                return Err(at);
            }
            if (word >> 32) as u32 == mark && is_it(word as u32 - 1) {
                return Ok(at);
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }

    fn position(&self, at: usize) -> u32 {
        self.slots[at] as u32 - 1
    }

    #[cold]
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        let len = old.len() * 2;
        self.slots = vec![0; len];
        for word in old.into_iter().filter(|word| *word != 0) {
            let mut at = home((word >> 32) as u32, len);
            while self.slots[at] != 0 {
                at = if at + 1 == len { 0 } else { at + 1 };
            }
            self.slots[at] = word;
        }
    }
}

/// What a slot keeps of a mixed number.
#[inline]
fn mark(mixed: u64) -> u32 {
    (mixed >> 32) as u32
}

/// Where the search begins.
#[inline]
fn home(mark: u32, slots: usize) -> usize {
    ((u64::from(mark) * slots as u64) >> 32) as usize
}

/// Slots of an empty index.
const FIRST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_is_found_also_after_growing() {
        let mut index = Index::new();
        let mixed = |n: u32| u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for n in 0..50_000 {
            index.put(mixed(n), n, |other| other == n);
        }
        for n in 0..50_000 {
            assert_eq!(index.find(mixed(n), |other| other == n), Some(n));
        }
        assert_eq!(index.find(mixed(50_000), |other| other == 50_000), None);
        assert!(index.slots.len() < 50_000 * 3);
    }

    #[test]
    fn positions_of_one_number_are_told_apart_and_replaced() {
        let mut index = Index::new();
        let names = ["a", "b", "a"];
        for (n, name) in names.iter().enumerate() {
            index.put(u64::MAX, n as u32, |other| names[other as usize] == *name);
        }
        let find = |name| index.find(u64::MAX, |other| names[other as usize] == name);
        assert_eq!((find("a"), find("b"), find("c")), (Some(2), Some(1), None));
        assert_eq!(index.used, 2);
        assert!(index.hint(u64::MAX).is_some() && index.hint(0).is_none());
    }
}
