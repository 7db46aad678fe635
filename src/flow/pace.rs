//! How the packets of a security association follow each other: all that encryption leaves to see.
//!
//! Audio sends a packet every 20 ms, or 40 or 60, and small ones; so a series of gaps and sizes hints at it.
//! Everything is a count or an extreme, and the gap between two parts of a capture is known when they are
//! joined, so the sums of the parts are those of the whole.

use crate::decode::Sealed;
use crate::input::Timestamp;

/// The packets of one side whose content cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Pace {
    /// Security parameters indexes of the first and the last packet, in the order of the capture.
    pub spis: Option<(u32, u32)>,
    /// Packets with another index than the one before them.
    pub changes: u64,
    /// Packets.
    pub packets: u64,
    /// Of those, packets that the snaplen cut or that are in fragments: those could not have been read even
    /// without encryption.
    pub cut: u64,
    /// Lengths of the IP packets, in bytes, added up.
    pub ip_bytes: u64,
    /// Packets longer than [`Self::LARGE`].
    pub large: u64,
    /// Gaps of 15 to 25 ms, the time between two packets of audio.
    pub even: u64,
    /// Gaps below [`Self::SHORT`].
    pub short: u64,
    /// Short gaps within 5 ms of a multiple of 20 ms.
    pub multiples: u64,
    /// Packets marked as audio, as video and as application sharing; others are left.
    pub marked: Marked,
    /// The lowest and the highest sequence number.
    pub sequences: Option<(u32, u32)>,
    /// Sequence numbers of the first and the last packet, in the order of the capture.
    pub numbers: Option<(u32, u32)>,
    /// Packets that go on with the index of the one before and a number a little higher.
    pub steps: u64,
    /// Times of the first and the last packet, in the order of the capture.
    pub times: Option<(Timestamp, Timestamp)>,
}

/// Packets by differentiated services code point (RFC 2474), as sites mark media: 46 (expedited forwarding,
/// RFC 3246), 34 (AF41, RFC 2597), 24 (CS3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Marked {
    /// 46.
    pub audio: u64,
    /// 34.
    pub video: u64,
    /// 24.
    pub sharing: u64,
}

impl Pace {
    /// No packet of audio is longer, in bytes of IP.
    pub const LARGE: u32 = 700;
    /// Gaps are looked at below this, in ns: longer ones are pauses of speech.
    pub const SHORT: i64 = 200_000_000;

    /// Counts a packet.
    pub(super) fn add(&mut self, packet: &Sealed, time: Timestamp) {
        self.follow(time);
        self.continue_as((packet.spi, packet.spi), (packet.sequence, packet.sequence));
        self.packets += 1;
        self.cut += u64::from(!packet.whole);
        self.ip_bytes += u64::from(packet.ip_len);
        self.large += u64::from(packet.ip_len > Self::LARGE);
        match packet.dscp {
            46 => self.marked.audio += 1,
            34 => self.marked.video += 1,
            24 => self.marked.sharing += 1,
            _ => {}
        }
        self.sequences = Some(widen(self.sequences, (packet.sequence, packet.sequence)));
        self.times = Some((self.times.map_or(time, |(first, _)| first), time));
    }

    /// Appends that of the following part.
    pub(super) fn join(&mut self, next: &Self) {
        if let Some((first, _)) = next.times {
            self.follow(first);
        }
        if let (Some(spis), Some(numbers)) = (next.spis, next.numbers) {
            self.continue_as(spis, numbers);
        }
        self.changes += next.changes;
        self.steps += next.steps;
        self.packets += next.packets;
        self.cut += next.cut;
        self.ip_bytes += next.ip_bytes;
        self.large += next.large;
        self.even += next.even;
        self.short += next.short;
        self.multiples += next.multiples;
        self.marked.audio += next.marked.audio;
        self.marked.video += next.marked.video;
        self.marked.sharing += next.marked.sharing;
        if let Some(theirs) = next.sequences {
            self.sequences = Some(widen(self.sequences, theirs));
        }
        if let Some((next_first, last)) = next.times {
            self.times = Some((self.times.map_or(next_first, |(first, _)| first), last));
        }
    }

