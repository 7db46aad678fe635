//! What the flows behind one finding have in common.
//!
//! Every field is a sum, a minimum, a maximum or the lowest few of a set, so that neither the
//! order of adding nor that of merging changes the result, and none grows with the traffic.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

use super::wraps::Wraps;
use super::{Case, MAX_ADDRESSES, MAX_FRAMES, PartyGroup, Severity, Spark};
use crate::flow::{FrameRef, Outcome};
use crate::identify::Confidence;
use crate::input::Timestamp;
use crate::policy::{Announcement, ExpectationId, Misfit, Party};

/// How long media waited, in ns, and how it went.
pub(super) type Wait = (i64, String);

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
    /// Protocols that claim some flow as surely as the one that it goes by.
    pub(super) also: BTreeSet<&'static str>,
    /// What was seen, in a few words. Bounded by the words that rules have.
    pub(super) details: BTreeSet<Cow<'static, str>>,
    /// What each flow is about; the lowest [`MAX_ROWS`].
    pub(super) expectations: BTreeSet<Option<ExpectationId>>,
    /// Rows to name; the lowest [`MAX_ROWS`].
    pub(super) rows: BTreeSet<ExpectationId>,
    pub(super) misfits: BTreeSet<Option<Misfit>>,
    pub(super) outcomes: BTreeSet<Outcome>,
    /// Of the announcements of its flows the one seen first.
    pub(super) announced: Option<Announcement>,
    /// Ports that initiated; the lowest [`MAX_OWN_PORTS`].
    pub(super) own_ports: BTreeSet<u16>,
    /// The longest that any of them waited for a negotiation, in ns, and how that went.
    pub(super) wait: Option<Wait>,
    /// The IPsec that flows came in.
    pub(super) wraps: Wraps,
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
            flows: seen(case),
            blind: 0,
            packets: flow.packets(),
            bytes: flow.bytes(),
            first: flow.first,
            last: flow.last,
            frames: BTreeSet::from([spark.frame.unwrap_or(flow.first_frame)]),
            protocols: BTreeSet::from([case.judged.identification.protocol]),
            also: case.judged.identification.also.iter().copied().collect(),
            details: spark.detail.clone().into_iter().collect(),
            expectations: BTreeSet::from([spark.expectation]),
            rows: rows.collect(),
            misfits: BTreeSet::from([spark.misfit]),
            outcomes: BTreeSet::from([case.judged.outcome]),
            announced: announcement(case).cloned(),
            own_ports: own_port(case).into_iter().collect(),
            wait: None,
            wraps: Wraps::of(flow),
            tagged: !flow.vlans().is_empty(),
        };
        keep_lowest(&mut group.rows, MAX_ROWS);
        group
    }

    /// Adds one flow, as [`Self::merge`] adds the group of it; `blind` when its silence means nothing.
    pub(super) fn add(&mut self, case: &Case<'_>, spark: &Spark, blind: bool) {
        let flow = case.judged.flow;
        self.severity = self.severity.max(spark.severity);
        self.confidence = self.confidence.max(spark.confidence);
        self.initiator.add(&case.initiator, flow.initiator().address);
        self.responder.add(&case.responder, flow.responder().address);
        self.flows = self.flows.saturating_add(seen(case));
        self.blind = self.blind.saturating_add(u64::from(blind));
        self.packets = self.packets.saturating_add(flow.packets());
        self.bytes = self.bytes.saturating_add(flow.bytes());
        self.first = self.first.min(flow.first);
        self.last = self.last.max(flow.last);
        add_lowest(&mut self.frames, spark.frame.unwrap_or(flow.first_frame), MAX_FRAMES);
        self.protocols.insert(case.judged.identification.protocol);
        self.also.extend(case.judged.identification.also.iter().copied());
        self.details.extend(spark.detail.clone());
        add_lowest(&mut self.expectations, spark.expectation, MAX_ROWS);
        for row in spark.rows.iter().copied().chain(spark.expectation) {
            add_lowest(&mut self.rows, row, MAX_ROWS);
        }
        self.misfits.insert(spark.misfit);
        self.outcomes.insert(case.judged.outcome);
        self.announce(announcement(case));
        if let Some(port) = own_port(case) {
            add_lowest(&mut self.own_ports, port, MAX_OWN_PORTS);
        }
        if flow.associations.is_some() {
            self.wraps.merge(&Wraps::of(flow));
        }
        self.tagged |= !flow.vlans().is_empty();
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
        self.also.extend(&other.also);
        self.details.extend(other.details.iter().cloned());
        merge_lowest(&mut self.expectations, &other.expectations, MAX_ROWS);
        merge_lowest(&mut self.rows, &other.rows, MAX_ROWS);
        self.misfits.extend(&other.misfits);
        self.outcomes.extend(&other.outcomes);
        self.announce(other.announced.as_ref());
        merge_lowest(&mut self.own_ports, &other.own_ports, MAX_OWN_PORTS);
        self.wait = self.wait.take().max(other.wait.clone());
        self.wraps.merge(&other.wraps);
        self.tagged |= other.tagged;
    }

    /// Keeps the announcement that was seen first; several of one frame by who they are about.
    fn announce(&mut self, other: Option<&Announcement>) {
        let order = |known: &Announcement| (known.at, known.kind, known.summary(), known.by);
        let Some(other) = other else { return };
        if self.announced.as_ref().is_none_or(|known| order(other) < order(known)) {
            self.announced = Some(other.clone());
        }
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

    /// The ports that initiated, where the flows are few enough to be told apart by them.
    pub(super) fn telling_ports(&self) -> BTreeSet<u16> {
        if self.flows <= MAX_OWN_PORTS as u64 { self.own_ports.clone() } else { BTreeSet::new() }
    }

    /// The failed field, where it is the same in all flows.
    pub(super) fn misfit(&self) -> Option<Misfit> {
        match self.misfits.len() {
            1 => self.misfits.first().copied().flatten(),
            _ => None,
        }
    }
}

