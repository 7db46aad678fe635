//! The section on the findings, worst first: who, what, how much, where to look, what to do.

use std::fmt::Write as _;
use std::io;

use super::Page;
use crate::findings::{Finding, RULES, Severity};
use crate::flow::FrameRef;
use crate::identify::Confidence;
use crate::policy::Announcement;
use crate::report::answer::party;
use crate::report::color::Tone;
use crate::report::text::{bytes, clock, count, counted, listed, ports, span};
use crate::report::{CaptureReport, Report};

/// Writes the section.
pub(super) fn write(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    page.heading("Findings")?;
    if report.findings().is_empty() {
        return page.line(2, nothing(report));
    }
    let mut told: Option<(&str, Option<&String>)> = None;
    for (at, finding) in report.findings().iter().enumerate() {
        if at > 0 {
            page.blank()?;
        }
        one(report, finding, page)?;
        // Many findings of one rule share their remedy; saying it once is enough.
        let remedy = (finding.rule, finding.remedy.first());
        if told != Some(remedy) {
            advise(finding, page)?;
            told = Some(remedy);
        }
    }
    Ok(())
}

fn nothing(report: &Report) -> &'static str {
    if report.summary.flows == 0 {
        "None: no flow was found in the captures."
    } else if report.topology {
        "None: no rule found anything to say about the flows."
    } else {
        "None. Without a topology only rules that need no roles can find anything."
    }
}

fn one(report: &Report, finding: &Finding, page: &mut Page<'_>) -> io::Result<()> {
    let (tag, tone) = severity(finding.severity, page);
    page.tagged(0, tag, tone, &title(finding))?;
    let arrow = page.glyph("→", "->");
    let few = page.few(FEW);
    let who = format!(
        "{} {arrow} {}, {}",
        party(report, &finding.initiator, few),
        party(report, &finding.responder, few),
        service(finding)
    );
    page.line(2, &who)?;
    page.line(2, &finding.message)?;
    page.tagged(2, "Traffic ", Tone::Faint, &traffic(finding))?;
    if !finding.frames.is_empty() {
        page.tagged(2, "Frames  ", Tone::Faint, &frames(report, &finding.frames))?;
    }
    if let Some(known) = &finding.announced {
        page.tagged(2, "Learned ", Tone::Faint, &learned(report, known))?;
    }
    if !finding.display_filter.is_empty() {
        page.tagged(2, "Filter  ", Tone::Faint, &finding.display_filter)?;
    }
    Ok(())
}

fn advise(finding: &Finding, page: &mut Page<'_>) -> io::Result<()> {
    let Some(step) = finding.remedy.first() else {
        return Ok(());
    };
    // As many as the explanation has: commands for this site may stand among the finding's own.
    let known = RULES.iter().find(|rule| rule.name == finding.rule);
    let steps = known.map_or(finding.remedy.len(), |rule| rule.remedy.len());
    let more = steps.saturating_sub(1) as u64;
    let text = if more == 0 {
        step.clone()
    } else {
        let steps = counted(more, "more step", "more steps");
        format!("{step} ({steps}: `portassay explain {}`)", finding.rule)
    };
    page.tagged(2, "Remedy  ", Tone::Faint, &text)
}

/// The severity as symbol and word, and its tone.
fn severity(severity: Severity, page: &Page<'_>) -> (&'static str, Tone) {
    match severity {
        Severity::Error => (page.glyph("✖ ERROR", "x ERROR"), Tone::Bad),
        Severity::Warning => (page.glyph("▲ WARNING", "! WARNING"), Tone::Doubtful),
        Severity::Note => (page.glyph("● NOTE", "- NOTE"), Tone::Notable),
    }
}

fn title(finding: &Finding) -> String {
    let mut title = finding.rule.to_string();
    if let Some(row) = &finding.expectation {
        title.push_str(", expectation ");
        title.push_str(row);
        if let Some(layer) = &finding.layer {
            title.push_str(" of ");
            title.push_str(layer);
        }
    }
    if finding.confidence != Confidence::High {
        title.push_str(", ");
        title.push_str(finding.confidence.token());
        title.push_str(" confidence");
    }
    title
}

/// Transport and ports, with the protocols that claim the content: `tcp/5061 tls`,
/// `tcp/80 http (also sip)`.
pub(in crate::report) fn service(finding: &Finding) -> String {
    let mut service = finding.transport.to_string();
    if !finding.ports.is_empty() {
        service.push('/');
        service.push_str(&ports(&finding.ports));
    }
    if let Some(protocol) = finding.protocol {
        service.push(' ');
        service.push_str(protocol);
        if !finding.also.is_empty() {
            let also: Vec<&str> = finding.also.iter().copied().collect();
            // Writing to a string cannot fail.
            let _ = write!(service, " (also {})", also.join(", "));
        }
    }
    service
}

fn traffic(finding: &Finding) -> String {
    format!(
        "{}, {}, {}; from {} for {}",
        counted(finding.flows, "flow", "flows"),
        counted(finding.packets, "packet", "packets"),
        bytes(finding.bytes),
        clock(finding.first),
        span(finding.first, finding.last)
    )
}

/// What was announced, by whom and where: `ept-map samr, by 10.0.1.11 in frame 12 of a.pcap`.
pub(in crate::report) fn learned(report: &Report, known: &Announcement) -> String {
    let at = frames(report, &[known.at]);
    format!("{}, by {} in frame {at}", known.summary(), known.by)
}

/// Frame numbers by capture: `12 and 15 of a.pcap; 3 of b.pcap`.
pub(in crate::report) fn frames(report: &Report, frames: &[FrameRef]) -> String {
    let mut parts: Vec<(u32, Vec<String>)> = Vec::new();
    for frame in frames {
        let number = count_plain(frame.frame);
        match parts.last_mut() {
            Some((capture, numbers)) if *capture == frame.capture => numbers.push(number),
            _ => parts.push((frame.capture, vec![number])),
        }
    }
    let parts: Vec<String> = parts
        .into_iter()
        .map(|(capture, numbers)| {
            let path = report.captures.get(capture as usize);
            let path = path.map_or_else(
                || format!("capture {}", count(u64::from(capture) + 1)),
                CaptureReport::shown,
            );
            format!("{} of {path}", listed(&numbers))
        })
        .collect();
    parts.join("; ")
}

/// Frame numbers are for copying into a filter, so they have no commas.
fn count_plain(number: u64) -> String {
    number.to_string()
}

/// Names and addresses listed per side on a terminal.
const FEW: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::failing;

    #[test]
    fn the_headline_names_every_claim() {
        let report = failing();
        let Some(finding) = report.findings().first() else { panic!("no finding") };
        assert_eq!(service(finding), "tcp/5061 sip");
        let both = Finding { also: ["http", "rtp"].into(), ..finding.clone() };
        assert_eq!(service(&both), "tcp/5061 sip (also http, rtp)");
    }
}
