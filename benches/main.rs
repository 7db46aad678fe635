//! Speed, measured: the whole program beside its peers, its rooms one by one, and a guard that
//! counts instructions. `docs/performance.md` says how to run each and what the figures mean.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the figures are the result")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

mod capture;
mod guard;
mod rooms;
mod speed;
mod traffic;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

/// What can stop a benchmark, for people to read.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // cargo adds `--bench` to what it is told, and `--test` where only a trial run is asked for.
    if words.iter().any(|word| word == "--test") {
        return Ok(ExitCode::SUCCESS);
    }
    let words: Vec<&str> =
        words.iter().map(String::as_str).filter(|word| *word != "--bench").collect();
    match words.as_slice() {
        ["rooms", ..] => rooms::run()?,
        ["guard"] => return guard::run(),
        ["read", path] => speed::limit::read(Path::new(path))?,
        ["write", name, scale, path] => capture::write(name, scale.parse()?, Path::new(path))?,
        ["speed", options @ ..] | options => speed::run(&speed::Options::of(options)?)?,
    }
    Ok(ExitCode::SUCCESS)
}