/// How many flows a case is: one that was only announced is none.
fn seen(case: &Case<'_>) -> u64 {
    u64::from(case.judged.flow.packets() > 0)
}

/// The port of who initiates; what never came has none.
fn own_port(case: &Case<'_>) -> Option<u16> {
    (seen(case) > 0).then_some(case.judged.flow.initiator().port)
}

fn announcement<'a>(case: &Case<'a>) -> Option<&'a Announcement> {
    case.judged.verdict.announced.as_ref().map(|announced| &announced.announcement)
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

    fn add(&mut self, party: &Party<'_>, address: IpAddr) {
        let mine = &mut self.party;
        if let Some(name) = party.name.filter(|name| !mine.names.contains(*name)) {
            mine.names.insert(name.to_owned());
            keep_lowest(&mut mine.names, MAX_ADDRESSES);
        }
        mine.more_addresses |= add_lowest(&mut mine.addresses, address, MAX_ADDRESSES) == Cut::Some;
        self.server |= party.server;
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

/// Adds to a set of the lowest; what is higher than all of a full one is left out at once.
fn add_lowest<T: Ord>(set: &mut BTreeSet<T>, new: T, most: usize) -> Cut {
    if set.len() >= most && set.last().is_some_and(|highest| new > *highest) {
        return Cut::Some;
    }
    set.insert(new);
    keep_lowest(set, most)
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
/// Flows that a filter tells apart; with more it would not be read.
const MAX_OWN_PORTS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::testbed::{Testbed, flow};

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

    #[test]
    fn adding_a_flow_is_merging_the_group_of_it() {
        let bed = Testbed::default();
        let (mut added, mut merged): (Option<Group>, Option<Group>) = (None, None);
        for n in 0..60_u32 {
            // Neither rising nor falling, so that the bounded sets both take and refuse.
            let place = u64::from(n * 37 % 61);
            let sample = flow(&format!("10.20.0.{}:50000", 100 + place), "10.0.1.11:8888")
                .frame(place + 1)
                .packets(place, 1)
                .protocol(["sip", "tls", "http"][n as usize % 3])
                .outcome([Outcome::Refused, Outcome::Unanswered][n as usize % 2]);
            let judged = sample.judged();
            let case = Case::of(&judged, &bed, &bed.deployment);
            let spark = Spark {
                severity: [Severity::Note, Severity::Error][n as usize / 30],
                confidence: Confidence::Medium,
                expectation: (n % 7 > 0).then_some(ExpectationId(n)),
                rows: (0..n % 4).map(|row| ExpectationId(200 - row * n)).collect(),
                misfit: (n % 5 == 0).then_some(Misfit::Peer),
                range: None,
                frame: None,
                detail: None,
            };
            let blind = n % 3 == 0;
            let one = Group { blind: u64::from(blind), ..Group::of(&case, &spark) };
            match &mut added {
                None => added = Some(one.clone()),
                Some(group) => group.add(&case, &spark, blind),
            }
            match &mut merged {
                None => merged = Some(one),
                Some(group) => group.merge(&one),
            }
            assert_eq!(format!("{added:?}"), format!("{merged:?}"), "flow {n}");
        }
        let Some(all) = added else { panic!("no flow") };
        assert_eq!((all.flows, all.blind, all.rows.len()), (60, 20, MAX_ROWS));
        assert!(all.initiator.party.more_addresses);
    }
}
