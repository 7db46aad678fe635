//! Hosts between which one direction was captured only, so that silence between them means nothing.
//!
//! A mirror port may show one side of a path. Connections that plainly work and yet show one direction
//! are the proof; a pair with as many that show both is seen well enough.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Pairs of hosts with connections of one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    /// Connections that show one direction, and both; the lower address first.
    seen: BTreeMap<[IpAddr; 2], (u64, u64)>,
}

impl Pairs {
    /// Counts a connection that works and shows one direction.
    pub fn one_sided(&mut self, mut ends: [IpAddr; 2]) {
        ends.sort_unstable();
        if self.seen.len() < MAX_PAIRS || self.seen.contains_key(&ends) {
            self.seen.entry(ends).or_default().0 += 1;
        }
    }

    /// Counts a connection that shows both directions. It matters only where another does not.
    pub fn both_ways(&mut self, mut ends: [IpAddr; 2]) {
        ends.sort_unstable();
        if let Some((_, both_ways)) = self.seen.get_mut(&ends) {
            *both_ways += 1;
        }
    }

    /// Leaves the pairs of which most connections show one direction.
    pub fn settle(&mut self) {
        self.seen.retain(|_, (one_sided, both_ways)| one_sided > both_ways);
    }

    /// Whether silence between two hosts means nothing.
    pub fn silent(&self, mut ends: [IpAddr; 2]) -> bool {
        ends.sort_unstable();
        self.seen.get(&ends).is_some_and(|(one_sided, both_ways)| one_sided > both_ways)
    }

    /// The first pair.
    pub fn first(&self) -> Option<(IpAddr, IpAddr)> {
        self.seen.first_key_value().map(|([a, b], _)| (*a, *b))
    }

    /// How many pairs.
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

/// Pairs kept, some 6 MB. With as many the capture as a whole is one-sided, which is told anyway.
const MAX_PAIRS: usize = 65_536;
