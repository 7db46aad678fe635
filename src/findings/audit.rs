//! Collects judged flows and says in the end what they amount to.
//!
//! Adding is commutative: every part is a sum, an extreme or the lowest few of a set, so the
//! order in which flows arrive, and thus the number of threads, changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::case::{Case, Lookup, Row};
use super::expected::Roll;
use super::filters::{Subject, bpf, display_filter};
use super::fingerprint::fingerprint;
use super::group::{Group, Wait};
use super::ipsec::Ground;
use super::ipsec::exemptions::Watch;
use super::ipsec::held_up::{held_up, negotiated};
use super::kept::Kept;
use super::later::Later;
use super::ledger::{DYNAMIC, Entry, FIRST_DYNAMIC, Ledger, Slot};
use super::negotiations::{Negotiations, Tied, Ties};
use super::{
    Deployment, Finding, Judged, Pairs, RULES, Rule, Severity, Sight, Spark, Telling,
    esp_resembles_media, ipsec_on_media_range, media_outside_range, media_waits_for_ipsec,
    mtls_not_presented, remedy, silent_media,
};
use crate::decode::Transport;
use crate::flow::{Endpoint, FrameRef, Outcome, is_group};
use crate::identify::{Confidence, Identification};
use crate::input::Timestamp;
use crate::policy::{Class, Learned, Misfit, Party, Policy};

pub use super::expected::{Expected, ExpectedState};
pub use super::ipsec::{Configured, Exemption, Peers};

/// Collects judged flows.
#[derive(Debug)]
pub struct Audit<'p> {
    lookup: &'p dyn Lookup,
    ledgers: BTreeMap<Key, Ledger>,
    flows: u64,
    by_class: BTreeMap<Class, ClassTotals>,
    roll: Roll,
    watch: Watch,
    ties: Ties,
    directions: Directions,
    pairs: Pairs,
    /// Shared with the cases that are looked at, while what they say is entered.
    deployment: Arc<Deployment>,
    later: Later,
    /// The exemption rows.
    exempt: Vec<Row<'p>>,
    told: BTreeSet<String>,
    /// Announced media endpoints to which media came. No more than were announced.
    came: BTreeSet<(Transport, Endpoint)>,
}

/// Totals of one verdict class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClassTotals {
    /// Flows.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

/// Everything the audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Worst first, then by rule, transport, port and parties.
    pub findings: Vec<Finding>,
    /// Flows judged.
    pub flows: u64,
    /// Totals per class; every class is present.
    pub by_class: BTreeMap<Class, ClassTotals>,
    /// Expected services, in the policy's order.
    pub expected: Vec<Expected>,
    /// Whether IPsec was seen or declared.
    pub ipsec_deployed: bool,
    /// The exemption rows in force, in the policy's order.
    pub exemptions: Vec<Exemption>,
    /// Negotiations of IPsec, by time; the first thousand.
    pub negotiations: Vec<Tied>,
    /// Negotiations beyond those listed.
    pub more_negotiations: u64,
    /// Messages of negotiations for which there was no room.
    pub untold_messages: u64,
}

/// What findings are grouped by, before ports.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Position in [`RULES`].
    rule: usize,
    transport: Transport,
    initiator: String,
    responder: String,
}

/// How many connections that plainly work show both directions, and how many one side only.
#[derive(Debug, Clone, Copy, Default)]
struct Directions {
    both_ways: u64,
    one_sided: u64,
}

impl Directions {
    /// Most connections show one side only: the capture point sees one direction, at most by chance
    /// the other, and silence means nothing. The share is that which forbids a pass.
    fn one_way(self) -> bool {
        self.one_sided > self.both_ways
    }
}

impl<'p> Audit<'p> {
    /// An audit without flows.
    pub fn new(policy: &'p Policy) -> Self {
        Self::over(policy)
    }

    /// An audit over anything that answers for a policy.
    pub(super) fn over(lookup: &'p dyn Lookup) -> Self {
        Self {
            lookup,
            ledgers: BTreeMap::new(),
            flows: 0,
            by_class: Class::ALL.map(|class| (class, ClassTotals::default())).into(),
            roll: Roll::new(lookup.required()),
            watch: Watch::new(lookup),
            ties: Ties::default(),
            directions: Directions::default(),
            pairs: Pairs::default(),
            deployment: Arc::default(),
            later: Later::default(),
            exempt: lookup.exemptions().iter().map(|(key, _)| lookup.row(*key)).collect(),
            told: BTreeSet::new(),
            came: BTreeSet::new(),
        }
    }

