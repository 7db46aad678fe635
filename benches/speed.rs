//! `make bench`: how fast the whole program reads, beside what is installed, in interleaved runs.
//!
//! Wall and CPU seconds, ns of CPU per packet and peak memory of `portassay check` with a topology
//! and one and two threads, against reading the file and looking at nothing (`dd`) and against
//! `tcpdump --count`, which only counts. Sizes in MiB per capture: `PORTASSAY_BENCH_MIB`, 256 if
//! unset. Machines differ and are shared: quote the ratios, not the seconds.

#![allow(clippy::print_stdout, reason = "the table is the result")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod traffic;

use std::error::Error;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use traffic::Mix;

const TOPOLOGY: &str = r#"
[[host]]
name = "fe"
addresses = ["10.1.0.0", "10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5"]
roles = ["front-end", "conferencing-attendant"]
[[host]]
name = "med"
addresses = ["10.1.0.6", "10.1.0.7", "10.1.0.8"]
roles = ["mediation"]
[[network]]
name = "users"
prefixes = ["10.20.0.0/16"]
roles = ["client"]
"#;

const ROUNDS: usize = 3;

/// One measured run.
#[derive(Debug, Clone, Copy)]
struct Run {
    wall: f64,
    cpu: f64,
    peak_mib: f64,
}

fn main() -> Result<(), Box<dyn Error>> {
    // `cargo test --benches` asks for a trial run only.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let mib: u64 = std::env::var("PORTASSAY_BENCH_MIB").map_or(Ok(256), |text| text.parse())?;
    let folder = std::env::temp_dir().join(format!("portassay-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = bench(&folder, mib << 20);
    fs::remove_dir_all(&folder)?;
    result
}

fn bench(folder: &Path, bytes: u64) -> Result<(), Box<dyn Error>> {
    let topology = folder.join("site.toml");
    fs::write(&topology, TOPOLOGY)?;
    println!("{} MiB each, median of {ROUNDS} interleaved runs\n", bytes >> 20);
    println!(
        "{:<11} {:<18} {:>8} {:>8} {:>10} {:>9} {:>9}",
        "capture", "program", "wall s", "CPU s", "ns/packet", "peak MiB", "CPU ratio"
    );
    for mix in Mix::ALL {
        let capture = folder.join(format!("{}.pcap", mix.name()));
        let packets =
            traffic::write_pcap(&mut BufWriter::new(File::create(&capture)?), mix, bytes)?;
        let programs = programs(&capture, &topology);
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); programs.len()];
        for _ in 0..ROUNDS {
            for (program, runs) in programs.iter().zip(&mut runs) {
                runs.push(measure(&program.1)?);
            }
        }
        let mut ours = None;
        for ((name, _), runs) in programs.iter().zip(&mut runs) {
            let run = median(runs);
            let base = *ours.get_or_insert(run.cpu.max(0.01));
            println!(
                "{:<11} {name:<18} {:>8.2} {:>8.2} {:>10.1} {:>9.1} {:>9.2}",
                mix.name(),
                run.wall,
                run.cpu,
                run.cpu * 1e9 / packets as f64,
                run.peak_mib,
                run.cpu / base,
            );
        }
        fs::remove_file(&capture)?;
    }
    Ok(())
}

/// What is measured: a name and its words.
fn programs(capture: &Path, topology: &Path) -> Vec<(&'static str, Vec<String>)> {
    let words = |line: &str| -> Vec<String> {
        line.split(' ')
            .map(|word| match word {
                "CAPTURE" => capture.display().to_string(),
                "TOPOLOGY" => topology.display().to_string(),
                word => word.to_owned(),
            })
            .collect()
    };
    let ours = env!("CARGO_BIN_EXE_portassay");
    let check = "check CAPTURE -t TOPOLOGY --format json --exit-zero --threads";
    let mut programs = vec![
        ("portassay, 1", words(&format!("{ours} {check} 1"))),
        ("portassay, 2", words(&format!("{ours} {check} 2"))),
        ("dd bs=256K", words("dd if=CAPTURE of=/dev/null bs=256K status=none")),
    ];
    if let Some(dd) = programs.last_mut().and_then(|program| program.1.get_mut(1)) {
        *dd = format!("if={}", capture.display());
    }
    if installed("tcpdump") {
        programs.push(("tcpdump --count", words("tcpdump -nn --count -r CAPTURE")));
    }
    if installed("softflowd") {
        programs.push(("softflowd", words("softflowd -r CAPTURE -m 3000000")));
    }
    programs
}

fn installed(name: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(name).is_file()))
}

fn measure(words: &[String]) -> Result<Run, Box<dyn Error>> {
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let cpu_before = children_cpu()?;
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak_mib: f64 = 0.0;
    loop {
        if let Ok(text) = fs::read_to_string(&status) {
            peak_mib = peak_mib.max(high_water(&text).unwrap_or(0.0));
        }
        if child.try_wait()?.is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(Run { wall: start.elapsed().as_secs_f64(), cpu: children_cpu()? - cpu_before, peak_mib })
}

fn high_water(status: &str) -> Option<f64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

/// CPU seconds of all children that have ended (proc(5), fields 16 and 17 of `stat`).
fn children_cpu() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().ok_or("no name in stat")?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).ok_or("short stat")?.parse::<f64>().map_err(|_| "stat");
    // The kernel counts in ticks of 1/100 s for user space, whatever its own rate.
    Ok((ticks(13)? + ticks(14)?) / 100.0)
}

fn median(runs: &mut [Run]) -> Run {
    runs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    runs[runs.len() / 2]
}
