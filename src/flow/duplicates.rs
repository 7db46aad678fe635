//! Copies of packets that a mirror shows more than once, told from what was really sent again.
//!
//! A mirror of both directions, or of several ports on one path, shows each packet twice; a mirror on
//! both sides of a router shows it before and after, with other hardware addresses and a smaller TTL.
//! So a copy is a packet with the same addresses, ports, identification, sequence numbers, lengths and
//! checksum as one shortly before it. Link headers, VLAN tags, encapsulations, TTL and class of service
//! are not compared.
//!
//! A host that sends again numbers the IPv4 datagram anew (RFC 6864), and later: so within [`REACH`]
//! the number decides. Where there is none (IPv6, or the 0 that RFC 6864 allows for datagrams that are
//! never fragmented) nothing tells a copy from an acknowledgement or a datagram that really was sent
//! twice at once. Those count as copies only where a mirror is seen to make copies: where of the frames
//! before at least one in [`MIRRORED`] looks like one. And without a change of TTL only what follows
//! within [`AT_ONCE`].
//!
//! What a window says of a packet depends on the frames remembered and on what it said of them. Whoever
//! begins in the middle of a capture reads [`MEMORY`] frames before it, which is enough for all but
//! captures made to deceive; [`Window::state`] proves it, and where it was not the part is read again.

use std::net::IpAddr;

use super::mix::mix;
use crate::decode::{Detail, Packet, Part};
use crate::input::Timestamp;

/// Frames that a copy may stand behind its original.
pub const FRAMES: u32 = 1024;
/// Frames that decide whether a packet is a copy, nearly always: those that it may repeat, and for each of
/// them those that it may have repeated.
pub const MEMORY: u32 = 2 * FRAMES;
/// One packet in so many that looks like a copy shows that there is a mirror which makes copies.
pub const MIRRORED: u32 = 4;
/// Copies of one packet, of which a mirror makes one or three; further ones are none.
const MOST: u32 = 8;
/// Nanoseconds that a copy may come after its original.
pub const REACH: i64 = 100_000_000;
/// The same where nothing but the time tells a copy from a retransmission: no timer of TCP is as
/// short.
pub const AT_ONCE: i64 = 2_000_000;

/// What a packet is beside those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copy {
    /// No copy.
    None,
    /// A copy from the same side of every router.
    Same,
    /// A copy with another TTL: both sides of a router are mirrored.
    Routed,
}

/// The last frames of a capture, as far as copies of them are recognised.
///
/// A ring of the frames and chains through it of those whose signatures begin alike, newest first.
/// Nothing is ever taken out: an entry is dead once the ring has come round.
#[derive(Debug, Clone)]
pub struct Window {
    seed: u64,
    /// Frames so far, and so the number of the latest one.
    now: u32,
    ring: Vec<Slot>,
    /// Number of the latest frame of each chain.
    heads: Vec<u32>,
    /// Packets among the frames remembered, and those of them that look like copies.
    packets: u32,
    alike: u32,
}

/// A frame remembered.
#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    signature: u64,
    time: i64,
    /// The frame's number, which tells whether the slot still holds the one that is meant.
    number: u32,
    /// The number of the frame before it in its chain.
    before: u32,
    hop_limit: u8,
    /// Whether it looks like a copy of one before.
    alike: bool,
}

/// What a window remembers, for comparison: age in frames, signature, time, TTL, likeness.
pub type State = Vec<(u32, u64, i64, u8, bool)>;