    /// Tells between which hosts one direction was captured only. To be told before any flow is added.
    #[must_use]
    pub fn with_pairs(self, pairs: Pairs) -> Self {
        Self { pairs, ..self }
    }

    /// Tells who uses IPsec with whom. To be told before the flows that it is about are added.
    pub fn tell_deployment(&mut self, deployment: Arc<Deployment>) {
        self.deployment = deployment;
    }

    /// Tells what was negotiated so far. To be told before the flows of that time are added.
    pub fn heed(&mut self, negotiations: &Negotiations) {
        self.ties.heed(negotiations);
    }

    /// Adds a judged flow. The order of adding decides nothing.
    pub fn add(&mut self, judged: &Judged<'_>) {
        let lookup: &dyn Lookup = self.lookup;
        let deployment = Arc::clone(&self.deployment);
        let case = Case::of(judged, lookup, &deployment);
        self.count(judged);
        self.roll.add(&case, lookup);
        self.watch.add(&case, lookup, self.ties.is_quiet(&case));
        self.later.add(&case, &self.exempt);
        self.ties.add(&case);
        self.note_arrival(judged);
        for (position, rule) in RULES.iter().enumerate() {
            let Some(mut spark) = (rule.check)(&case) else {
                continue;
            };
            let ends = judged.flow.ends.map(|end| end.address);
            let blind = speaks_of_silence(rule, judged.flow.transport) && self.pairs.silent(ends);
            if blind {
                (spark.severity, spark.confidence) = (Severity::Note, Confidence::Low);
            }
            self.enter(position, &case, &spark, blind, None);
        }
    }

    /// Puts what a rule says to what it said before.
    fn enter(
        &mut self,
        rule: usize,
        case: &Case<'_>,
        spark: &Spark,
        blind: bool,
        wait: Option<Wait>,
    ) {
        let flow = case.judged.flow;
        let key = Key {
            rule,
            transport: flow.transport,
            initiator: label(&case.initiator, flow.initiator().address),
            responder: label(&case.responder, flow.responder().address),
        };
        let port = flow.responder().port;
        let row = spark.expectation.map(|id| self.lookup.row(id));
        let slot = slot(spark, row.as_ref(), port);
        let ledger = self.ledgers.entry(key).or_default();
        // Most flows of a finding are not its first, and a group of one is not made for them.
        if let Some(group) = ledger.find(&slot, port) {
            group.add(case, spark, blind);
            group.wait = group.wait.take().max(wait);
        } else {
            let group = Group { blind: u64::from(blind), wait, ..Group::of(case, spark) };
            ledger.add(slot, port, group);
        }
    }

    /// Tells what content announced, when every flow of that time has been added: media that was
    /// announced to a wrong port is wrong also where none came.
    pub fn announced(&mut self, learned: &Learned) {
        let name = media_outside_range::RULE.name;
        let Some(rule) = RULES.iter().position(|rule| rule.name == name) else { return };
        let lookup: &dyn Lookup = self.lookup;
        for (transport, endpoint, announcement) in learned.media() {
            if !self.deployment.is_empty() {
                self.later.note_call(endpoint.address, announcement.times[0]);
            }
            if self.came.remove(&(transport, endpoint)) || announcement.is_reports() {
                continue;
            }
            let flow = silent_media::flow(transport, endpoint, announcement);
            let judged = Judged {
                flow: &flow,
                identification: &Identification::default(),
                verdict: &silent_media::verdict(announcement),
                outcome: Outcome::Unanswered,
            };
            let case = Case::of(&judged, lookup, Deployment::NONE);
            if let Some(spark) = media_outside_range::never_came(&case) {
                self.enter(rule, &case, &spark, false, None);
            }
        }
    }

    /// Says what could not be said before all flows of that time had been added: of hidden flows, and of
    /// negotiations that began before `until`.
    pub fn settle(&mut self, until: Timestamp) {
        self.settle_hidden();
        self.settle_negotiations(until);
    }

