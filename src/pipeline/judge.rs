//! From observed flows to judged ones: identify, orient, judge, in that order for each flow.

use rayon::prelude::*;

use crate::findings::Judged;
use crate::flow::sample::{Heard, Sample};
use crate::flow::{Flow, FlowTable, Outcome, Side};
use crate::identify::{self, Identification};
use crate::policy::{Learned, Policy, Verdict};

/// A flow with everything known about it.
#[derive(Debug, Clone)]
pub struct JudgedFlow {
    /// Who, when and how much; side A initiates.
    pub flow: Flow,
    /// What it speaks.
    pub identification: Identification,
    /// What the policy says.
    pub verdict: Verdict,
    /// How far it got.
    pub outcome: Outcome,
}

impl JudgedFlow {
    /// The view that rules take.
    pub fn as_judged(&self) -> Judged<'_> {
        Judged {
            flow: &self.flow,
            identification: &self.identification,
            verdict: &self.verdict,
            outcome: self.outcome,
        }
    }
}

/// Judges one flow.
pub fn judge<'s>(
    policy: &Policy,
    learned: &Learned,
    mut flow: Flow,
    heard: impl Into<Heard<'s>>,
) -> JudgedFlow {
    let mut identification = identify::identify(heard);
    let (initiator, by) = policy.orient(&flow, &identification, learned);
    flow.orient(initiator, by);
    if initiator == Side::B {
        identification.flip();
    }
    let verdict = policy.judge(&flow, &identification, learned);
    let outcome = flow.outcome();
    JudgedFlow { flow, identification, verdict, outcome }
}

/// Judges many flows in parallel, keeping their order.
pub fn judge_all(
    policy: &Policy,
    learned: &Learned,
    flows: Vec<(Flow, Sample)>,
) -> Vec<JudgedFlow> {
    flows.into_par_iter().map(|(flow, sample)| judge(policy, learned, flow, &sample)).collect()
}

/// Judges the flows of a table in parallel and hands each on in order, a batch at a time, so that judged
/// flows do not pile up beside observed ones. While one batch is handed on, the next is judged.
pub fn judge_in_turn(
    policy: &Policy,
    learned: &Learned,
    mut table: FlowTable,
    mut take: impl FnMut(&JudgedFlow) + Send,
) {
    table.finish();
    let of_part = |first: usize| -> Vec<JudgedFlow> {
        let mut judged = Vec::with_capacity(PART);
        table.each_heard(first..first + PART, |flow, heard| {
            judged.push(judge(policy, learned, flow, heard));
        });
        judged
    };
    let of_batch = |first: usize| -> Vec<Vec<JudgedFlow>> {
        let parts = (first..(first + BATCH).min(table.positions())).into_par_iter().step_by(PART);
        parts.map(of_part).collect()
    };
    let mut first = 0;
    let mut batch = of_batch(first);
    while !batch.is_empty() {
        first += BATCH;
        let ((), next) =
            rayon::join(|| batch.iter().flatten().for_each(&mut take), || of_batch(first));
        batch = next;
    }
}

/// Flows judged at a time: enough to keep every core busy, few enough to stay in the cache.
const BATCH: usize = 2048;
/// Flows judged by one core at a time.
const PART: usize = 128;