impl Window {
    /// A window that has seen nothing. The seed keeps crafted packets from passing for copies of
    /// others; windows that are compared need the same.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            // The empty slots, of number 0, are too old from the beginning.
            now: FRAMES,
            ring: vec![Slot::default(); FRAMES as usize],
            heads: vec![0; CHAINS],
            packets: 0,
            alike: 0,
        }
    }

    /// Counts the next frame of the capture, whatever is in it.
    #[inline]
    pub fn advance(&mut self) {
        self.now = self.now.wrapping_add(1);
        let oldest = self.ring[self.now as usize % FRAMES as usize];
        if oldest.number == self.now.wrapping_sub(FRAMES) && self.packets > 0 {
            self.packets -= 1;
            self.alike -= u32::from(oldest.alike);
        }
    }

    /// Whether the packet in the latest frame is a copy; it is remembered either way. `direction` is
    /// [`Observation::direction`](super::Observation::direction).
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only so is the packet never written to memory")]
    pub fn see(&mut self, packet: &Packet<'_>, direction: u64) -> Copy {
        let numbered = packet.identification != 0;
        let signature = signature(direction, packet);
        self.note(signature, packet.time, packet.hop_limit, numbered)
    }

    /// The same for a fragment without transport header. It always has a number.
    pub fn see_fragment(&mut self, part: &Part, time: Timestamp) -> Copy {
        let words = [
            u64::from(part.identification) << 32 | u64::from(part.offset),
            u64::from(part.len) << 8 | u64::from(part.transport.0),
        ];
        let seed = ends(self.seed, part.source, part.destination);
        self.note(mix(seed, &[words]), time, 0, true)
    }

    #[inline]
    fn note(&mut self, signature: u64, time: Timestamp, hop_limit: u8, numbered: bool) -> Copy {
        let now = self.now;
        let chain = signature as usize % CHAINS;
        let head = self.heads.get(chain).copied().unwrap_or_default();
        let mut at = head;
        let mut original = None;
        let (mut age, mut copies) = (0, 0);
        // Each step leads to an older frame, so the walk ends.
        while original.is_none() && copies < MOST {
            let next_age = now.wrapping_sub(at);
            if next_age > FRAMES || next_age <= age && age > 0 {
                break;
            }
            let slot = self.ring[at as usize % FRAMES as usize];
            if slot.number != at {
                break;
            }
            if slot.signature == signature {
                if !slot.alike {
                    original = Some(slot);
                }
                copies += u32::from(slot.alike);
            }
            (at, age) = (slot.before, next_age);
        }
        // Copies are made of the packet, not of copies without end.
        let looks = original
            .map_or(Copy::None, |original: Slot| original.kind_of_copy(time, hop_limit, numbered));
        let alike = looks != Copy::None;
        self.ring[now as usize % FRAMES as usize] =
            Slot { signature, time: time.0, number: now, before: head, hop_limit, alike };
        if let Some(slot) = self.heads.get_mut(chain) {
            *slot = now;
        }
        self.packets += 1;
        self.alike += u32::from(alike);
        let mirrored = self.alike * MIRRORED >= self.packets;
        if numbered || mirrored { looks } else { Copy::None }
    }

    /// What it remembers: equal states say the same of every packet to come.
    pub fn state(&self) -> State {
        let mut state: State = (self.ring.iter())
            .map(|slot| {
                let age = self.now.wrapping_sub(slot.number);
                (age, slot.signature, slot.time, slot.hop_limit, slot.alike)
            })
            .filter(|(age, ..)| *age < FRAMES)
            .collect();
        state.sort_unstable();
        state
    }
}

impl Slot {
    /// What a packet with this signature is that comes later.
    fn kind_of_copy(&self, time: Timestamp, hop_limit: u8, numbered: bool) -> Copy {
        let routed = self.hop_limit != hop_limit;
        let reach = if numbered || routed { REACH } else { AT_ONCE };
        match time.0.abs_diff(self.time) <= reach.unsigned_abs() {
            false => Copy::None,
            true if routed => Copy::Routed,
            true => Copy::Same,
        }
    }
}