    fn settle_negotiations(&mut self, until: Timestamp) {
        let name = media_waits_for_ipsec::RULE.name;
        let Some(rule) = RULES.iter().position(|rule| rule.name == name) else { return };
        let lookup: &dyn Lookup = self.lookup;
        let deployment = Arc::clone(&self.deployment);
        // Hosts that ask each other at the same time do so for the same media, which count once.
        let mut by_media: BTreeMap<FrameRef, Vec<(Tied, Box<Kept>)>> = BTreeMap::new();
        for (tied, media) in self.ties.take_untold(until) {
            by_media.entry(media.judged().flow.first_frame).or_default().push((tied, media));
        }
        for (tied, media) in by_media.values().filter_map(|all| Some((all, &all.first()?.1))) {
            let judged = media.judged();
            let case = Case::of(&judged, lookup, &deployment);
            let all: Vec<_> = tied.iter().filter_map(|(tied, _)| held_up(tied, &case)).collect();
            let Some(spark) = media_waits_for_ipsec::late(&case, &all) else { continue };
            let wait = all.iter().map(|held_up| held_up.wait.clone()).max();
            for (row, sight) in all.into_iter().flat_map(|held_up| held_up.rows) {
                self.watch.see(row.key, sight, lookup);
            }
            self.enter(rule, &case, &spark, false, wait);
        }
        if !lookup.strict() {
            return;
        }
        for tied in self.ties.iter().filter(|tied| tied.negotiation.first < until) {
            let hosts = [tied.negotiation.initiator, tied.negotiation.responder];
            if hosts.iter().any(|host| lookup.is_gateway(*host)) {
                continue;
            }
            let [initiator, responder] = hosts.map(|host| lookup.party(host));
            for (row, sight) in negotiated(tied, (&initiator, &responder), &self.exempt) {
                self.watch.see(row.key, sight, lookup);
            }
        }
    }

    fn settle_hidden(&mut self) {
        let name = esp_resembles_media::RULE.name;
        let Some(rule) = RULES.iter().position(|rule| rule.name == name) else { return };
        let lookup: &dyn Lookup = self.lookup;
        let deployment = Arc::clone(&self.deployment);
        for kept in self.later.take() {
            let judged = kept.judged();
            let case = Case::of(&judged, lookup, &deployment);
            let negotiated = self.ties.knows(&case);
            let mut telling = Vec::new();
            for mut hidden in self.later.hidden(&case, &self.exempt, negotiated) {
                let likely = hidden.ground.is_likely_hidden();
                let decrypted = hidden.ground == Ground::Decrypted;
                let wait = likely.then(|| self.ties.hidden_wait(&case, decrypted)).flatten();
                for (row, mut sight) in hidden.sights.drain(..) {
                    sight.wait_for(wait);
                    self.watch.see(row, sight, lookup);
                }
                // What resembles nothing is no finding, strict as the reading may be.
                if hidden.ground != Ground::Hidden {
                    telling.push(hidden);
                }
            }
            if let Some(spark) = esp_resembles_media::late(&case, &telling) {
                self.enter(rule, &case, &spark, false, None);
            }
        }
    }

    fn note_arrival(&mut self, judged: &Judged<'_>) {
        let Some(announced) = &judged.verdict.announced else { return };
        let flow = judged.flow;
        for (end, media) in flow.ends.into_iter().zip(announced.media) {
            if media {
                let end = Endpoint { address: end.address.to_canonical(), ..end };
                self.came.insert((flow.transport, end));
            }
        }
    }

    fn count(&mut self, judged: &Judged<'_>) {
        let flow = judged.flow;
        self.flows += 1;
        let totals = self.by_class.entry(judged.verdict.class).or_default();
        totals.flows += 1;
        totals.packets = totals.packets.saturating_add(flow.packets());
        totals.bytes = totals.bytes.saturating_add(flow.bytes());
        match judged.outcome {
            Outcome::OneSided => self.directions.one_sided += 1,
            Outcome::Established | Outcome::MidStream => self.directions.both_ways += 1,
            _ => {}
        }
    }

    /// Findings so far whose fingerprint was not returned before (live capture), in the order of
    /// [`Summary::findings`].
    pub fn fresh(&mut self) -> Vec<Finding> {
        let mut findings = self.findings();
        findings.retain(|finding| self.told.insert(finding.fingerprint.clone()));
        findings
    }

