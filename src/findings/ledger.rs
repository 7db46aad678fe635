//! Groups by server port, in bounded memory.
//!
//! Up to [`MAX_PORTS`] different ports of one rule, pair of parties and transport have a group
//! each. With one more they are what a scan looks like, and become a single group: every group so
//! far is added to it, and the ports are kept as a set. Because groups merge in any order, it does
//! not matter at which flow that happens.

use std::collections::BTreeMap;

use super::group::Group;
use super::ports::Ports;

/// Where in a ledger a flow belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    /// One server port.
    Port(u16),
    /// A range whose single ports mean nothing: a wide row's id, `dynamic`, `media-range`.
    Range(String),
}

/// The groups of one rule, pair of parties and transport.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    single: Single,
    ranges: BTreeMap<String, Collapsed>,
}

#[derive(Debug, Clone)]
enum Single {
    Few(BTreeMap<u16, Group>),
    Many(Box<Collapsed>),
}

impl Default for Single {
    fn default() -> Self {
        Self::Few(BTreeMap::new())
    }
}

#[derive(Debug, Clone)]
struct Collapsed {
    ports: Ports,
    group: Group,
}

impl Collapsed {
    /// The group, for a flow on a port.
    fn at(&mut self, port: u16) -> &mut Group {
        self.ports.insert(port);
        &mut self.group
    }

    fn merge(&mut self, other: &Self) {
        self.ports.merge(&other.ports);
        self.group.merge(&other.group);
    }
}

/// A group with its ports and the name under which its fingerprint knows them.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) slot: String,
    pub(super) ports: Vec<(u16, u16)>,
    pub(super) group: Group,
}

impl Ledger {
    /// The group to which a flow on a server port belongs, if there is one; the port counts as seen.
    pub(super) fn find(&mut self, slot: &Slot, port: u16) -> Option<&mut Group> {
        match (slot, &mut self.single) {
            (Slot::Range(name), _) => self.ranges.get_mut(name).map(|range| range.at(port)),
            (Slot::Port(port), Single::Few(groups)) => groups.get_mut(port),
            (Slot::Port(port), Single::Many(all)) => Some(all.at(*port)),
        }
    }

    /// Adds a flow on a server port.
    pub(super) fn add(&mut self, slot: Slot, port: u16, group: Group) {
        match slot {
            Slot::Port(port) => self.add_single(port, group),
            Slot::Range(name) => {
                let mut ports = Ports::default();
                ports.insert(port);
                let new = Collapsed { ports, group };
                match self.ranges.get_mut(&name) {
                    Some(there) => there.merge(&new),
                    None => drop(self.ranges.insert(name, new)),
                }
            }
        }
    }

    fn add_single(&mut self, port: u16, group: Group) {
        match &mut self.single {
            Single::Few(groups) => {
                match groups.get_mut(&port) {
                    Some(there) => there.merge(&group),
                    None => drop(groups.insert(port, group)),
                }
                if groups.len() > MAX_PORTS
                    && let Some(all) = collapse(groups)
                {
                    self.single = Single::Many(Box::new(all));
                }
            }
            Single::Many(all) => {
                all.ports.insert(port);
                all.group.merge(&group);
            }
        }
    }

    /// Every group, by slot.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let mut ranges = self.ranges.clone();
        let mut entries = Vec::new();
        match &self.single {
            Single::Few(groups) => {
                entries.extend(groups.iter().map(|(&port, group)| Entry {
                    slot: port.to_string(),
                    ports: vec![(port, port)],
                    group: group.clone(),
                }));
            }
            Single::Many(all) => {
                let mut all = all.as_ref().clone();
                // A scan goes on through the dynamic ports: it stays one finding.
                if let Some(dynamic) = ranges.remove(DYNAMIC) {
                    all.merge(&dynamic);
                }
                entries.push(all.entry(MANY));
            }
        }
        entries.extend(ranges.iter().map(|(name, range)| range.entry(name)));
        entries
    }
}

