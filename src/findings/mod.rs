//! Room 6: what is worth saying. Judged flows become [`Finding`]s.
//!
//! In: flows with their identification and verdict. Out: findings, one per rule, party pair,
//! transport and server port, each with counts and evidence. One rule per file, which owns its
//! texts. This room knows nothing about output formats. Read [`Rule`], then [`audit`].

pub mod audit;
pub mod frames;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use audit::{Audit, Summary};

use crate::decode::Transport;
use crate::flow::{Flow, FrameRef, Outcome};
use crate::identify::{Confidence, Identification};
use crate::input::Timestamp;
use crate::policy::{Policy, Verdict};

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Probably wrong.
    Warning,
    /// Wrong by the policy.
    Error,
}

impl Severity {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A flow with everything known about it. The flow is oriented: side A initiates.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// Who, when and how much.
    pub flow: &'a Flow,
    /// What it speaks.
    pub identification: &'a Identification,
    /// What the policy says.
    pub verdict: &'a Verdict,
    /// How far it got.
    pub outcome: Outcome,
}

/// What a rule says about one flow; equal sparks of several flows become one finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spark {
    /// How grave it is.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// The row it is about, such as `S03`.
    pub expectation: Option<String>,
    /// The layer that decided.
    pub layer: Option<String>,
    /// A frame that proves it better than the flow's first frame does.
    pub frame: Option<FrameRef>,
}

/// The descriptor of one rule. The texts are what `explain` recites.
#[derive(Debug)]
pub struct Rule {
    /// The stable name: what is wrong, in kebab-case, without the remedy.
    pub name: &'static str,
    /// The gravest severity it reports.
    pub severity: Severity,
    /// What it reports, in one sentence.
    pub what: &'static str,
    /// Why that matters.
    pub why: &'static str,
    /// What to do, step by step.
    pub remedy: &'static [&'static str],
    /// Looks at one flow.
    pub check: fn(&Judged<'_>, &Policy) -> Option<Spark>,
    /// The finding's sentence, from its group.
    pub message: fn(&Finding) -> String,
}

/// One side of a finding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartyGroup {
    /// Its role, or `None` for hosts the topology does not know.
    pub role: Option<String>,
    /// Names of its hosts or networks; empty for unknown hosts.
    pub names: BTreeSet<String>,
    /// Its addresses, the lowest [`MAX_ADDRESSES`].
    pub addresses: BTreeSet<IpAddr>,
    /// Addresses beyond those kept were seen.
    pub more_addresses: bool,
}

/// Addresses listed per side of a finding.
pub const MAX_ADDRESSES: usize = 16;
/// Frames listed as evidence per finding.
pub const MAX_FRAMES: usize = 10;

/// Something a rule says, with evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Stable over captures of the same network: rule, roles, transport, port or range name.
    pub fingerprint: String,
    /// The rule's name.
    pub rule: &'static str,
    /// How grave it is.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// One sentence for people.
    pub message: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do, step by step.
    pub remedy: Vec<String>,
    /// Who initiates.
    pub initiator: PartyGroup,
    /// Who responds.
    pub responder: PartyGroup,
    /// The responder's ports as sorted, compressed ranges, such as `5061` or `1-1024`.
    pub ports: Vec<(u16, u16)>,
    /// The transport.
    pub transport: Transport,
    /// The protocol seen, where it is the same in all flows.
    pub protocol: Option<&'static str>,
    /// The policy row it is about.
    pub expectation: Option<String>,
    /// The policy layer that decided.
    pub layer: Option<String>,
    /// Flows behind it.
    pub flows: u64,
    /// Their packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub bytes: u64,
    /// Earliest packet.
    pub first: Timestamp,
    /// Latest packet.
    pub last: Timestamp,
    /// The first frames that show it.
    pub frames: Vec<FrameRef>,
    /// A Wireshark display filter for its flows.
    pub display_filter: String,
    /// A BPF expression for its flows.
    pub bpf: String,
}
