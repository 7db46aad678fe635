//! The report for programs: one JSON document, schema `portassay.report/1`.
//!
//! The structures here borrow from the report and only fix names and order; `docs/report-json.md`
//! explains them, `schema/report.json` describes them to validators. What is unknown is `null`.

pub(super) mod finding;
mod negotiation;
pub(super) mod part;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::net::IpAddr;

use serde::Serialize;

use super::text::is_hidden;
use super::{Format, Report, Style, answer};
use finding::FindingJson;
use part::{Capture, ExpectedService, Flows, Fragments, Host, Ipsec, Quality, Service, Tool};

pub(super) const FORMAT: Format =
    Format { name: "json", help: "for programs: one document, schema portassay.report/1", write };

fn write(report: &Report, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "{}", pretty(&Document::of(report))?)
}

/// The whole document. The order of the fields is the order of the keys.
#[derive(Debug, Serialize)]
struct Document<'r> {
    schema: &'static str,
    tool: Tool,
    verdict: String,
    exit_code: u8,
    captures: Vec<Capture<'r>>,
    quality: Quality<'r>,
    flows: Flows<'r>,
    fragments: Fragments,
    findings: Vec<FindingJson<'r>>,
    ipsec: Ipsec<'r>,
    expected: Vec<ExpectedService<'r>>,
    topology: bool,
    hosts: Vec<Host<'r>>,
    services: Vec<Service<'r>>,
    names: &'r BTreeMap<IpAddr, Vec<String>>,
}

impl<'r> Document<'r> {
    fn of(report: &'r Report) -> Self {
        Self {
            schema: "portassay.report/1",
            tool: Tool::THIS,
            verdict: answer::word(report.overall).to_lowercase(),
            exit_code: report.exit_code,
            captures: report.captures.iter().map(Capture::of).collect(),
            quality: Quality::of(report),
            flows: Flows::of(report),
            fragments: Fragments::of(&report.fragments),
            findings: report.findings().iter().map(FindingJson::of).collect(),
            ipsec: Ipsec::of(report),
            expected: report.summary.expected.iter().map(ExpectedService::of).collect(),
            topology: report.topology,
            hosts: report.seeming_roles.iter().map(Host::of).collect(),
            services: report.services.iter().map(Service::of).collect(),
            names: &report.names,
        }
    }
}

/// One value as indented lines, without the last line break.
pub(super) fn pretty(value: &impl Serialize) -> io::Result<String> {
    Ok(visible(serde_json::to_string_pretty(value)?))
}

/// One value as one line, without the line break.
pub(super) fn line(value: &impl Serialize) -> io::Result<String> {
    Ok(visible(serde_json::to_string(value)?))
}