    /// Goes on with packets, of which indexes and numbers are those of the first and the last.
    fn continue_as(&mut self, spis: (u32, u32), numbers: (u32, u32)) {
        if let (Some((_, spi)), Some((_, number))) = (self.spis, self.numbers) {
            let same = spi == spis.0;
            self.changes += u64::from(!same);
            let step = numbers.0.wrapping_sub(number);
            self.steps += u64::from(same && (1..=STEP).contains(&step));
        }
        self.spis = Some((self.spis.map_or(spis.0, |(first, _)| first), spis.1));
        self.numbers = Some((self.numbers.map_or(numbers.0, |(first, _)| first), numbers.1));
    }

    /// Looks at the gap before a packet. Clocks may step back; that is no gap.
    fn follow(&mut self, time: Timestamp) {
        let Some(gap) = self.times.map(|(_, last)| time.0.saturating_sub(last.0)) else { return };
        if !(0..Self::SHORT).contains(&gap) {
            return;
        }
        self.short += 1;
        self.even += u64::from((FRAME - SLACK..=FRAME + SLACK).contains(&gap));
        let off = gap % FRAME;
        let multiple = off.min(FRAME - off) <= SLACK && gap > SLACK;
        self.multiples += u64::from(multiple);
    }

    /// Security parameters index of the first packet.
    pub fn spi(&self) -> Option<u32> {
        self.spis.map(|(first, _)| first)
    }

    /// Whether the packets are those of an association: many go on with the index of the one before, where several
    /// associations take turns, and nearly all of these with a number a little higher. Other content of port 4500 has other things there: RTP a number that
    /// changes with each packet, `WireGuard` a type and the same receiver, text its letters.
    pub fn is_association(&self) -> bool {
        let gone_on = self.packets.saturating_sub(1).saturating_sub(self.changes);
        // What is captured may lack packets, or have some in another order.
        let missteps = gone_on.saturating_sub(self.steps);
        self.steps > 0 && gone_on >= self.packets / 4 && missteps <= gone_on / 16
    }

    /// Packets of the association that are missing, by its numbers; None where several associations took turns. A
    /// sender numbers each packet one higher than the one before (RFC 4303, 3.3.3).
    pub fn lost(&self) -> Option<u64> {
        let (low, high) = self.sequences.filter(|_| self.changes == 0)?;
        Some((u64::from(high - low) + 1).saturating_sub(self.packets))
    }

    /// How long it lasted, in ns.
    pub fn duration(&self) -> i64 {
        self.times.map_or(0, |(first, last)| last.0.saturating_sub(first.0))
    }
}

fn widen(known: Option<(u32, u32)>, (low, high): (u32, u32)) -> (u32, u32) {
    known.map_or((low, high), |(lowest, highest)| (lowest.min(low), highest.max(high)))
}

