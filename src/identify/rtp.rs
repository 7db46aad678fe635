//! RTP media, and SRTP, which leaves the header readable. RFC 3550 section 5, RFC 3711, RFC 7983;
//! over TCP RFC 4571; behind a relay RFC 8656.
//!
//! ```text
//!  0          1         2          4           8      12
//! | 10 P X CC | M PT   | sequence | timestamp | SSRC | CSRC…, extension, payload
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | 4 packets of one SSRC whose sequence rises by small steps, 3 where the timestamp moves | high |
//! | 2 such packets on both sides where a timestamp moves, or beside STUN checks | high |
//! | 2 such packets otherwise | medium |
//!
//! A timestamp counts samples, so where it moves it outruns the sequence; one that creeps along with it is
//! some other counter. It may stand: packets of one video frame share it. But a source whose timestamp
//! stands has a random number (RFC 3550, 8), and small constants in both places are fields of something else.
//!
//! Two bits of version are no evidence, so one packet proves nothing: the flow does. Over TCP
//! the lengths are guessed as well, so every frame has to be media.
//!
//! Easily confused with: RTCP (second byte 192 to 223); DNS whose id begins with `8`; ONC RPC, whose ids
//! are a counter before small constants; `ENet`; anything with a counter. STUN and DTLS on the
//! same ports are expected (RFC 7983) and come first.

use std::fmt;

use super::bytes::Reader;
use super::frames::{self, Messages};
use super::sides::{self, Message, Seen};
use super::stun::relay;
use super::{Claim, Confidence, Detector, FirstBytes, Probe, View, gate};
use crate::flow::sample::Carrier;

/// RTP.
pub(super) const DETECTOR: Detector = Detector {
    token: "rtp",
    name: "RTP",
    reference: "RFC 3550",
    carriers: &[(Carrier::Stream, gate::ANY), (Carrier::Datagrams, MEDIA)],
    carried_after: &["stun", "dtls", "rtcp"],
    probe,
};

/// A packet's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
}

/// Packets of one source that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Train {
    ssrc: u32,
    packets: usize,
    clock: Clock,
    payload_types: Types,
    /// STUN messages beside it, which leave little else for it to be.
    checks: usize,
    /// Whether a relay carries it.
    relayed: bool,
}

/// What the timestamps did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Stands,
    Moves,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = frames::messages(view, |messages| judge(messages, view.carrier()));
    let trains = || sides::fitting(&seen);
    let Some(longest) = trains().max_by_key(|train| (train.packets, train.ssrc)) else {
        return sides::undecided(&seen);
    };
    let claim = match trains().count() {
        2 if trains().any(Train::is_clocked) => {
            Claim::new(Confidence::High, "RTP sequences both ways")
        }
        _ if trains().any(Train::is_long) => Claim::new(Confidence::High, "an RTP sequence"),
        _ => Claim::new(Confidence::Medium, "two RTP packets in sequence"),
    };
    let types = trains().fold(Types::default(), |all, train| all.and(train.payload_types));
    Probe::Match(
        claim
            .fact("payload_type", Some(types.to_string()))
            .fact("relayed", trains().any(|train| train.relayed).then_some("rtp"))
            .fact("ssrc", Some(format!("0x{:08x}", longest.ssrc))),
    )
}

/// Payload types: numbers of seven bits, each a bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Types(u128);

impl Types {
    fn add(&mut self, payload_type: u8) {
        self.0 |= 1 << (payload_type & 0x7f);
    }

    fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    fn count(self) -> u32 {
        self.0.count_ones()
    }
}

impl fmt::Display for Types {
    /// Ascending, commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let types = (0..128).filter(|number| self.0 >> number & 1 == 1);
        for (position, number) in types.enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{number}")?;
        }
        Ok(())
    }
}

impl Train {
    fn is_long(&self) -> bool {
        self.packets >= 4 || (self.packets == 3 && self.is_clocked()) || self.checks > 0
    }

    fn is_clocked(&self) -> bool {
        self.clock == Clock::Moves
    }
}

