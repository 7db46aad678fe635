//! Reports made by hand, for the tests of every format.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{CaptureReport, Format, Grade, Overall, Report, SeemingRole, ServiceSeen, Style};
use crate::decode::{Layer, Transport};
use crate::findings::audit::{ClassTotals, Configured, Exemption, Expected, ExpectedState, Peers};
use crate::findings::negotiations::{Course, Families, Media, Negotiation, Others, Tied};
use crate::findings::{Finding, PartyGroup, Severity, Summary};
use crate::flow::{Counters, DirectionBy, Endpoint, Flow, FrameRef, TcpSeen};
use crate::identify::Confidence;
use crate::identify::ike::Vendors;
use crate::identify::ike::message::Family;
use crate::identify::signals::SignalKind;
use crate::input::{Format as CaptureFormat, LinkType, Tally, Timestamp};
use crate::policy::{Announcement, Class};

/// What a report looks like in a format.
pub(super) fn written(format: &Format, report: &Report, width: Option<u16>) -> String {
    let mut out = Vec::new();
    let style = Style { color: false, width };
    (format.write)(report, style, &mut out).expect("memory takes everything");
    String::from_utf8(out).expect("reports are UTF-8")
}

/// 2024-05-01 12:00:00 UTC and some seconds.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp(1_714_564_800_000_000_000 + seconds * 1_000_000_000)
}

/// A flow of one packet there and two back.
pub(super) fn flow(transport: Transport, from: (&str, u16), to: (&str, u16)) -> Flow {
    let end = |(text, port): (&str, u16)| Endpoint { address: address(text), port };
    let counters = |packets, bytes| Counters { packets, bytes };
    Flow {
        transport,
        ends: [end(from), end(to)],
        spi: None,
        counters: [counters(1, 100), counters(2, 3000)],
        first: at(0),
        last: at(2),
        first_frame: FrameRef { capture: 0, frame: 7 },
        tcp: [TcpSeen(TcpSeen::SYN | TcpSeen::ACK), TcpSeen(TcpSeen::SYN_ACK)],
        wrapping: Some(Box::new(crate::flow::Wrapping {
            vlans: vec![20],
            layers: vec![Layer::Ah { spi: 1 }],
        })),
        associations: None,
        paces: None,
        icmp: None,
        acknowledged: Default::default(),
        direction: DirectionBy::Syn,
    }
}