/// The time between two packets of audio, in ns.
const FRAME: i64 = 20_000_000;
/// How much higher the next number is at most, where packets are missing. Digits of a text take longer steps, each
/// tenth time at the latest.
const STEP: u32 = 16;
/// By how much it varies, in ns.
const SLACK: i64 = 5_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(spi: u32, sequence: u32, dscp: u8, whole: bool, ip_len: u32) -> Sealed {
        Sealed { spi, sequence, dscp, whole, ip_len }
    }

    /// The pace of packets with these gaps before each but the first, in ms.
    fn paced(gaps: &[i64]) -> Pace {
        let (mut pace, mut ms) = (Pace::default(), 1_000);
        pace.add(&packet(9, 0, 46, true, 200), Timestamp(ms * 1_000_000));
        for (sequence, gap) in (1..).zip(gaps) {
            ms += gap;
            pace.add(&packet(9, sequence, 46, true, 200), Timestamp(ms * 1_000_000));
        }
        pace
    }

    #[test]
    fn gaps_are_even_multiples_short_or_left_out() {
        let counted = |gaps: &[i64]| {
            let pace = paced(gaps);
            [pace.even, pace.multiples, pace.short]
        };
        assert_eq!(counted(&[15, 20, 25]), [3, 3, 3]);
        assert_eq!(counted(&[14, 26, 34, 46, 54]), [0, 0, 5]);
        assert_eq!(counted(&[35, 40, 60, 65]), [0, 4, 4]);
        // Packets sent together, and pauses; clocks may step back.
        assert_eq!(counted(&[0, 5]), [0, 0, 2]);
        assert_eq!(counted(&[200, 5_000, -30]), [0, 0, 0]);
        assert_eq!(counted(&[199]), [0, 1, 1]);
    }

    /// The pace of packets with these indexes and numbers.
    fn numbered(packets: impl IntoIterator<Item = (u32, u32)>) -> Pace {
        let mut pace = Pace::default();
        for (spi, sequence) in packets {
            pace.add(&packet(spi, sequence, 0, true, 100), Timestamp(0));
        }
        pace
    }

    #[test]
    fn an_association_goes_on_with_its_index() {
        let of = |spis: &[u32]| numbered(spis.iter().copied().zip(1..));
        assert!(!of(&[]).is_association() && !of(&[7]).is_association());
        assert!(of(&[7, 7]).is_association() && !of(&[7, 8]).is_association());
        // A rekeying changes it once, and RTP with each packet.
        assert!(of(&[7, 7, 8, 8]).is_association() && !of(&[7, 8, 9, 10]).is_association());
        assert_eq!(of(&[7, 8, 9]).spi(), Some(7));
        let rekeyed = [(7, 900), (7, 901), (8, 1), (8, 2), (8, 3)];
        assert!(numbered(rekeyed).is_association());
    }

    #[test]
    fn the_numbers_of_an_association_rise_by_small_steps() {
        let spaced =
            |step: u32| numbered((0..200_u32).map(|n| (7, n.wrapping_mul(step).wrapping_add(100))));
        assert!(spaced(1).is_association() && spaced(STEP).is_association());
        assert!(!spaced(0).is_association() && !spaced(STEP + 1).is_association());
        assert!(!spaced(u32::MAX).is_association());
        // The lower half of a number of 64 bits begins again.
        assert!(numbered([(7, u32::MAX - 1), (7, u32::MAX), (7, 0)]).is_association());
        // A gap now and then, or packets in another order.
        let torn = (1..200_u32).map(|n| (7, n + n / 20 * 1_000));
        assert!(numbered(torn).is_association());
        let shuffled = (1..200_u32).map(|n| (7, if n % 40 < 2 { n ^ 1 } else { n }));
        assert!(numbered(shuffled).is_association());
    }

    #[test]
    fn what_else_is_sent_to_the_port_of_esp_has_other_numbers() {
        let words = |text: String| {
            let word =
                |at: usize| u32::from_be_bytes(text.as_bytes()[at..at + 4].try_into().unwrap());
            (word(0), word(4))
        };
        let wireguard = [(0x0100_0000, 5), (0x0200_0000, 9)].into_iter();
        let wireguard = wireguard.chain((0..200).map(|_| (0x0400_0000, 9)));
        let texts = ["PING", "<r n=\""]
            .map(|lead| numbered((0..200_u32).map(|n| words(format!("{lead}{n:04} and more")))));
        let by_twos = numbered((0..200_u32).map(|n| words(format!("PING{:04}", n * 2))));
        let hexadecimal = numbered((0..200_u32).map(|n| words(format!("PING{n:04x}"))));
        let [ping, xml] = texts;
        for other in [numbered(wireguard), ping, xml, by_twos, hexadecimal] {
            assert!(!other.is_association(), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn parts_joined_in_order_are_the_whole(
            packets in prop::collection::vec(
                (0..3_u32, prop_oneof![any::<u32>(), 0..60_u32], 0..6_usize, any::<bool>(), 60..1500_u32, -40..300_i64),
                0..40,
            ),
            cuts in prop::collection::vec(0..40_usize, 0..4),
        ) {
            let mut ms = 0;
            let timed: Vec<(Sealed, Timestamp)> = packets
                .into_iter()
                .map(|(spi, sequence, dscp, whole, ip_len, gap)| {
                    ms += gap;
                    let dscp = [0, 8, 24, 34, 46, 63][dscp];
                    (packet(spi, sequence, dscp, whole, ip_len), Timestamp(ms * 1_000_000))
                })
                .collect();
            let of = |part: &[(Sealed, Timestamp)]| {
                let mut pace = Pace::default();
                for (packet, time) in part {
                    pace.add(packet, *time);
                }
                pace
            };
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(timed.len())).collect();
            cuts.extend([0, timed.len()]);
            cuts.sort_unstable();
            let parts: Vec<Pace> = cuts.windows(2).map(|cut| of(&timed[cut[0]..cut[1]])).collect();
            let mut from_the_left = Pace::default();
            for part in &parts {
                from_the_left.join(part);
            }
            let mut from_the_right = Pace::default();
            for part in parts.iter().rev() {
                let mut longer = *part;
                longer.join(&from_the_right);
                from_the_right = longer;
            }
            prop_assert_eq!(from_the_left, of(&timed));
            prop_assert_eq!(from_the_right, of(&timed));
        }
    }
}