fn judge(messages: &Messages<'_>, carrier: Carrier) -> Seen<Train> {
    if carrier == Carrier::Stream && !messages.clone().all(|message| is_media(&message)) {
        return Seen::Foreign;
    }
    let headers: Vec<Header> = messages.clone().filter_map(|message| header(&message)).collect();
    match (longest(&headers), headers.len()) {
        (Some(train), _) => {
            let checks = messages.clone().filter(is_check).count();
            let relayed = messages.clone().any(|message| relay::payload(&message).is_some());
            Seen::Fits(Train { checks, relayed, ..train })
        }
        (None, 1) => Seen::Short,
        (None, _) => Seen::Foreign,
    }
}

/// The longest train; of equal ones the one that is seen last.
fn longest(headers: &[Header]) -> Option<Train> {
    let mut rest = headers;
    let mut longest: Option<Train> = None;
    // From behind, so that each source is followed once.
    while let Some((last, before)) = rest.split_last() {
        rest = before;
        let seen = headers.get(before.len() + 1..).unwrap_or_default();
        if seen.iter().any(|header| header.ssrc == last.ssrc) {
            continue;
        }
        if let Some(train) = train(headers, last.ssrc)
            && longest.is_none_or(|known| train.packets > known.packets)
        {
            longest = Some(train);
        }
    }
    longest
}

/// STUN, RTP or RTCP by the first byte (RFC 7983, 7), or what a relay carries.
fn is_media(message: &Message<'_>) -> bool {
    let direct = matches!(message.bytes.first(), None | Some(0..=3 | 0x80..=0xbf));
    message.len > 0 && (direct || relay::payload(message).is_some())
}

/// STUN by its cookie (RFC 8489, 5).
fn is_check(message: &Message<'_>) -> bool {
    message.bytes.get(4..).is_some_and(|rest| rest.starts_with(&[0x21, 0x12, 0xa4, 0x42]))
}

/// The header, if everything in it fits into the message, or into what the message carries.
fn header(message: &Message<'_>) -> Option<Header> {
    let message = relay::payload(message).unwrap_or(*message);
    let mut reader = Reader::new(message.bytes);
    let flags = reader.u8()?;
    let second = reader.u8()?;
    let header = Header {
        payload_type: second & 0x7f,
        sequence: reader.u16()?,
        timestamp: reader.u32()?,
        ssrc: reader.u32()?,
    };
    let sources = usize::from(flags & 0x0f) * 4;
    let mut size = FIXED + sources;
    if flags & 0x10 != 0 {
        size += 4;
        // An extension beyond what was kept cannot be checked.
        if reader.skip(sources + 2).is_some()
            && let Some(words) = reader.u16()
        {
            size += usize::from(words) * 4;
        }
    }
    let fits = flags >> 6 == 2
        && !(192..=223).contains(&second)
        && !(72..=76).contains(&header.payload_type)
        && size <= message.len;
    fits.then_some(header)
}

/// The packets of `ssrc`, if more of them follow each other than not.
fn train(headers: &[Header], ssrc: u32) -> Option<Train> {
    let mut mine = headers.iter().filter(|header| header.ssrc == ssrc);
    let mut last = *mine.next()?;
    let mut payload_types = Types::default();
    payload_types.add(last.payload_type);
    let (mut steps, mut breaks) = (0, 0);
    let mut clock = Clock::Stands;
    for header in mine {
        let ahead = header.sequence.wrapping_sub(last.sequence).cast_signed();
        let later = header.timestamp.wrapping_sub(last.timestamp);
        // A clock that is slower than the packets is none.
        let creeps = later > 0 && later < MIN_TICKS * u32::from(ahead.unsigned_abs());
        if (1..=MAX_STEP).contains(&ahead) && later <= MAX_PAUSE && !creeps {
            steps += 1;
            if later > 0 {
                clock = Clock::Moves;
            }
        } else if (-MAX_STEP..=0).contains(&ahead) {
            // Repeated by a mirror port, or late: no evidence either way.
            continue;
        } else {
            breaks += 1;
        }
        payload_types.add(header.payload_type);
        last = *header;
    }
    let told = clock == Clock::Moves || ssrc >= MIN_RANDOM;
    let holds = told && steps > breaks && payload_types.count() <= MAX_TYPES;
    holds.then_some(Train {
        ssrc,
        packets: steps + 1,
        clock,
        payload_types,
        checks: 0,
        relayed: false,
    })
}

