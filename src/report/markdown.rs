//! The report as GitHub-flavoured Markdown, for issues, wikis and job summaries.
//!
//! Names come from the network, so nothing in them may become markup, a link, a mention or HTML.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use super::table::{coverage, finding, inputs};
use super::text::{bytes, count, escape, share};
use super::{Format, Report, Style, answer};
use crate::findings::{Finding, Severity};

pub(super) const FORMAT: Format = Format {
    name: "markdown",
    help: "for issues and wikis: answer, findings, coverage",
    write,
};

fn write(report: &Report, _style: Style, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(
        out,
        "# {}\n\n{}",
        answer::word(report.overall),
        plain(&answer::headline(report))
    )?;
    captures(report, out)?;
    findings(report, out)?;
    if report.topology {
        explained(report, out)?;
    } else {
        hosts(report, out)?;
    }
    quality(report, out)?;
    let steps = answer::next_steps(report);
    if !steps.is_empty() {
        writeln!(out, "\n## What to do next\n")?;
        for (at, step) in steps.iter().enumerate() {
            writeln!(out, "{}. {}", at + 1, with_code(step))?;
        }
    }
    Ok(())
}

fn captures(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    if report.captures.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Captures\n")?;
    let rows = report.captures.iter().map(|capture| {
        vec![
            plain(&capture.path),
            capture.format.token().into(),
            count(capture.tally.frames),
            bytes(capture.tally.wire_bytes),
            plain(&inputs::remarks(capture).join(" ")),
        ]
    });
    let columns = [
        ("Capture", Align::Left),
        ("Format", Align::Left),
        ("Frames", Align::Right),
        ("Bytes", Align::Right),
        ("Remarks", Align::Left),
    ];
    table(&columns, rows, out)
}

fn findings(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "\n## Findings\n")?;
    if report.findings().is_empty() {
        return writeln!(out, "None.");
    }
    let rows = report.findings().iter().map(|finding| {
        vec![
            severity(finding.severity).into(),
            code(finding.rule),
            plain(&answer::party(&finding.initiator, Some(FEW))),
            plain(&answer::party(&finding.responder, Some(FEW))),
            plain(&finding::service(finding)),
            count(finding.flows),
            count(finding.packets),
            plain(&finding.message),
        ]
    });
    let columns = [
        ("Severity", Align::Left),
        ("Rule", Align::Left),
        ("Initiator", Align::Left),
        ("Responder", Align::Left),
        ("Service", Align::Left),
        ("Flows", Align::Right),
        ("Packets", Align::Right),
        ("Finding", Align::Left),
    ];
    table(&columns, rows, out)?;
    for (at, finding) in report.findings().iter().enumerate() {
        details(report, at + 1, finding, out)?;
    }
    Ok(())
}

fn details(
    report: &Report,
    number: usize,
    finding: &Finding,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    writeln!(out, "\n### {number}. {}\n", plain(finding.rule))?;
    writeln!(out, "{} {}\n", plain(&finding.message), plain(finding.why))?;
    if let Some(row) = &finding.expectation {
        let layer = finding.layer.as_deref().unwrap_or("unknown layer");
        writeln!(out, "- Expectation: {} ({})", plain(row), plain(layer))?;
    }
    if !finding.frames.is_empty() {
        let frames = finding::frames(report, &finding.frames);
        writeln!(out, "- Frames: {}", plain(&frames))?;
    }
    if !finding.display_filter.is_empty() {
        writeln!(out, "- Display filter: {}", code(&finding.display_filter))?;
    }
    for step in &finding.remedy {
        writeln!(out, "- Remedy: {}", plain(step))?;
    }
    Ok(())
}

