//! NTP and SNTP. RFC 5905 section 7.3, MS-SNTP section 2.2.
//!
//! ```text
//!  0               1         2      3           4       16          24       32        40         48
//! | leap VN mode  | stratum | poll | precision | roots | reference | origin | receive | transmit | MAC
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | an answer whose origin is the transmit time of the question | high |
//! | a server's answer whose receive and transmit times are seconds apart | medium |
//! | a question of version 3 or 4 alone, blank but for its transmit time | medium |
//! | the same with roots of a few seconds and a reference time of the last days | medium |
//! | any other question alone | none |
//!
//! Clients either blank what is not asked for (RFC 4330, section 5) or tell how well they are set. Easily
//! confused with: anything of 48 bytes.

use super::bytes::Reader;
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, FirstBytes, Probe, View};
use crate::flow::sample::Carrier;

/// NTP.
pub(super) const DETECTOR: Detector = Detector {
    token: "ntp",
    name: "NTP",
    reference: "RFC 5905",
    carriers: &[(Carrier::Datagrams, FIRST)],
    carried_after: &[],
    probe,
};

/// What is kept of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    mode: Mode,
    origin: u64,
    receive: u64,
    transmit: u64,
    /// A question that is not just of the right size.
    telling: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Symmetric, active and passive.
    Peer,
    Client,
    Server,
    Broadcast,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    let claim = match [seen[0].fits(), seen[1].fits()] {
        [None, None] => return sides::undecided(&seen),
        [Some(a), Some(b)] if a.answers(b) || b.answers(a) => {
            Claim::new(Confidence::High, "question and answer")
        }
        _ if sides::fitting(&seen).any(Head::is_prompt) => {
            Claim::new(Confidence::Medium, "an answer")
        }
        _ if sides::fitting(&seen).any(|head| head.telling) => {
            Claim::new(Confidence::Medium, "a question")
        }
        _ => return Probe::NeedMore,
    };
    let sent =
        |mode| SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| head.mode == mode));
    Probe::Match(claim.asked_by(sides::requester(sent(Mode::Client), sent(Mode::Server))))
}

fn read(message: &Message<'_>) -> Seen<Head> {
    if !is_size(message.len) {
        return Seen::Foreign;
    }
    let mut reader = Reader::new(message.bytes);
    match fields(&mut reader) {
        Some(seen) => seen,
        None => message.ran_out(),
    }
}

/// Reads the header; `None` where the bytes end too soon.
fn fields(reader: &mut Reader<'_>) -> Option<Seen<Head>> {
    let first = reader.u8()?;
    let stratum = reader.u8()?;
    let poll = reader.u8()?.cast_signed();
    let precision = reader.u8()?.cast_signed();
    let (delay, dispersion) = (reader.u32()?, reader.u32()?);
    let (name, reference) = (reader.u32()?, reader.u64()?);
    let origin = reader.u64()?;
    let receive = reader.u64()?;
    let transmit = reader.u64()?;
    let mode = match first & 0x07 {
        1 | 2 => Mode::Peer,
        3 => Mode::Client,
        4 => Mode::Server,
        5 => Mode::Broadcast,
        _ => return Some(Seen::Foreign),
    };
    let fits = (1..=4).contains(&(first >> 3 & 0x07))
        && stratum <= 16
        && (-6..=17).contains(&poll)
        && ((-32..=0).contains(&precision) || mode == Mode::Client && precision == HIDDEN)
        && transmit != 0;
    if !fits {
        return Some(Seen::Foreign);
    }
    let blank = (u64::from(delay | dispersion | name) | reference | origin | receive) == 0;
    let set = delay.max(dispersion) < MAX_ROOT
        && reference != 0
        && (transmit >> 32).checked_sub(reference >> 32).is_some_and(|age| age < MAX_AGE);
    let telling = mode == Mode::Client && matches!(first >> 3 & 0x07, 3 | 4) && (blank || set);
    Some(Seen::Fits(Head { mode, origin, receive, transmit, telling }))
}

