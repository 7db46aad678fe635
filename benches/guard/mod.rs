//! `make bench-guard`: instructions per packet against those on record, on any machine however busy.
//!
//! callgrind counts the instructions of the whole program over two sizes of each mix. The
//! difference, by packet, is what a packet costs; what is left is the cost of starting up and of
//! reporting. Seconds vary by half on shared machines; these counts by less than the margin.

mod record;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use crate::Result;
use crate::capture::{self, Made};
use crate::traffic::whole;

use record::{Cost, Record};

/// The two sizes, as shares of the full ones: some ten thousand packets and some fifty thousand.
fn scales(name: &str) -> (f64, f64) {
    match name {
        "large" => (0.006, 0.03),
        "small" => (0.001, 0.005),
        _ => (0.002, 0.01),
    }
}

/// Counts, compares and says so; with `PORTASSAY_BLESS=1` the counts become those on record.
pub(crate) fn run() -> Result<ExitCode> {
    if Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_err() {
        println!(
            "SKIPPED: the instruction guard needs valgrind (Debian: apt-get install valgrind)"
        );
        return Ok(ExitCode::SUCCESS);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/guard/instructions.toml");
    let site = capture::site()?;
    let mut costs = Vec::new();
    for mix in capture::mixes() {
        let (few, many) = scales(&mix.name);
        let (few, many) = (mix.make(few)?, mix.make(many)?);
        costs.push(cost(&mix.name, (&few, count(&few, &site)?), (&many, count(&many, &site)?)));
    }
    let compiler = compiler();
    if std::env::var_os("PORTASSAY_BLESS").is_some() {
        Record { compiler, costs }.write(&path)?;
        println!("wrote {}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    Ok(compare(&Record::read(&path)?, &costs, &compiler))
}

fn cost(name: &str, (few, of_few): (&Made, u64), (many, of_many): (&Made, u64)) -> Cost {
    let more = many.frames as f64 - few.frames as f64;
    let per_packet = (of_many as f64 - of_few as f64) / more;
    Cost {
        capture: name.to_owned(),
        per_packet: whole(per_packet),
        start: whole(of_few as f64 - per_packet * few.frames as f64),
    }
}

/// Instructions that an audit of a capture takes.
fn count(made: &Made, site: &Path) -> Result<u64> {
    let out = capture::folder().join("callgrind.out");
    let status = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env!("CARGO_BIN_EXE_portassay"))
        .arg("check")
        .arg(&made.path)
        .arg("--topology")
        .arg(site)
        .args(["--format", "json", "--exit-zero", "--threads", "1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("portassay under callgrind ended with {status}").into());
    }
    let text = fs::read_to_string(&out)?;
    let totals = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(totals.ok_or("callgrind wrote no totals")?.trim().parse()?)
}

fn compare(record: &Record, costs: &[Cost], compiler: &str) -> ExitCode {
    if record.compiler != compiler {
        println!("on record is {}, this is {compiler}: expect differences", record.compiler);
    }
    let mut passed = true;
    println!("{:<8} {:>12} {:>10} {:>8}", "mix", "instr/packet", "on record", "change");
    for cost in costs {
        let Some(known) = record.costs.iter().find(|known| known.capture == cost.capture) else {
            println!("{:<8} {:>12} {:>10}", cost.capture, cost.per_packet, "none");
            passed = false;
            continue;
        };
        let change = cost.per_packet as f64 / known.per_packet as f64 - 1.0;
        let verdict = if change > record::MARGIN {
            passed = false;
            "  MORE THAN THE MARGIN"
        } else if change < -record::MARGIN {
            "  less: put it on record"
        } else {
            ""
        };
        println!(
            "{:<8} {:>12} {:>10} {:>+7.1}%{verdict}",
            cost.capture,
            cost.per_packet,
            known.per_packet,
            change * 100.0
        );
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output();
    output.map_or_else(
        |_| "an unknown compiler".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
