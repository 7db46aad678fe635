//! `make bench`: the whole program beside its peers, in interleaved runs over the same captures.
//!
//! Round by round every program runs once over a capture, so that a busy moment of the machine
//! hurts all alike. Read [`programs`] and [`goals`], which are the data; [`tables`] shows them.

pub(crate) mod limit;

mod goals;
mod machine;
mod measure;
mod programs;
mod tables;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::Result;
use crate::capture::{self, Capture, Made};

use measure::Runs;
use programs::{PROGRAMS, Pace, Places, Program};

/// How to measure.
#[derive(Debug)]
pub(crate) struct Options {
    /// Size of the captures; 1 is what the goals are stated for.
    scale: f64,
    /// Interleaved runs.
    rounds: usize,
    /// Leave out what is run once only, for it takes long.
    quick: bool,
    /// Write the figures into `docs/performance.md`.
    docs: bool,
}

impl Options {
    /// Reads `--scale N --runs N --quick --docs`.
    pub(crate) fn of(words: &[&str]) -> Result<Self> {
        let mut options = Self { scale: 0.05, rounds: 3, quick: false, docs: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match *word {
                "--scale" => options.scale = value()?.parse()?,
                "--runs" => options.rounds = value()?.parse()?,
                "--quick" => options.quick = true,
                "--docs" => options.docs = true,
                other => return Err(format!("{other} is no option of the benchmark").into()),
            }
        }
        if !(options.scale > 0.0 && options.scale <= 100.0) || options.rounds == 0 {
            return Err("the scale is a number up to 100, and there is at least one run".into());
        }
        options.docs |= std::env::var_os("BENCH_DOCS").is_some_and(|value| value != "0");
        Ok(options)
    }
}

/// All runs over one capture, in the order of [`PROGRAMS`].
struct Series {
    name: String,
    about: String,
    made: Made,
    runs: Vec<Runs>,
}

/// Measures, prints, and writes the document if that is asked for.
pub(crate) fn run(options: &Options) -> Result<()> {
    let machine = machine::describe();
    let places = Places { site: capture::site()?, out: capture::folder().join("out") };
    tell_missing();
    let series = |captures: Vec<Capture>| -> Result<Vec<Series>> {
        captures.into_iter().map(|capture| measure_all(capture, options, &places)).collect()
    };
    let mixes = series(capture::mixes())?;
    let twins = series(capture::twins())?;
    let mut text = tables::circumstances(&machine, options)?;
    text += &tables::captures(&mixes, &twins);
    text += &tables::goals(&mixes, options.scale);
    text += &tables::figures(&mixes);
    text += &tables::twins(&twins);
    println!("\n{text}");
    if options.docs {
        document(&text)?;
    }
    Ok(())
}

fn tell_missing() {
    let missing: Vec<&Program> =
        PROGRAMS.iter().filter(|program| program.executable().is_none()).collect();
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|program| program.name).collect();
        let mut packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
        packages.dedup();
        eprintln!("not installed, left out: {}", names.join(", "));
        eprintln!("on Debian: apt-get install {}", packages.join(" "));
    }
}

fn measure_all(capture: Capture, options: &Options, places: &Places) -> Result<Series> {
    let made = capture.make(options.scale)?;
    // The page cache is what is measured from, not the disk.
    limit::read(&made.path)?;
    let mut runs = vec![Runs::default(); PROGRAMS.len()];
    for round in 0..options.rounds {
        for (program, runs) in PROGRAMS.iter().zip(&mut runs) {
            if let Some(path) =
                program.executable().filter(|_| due(program, &capture, round, options))
            {
                eprint!("\r\x1b[K{}: round {}, {}", capture.name, round + 1, program.name);
                runs.push(measure_one(&path, program, &made, places)?);
            }
        }
    }
    eprint!("\r\x1b[K");
    Ok(Series { name: capture.name, about: capture.about, made, runs })
}

fn due(program: &Program, capture: &Capture, round: usize, options: &Options) -> bool {
    let once = round == 0 && !options.quick;
    match program.pace {
        Pace::Always => true,
        Pace::Mixes => capture.is_mix(),
        Pace::Once => capture.is_mix() && once,
        Pace::OnceOnImix => capture.name == "imix" && once,
    }
}

/// Runs a program once, with an empty folder to write to.
fn measure_one(
    path: &Path,
    program: &Program,
    made: &Made,
    places: &Places,
) -> Result<measure::Run> {
    if places.out.exists() {
        fs::remove_dir_all(&places.out)?;
    }
    fs::create_dir_all(&places.out)?;
    measure::run(path, &program.words(made, places))
}

const BEGIN: &str = "<!-- figures of make bench-docs -->\n";
const END: &str = "<!-- end of the figures -->";

/// Puts the figures between their marks in the document.
fn document(figures: &str) -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
    let old = fs::read_to_string(&path)?;
    let parts =
        old.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = parts.ok_or("docs/performance.md has lost the marks of its figures")?;
    let mut text = String::new();
    write!(text, "{head}{BEGIN}\n{}\n\n{END}{tail}", figures.trim())?;
    fs::write(&path, text)?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
