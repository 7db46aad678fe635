//! Whether the captures can support an answer. What weakens it is said; what forbids a pass turns
//! the answer into `inconclusive`.

use crate::decode::{Stop, Transport};
use crate::findings::Pairs;
use crate::flow::{FlowTable, FragmentCounts, Outcome};
use crate::pipeline::counts::{CaptureCounts, Unread};
use crate::pipeline::judge::JudgedFlow;
use crate::policy::learned::MAX_ENDPOINTS;
use crate::report::{Grade, display_path};

/// What is known of the captures when all is read and judged.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What was counted in each.
    pub captures: &'a [CaptureCounts],
    /// What the flows show of the captures.
    pub sides: &'a Sides,
    /// Hosts between which one direction is missing.
    pub pairs: &'a Pairs,
    /// What became of fragmented datagrams.
    pub fragments: &'a FragmentCounts,
    /// Packets that no flow had room for.
    pub untracked_packets: u64,
    /// Announcements for which there was no room.
    pub unheard: u64,
    /// The filter that was applied.
    pub filter: Option<&'a str>,
}

/// Grades the captures: the worst grade and every reason for it, in reading order.
pub fn grade(evidence: &Evidence<'_>) -> (Grade, Vec<String>) {
    let mut page = Page { grade: Grade::Good, reasons: Vec::new() };
    for capture in evidence.captures {
        of_capture(capture, &mut page);
    }
    of_times(evidence.captures, &mut page);
    of_fragments(evidence, &mut page);
    of_flows(evidence, &mut page);
    (page.grade, page.reasons)
}

/// The grade so far and what was said.
struct Page {
    grade: Grade,
    reasons: Vec<String>,
}

impl Page {
    fn weaken(&mut self, to: Grade, reason: String) {
        if self.grade != Grade::Inconclusive {
            self.grade = to;
        }
        self.reasons.push(reason);
    }
}

/// What one capture says of itself.
fn of_capture(capture: &CaptureCounts, page: &mut Page) {
    let path = display_path(&capture.path);
    damaged(capture, &path, page);
    let tally = &capture.tally;
    let frames = tally.frames;
    if tally.filtered_out == frames && frames > 0 {
        page.weaken(
            Grade::Inconclusive,
            format!(
                "{path}: the filter left out every frame (it reads the outermost headers, not those \
                 inside a mirror's tunnel)"
            ),
        );
    }
    if tally.truncated_frames > 0 {
        let share = percent(tally.truncated_frames, frames);
        page.weaken(
            Grade::Degraded,
            format!(
                "{path}: {share} of the frames are cut by the snaplen, so less content can be seen"
            ),
        );
    }
    if let Some(dropped) = tally.dropped().filter(|dropped| *dropped > 0) {
        page.weaken(
            worse_if(dropped >= frames),
            format!("{path}: the capturing system lost {dropped} frames"),
        );
    }
    unreadable(capture, &path, page);
    if tally.chronology.longest >= LONG_STEP {
        let seconds = tally.chronology.longest as f64 / 1e9;
        page.weaken(
            Grade::Degraded,
            format!(
                "{path}: its clock goes back by up to {seconds:.1} s, so what came before what is \
                 uncertain (`reordercap` puts frames in order)"
            ),
        );
    }
}

/// Where reading ended early, and what that leaves unread.
fn damaged(capture: &CaptureCounts, path: &str, page: &mut Page) {
    let Some(damage) = &capture.damage else {
        return;
    };
    match capture.unread {
        Unread::Nothing => page.weaken(Grade::Degraded, format!("{path}: {damage}")),
        Unread::Bytes(rest, all) => page.weaken(
            worse_if(rest * FEW >= all),
            format!(
                "{path}: {damage}; reading ended there, and {} of the file was not read",
                percent(rest, all)
            ),
        ),
        Unread::Unknown => page.weaken(
            Grade::Inconclusive,
            format!("{path}: {damage}; reading ended there, and nobody knows how much is missing"),
        ),
    }
}