/// RTP, or what a relay carries: indications and channel data.
const MEDIA: FirstBytes = &[0x00..=0x01, 0x40..=0x4f, 0x80..=0xbf];
/// Bytes of the fixed header.
const FIXED: usize = 12;
/// Sequence numbers that loss may skip.
const MAX_STEP: i16 = 50;
/// Clock ticks from packet to packet where the timestamp moves. Studio sound has the fewest: six samples.
const MIN_TICKS: u32 = 4;
/// A random source is smaller than this once in 65,536 times.
const MIN_RANDOM: u32 = 0x1_0000;
/// Clock ticks that a pause may last: three minutes of video at 90 kHz.
const MAX_PAUSE: u32 = 1 << 24;
/// Payload types that one source switches between: voice, noise, tones, redundancy.
const MAX_TYPES: u32 = 4;

#[cfg(test)]
pub(in crate::identify) mod tests {
    use super::super::craft::{ask, claim, datagrams, dialogue, hex, stream, survive};
    use super::super::stun::pseudo_tls;
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Piece;
    use crate::flow::sample::Sample;

    pub(in crate::identify) fn packet(sequence: u16, timestamp: u32, ssrc: u32) -> Vec<u8> {
        let mut out = vec![0x80, 8];
        out.extend(sequence.to_be_bytes());
        out.extend(timestamp.to_be_bytes());
        out.extend(ssrc.to_be_bytes());
        out.extend([0xd5; 20]);
        out
    }

    fn run(count: u16) -> Vec<Vec<u8>> {
        (0..count)
            .map(|n| packet(0xfffe_u16.wrapping_add(n), 160 * u32::from(n), 0x3796cb71))
            .collect()
    }

    fn slices(packets: &[Vec<u8>]) -> Vec<&[u8]> {
        packets.iter().map(Vec::as_slice).collect()
    }

    fn framed(packets: &[Vec<u8>]) -> Vec<u8> {
        let frame = |p: &Vec<u8>| [&(p.len() as u16).to_be_bytes()[..], p.as_slice()].concat();
        packets.iter().flat_map(frame).collect()
    }

