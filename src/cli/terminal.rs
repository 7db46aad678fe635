//! Where messages go and how they look: colour, width, progress, warnings, the closing line.

use std::io::{IsTerminal, Write};
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use super::args::{self, When};
use crate::error::Error;
use crate::pipeline::{self, read::Progress};
use crate::report::Style;
use crate::report::text::escape;

/// How the program may talk to whoever started it.
pub(super) struct Terminal {
    color: When,
    progress: bool,
    quiet: bool,
    verbose: bool,
}

impl Terminal {
    pub(super) fn new(display: &args::Display) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            color: display.color,
            progress: terminal && !display.quiet && display.progress == args::Progress::Auto,
            quiet: display.quiet,
            verbose: display.verbose,
        }
    }

    /// How a report on standard output may be drawn.
    pub(super) fn style(&self) -> Style {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let color = match self.color {
            When::Always => true,
            When::Never => false,
            When::Auto => terminal && color_allowed(),
        };
        let width = terminal.then(terminal_width).flatten();
        Style { color, width }
    }

    /// An input or policy error.
    #[expect(clippy::unused_self, reason = "errors are shown even when quiet, by one door")]
    pub(super) fn error(&self, error: &Error) {
        say(&format!("error: {error}"));
    }

    /// Something the user should know, though the run goes on.
    pub(super) fn warn(&self, text: &str) {
        if !self.quiet {
            say(&format!("warning: {text}"));
        }
    }

    /// Something found while the run goes on.
    pub(super) fn news(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Something only asked for with `-v`.
    pub(super) fn detail(&self, text: &str) {
        if self.verbose {
            say(text);
        }
    }

    /// The closing line: the reason of the exit code.
    pub(super) fn reason(&self, code: u8, reason: &str) {
        if !self.quiet {
            say(&format!("portassay: exit {code}: {reason}"));
        }
    }

    /// Shows the progress of reading while `work` runs, on a terminal only.
    pub(super) fn with_progress<R>(&self, progress: &Progress, work: impl FnOnce() -> R) -> R {
        if !self.progress {
            return work();
        }
        let mut bar = None;
        let mut ticks = 0_u32;
        let result = pipeline::alongside(work, TICK, || {
            ticks += 1;
            // Short work shows no bar.
            if ticks >= TICKS_BEFORE_SHOWING {
                let total = progress.total.load(Ordering::Relaxed);
                let bar = bar.get_or_insert_with(|| new_bar(total));
                bar.set_position(progress.done.load(Ordering::Relaxed));
                let unpacked = progress.unpacked.load(Ordering::Relaxed);
                if unpacked > 0 {
                    bar.set_message(format!("({} unpacked) ", HumanBytes(unpacked)));
                }
            }
        });
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        result
    }
}

fn new_bar(total: u64) -> ProgressBar {
    if total == 0 {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {bytes} read {msg}{bytes_per_sec}")
        {
            bar.set_style(style);
        }
        return bar;
    }
    let bar = ProgressBar::new(total);
    let template = "{wide_bar} {bytes}/{total_bytes} {msg} {bytes_per_sec}  {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Time between two looks at the progress.
const TICK: Duration = Duration::from_millis(50);
/// Half a second: what is done by then needs no bar.
const TICKS_BEFORE_SHOWING: u32 = 10;

/// Writes a line to standard error. Nobody can be told when that fails.
fn say(line: &str) {
    // Paths and names may hold anything: none of it reaches the terminal as a command.
    let mut text = String::with_capacity(line.len() + 1);
    for line in line.lines() {
        text.push_str(&escape(line));
        text.push('\n');
    }
    let _closed = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Whether the environment lets `--color auto` use colour (no-color.org; `TERM=dumb`).
fn color_allowed() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn terminal_width() -> Option<u16> {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .ok()
        .map(|size| size.ws_col)
        .filter(|columns| *columns > 0)
}
