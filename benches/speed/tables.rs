//! Figures as Markdown, which terminals show as well as documents do.

use std::fmt::Write as _;

use super::goals::{GOALS, MEMORY, Measure};
use super::measure::{Run, Runs};
use super::programs::{OURS_1, OURS_2, PROGRAMS};
use super::{Options, Series};
use crate::Result;

/// Where, when and with what was measured.
pub(super) fn circumstances(machine: &[(&str, String)], options: &Options) -> Result<String> {
    let mut out = format!(
        "Scale {}, {} interleaved runs; medians, and the least in brackets. CPU is user and system \
         time of the whole process.\n\n",
        options.scale, options.rounds
    );
    for (name, value) in machine {
        writeln!(out, "- {name}: {value}")?;
    }
    out += "\n";
    let mut rows = Vec::new();
    for program in PROGRAMS.iter().filter(|program| program.executable().is_some()) {
        let version = program.version()?;
        let version = if version.is_empty() { "built here".to_owned() } else { version };
        rows.push(vec![
            program.name.to_owned(),
            version,
            format!("`{}`", program.line()),
            program.work.to_owned(),
        ]);
    }
    out += &table(&["program", "version", "command", "work"], &rows);
    Ok(out)
}

/// What was read.
pub(super) fn captures(mixes: &[Series], twins: &[Series]) -> String {
    let row = |series: &Series| {
        let made = &series.made;
        vec![
            series.name.clone(),
            format!("{:.2}", made.bytes as f64 / 1e9),
            thousands(made.frames),
            thousands(made.flows),
            format!("{:.0}", made.captured as f64 / made.frames as f64),
            series.about.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = mixes.iter().chain(twins).map(row).collect();
    table(&["capture", "GB", "packets", "flows", "mean frame", "about"], &rows)
}

/// Goal by goal what was found.
pub(super) fn goals(mixes: &[Series], scale: f64) -> String {
    let mut rows = Vec::new();
    for goal in GOALS {
        let of = |run: &Run| match goal.measure {
            Measure::Cpu => run.cpu,
            Measure::Wall => run.wall,
        };
        let mut row = vec![match goal.measure {
            Measure::Cpu => format!("CPU against {}", goal.peer),
            Measure::Wall => format!("wall against {}", goal.peer),
        }];
        for (series, bound) in mixes.iter().zip(goal.bounds) {
            row.push(match (runs(series, OURS_2), runs(series, goal.peer)) {
                (Some(ours), Some(theirs)) => {
                    let (ours, theirs) = (ours.median(of), theirs.median(of));
                    let mark = mark(bound.met(ours, theirs));
                    format!("{} (goal {}) {mark}", bound.found(ours, theirs), bound.asked())
                }
                _ => format!("not measured (goal {})", bound.asked()),
            });
        }
        rows.push(row);
    }
    let mut memory = vec!["peak memory".to_owned()];
    for (series, most) in mixes.iter().zip(MEMORY) {
        let peak = runs(series, OURS_2).map_or(f64::NAN, |runs| runs.greatest(|run| run.peak));
        memory.push(format!("{peak:.0} MB (goal at most {most} MB) {}", mark(peak <= most)));
    }
    rows.push(memory);
    let mut out = "portassay with two threads against its goals:\n\n".to_owned();
    if scale < 1.0 {
        out = format!(
            "The goals are stated for scale 1; at {scale} starting up weighs too much.\n\n{out}"
        );
    }
    let mut head = vec!["goal"];
    head.extend(mixes.iter().map(|series| series.name.as_str()));
    out + &table(&head, &rows)
}

/// Every program's figures on the mixes.
pub(super) fn figures(mixes: &[Series]) -> String {
    let mut out = String::new();
    for series in mixes {
        let mut rows = Vec::new();
        let ours = runs(series, OURS_2).map_or(f64::NAN, |runs| runs.median(|run| run.cpu));
        for (program, runs) in PROGRAMS.iter().zip(&series.runs).filter(|(_, runs)| runs.len() > 0)
        {
            let mut row = vec![program.name.to_owned()];
            row.extend(cells(runs, series));
            row.push(format!("{:.2}", runs.median(|run| run.cpu) / ours));
            row.push(runs.len().to_string());
            rows.push(row);
        }
        out.extend(["### ", series.name.as_str(), "\n\n"]);
        let head = [
            "program",
            "CPU s",
            "wall s",
            "ns CPU/packet",
            "peak MB",
            "CPU, portassay = 1",
            "runs",
        ];
        out += &table(&head, &rows);
    }
    out
}

/// portassay on other forms of the same traffic.
pub(super) fn twins(twins: &[Series]) -> String {
    let mut rows = Vec::new();
    for series in twins {
        let mut row = vec![series.name.clone()];
        for name in [OURS_1, OURS_2] {
            row.extend(runs(series, name).map(|runs| cells(runs, series)).unwrap_or_default());
        }
        rows.push(row);
    }
    let head = [
        "capture",
        "CPU s, 1 thread",
        "wall s",
        "ns CPU/packet",
        "peak MB",
        "CPU s, 2 threads",
        "wall s",
        "ns CPU/packet",
        "peak MB",
    ];
    format!("### The same traffic in other forms\n\n{}", table(&head, &rows))
}

fn cells(runs: &Runs, series: &Series) -> Vec<String> {
    let cpu = runs.median(|run| run.cpu);
    vec![
        format!("{cpu:.3} ({:.3})", runs.least(|run| run.cpu)),
        format!("{:.3} ({:.3})", runs.median(|run| run.wall), runs.least(|run| run.wall)),
        format!("{:.1}", cpu * 1e9 / series.made.frames as f64),
        format!("{:.0}", runs.greatest(|run| run.peak)),
    ]
}

/// The runs of a program over a capture, if it ran.
fn runs<'a>(series: &'a Series, name: &str) -> Option<&'a Runs> {
    let at = PROGRAMS.iter().position(|program| program.name == name)?;
    series.runs.get(at).filter(|runs| runs.len() > 0)
}

fn mark(met: bool) -> &'static str {
    if met { "met" } else { "**missed**" }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A Markdown table with aligned columns.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cell = |row: &[String], at: usize| row.get(at).cloned().unwrap_or_default();
    let head: Vec<String> = head.iter().map(ToString::to_string).collect();
    let widths: Vec<usize> = (0..head.len())
        .map(|at| {
            rows.iter().chain([&head]).map(|row| cell(row, at).chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &[String]| {
        let cells =
            widths.iter().enumerate().map(|(at, width)| format!(" {:<width$} ", cell(row, at)));
        format!("|{}|\n", cells.collect::<Vec<_>>().join("|"))
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!("{}{}{body}\n", line(&head), line(&rule))
}
