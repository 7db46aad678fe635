//! The main job: captures and a policy become a report.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::decode::{Stop, Transport};
use crate::error::{Error, Result};
use crate::findings::{Audit, Severity, Summary};
use crate::flow::{FragmentCounts, Outcome};
use crate::input::{LinkType, Timestamp};
use crate::pipeline::counts::CaptureCounts;
use crate::pipeline::judge::{self, JudgedFlow};
use crate::pipeline::names;
use crate::pipeline::quality::{self, Evidence, Sides};
use crate::pipeline::read::{self, Progress, Reading};
use crate::policy::{Class, Policy, infer};
use crate::report::{
    CaptureReport, Grade, Overall, Report, SeemingRole, ServiceSeen, display_path,
};

/// What turns findings into an exit code.
#[derive(Debug, Clone, Copy)]
pub struct Threshold {
    /// Findings of this severity or graver fail the run; `None` for never.
    pub fail_on: Option<Severity>,
    /// Exit 0 instead of 3.
    pub allow_inconclusive: bool,
    /// Exit 0 instead of 1 and 3.
    pub exit_zero: bool,
}

impl Default for Threshold {
    fn default() -> Self {
        Self { fail_on: Some(Severity::Error), allow_inconclusive: false, exit_zero: false }
    }
}

/// A report, the inputs that had to be left out, and the reason of the exit code.
#[derive(Debug)]
pub struct Checked {
    /// The report over all inputs that could be read; `None` when none could.
    pub report: Option<Report>,
    /// Inputs that could not be used.
    pub errors: Vec<Error>,
    /// The exit code (design: exit codes).
    pub exit_code: u8,
    /// Why, in one sentence.
    pub reason: String,
}

/// Audits captures.
pub fn check(
    reading: &Reading,
    policy: &Policy,
    threshold: Threshold,
    progress: &Progress,
) -> Result<Checked> {
    let mut survey = read::read(reading, progress)?;
    let untracked = survey.table.untracked().packets;
    let pairs = quality::one_sided_pairs(&survey.table);
    let mut audit = Audit::new(policy).with_pairs(pairs.clone());
    audit.tell_deployment(judge::deployment(&survey.table).into());
    let mut sides = Sides::default();
    let mut services = Services::default();
    audit.heed(&survey.negotiations);
    judge::believe(&mut survey.learned, &survey.table);
    judge::judge_in_turn(policy, &survey.learned, survey.table, |flow| {
        audit.add(&flow.as_judged());
        sides.add(flow);
        if !policy.has_topology() {
            services.add(flow);
        }
    });
    audit.announced(&survey.learned);
    audit.settle(Timestamp(i64::MAX));
    let quality = quality::grade(&Evidence {
        captures: &survey.captures,
        sides: &sides,
        pairs: &pairs,
        fragments: &survey.fragments,
        untracked_packets: untracked,
        unheard: survey.learned.left_out(),
        filter: reading.filter.as_deref(),
    });
    let mut report = draft(policy, &survey.captures, audit.finish(), quality, untracked);
    report.fragments = survey.fragments;
    if !policy.has_topology() {
        services.describe(policy, &mut report);
    }
    let mut checked = conclude(report, &survey.captures, survey.errors, threshold);
    // After the answer: what a capture calls its hosts must not change it.
    if let Some(report) = &mut checked.report {
        names::show(report, policy, &survey.names);
    }
    Ok(checked)
}

/// A report without an answer yet.
pub(crate) fn draft(
    policy: &Policy,
    captures: &[CaptureCounts],
    summary: Summary,
    (grade, reasons): (Grade, Vec<String>),
    untracked_packets: u64,
) -> Report {
    Report {
        captures: captures.iter().map(capture_report).collect(),
        grade,
        reasons,
        summary,
        overall: Overall::Pass,
        exit_code: 0,
        topology: policy.has_topology(),
        seeming_roles: Vec::new(),
        services: Vec::new(),
        names: BTreeMap::new(),
        strict: policy.strict(),
        untracked_packets,
        fragments: FragmentCounts::default(),
    }
}

/// Turns a drafted report into the answer and its exit code.
pub(crate) fn conclude(
    mut report: Report,
    captures: &[CaptureCounts],
    errors: Vec<Error>,
    threshold: Threshold,
) -> Checked {
    if captures.is_empty() {
        let reason = match errors.len() {
            1 => "the input could not be read".to_owned(),
            n => format!("none of the {n} inputs could be read"),
        };
        return Checked { report: None, errors, exit_code: 2, reason };
    }
    let nothing = unreadable(captures);
    let (overall, mut exit_code, mut reason) = answer(&mut report, threshold, nothing.clone());
    report.overall = overall;
    if let Some(why) = nothing {
        (exit_code, reason) = (2, why);
    } else if !errors.is_empty() {
        reason = format!("{} of the inputs could not be used; of the rest: {reason}", errors.len());
        exit_code = 2;
    } else if threshold.exit_zero && exit_code != 0 {
        reason = format!("{reason} (exit code 0 as asked by --exit-zero)");
        exit_code = 0;
    }
    report.exit_code = exit_code;
    Checked { report: Some(report), errors, exit_code, reason }
}

