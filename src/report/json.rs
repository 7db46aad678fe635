//! The report for programs: one JSON document, schema `portassay.report/1`.
//!
//! The structures here borrow from the report and only fix names and order; `docs/report-json.md`
//! explains them, `schema/report.json` describes them to validators. What is unknown is `null`.

pub(super) mod finding;
pub(super) mod part;

use std::io;

use serde::Serialize;

use super::text::is_hidden;
use super::{Format, Report, Style, answer};
use finding::FindingJson;
use part::{Capture, ExpectedService, Flows, Host, Ipsec, Quality, Service, Tool};

pub(super) const FORMAT: Format = Format {
    name: "json",
    help: "for programs: one document, schema portassay.report/1",
    write,
};

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
    findings: Vec<FindingJson<'r>>,
    ipsec: Ipsec<'r>,
    expected: Vec<ExpectedService<'r>>,
    topology: bool,
    hosts: Vec<Host<'r>>,
    services: Vec<Service<'r>>,
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
            findings: report.findings().iter().map(FindingJson::of).collect(),
            ipsec: Ipsec::of(report),
            expected: report
                .summary
                .expected
                .iter()
                .map(ExpectedService::of)
                .collect(),
            topology: report.topology,
            hosts: report.seeming_roles.iter().map(Host::of).collect(),
            services: report.services.iter().map(Service::of).collect(),
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
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}
