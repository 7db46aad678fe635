//! A judged flow that is kept, for what can only be said later.

use super::Judged;
use crate::flow::{Flow, Outcome};
use crate::identify::Identification;
use crate::policy::Verdict;

/// A judged flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    flow: Flow,
    identification: Identification,
    verdict: Verdict,
    outcome: Outcome,
}

impl Kept {
    /// Copies a judged flow.
    pub(super) fn of(judged: &Judged<'_>) -> Self {
        Self {
            flow: judged.flow.clone(),
            identification: judged.identification.clone(),
            verdict: judged.verdict.clone(),
            outcome: judged.outcome,
        }
    }

    /// The view that rules take.
    pub(super) fn judged(&self) -> Judged<'_> {
        Judged {
            flow: &self.flow,
            identification: &self.identification,
            verdict: &self.verdict,
            outcome: self.outcome,
        }
    }
}
