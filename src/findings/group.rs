//! What the flows behind one finding have in common.
//!
//! Every field is a sum, a minimum, a maximum or the lowest few of a set, so that neither the
//! order of adding nor that of merging changes the result, and none grows with the traffic.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::{Case, MAX_ADDRESSES, MAX_FRAMES, PartyGroup, Severity, Spark};
use crate::flow::{FrameRef, Outcome};
use crate::identify::Confidence;
use crate::input::Timestamp;
use crate::policy::{ExpectationId, Misfit, Party};

/// Flows about which one rule says the same.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) severity: Severity,
    pub(super) confidence: Confidence,
    pub(super) initiator: Side,
    pub(super) responder: Side,
    pub(super) flows: u64,
    /// Those of them whose silence means nothing.
    pub(super) blind: u64,
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) frames: BTreeSet<FrameRef>,
    /// Protocols seen; `None` stands for an unknown one. Bounded by the number of detectors.
    pub(super) protocols: BTreeSet<Option<&'static str>>,
    /// What each flow is about; the lowest [`MAX_ROWS`].
    pub(super) expectations: BTreeSet<Option<ExpectationId>>,
    /// Rows to name; the lowest [`MAX_ROWS`].
    pub(super) rows: BTreeSet<ExpectationId>,
    pub(super) misfits: BTreeSet<Option<Misfit>>,
    pub(super) outcomes: BTreeSet<Outcome>,
    /// Some flow came inside AH, where filters for ports do not look.
    pub(super) inside_ah: bool,
    /// Some flow came with a VLAN tag, which BPF must be told.
    pub(super) tagged: bool,
}

impl Group {
    /// The group of one flow.
    pub(super) fn of(case: &Case<'_>, spark: &Spark) -> Self {
        let flow = case.judged.flow;
        let rows = spark.rows.iter().copied().chain(spark.expectation);
        let mut group = Self {
            severity: spark.severity,
            confidence: spark.confidence,
            initiator: Side::of(&case.initiator, flow.initiator().address),
            responder: Side::of(&case.responder, flow.responder().address),
            flows: 1,
            blind: 0,
            packets: flow.packets(),
            bytes: flow.bytes(),
            first: flow.first,
            last: flow.last,
            frames: BTreeSet::from([spark.frame.unwrap_or(flow.first_frame)]),
            protocols: BTreeSet::from([case.judged.identification.protocol]),
            expectations: BTreeSet::from([spark.expectation]),
            rows: rows.collect(),
            misfits: BTreeSet::from([spark.misfit]),
            outcomes: BTreeSet::from([case.judged.outcome]),
            inside_ah: flow.ah.is_some(),
            tagged: !flow.vlans().is_empty(),
        };
        keep_lowest(&mut group.rows, MAX_ROWS);
        group
    }

    /// Adds the flows of another group.
    pub(super) fn merge(&mut self, other: &Self) {
        self.severity = self.severity.max(other.severity);
        self.confidence = self.confidence.max(other.confidence);
        self.initiator.merge(&other.initiator);
        self.responder.merge(&other.responder);
        self.flows = self.flows.saturating_add(other.flows);
        self.blind = self.blind.saturating_add(other.blind);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        merge_lowest(&mut self.frames, &other.frames, MAX_FRAMES);
        self.protocols.extend(&other.protocols);
        merge_lowest(&mut self.expectations, &other.expectations, MAX_ROWS);
        merge_lowest(&mut self.rows, &other.rows, MAX_ROWS);
        self.misfits.extend(&other.misfits);
        self.outcomes.extend(&other.outcomes);
        self.inside_ah |= other.inside_ah;
        self.tagged |= other.tagged;
    }

    /// The row that the finding is about: the first one, when every flow is about a row.
    pub(super) fn expectation(&self) -> Option<ExpectationId> {
        self.expectations.first().copied().flatten()
    }

    /// The protocol, where it is the same in all flows.
    pub(super) fn protocol(&self) -> Option<&'static str> {
        match self.protocols.len() {
            1 => self.protocols.first().copied().flatten(),
            _ => None,
        }
    }

    /// The failed field, where it is the same in all flows.
    pub(super) fn misfit(&self) -> Option<Misfit> {
        match self.misfits.len() {
            1 => self.misfits.first().copied().flatten(),
            _ => None,
        }
    }
}

/// One side of a group.
#[derive(Debug, Clone)]
pub(super) struct Side {
    pub(super) party: PartyGroup,
    /// Whether its role is a server's.
    pub(super) server: bool,
}

impl Side {
    fn of(party: &Party<'_>, address: IpAddr) -> Self {
        Self {
            party: PartyGroup {
                role: party.role.map(str::to_owned),
                names: party.name.map(str::to_owned).into_iter().collect(),
                addresses: BTreeSet::from([address]),
                more_addresses: false,
            },
            server: party.server,
        }
    }

    /// Servers go by name where they have one, others by address: the name of a client is that
    /// of its network.
    pub(super) fn goes_by_name(&self) -> bool {
        self.server && !self.party.names.is_empty()
    }

    fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (&mut self.party, &other.party);
        // More names than addresses are kept cannot be: every name has an address of its own.
        merge_lowest(&mut mine.names, &theirs.names, MAX_ADDRESSES);
        let cut = merge_lowest(&mut mine.addresses, &theirs.addresses, MAX_ADDRESSES);
        mine.more_addresses |= theirs.more_addresses || cut == Cut::Some;
        self.server |= other.server;
    }
}

/// Whether a bounded set had to leave something out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    None,
    Some,
}

fn merge_lowest<T: Ord + Clone>(mine: &mut BTreeSet<T>, theirs: &BTreeSet<T>, most: usize) -> Cut {
    mine.extend(theirs.iter().cloned());
    keep_lowest(mine, most)
}

fn keep_lowest<T: Ord>(set: &mut BTreeSet<T>, most: usize) -> Cut {
    let mut cut = Cut::None;
    while set.len() > most {
        set.pop_last();
        cut = Cut::Some;
    }
    cut
}

/// Rows named per finding. No flow of the built-in tables matches as many.
const MAX_ROWS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_are_kept_in_any_order() {
        let mut up = BTreeSet::new();
        let mut down = BTreeSet::new();
        let mut cuts = [Cut::None; 2];
        for n in 0..40_u32 {
            for (set, value, cut) in [(&mut up, n, 0), (&mut down, 39 - n, 1)] {
                if merge_lowest(set, &BTreeSet::from([value]), 16) == Cut::Some {
                    cuts[cut] = Cut::Some;
                }
            }
        }
        assert_eq!(up, (0..16).collect());
        assert_eq!(up, down);
        assert_eq!(cuts, [Cut::Some; 2]);
    }
}