/// JSON in which characters that a terminal would obey are spelled `\uXXXX`. In JSON text they
/// can only stand inside strings (RFC 8259, 2), so this changes the spelling and not the value.
fn visible(json: String) -> String {
    let hidden = |c: char| c != '\n' && is_hidden(c);
    if !json.contains(hidden) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::specimen::{NASTY, failing, first_contact, hostile, written};

    /// The keys of the document at one level of indentation, in their order.
    fn keys(json: &str, indent: usize) -> Vec<&str> {
        let lines = json.lines().filter_map(|line| {
            let rest = line.strip_prefix(&" ".repeat(indent))?.strip_prefix('"')?;
            rest.split_once("\":").map(|(key, _)| key)
        });
        lines.collect()
    }

    #[test]
    fn keys_stand_in_the_published_order() {
        let json = written(&FORMAT, &failing(), None);
        assert_eq!(
            keys(&json, 2),
            [
                "schema",
                "tool",
                "verdict",
                "exit_code",
                "captures",
                "quality",
                "flows",
                "fragments",
                "findings",
                "ipsec",
                "expected",
                "topology",
                "hosts",
                "services",
                "names",
            ]
        );
        let finding = json.split_once("\"findings\": [").expect("findings").1;
        let finding = finding.split_once("\n    },").expect("an end").0;
        assert_eq!(
            keys(finding, 6),
            [
                "fingerprint",
                "rule",
                "severity",
                "confidence",
                "message",
                "why",
                "remedy",
                "initiator",
                "responder",
                "transport",
                "protocol",
                "expectation",
                "layer",
                "flows",
                "packets",
                "bytes",
                "first",
                "last",
                "evidence",
                "learned",
            ]
        );
        let exemption = json.split_once("\"exemptions\": [").expect("exemptions").1;
        let exemption = exemption.split_once("\n      }").expect("an end").0;
        assert_eq!(
            keys(exemption, 8),
            [
                "row",
                "name",
                "status",
                "evidence",
                "delay_ms",
                "remedy",
                "reason",
                "partly_exempt",
                "grounds",
                "same_as",
                "peers",
                "frames",
                "configured",
            ]
        );
        assert_eq!(
            keys(exemption, 12),
            ["capture", "frame", "host", "rule", "says", "seen", "contradicts", "frame", "text",]
        );
    }

    #[test]
    fn keys_of_negotiations_stand_in_the_published_order() {
        let json = written(&FORMAT, &failing(), None);
        let negotiation = json.split_once("\"negotiations\": [").expect("negotiations").1;
        let negotiation = negotiation.split_once("\n      }").expect("an end").0;
        assert_eq!(
            keys(negotiation, 8),
            [
                "initiator",
                "responder",
                "families",
                "start_seen",
                "first",
                "first_frame",
                "attempts",
                "messages",
                "retransmits",
                "round_trips",
                "renewals",
                "behind_nat",
                "error",
                "outcome",
                "nego_ms",
                "media_delay_ms",
                "gap_ms",
                "fallback",
                "vendors",
                "other_triggers",
                "trigger_frames",
                "media",
            ]
        );
    }

    #[test]
    fn values_are_what_the_report_holds() {
        let json = written(&FORMAT, &failing(), None);
        let value: Value = serde_json::from_str(&json).expect("JSON");
        for (pointer, expected) in [
            ("/schema", "\"portassay.report/1\""),
            ("/tool/name", "\"portassay\""),
            ("/verdict", "\"fail\""),
            ("/exit_code", "1"),
            ("/captures/0/link_types", "[\"ethernet\"]"),
            ("/captures/0/first", "\"2024-05-01T12:00:00.000000000Z\""),
            ("/captures/0/undecoded", "{\"arp\":30,\"ip-header\":1}"),
            ("/captures/0/duplicates", "0"),
            ("/captures/1/damage", "\"the file ends inside frame 10\""),
            ("/flows/by_class/confirmed/flows", "1231"),
            ("/flows/by_class/out-of-scope/flows", "0"),
            ("/findings/0/responder/ports", "[5061]"),
            ("/findings/1/responder/ports", "[137,\"1024-65535\"]"),
            ("/findings/1/responder/name", "\"db1, db2\""),
            ("/findings/1/initiator/role", "null"),
            ("/findings/0/evidence/frames/2", "{\"capture\":1,\"frame\":3}"),
            ("/ipsec/mode", "\"media-only\""),
            ("/ipsec/exemptions/0/delay_ms", "141.9"),
            ("/ipsec/exemptions/0/configured/0/says", "\"exempts\""),
            ("/ipsec/exemptions/0/configured/0/contradicts", "true"),
            ("/ipsec/exemptions/0/configured/0/frame/frame", "99"),
            ("/ipsec/exemptions/1/configured", "[]"),
            ("/ipsec/negotiations/0/outcome", "\"sa\""),
            ("/ipsec/negotiations/0/nego_ms", "1250.5"),
            ("/ipsec/negotiations/0/gap_ms", "1150.4"),
            ("/ipsec/negotiations/0/media/initiator/port", "50020"),
            ("/ipsec/more_negotiations", "0"),
            ("/expected/1/state", "\"refused\""),
            ("/expected/2/state", "\"never-seen\""),
        ] {
            let got = value.pointer(pointer).map(Value::to_string);
            assert_eq!(got.as_deref(), Some(expected), "{pointer}");
        }
        let value: Value =
            serde_json::from_str(&written(&FORMAT, &first_contact(), None)).expect("JSON");
        assert_eq!(value["hosts"][0]["role"], "front-end");
        assert_eq!(value["services"][0]["port"], 5061);
    }

    #[test]
    fn hidden_characters_change_their_spelling_and_not_their_value() {
        let json = written(&FORMAT, &hostile(), None);
        assert!(!json.contains(|c| c != '\n' && is_hidden(c)));
        let value: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["findings"][0]["message"], NASTY);
        assert_eq!(visible("\"\u{e0041}\u{9b}\"".into()), "\"\\udb40\\udc41\\u009b\"");
    }
}