/// The answer that findings and capture quality support.
fn answer(
    report: &mut Report,
    threshold: Threshold,
    nothing: Option<String>,
) -> (Overall, u8, String) {
    let failing = threshold.fail_on.map_or(0, |at| {
        report.summary.findings.iter().filter(|finding| finding.severity >= at).count()
    });
    if failing > 0 {
        let at = threshold.fail_on.map_or("", Severity::token);
        let plural = if failing == 1 { "finding" } else { "findings" };
        return (Overall::Fail, 1, format!("{failing} {plural} at or above severity {at}"));
    }
    let judged: u64 = report
        .summary
        .by_class
        .iter()
        .filter(|(class, _)| **class != Class::OutOfScope)
        .map(|(_, totals)| totals.flows)
        .sum();
    let cannot = if nothing.is_some() {
        nothing
    } else if !report.topology {
        Some("no topology was given, so no host has a role and nothing could be judged".to_owned())
    } else if report.summary.flows == 0 && report.grade == Grade::Inconclusive {
        report.reasons.last().cloned()
    } else if judged == 0 {
        let why = "no flow has an endpoint that the topology names, so nothing could be judged";
        Some(why.to_owned())
    } else if report.grade == Grade::Inconclusive {
        // What forbids an answer is the last that was said of the captures.
        let last = report.reasons.last().cloned();
        Some(last.unwrap_or_else(|| "the captures cannot support a pass".to_owned()))
    } else {
        None
    };
    let Some(why) = cannot else {
        let reason = match threshold.fail_on {
            Some(at) => format!("no finding at or above severity {}", at.token()),
            None => "findings do not fail this run (--fail-on never)".to_owned(),
        };
        return (Overall::Pass, 0, reason);
    };
    decisive(report, &why);
    let code = if threshold.allow_inconclusive { 0 } else { 3 };
    (Overall::Inconclusive, code, format!("inconclusive: {why}"))
}

/// Puts first what forbids an answer: the report and the closing line give the same reason.
fn decisive(report: &mut Report, why: &str) {
    report.grade = Grade::Inconclusive;
    report.reasons.retain(|reason| reason != why);
    report.reasons.insert(0, why.to_owned());
}

/// Why there is nothing to judge in any capture, if so.
fn unreadable(captures: &[CaptureCounts]) -> Option<String> {
    let frames: u64 = captures.iter().map(|capture| capture.tally.frames).sum();
    if frames == 0 {
        return Some("no packets in any capture".to_owned());
    }
    let unknown: BTreeMap<LinkType, u64> = captures
        .iter()
        .flat_map(|capture| &capture.undecoded)
        .filter_map(|(stop, frames)| match stop {
            Stop::LinkType(kind) => Some((*kind, *frames)),
            _ => None,
        })
        .fold(BTreeMap::new(), |mut sum, (kind, frames)| {
            *sum.entry(kind).or_default() += frames;
            sum
        });
    if unknown.values().sum::<u64>() < frames {
        return None;
    }
    let kinds: Vec<String> = unknown.keys().map(LinkType::to_string).collect();
    Some(format!("every frame has a link type that this tool does not read: {}", kinds.join(", ")))
}

fn capture_report(counts: &CaptureCounts) -> CaptureReport {
    CaptureReport {
        path: if counts.path.as_os_str() == "-" {
            "-".to_owned()
        } else {
            display_path(&counts.path)
        },
        format: counts.format,
        compression: counts.compression,
        tally: counts.tally.clone(),
        undecoded: by_reason(&counts.undecoded),
        fragments: counts.fragments,
        duplicates: counts.duplicates(),
        routed_duplicates: counts.copies.routed,
        checksums: (counts.checksums.wrong, counts.checksums.seen),
        damage: counts.damage.clone(),
        live: None,
    }
}

/// Frames by the reason's name: some reasons share one.
fn by_reason(undecoded: &BTreeMap<Stop, u64>) -> BTreeMap<String, u64> {
    let mut named = BTreeMap::new();
    for (stop, frames) in undecoded {
        *named.entry(stop.to_string()).or_default() += frames;
    }
    named
}

