//! One program run once, and what it took.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use wait4::Wait4;

use crate::Result;

/// What a run took: of the process and of those it waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// Seconds by the clock.
    pub(super) wall: f64,
    /// Seconds of CPU, user and system.
    pub(super) cpu: f64,
    /// Greatest resident set in megabytes (10^6 bytes).
    pub(super) peak: f64,
}

/// Runs a program with its words, its output thrown away.
pub(super) fn run(program: &Path, words: &[String]) -> Result<Run> {
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let ended = child.wait4()?;
    let wall = start.elapsed().as_secs_f64();
    if !ended.status.success() {
        return Err(format!(
            "{} {} ended with {}",
            program.display(),
            words.join(" "),
            ended.status
        )
        .into());
    }
    let usage = ended.rusage;
    Ok(Run {
        wall,
        cpu: (usage.utime + usage.stime).as_secs_f64(),
        peak: usage.maxrss as f64 / 1e6,
    })
}

/// Runs of one program over one capture.
#[derive(Debug, Clone, Default)]
pub(super) struct Runs(Vec<Run>);

impl Runs {
    pub(super) fn push(&mut self, run: Run) {
        self.0.push(run);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The middle value of a measure; of two middle ones the lesser.
    pub(super) fn median(&self, of: impl Fn(&Run) -> f64) -> f64 {
        let mut values: Vec<f64> = self.0.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn least(&self, of: impl Fn(&Run) -> f64) -> f64 {
        self.0.iter().map(of).fold(f64::INFINITY, f64::min)
    }

    pub(super) fn greatest(&self, of: impl Fn(&Run) -> f64) -> f64 {
        self.0.iter().map(of).fold(0.0, f64::max)
    }
}