    fn segments(packets: &[Vec<u8>]) -> Sample {
        let mut sample = Sample::new(Carrier::Stream);
        let mut sequence = 0;
        for packet in packets {
            let mut bytes = packet.clone();
            bytes.resize(1212, 0xd5);
            let frame = framed(&[bytes]);
            sample.push(Side::A, &Piece { sequence, bytes: &frame, wire_len: frame.len() as u32 });
            sequence += frame.len() as u32;
        }
        sample
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            segments(&run(4)),
            datagrams(&slices(&run(3)), &[]),
            datagrams(&slices(&run(2)), &slices(&run(2))),
            datagrams(&slices(&run(2)), &[]),
            stream(&framed(&run(4)), b""),
        ]
    }

    #[test]
    fn recognises() {
        assert_eq!(claim(&DETECTOR, &samples()[0]).evidence, "an RTP sequence");
        let one_way = claim(&DETECTOR, &samples()[1]);
        assert_eq!(one_way.confidence, Confidence::High);
        assert_eq!(one_way.requester, None);
        assert_eq!(one_way.facts["payload_type"], "8");
        assert_eq!(one_way.facts["ssrc"], "0x3796cb71");
        assert_eq!(claim(&DETECTOR, &samples()[2]).confidence, Confidence::High);
        assert_eq!(claim(&DETECTOR, &samples()[3]).confidence, Confidence::Medium);
        assert_eq!(claim(&DETECTOR, &samples()[4]).confidence, Confidence::High);
    }

    #[test]
    fn three_packets_need_a_moving_clock_and_four_do_not() {
        let still = |count: u16| {
            let packets: Vec<_> = (0..count).map(|n| packet(n, 7, 0x3796cb71)).collect();
            claim(&DETECTOR, &datagrams(&slices(&packets), &[])).confidence
        };
        assert_eq!(still(3), Confidence::Medium);
        assert_eq!(still(4), Confidence::High);
    }

    #[test]
    fn two_packets_each_way_need_a_moving_clock() {
        let both = |ticks: u32| {
            let packets = [packet(1, 7, 0x3796cb71), packet(2, 7 + ticks, 0x3796cb71)];
            claim(&DETECTOR, &datagrams(&slices(&packets), &slices(&packets))).confidence
        };
        assert_eq!(both(0), Confidence::Medium);
        assert_eq!(both(160), Confidence::High);
    }

    #[test]
    fn a_small_source_is_one_where_the_clock_moves() {
        let packets: Vec<_> = (0..4).map(|n| packet(n, 160 * u32::from(n), 1)).collect();
        let claim = claim(&DETECTOR, &datagrams(&slices(&packets), &[]));
        assert_eq!(claim.confidence, Confidence::High);
    }

    #[test]
    fn checks_before_the_media_do_not_disturb_it() {
        let check = hex("0001 0000 2112a442 000102030405060708090a0b");
        let mut packets = vec![check.clone(), check];
        packets.extend(run(2));
        let claim = claim(&DETECTOR, &datagrams(&slices(&packets), &[]));
        assert_eq!(claim.confidence, Confidence::High);
    }

    #[test]
    fn media_behind_a_relay_is_media() {
        let in_channel = |packet: &Vec<u8>| {
            let header = [0x40, 1, 0, packet.len() as u8];
            [&header[..], packet].concat()
        };
        let carried: Vec<_> = run(3).iter().map(in_channel).collect();
        for sample in [datagrams(&slices(&carried), &[]), stream(&carried.concat(), b"")] {
            let claim = claim(&DETECTOR, &sample);
            assert_eq!(claim.confidence, Confidence::High);
            assert_eq!(claim.facts["relayed"], "rtp");
        }
        assert_eq!(claim(&DETECTOR, &samples()[0]).facts.get("relayed"), None);

        // The data before the peer's address, as it fits into what is kept of a datagram.
        let indicated: Vec<_> = run(3)
            .iter()
            .map(|packet| {
                let mut out = hex("0017 0030 2112a442 000102030405060708090a0b 0013 0020");
                out.extend(packet);
                out.extend(hex("0012 0008 0001 0000 00000000"));
                out
            })
            .collect();
        let claim = claim(&DETECTOR, &datagrams(&slices(&indicated), &[]));
        assert_eq!((claim.confidence, &*claim.facts["relayed"]), (Confidence::High, "rtp"));
    }

    #[test]
    fn ms_turn_segments_are_media_behind_the_hello() {
        let mut packets = vec![(Side::A, pseudo_tls::tests::client())];
        for packet in run(4) {
            let mut bytes = packet;
            bytes.resize(1212, 0xd5);
            packets.push((Side::A, [&[3, 0][..], &1212_u16.to_be_bytes(), &bytes].concat()));
        }
        let packets: Vec<(Side, &[u8])> = packets.iter().map(|(s, p)| (*s, p.as_slice())).collect();
        assert_eq!(claim(&DETECTOR, &dialogue(&packets)).confidence, Confidence::High);
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &datagrams(&slices(&run(1)), &[])), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &stream(&framed(&run(1)), b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let no = |packets: &[Vec<u8>]| {
            assert_eq!(
                ask(&DETECTOR, &datagrams(&slices(packets), &[])),
                Probe::No,
                "{packets:x?}"
            );
        };
        // DNS queries whose ids look like a version.
        no(&[
            hex("8001 0100 0001 0000 0000 0000 01610000010001"),
            hex("8002 0100 0001 0000 0000 0000 01610000010001"),
        ]);
        // RTCP.
        no(&[hex("80c9 0001 00000001").repeat(2), hex("80c9 0001 00000001").repeat(2)]);
        // Another source each time; a sequence that jumps; sources beyond the end.
        no(&[packet(1, 0, 1), packet(2, 160, 2), packet(3, 320, 3)]);
        no(&[packet(1, 0, 1), packet(900, 160, 1), packet(5000, 320, 1)]);
        no(&[hex("8f08 0001 00000000 00000001"), hex("8f08 0002 000000a0 00000001")]);
        // ONC RPC: an id, call or reply, version 2; and `ENet`: a time, then a command's own counter.
        no(&(0..5).map(|n| packet(n, 0, 2)).collect::<Vec<_>>());
        no(&(0..5).map(|n| packet(n, 1, 0)).collect::<Vec<_>>());
        let enet = |n: u16| packet(1000 + 20 * n, 0x8600_0032 + u32::from(n), 0x000c_0102);
        no(&(0..5).map(enet).collect::<Vec<_>>());
        // Over TCP one frame that is no media makes the lengths doubtful.
        let mut packets = run(3);
        packets.push(b"GET / HTTP".to_vec());
        assert_eq!(ask(&DETECTOR, &stream(&framed(&packets), b"")), Probe::No);
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
