//! stub
use super::{Finding, Judged};
use crate::policy::{Class, Policy};
use std::collections::BTreeMap;
/// Totals of one verdict class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassTotals {
    /// Flows.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}
/// What became of an expected service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExpectedState {
    /// Never seen.
    NeverSeen,
    /// Unanswered.
    Unanswered,
    /// Refused.
    Refused,
    /// Prohibited.
    Prohibited,
    /// Seen.
    Seen,
}
/// One expected service of the topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Row id.
    pub row: String,
    /// Initiating role, if the row names one.
    pub initiator_role: Option<String>,
    /// Responding host.
    pub responder: String,
    /// Port.
    pub port: u16,
    /// State.
    pub state: ExpectedState,
}
/// What is known of one IPsec exemption row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemption {
    /// Row id.
    pub row: String,
    /// Its name.
    pub name: String,
    /// `proven`, `not-observed`, `not-applicable`, …
    pub status: &'static str,
    /// What was seen.
    pub evidence: Vec<String>,
    /// What to do.
    pub remedy: Vec<String>,
}
/// Everything the audit found.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Worst first.
    pub findings: Vec<Finding>,
    /// Flows judged.
    pub flows: u64,
    /// Totals per class; every class is present.
    pub by_class: BTreeMap<Class, ClassTotals>,
    /// Expected services.
    pub expected: Vec<Expected>,
    /// Whether IPsec was seen or declared.
    pub ipsec_deployed: bool,
    /// The exemption rows in force.
    pub exemptions: Vec<Exemption>,
}
/// Collects judged flows.
#[derive(Debug)]
pub struct Audit<'p> {
    policy: &'p Policy,
}
impl<'p> Audit<'p> {
    /// Empty.
    pub fn new(policy: &'p Policy) -> Self {
        Self { policy }
    }
    /// Adds a judged flow. The order of adding decides nothing.
    pub fn add(&mut self, _judged: &Judged<'_>) {
        todo!()
    }
    /// Findings so far whose fingerprint was not returned before (live capture).
    pub fn fresh(&mut self) -> Vec<Finding> {
        todo!()
    }
    /// Ends the audit.
    pub fn finish(self) -> Summary {
        todo!()
    }
}
