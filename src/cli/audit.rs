//! The commands that audit: `check`, `watch`, `test`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::args::{self, FailOn, StopAfter};
use super::terminal::Terminal;
use super::{Ended, exports, load_policy, to_stdout};
use crate::error::{Error, Result};
use crate::findings::Severity;
use crate::flow::Limits;
use crate::input::live::{LinkState, Live, LiveOptions, Promiscuous};
use crate::input::sources::{self, Source};
use crate::pipeline::check::{self, Checked, Threshold};
use crate::pipeline::intake::Duplicates;
use crate::pipeline::read::{Progress, Reading};
use crate::pipeline::{self, cases, watch};
use crate::report::{self, FORMATS, Report, Style};

pub(super) fn check(args: &args::Check, terminal: &Terminal) -> Ended {
    outputs_are_their_own(&args.output, &args.expected, &args.exported, &args.input.captures)?;
    let policy = load_policy(&args.expected)?;
    let (policy, unused) = exports::into_policy(&args.exported.exports, policy, terminal)?;
    let reading = reading(&args.input);
    let progress = Progress::default();
    let mut checked = terminal.with_progress(&progress, || {
        pipeline::in_pool(reading.threads, || {
            check::check(&reading, &policy, threshold(&args.verdict), &progress)
        })
    })?;
    exports::own_up(&mut checked, unused);
    conclude(&checked, &args.output, terminal)
}

pub(super) fn watch(args: &args::Watch, terminal: &Terminal) -> Ended {
    if args.list_interfaces {
        let interfaces = Live::list()?;
        return to_stdout(|out| {
            for interface in &interfaces {
                let state = match interface.state {
                    LinkState::Up => "up",
                    LinkState::Down => "down",
                };
                let addresses: Vec<String> =
                    interface.addresses.iter().map(ToString::to_string).collect();
                writeln!(out, "{:<16} {state:<5} {}", interface.name, addresses.join(" "))?;
            }
            Ok(())
        });
    }
    outputs_are_their_own(&args.output, &args.expected, &args.exported, &[])?;
    let policy = load_policy(&args.expected)?;
    let (policy, unused) = exports::into_policy(&args.exported.exports, policy, terminal)?;
    let mut live = Live::open(&LiveOptions {
        interface: args.interface.clone().unwrap_or_default(),
        snaplen: args.snaplen,
        buffer_bytes: args.buffer_size.saturating_mul(1 << 20),
        promiscuous: if args.no_promiscuous { Promiscuous::Off } else { Promiscuous::On },
        filter: args.filter.clone(),
    })?;
    let stop = watch::stop_on_signals()?;
    let limits = stop_limits(&args.stop_after);
    terminal.detail("capturing; Ctrl-C ends the watch and prints the report");
    let options = watch::Options {
        idle_seconds: args.idle,
        limits: Limits { max_flows: args.max_flows.get() },
        duplicates: duplicates(args.keep_duplicates),
        stop: limits,
        threshold: threshold(&args.verdict),
    };
    let format = args.output.format.as_str();
    let mut checked = watch::watch(&mut live, &policy, options, &stop, &mut |finding| {
        let told = match format {
            "jsonl" => report::finding_line(finding),
            _ => report::finding_sentence(finding),
        };
        // A single document on standard output must stay one.
        if matches!(format, "table" | "jsonl") {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{told}").and_then(|()| out.flush())
        } else {
            terminal.news(&told);
            Ok(())
        }
    })?;
    exports::own_up(&mut checked, unused);
    conclude(&checked, &args.output, terminal)
}

pub(super) fn test(args: &args::Test, terminal: &Terminal) -> Ended {
    let found = cases::find(&args.folders)?;
    let results =
        pipeline::in_pool(pipeline::threads(args.threads), || cases::run(&found, args.bless));
    let format = match args.format {
        args::CaseFormat::Table => report::cases::CaseFormat::Table,
        args::CaseFormat::Json => report::cases::CaseFormat::Json,
        args::CaseFormat::Junit => report::cases::CaseFormat::Junit,
    };
    let root = args.folders.first().map(|path| path.display().to_string()).unwrap_or_default();
    to_stdout(|out| report::cases::write(&root, &results, format, out))?;
    let failed = results.iter().any(|r| r.state == report::cases::CaseState::Failed);
    let broken = results.iter().any(|r| r.state == report::cases::CaseState::Broken);
    let code = if broken { super::EXIT_ERROR } else { u8::from(failed) };
    terminal.reason(code, &report::cases::closing_line(&results));
    Ok(code)
}

