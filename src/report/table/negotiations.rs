//! The section on negotiations of IPsec: who, when, how it went, how long it took and how long media waited for it.

use std::io;

use super::{Align, Grid, Page};
use crate::findings::negotiations::{Fallback, Outcome, Tied};
use crate::report::Report;
use crate::report::color::Tone;
use crate::report::text::{clock, count, counted, shown_milliseconds};

/// Writes the section when there is anything to tell.
pub(super) fn write(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    let Some(summary) = summary(report) else { return Ok(()) };
    page.heading("IPsec negotiations")?;
    page.line(2, &summary)?;
    let all = &report.summary.negotiations;
    let shown = page.few(FEW).unwrap_or(all.len());
    if !all.is_empty() {
        let mut grid = Grid::new(&TITLES.map(|title| (title, Align::Left)));
        for tied in all.iter().take(shown) {
            grid.row(tone(tied.outcome()), cells(report, tied).into());
        }
        page.grid(&grid)?;
    }
    let hidden = all.len().saturating_sub(shown);
    if hidden > 0 {
        let more = counted(hidden as u64, "more negotiation", "more negotiations");
        page.line(2, &format!("and {more}; `--format json` lists them."))?;
    }
    Ok(())
}

/// How many there are and how they went; None where there is nothing to tell.
pub(in crate::report) fn summary(report: &Report) -> Option<String> {
    let all = &report.summary.negotiations;
    let more = report.summary.more_negotiations;
    let untold = report.summary.untold_messages;
    if all.is_empty() && untold == 0 {
        return None;
    }
    let total = all.len() as u64 + more;
    let parts: Vec<String> = Outcome::ALL
        .into_iter()
        .map(|outcome| (outcome, all.iter().filter(|tied| tied.outcome() == outcome).count()))
        .filter(|(_, number)| *number > 0)
        .map(|(outcome, number)| format!("{} {}", count(number as u64), outcome.token()))
        .collect();
    let mut text = counted(total, "negotiation", "negotiations");
    if !parts.is_empty() {
        text = format!("{text}: {}", parts.join(", "));
    }
    text.push('.');
    if more > 0 {
        text = format!("{text} The first {} are listed.", count(all.len() as u64));
    }
    if untold > 0 {
        let left_out = counted(untold, "message", "messages");
        text = format!("{text} There was no room for {left_out}, so that some may be missing.");
    }
    Some(text)
}

/// The titles of [`cells`].
pub(in crate::report) const TITLES: [&str; 6] =
    ["Outcome", "Initiator", "Responder", "Start (UTC)", "Took", "Media"];

/// One negotiation in a row.
pub(in crate::report) fn cells(report: &Report, tied: &Tied) -> [String; 6] {
    let negotiation = &tied.negotiation;
    let took = tied.took().map_or_else(|| "-".to_owned(), shown_milliseconds);
    [
        tied.outcome().token().into(),
        report.address(negotiation.initiator),
        report.address(negotiation.responder),
        clock(negotiation.first).trim_end_matches(" UTC").to_owned(),
        took,
        media(tied),
    ]
}

/// How media fared: `12.000 ms later, silent for 3.250 ms, soft-500ms`.
fn media(tied: &Tied) -> String {
    let Some(delay) = tied.media_delay() else {
        return if tied.hides_media() { "hidden" } else { "none" }.to_owned();
    };
    let mut text = match delay {
        0 => "began before".to_owned(),
        delay => format!("{} later", shown_milliseconds(delay)),
    };
    if let Some(gap) = tied.gap() {
        text = format!("{text}, silent for {}", shown_milliseconds(gap));
    }
    if let Some(class) = tied.fallback().map(Fallback::token) {
        text = format!("{text}, {class}");
    }
    text
}

fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Failed | Outcome::TimedOut => Tone::Bad,
        Outcome::Unanswered | Outcome::NoEncapsulation => Tone::Doubtful,
        Outcome::Association | Outcome::Completed | Outcome::Unfinished => Tone::Plain,
    }
}

/// Rows listed on a terminal.
const FEW: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::{failing, first_contact};

    #[test]
    fn a_negotiation_is_told_in_a_row() {
        let report = failing();
        assert_eq!(summary(&report).unwrap(), "1 negotiation: 1 sa.");
        assert_eq!(
            cells(&report, &report.summary.negotiations[0]),
            [
                "sa",
                "10.0.20.5",
                "10.0.1.11",
                "2024-05-01 12:00:02",
                "1,250.500 ms",
                "began before, silent for 1,150.400 ms, parallel"
            ]
        );
        assert_eq!(summary(&first_contact()), None);
    }

    #[test]
    fn what_is_not_listed_is_counted() {
        let mut report = failing();
        report.summary.more_negotiations = 1_000;
        report.summary.untold_messages = 7;
        assert_eq!(
            summary(&report).unwrap(),
            "1,001 negotiations: 1 sa. The first 1 are listed. There was no room for 7 messages, \
             so that some may be missing."
        );
    }
}
