//! The parts of the JSON report other than findings.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::ser::{Serialize, Serializer};

use super::finding::Frame;
use super::negotiation::NegotiationJson;
use crate::findings::audit::{ClassTotals, Configured, Exemption, Expected};
use crate::flow::FragmentCounts;
use crate::input::Compression;
use crate::policy::Class;
use crate::report::{CaptureReport, Report, SeemingRole, ServiceSeen, answer, text};

/// Who wrote the document.
#[derive(Debug, serde::Serialize)]
pub(in crate::report) struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Tool {
    /// This program.
    pub(in crate::report) const THIS: Self =
        Self { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
}

/// One capture.
#[derive(Debug, serde::Serialize)]
#[expect(clippy::struct_field_names, reason = "the fields are the published keys")]
pub(in crate::report) struct Capture<'r> {
    path: &'r str,
    format: &'static str,
    compression: Option<&'static str>,
    link_types: Vec<Cow<'static, str>>,
    frames: u64,
    captured_bytes: u64,
    wire_bytes: u64,
    first: Option<String>,
    last: Option<String>,
    undecoded: &'r BTreeMap<String, u64>,
    truncated_frames: u64,
    fragments: u64,
    duplicates: Option<u64>,
    routed_duplicates: u64,
    giant_frames: u64,
    backward_steps: u64,
    longest_step_back_ms: f64,
    checksums: ChecksumsJson,
    dropped_by_capture: Option<u64>,
    filtered_out: u64,
    damage: Option<&'r str>,
    live: Option<Live>,
    capture_filters: Vec<&'r str>,
    comments: u64,
}

/// Checksums of segments that open a connection.
#[derive(Debug, serde::Serialize)]
struct ChecksumsJson {
    seen: u64,
    wrong: u64,
}

/// What became of fragmented datagrams.
#[derive(Debug, serde::Serialize)]
pub(in crate::report) struct Fragments {
    datagrams: u64,
    complete: u64,
    incomplete: u64,
    overlapping: u64,
    endless: u64,
    without_first: u64,
    only_first: u64,
    given_up: u64,
}

impl Fragments {
    /// Copies the counts.
    pub(in crate::report) fn of(counts: &FragmentCounts) -> Self {
        Self {
            datagrams: counts.datagrams,
            complete: counts.complete,
            incomplete: counts.incomplete,
            overlapping: counts.overlapping,
            endless: counts.endless,
            without_first: counts.without_first,
            only_first: counts.only_first,
            given_up: counts.given_up,
        }
    }
}

/// What became of the frames of a live capture.
#[derive(Debug, serde::Serialize)]
struct Live {
    received: u64,
    dropped_by_kernel: u64,
    dropped_by_interface: u64,
    unread: u64,
}

impl<'r> Capture<'r> {
    /// Borrows a capture's counts.
    pub(in crate::report) fn of(capture: &'r CaptureReport) -> Self {
        let tally = &capture.tally;
        Self {
            path: &capture.path,
            format: capture.format.token(),
            compression: capture.compression.map(Compression::token),
            link_types: tally.link_types.iter().map(|kind| text::link_type(*kind)).collect(),
            frames: tally.frames,
            captured_bytes: tally.captured_bytes,
            wire_bytes: tally.wire_bytes,
            first: tally.first.map(text::time),
            last: tally.last.map(text::time),
            undecoded: &capture.undecoded,
            truncated_frames: tally.truncated_frames,
            fragments: capture.fragments,
            duplicates: capture.duplicates,
            routed_duplicates: capture.routed_duplicates,
            giant_frames: tally.giant_frames,
            backward_steps: tally.chronology.backwards,
            longest_step_back_ms: (tally.chronology.longest / 1_000) as f64 / 1e3,
            checksums: ChecksumsJson { seen: capture.checksums.1, wrong: capture.checksums.0 },
            dropped_by_capture: tally.dropped(),
            filtered_out: tally.filtered_out,
            damage: capture.damage.as_deref(),
            live: capture.live.map(|counts| Live {
                received: counts.received,
                dropped_by_kernel: counts.dropped_by_kernel,
                dropped_by_interface: counts.dropped_by_interface,
                unread: counts.unread,
            }),
            capture_filters: tally.notes.filters.iter().collect(),
            comments: tally.notes.comments,
        }
    }
}

/// How well the captures support the answer.
#[derive(Debug, serde::Serialize)]
pub(in crate::report) struct Quality<'r> {
    grade: &'static str,
    reasons: &'r [String],
}

impl<'r> Quality<'r> {
    /// Borrows the grade's reasons.
    pub(in crate::report) fn of(report: &'r Report) -> Self {
        Self { grade: answer::grade(report.grade), reasons: &report.reasons }
    }
}

/// What the flows were.
#[derive(Debug, serde::Serialize)]
pub(in crate::report) struct Flows<'r> {
    total: u64,
    by_class: ByClass<'r>,
    untracked_packets: u64,
}

impl<'r> Flows<'r> {
    /// Borrows the totals.
    pub(in crate::report) fn of(report: &'r Report) -> Self {
        Self {
            total: report.summary.flows,
            by_class: ByClass(&report.summary.by_class),
            untracked_packets: report.untracked_packets,
        }
    }
}

/// Every class in reporting order, also those without flows.
#[derive(Debug)]
struct ByClass<'r>(&'r BTreeMap<Class, ClassTotals>);

