//! A small site for tests: a client network, a front-end, a mediation server, a domain controller,
//! an edge server, and flows between them, judged by hand.

mod rows;

use std::net::{IpAddr, SocketAddr};
use std::sync::LazyLock;

use super::audit::{Audit, Summary};
use super::case::{Case, Lookup, Row};
use super::{Deployment, Finding, Judged, Negotiations, Rule, Spark};
use crate::decode::{Carriage, IcmpErrorKind, NullForm, Protector, Transport};
use crate::flow::{
    Association, Associations, Counters, DirectionBy, Endpoint, Flow, FrameRef, IcmpSeen, Outcome,
    Pace, TcpSeen,
};
use crate::identify::{Confidence, Identification};
use crate::input::Timestamp;
use crate::policy::exports::HostPolicy;
use crate::policy::{
    Announced, Announcement, Class, Contradiction, ExpectationId, MediaSide, MediaSign, Misfit,
    Need, Party, PortSet, Profile, Required, RoleSet, Verdict,
};

use rows::ANYONE;
pub(super) use rows::*;

/// Gateways that the topology declares.
pub(super) const GATEWAYS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

const ROLES: [(&str, bool); 6] = [
    ("client", false),
    ("front-end", true),
    ("mediation", true),
    ("domain-controller", true),
    ("access-edge", true),
    ("exchange-um", true),
];

/// The media ports of the exemption rows.
static MEDIA_PORTS: LazyLock<PortSet> = LazyLock::new(|| PortSet::new([(49152, 57500)]));

/// The site's policy and topology.
#[derive(Debug, Default)]
pub(super) struct Testbed {
    pub(super) required: Vec<Required>,
    pub(super) ipsec_declared: bool,
    pub(super) strict: bool,
    pub(super) deployment: Deployment,
    pub(super) exported: Vec<HostPolicy>,
    pub(super) negotiations: Negotiations,
    pub(super) profile: Profile,
    /// The media row that every flow of media misses.
    pub(super) media_outside: Option<(ExpectationId, Misfit)>,
}

impl Testbed {
    /// What a rule says about one flow.
    pub(super) fn fires(&self, rule: &Rule, sample: &Sample) -> Option<Spark> {
        let judged = sample.judged();
        (rule.check)(&Case::of(&judged, self, &self.deployment))
    }

    /// The findings of some flows.
    pub(super) fn findings(&self, samples: &[Sample]) -> Vec<Finding> {
        self.summary(samples).findings
    }

    /// The findings of one flow, which must be one.
    pub(super) fn only_finding(&self, sample: &Sample) -> Finding {
        let mut findings = self.findings(std::slice::from_ref(sample));
        assert_eq!(findings.len(), 1, "{findings:#?}");
        findings.remove(0)
    }

    /// Everything about some flows.
    pub(super) fn summary(&self, samples: &[Sample]) -> Summary {
        let mut audit = Audit::over(self);
        let mut deployment = Deployment::default();
        for sample in samples {
            deployment.note(sample.judged().flow);
        }
        audit.tell_deployment(deployment.into());
        audit.heed(&self.negotiations);
        for sample in samples {
            audit.add(&sample.judged());
        }
        audit.settle(Timestamp(i64::MAX));
        audit.finish()
    }
}

