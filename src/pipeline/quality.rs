//! Whether the captures can support an answer. What weakens it is said; what forbids a pass turns
//! the answer into `inconclusive`.

use crate::decode::Transport;
use crate::flow::Outcome;
use crate::pipeline::judge::JudgedFlow;
use crate::pipeline::read::CaptureCounts;
use crate::report::Grade;

/// TCP flows from which on a share of one-sided ones says something about the capture.
const MIN_TCP_FLOWS: u64 = 4;

/// Grades the captures: the worst grade and every reason for it, in reading order.
pub fn grade(
    captures: &[CaptureCounts],
    sides: &Sides,
    untracked_packets: u64,
) -> (Grade, Vec<String>) {
    let mut grade = Grade::Good;
    let mut reasons = Vec::new();
    let mut weaken = |to: Grade, reason: String| {
        if grade != Grade::Inconclusive {
            grade = to;
        }
        reasons.push(reason);
    };
    for capture in captures {
        let path = crate::report::display_path(&capture.path);
        if let Some(damage) = &capture.damage {
            weaken(Grade::Degraded, format!("{path}: {damage}"));
        }
        let tally = &capture.tally;
        if tally.truncated_frames > 0 {
            let share = percent(tally.truncated_frames, tally.frames);
            weaken(
                Grade::Degraded,
                format!(
                    "{path}: {share} of the frames are cut by the snaplen, so less content can be seen"
                ),
            );
        }
        if let Some(dropped) = tally.dropped().filter(|dropped| *dropped > 0) {
            weaken(Grade::Degraded, format!("{path}: the capturing system lost {dropped} frames"));
        }
    }
    if untracked_packets > 0 {
        weaken(
            Grade::Degraded,
            format!(
                "the flow table was full: {untracked_packets} packets of further flows were counted \
             but not judged (raise --max-flows)"
            ),
        );
    }
    let Sides { one_sided, mid_stream, tcp } = *sides;
    if tcp >= MIN_TCP_FLOWS && one_sided * 2 > tcp {
        weaken(
            Grade::Inconclusive,
            format!(
                "{} of the TCP flows show one direction only: capture both directions (SPAN rx and tx)",
                percent(one_sided, tcp)
            ),
        );
    }
    if tcp >= MIN_TCP_FLOWS && mid_stream * 2 > tcp {
        weaken(
            Grade::Degraded,
            format!(
                "{} of the TCP flows began before the capture, so who opened them is inferred",
                percent(mid_stream, tcp)
            ),
        );
    }
    (grade, reasons)
}

/// How many TCP flows show one direction only, or not their beginning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sides {
    one_sided: u64,
    mid_stream: u64,
    /// Flows that show a connection at all.
    tcp: u64,
}

impl Sides {
    /// Counts a flow.
    pub fn add(&mut self, judged: &JudgedFlow) {
        if judged.flow.transport != Transport::TCP {
            return;
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

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_decides_the_grade() {
        let graded = |one_sided, mid_stream, untracked| {
            let sides = Sides { one_sided, mid_stream, tcp: 10 };
            let (grade, reasons) = grade(&[], &sides, untracked);
            (grade, reasons.len())
        };
        assert_eq!(graded(0, 0, 0), (Grade::Good, 0));
        assert_eq!(graded(5, 5, 0), (Grade::Good, 0), "half is not most");
        assert_eq!(graded(0, 6, 0), (Grade::Degraded, 1));
        assert_eq!(graded(0, 0, 1), (Grade::Degraded, 1));
        assert_eq!(graded(6, 0, 1), (Grade::Inconclusive, 2));
    }

    #[test]
    fn few_flows_say_nothing_about_the_capture() {
        let sides = Sides { one_sided: 3, mid_stream: 0, tcp: 3 };
        assert_eq!(grade(&[], &sides, 0).0, Grade::Good);
    }
}
