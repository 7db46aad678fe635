//! Room 4: what a flow speaks, by content only. Samples become [`Identification`]s.
//!
//! In: what was [`Heard`] of a flow. Out: the protocol with its evidence and facts. A detector never sees an
//! address or a port; `tests/architecture.rs` allows this room nothing of `flow` but samples and
//! sides. One protocol per file, all with the same skeleton; `bytes`, `sides` and `frames` are
//! what they read with. Beside them, [`signals`] reads what one packet announces of other flows.
//! Read [`Detector`] first.

mod bytes;
mod facts;
mod frames;
mod gate;
mod gist;
mod interfaces;
mod replies;
mod sides;
pub mod signals;
mod taste;
mod text;
mod then;
mod view;

mod tls;

mod http;

mod sip;

mod stun;

mod rtp;

mod rtcp;

mod dns;

mod dtls;

mod ssh;

mod smb;

mod dcerpc;

mod dhcp;

mod ssrp;

mod tds;

pub mod ike;
mod ike_tcp;

mod rdp;

mod kerberos;

mod ldap;

mod ntp;

mod websocket;

mod mdns;

mod llmnr;

mod netbios_ns;

mod netbios_dgm;

mod netbios_ssn;

mod dhcpv6;

mod xmpp;

mod syslog;

mod msn_ft;

mod snmp;

mod quic;

mod teredo;

mod ssdp;

mod smtp;

mod ftp;

mod pop3;

mod imap;

#[cfg(test)]
mod craft;

use std::borrow::Cow;

use crate::flow::key::Side;
use crate::flow::sample::{Carrier, Heard};

pub use facts::Facts;
pub use gate::FirstBytes;
pub use taste::TASTE;
pub use view::View;

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
    /// The carriers to ask it about, and for each the bytes with which a stream or datagram may begin
    /// that shows the protocol.
    pub carriers: &'static [(Carrier, FirstBytes)],
    /// Protocols that prepare the way for this one on the same flow, by token: connectivity
    /// checks before media. Where both are claimed equally surely, this one is what the flow is
    /// for.
    pub carried_after: &'static [&'static str],
    /// Looks at a sample.
    pub probe: fn(&View<'_>) -> Probe,
}

impl Detector {
    /// Whether the protocol comes this way.
    pub fn carried_by(&self, carrier: Carrier) -> bool {
        self.carriers.iter().any(|(known, _)| *known == carrier)
    }
}

impl Claim {
    /// A claim without facts.
    fn new(confidence: Confidence, evidence: &'static str) -> Self {
        Self { confidence, evidence, requester: None, facts: Facts::default() }
    }

    /// Names the side that asked first, where it is known.
    fn asked_by(mut self, side: Option<Side>) -> Self {
        self.requester = side;
        self
    }

    /// Adds a fact, where there is one.
    fn fact(mut self, name: &'static str, value: Option<impl Into<Cow<'static, str>>>) -> Self {
        if let Some(value) = value {
            self.facts.set(name, value);
        }
        self
    }
}

/// Every detector, in reading order. The order decides nothing: two equally sure claims on one
/// flow are both reported.
pub const DETECTORS: &[Detector] = &[
    tls::DETECTOR,
    http::DETECTOR,
    sip::DETECTOR,
    stun::DETECTOR,
    rtp::DETECTOR,
    rtcp::DETECTOR,
    dns::DETECTOR,
    dtls::DETECTOR,
    ssh::DETECTOR,
    smb::DETECTOR,
    dcerpc::DETECTOR,
    dhcp::DETECTOR,
    ssrp::DETECTOR,
    tds::DETECTOR,
    ike::DETECTOR,
    ike_tcp::DETECTOR,
    rdp::DETECTOR,
    kerberos::DETECTOR,
    ldap::DETECTOR,
    ntp::DETECTOR,
    websocket::DETECTOR,
    mdns::DETECTOR,
    llmnr::DETECTOR,
    netbios_ns::DETECTOR,
    netbios_dgm::DETECTOR,
    netbios_ssn::DETECTOR,
    dhcpv6::DETECTOR,
    xmpp::DETECTOR,
    syslog::DETECTOR,
    msn_ft::DETECTOR,
    snmp::DETECTOR,
    quic::DETECTOR,
    teredo::DETECTOR,
    ssdp::DETECTOR,
    smtp::DETECTOR,
    ftp::DETECTOR,
    pop3::DETECTOR,
    imap::DETECTOR,
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
    /// Whether a protocol claims the flow, alone or beside others.
    pub fn claims(&self, token: &str) -> bool {
        self.protocol == Some(token) || self.also.contains(&token)
    }

    /// Swaps the sides, when the flow is flipped.
    pub fn flip(&mut self) {
        self.requester = self.requester.map(Side::other);
    }
}