    /// Ends the audit.
    pub fn finish(self) -> Summary {
        let (negotiations, more_negotiations) = self.ties.listed();
        Summary {
            findings: self.findings(),
            flows: self.flows,
            expected: self.roll.finish(self.lookup),
            ipsec_deployed: self.watch.deployed(),
            exemptions: self.watch.finish(self.lookup),
            negotiations,
            more_negotiations,
            untold_messages: self.ties.untold(),
            by_class: self.by_class,
        }
    }

    fn findings(&self) -> Vec<Finding> {
        let mut ranked: Vec<(usize, &Key, Finding)> = Vec::new();
        for (key, ledger) in &self.ledgers {
            let Some(rule) = RULES.get(key.rule) else {
                continue;
            };
            for entry in ledger.entries() {
                ranked.push((key.rule, key, self.finding(rule, key, &entry)));
            }
        }
        ranked.sort_by(|(rule_a, key_a, a), (rule_b, key_b, b)| {
            (b.severity.cmp(&a.severity))
                .then(rule_a.cmp(rule_b))
                .then(a.transport.cmp(&b.transport))
                .then_with(|| a.ports.cmp(&b.ports))
                .then_with(|| key_a.cmp(key_b))
                .then_with(|| a.fingerprint.cmp(&b.fingerprint))
        });
        ranked.into_iter().map(|(_, _, finding)| finding).collect()
    }

    fn finding(&self, rule: &Rule, key: &Key, entry: &Entry) -> Finding {
        let group = &entry.group;
        let ports = if key.transport.has_ports() { entry.ports.clone() } else { Vec::new() };
        let blind = speaks_of_silence(rule, key.transport) && self.directions.one_way();
        let own_ports = group.telling_ports();
        let subject = Subject {
            initiator: &group.initiator.party,
            responder: &group.responder.party,
            transport: key.transport,
            ports: &ports,
            own_ports: &own_ports,
            wraps: &group.wraps,
            with_ike: rule.name == media_waits_for_ipsec::RULE.name,
            tagged: group.tagged,
        };
        let expectation = group.expectation().map(|id| self.lookup.row(id));
        let transport = key.transport.to_string();
        let mut finding = Finding {
            fingerprint: fingerprint(&[
                rule.name,
                &key.initiator,
                &key.responder,
                &transport,
                &entry.slot,
            ]),
            rule: rule.name,
            severity: if blind { Severity::Note } else { group.severity },
            confidence: if blind { Confidence::Low } else { group.confidence },
            message: String::new(),
            why: rule.why,
            remedy: rule.remedy.iter().map(|&step| step.to_owned()).collect(),
            initiator: group.initiator.party.clone(),
            responder: group.responder.party.clone(),
            display_filter: display_filter(&subject),
            bpf: bpf(&subject),
            ports,
            transport: key.transport,
            protocol: group.protocol(),
            also: group.also.clone(),
            expectation: expectation.map(|row| row.id.to_owned()),
            layer: expectation.map(|row| row.layer.to_owned()),
            flows: group.flows,
            packets: group.packets,
            bytes: group.bytes,
            first: group.first,
            last: group.last,
            frames: group.frames.iter().copied().collect(),
            announced: group.announced.clone(),
        };
        finding.message = (rule.message)(&Telling::new(&finding, group, self.lookup));
        if rule.name == ipsec_on_media_range::RULE.name
            && let Some(row) = expectation
        {
            finding.remedy.splice(1..1, remedy::commands(self.lookup, row.key));
        }
        if rule.name == mtls_not_presented::RULE.name {
            finding.remedy.retain(|step| mtls_not_presented::applies(step, &group.details));
        }
        if blind {
            finding.message.push_str(ONE_WAY);
        } else if group.flows > 0 && group.blind == group.flows {
            finding.message.push_str(ONE_WAY_HERE);
        }
        finding
    }
}

/// Whether what a rule says rests on packets that are absent. A TCP client that goes on was answered,
/// whether the answer was captured or not.
fn speaks_of_silence(rule: &Rule, transport: Transport) -> bool {
    rule.sight == Sight::BothWays && transport != Transport::TCP
}

/// The name of a party in keys and fingerprints: its role, else its name, else what is known.
fn label(party: &Party<'_>, address: IpAddr) -> String {
    match (party.role, party.name) {
        (Some(role), _) => role.to_owned(),
        (None, Some(name)) => format!("host:{name}"),
        (None, None) if is_group(address) => "group".into(),
        (None, None) => "unknown".into(),
    }
}