impl Collapsed {
    fn entry(&self, slot: &str) -> Entry {
        Entry { slot: slot.to_owned(), ports: self.ports.ranges(), group: self.group.clone() }
    }
}

fn collapse(groups: &BTreeMap<u16, Group>) -> Option<Collapsed> {
    let mut ports = Ports::default();
    for &port in groups.keys() {
        ports.insert(port);
    }
    let mut all = groups.values();
    let mut group = all.next()?.clone();
    all.for_each(|other| group.merge(other));
    Some(Collapsed { ports, group })
}

/// Different ports of one pair that are still worth a finding each.
pub(super) const MAX_PORTS: usize = 8;
/// The range name of the dynamic ports.
pub(super) const DYNAMIC: &str = "dynamic";
/// The first dynamic port (RFC 6335, section 6).
pub(super) const FIRST_DYNAMIC: u16 = 49_152;
/// What the fingerprint says instead of more than [`MAX_PORTS`] ports.
const MANY: &str = "many";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{Testbed, flow};
    use crate::findings::{Case, Severity, Spark};
    use crate::identify::Confidence;

    fn group() -> Group {
        let bed = Testbed::default();
        let sample = flow("10.20.0.101:50000", "10.0.1.11:8888");
        let judged = sample.judged();
        let spark = Spark {
            severity: Severity::Error,
            confidence: Confidence::High,
            expectation: None,
            rows: Vec::new(),
            misfit: None,
            range: None,
            frame: None,
            detail: None,
        };
        Group::of(&Case::of(&judged, &bed, &bed.deployment), &spark)
    }

    #[test]
    fn eight_ports_are_eight_groups_and_nine_are_one() {
        let mut ledger = Ledger::default();
        for port in 1..=8 {
            ledger.add(Slot::Port(port), port, group());
        }
        ledger.add(Slot::Port(8), 8, group());
        assert_eq!(ledger.entries().len(), 8);
        ledger.add(Slot::Port(80), 80, group());
        let entries = ledger.entries();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].slot, "many");
        assert_eq!(entries[0].ports, [(1, 8), (80, 80)]);
        assert_eq!(entries[0].group.flows, 10);
    }

    #[test]
    fn a_scan_keeps_one_group_whatever_its_length() {
        let mut ledger = Ledger::default();
        for port in (1..=60_000).rev() {
            let slot =
                if port < FIRST_DYNAMIC { Slot::Port(port) } else { Slot::Range(DYNAMIC.into()) };
            ledger.add(slot, port, group());
        }
        assert!(matches!(ledger.single, Single::Many(_)));
        assert_eq!(ledger.ranges.len(), 1);
        let entries = ledger.entries();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].ports, [(1, 60_000)]);
        assert_eq!(entries[0].group.flows, 60_000);
    }

    #[test]
    fn a_flow_finds_the_group_that_it_would_be_added_to() {
        let mut ledger = Ledger::default();
        let range = Slot::Range(DYNAMIC.into());
        assert!(ledger.find(&Slot::Port(1), 1).is_none());
        assert!(ledger.find(&range, 50_000).is_none());
        ledger.add(Slot::Port(1), 1, group());
        ledger.add(range.clone(), 50_000, group());
        assert!(ledger.find(&Slot::Port(2), 2).is_none());
        assert_eq!(ledger.find(&Slot::Port(1), 1).map(|group| group.flows), Some(1));
        assert!(ledger.find(&range, 50_002).is_some());
        let entries = ledger.entries();
        assert_eq!(entries[1].ports, [(50_000, 50_000), (50_002, 50_002)]);
        for port in 2..=9 {
            ledger.add(Slot::Port(port), port, group());
        }
        // They are one by now, and a further port joins it.
        assert_eq!(ledger.find(&Slot::Port(99), 99).map(|group| group.flows), Some(9));
        let many = ledger.entries();
        assert_eq!(many[0].ports, [(1, 9), (99, 99), (50_000, 50_000), (50_002, 50_002)]);
    }
}