/// Frames whose traffic cannot be seen, for whatever reason.
fn unreadable(capture: &CaptureCounts, path: &str, page: &mut Page) {
    let frames = capture.tally.frames;
    for (of, are) in UNSEEN {
        let of_it = capture.undecoded.iter().filter(|(stop, _)| of(stop));
        let unseen: u64 = of_it.map(|(_, frames)| frames).sum();
        if unseen > 0 && unseen * SOME >= frames {
            let share = percent(unseen, frames);
            page.weaken(
                worse_if(unseen * 2 > frames),
                format!("{path}: {share} of the frames {are}"),
            );
        }
    }
}

/// Whether a frame was not read for some reason.
type Reason = fn(&Stop) -> bool;

/// Why traffic in a frame cannot be seen, and what is said of such frames.
const UNSEEN: [(Reason, &str); 3] = [
    (Stop::hides_traffic, "are of an encapsulation or a link type that is not read"),
    (
        |stop| *stop == Stop::Fragment,
        "are fragments whose first one, which shows the ports, was not captured",
    ),
    (Stop::is_broken, "have headers that are cut or damaged"),
];

/// Captures that were recorded at the same time: they are read one behind the other, so an answer in one
/// of them may come long after its request in the other, and a packet in both is counted twice.
fn of_times(captures: &[CaptureCounts], page: &mut Page) {
    let mut latest: Option<(&CaptureCounts, i64)> = None;
    for capture in captures {
        let (Some(first), Some(last)) = (capture.tally.first, capture.tally.last) else {
            continue;
        };
        if let Some((other, end)) = latest
            && end.min(last.0).saturating_sub(first.0) >= SAME_TIME
        {
            let (a, b) = (display_path(&other.path), display_path(&capture.path));
            page.weaken(
                Grade::Degraded,
                format!(
                    "{a} and {b} were recorded at the same time, and captures are read one behind the \
                     other: put them in order first, `mergecap -w all.pcapng {a} {b}`"
                ),
            );
            return;
        }
        if latest.is_none_or(|(_, end)| end < last.0) {
            latest = Some((capture, last.0));
        }
    }
}

/// What fragments without the others say.
fn of_fragments(evidence: &Evidence<'_>, page: &mut Page) {
    let fragments = evidence.fragments;
    let hidden: u64 = evidence.captures.iter().map(|counts| counts.filtered_fragments).sum();
    let whole = "`or (ip[6:2] & 0x1fff != 0) or ip6 proto 44`";
    if fragments.only_first > 0 && hidden > 0 && evidence.filter.is_some() {
        page.weaken(
            Grade::Degraded,
            format!(
                "the filter passes the first fragments of {} datagrams and not the others, which have \
                 no ports: add {whole} to it",
                fragments.only_first
            ),
        );
    } else if fragments.only_first > 0 && fragments.only_first == fragments.datagrams {
        page.weaken(
            Grade::Degraded,
            format!(
                "of {} fragmented datagrams only the first fragments were captured, as filters by port \
                 do: capture with {whole}",
                fragments.only_first
            ),
        );
    }
    let odd = fragments.overlapping + fragments.endless;
    if odd > 0 {
        page.weaken(
            Grade::Degraded,
            format!(
                "the fragments of {odd} datagrams overlap, contradict each other or do not end: their \
                 receivers may have read something else"
            ),
        );
    }
}

