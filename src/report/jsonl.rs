//! Findings as lines: one JSON object each, then one line that sums up the run.
//!
//! Every line names its own schema: `portassay.finding/1` or `portassay.summary/1`. Live capture
//! writes the same finding lines as it goes.

use std::io;

use serde::Serialize;

use super::json::finding::FindingJson;
use super::json::part::{Capture, Flows, Fragments, Ipsec, Quality, Tool};
use super::{Format, Report, Style, answer, json};
use crate::findings::{Finding, Severity};

pub(super) const FORMAT: Format = Format {
    name: "jsonl",
    help: "for pipes: one finding a line, then one line with the totals",
    write,
};

fn write(report: &Report, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    for finding in report.findings() {
        writeln!(out, "{}", json::line(&FindingLine::of(finding))?)?;
    }
    writeln!(out, "{}", json::line(&SummaryLine::of(report))?)
}

/// A finding as one line of JSON, without the line break.
pub fn finding_line(finding: &Finding) -> String {
    // Writing to memory cannot fail, and every key is text; an empty line is never produced.
    json::line(&FindingLine::of(finding)).unwrap_or_default()
}

#[derive(Debug, Serialize)]
struct FindingLine<'r> {
    schema: &'static str,
    #[serde(flatten)]
    finding: FindingJson<'r>,
}

impl<'r> FindingLine<'r> {
    fn of(finding: &'r Finding) -> Self {
        Self { schema: "portassay.finding/1", finding: FindingJson::of(finding) }
    }
}

/// The report without its lists of findings, hosts and services.
#[derive(Debug, Serialize)]
struct SummaryLine<'r> {
    schema: &'static str,
    tool: Tool,
    verdict: String,
    exit_code: u8,
    captures: Vec<Capture<'r>>,
    quality: Quality<'r>,
    flows: Flows<'r>,
    fragments: Fragments,
    findings: Numbers,
    ipsec: Ipsec<'r>,
}

impl<'r> SummaryLine<'r> {
    fn of(report: &'r Report) -> Self {
        Self {
            schema: "portassay.summary/1",
            tool: Tool::THIS,
            verdict: answer::word(report.overall).to_lowercase(),
            exit_code: report.exit_code,
            captures: report.captures.iter().map(Capture::of).collect(),
            quality: Quality::of(report),
            flows: Flows::of(report),
            fragments: Fragments::of(&report.fragments),
            findings: Numbers {
                error: answer::number_of(report, Severity::Error),
                warning: answer::number_of(report, Severity::Warning),
                note: answer::number_of(report, Severity::Note),
            },
            ipsec: Ipsec::of(report),
        }
    }
}

/// How many findings of each severity.
#[derive(Debug, Serialize)]
struct Numbers {
    error: u64,
    warning: u64,
    note: u64,
}