type ServiceKey = (IpAddr, u8, Option<u16>, Option<&'static str>);

/// Protocols that use another port in each flow, so that a port names no service.
const PORTLESS: [&str; 2] = ["rtp", "rtcp"];

#[derive(Debug, Default, Clone, Copy)]
struct ServiceTotals {
    flows: u64,
    packets: u64,
    bytes: u64,
}

/// Services seen, for runs without a topology.
#[derive(Debug, Default)]
pub(crate) struct Services {
    seen: BTreeMap<ServiceKey, ServiceTotals>,
    /// Flows to services for which there was no room.
    left_out: u64,
}

/// Services of single hosts that are kept, some 100 MB: a watch lasts for days.
const MAX_SERVICES: usize = 1_000_000;

impl Services {
    /// Counts a flow whose responder answered on a port other than by refusing it, or whose content
    /// shows what it is.
    pub(crate) fn add(&mut self, judged: &JudgedFlow) {
        let flow = &judged.flow;
        let responder = flow.responder();
        let protocol = judged.identification.protocol;
        let answered = flow.counters[1].packets > 0 && judged.outcome != Outcome::Refused;
        if responder.port == 0 || !(answered || protocol.is_some()) {
            return;
        }
        let port = protocol.is_none_or(|name| !PORTLESS.contains(&name)).then_some(responder.port);
        let key = (responder.address, flow.transport.0, port, protocol);
        if self.seen.len() >= MAX_SERVICES && !self.seen.contains_key(&key) {
            self.left_out += 1;
            return;
        }
        let totals = self.seen.entry(key).or_default();
        totals.flows += 1;
        totals.packets += flow.packets();
        totals.bytes += flow.bytes();
    }

    /// Adds the roles that hosts seem to play and the services seen to a report.
    pub(crate) fn describe(&self, policy: &Policy, report: &mut Report) {
        let seen =
            self.seen.iter().filter_map(|(&(address, transport, port, protocol), totals)| {
                Some(infer::ServiceOf {
                    address,
                    transport: Transport(transport),
                    port: port?,
                    protocol,
                    flows: totals.flows,
                })
            });
        report.seeming_roles = infer::infer(policy, seen)
            .into_iter()
            .map(|guess| SeemingRole {
                address: guess.address,
                role: guess.role,
                evidence: guess.evidence,
            })
            .collect();
        let mut services: BTreeMap<(u8, Option<u16>, Option<&'static str>), ServiceSeen> =
            BTreeMap::new();
        let mut last = BTreeMap::new();
        for (&(address, transport, port, protocol), totals) in &self.seen {
            let key = (transport, port, protocol);
            let service = services.entry(key).or_insert_with(|| ServiceSeen {
                transport: Transport(transport).to_string(),
                port,
                protocol,
                responders: 0,
                flows: 0,
                packets: 0,
                bytes: 0,
            });
            service.responders += u64::from(last.insert(key, address) != Some(address));
            service.flows += totals.flows;
            service.packets += totals.packets;
            service.bytes += totals.bytes;
        }
        if self.left_out > 0 {
            let left_out = self.left_out;
            report.reasons.push(format!(
                "more than {MAX_SERVICES} services were seen: {left_out} flows of further ones are \
                 not among those listed"
            ));
        }
        report.services = services.into_values().collect();
        report.services.sort_by_key(|service| std::cmp::Reverse(service.flows));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoded, decode};
    use crate::flow::{FlowTable, Limits};
    use crate::input::{Frame, LinkType, Timestamp};
    use crate::policy::{Profile, Sources};

    #[test]
    fn services_are_kept_up_to_a_bound_and_counted_beyond() {
        // SSH announces itself, whether it is answered or not.
        let mut bytes = vec![0x45, 0, 0, 49, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 9, 10, 0, 0, 1];
        bytes.extend([0x9c, 0x40, 0, 22, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0, 9, 0, 0, 0, 0]);
        bytes.extend(b"SSH-2.0-x");
        let frame = Frame {
            number: 1,
            time: Timestamp(0),
            link_type: LinkType::RAW,
            data: &bytes,
            original_len: bytes.len() as u32,
        };
        let Decoded::Packet(packet) = decode(&frame) else { panic!("not decoded") };
        let mut table = FlowTable::new(Limits::default());
        table.observe(0, &packet);
        let (flow, sample) = table.into_flows().next().unwrap();
        let policy = Policy::load(&Sources {
            topology: None,
            policies: Vec::new(),
            no_builtin: true,
            profile: Profile::Sfb2019,
            strict: false,
        })
        .unwrap();
        let mut judged = judge::judge(&policy, &crate::policy::Learned::default(), flow, &sample);
        judged.flow.counters[1].packets = 1;
        let mut services = Services::default();
        for number in 0..MAX_SERVICES as u32 + 5 {
            judged.flow.ends[1].address = IpAddr::V4(number.into());
            services.add(&judged);
        }
        judged.flow.ends[1].address = IpAddr::V4(0.into());
        services.add(&judged);
        assert_eq!((services.seen.len(), services.left_out), (MAX_SERVICES, 5));
    }
}