/// What the flows show of the captures.
fn of_flows(evidence: &Evidence<'_>, page: &mut Page) {
    let frames: u64 = evidence.captures.iter().map(|capture| capture.tally.frames).sum();
    if evidence.untracked_packets > 0 {
        page.weaken(
            worse_if(evidence.untracked_packets * FEW >= frames),
            format!(
                "the flow table was full: {} packets of further flows were counted but not judged \
                 (raise --max-flows)",
                evidence.untracked_packets
            ),
        );
    }
    if evidence.unheard > 0 {
        page.weaken(
            Grade::Degraded,
            format!(
                "more than {MAX_ENDPOINTS} endpoints were announced by content: {} announcements of \
                 further ones were not heeded",
                evidence.unheard
            ),
        );
    }
    let Sides { one_sided, mid_stream, tcp, unseen, seen } = *evidence.sides;
    // Out of order, acknowledgements may stand before what they acknowledge.
    let in_order =
        evidence.captures.iter().all(|capture| capture.tally.chronology.longest < LONG_STEP);
    if unseen > 0 && unseen * 100 >= seen && in_order {
        page.weaken(
            worse_if(unseen > seen),
            format!(
                "{} of the bytes that TCP connections acknowledged are not in the captures: they were \
                 lost while capturing (mirrors through tunnels lose the longest frames: raise the MTU of \
                 the mirror's path)",
                percent(unseen, seen + unseen)
            ),
        );
    }
    if tcp >= MIN_TCP_FLOWS && one_sided * 2 > tcp {
        page.weaken(
            Grade::Inconclusive,
            format!(
                "{} of the TCP flows show one direction only: capture both directions (SPAN rx and tx)",
                percent(one_sided, tcp)
            ),
        );
    } else if let Some((a, b)) = evidence.pairs.first() {
        let pairs = evidence.pairs.len();
        let others = if pairs == 1 { String::new() } else { format!(" and {} more", pairs - 1) };
        page.weaken(
            Grade::Degraded,
            format!(
                "between some hosts ({a} and {b}{others}) one direction was captured only, so silence \
                 there is no finding"
            ),
        );
    }
    // Where flags are cut off, beginnings are too.
    let cut: u64 = evidence.captures.iter().map(|capture| capture.tally.truncated_frames).sum();
    if tcp >= MIN_TCP_FLOWS && mid_stream * 2 > tcp && cut * 2 <= frames {
        page.weaken(
            Grade::Degraded,
            format!(
                "{} of the TCP flows began before the capture, so who opened them is inferred",
                percent(mid_stream, tcp)
            ),
        );
    }
}

/// Inconclusive where most is missing.
fn worse_if(most: bool) -> Grade {
    if most { Grade::Inconclusive } else { Grade::Degraded }
}

/// What the judged flows show of the captures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sides {
    one_sided: u64,
    mid_stream: u64,
    /// Flows that show a connection at all.
    tcp: u64,
    /// Bytes that were acknowledged and not captured.
    unseen: u64,
    /// Bytes that were captured, of the connections that can tell.
    seen: u64,
}

impl Sides {
    /// Counts a flow.
    pub fn add(&mut self, judged: &JudgedFlow) {
        if judged.flow.transport != Transport::TCP {
            return;
        }
        // What could be read of IPsec in TCP was counted as the packets inside.
        let opened = judged.identification.protocol == Some("ike-tcp");
        if let Some((unseen, seen)) = judged.flow.unseen().filter(|_| !opened) {
            // One connection with made-up numbers must not speak for all.
            self.unseen = self.unseen.saturating_add(unseen.min(seen + MOST_UNSEEN));
            self.seen = self.seen.saturating_add(seen);
        }
        match judged.outcome {
            Outcome::OneSided => {
                self.one_sided += 1;
                self.tcp += 1;
            }
            Outcome::MidStream => {
                self.mid_stream += 1;
                self.tcp += 1;
            }
            Outcome::Established => self.tcp += 1,
            _ => {}
        }
    }
}

/// Hosts between which connections work and yet show one direction only.
pub fn one_sided_pairs(table: &FlowTable) -> Pairs {
    let mut pairs = Pairs::default();
    for ends in table.one_sided_connections() {
        pairs.one_sided(ends);
    }
    if !pairs.is_empty() {
        for ends in table.two_sided_connections() {
            pairs.both_ways(ends);
        }
    }
    pairs.settle();
    pairs
}

