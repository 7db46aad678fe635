//! RTCP reports about media, and SRTCP, which leaves the first eight bytes readable.
//! RFC 3550 section 6, RFC 3711, RFC 4585, RFC 5506, RFC 5761.
//!
//! ```text
//!  0            1      2                        4      8
//! | 10 P count | type | length in words - 1    | SSRC | …
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | two or more packets that fill a datagram exactly | high |
//! | three datagrams whose first packet fits | high |
//! | one packet that fills a datagram, or leaves room for SRTCP's trailer | medium |
//!
//! Easily confused with: RTP of the types 72 to 76 with the marker set, which RTP therefore does
//! not use (RFC 5761). On a port shared with media the media names the flow.

use super::bytes::Reader;
use super::frames::{self, Messages};
use super::sides::{self, Message, Seen};
use super::stun::relay;
use super::{Claim, Confidence, Detector, FirstBytes, Probe, View, gate};
use crate::flow::sample::Carrier;

/// RTCP.
pub(super) const DETECTOR: Detector = Detector {
    token: "rtcp",
    name: "RTCP",
    reference: "RFC 3550",
    carriers: &[(Carrier::Stream, gate::ANY), (Carrier::Datagrams, MEDIA)],
    carried_after: &["stun", "dtls"],
    probe,
};

/// How well the lengths of a datagram's reports fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The first packet fits; what follows is encrypted or cut.
    Within,
    /// One packet fills it, but for a trailer.
    Filled,
    /// Several packets fill it.
    Compound,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = frames::messages(view, |messages| judge(messages, view.carrier()));
    match sides::fitting(&seen).max() {
        Some(Confidence::High) => Probe::Match(Claim::new(Confidence::High, "RTCP reports")),
        Some(_) => Probe::Match(Claim::new(Confidence::Medium, "an RTCP report")),
        None => sides::undecided(&seen),
    }
}

fn judge(messages: &Messages<'_>, carrier: Carrier) -> Seen<Confidence> {
    let fits = messages.clone().filter_map(|message| fit(&message));
    let (count, best) = fits.fold((0, None), |(count, best), fit| (count + 1, best.max(Some(fit))));
    match (best, count, carrier) {
        (Some(Fit::Compound), _, _) | (_, 3.., _) => Seen::Fits(Confidence::High),
        // A frame's length is itself a guess, and so is nothing to fill.
        (Some(_), 2, _) | (Some(Fit::Filled), _, Carrier::Datagrams) => {
            Seen::Fits(Confidence::Medium)
        }
        (Some(_), _, _) => Seen::Short,
        (None, _, _) => Seen::Foreign,
    }
}

fn fit(message: &Message<'_>) -> Option<Fit> {
    let message = relay::payload(message).unwrap_or(*message);
    let mut reader = Reader::new(message.bytes);
    let size = packet(&mut reader, FIRST)?;
    let left = message.len.checked_sub(size)?;
    Some(match left {
        _ if follows(reader, left) => Fit::Compound,
        _ if TRAILERS.contains(&left) => Fit::Filled,
        _ => Fit::Within,
    })
}

/// Whether further packets fill the `left` bytes exactly.
fn follows(mut reader: Reader<'_>, mut left: usize) -> bool {
    let any = left > 0;
    while left > 0 {
        let Some(rest) = packet(&mut reader, ANY).and_then(|size| left.checked_sub(size)) else {
            return false;
        };
        left = rest;
    }
    any
}

/// Moves over one packet whose type is in `types` and gives its size, if the size can hold what
/// the type demands.
fn packet(reader: &mut Reader<'_>, types: std::ops::RangeInclusive<u8>) -> Option<usize> {
    let flags = reader.u8()?;
    let kind = reader.u8()?;
    let words = usize::from(reader.u16()?);
    let count = usize::from(flags & 0x1f);
    let least = match kind {
        SENDER_REPORT => 6 + 6 * count,
        RECEIVER_REPORT => 1 + 6 * count,
        SOURCE_DESCRIPTION => 2 * count,
        BYE => count,
        _ => 1,
    };
    reader.take_up_to(words * 4);
    (flags >> 6 == 2 && types.contains(&kind) && words >= least).then_some((words + 1) * 4)
}

/// RTCP, or what a relay carries: indications and channel data.
const MEDIA: FirstBytes = &[0x00..=0x01, 0x40..=0x4f, 0x80..=0xbf];
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const BYE: u8 = 203;
/// Types that may stand first: reports, and feedback and extended reports of reduced size.
const FIRST: std::ops::RangeInclusive<u8> = 200..=207;
/// Types reserved for RTCP (RFC 5761, 4).
const ANY: std::ops::RangeInclusive<u8> = 192..=223;
/// Bytes behind a packet that fills its datagram: none, or the index of SRTCP and a tag of 4, 10
/// or 16 bytes (RFC 3711, RFC 7714).
const TRAILERS: [usize; 4] = [0, 8, 14, 20];

#[cfg(test)]
pub(in crate::identify) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, survive};
    use super::*;
    use crate::flow::sample::Sample;

    fn compound() -> Vec<u8> {
        hex("80c8 0006 3796cb71 c70c8f2a 9db22d0e 00000640 00000009 000005a0
             81ca 0003 3796cb71 0105 7540612e62 00
             81cb 0001 3796cb71")
    }

    fn protected(tail: usize) -> Vec<u8> {
        let mut out = hex("80c9 0005 000003e8");
        out.extend(std::iter::repeat_n(0x5a, 16 + tail));
        out
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&compound()], &[]),
            datagrams(&[&protected(40), &protected(60), &protected(33)], &[]),
            datagrams(&[&protected(14)], &[]),
        ]
    }

    #[test]
    fn recognises() {
        let confidence = |at: usize| claim(&DETECTOR, &samples()[at]).confidence;
        assert_eq!(confidence(0), Confidence::High);
        assert_eq!(confidence(1), Confidence::High);
        assert_eq!(confidence(2), Confidence::Medium);
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &datagrams(&[&protected(40)], &[])), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            // RTP of type 8 with the marker; lengths that do not fit; a version that is none.
            hex("8088 0001 00000000 00000001 d5d5d5d5"),
            hex("80c9 0fff 00000001"),
            hex("81c9 0001 00000001"),
            hex("40c9 0001 00000001"),
            hex("80c9"),
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