/// Asks every detector and keeps the surest claim; equally sure ones are listed beside it.
///
/// Among equally sure claims, one that another says it is [carried
/// after](Detector::carried_after) stands back: a flow of STUN checks and RTP is RTP, also STUN,
/// and what every one of them read along the way is kept. Claims that know nothing of each other are named in
/// the order of their tokens, so that the answer does not depend on the list.
pub fn identify<'s>(heard: impl Into<Heard<'s>>) -> Identification {
    let view = View::of(heard);
    let mut claims = gate::asked(&view).filter_map(|detector| match (detector.probe)(&view) {
        Probe::Match(claim) => Some((detector, claim)),
        Probe::No | Probe::NeedMore => None,
    });
    let Some(first) = claims.next() else {
        let mut unknown =
            Identification { payload_seen: view.shows_payload(), ..Identification::default() };
        if text::shown(&view) {
            unknown.facts.set(text::TEXT, text::LINES);
        }
        return unknown;
    };
    match claims.next() {
        None => identified(first, Vec::new()),
        Some(second) => settled([first, second].into_iter().chain(claims).collect()),
    }
}

type Claimed = (&'static Detector, Claim);

/// What several claims on one flow amount to.
fn settled(mut claims: Vec<Claimed>) -> Identification {
    let most = claims.iter().map(|(_, claim)| claim.confidence).max();
    claims.retain(|(_, claim)| Some(claim.confidence) == most);
    claims.sort_by_key(|(detector, _)| detector.token);
    let (detector, mut best) = claims.remove(foremost(&claims));
    for (other, claim) in &claims {
        if detector.carried_after.contains(&other.token) {
            best.requester = best.requester.or(claim.requester);
        }
        best.facts.fill(&claim.facts);
    }
    identified((detector, best), claims.iter().map(|(other, _)| other.token).collect())
}

fn identified((detector, claim): Claimed, also: Vec<&'static str>) -> Identification {
    Identification {
        protocol: Some(detector.token),
        confidence: Some(claim.confidence),
        evidence: claim.evidence,
        requester: claim.requester,
        facts: claim.facts,
        also,
        payload_seen: true,
    }
}

/// The first claim that no other is carried after.
fn foremost(claims: &[Claimed]) -> usize {
    let prepares =
        |token: &str| claims.iter().any(|(other, _)| other.carried_after.contains(&token));
    claims.iter().position(|(detector, _)| !prepares(detector.token)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::craft::{ask, datagrams, hex};
    use super::*;
    use crate::flow::sample::{Piece, Sample};

    /// Every detector with samples of its protocol.
    pub(super) fn samples() -> Vec<(&'static str, Vec<Sample>)> {
        vec![
            ("tls", tls::tests::samples()),
            ("http", http::tests::samples()),
            ("sip", sip::tests::samples()),
            ("stun", stun::tests::samples()),
            ("rtp", rtp::tests::samples()),
            ("rtcp", rtcp::tests::samples()),
            ("dns", dns::tests::samples()),
            ("dtls", dtls::tests::samples()),
            ("ssh", ssh::tests::samples()),
            ("smb", smb::tests::samples()),
            ("dcerpc", dcerpc::tests::samples()),
            ("dhcp", dhcp::tests::samples()),
            ("ssrp", ssrp::tests::samples()),
            ("tds", tds::tests::samples()),
            ("ike", ike::tests::samples()),
            ("ike-tcp", ike_tcp::tests::samples()),
            ("rdp", rdp::tests::samples()),
            ("kerberos", kerberos::tests::samples()),
            ("ldap", ldap::tests::samples()),
            ("ntp", ntp::tests::samples()),
            ("websocket", websocket::tests::samples()),
            ("mdns", mdns::tests::samples()),
            ("llmnr", llmnr::tests::samples()),
            ("netbios-ns", netbios_ns::tests::samples()),
            ("netbios-dgm", netbios_dgm::tests::samples()),
            ("netbios-ssn", netbios_ssn::tests::samples()),
            ("dhcpv6", dhcpv6::tests::samples()),
            ("xmpp", xmpp::tests::samples()),
            ("syslog", syslog::tests::samples()),
            ("msn-ft", msn_ft::tests::samples()),
            ("snmp", snmp::tests::samples()),
            ("quic", quic::tests::samples()),
            ("teredo", teredo::tests::samples()),
            ("ssdp", ssdp::tests::samples()),
            ("smtp", smtp::tests::samples()),
            ("ftp", ftp::tests::samples()),
            ("pop3", pop3::tests::samples()),
            ("imap", imap::tests::samples()),
        ]
    }

    #[test]
    fn exactly_its_own_detector_matches_a_sample() {
        let tokens: Vec<_> = samples().iter().map(|(token, _)| *token).collect();
        let detectors: Vec<_> = DETECTORS.iter().map(|d| d.token).collect();
        assert_eq!(tokens, detectors, "every detector brings samples");
        for (token, samples) in samples() {
            for (at, sample) in samples.iter().enumerate() {
                let matching: Vec<_> = DETECTORS
                    .iter()
                    .filter(|detector| detector.carried_by(sample.carrier()))
                    .filter(|detector| craft::matches(detector, sample))
                    .map(|detector| detector.token)
                    .collect();
                assert_eq!(matching, [token], "sample {at} of {token}");
            }
        }
    }

    #[test]
    fn tokens_are_unique_and_every_reference_is_named() {
        for (at, detector) in DETECTORS.iter().enumerate() {
            assert!(!detector.reference.is_empty(), "{}", detector.token);
            assert!(!detector.carriers.is_empty(), "{}", detector.token);
            let twin = DETECTORS.iter().skip(at + 1).find(|d| d.token == detector.token);
            assert!(twin.is_none(), "{} twice", detector.token);
            for before in detector.carried_after {
                let known = DETECTORS.iter().any(|other| other.token == *before);
                assert!(known, "{} after unknown {before}", detector.token);
            }
        }
    }

    #[test]
    fn every_detector_stands_in_the_documentation() {
        let page = include_str!("../../docs/identification.md");
        let mut told: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        told.retain(|line| line.matches('|').count() == 5);
        let mut known: Vec<String> = DETECTORS
            .iter()
            .map(|detector| format!("| `{}` | {} |", detector.token, detector.reference))
            .collect();
        known.sort();
        assert_eq!(told.len(), known.len());
        for (line, start) in told.iter().zip(&known) {
            assert!(line.starts_with(start.as_str()), "{line}");
        }
    }

    #[test]
    fn flipping_the_sample_flips_the_answer() {
        for (token, samples) in samples() {
            for mut sample in samples {
                let mut straight = identify(&sample);
                sample.flip();
                straight.flip();
                assert_eq!(identify(&sample), straight, "{token}");
            }
        }
    }

    /// Random payloads that detectors may take for theirs with medium confidence: how many of 200,000
    /// samples are allowed. What is not listed allows none.
    ///
    /// Half the samples are streams, with a beginning on two sides; half are datagrams, about four. So
    /// the table says what chance must meet in one of them, in bits, and what to expect of all.
    ///
    /// | protocol | bits left to chance | expected |
    /// |---|---|---|
    /// | tls | type 23 (8), major version (8), minor version up to 3 (6), possible length (2): 24 | 200,000 / 2^24 = 0.01 |
    /// | rtcp | version (2), type 200 to 207 (5), the one length that fills (16), which seldom leaves room for what the type demands (1): 24 | 400,000 / 2^24 = 0.02 |
    ///
    /// All others have 30 bits and more to meet.
    const MEDIUM_BY_CHANCE: &[(&str, u32)] = &[("tls", 1), ("rtcp", 1)];

    #[test]
    fn random_payload_is_never_claimed_with_high_confidence() {
        let mut random = Random(0x706f_7274_6173_7361);
        let mut medium: BTreeMap<&str, u32> = BTreeMap::new();
        for _ in 0..200_000 {
            let sample = random.sample();
            for detector in DETECTORS {
                if let (true, Probe::Match(claim)) =
                    (detector.carried_by(sample.carrier()), ask(detector, &sample))
                {
                    assert_ne!(claim.confidence, Confidence::High, "{claim:?} {sample:x?}");
                    *medium.entry(detector.token).or_default() += 1;
                }
            }
        }
        println!("medium claims in 200,000: {medium:?}");
        for (token, count) in medium {
            let allowed = MEDIUM_BY_CHANCE.iter().find(|(known, _)| *known == token);
            assert!(allowed.is_some_and(|(_, most)| count <= *most), "{token}: {count}");
        }
    }

    /// Random bytes behind a first byte that the protocol begins with: the same claims are far
    /// likelier here than in traffic.
    #[test]
    fn random_bytes_behind_a_likely_first_byte_are_no_high_claim() {
        let mut random = Random(0x0064_6574_6563_7421);
        for detector in DETECTORS {
            for (carrier, ranges) in detector.carriers {
                for _ in 0..4_000 {
                    let range = &ranges[random.below(ranges.len() as u64)];
                    let span = u64::from(*range.end()) - u64::from(*range.start()) + 1;
                    let mut sample = Sample::new(*carrier);
                    for side in [Side::A, Side::B] {
                        let mut bytes: Vec<u8> =
                            (0..12 + random.below(80)).map(|_| random.next() as u8).collect();
                        bytes[0] = range.start() + random.below(span) as u8;
                        let wire_len = bytes.len() as u32;
                        sample.push(side, &Piece { sequence: 1, bytes: &bytes, wire_len });
                    }
                    if let Probe::Match(claim) = ask(detector, &sample) {
                        assert_ne!(claim.confidence, Confidence::High, "{claim:?} {sample:x?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_keepalive_of_nat_is_nothing() {
        // RFC 3948, 2.3: one byte, and no reader may take it for a beginning.
        let found = identify(&datagrams(&[&[0xff]], &[&[0xff]]));
        assert_eq!(found.protocol, None);
        assert!(found.payload_seen);
    }

    #[test]
    fn media_names_the_flow_that_began_with_checks() {
        let check = hex("0001 0000 2112a442 000102030405060708090a0b");
        let media: Vec<_> = (0..3).map(|n| rtp::tests::packet(n, 160 * u32::from(n), 9)).collect();
        let found = identify(&datagrams(&[&check, &media[0], &media[1], &media[2]], &[]));
        assert_eq!(found.protocol, Some("rtp"));
        assert_eq!(found.confidence, Some(Confidence::High));
        assert_eq!(found.also, ["stun"]);
        assert_eq!(found.requester, Some(Side::A));
        assert_eq!(found.facts["variant"], "rfc8489");
        assert_eq!(found.facts["ssrc"], "0x00000009");

        // One packet is no media yet.
        let found = identify(&datagrams(&[&check, &media[0]], &[]));
        assert_eq!((found.protocol, found.also), (Some("stun"), vec![]));
    }

    #[test]
    fn lengths_without_bytes_are_no_payload() {
        let mut sample = Sample::new(Carrier::Stream);
        assert!(!identify(&sample).payload_seen);
        sample.push(Side::A, &Piece { sequence: 1, bytes: b"", wire_len: 100 });
        assert_eq!(identify(&sample), Identification::default());
        sample.push(Side::B, &Piece { sequence: 1, bytes: &[0xff], wire_len: 100 });
        assert!(identify(&sample).payload_seen);
    }

    /// A generator of its own (`SplitMix64`), so that the tests see the same bytes for ever.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, bound: u64) -> usize {
            (self.next() % bound) as usize
        }

        fn sample(&mut self) -> Sample {
            let carrier = [Carrier::Stream, Carrier::Datagrams][self.below(2)];
            let mut sample = Sample::new(carrier);
            for side in [Side::A, Side::B] {
                let mut sequence = self.next() as u32;
                for _ in 0..self.below(5) {
                    // The lengths that fixed-size messages have are as likely as all others.
                    let len = match self.below(2) {
                        0 => self.below(300),
                        _ => [1, 8, 12, 20, 28, 44, 48, 68, 240][self.below(9)],
                    };
                    let payload: Vec<u8> = (0..len).map(|_| self.next() as u8).collect();
                    sample.push(side, &Piece { sequence, bytes: &payload, wire_len: len as u32 });
                    sequence = sequence.wrapping_add(len as u32);
                }
            }
            sample
        }
    }
}
