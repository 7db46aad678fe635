//! The answer about exported rules as JSON, for programs.

use std::io;

use serde::Serialize;

use super::{IpsecReport, ends};
use crate::findings::Severity;
use crate::findings::exported::{Caution, ExportAnswer, Gap, RowAnswer, RuleCounts};
use crate::report::json::part::Tool;
use crate::report::{Style, answer, json};

/// The document. The order of the fields is the order of the keys.
#[derive(Serialize)]
struct Document<'r> {
    schema: &'static str,
    tool: Tool,
    verdict: String,
    exit_code: u8,
    reason: &'r str,
    mode: &'static str,
    exports: Vec<ExportJson<'r>>,
    cautions: Vec<CautionJson<'r>>,
    errors: &'r [String],
}

#[derive(Serialize)]
struct ExportJson<'r> {
    label: &'r str,
    path: String,
    format: &'r str,
    host: Option<&'r str>,
    judged_as: &'r str,
    rules: RulesJson,
    notes: &'r [String],
    rows: Vec<RowJson<'r>>,
    cautions: Vec<CautionJson<'r>>,
}

#[derive(Serialize)]
struct RulesJson {
    total: usize,
    exempting: usize,
    securing: usize,
    inactive: usize,
    uncertain: usize,
}

#[derive(Serialize)]
struct RowJson<'r> {
    row: &'r str,
    name: &'r str,
    status: &'static str,
    severity: Option<&'static str>,
    ends: Vec<&'static str>,
    lacks: &'r [&'static str],
    gap: Vec<GapJson<'r>>,
    more_gaps: usize,
    held_back: Vec<HeldBackJson<'r>>,
    exempting: &'r [String],
    securing: &'r [String],
    cautions: Vec<CautionJson<'r>>,
}

#[derive(Serialize)]
struct HeldBackJson<'r> {
    rule: &'r str,
    why: &'r str,
}

#[derive(Serialize)]
struct GapJson<'r> {
    transport: &'r str,
    direction: &'r str,
    local: &'r str,
    local_ports: &'r str,
    remote: &'r str,
    remote_ports: &'r str,
    profiles: &'r [&'static str],
}

#[derive(Serialize)]
struct CautionJson<'r> {
    kind: &'r str,
    severity: &'static str,
    rule: Option<&'r str>,
    message: &'r str,
}

impl<'r> CautionJson<'r> {
    fn all(cautions: &'r [Caution]) -> Vec<Self> {
        let one = |caution: &'r Caution| Self {
            kind: caution.kind.token(),
            severity: caution.severity.token(),
            rule: caution.rule.as_deref(),
            message: &caution.message,
        };
        cautions.iter().map(one).collect()
    }
}

impl<'r> ExportJson<'r> {
    fn of(export: &'r ExportAnswer) -> Self {
        let RuleCounts { total, exempting, securing, inactive, uncertain } = export.rules;
        Self {
            label: &export.label,
            path: export.path.display().to_string(),
            format: export.format,
            host: export.host.as_deref(),
            judged_as: export.host.as_deref().unwrap_or("anyone"),
            rules: RulesJson { total, exempting, securing, inactive, uncertain },
            notes: &export.notes,
            rows: export.rows.iter().map(RowJson::of).collect(),
            cautions: CautionJson::all(&export.cautions),
        }
    }
}

impl<'r> RowJson<'r> {
    fn of(row: &'r RowAnswer) -> Self {
        let gap = |gap: &'r Gap| GapJson {
            transport: &gap.transport,
            direction: gap.direction,
            local: &gap.local,
            local_ports: &gap.local_ports,
            remote: &gap.remote,
            remote_ports: &gap.remote_ports,
            profiles: &gap.profiles,
        };
        Self {
            row: &row.row,
            name: &row.name,
            status: row.standing.token(),
            severity: row.standing.severity().map(Severity::token),
            ends: ends(row),
            lacks: &row.lacks,
            gap: row.gap.iter().map(gap).collect(),
            more_gaps: row.more_gaps,
            held_back: row.held_back.iter().map(|(rule, why)| HeldBackJson { rule, why }).collect(),
            exempting: &row.exempting,
            securing: &row.securing,
            cautions: CautionJson::all(&row.cautions),
        }
    }
}

pub(super) fn write_json(
    report: &IpsecReport,
    _style: Style,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let document = Document {
        schema: "portassay.ipsec/1",
        tool: Tool::THIS,
        verdict: answer::word(report.overall).to_lowercase(),
        exit_code: report.exit_code,
        reason: &report.reason,
        mode: if report.answer.strict { "strict" } else { "media-only" },
        exports: report.answer.exports.iter().map(ExportJson::of).collect(),
        cautions: CautionJson::all(&report.answer.cautions),
        errors: &report.errors,
    };
    writeln!(out, "{}", json::pretty(&document)?)
}