/// A number that packets share only with their copies.
#[inline(always)]
#[expect(clippy::inline_always, reason = "only so is the packet never written to memory")]
fn signature(direction: u64, packet: &Packet<'_>) -> u64 {
    let (numbers, flags) = match packet.detail {
        Detail::Tcp { flags, sequence, acknowledgement } => {
            (u64::from(sequence) << 32 | u64::from(acknowledgement), flags.0)
        }
        Detail::Security(sealed) => (u64::from(sealed.spi) << 32 | u64::from(sealed.sequence), 0),
        _ => (0, 0),
    };
    let marks = u64::from(packet.identification) << 32
        | u64::from(packet.checksum) << 16
        | u64::from(flags);
    let payload = if packet.identification == 0 || packet.checksum == 0 {
        both_ends(packet.payload)
    } else {
        beginning(packet.payload)
    };
    let [first, second] = payload;
    let seed = direction.wrapping_add(packet.payload_len.into());
    mix(seed, &[[numbers, marks], [first, second]])
}

/// Both ends of what was captured of a payload, a word each: without a number only the content
/// tells datagrams apart that a network card has yet to give their checksums.
#[inline]
fn both_ends(payload: &[u8]) -> [u64; 2] {
    let last = payload.get(payload.len().saturating_sub(LOOKED_AT)..).unwrap_or_default();
    [mix(0, &[beginning(payload)]), mix(0, &[beginning(last)])]
}

/// The first 16 bytes of a payload: where a checksum was left out they tell datagrams apart.
#[inline]
fn beginning(payload: &[u8]) -> [u64; 2] {
    let first = payload.first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes));
    let second = payload.get(8..).and_then(|rest| rest.first_chunk::<8>());
    match (first, second) {
        (Some(first), Some(second)) => [first, u64::from_ne_bytes(*second)],
        // The last eight bytes overlap the first ones; the length, which is mixed in, tells how.
        (Some(first), None) => {
            [first, payload.last_chunk::<8>().map_or(0, |bytes| u64::from_ne_bytes(*bytes))]
        }
        (None, _) => [payload.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), 0],
    }
}

/// The seed with both addresses mixed in.
#[inline]
fn ends(seed: u64, source: IpAddr, destination: IpAddr) -> u64 {
    match (source, destination) {
        (IpAddr::V4(a), IpAddr::V4(b)) => mix(seed, &[[a.to_bits().into(), b.to_bits().into()]]),
        (a, b) => mix(seed, &[address_words(a), address_words(b)]),
    }
}

fn address_words(address: IpAddr) -> [u64; 2] {
    let bits = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    [(bits >> 64) as u64, bits as u64]
}