impl Lookup for Testbed {
    fn party(&self, address: IpAddr) -> Party<'_> {
        let (bit, name) = match address {
            IpAddr::V4(v4) => match v4.octets() {
                [10, 20, 0, _] => (0, "users"),
                [10, 0, 1, 11] => (1, "fe01"),
                [10, 0, 1, 12] => (1, "fe02"),
                [10, 0, 1, 31] => (2, "med01"),
                [10, 0, 1, 41] => (3, "dc01"),
                [198, 51, 100, 5] => (4, "edge01"),
                _ => {
                    return Party { roles: ANYONE, role: None, name: None, server: false };
                }
            },
            IpAddr::V6(_) => (0, "users"),
        };
        let (role, server) = ROLES[bit];
        Party { roles: RoleSet(1 << bit), role: Some(role), name: Some(name), server }
    }

    fn row(&self, id: ExpectationId) -> Row<'_> {
        ROWS[id.0 as usize]
    }

    fn expects_answer(&self, id: ExpectationId) -> bool {
        id != SYSLOG.key && id != AUDIO.key
    }

    fn role_names(&self, set: RoleSet) -> Vec<&str> {
        ROLES
            .iter()
            .enumerate()
            .filter(|(bit, _)| set.0 & (1 << bit) != 0)
            .map(|(_, (name, _))| *name)
            .collect()
    }

    fn required(&self) -> &[Required] {
        &self.required
    }

    fn exemptions(&self) -> Vec<(ExpectationId, bool)> {
        vec![(EXEMPT_IN.key, true), (EXEMPT_OUT.key, true), (EXEMPT_EXCHANGE.key, false)]
    }

    fn carries_media(&self, roles: RoleSet) -> bool {
        // The rows of clients are not here.
        let clients = RoleSet(1);
        let of_row = |row: &Row<'_>| (row.from.0 | row.to.0) & roles.0 != 0;
        let exempt = [EXEMPT_IN, EXEMPT_OUT, EXEMPT_EXCHANGE];
        roles.0 & clients.0 != 0 || ROWS.iter().filter(|row| row.media).chain(&exempt).any(of_row)
    }

    fn needs(&self) -> Vec<Need<'_>> {
        let need = |row: Row<'_>, side, host: Option<&str>| Need {
            row: row.key,
            side,
            hosts: host.map(|host| host.parse().unwrap()).into_iter().collect(),
            transports: &[6, 17],
            ports: &MEDIA_PORTS,
            by_transport: &[],
            media_ports: &MEDIA_PORTS,
            content_required: false,
        };
        vec![
            need(EXEMPT_IN, MediaSide::To, Some("10.0.1.31/32")),
            need(EXEMPT_OUT, MediaSide::From, Some("10.0.1.31/32")),
            need(EXEMPT_EXCHANGE, MediaSide::To, None),
        ]
    }

    fn exported(&self) -> &[HostPolicy] {
        &self.exported
    }

    fn ipsec_declared(&self) -> bool {
        self.ipsec_declared
    }

    fn is_gateway(&self, address: IpAddr) -> bool {
        GATEWAYS.iter().any(|gateway| address.to_string() == *gateway)
    }

    fn strict(&self) -> bool {
        self.strict
    }

    fn profile(&self) -> Profile {
        self.profile
    }

    fn media_outside(&self, _: &Flow, what: &Identification) -> Option<(ExpectationId, Misfit)> {
        self.media_outside.filter(|_| what.protocol == Some("rtp"))
    }

    fn speaks_legacy(&self, what: &Identification) -> bool {
        what.facts.get("smb_dialect") == Some("1")
    }

    fn speaks_elsewhere(&self, flow: &Flow, what: &Identification) -> bool {
        let home = |row: &Row<'_>| row.application == what.protocol;
        let here = |row: &Row<'_>| row.contains(flow.responder().port);
        ROWS.iter().any(home) && !ROWS.iter().any(|row| home(row) && here(row))
    }
}

/// A judged flow that owns its parts.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) flow: Flow,
    identification: Identification,
    verdict: Verdict,
    outcome: Outcome,
}

/// An established TCP flow out of scope, to be bent into what a test needs.
pub(super) fn flow(from: &str, to: &str) -> Sample {
    let end = |text: &str| {
        let socket: SocketAddr = text.parse().unwrap();
        Endpoint { address: socket.ip(), port: socket.port() }
    };
    let first_frame = FrameRef { capture: 0, frame: 1 };
    Sample {
        flow: Flow {
            transport: Transport::TCP,
            ends: [end(from), end(to)],
            spi: None,
            counters: [Counters::default(); 2],
            first: Timestamp(1_000),
            last: Timestamp(2_000),
            first_frame,
            tcp: [TcpSeen::default(); 2],
            wrapping: None,
            associations: None,
            paces: None,
            icmp: None,
            acknowledged: Default::default(),
            direction: DirectionBy::Syn,
        },
        identification: Identification::default(),
        verdict: Verdict {
            class: Class::OutOfScope,
            expectation: None,
            others: Vec::new(),
            contradiction: None,
            nearest: None,
            exempt: Vec::new(),
            announced: None,
        },
        outcome: Outcome::Established,
    }
    .packets(5, 5)
}

