//! Room 7: how it is told. A [`Report`] becomes bytes for people or programs.
//!
//! In: the report of a run. Out: text written to a given writer. One format per file. This room
//! does not know how facts were found. Read [`Report`], then [`FORMATS`].

pub mod cases;
pub mod color;
pub mod flows;
pub mod ipsec;
pub mod plan;
pub mod rules;
pub mod schema;
pub mod text;

mod advice;
mod answer;
mod csv;
mod exemptions;
mod json;
mod jsonl;
mod markdown;
mod table;

#[cfg(test)]
mod specimen;

pub use answer::finding_sentence;
pub use jsonl::finding_line;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::findings::{Finding, Summary};
use crate::flow::FragmentCounts;
use crate::input::{Compression, Format as CaptureFormat, Tally};

/// What one capture held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureReport {
    /// The path as given; `-` for standard input, the interface's name for live capture.
    pub path: String,
    /// Its format.
    pub format: CaptureFormat,
    /// How it is compressed, if it is.
    pub compression: Option<Compression>,
    /// Frame counts.
    pub tally: Tally,
    /// Frames that were not decoded, by reason.
    pub undecoded: BTreeMap<String, u64>,
    /// Fragments of larger datagrams.
    pub fragments: u64,
    /// Frames that only repeat a packet; `None` where nobody looked for them.
    pub duplicates: Option<u64>,
    /// Those of them with another TTL than the packet.
    pub routed_duplicates: u64,
    /// Checksums that do not hold, and all that were looked at: of segments that open a connection.
    pub checksums: (u64, u64),
    /// Where and why reading ended early, in one sentence.
    pub damage: Option<String>,
    /// What became of the frames of a live capture.
    pub live: Option<LiveCounts>,
}

/// What became of the frames of a live capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveCounts {
    /// Frames that reached the kernel's buffer; on Linux those it dropped are counted too.
    pub received: u64,
    /// Frames that the kernel dropped because its buffer was full.
    pub dropped_by_kernel: u64,
    /// Frames that the interface or its driver dropped, as far as it tells.
    pub dropped_by_interface: u64,
    /// Frames that were still unread at the stop.
    pub unread: u64,
}

/// Whether the capture can support the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// Nothing stands against it.
    Good,
    /// Parts of the answer are weakened.
    Degraded,
    /// No pass can be supported.
    Inconclusive,
}

/// The answer of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overall {
    /// Nothing at or above the threshold.
    Pass,
    /// Findings at or above the threshold.
    Fail,
    /// The captures cannot support a pass.
    Inconclusive,
}

/// A host as its traffic shows it, when no topology names its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeemingRole {
    /// The address.
    pub address: std::net::IpAddr,
    /// The role it seems to play.
    pub role: String,
    /// What speaks for it: services seen, such as `tcp/5061 tls`.
    pub evidence: Vec<String>,
}

/// What a flow speaks and between whom, summed up for a run without topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSeen {
    /// The transport's name.
    pub transport: String,
    /// The responder's port; `None` for media, which has a port of its own in each flow.
    pub port: Option<u16>,
    /// The protocol seen, if any.
    pub protocol: Option<&'static str>,
    /// Responding hosts.
    pub responders: u64,
    /// Flows.
    pub flows: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Everything a run has to say.
#[derive(Debug, Clone)]
pub struct Report {
    /// The captures in processing order.
    pub captures: Vec<CaptureReport>,
    /// How well they support the answer.
    pub grade: Grade,
    /// Why the grade is not better.
    pub reasons: Vec<String>,
    /// Findings, coverage and expected services.
    pub summary: Summary,
    /// The answer.
    pub overall: Overall,
    /// The exit code that goes with it.
    pub exit_code: u8,
    /// Whether a topology was given.
    pub topology: bool,
    /// Without a topology: roles that hosts seem to play.
    pub seeming_roles: Vec<SeemingRole>,
    /// Without a topology: services seen.
    pub services: Vec<ServiceSeen>,
    /// What the captures call addresses that are shown and that the topology does not name: what
    /// somebody wrote into a file, for reading only.
    pub names: BTreeMap<std::net::IpAddr, Vec<String>>,
    /// Whether the strict reading is in force.
    pub strict: bool,
    /// Flows that no table had room for.
    pub untracked_packets: u64,
    /// What became of fragmented datagrams.
    pub fragments: FragmentCounts,
}

impl Report {
    /// An address for people, with the first name that the captures give it in quotation marks.
    pub(crate) fn address(&self, address: std::net::IpAddr) -> String {
        match self.names.get(&address).map(Vec::as_slice) {
            None | Some([]) => address.to_string(),
            Some([name]) => format!("{address} \"{name}\""),
            Some([name, others @ ..]) => {
                let more = text::counted(others.len() as u64, "more name", "more names");
                format!("{address} \"{name}\" and {more}")
            }
        }
    }

    /// Findings, worst first.
    pub fn findings(&self) -> &[Finding] {
        &self.summary.findings
    }
}

/// How a text report may be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Use colour.
    pub color: bool,
    /// Columns of the terminal; `None` when the output is not one, so that nothing is cut.
    pub width: Option<u16>,
}

/// The descriptor of one output format.
#[derive(Debug)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is for, in a few words.
    pub help: &'static str,
    /// Writes a report.
    pub write: fn(&Report, Style, &mut dyn io::Write) -> io::Result<()>,
}

/// Every output format of `check`, in the order in which the help lists them.
pub const FORMATS: &[Format] =
    &[table::FORMAT, json::FORMAT, jsonl::FORMAT, csv::FORMAT, markdown::FORMAT];

impl ServiceSeen {
    /// Transport and port for people, such as `tcp/5061`; `udp/any` where ports differ.
    pub fn name(&self) -> String {
        match self.port {
            Some(port) => format!("{}/{port}", self.transport),
            None => format!("{}/any", self.transport),
        }
    }
}

impl CaptureReport {
    /// What people call it: its path, with `-` spelled out.
    pub fn shown(&self) -> String {
        display_path(Path::new(&self.path))
    }
}

/// A path for messages: as given, with `-` spelled out.
pub fn display_path(path: &Path) -> String {
    if path.as_os_str() == "-" { "standard input".into() } else { path.display().to_string() }
}