/// Bytes looked at of either end of a payload.
const LOOKED_AT: usize = 16;
/// Chains: so many more than frames that most begin with none that is remembered, and end at once.
const CHAINS: usize = 4 * FRAMES as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoded, decode};
    use crate::flow::Observation;
    use crate::input::{Frame, LinkType};

    /// An IPv4 UDP datagram with an identification and a TTL, and one byte of payload.
    fn v4(identification: u16, hop_limit: u8, payload: u8) -> Vec<u8> {
        let mut bytes = vec![0x45, 0, 0, 29, 0, 0, 0, 0, hop_limit, 17, 0, 0];
        bytes[4..6].copy_from_slice(&identification.to_be_bytes());
        bytes.extend([10, 0, 0, 1, 10, 0, 0, 2, 0xc3, 0x50, 0xc0, 0x30, 0, 9, 0, 0, payload]);
        bytes
    }

    fn v6(hop_limit: u8, payload: u8) -> Vec<u8> {
        let mut bytes = vec![0x60, 0, 0, 0, 0, 9, 17, hop_limit];
        bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        bytes.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        bytes.extend([0xc3, 0x50, 0xc0, 0x30, 0, 9, 0, 0, payload]);
        bytes
    }

    fn see(window: &mut Window, micros: i64, bytes: &[u8]) -> Copy {
        let frame = Frame {
            number: 1,
            time: Timestamp(micros * 1_000),
            link_type: LinkType::RAW,
            data: bytes,
            original_len: bytes.len() as u32,
        };
        let Decoded::Packet(packet) = decode(&frame) else { panic!("not decoded") };
        window.advance();
        let direction = Observation::of(&packet, 1).direction();
        window.see(&packet, direction)
    }

    #[test]
    fn a_copy_has_the_same_number_and_comes_soon() {
        let mut window = Window::new(1);
        assert_eq!(see(&mut window, 0, &v4(7, 64, 1)), Copy::None);
        assert_eq!(see(&mut window, 99_999, &v4(7, 64, 1)), Copy::Same);
        // Sent again: a new number, or much later.
        assert_eq!(see(&mut window, 100_000, &v4(8, 64, 1)), Copy::None);
        assert_eq!(see(&mut window, 200_001, &v4(8, 64, 1)), Copy::None);
        // Another payload under the same number is another packet.
        assert_eq!(see(&mut window, 200_002, &v4(8, 64, 2)), Copy::None);
        assert_eq!(see(&mut window, 200_003, &v4(8, 64, 1)), Copy::Same);
    }

    #[test]
    fn a_sender_that_never_counts_hides_little() {
        let mut window = Window::new(1);
        let copies =
            (0..100).filter(|n| see(&mut window, n * 99_000, &v4(7, 64, 1)) != Copy::None).count();
        assert_eq!(copies, 50, "what comes later than the reach of the packet is no copy");
        let mut window = Window::new(1);
        let copies = (0..100).filter(|n| see(&mut window, *n, &v4(7, 64, 1)) != Copy::None).count();
        assert!(
            copies <= 100 * MOST as usize / (MOST as usize + 1),
            "{copies}: no mirror makes as many"
        );
    }

    #[test]
    fn without_a_number_only_what_follows_at_once_is_a_copy() {
        // Of two packets one copy is a mirror's.
        for bytes in [v4(0, 64, 1), v6(64, 1)] {
            let mut window = Window::new(1);
            assert_eq!(see(&mut window, 0, &bytes), Copy::None);
            assert_eq!(see(&mut window, 2_000, &bytes), Copy::Same);
            assert_eq!(see(&mut window, 4_001, &bytes), Copy::None);
        }
    }

    #[test]
    fn without_a_number_there_are_copies_only_where_a_mirror_makes_them() {
        let mut window = Window::new(1);
        for number in 0..20_u16 {
            see(&mut window, i64::from(number) * 10_000, &v4(number + 1, 64, 1));
        }
        // A host that acknowledges twice.
        see(&mut window, 200_000, &v6(64, 1));
        assert_eq!(see(&mut window, 200_001, &v6(64, 1)), Copy::None);
        for number in 30..60_u16 {
            for again in 0..2 {
                let time = i64::from(number) * 10_000 + again;
                see(&mut window, time, &v4(number, 64, 1));
            }
        }
        see(&mut window, 700_000, &v6(64, 1));
        assert_eq!(see(&mut window, 700_001, &v6(64, 1)), Copy::Same);
    }

    #[test]
    fn without_a_number_both_ends_of_the_payload_count() {
        let long = |last: u8| {
            let mut bytes = v6(64, 7);
            bytes.extend([7; 60]);
            bytes[4..6].copy_from_slice(&69_u16.to_be_bytes());
            bytes[44..46].copy_from_slice(&69_u16.to_be_bytes());
            *bytes.last_mut().unwrap() = last;
            bytes
        };
        let mut window = Window::new(1);
        see(&mut window, 0, &long(1));
        assert_eq!(see(&mut window, 1, &long(2)), Copy::None);
        assert_eq!(see(&mut window, 2, &long(1)), Copy::Same);
    }

    #[test]
    fn a_router_between_two_copies_is_seen() {
        let mut window = Window::new(1);
        see(&mut window, 0, &v6(64, 1));
        assert_eq!(see(&mut window, 50_000, &v6(63, 1)), Copy::Routed);
        see(&mut window, 60_000, &v4(9, 128, 1));
        assert_eq!(see(&mut window, 70_000, &v4(9, 126, 1)), Copy::Routed);
    }

    #[test]
    fn a_clock_that_steps_back_does_not_matter() {
        let mut window = Window::new(1);
        see(&mut window, 50_000, &v4(9, 64, 1));
        assert_eq!(see(&mut window, 0, &v4(9, 64, 1)), Copy::Same);
    }

    #[test]
    fn the_window_is_as_many_frames_long_and_no_longer() {
        for (between, expected) in [(FRAMES - 1, Copy::Same), (FRAMES, Copy::None)] {
            let mut window = Window::new(1);
            see(&mut window, 0, &v4(9, 64, 1));
            // Frames without packets count too.
            (0..between).for_each(|_| window.advance());
            assert_eq!(see(&mut window, 1, &v4(9, 64, 1)), expected, "{between} between");
        }
    }

    /// Says of frames `from..to` what they are. Frames are few kinds of packets, of which some have no
    /// number, and gaps without packets.
    fn step(window: &mut Window, kinds: u16, (from, to): (usize, usize)) -> Vec<Copy> {
        let frame = |at: usize| {
            let random = (at as u32).wrapping_mul(2_654_435_761) >> 8;
            if random.is_multiple_of(5) {
                window.advance();
                return Copy::None;
            }
            let number = (random >> 3) as u16 % kinds;
            let number = if number < kinds / 9 { 0 } else { number };
            let time = i64::try_from(at).unwrap() * 50;
            see(window, time, &v4(number, 60 + (random % 2) as u8, (random % 3) as u8))
        };
        (from..to).map(frame).collect()
    }

    #[test]
    fn windows_of_one_state_say_the_same() {
        for kinds in [50, 700, 20_000] {
            let mut whole = Window::new(3);
            step(&mut whole, kinds, (0, 6_000));
            let mut same = 0;
            for from in [6_000 - MEMORY as usize, 3_000, 1_000, 0] {
                let mut late = Window::new(3);
                step(&mut late, kinds, (from, 6_000));
                if late.state() == whole.state() {
                    same += 1;
                    let mut whole = whole.clone();
                    let rest = (6_000, 12_000);
                    assert!(step(&mut late, kinds, rest) == step(&mut whole, kinds, rest));
                }
            }
            assert!(same >= 1);
            let mut too_late = Window::new(3);
            step(&mut too_late, kinds, (5_500, 6_000));
            assert!(too_late.state() != whole.state());
        }
    }

    #[test]
    fn in_a_mirrored_capture_the_memory_is_long_enough() {
        let mirrored = |window: &mut Window, from: u16, to: u16| {
            for number in from..to {
                for again in 0..2 {
                    // Every eighth packet has no number.
                    let id = if number % 8 == 0 { 0 } else { number };
                    let time = i64::from(number) * 500 + again;
                    see(window, time, &v4(id, 64, (number % 251) as u8));
                }
            }
        };
        let mut whole = Window::new(3);
        mirrored(&mut whole, 1, 5_001);
        let mut late = Window::new(3);
        mirrored(&mut late, 5_001 - MEMORY as u16 / 2, 5_001);
        assert!(late.state() == whole.state());
        assert_eq!(whole.alike * 2, whole.packets);
    }

    #[test]
    fn fragments_are_told_apart_by_their_place() {
        let part = |offset, identification| Part {
            source: "10.0.0.1".parse().unwrap(),
            destination: "fd00::1".parse().unwrap(),
            transport: crate::decode::Transport::UDP,
            identification,
            offset,
            len: 8,
            more: true,
        };
        let mut window = Window::new(1);
        let mut see = |part: Part| {
            window.advance();
            window.see_fragment(&part, Timestamp(0))
        };
        assert_eq!(see(part(8, 1)), Copy::None);
        assert_eq!(see(part(16, 1)), Copy::None);
        assert_eq!(see(part(8, 2)), Copy::None);
        assert_eq!(see(part(8, 1)), Copy::Same);
    }
}
