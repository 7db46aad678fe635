//! Room 4: what a flow speaks, by content only. Samples become [`Identification`]s.
//!
//! In: a [`Sample`]. Out: the protocol with its evidence and facts. A detector never sees an
//! address or a port; `tests/architecture.rs` allows this room nothing of `flow` but samples and
//! sides. One protocol per file, all with the same skeleton. Read [`Detector`] first.

mod bytes;

mod dns;
mod http;
mod rtp;
mod sip;
mod stun;
mod tls;

use std::collections::BTreeMap;

use crate::flow::key::Side;
use crate::flow::sample::{Carrier, Sample};

/// How sure an identification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Nothing but circumstance.
    Low,
    /// The structure of one side fits.
    Medium,
    /// Fixed bytes, or both sides fit.
    High,
}

impl Confidence {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// Facts that a detector reads along the way, by their stable names (`tls_version`, `sni`, …).
pub type Facts = BTreeMap<&'static str, String>;

/// What a detector says when the sample is its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// How sure it is.
    pub confidence: Confidence,
    /// What was recognised, in a few words.
    pub evidence: &'static str,
    /// The side that asked first, where the content shows it.
    pub requester: Option<Side>,
    /// Facts read along the way.
    pub facts: Facts,
}

/// A detector's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It is this protocol.
    Match(Claim),
    /// It is not.
    No,
    /// It may be, but the sample is too short to tell.
    NeedMore,
}

/// The descriptor of one protocol.
#[derive(Debug)]
pub struct Detector {
    /// The stable protocol name, as policies and reports spell it.
    pub token: &'static str,
    /// The name for people.
    pub name: &'static str,
    /// The document that defines the bytes.
    pub reference: &'static str,
    /// The carriers to ask it about.
    pub carriers: &'static [Carrier],
    /// Looks at a sample.
    pub probe: fn(&Sample) -> Probe,
}

/// Every detector, in reading order. The order decides nothing: two claims on one flow are
/// reported as such.
pub const DETECTORS: &[Detector] = &[
    tls::DETECTOR,
    http::DETECTOR,
    sip::DETECTOR,
    stun::DETECTOR,
    rtp::DETECTOR,
    dns::DETECTOR,
];

/// What a flow speaks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identification {
    /// The protocol's stable name; `None` where nothing was recognised.
    pub protocol: Option<&'static str>,
    /// How sure that is.
    pub confidence: Option<Confidence>,
    /// What was recognised.
    pub evidence: &'static str,
    /// The side that asked first, where the content shows it.
    pub requester: Option<Side>,
    /// Facts read along the way.
    pub facts: Facts,
    /// Other protocols that claim the same flow with the same confidence.
    pub also: Vec<&'static str>,
    /// Whether the flow carried any payload that was captured.
    pub payload_seen: bool,
}

impl Identification {
    /// Swaps the sides, when the flow is flipped.
    pub fn flip(&mut self) {
        self.requester = self.requester.map(Side::other);
    }
}

/// Asks every detector and keeps the surest claim; equally sure ones are listed beside it.
pub fn identify(sample: &Sample) -> Identification {
    let mut claims: Vec<(&'static str, Claim)> = DETECTORS
        .iter()
        .filter(|detector| detector.carriers.contains(&sample.carrier()))
        .filter_map(|detector| match (detector.probe)(sample) {
            Probe::Match(claim) => Some((detector.token, claim)),
            Probe::No | Probe::NeedMore => None,
        })
        .collect();
    claims.sort_by(|a, b| b.1.confidence.cmp(&a.1.confidence).then(a.0.cmp(b.0)));
    let mut claims = claims.into_iter();
    let Some((protocol, best)) = claims.next() else {
        return Identification {
            payload_seen: !sample.is_empty(),
            ..Identification::default()
        };
    };
    let also = claims
        .take_while(|(_, claim)| claim.confidence == best.confidence)
        .map(|(token, _)| token)
        .collect();
    Identification {
        protocol: Some(protocol),
        confidence: Some(best.confidence),
        evidence: best.evidence,
        requester: best.requester,
        facts: best.facts,
        also,
        payload_seen: true,
    }
}
