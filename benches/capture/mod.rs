//! Captures of synthetic traffic, made when they are missing and kept in `target/bench`.

mod form;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::traffic::{Family, Mix, SITE, Traffic, Wrap};

use form::Form;

/// A capture that can be made.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The stable name.
    pub(crate) name: String,
    /// What it shows.
    pub(crate) about: String,
    mix: &'static Mix,
    family: Family,
    wrap: Wrap,
    form: Form,
    /// Its share of the scale asked for: twins are smaller than what they are twins of.
    part: f64,
}

/// A capture on disk.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) path: PathBuf,
    pub(crate) frames: u64,
    pub(crate) flows: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Captured bytes of all frames.
    pub(crate) captured: u64,
}

/// Part of every capture's name, so that a capture is made anew when its maker changes.
const MAKERS: &[&str] = &[
    include_str!("mod.rs"),
    include_str!("form.rs"),
    include_str!("../traffic/mod.rs"),
    include_str!("../traffic/hosts.rs"),
    include_str!("../traffic/message.rs"),
    include_str!("../traffic/mix.rs"),
    include_str!("../traffic/random.rs"),
    include_str!("../traffic/service.rs"),
    include_str!("../traffic/wire.rs"),
];
/// The one seed: figures are compared over time.
const SEED: u64 = 1;
const QUARTER: f64 = 0.25;

/// What the mixes stress, in their order.
const ABOUT: [&str; 4] = [
    "mixed sizes, as at a site",
    "frames of the least size: headers and look-ups",
    "full frames: copying",
    "many flows of few packets: the flow table and memory",
];

/// The four mixes.
pub(crate) fn mixes() -> Vec<Capture> {
    Mix::ALL
        .into_iter()
        .zip(ABOUT)
        .map(|(mix, about)| Capture {
            name: mix.name.to_owned(),
            about: about.to_owned(),
            mix,
            family: Family::V4,
            wrap: Wrap::Nothing,
            form: Form::Pcap,
            part: 1.0,
        })
        .collect()
}

/// A quarter of the first mix in every form that costs something else to read.
pub(crate) fn twins() -> Vec<Capture> {
    use {Family::V4, Family::V6, Form::Pcap};
    let twins = [
        ("quarter", "a quarter of imix", V4, Wrap::Nothing, Pcap),
        ("pcapng", "the same as pcapng", V4, Wrap::Nothing, Form::Pcapng),
        ("gzip", "the same, compressed with gzip", V4, Wrap::Nothing, Form::Gzip),
        ("zstd", "the same, compressed with Zstandard", V4, Wrap::Nothing, Form::Zstd),
        ("ipv6", "the same over IPv6", V6, Wrap::Nothing, Pcap),
        ("vlan", "the same with a VLAN tag", V4, Wrap::Vlan, Pcap),
        ("vxlan", "the same mirrored in VXLAN", V4, Wrap::Vxlan, Pcap),
        ("erspan", "the same mirrored in ERSPAN II over GRE", V4, Wrap::Erspan, Pcap),
        ("ah", "the same inside AH", V4, Wrap::Ah, Pcap),
        ("esp", "the same inside ESP, so security associations only", V4, Wrap::Esp, Pcap),
    ];
    let of = |(name, about, family, wrap, form): (&str, &str, _, _, _)| Capture {
        name: name.to_owned(),
        about: about.to_owned(),
        mix: Mix::ALL[0],
        family,
        wrap,
        form,
        part: QUARTER,
    };
    twins.into_iter().map(of).collect()
}

/// Where captures are kept, and what peers write.
pub(crate) fn folder() -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("bench")
}

/// Writes the topology and says where.
pub(crate) fn site() -> Result<PathBuf> {
    fs::create_dir_all(folder())?;
    let path = folder().join("site.toml");
    fs::write(&path, SITE)?;
    Ok(path)
}

impl Capture {
    /// Whether it is one of the four mixes.
    pub(crate) fn is_mix(&self) -> bool {
        self.name == self.mix.name
    }

    /// The capture at a scale, made now unless it is there already. Another process makes it, so
    /// that its memory is not taken for that of the programs measured.
    pub(crate) fn make(&self, scale: f64) -> Result<Made> {
        let file = format!("{}-{scale}-{:08x}.{}", self.name, makers(), self.form.extension());
        let path = folder().join(file);
        if !counts_of(&path).exists() {
            eprintln!("making {}", path.display());
            fs::create_dir_all(folder())?;
            let status = Command::new(std::env::current_exe()?)
                .args(["write", &self.name, &scale.to_string()])
                .arg(&path)
                .status()?;
            if !status.success() {
                return Err(format!("{} could not be made", path.display()).into());
            }
        }
        let text = fs::read_to_string(counts_of(&path))?;
        let counts: Vec<u64> =
            text.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>()?;
        let &[frames, flows, captured] = counts.as_slice() else {
            return Err(format!("{}: not three counts", counts_of(&path).display()).into());
        };
        let bytes = fs::metadata(&path)?.len();
        Ok(Made { path, frames, flows, bytes, captured })
    }
}

/// Writes the capture of a name at a scale, and beside it the counts of what it holds.
pub(crate) fn write(name: &str, scale: f64, path: &Path) -> Result<()> {
    let capture = mixes()
        .into_iter()
        .chain(twins())
        .find(|capture| capture.name == name)
        .ok_or_else(|| format!("no capture is called {name}"))?;
    let scale = scale * capture.part;
    let mut traffic = Traffic::new(capture.mix, capture.family, capture.wrap, SEED, scale);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (frames, captured) = capture.form.write(&mut traffic, &mut out)?;
    out.flush()?;
    // Last, so that a capture that was not finished has no counts.
    fs::write(counts_of(path), format!("{frames} {} {captured}\n", traffic.flows()))?;
    Ok(())
}

fn counts_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".counts");
    name.into()
}

/// FNV-1a over the sources of what makes captures.
fn makers() -> u32 {
    MAKERS
        .iter()
        .flat_map(|source| source.bytes())
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
