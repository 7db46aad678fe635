//! Room 6: what is worth saying. Judged flows become [`Finding`]s.
//!
//! In: flows with their identification and verdict. Out: findings, one per rule, party pair,
//! transport and server port, each with counts and evidence. One rule per file, which owns its
//! texts. This room knows nothing about output formats. Read [`Rule`], then [`audit`].

pub mod audit;
pub mod exported;
pub mod ipsec;
pub mod negotiations;
pub mod remedy;

mod case;
mod expected;
mod filters;
mod fingerprint;
mod group;
mod kept;
mod later;
mod ledger;
mod pairs;
mod ports;
mod silent_media;
mod telling;

mod unexpected_port;

mod unexpected_peer;

mod wraps;
mod wrong_protocol;

mod cleartext_where_tls_expected;

mod expected_but_prohibited;

mod expected_but_refused;

mod expected_but_unanswered;

mod tls_handshake_failed;

mod ipsec_on_media_range;

mod esp_resembles_media;

mod media_waits_for_ipsec;

mod unknown_host_talks_to_role;

mod range_only_match;

mod mtls_not_presented;

mod protocol_on_unexpected_port;

mod media_outside_range;

mod obsolete_tls;

mod legacy_service;

#[cfg(test)]
mod testbed;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::net::IpAddr;

pub use audit::{Audit, Summary};
pub use case::{Case, Row};
pub use ipsec::Deployment;
pub use negotiations::Negotiations;
pub use pairs::Pairs;
pub use telling::Telling;

use crate::decode::Transport;
use crate::flow::{Flow, FrameRef, Outcome};
use crate::identify::{Confidence, Identification};
use crate::input::Timestamp;
use crate::policy::{Announcement, ExpectationId, Misfit, Verdict};

/// Every rule, in reading order; findings of one severity are reported in this order.
pub const RULES: &[Rule] = &[
    unexpected_port::RULE,
    protocol_on_unexpected_port::RULE,
    media_outside_range::RULE,
    unexpected_peer::RULE,
    wrong_protocol::RULE,
    cleartext_where_tls_expected::RULE,
    mtls_not_presented::RULE,
    expected_but_prohibited::RULE,
    expected_but_refused::RULE,
    expected_but_unanswered::RULE,
    tls_handshake_failed::RULE,
    ipsec_on_media_range::RULE,
    esp_resembles_media::RULE,
    media_waits_for_ipsec::RULE,
    unknown_host_talks_to_role::RULE,
    obsolete_tls::RULE,
    legacy_service::RULE,
    range_only_match::RULE,
];

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
    /// The row it is about; the layer that decided is the row's.
    pub expectation: Option<ExpectationId>,
    /// Every row that the message should name.
    pub rows: Vec<ExpectationId>,
    /// The field of the nearest row that did not fit.
    pub misfit: Option<Misfit>,
    /// What stands for the port where ports change from call to call. Without it, a wide row's
    /// id or the dynamic port range does where one applies.
    pub range: Option<&'static str>,
    /// A frame that proves it better than the flow's first frame does.
    pub frame: Option<FrameRef>,
    /// What was seen, in a few words that the message may use.
    pub detail: Option<Cow<'static, str>>,
}

/// Which directions of a flow a rule must see. A mirror port may show one direction only, and
/// then silence proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// What one side sends is enough.
    OneWay,
    /// It speaks of packets that are absent.
    BothWays,
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
    /// Which directions the capture must show for the rule to be sure.
    pub sight: Sight,
    /// Looks at one flow.
    pub check: fn(&Case<'_>) -> Option<Spark>,
    /// The finding's sentence, from its group.
    pub message: fn(&Telling<'_>) -> String,
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
    /// Protocols that claim some of its flows as surely.
    pub also: BTreeSet<&'static str>,
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
    /// Where its flows begin, or what shows it better: an ICMP error, a packet inside AH, the
    /// announcement of media that never came. The first few.
    pub frames: Vec<FrameRef>,
    /// A Wireshark display filter for its flows.
    pub display_filter: String,
    /// A BPF expression for its flows.
    pub bpf: String,
    /// What was announced of its flows, in the first frame that did.
    pub announced: Option<Announcement>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_named_by_what_is_wrong_and_explain_themselves() {
        let mut names = BTreeSet::new();
        for rule in RULES {
            assert!(names.insert(rule.name), "{} is listed twice", rule.name);
            assert!(
                rule.name.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
                "{} is not kebab-case",
                rule.name
            );
            for verb in ["use-", "fix-", "allow-", "exempt-", "add-", "should-"] {
                assert!(!rule.name.contains(verb), "{} names a remedy", rule.name);
            }
            assert!(!rule.remedy.is_empty(), "{} has no remedy", rule.name);
            for text in [rule.what, rule.why].into_iter().chain(rule.remedy.iter().copied()) {
                assert!(text.len() > 20, "{}: {text:?}", rule.name);
                assert!(text.ends_with('.'), "{}: {text:?}", rule.name);
                assert!(!text.contains("  "), "{}: {text:?}", rule.name);
            }
        }
        assert_eq!(names.len(), 18);
    }
}