/// What stands for the port: itself where it means a service, the range where it does not.
fn slot(spark: &Spark, row: Option<&Row<'_>>, port: u16) -> Slot {
    if let Some(range) = spark.range {
        return Slot::Range(range.to_owned());
    }
    match row {
        Some(row) if row.is_wide() && matches!(spark.misfit, None | Some(Misfit::Content)) => {
            Slot::Range(row.id.to_owned())
        }
        Some(row) if !row.is_wide() && row.contains(port) => Slot::Port(port),
        _ if port >= FIRST_DYNAMIC => Slot::Range(DYNAMIC.to_owned()),
        _ => Slot::Port(port),
    }
}

const ONE_WAY: &str =
    "; but most connections show one direction only, so an answer may have been missed";
const ONE_WAY_HERE: &str =
    "; but between these hosts one direction was captured only, so an answer may have been missed";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::findings::testbed::{AUDIO, DNS, EXEMPT_IN, SIP, Sample, Testbed, WEB, flow};
    use crate::findings::{MAX_ADDRESSES, MAX_FRAMES};

    fn unexpected(from: &str, to: &str) -> Sample {
        flow(from, to).class(Class::Unexpected).nearest(WEB, Misfit::Port)
    }

    #[test]
    fn a_scan_of_60000_ports_is_one_finding() {
        let bed = Testbed::default();
        let mut audit = Audit::over(&bed);
        for port in 1..=60_000_u64 {
            let sample = unexpected("10.20.0.101:50000", &format!("10.0.1.11:{port}"))
                .frame(port)
                .outcome(Outcome::Unanswered);
            audit.add(&sample.judged());
        }
        assert_eq!(audit.ledgers.len(), 1);
        let summary = audit.finish();
        assert_eq!(summary.flows, 60_000);
        let [finding] = summary.findings.as_slice() else {
            panic!("{} findings", summary.findings.len());
        };
        assert_eq!(finding.ports, [(1, 60_000)]);
        assert_eq!(finding.flows, 60_000);
        assert_eq!(finding.frames.len(), MAX_FRAMES);
        assert_eq!(
            finding.message,
            "client 10.20.0.101 tries front-end fe01 on tcp/1-60000, where no expectation \
             allows it (nearest: S13 tcp/8080)"
        );
    }

    #[test]
    fn fingerprints_are_the_same_for_years() {
        let bed = Testbed::default();
        let finding = bed.only_finding(&unexpected("10.20.0.101:51000", "10.0.1.11:8888"));
        assert_eq!(finding.fingerprint, PINNED);
        // Neither hosts of the same role, nor source ports, frames or outcomes change them.
        let other =
            unexpected("10.20.0.7:1025", "10.0.1.12:8888").frame(99).outcome(Outcome::Refused);
        assert_eq!(bed.only_finding(&other).fingerprint, PINNED);
        for (from, to) in [
            ("10.20.0.101:51000", "10.0.1.11:8889"),
            ("10.20.0.101:51000", "10.0.1.31:8888"),
            ("192.0.2.9:51000", "10.0.1.11:8888"),
        ] {
            let finding = bed.only_finding(&unexpected(from, to));
            assert_ne!(finding.fingerprint, PINNED, "{from} {to}");
        }
        // Dynamic ports are one.
        let dynamic = [50_001, 50_002].map(|port| {
            let sample = unexpected("10.20.0.101:51000", &format!("10.0.1.11:{port}"));
            bed.only_finding(&sample).fingerprint
        });
        assert_eq!(dynamic[0], dynamic[1]);
    }

    #[test]
    fn hosts_of_a_role_are_one_finding() {
        let clients: Vec<Sample> = (1..=40)
            .map(|n| unexpected(&format!("10.20.0.{n}:51000"), "10.0.1.11:8888").frame(100 - n))
            .collect();
        let findings = Testbed::default().findings(&clients);
        let [finding] = findings.as_slice() else {
            panic!("{} findings", findings.len());
        };
        assert_eq!((finding.flows, finding.packets, finding.bytes), (40, 400, 40_000));
        assert_eq!(finding.initiator.addresses.len(), MAX_ADDRESSES);
        assert!(finding.initiator.more_addresses && !finding.responder.more_addresses);
        assert_eq!(finding.frames[0].frame, 60);
        assert_eq!(
            finding.message,
            "client hosts 10.20.0.1, 10.20.0.2, 10.20.0.3 and more reach front-end fe01 on tcp/8888, \
             where no expectation allows it (nearest: S13 tcp/8080)"
        );
        assert_eq!(finding.display_filter, "ip.addr == 10.0.1.11 && tcp.port == 8888");
    }

    #[test]
    fn worst_findings_come_first() {
        let findings = Testbed::default().findings(&[
            unexpected("10.20.0.101:51000", "192.0.2.9:25"),
            unexpected("10.0.1.11:51000", "192.0.2.9:25"),
            unexpected("10.20.0.101:51000", "10.0.1.11:8888"),
            unexpected("10.20.0.101:51000", "10.0.1.11:7777"),
            flow("10.20.0.101:51000", "10.0.1.11:5061")
                .class(Class::PortOnly)
                .row(SIP)
                .outcome(Outcome::Refused),
        ]);
        let order: Vec<_> = findings.iter().map(|f| (f.severity, f.rule, f.ports[0].0)).collect();
        assert_eq!(
            order,
            [
                (Severity::Error, "unexpected-port", 7777),
                (Severity::Error, "unexpected-port", 8888),
                (Severity::Error, "expected-but-refused", 5061),
                (Severity::Warning, "unexpected-port", 25),
                (Severity::Note, "unexpected-port", 25),
            ]
        );
    }

    #[test]
    fn every_class_is_listed_and_counted() {
        let summary = Testbed::default().summary(&[
            flow("10.20.0.101:51000", "10.0.1.11:5061").class(Class::Confirmed).row(SIP),
            flow("192.0.2.1:1", "192.0.2.2:2"),
            flow("192.0.2.1:1", "192.0.2.2:3"),
        ]);
        assert_eq!(summary.by_class.len(), Class::ALL.len());
        assert_eq!(summary.by_class[&Class::Unexpected], ClassTotals::default());
        assert_eq!(
            summary.by_class[&Class::OutOfScope],
            ClassTotals { flows: 2, packets: 20, bytes: 2_000 }
        );
        assert!(summary.findings.is_empty());
    }

    #[test]
    fn silence_means_nothing_where_one_direction_is_captured() {
        let query = flow("10.0.1.11:51000", "10.0.1.41:53")
            .udp()
            .class(Class::Infrastructure)
            .row(DNS)
            .packets(3, 0)
            .outcome(Outcome::Unanswered);
        let one_sided = flow("10.20.0.101:51000", "10.0.1.11:5061")
            .class(Class::PortOnly)
            .row(SIP)
            .packets(9, 0)
            .outcome(Outcome::OneSided);
        let bed = Testbed::default();
        assert_eq!(bed.only_finding(&query).severity, Severity::Warning);
        let findings = bed.findings(&[query.clone(), one_sided.clone()]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].severity, Severity::Note);
        assert!(findings[0].message.ends_with(ONE_WAY), "{}", findings[0].message);
        // A mirror leaks some of the other direction; half of the connections are enough to be sure.
        let both = flow("10.20.0.102:51000", "10.0.1.11:5061").class(Class::PortOnly).row(SIP);
        let leaky = [query.clone(), one_sided.clone(), one_sided.clone(), both.clone()];
        assert_eq!(bed.findings(&leaky)[0].severity, Severity::Note);
        let fair = [query, one_sided, both];
        assert_eq!(bed.findings(&fair)[0].severity, Severity::Warning);
    }

    #[test]
    fn silence_between_hosts_of_one_direction_is_a_note() {
        let query = |client: &str| {
            flow(&format!("{client}:51000"), "10.0.1.41:53")
                .udp()
                .class(Class::Infrastructure)
                .row(DNS)
                .packets(3, 0)
                .outcome(Outcome::Unanswered)
        };
        let bed = Testbed::default();
        let mut pairs = Pairs::default();
        pairs.one_sided(["10.0.1.41", "10.0.1.11"].map(|end| end.parse().unwrap()));
        let found = |clients: &[&str]| {
            let mut audit = Audit::over(&bed).with_pairs(pairs.clone());
            for client in clients {
                audit.add(&query(client).judged());
            }
            audit.finish().findings.remove(0)
        };
        let note = found(&["10.0.1.11"]);
        assert_eq!((note.severity, note.confidence), (Severity::Note, Confidence::Low));
        assert!(note.message.ends_with(ONE_WAY_HERE), "{}", note.message);
        // One host of which both directions are seen is enough.
        let both = found(&["10.0.1.11", "10.0.1.12"]);
        assert_eq!((both.severity, both.flows), (Severity::Warning, 2));
        assert!(!both.message.contains("one direction"), "{}", both.message);
    }

    #[test]
    fn fresh_findings_are_told_once() {
        let bed = Testbed::default();
        let mut audit = Audit::over(&bed);
        assert!(audit.fresh().is_empty());
        let first = unexpected("10.20.0.101:51000", "10.0.1.11:8888");
        audit.add(&first.judged());
        assert_eq!(audit.fresh().len(), 1);
        audit.add(&first.judged());
        assert!(audit.fresh().is_empty());
        audit.add(&unexpected("10.20.0.101:51000", "10.0.1.11:9999").judged());
        let fresh = audit.fresh();
        assert_eq!(fresh.len(), 1);
        assert_eq!(fresh[0].ports, [(9999, 9999)]);
        assert_eq!(audit.finish().findings.len(), 2);
    }

    fn any_sample() -> impl Strategy<Value = Sample> {
        let hosts = prop_oneof![
            (1..60_u8).prop_map(|n| format!("10.20.0.{n}")),
            Just("10.0.1.11".to_owned()),
            Just("10.0.1.12".to_owned()),
            Just("10.0.1.31".to_owned()),
            Just("10.0.1.41".to_owned()),
            Just("192.0.2.9".to_owned()),
        ];
        let ports = prop_oneof![1..12_u16, Just(5061), 49_150..49_180_u16];
        let kinds = 0..7_u8;
        let outcomes = prop_oneof![
            Just(Outcome::Established),
            Just(Outcome::Refused),
            Just(Outcome::Unanswered),
            Just(Outcome::OneSided),
        ];
        ((hosts.clone(), hosts), ports, kinds, outcomes, 1..50_u64, 0..3_u64).prop_map(
            |((from, to), port, kind, outcome, frame, back)| {
                let sample = flow(&format!("{from}:50000"), &format!("{to}:{port}"))
                    .frame(frame)
                    .packets(2, back);
                match kind {
                    0 => sample.class(Class::Unexpected),
                    1 => sample.class(Class::Unexpected).nearest(SIP, Misfit::Peer),
                    2 => sample.class(Class::PortOnly).row(SIP).outcome(outcome),
                    3 => sample.class(Class::RangeUnconfirmed).row(AUDIO),
                    4 => {
                        let signs = [
                            crate::policy::MediaSign::SharedRange,
                            crate::policy::MediaSign::Content,
                        ];
                        let sign = signs[usize::from(back == 0)];
                        sample.udp().exempt(&[(EXEMPT_IN, sign)]).inside_ah([frame, back])
                    }
                    5 => sample.esp(7),
                    _ => sample
                        .class(Class::Unexpected)
                        .nearest(WEB, Misfit::Port)
                        .protocol(if back == 0 { "http" } else { "sip" }),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn the_order_of_adding_decides_nothing(
            (samples, shuffled) in prop::collection::vec(any_sample(), 0..120)
                .prop_flat_map(|samples| (Just(samples.clone()), Just(samples).prop_shuffle()))
        ) {
            let bed = Testbed::default();
            prop_assert_eq!(bed.summary(&samples), bed.summary(&shuffled));
        }

        #[test]
        fn findings_are_bounded_and_sorted(
            samples in prop::collection::vec(any_sample(), 0..120)
        ) {
            let summary = Testbed::default().summary(&samples);
            let mut fingerprints = BTreeSet::new();
            for pair in summary.findings.windows(2) {
                prop_assert!(pair[0].severity >= pair[1].severity);
            }
            for finding in &summary.findings {
                prop_assert!(fingerprints.insert(finding.fingerprint.clone()));
                prop_assert!(finding.frames.len() <= MAX_FRAMES);
                prop_assert!(finding.initiator.addresses.len() <= MAX_ADDRESSES);
                prop_assert!(finding.display_filter.len() <= 300);
                prop_assert!(finding.first <= finding.last);
                prop_assert!(!finding.message.is_empty());
            }
            let frames: Vec<&FrameRef> =
                summary.findings.iter().flat_map(|f| &f.frames).collect();
            prop_assert!(frames.iter().all(|f| f.frame > 0));
        }
    }

    const PINNED: &str = "82f384030aa16db9";
}
