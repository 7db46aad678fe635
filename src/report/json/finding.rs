//! A finding as JSON: an element of the report's `findings`, and a line of `jsonl`.

use std::net::IpAddr;

use serde::Serialize;

use crate::findings::{Finding, PartyGroup};
use crate::flow::FrameRef;
use crate::identify::signals::Exchange;
use crate::policy::Announcement;
use crate::report::text;

/// One finding. The order of the fields is the order of the keys.
#[derive(Debug, Serialize)]
pub(in crate::report) struct FindingJson<'r> {
    fingerprint: &'r str,
    rule: &'static str,
    severity: &'static str,
    confidence: &'static str,
    message: &'r str,
    why: &'static str,
    remedy: &'r [String],
    initiator: Party<'r>,
    responder: Responder<'r>,
    transport: String,
    protocol: Option<&'static str>,
    expectation: Option<&'r str>,
    layer: Option<&'r str>,
    flows: u64,
    packets: u64,
    bytes: u64,
    first: String,
    last: String,
    evidence: Evidence<'r>,
    learned: Option<Learned<'r>>,
}

impl<'r> FindingJson<'r> {
    /// Borrows a finding.
    pub(in crate::report) fn of(finding: &'r Finding) -> Self {
        Self {
            fingerprint: &finding.fingerprint,
            rule: finding.rule,
            severity: finding.severity.token(),
            confidence: finding.confidence.token(),
            message: &finding.message,
            why: finding.why,
            remedy: &finding.remedy,
            initiator: Party::of(&finding.initiator),
            responder: Responder {
                party: Party::of(&finding.responder),
                ports: finding.ports.iter().map(|&range| Ports::of(range)).collect(),
            },
            transport: finding.transport.to_string(),
            protocol: finding.protocol,
            expectation: finding.expectation.as_deref(),
            layer: finding.layer.as_deref(),
            flows: finding.flows,
            packets: finding.packets,
            bytes: finding.bytes,
            first: text::time(finding.first),
            last: text::time(finding.last),
            evidence: Evidence::of(finding),
            learned: finding.announced.as_ref().map(Learned::of),
        }
    }
}

/// One side. `name` is for reading and joins several names; `names` is for programs.
#[derive(Debug, Serialize)]
struct Party<'r> {
    role: Option<&'r str>,
    name: Option<String>,
    names: Vec<&'r str>,
    addresses: Vec<&'r IpAddr>,
    more_addresses: bool,
}

impl<'r> Party<'r> {
    fn of(group: &'r PartyGroup) -> Self {
        let names: Vec<&str> = group.names.iter().map(String::as_str).collect();
        Self {
            role: group.role.as_deref(),
            name: (!names.is_empty()).then(|| names.join(", ")),
            names,
            addresses: group.addresses.iter().collect(),
            more_addresses: group.more_addresses,
        }
    }
}

#[derive(Debug, Serialize)]
struct Responder<'r> {
    #[serde(flatten)]
    party: Party<'r>,
    ports: Vec<Ports>,
}

/// A port as a number, a range of ports as text: `5061`, `"1024-65535"`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Ports {
    One(u16),
    Range(String),
}

impl Ports {
    fn of(range: (u16, u16)) -> Self {
        if range.0 == range.1 { Self::One(range.0) } else { Self::Range(text::port_range(range)) }
    }
}

#[derive(Debug, Serialize)]
struct Evidence<'r> {
    frames: Vec<Frame>,
    display_filter: &'r str,
    bpf: &'r str,
}

impl<'r> Evidence<'r> {
    fn of(finding: &'r Finding) -> Self {
        Self {
            frames: finding.frames.iter().map(Frame::of).collect(),
            display_filter: &finding.display_filter,
            bpf: &finding.bpf,
        }
    }
}

/// What was announced of a flow, and where for the first time.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Learned<'r> {
    kind: &'static str,
    services: Vec<&'r str>,
    exchange: Option<&'static str>,
    by: IpAddr,
    frame: Frame,
}

impl<'r> Learned<'r> {
    /// Borrows an announcement.
    pub(in crate::report) fn of(known: &'r Announcement) -> Self {
        Self {
            kind: known.kind.token(),
            services: known.services.iter().map(String::as_str).collect(),
            exchange: known.exchange.map(Exchange::token),
            by: known.by,
            frame: Frame::of(&known.at),
        }
    }
}

/// Where a frame is: index of the capture in `captures`, number in it from 1.
#[derive(Debug, Serialize)]
pub(in crate::report) struct Frame {
    pub(in crate::report) capture: u32,
    pub(in crate::report) frame: u64,
}

impl Frame {
    pub(in crate::report) fn of(at: &FrameRef) -> Self {
        Self { capture: at.capture, frame: at.frame }
    }
}