impl Sample {
    pub(super) fn judged(&self) -> Judged<'_> {
        Judged {
            flow: &self.flow,
            identification: &self.identification,
            verdict: &self.verdict,
            outcome: self.outcome,
        }
    }

    pub(super) fn udp(mut self) -> Self {
        self.flow.transport = Transport::UDP;
        self.flow.direction = DirectionBy::FirstSpeaker;
        self.outcome = Outcome::Datagram;
        self
    }

    /// Announced in this way for media at the responder.
    pub(super) fn announced(mut self, announcement: &Announcement) -> Self {
        let announced = Announced { announcement: announcement.clone(), media: [false, true] };
        self.verdict.announced = Some(Box::new(announced));
        self
    }

    pub(super) fn esp(mut self, spi: u32) -> Self {
        self.flow.transport = Transport::ESP;
        self.flow.ends.iter_mut().for_each(|end| end.port = 0);
        self.flow.spi = Some(spi);
        let pace =
            Pace { packets: 3, spis: Some((spi, spi)), sequences: Some((1, 3)), ..Pace::default() };
        self = self.paced(pace);
        self.outcome = Outcome::Datagram;
        self
    }

    /// Captured from one time to another, in ms.
    pub(super) fn during(mut self, first: i64, last: i64) -> Self {
        [self.flow.first, self.flow.last] = [first, last].map(|ms| Timestamp(ms * 1_000_000));
        self.frame(first.unsigned_abs())
    }

    pub(super) fn packets(mut self, forward: u64, backward: u64) -> Self {
        self.flow.counters =
            [forward, backward].map(|packets| Counters { packets, bytes: packets * 100 });
        self
    }

    pub(super) fn class(mut self, class: Class) -> Self {
        self.verdict.class = class;
        self
    }

    pub(super) fn row(mut self, row: Row<'_>) -> Self {
        self.verdict.expectation = Some(row.key);
        self
    }

    pub(super) fn nearest(mut self, row: Row<'_>, misfit: Misfit) -> Self {
        self.verdict.nearest = Some((row.key, misfit));
        self
    }

    pub(super) fn contradiction(mut self, contradiction: Contradiction) -> Self {
        self.verdict.contradiction = Some(contradiction);
        self
    }

    pub(super) fn exempt(mut self, rows: &[(Row<'_>, MediaSign)]) -> Self {
        self.verdict.exempt = rows.iter().map(|(row, sign)| (row.key, *sign)).collect();
        self
    }

    pub(super) fn protocol(mut self, token: &'static str) -> Self {
        self.identification.protocol = Some(token);
        self.confidence(Confidence::High)
    }

    pub(super) fn also(mut self, token: &'static str) -> Self {
        self.identification.also.push(token);
        self
    }

    pub(super) fn fact(mut self, name: &'static str, value: &'static str) -> Self {
        self.identification.facts.set(name, value);
        self
    }

    pub(super) fn confidence(mut self, confidence: Confidence) -> Self {
        self.identification.confidence = Some(confidence);
        self
    }

    pub(super) fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    pub(super) fn tcp(mut self, seen: [TcpSeen; 2]) -> Self {
        self.flow.tcp = seen;
        self
    }

    pub(super) fn direction(mut self, by: DirectionBy) -> Self {
        self.flow.direction = by;
        self
    }

    pub(super) fn frame(mut self, frame: u64) -> Self {
        self.flow.first_frame.frame = frame;
        self
    }

    pub(super) fn inside_ah(self, packets: [u64; 2]) -> Self {
        let [a, b] = self.flow.ends.map(|end| end.address);
        self.inside(Protector::Ah, [(a, b), (b, a)], packets)
    }

    /// What the initiator sends, inside ESP without encryption between two hosts on the way.
    pub(super) fn in_tunnel(self, (from, to): (&str, &str), packets: u64) -> Self {
        let form = NullForm { icv: 12, iv: 0 };
        let ends = (from.parse().unwrap(), to.parse().unwrap());
        self.inside(Protector::Esp(form), [ends; 2], [packets, 0])
    }

    fn inside(
        mut self,
        protocol: Protector,
        ends: [(IpAddr, IpAddr); 2],
        packets: [u64; 2],
    ) -> Self {
        let of = |side: usize| {
            (packets[side] > 0).then_some(Association {
                protocol,
                spi: 0x1020_3040,
                carriage: Carriage::Ip,
                ends: ends[side],
                first_frame: FrameRef { capture: 0, frame: 3 },
                first: self.flow.first,
                before: None,
                packets: packets[side],
            })
        };
        let own = ends[0] == (self.flow.ends[0].address, self.flow.ends[1].address);
        let both = [of(0), of(1)];
        let mut around = Associations::default();
        if own {
            around.hosts = both;
        } else {
            around.tunnel = both;
        }
        self.flow.associations = Some(Box::new(around));
        self
    }

    /// What the initiator sends, hidden by IPsec.
    pub(super) fn paced(mut self, pace: Pace) -> Self {
        self.flow.paces = Some(Box::new([pace, Pace::default()]));
        self
    }

    pub(super) fn icmp(mut self, kind: IcmpErrorKind, frame: u64) -> Self {
        self.flow.icmp = Some(Box::new(IcmpSeen {
            first_frame: FrameRef { capture: 0, frame },
            kind,
            count: 1,
        }));
        self
    }
}

/// A service of the domain controller that clients must reach.
pub(super) fn required_ldap() -> Required {
    Required {
        expectation: LDAP.key,
        initiator_role: None,
        responder: "dc01".into(),
        addresses: vec!["10.0.1.41".parse().unwrap()],
        port: 389,
        transports: vec![6, 17],
    }
}

/// A service of the mediation server that front-ends must reach.
pub(super) fn required_mediation() -> Required {
    Required {
        expectation: MEDIATION_SIP.key,
        initiator_role: Some("front-end+director".into()),
        responder: "med01".into(),
        addresses: vec!["10.0.1.31".parse().unwrap()],
        port: 5070,
        transports: vec![6],
    }
}
