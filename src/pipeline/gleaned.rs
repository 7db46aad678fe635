//! What packets tell beyond their own flow: announcements and negotiations. It travels with the part of a capture that
//! it was read from, and is joined as exactly as the flow table is.

use crate::findings::Negotiations;
use crate::policy::Learned;

/// What was gleaned so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Gleaned {
    /// What content announced of endpoints.
    pub(super) learned: Learned,
    /// What hosts negotiated.
    pub(super) negotiations: Negotiations,
}

impl Gleaned {
    /// Whether another part can be joined exactly.
    pub(super) fn can_take(&self, next: &Self) -> bool {
        self.learned.can_take(&next.learned) && self.negotiations.can_take(&next.negotiations)
    }

    /// Adds what the part that follows holds, and says so; or changes nothing: then that part must be read again.
    #[must_use]
    pub(super) fn merge(&mut self, next: Self) -> bool {
        self.can_take(&next)
            && self.learned.merge(next.learned).is_ok()
            && self.negotiations.merge(next.negotiations).is_ok()
    }

    /// Adds `offset` to the frame numbers of a capture.
    pub(super) fn rebase(&mut self, capture: u32, offset: u64) {
        self.learned.rebase(capture, offset);
        self.negotiations.rebase(capture, offset);
    }
}
