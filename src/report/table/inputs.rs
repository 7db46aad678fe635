//! The section on the captures: what was read, and what stands against it.

use std::fmt::Write as _;
use std::io;

use super::{Align, Grid, Page};
use crate::report::color::Tone;
use crate::report::text::{
    bytes, clock, count, counted, duration, link_type, listed, reason, share, span,
};
use crate::report::{CaptureReport, Report};

/// Writes the section.
pub(super) fn write(report: &Report, page: &mut Page<'_>) -> io::Result<()> {
    page.heading("Captures")?;
    if report.captures.is_empty() {
        return page.line(2, "No capture was read.");
    }
    let shown = page.few(FEW).unwrap_or(report.captures.len());
    let mut grid = Grid::new(&[
        ("Capture", Align::Left),
        ("Link types", Align::Left),
        ("Frames", Align::Right),
        ("Bytes", Align::Right),
        ("Start (UTC)", Align::Word),
        ("Duration", Align::Right),
    ]);
    for capture in report.captures.iter().take(shown) {
        grid.row(Tone::Plain, cells(capture));
    }
    if report.captures.len() > 1 {
        grid.row(Tone::Plain, totals(&report.captures));
    }
    page.grid(&grid)?;
    let hidden = report.captures.len().saturating_sub(shown) as u64;
    if hidden > 0 {
        let more = counted(hidden, "more capture is", "more captures are");
        page.line(2, &format!("{more} in the totals; `--format json` lists all."))?;
    }
    for capture in report.captures.iter().take(shown) {
        for remark in remarks(capture) {
            let text = format!("{}: {remark}", capture.shown());
            page.tagged(2, "!", Tone::Doubtful, &text)?;
        }
    }
    Ok(())
}

fn cells(capture: &CaptureReport) -> Vec<String> {
    let tally = &capture.tally;
    let links: Vec<String> =
        tally.link_types.iter().map(|kind| link_type(*kind).into_owned()).collect();
    let (start, length) = times(tally.first.zip(tally.last));
    vec![
        capture.shown(),
        if links.is_empty() { "-".into() } else { links.join(", ") },
        count(tally.frames),
        bytes(tally.wire_bytes),
        start,
        length,
    ]
}

fn totals(captures: &[CaptureReport]) -> Vec<String> {
    let first = captures.iter().filter_map(|c| c.tally.first).min();
    let last = captures.iter().filter_map(|c| c.tally.last).max();
    let (start, length) = times(first.zip(last));
    vec![
        format!("all {}", count(captures.len() as u64)),
        String::new(),
        count(captures.iter().map(|c| c.tally.frames).sum()),
        bytes(captures.iter().map(|c| c.tally.wire_bytes).sum()),
        start,
        length,
    ]
}

fn times(ends: Option<(crate::input::Timestamp, crate::input::Timestamp)>) -> (String, String) {
    match ends {
        Some((first, last)) => {
            let start = clock(first);
            let start = start.strip_suffix(" UTC").unwrap_or(&start);
            (start.into(), span(first, last))
        }
        None => ("-".into(), "-".into()),
    }
}

/// What stands against a capture, one sentence each.
pub(in crate::report) fn remarks(capture: &CaptureReport) -> Vec<String> {
    let tally = &capture.tally;
    let frames = |number| counted(number, "frame", "frames");
    let mut out = Vec::new();
    if tally.frames == 0 {
        out.push("holds no frames.".into());
    }
    if let Some(damage) = &capture.damage {
        out.push(damage.clone());
    }
    if let Some(dropped) = tally.dropped().filter(|&number| number > 0) {
        out.push(format!("{} lost while capturing.", frames(dropped)));
    }
    let filters: Vec<String> = tally.notes.filters.iter().map(quoted).collect();
    if !filters.is_empty() {
        let noun = if filters.len() == 1 { "the filter" } else { "the filters" };
        out.push(format!("captured with {noun} {}.", listed(&filters)));
    }
    if tally.truncated_frames > 0 {
        out.push(format!("{} cut short by the snaplen.", frames(tally.truncated_frames)));
    }
    let undecoded: u64 = capture.undecoded.values().sum();
    if undecoded > 0 {
        let mut reasons: Vec<(&String, &u64)> = capture.undecoded.iter().collect();
        reasons.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let others: u64 = reasons.iter().skip(MANY).map(|(_, number)| *number).sum();
        let mut reasons: Vec<String> = reasons
            .into_iter()
            .take(MANY)
            .map(|(token, number)| format!("{} {}", count(*number), reason(token)))
            .collect();
        if others > 0 {
            reasons.push(format!("{} for other reasons", count(others)));
        }
        out.push(format!(
            "{} not decoded to a transport: {}.",
            frames(undecoded),
            listed(&reasons)
        ));
    }
    if capture.fragments > 0 {
        let fragments = counted(capture.fragments, "fragment", "fragments");
        out.push(format!("{fragments} of larger datagrams."));
    }
    if let Some(copies) = capture.duplicates.filter(|&number| number > 0) {
        let share = share(copies, tally.frames);
        let mut text = format!("{} ({share}) only repeat a packet, as mirrors do", frames(copies));
        if capture.routed_duplicates > 0 {
            let routed = count(capture.routed_duplicates);
            let _ = write!(text, ", {routed} of them from the other side of a router");
        }
        text.push_str("; each packet is counted once (`--keep-duplicates` counts all).");
        out.push(text);
    }
    if tally.giant_frames > 0 {
        let giants = frames(tally.giant_frames);
        out.push(format!(
            "{giants} longer than any link carries: captured inside a host that leaves segments to its \
             network card, so packets and lengths are not those on the wire."
        ));
    }
    let (wrong, seen) = capture.checksums;
    if wrong > 0 {
        out.push(format!(
            "{} of {} connection requests and answers have a wrong checksum, as on a host that leaves \
             checksums to its network card; they count like any other.",
            count(wrong),
            count(seen)
        ));
    }
    let order = &tally.chronology;
    if order.backwards > 0 {
        let longest = duration(i64::try_from(order.longest).unwrap_or(i64::MAX));
        out.push(format!(
            "{} earlier than the one before, by up to {longest}.",
            frames(order.backwards)
        ));
    }
    if tally.filtered_out > 0 {
        out.push(format!("{} left out by the filter.", frames(tally.filtered_out)));
    }
    out
}

/// A capture filter for people: its beginning, where it is long.
fn quoted(filter: &str) -> String {
    match filter.char_indices().nth(LONG) {
        Some((end, _)) => format!("`{}...`", filter.get(..end).unwrap_or(filter)),
        None => format!("`{filter}`"),
    }
}

/// Characters of a capture filter that are shown.
const LONG: usize = 200;
/// Reasons told one by one: noise has tens of thousands of link-layer types.
const MANY: usize = 12;
/// Captures listed one by one on a terminal.
const FEW: usize = 20;