impl Serialize for ByClass<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(Class::ALL.into_iter().map(|class| {
            let totals = self.0.get(&class).copied().unwrap_or_default();
            (class.token(), Totals::of(totals))
        }))
    }
}

#[derive(Debug, serde::Serialize)]
struct Totals {
    flows: u64,
    packets: u64,
    bytes: u64,
}

impl Totals {
    fn of(totals: ClassTotals) -> Self {
        Self { flows: totals.flows, packets: totals.packets, bytes: totals.bytes }
    }
}

/// The state of the `IPsec` exemptions.
#[derive(Debug, serde::Serialize)]
pub(in crate::report) struct Ipsec<'r> {
    deployed: bool,
    mode: &'static str,
    exemptions: Vec<ExemptionJson<'r>>,
    negotiations: Vec<NegotiationJson>,
    more_negotiations: u64,
    untold_messages: u64,
}

impl<'r> Ipsec<'r> {
    /// Borrows the exemptions.
    pub(in crate::report) fn of(report: &'r Report) -> Self {
        Self {
            deployed: report.summary.ipsec_deployed,
            mode: answer::ipsec_mode(report),
            exemptions: report.summary.exemptions.iter().map(ExemptionJson::of).collect(),
            negotiations: report.summary.negotiations.iter().map(NegotiationJson::of).collect(),
            more_negotiations: report.summary.more_negotiations,
            untold_messages: report.summary.untold_messages,
        }
    }
}

#[derive(Debug, serde::Serialize)]
struct ExemptionJson<'r> {
    row: &'r str,
    name: &'r str,
    status: &'static str,
    evidence: &'r [String],
    delay_ms: Option<f64>,
    remedy: &'r [String],
    reason: Option<&'static str>,
    partly_exempt: bool,
    grounds: &'r [&'static str],
    same_as: &'r [String],
    peers: PeersJson<'r>,
    frames: Vec<Frame>,
    configured: Vec<ConfiguredJson<'r>>,
}

#[derive(Debug, serde::Serialize)]
struct ConfiguredJson<'r> {
    host: &'r str,
    rule: Option<&'r str>,
    says: &'static str,
    seen: &'static str,
    contradicts: bool,
    frame: Frame,
    text: &'r str,
}

#[derive(Debug, serde::Serialize)]
struct PeersJson<'r> {
    count: usize,
    addresses: &'r [IpAddr],
}

impl<'r> ExemptionJson<'r> {
    fn of(exemption: &'r Exemption) -> Self {
        Self {
            row: &exemption.row,
            name: &exemption.name,
            status: exemption.status,
            evidence: &exemption.evidence,
            delay_ms: exemption.delay.map(text::milliseconds),
            remedy: &exemption.remedy,
            reason: exemption.reason,
            partly_exempt: exemption.partly_exempt,
            grounds: &exemption.grounds,
            same_as: &exemption.same_as,
            peers: PeersJson {
                count: exemption.peers.count,
                addresses: &exemption.peers.addresses,
            },
            frames: exemption.frames.iter().map(Frame::of).collect(),
            configured: exemption.configured.iter().map(ConfiguredJson::of).collect(),
        }
    }
}

impl<'r> ConfiguredJson<'r> {
    fn of(configured: &'r Configured) -> Self {
        Self {
            host: &configured.host,
            rule: configured.rule.as_deref(),
            says: configured.says,
            seen: configured.seen,
            contradicts: configured.contradicts,
            frame: Frame::of(&configured.frame),
            text: &configured.text,
        }
    }
}

/// What became of one expected service.
#[derive(Debug, serde::Serialize)]
pub(in crate::report) struct ExpectedService<'r> {
    row: &'r str,
    initiator_role: Option<&'r str>,
    responder: &'r str,
    port: u16,
    state: &'static str,
}

impl<'r> ExpectedService<'r> {
    /// Borrows an expected service.
    pub(in crate::report) fn of(expected: &'r Expected) -> Self {
        Self {
            row: &expected.row,
            initiator_role: expected.initiator_role.as_deref(),
            responder: &expected.responder,
            port: expected.port,
            state: answer::state(expected.state),
        }
    }
}

/// Who a host seems to be.
#[derive(Debug, serde::Serialize)]
pub(in crate::report) struct Host<'r> {
    address: IpAddr,
    role: &'r str,
    evidence: &'r [String],
}

impl<'r> Host<'r> {
    /// Borrows a seeming role.
    pub(in crate::report) fn of(host: &'r SeemingRole) -> Self {
        Self { address: host.address, role: &host.role, evidence: &host.evidence }
    }
}

/// A service seen.
#[derive(Debug, serde::Serialize)]
pub(in crate::report) struct Service<'r> {
    transport: &'r str,
    port: Option<u16>,
    protocol: Option<&'static str>,
    responders: u64,
    flows: u64,
    packets: u64,
    bytes: u64,
}

impl<'r> Service<'r> {
    /// Borrows a service.
    pub(in crate::report) fn of(service: &'r ServiceSeen) -> Self {
        Self {
            transport: &service.transport,
            port: service.port,
            protocol: service.protocol,
            responders: service.responders,
            flows: service.flows,
            packets: service.packets,
            bytes: service.bytes,
        }
    }
}