fn explained(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    let classes = coverage::rows(report);
    if !classes.is_empty() {
        writeln!(
            out,
            "\n## Coverage\n\n{}\n",
            plain(&answer::explained(report))
        )?;
        let packets: u64 = classes.iter().map(|(_, totals)| totals.packets).sum();
        let rows = classes.iter().map(|(class, totals)| {
            vec![
                class.token().into(),
                count(totals.flows),
                count(totals.packets),
                bytes(totals.bytes),
                plain(&share(totals.packets, packets)),
                class.meaning().into(),
            ]
        });
        let columns = [
            ("Class", Align::Left),
            ("Flows", Align::Right),
            ("Packets", Align::Right),
            ("Bytes", Align::Right),
            ("Packets %", Align::Right),
            ("Meaning", Align::Left),
        ];
        table(&columns, rows, out)?;
    }
    let expected = &report.summary.expected;
    if !expected.is_empty() {
        writeln!(out, "\n## Expected services\n")?;
        writeln!(out, "{}", plain(&answer::expected_in_words(expected)))?;
        for (at, service) in answer::failed_services(expected).enumerate() {
            if at == 0 {
                writeln!(out)?;
            }
            writeln!(
                out,
                "- {}: {} of {}, port {}",
                answer::state(service.state),
                plain(&service.row),
                plain(&service.responder),
                service.port
            )?;
        }
    }
    writeln!(out, "\n## IPsec\n\n{}", plain(&answer::ipsec(report)))?;
    for (at, exemption) in answer::missing_exemptions(report).enumerate() {
        if at == 0 {
            writeln!(out)?;
        }
        let mut line = format!("{}: {} {}", exemption.status, exemption.row, exemption.name);
        for evidence in &exemption.evidence {
            line.push_str("; ");
            line.push_str(evidence);
        }
        writeln!(out, "- {}", plain(&line))?;
    }
    Ok(())
}

fn hosts(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    if !report.seeming_roles.is_empty() {
        writeln!(out, "\n## Hosts, by what they seem to do\n")?;
        let rows = report.seeming_roles.iter().map(|host| {
            vec![
                host.address.to_string(),
                plain(&host.role),
                plain(&host.evidence.join(", ")),
            ]
        });
        let columns = [
            ("Address", Align::Left),
            ("Seems to be", Align::Left),
            ("Because of", Align::Left),
        ];
        table(&columns, rows, out)?;
    }
    if !report.services.is_empty() {
        writeln!(out, "\n## Services seen\n")?;
        let rows = report.services.iter().map(|service| {
            vec![
                plain(&format!("{}/{}", service.transport, service.port)),
                service.protocol.unwrap_or("not recognised").into(),
                count(service.responders),
                count(service.flows),
                count(service.packets),
                bytes(service.bytes),
            ]
        });
        let columns = [
            ("Service", Align::Left),
            ("Protocol", Align::Left),
            ("Responders", Align::Right),
            ("Flows", Align::Right),
            ("Packets", Align::Right),
            ("Bytes", Align::Right),
        ];
        table(&columns, rows, out)?;
    }
    Ok(())
}

fn quality(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(
        out,
        "\n## Capture quality\n\n{}",
        answer::grade(report.grade)
    )?;
    for (at, reason) in report.reasons.iter().enumerate() {
        if at == 0 {
            writeln!(out)?;
        }
        writeln!(out, "- {}", plain(reason))?;
    }
    Ok(())
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "❌ error",
        Severity::Warning => "⚠️ warning",
        Severity::Note => "ℹ️ note",
    }
}

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Writes a table. The cells must have been made safe by [`plain`] or [`code`].
pub(super) fn table(
    columns: &[(&str, Align)],
    rows: impl Iterator<Item = Vec<String>>,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    let titles: Vec<&str> = columns.iter().map(|(title, _)| *title).collect();
    let rules = columns.iter().map(|(_, align)| match align {
        Align::Left => "---",
        Align::Right => "---:",
    });
    writeln!(out, "| {} |", titles.join(" | "))?;
    writeln!(out, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
    for cells in rows {
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

/// Text that renders as itself: no markup, no HTML, no links, no mentions, no line breaks.
pub(super) fn plain(text: &str) -> String {
    let text = escape(text);
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // These begin mentions and issue references, which a backslash does not stop.
            '@' => out.push_str("&#64;"),
            '#' => out.push_str("&#35;"),
            other => out.push(other),
        }
    }
    // Addresses of web pages become links by themselves unless they are broken up.
    let out = out.replace("://", ":&#47;&#47;");
    match out.find("www.") {
        Some(_) => out.replace("www.", "www&#46;"),
        None => out,
    }
}

/// Text as code, also inside a table: the fence is longer than any run of backticks in it.
pub(super) fn code(text: &str) -> String {
    let text = escape(text);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let text = text.replace('|', "\\|");
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// Our own sentences, in which commands stand between backticks.
fn with_code(sentence: &str) -> String {
    let mut out = String::new();
    for (at, part) in sentence.split('`').enumerate() {
        let part: Cow<'_, str> = if at % 2 == 1 {
            code(part).into()
        } else {
            plain(part).into()
        };
        let _ = write!(out, "{part}");
    }
    out
}

/// Names and addresses listed per side.
const FEW: usize = 4;
