//! What speed is asked of portassay, as data. Ratios hold from machine to machine where seconds do
//! not, so every goal is a ratio to a program of the same run, but memory.

use super::programs::{LIMIT, SOFTFLOWD, TCPDUMP};

/// What a goal measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Cpu,
    Wall,
}

/// A ratio to a peer, on the four mixes in their order.
#[derive(Debug)]
pub(super) struct Goal {
    pub(super) peer: &'static str,
    pub(super) measure: Measure,
    pub(super) bounds: [Bound; 4],
}

/// A bound of the ratio.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    /// The peer takes at least so many times as much.
    Faster(f64),
    /// portassay takes at most so many times as much.
    Within(f64),
}

use Bound::{Faster, Within};

/// Judged on the run with two threads, which is the dearer one in CPU.
pub(super) const GOALS: &[Goal] = &[
    Goal {
        peer: SOFTFLOWD,
        measure: Measure::Cpu,
        bounds: [Faster(6.0), Faster(10.0), Faster(3.5), Faster(14.0)],
    },
    Goal {
        peer: SOFTFLOWD,
        measure: Measure::Wall,
        bounds: [Faster(7.0), Faster(18.0), Faster(7.0), Faster(25.0)],
    },
    Goal {
        peer: TCPDUMP,
        measure: Measure::Cpu,
        bounds: [Faster(1.0), Faster(1.0), Faster(1.0), Within(3.0)],
    },
    Goal {
        peer: LIMIT,
        measure: Measure::Cpu,
        bounds: [Within(2.2), Within(5.0), Within(1.8), Within(25.0)],
    },
];

/// Megabytes at most, at a hundred thousand flows and fewer, and at two million.
pub(super) const MEMORY: [f64; 4] = [64.0, 64.0, 64.0, 400.0];

impl Bound {
    /// Whether the figures are within the bound.
    pub(super) fn met(self, ours: f64, theirs: f64) -> bool {
        match self {
            Faster(times) => theirs >= times * ours,
            Within(times) => ours <= times * theirs,
        }
    }

    /// The bound for people.
    pub(super) fn asked(self) -> String {
        match self {
            Faster(1.0) => "less".to_owned(),
            Faster(times) => format!("{times}x less"),
            Within(times) => format!("at most {times}x"),
        }
    }

    /// The ratio in the bound's own terms.
    pub(super) fn found(self, ours: f64, theirs: f64) -> String {
        match self {
            Faster(_) if ours > theirs => format!("{:.1}x more", ours / theirs),
            Faster(_) => format!("{:.1}x less", theirs / ours),
            Within(_) => format!("{:.1}x", ours / theirs),
        }
    }
}
