//! The room for flows that workers share, so that together they keep the bound of one table.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::flow::Limits;

/// The room for flows that shares have in common. Without it, every share could fill a table of
/// its own before joining them finds that there are too many.
pub(super) struct Room<'a> {
    /// Flows held by all shares.
    held: Option<&'a AtomicUsize>,
    most: usize,
    /// Flows held by this one.
    mine: usize,
    /// Whether this share may be left for a second reading. The first one never needs it.
    may_give_up: bool,
    pub(super) given_up: bool,
}

impl<'a> Room<'a> {
    /// The room of one share. Flows that go on from share to share are held by each of them, hence
    /// twice the bound of one table.
    pub(super) fn new(held: &'a AtomicUsize, limits: Limits, may_give_up: bool) -> Self {
        let most = limits.max_flows.saturating_mul(2);
        Self { held: Some(held), most, mine: 0, may_give_up, given_up: false }
    }

    /// Room without other shares.
    pub(super) fn alone() -> Room<'static> {
        Room { held: None, most: usize::MAX, mine: 0, may_give_up: false, given_up: false }
    }

    /// Says how many flows the share now holds.
    pub(super) fn take(&mut self, flows: usize) {
        let Some(held) = self.held else {
            return;
        };
        let more = flows.saturating_sub(self.mine);
        let all = held.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        self.mine = flows;
        if self.may_give_up && all > self.most {
            held.fetch_sub(flows, Ordering::Relaxed);
            self.given_up = true;
        }
    }
}