impl Head {
    fn answers(&self, question: &Self) -> bool {
        matches!(self.mode, Mode::Server | Mode::Peer) && self.origin == question.transmit
    }

    /// Whether a server took less than a minute; time stamps count seconds in their upper half.
    fn is_prompt(&self) -> bool {
        let seconds = (self.transmit >> 32).checked_sub(self.receive >> 32);
        self.mode == Mode::Server && self.receive != 0 && seconds.is_some_and(|s| s < 60)
    }
}

/// Versions 1 to 4 and modes 1 to 5 behind each of the four leap indicators.
const FIRST: FirstBytes = &[0x09..=0x25, 0x49..=0x65, 0x89..=0xa5, 0xc9..=0xe5];

/// What a client gives as its precision that does not want to be known by it: 2^32 seconds.
const HIDDEN: i8 = 32;
/// Distance from the root that a question may tell, in 16 bits of seconds and 16 of fractions: 16 s.
const MAX_ROOT: u32 = 16 << 16;
/// Seconds since the clock was last set: twelve days.
const MAX_AGE: u64 = 1 << 20;

/// The header, alone or with a key id and a digest of 16 or 20 bytes, or with the 72 bytes of
/// MS-SNTP's extended authenticator.
fn is_size(len: usize) -> bool {
    matches!(len, 48 | 68 | 72 | 120)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, matches, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const ZERO: &str = "0000000000000000";
    const ASKED: &str = "e5f1a2b3 12345678";

    fn message(first: &str, origin: &str, receive: &str, transmit: &str) -> Vec<u8> {
        hex(&format!("{first} 00000000 00000010 0a000105 {ZERO} {origin} {receive} {transmit}"))
    }

    fn question() -> Vec<u8> {
        message("23 00 06 e9", ZERO, ZERO, ASKED)
    }

    fn answer() -> Vec<u8> {
        message("24 02 06 e9", ASKED, "e5f1a2b4 00000000", "e5f1a2b4 00001000")
    }

    /// A question that tells nothing of its sender.
    fn blank() -> Vec<u8> {
        hex(&format!("23 00 00 20 00000000 00000000 00000000 {ZERO} {ZERO} {ZERO} {ASKED}"))
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&question()], &[&answer()]),
            datagrams(&[&answer()], &[]),
            datagrams(&[&blank()], &[]),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        let alone = claim(&DETECTOR, &samples()[1]);
        assert_eq!(alone.confidence, Confidence::Medium);
        assert_eq!(alone.requester, Some(Side::B));
    }

    #[test]
    fn a_question_alone_counts_where_it_is_blank_or_tells_of_a_clock() {
        let set = |dispersion: &str, reference: &str| {
            hex(&format!(
                "1b 03 0a fa 00000010 {dispersion} 0a000105 {reference} {ZERO} {ZERO} {ASKED}"
            ))
        };
        for question in [blank(), set("00010290", "e5f1a000 00000000")] {
            let alone = claim(&DETECTOR, &datagrams(&[&question], &[]));
            assert_eq!((alone.confidence, alone.requester), (Confidence::Medium, Some(Side::A)));
        }
        for other in [set("00110000", "e5f1a000 00000000"), set("00010290", "e5a1a000 00000000")] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[&other], &[])), Probe::NeedMore);
        }
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &datagrams(&[&question()], &[])), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[1], 40)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let late = message("24 02 06 e9", ASKED, "e5f10000 00000000", "e5f1a2b4 00001000");
        assert!(!matches(&DETECTOR, &datagrams(&[&late], &[])));
        let mut longer = answer();
        longer.push(0);
        for other in [
            longer,
            message("3c 02 06 e9", ASKED, ASKED, ASKED),
            message("27 02 06 e9", ASKED, ASKED, ASKED),
            message("24 20 06 e9", ASKED, ASKED, ASKED),
            message("24 02 40 e9", ASKED, ASKED, ASKED),
            message("24 02 06 20", ASKED, ASKED, ASKED),
            vec![0; 48],
        ] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[&other], &[])), Probe::No, "{other:x?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
