//! The sections on what the policy explains: classes, expected services, `IPsec`, quality.

use std::io;

use super::{Align, Grid, Page};
use crate::findings::audit::ClassTotals;
use crate::policy::Class;
use crate::report::color::Tone;
use crate::report::text::{bytes, count, share};
use crate::report::{Grade, Report, answer, exemptions};

/// Writes coverage, expected services and `IPsec`.
pub(super) fn write(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    page.heading("Coverage")?;
    classes(report, page)?;
    page.heading("Expected services")?;
    expected(report, page)?;
    page.heading("IPsec")?;
    ipsec(report, page)
}

fn classes(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    let totals = rows(report);
    let packets: u64 = totals.iter().map(|(_, t)| t.packets).sum();
    if totals.is_empty() {
        return page.line(2, "There are no flows to explain.");
    }
    page.line(2, &answer::explained(report))?;
    let mut grid = Grid::new(&[
        ("Class", Align::Word),
        ("Flows", Align::Right),
        ("Packets", Align::Right),
        ("Bytes", Align::Right),
        ("Packets %", Align::Right),
        ("Meaning", Align::Left),
    ]);
    for (class, totals) in &totals {
        grid.row(
            tone(*class),
            vec![
                class.token().into(),
                count(totals.flows),
                count(totals.packets),
                bytes(totals.bytes),
                share(totals.packets, packets),
                class.meaning().into(),
            ],
        );
    }
    page.grid(&grid)?;
    untracked(report, page)
}

/// Classes with flows, in reporting order.
pub(in crate::report) fn rows(report: &Report) -> Vec<(Class, ClassTotals)> {
    Class::ALL
        .into_iter()
        .filter_map(|class| Some((class, *report.summary.by_class.get(&class)?)))
        .filter(|(_, totals)| totals.flows > 0)
        .collect()
}

/// Says what no flow table had room for.
pub(super) fn untracked(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    if report.untracked_packets == 0 {
        return Ok(());
    }
    let number = count(report.untracked_packets);
    let text = format!("{number} packets are in no flow, since the flow table was full.");
    page.tagged(2, "!", Tone::Doubtful, &text)
}

fn tone(class: Class) -> Tone {
    match class {
        Class::Confirmed => Tone::Good,
        Class::WrongProtocol | Class::Unexpected => Tone::Bad,
        Class::RangeUnconfirmed => Tone::Doubtful,
        Class::PortOnly | Class::Infrastructure | Class::OutOfScope => Tone::Plain,
    }
}

fn expected(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    let expected = &report.summary.expected;
    if expected.is_empty() {
        return page.line(2, "The policy expects no service of the topology's hosts.");
    }
    page.line(2, &answer::expected_in_words(expected))?;
    let mut grid = Grid::new(&[
        ("State", Align::Word),
        ("Row", Align::Word),
        ("From", Align::Left),
        ("Responder", Align::Left),
        ("Port", Align::Right),
    ]);
    let mut failed = answer::failed_services(expected).peekable();
    if failed.peek().is_none() {
        return Ok(());
    }
    for service in failed {
        let from = service.initiator_role.as_deref().unwrap_or("anyone");
        grid.row(
            Tone::Bad,
            vec![
                answer::state(service.state).into(),
                service.row.clone(),
                from.into(),
                service.responder.clone(),
                service.port.to_string(),
            ],
        );
    }
    page.grid(&grid)
}

fn ipsec(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    page.line(2, &answer::ipsec(report))?;
    for exemption in exemptions::told(report) {
        let tone = match exemption.status {
            "proven" => Tone::Bad,
            "exempt-seen" => Tone::Good,
            _ => Tone::Doubtful,
        };
        let tag = format!("{}:", exemption.status);
        page.tagged(2, &tag, tone, &exemptions::about(exemption))?;
        for evidence in exemption.evidence.iter().take(MAX_EVIDENCE) {
            page.tagged(4, "-", Tone::Plain, evidence)?;
        }
        for configured in &exemption.configured {
            let tone = if configured.contradicts { Tone::Doubtful } else { Tone::Plain };
            page.tagged(4, exemptions::relation(configured), tone, &configured.text)?;
        }
    }
    for (rows, caution) in exemptions::cautions(report) {
        page.tagged(2, &format!("{}:", rows.join(", ")), Tone::Doubtful, caution)?;
    }
    let mends = exemptions::mends(report);
    for (rows, commands) in &mends {
        page.line(2, &format!("To make the exemption of {}, in PowerShell:", rows.join(", ")))?;
        for command in commands {
            page.tagged(4, "-", Tone::Plain, command)?;
        }
    }
    if !mends.is_empty() {
        page.line(2, exemptions::BOTH_ENDS)?;
    }
    Ok(())
}

/// Writes how well the captures support the answer.
pub(super) fn quality(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    page.heading("Capture quality")?;
    let (tone, text) = match report.grade {
        Grade::Good => (Tone::Good, "nothing stands against the answer."),
        Grade::Degraded => (Tone::Doubtful, "parts of the answer are weakened."),
        Grade::Inconclusive => (Tone::Doubtful, "no pass can be supported."),
    };
    let tag = format!("{}:", answer::grade(report.grade));
    page.tagged(2, &tag, tone, text)?;
    for reason in &report.reasons {
        page.tagged(2, "-", Tone::Plain, reason)?;
    }
    Ok(())
}

/// Lines of evidence per exemption; JSON has more.
const MAX_EVIDENCE: usize = 2;