/// TCP flows from which on a share of one-sided ones says something about the capture.
const MIN_TCP_FLOWS: u64 = 4;
/// Bytes beyond those captured that one connection may count as lost.
const MOST_UNSEEN: u64 = 1 << 20;
/// One byte or packet in so many that was not looked at forbids a pass.
const FEW: u64 = 10;
/// One frame in so many that cannot be read weakens the answer.
const SOME: u64 = 20;
/// Nanoseconds that two captures have in common before that is no rotation: the files of a set may overlap a
/// little.
const SAME_TIME: i64 = 1_000_000_000;
/// Nanoseconds by which a clock goes back before that matters: less is the order of several capture
/// queues.
const LONG_STEP: u64 = 1_000_000_000;

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::input::{Format, Timestamp};

    fn graded(
        captures: &[CaptureCounts],
        sides: Sides,
        fragments: FragmentCounts,
    ) -> (Grade, String) {
        let evidence = Evidence {
            captures,
            sides: &sides,
            pairs: &Pairs::default(),
            fragments: &fragments,
            untracked_packets: 0,
            unheard: 0,
            filter: None,
        };
        let (grade, reasons) = grade(&evidence);
        (grade, reasons.join("; "))
    }

    fn capture(frames: u64, change: impl FnOnce(&mut CaptureCounts)) -> [CaptureCounts; 1] {
        let mut counts = CaptureCounts::new("a.pcap".as_ref(), Format::Pcap);
        counts.tally.frames = frames;
        change(&mut counts);
        [counts]
    }

    fn grade_of(capture: &[CaptureCounts]) -> Grade {
        graded(capture, Sides::default(), FragmentCounts::default()).0
    }

    #[test]
    fn what_is_missing_decides_the_grade() {
        let graded = |one_sided, mid_stream| {
            let sides = Sides { one_sided, mid_stream, tcp: 10, ..Sides::default() };
            graded(&[], sides, FragmentCounts::default()).0
        };
        assert_eq!(graded(0, 0), Grade::Good);
        assert_eq!(graded(5, 5), Grade::Good, "half is not most");
        assert_eq!(graded(0, 6), Grade::Degraded);
        assert_eq!(graded(6, 6), Grade::Inconclusive);
    }

    #[test]
    fn few_flows_say_nothing_about_the_capture() {
        let sides = Sides { one_sided: 3, tcp: 3, ..Sides::default() };
        assert_eq!(graded(&[], sides, FragmentCounts::default()).0, Grade::Good);
    }

    #[test]
    fn lost_frames_weaken_and_more_lost_than_seen_forbid_a_pass() {
        let lost = |lost| capture(100, |counts| counts.tally.dropped_by_capture = Some(lost));
        assert_eq!(grade_of(&lost(0)), Grade::Good);
        assert_eq!(grade_of(&lost(1)), Grade::Degraded);
        assert_eq!(grade_of(&lost(100)), Grade::Inconclusive);
        let acknowledged = |unseen| {
            let sides = Sides { unseen, seen: 1_000, ..Sides::default() };
            graded(&[], sides, FragmentCounts::default()).0
        };
        assert_eq!(acknowledged(9), Grade::Good);
        assert_eq!(acknowledged(10), Grade::Degraded);
        assert_eq!(acknowledged(1_001), Grade::Inconclusive);
    }

    #[test]
    fn traffic_that_cannot_be_read_weakens_and_noise_does_not() {
        let with = |stop, frames| capture(100, |counts| counts.stopped(stop, frames));
        let unknown = Stop::NotIp(0x1234);
        assert_eq!(grade_of(&with(unknown, 4)), Grade::Good);
        assert_eq!(grade_of(&with(unknown, 5)), Grade::Degraded);
        assert_eq!(grade_of(&with(unknown, 51)), Grade::Inconclusive);
        assert_eq!(grade_of(&with(Stop::NotIp(0x0806), 99)), Grade::Good);
        assert_eq!(grade_of(&with(Stop::IpHeader, 5)), Grade::Degraded);
        assert_eq!(grade_of(&with(Stop::IpHeader, 51)), Grade::Inconclusive);
    }

    #[test]
    fn a_clock_that_steps_back_weakens() {
        let back = |nanos| {
            capture(2, |counts| {
                counts.tally.chronology.next(Timestamp(nanos));
                counts.tally.chronology.next(Timestamp(0));
            })
        };
        assert_eq!(grade_of(&back(999_999_999)), Grade::Good);
        assert_eq!(grade_of(&back(1_000_000_000)), Grade::Degraded);
    }

    #[test]
    fn fragments_that_a_filter_hid_are_told() {
        let of = |only_first, datagrams, overlapping| {
            let fragments =
                FragmentCounts { datagrams, overlapping, only_first, ..FragmentCounts::default() };
            graded(&[], Sides::default(), fragments)
        };
        assert_eq!(of(0, 0, 0).0, Grade::Good);
        assert_eq!(of(1, 2, 0).0, Grade::Good);
        assert!(of(2, 2, 0).1.contains("only the first fragments"));
        assert!(of(0, 2, 1).1.contains("overlap"));
        let captures = capture(9, |counts| counts.filtered_fragments = 3);
        let evidence = Evidence {
            captures: &captures,
            sides: &Sides::default(),
            pairs: &Pairs::default(),
            fragments: &FragmentCounts { only_first: 1, datagrams: 5, ..FragmentCounts::default() },
            untracked_packets: 0,
            unheard: 0,
            filter: Some("port 5060"),
        };
        assert!(grade(&evidence).1[0].starts_with("the filter passes the first fragments of 1"));
    }

    #[test]
    fn what_stands_behind_damage_decides_whether_a_pass_is_one() {
        let damaged = |unread| {
            capture(9, |counts| {
                counts.damage = Some("at byte 7 it is damaged".into());
                counts.unread = unread;
            })
        };
        assert_eq!(grade_of(&damaged(Unread::Nothing)), Grade::Degraded);
        assert_eq!(grade_of(&damaged(Unread::Bytes(9, 100))), Grade::Degraded);
        assert_eq!(grade_of(&damaged(Unread::Bytes(10, 100))), Grade::Inconclusive);
        assert_eq!(grade_of(&damaged(Unread::Unknown)), Grade::Inconclusive);
    }

    #[test]
    fn captures_of_the_same_time_are_told_and_rotated_ones_are_not() {
        let between = |first: i64, last: i64| {
            let mut counts = CaptureCounts::new("a.pcap".as_ref(), Format::Pcap);
            counts.tally.frames = 9;
            counts.tally.first = Some(Timestamp(first * 1_000_000_000));
            counts.tally.last = Some(Timestamp(last * 1_000_000_000));
            counts
        };
        assert_eq!(grade_of(&[between(0, 10), between(10, 20), between(20, 30)]), Grade::Good);
        assert_eq!(grade_of(&[between(0, 10), between(9, 20)]), Grade::Degraded);
        assert_eq!(grade_of(&[between(0, 100), between(10, 11), between(50, 60)]), Grade::Degraded);
    }

    #[test]
    fn announcements_without_room_weaken() {
        let evidence = Evidence {
            captures: &[],
            sides: &Sides::default(),
            pairs: &Pairs::default(),
            fragments: &FragmentCounts::default(),
            untracked_packets: 0,
            unheard: 1,
            filter: None,
        };
        let (grade, reasons) = grade(&evidence);
        assert_eq!(grade, Grade::Degraded);
        assert!(reasons[0].contains("1 announcements"), "{reasons:?}");
    }

    #[test]
    fn a_filter_that_leaves_nothing_forbids_a_pass() {
        assert_eq!(grade_of(&capture(9, |counts| counts.tally.filtered_out = 8)), Grade::Good);
        let all = capture(9, |counts| counts.tally.filtered_out = 9);
        assert_eq!(grade_of(&all), Grade::Inconclusive);
    }

    #[test]
    fn hosts_of_one_direction_are_named() {
        let addresses = |n: u8| [IpAddr::from([10, 0, 0, n]), IpAddr::from([10, 0, 1, n])];
        let mut pairs = Pairs::default();
        pairs.one_sided(addresses(1));
        pairs.one_sided(addresses(2));
        pairs.one_sided(addresses(3));
        pairs.both_ways(addresses(3));
        pairs.settle();
        let evidence = Evidence {
            captures: &[],
            sides: &Sides::default(),
            pairs: &pairs,
            fragments: &FragmentCounts::default(),
            untracked_packets: 0,
            unheard: 0,
            filter: None,
        };
        let (grade, reasons) = grade(&evidence);
        assert_eq!(grade, Grade::Degraded);
        assert!(reasons[0].contains("10.0.0.1 and 10.0.1.1 and 1 more"), "{reasons:?}");
    }
}