/// What to read, as the flags say.
pub(super) fn reading(input: &args::Input) -> Reading {
    Reading {
        captures: input.captures.clone(),
        filter: input.filter.clone(),
        threads: pipeline::threads(input.threads),
        limits: Limits { max_flows: input.max_flows.get() },
        duplicates: duplicates(input.keep_duplicates),
    }
}

fn duplicates(keep: bool) -> Duplicates {
    if keep { Duplicates::Kept } else { Duplicates::LeftOut }
}

fn threshold(args: &args::Verdict) -> Threshold {
    Threshold {
        fail_on: match args.fail_on {
            FailOn::Error => Some(Severity::Error),
            FailOn::Warning => Some(Severity::Warning),
            FailOn::Note => Some(Severity::Note),
            FailOn::Never => None,
        },
        allow_inconclusive: args.allow_inconclusive,
        exit_zero: args.exit_zero,
    }
}

fn stop_limits(conditions: &[StopAfter]) -> watch::StopLimits {
    let mut limits = watch::StopLimits::default();
    for condition in conditions {
        match *condition {
            StopAfter::Packets(n) => {
                limits.packets = Some(limits.packets.map_or(n, |m: u64| m.min(n)));
            }
            StopAfter::Duration(d) => {
                limits.duration = Some(limits.duration.map_or(d, |m| m.min(d)));
            }
        }
    }
    limits
}

/// Writes every report that was asked for and says why the run ends as it does.
fn conclude(checked: &Checked, output: &args::Output, terminal: &Terminal) -> Ended {
    for error in &checked.errors {
        terminal.error(error);
    }
    let (mut code, mut reason) = (checked.exit_code, checked.reason.clone());
    if let Some(report) = &checked.report {
        for capture in &report.captures {
            if let Some(damage) = &capture.damage {
                terminal.warn(&format!("{}: {damage}", capture.shown()));
            }
        }
        for (format, path) in &output.output {
            if let Err(error) = to_file(report, format, path) {
                terminal.error(&error);
                code = super::EXIT_ERROR;
                reason = format!("a report could not be written; otherwise: {}", checked.reason);
            }
        }
        let style = terminal.style();
        to_stdout(|out| write_report(report, &output.format, style, out))?;
    }
    terminal.reason(code, &reason);
    Ok(code)
}

/// Refuses to write a report over what is to be read, or over another report.
fn outputs_are_their_own(
    output: &args::Output,
    expected: &args::Expected,
    exported: &args::Exported,
    captures: &[PathBuf],
) -> Result<()> {
    if output.output.is_empty() {
        return Ok(());
    }
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b && a.is_file(),
        _ => a == b,
    };
    let captures = sources::find(captures).into_iter().filter_map(|source| match source {
        Ok(Source::File(path)) => Some(path),
        _ => None,
    });
    let expected = expected.topology.iter().chain(&expected.policy).cloned();
    let exports = exported.exports.iter().map(|given| exports::labelled(given).1);
    let read: Vec<PathBuf> = captures.chain(expected).chain(exports).collect();
    for (at, (_, path)) in output.output.iter().enumerate() {
        if read.iter().any(|input| same(input, path)) {
            let path = path.display();
            return Err(Error::Usage(format!("--output would overwrite {path}, which is read")));
        }
        let mut earlier = output.output.iter().take(at);
        if earlier.any(|(_, other)| same(other, path)) {
            let path = path.display();
            return Err(Error::Usage(format!("two reports would be written to {path}")));
        }
    }
    Ok(())
}

fn to_file(report: &Report, format: &str, path: &Path) -> Result<()> {
    let error = |source| Error::Write { path: path.to_path_buf(), source };
    let mut out = BufWriter::new(File::create(path).map_err(error)?);
    write_report(report, format, Style { color: false, width: None }, &mut out)
        .and_then(|()| out.flush())
        .map_err(error)
}

fn write_report(
    report: &Report,
    format: &str,
    style: Style,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    match FORMATS.iter().find(|known| known.name == format) {
        Some(known) => (known.write)(report, style, out),
        // The command line accepts names of this list only.
        None => Err(std::io::Error::other(format!("unknown format {format}"))),
    }
}