fn party(role: Option<&str>, names: &[&str], addresses: &[&str]) -> PartyGroup {
    PartyGroup {
        role: role.map(String::from),
        names: names.iter().map(ToString::to_string).collect(),
        addresses: addresses.iter().map(|a| address(a)).collect(),
        more_addresses: false,
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A finding of severity error.
pub(super) fn clear_text() -> Finding {
    Finding {
        fingerprint: "cleartext-signalling:client:front-end:tcp:5061".into(),
        rule: "cleartext-signalling",
        severity: Severity::Error,
        confidence: Confidence::High,
        message: "SIP in clear text on tcp/5061, where S03 expects TLS.".into(),
        why: "Passwords and call data can be read on the way.",
        remedy: vec![
            "Set the client's transport to TLS.".into(),
            "Close tcp/5060 on the pool.".into(),
        ],
        initiator: party(Some("client"), &["users"], &["10.0.20.5", "10.0.20.6"]),
        responder: party(Some("front-end"), &["fe01"], &["10.0.1.11"]),
        ports: vec![(5061, 5061)],
        transport: Transport::TCP,
        protocol: Some("sip"),
        also: BTreeSet::new(),
        expectation: Some("S03".into()),
        layer: Some("built-in".into()),
        flows: 2,
        packets: 1340,
        bytes: 451_200,
        first: at(1),
        last: at(62),
        frames: vec![
            FrameRef { capture: 0, frame: 12 },
            FrameRef { capture: 0, frame: 1015 },
            FrameRef { capture: 1, frame: 3 },
        ],
        display_filter: "ip.addr == 10.0.1.11 && tcp.port == 5061".into(),
        bpf: "host 10.0.1.11 and tcp port 5061".into(),
        announced: None,
    }
}

/// A finding of severity warning about a host without role.
pub(super) fn unexpected() -> Finding {
    Finding {
        fingerprint: "unexpected-port:-:sql:udp:1024-65535".into(),
        rule: "unexpected-port",
        severity: Severity::Warning,
        confidence: Confidence::Medium,
        message: "Nothing is expected on these ports of a database server.".into(),
        why: "It may be an intruder.",
        remedy: vec!["Find out what listens there.".into()],
        initiator: party(None, &[], &["fe80::9"]),
        responder: party(Some("sql"), &["db1", "db2"], &["10.0.3.1", "10.0.3.2"]),
        ports: vec![(137, 137), (1024, 65535)],
        transport: Transport::UDP,
        protocol: None,
        also: BTreeSet::new(),
        expectation: None,
        layer: None,
        flows: 1,
        packets: 1,
        bytes: 92,
        first: at(5),
        last: at(5),
        frames: vec![FrameRef { capture: 1, frame: 7 }],
        display_filter: "udp.port == 137".into(),
        bpf: "udp port 137".into(),
        announced: Some(learned()),
    }
}

/// What an endpoint mapper said.
pub(super) fn learned() -> Announcement {
    Announcement {
        kind: SignalKind::EptMap,
        services: ["lsarpc", "samr"].map(str::to_owned).into(),
        exchange: None,
        by: address("10.0.1.11"),
        at: FrameRef { capture: 1, frame: 12 },
        times: [at(4), at(4)],
    }
}

/// A negotiation for which media waited.
fn negotiated() -> Tied {
    let began = at(2);
    let later = |microseconds: i64| Timestamp(began.0 + microseconds * 1000);
    let end = |text, port| Endpoint { address: address(text), port };
    let media = Media {
        first: began,
        first_frame: FrameRef { capture: 0, frame: 40 },
        last: later(100_100),
        transport: Transport::UDP,
        ends: [end("10.0.20.5", 50_020), end("10.0.1.11", 49_152)],
        protocol: Some("rtp"),
        packets: 6,
        rows: Vec::new(),
    };
    Tied {
        negotiation: Negotiation {
            initiator: address("10.0.20.5"),
            responder: address("10.0.1.11"),
            families: Families::of(Family::Ike1).with(Families::of(Family::AuthIp)),
            start_seen: true,
            first: began,
            first_frame: FrameRef { capture: 0, frame: 41 },
            last: later(900_000),
            attempts: 2,
            messages: 10,
            retransmits: 1,
            round_trips: 4,
            renewals: 0,
            vendors: Vendors::default(),
            behind_nat: false,
            answered: true,
            error: None,
            course: Course::Completed,
        },
        association: Some(later(1_250_500)),
        media: Some(media.clone()),
        clear: Some(media),
        other_triggers: 1,
        icmp_triggers: 0,
        others: Others::default(),
        kept: None,
        trigger_frames: BTreeSet::from([FrameRef { capture: 0, frame: 39 }]),
    }
}

fn capture(path: &str, frames: u64, format: CaptureFormat) -> CaptureReport {
    CaptureReport {
        path: path.into(),
        format,
        compression: None,
        tally: Tally {
            frames,
            captured_bytes: frames * 90,
            wire_bytes: frames * 812,
            first: Some(at(0)),
            last: Some(at(750)),
            link_types: BTreeSet::from([LinkType::ETHERNET]),
            ..Tally::default()
        },
        undecoded: BTreeMap::new(),
        fragments: 0,
        duplicates: Some(0),
        routed_duplicates: 0,
        checksums: (0, 0),
        damage: None,
        live: None,
    }
}

fn expected(row: &str, responder: &str, port: u16, state: ExpectedState) -> Expected {
    Expected {
        row: row.into(),
        initiator_role: Some("client".into()),
        responder: responder.into(),
        port,
        state,
    }
}

/// A report in which every section has something to say.
pub(super) fn failing() -> Report {
    let mut truncated = capture("site/fe01.pcapng", 120_345, CaptureFormat::Pcapng);
    truncated.tally.truncated_frames = 12;
    truncated.undecoded = BTreeMap::from([("arp".into(), 30), ("ip-header".into(), 1)]);
    let mut damaged = capture("site/db1.pcap", 9, CaptureFormat::Pcap);
    damaged.damage = Some("the file ends inside frame 10".into());
    let totals = |flows, packets, bytes| ClassTotals { flows, packets, bytes };
    Report {
        captures: vec![truncated, damaged],
        grade: Grade::Degraded,
        reasons: vec!["12 frames are cut short".into()],
        summary: Summary {
            findings: vec![clear_text(), unexpected()],
            flows: 1234,
            by_class: BTreeMap::from([
                (Class::Confirmed, totals(1231, 119_000, 90_000_000)),
                (Class::WrongProtocol, totals(2, 1340, 451_200)),
                (Class::Unexpected, totals(1, 1, 92)),
            ]),
            expected: vec![
                expected("S01", "fe01", 443, ExpectedState::Seen),
                expected("S02", "fe01", 135, ExpectedState::Refused),
                expected("S03", "fe02", 5061, ExpectedState::NeverSeen),
            ],
            ipsec_deployed: true,
            exemptions: vec![
                Exemption {
                    row: "X05".into(),
                    name: "A/V Edge internal".into(),
                    status: "proven",
                    evidence: vec!["ESP from 10.0.1.11 to 10.0.4.1 in frame 99".into()],
                    remedy: vec!["Exempt 10.0.4.1.".into()],
                    grounds: vec!["media-content"],
                    same_as: vec!["X09".into()],
                    peers: Peers { count: 1, addresses: vec![address("10.0.4.1")] },
                    frames: vec![FrameRef { capture: 0, frame: 99 }],
                    delay: Some(141_900_000),
                    configured: vec![Configured {
                        host: "med01".into(),
                        rule: Some("media".into()),
                        says: "exempts",
                        seen: "inside-ipsec",
                        contradicts: true,
                        frame: FrameRef { capture: 0, frame: 99 },
                        text: "rule 'media' of the export of med01 exempts it".into(),
                    }],
                    ..Exemption::default()
                },
                Exemption {
                    row: "X06".into(),
                    name: "Mediation".into(),
                    status: "not-observed",
                    reason: Some("no-media-seen"),
                    ..Exemption::default()
                },
            ],
            negotiations: vec![negotiated()],
            ..Summary::default()
        },
        overall: Overall::Fail,
        exit_code: 1,
        topology: true,
        seeming_roles: Vec::new(),
        services: Vec::new(),
        names: BTreeMap::new(),
        strict: false,
        untracked_packets: 0,
        fragments: crate::flow::FragmentCounts::default(),
    }
}

/// A report without topology.
pub(super) fn first_contact() -> Report {
    Report {
        captures: vec![capture("my site.pcapng", 1000, CaptureFormat::Pcapng)],
        grade: Grade::Good,
        reasons: Vec::new(),
        summary: Summary { flows: 40, ..Summary::default() },
        overall: Overall::Inconclusive,
        exit_code: 3,
        topology: false,
        seeming_roles: vec![SeemingRole {
            address: address("10.0.1.11"),
            role: "front-end".into(),
            evidence: vec!["tcp/5061 tls".into(), "tcp/443 tls".into()],
        }],
        services: vec![ServiceSeen {
            transport: "tcp".into(),
            port: Some(5061),
            protocol: Some("tls"),
            responders: 1,
            flows: 40,
            packets: 12_000,
            bytes: 3_400_000,
        }],
        names: BTreeMap::new(),
        strict: false,
        untracked_packets: 0,
        fragments: crate::flow::FragmentCounts::default(),
    }
}

/// A report of nothing at all.
pub(super) fn empty() -> Report {
    Report {
        captures: Vec::new(),
        grade: Grade::Good,
        reasons: Vec::new(),
        summary: Summary::default(),
        overall: Overall::Pass,
        exit_code: 0,
        topology: true,
        seeming_roles: Vec::new(),
        services: Vec::new(),
        names: BTreeMap::new(),
        strict: true,
        untracked_packets: 0,
        fragments: crate::flow::FragmentCounts::default(),
    }
}

/// A report in which every text that may come from outside is hostile.
pub(super) fn hostile() -> Report {
    let mut report = failing();
    for capture in &mut report.captures {
        capture.path = NASTY.into();
        capture.damage = Some(NASTY.into());
        capture.undecoded = BTreeMap::from([(NASTY.into(), 1)]);
    }
    report.reasons = vec![NASTY.into()];
    for finding in &mut report.summary.findings {
        finding.fingerprint = NASTY.into();
        finding.message = NASTY.into();
        finding.remedy = vec![NASTY.into(), NASTY.into()];
        finding.initiator.role = Some(NASTY.into());
        finding.initiator.names = BTreeSet::from([NASTY.into()]);
        finding.responder.names = BTreeSet::from([NASTY.into()]);
        finding.expectation = Some(NASTY.into());
        finding.layer = Some(NASTY.into());
        finding.display_filter = NASTY.into();
        if let Some(known) = &mut finding.announced {
            known.services = [NASTY.to_owned()].into();
        }
    }
    let addresses = report.summary.findings.iter().flat_map(|f| f.initiator.addresses.iter());
    report.names = addresses.map(|address| (*address, vec![NASTY.into(), NASTY.into()])).collect();
    for capture in &mut report.captures {
        capture.tally.notes.filters.add(NASTY.as_bytes());
    }
    for expected in &mut report.summary.expected {
        expected.row = NASTY.into();
        expected.responder = NASTY.into();
        expected.initiator_role = Some(NASTY.into());
    }
    for exemption in &mut report.summary.exemptions {
        exemption.name = NASTY.into();
        exemption.evidence = vec![NASTY.into()];
        for configured in &mut exemption.configured {
            (configured.rule, configured.text) = (Some(NASTY.into()), NASTY.into());
        }
    }
    report
}

/// An escape sequence, line breaks, a reversal, markup, a formula.
pub(super) const NASTY: &str =
    "=a|b\n\x1b[2J\u{202e}<img src=x>`c` @all #1 [x](http://e.vil) \u{9b}1m\r\t*d*";
