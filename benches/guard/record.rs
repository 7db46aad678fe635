//! The instruction counts on record: a small file, so that a change of speed shows in its diff.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::Result;

/// How much more than on record passes. Hash seeds differ from run to run, and so do probe lengths:
/// that alone moves the counts by about a tenth of a percent.
pub(super) const MARGIN: f64 = 0.03;

const HEAD: &str = "\
# Instructions per packet of `portassay check`, as callgrind counts them; `make bench-guard` compares.
# Written by `PORTASSAY_BLESS=1 make bench-guard`. `start` is what starting up and reporting take; it
# is not compared.
";

/// What is on record.
#[derive(Debug, Deserialize)]
pub(super) struct Record {
    /// The compiler that the counts were taken with: another one makes other code.
    pub(super) compiler: String,
    #[serde(rename = "mix")]
    pub(super) costs: Vec<Cost>,
}

/// What one mix costs, in instructions.
#[derive(Debug, Deserialize)]
pub(super) struct Cost {
    #[serde(rename = "name")]
    pub(super) capture: String,
    pub(super) per_packet: u64,
    pub(super) start: u64,
}

impl Record {
    pub(super) fn read(path: &Path) -> Result<Self> {
        Ok(toml::from_str(&fs::read_to_string(path)?)?)
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = format!("{HEAD}\ncompiler = \"{}\"\n", self.compiler);
        for cost in &self.costs {
            write!(
                text,
                "\n[[mix]]\nname = \"{}\"\nper_packet = {}\nstart = {}\n",
                cost.capture, cost.per_packet, cost.start
            )?;
        }
        Ok(fs::write(path, text)?)
    }
}
