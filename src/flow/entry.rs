//! One flow of the table while it grows: its packets, its handshake, and how two halves of it join.
//!
//! A table holds millions of these, and each packet touches one, so an entry is two lines of the cache
//! and what few flows have stands apart ([`Extra`]).

use std::net::IpAddr;

use super::acknowledged::Acknowledged;
use super::association::Seen;
use super::extra::{Extra, Shift, Store, graver};
use super::fragments::Late;
use super::observation::{Around, Observation};
use super::opening::Opening;
use super::sample::{Carrier, Piece, Sample};
use super::samples::{Chain, Track};
use super::{
    Counters, DirectionBy, Endpoint, Flow, FlowKey, FrameRef, IcmpSeen, Side, TcpSeen, Wrapping,
};
use crate::decode::{TcpFlags, Transport};
use crate::input::Timestamp;

/// A flow. The first half is what finds and counts it, the second half the rest.
#[derive(Debug, Clone)]
#[repr(C, align(128))]
pub(super) struct Entry {
    key: FlowKey,
    bytes: [u64; 2],
    /// Packets, the lower halves; the upper ones are with the [`super::extra::Extra`].
    packets: [u32; 2],
    first: Timestamp,
    last: Timestamp,
    /// First packet in capture order; see [`pack`].
    first_frame: u64,
    /// Initial sequence numbers of the end that opened a TCP connection and of the other.
    initial: [u32; 2],
    /// Payload bytes sent by TCP, per side, and the latest acknowledgement of them.
    sent: [u32; 2],
    acknowledged: [u32; 2],
    chain: Chain,
    /// Position of what few flows have, plus one; 0 without.
    extra: u32,
    tcp: [TcpSeen; 2],
    marks: Marks,
}

/// What an entry knows of itself, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Marks(u8);

impl Marks {
    /// Side A is the key's low end.
    const A_IS_LOW: u8 = 1;
    /// The flow is named by a handshake.
    const OPENED: u8 = 2;
    /// The key's low end opened the connection.
    const BY_LOW: u8 = 4;
    /// The sequence number with which the other end answered is known.
    const ANSWERED: u8 = 8;
    /// Bytes of side A were acknowledged; the next bit says it of side B.
    const ACKNOWLEDGED: u8 = 16;
    /// The flow was joined to another.
    const GONE: u8 = 64;

    fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }
}

impl Entry {
    /// A flow without packets, named by its first one.
    pub(super) fn open(
        packet: &Observation<'_>,
        opening: Option<Opening>,
        capture: u32,
        store: &mut Store,
    ) -> Self {
        let mut marks = if packet.from_low { Marks::A_IS_LOW } else { 0 };
        let mut initial = [0; 2];
        if let Some(opening) = opening {
            marks |= Marks::OPENED | if opening.by_low { Marks::BY_LOW } else { 0 };
            initial[0] = opening.initial_sequence;
        }
        let mut entry = Self {
            key: packet.key,
            bytes: [0; 2],
            packets: [0; 2],
            first: packet.time,
            last: packet.time,
            first_frame: pack(FrameRef { capture, frame: packet.frame }),
            initial,
            sent: [0; 2],
            acknowledged: [0; 2],
            chain: Chain::default(),
            extra: 0,
            tcp: [TcpSeen::default(); 2],
            marks: Marks(marks),
        };
        let vlans = packet.vlans.as_slice();
        if !vlans.is_empty()
            && let Some(extra) = store.extra(&mut entry.extra)
        {
            extra.wrapping = Some(Wrapping { vlans: vlans.to_vec(), layers: Vec::new() });
        }
        entry
    }

    /// The key under which its packets find it.
    #[inline]
    pub(super) fn key(&self) -> &FlowKey {
        &self.key
    }

    /// The times of its earliest and its latest packet.
    pub(super) fn times(&self, store: &Store) -> (Timestamp, Timestamp) {
        match store.peek(self.extra).and_then(|extra| extra.late) {
            Some((first, last)) => (self.first.min(first), self.last.max(last)),
            None => (self.first, self.last),
        }
    }

    /// The time of its latest packet so far that shows itself whose it is.
    #[inline]
    pub(super) fn latest(&self) -> Timestamp {
        self.last
    }

    /// Whether a packet that opens a connection, or one that opens none, belongs to this flow.
    #[inline]
    pub(super) fn takes(&self, opening: Option<Opening>) -> bool {
        opening.is_none() || self.opening() == opening
    }

    pub(super) fn opening(&self) -> Option<Opening> {
        self.marks.has(Marks::OPENED).then(|| Opening {
            by_low: self.marks.has(Marks::BY_LOW),
            initial_sequence: self.initial[0],
        })
    }

    /// Something of both halves, for who wants them in the cache.
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        self.key.touch() ^ self.first_frame
    }

    /// Counts a packet; tells which side sent it.
    #[inline]
    pub(super) fn add(&mut self, packet: &Observation<'_>, store: &mut Store) -> Side {
        let side = self.side(packet.from_low);
        let counted = Counters { packets: 1, bytes: u64::from(packet.wire_len) };
        self.count(side, counted, store);
        self.first = self.first.min(packet.time);
        self.last = self.last.max(packet.time);
        if packet.is_tcp {
            self.add_tcp(side, packet);
        }
        if packet.payload_len > 0 && packet.key.transport().has_ports() && self.chain.wants(side) {
            self.take_sample(side, packet, store);
        }
        side
    }

    #[inline]
    fn side(&self, from_low: bool) -> Side {
        if from_low == self.marks.has(Marks::A_IS_LOW) { Side::A } else { Side::B }
    }

    /// Few packets of a flow come here.
    #[inline(never)]
    fn take_sample(&mut self, side: Side, packet: &Observation<'_>, store: &mut Store) {
        let piece = Piece {
            // A SYN stands before the bytes that come with it.
            sequence: packet.sequence.wrapping_add(u32::from(packet.flags.has(TcpFlags::SYN))),
            wire_len: packet.payload_len,
            bytes: packet.payload,
        };
        store.samples.push(&mut self.chain, carrier(packet.key.transport()), side, &piece);
    }

    #[inline]
    fn count(&mut self, side: Side, counted: Counters, store: &mut Store) {
        self.bytes[side.index()] += counted.bytes;
        let packets = u64::from(self.packets[side.index()]) + counted.packets;
        self.packets[side.index()] = packets as u32;
        if packets > u64::from(u32::MAX)
            && let Some(extra) = store.extra(&mut self.extra)
        {
            extra.packets[side.index()] += (packets >> 32) as u32;
        }
    }

    #[inline]
    fn add_tcp(&mut self, side: Side, packet: &Observation<'_>) {
        let (flags, payload_len) = (packet.flags, packet.payload_len);
        self.tcp[side.index()].0 |= tcp_events(flags, payload_len);
        // A reset's numbers only please the host that it is for.
        if flags.has(TcpFlags::RST) {
            return;
        }
        self.sent[side.index()] = self.sent[side.index()].wrapping_add(payload_len);
        if flags.has(TcpFlags::ACK) {
            self.acknowledged[side.other().index()] = packet.acknowledgement;
            self.marks.0 |= Marks::ACKNOWLEDGED << side.other().index();
        }
        let answers = flags.has(TcpFlags::SYN | TcpFlags::ACK) && !flags.has(TcpFlags::FIN);
        let by_other = self.marks.has(Marks::BY_LOW) != packet.from_low;
        if answers && by_other && !self.marks.has(Marks::ANSWERED) {
            self.initial[1] = packet.sequence;
            self.marks.0 |= Marks::ANSWERED;
        }
    }

    /// Counts later fragments of a datagram that one side sent.
    pub(super) fn add_late(&mut self, side: Side, late: &Late, store: &mut Store) {
        self.count(side, late.counters, store);
        if let Some(extra) = store.extra(&mut self.extra) {
            extra.add_late((late.first, late.last));
        }
    }

    /// Counts an ICMP error about a packet of this flow.
    pub(super) fn add_error(&mut self, seen: IcmpSeen, store: &mut Store) {
        if let Some(extra) = store.extra(&mut self.extra) {
            extra.icmp = Some(extra.icmp.map_or(seen, |old| graver(old, seen)));
        }
    }

    /// Appends what the following part saw of the same flow; both are in one store. Tells whether its
    /// sides were the other way round.
    pub(super) fn join(&mut self, next: &Self, store: &mut Store) -> bool {
        let flipped = next.marks.has(Marks::A_IS_LOW) != self.marks.has(Marks::A_IS_LOW);
        for side in [Side::A, Side::B] {
            let other = if flipped { side.other() } else { side };
            let (to, from) = (side.index(), other.index());
            let counters = next.counters(other, store);
            self.count(side, counters, store);
            self.tcp[to].0 |= next.tcp[from].0;
            self.sent[to] = self.sent[to].wrapping_add(next.sent[from]);
            if next.marks.has(Marks::ACKNOWLEDGED << from) {
                self.acknowledged[to] = next.acknowledged[from];
                self.marks.0 |= Marks::ACKNOWLEDGED << to;
            }
        }
        if next.marks.has(Marks::ANSWERED) && !self.marks.has(Marks::ANSWERED) {
            self.initial[1] = next.initial[1];
            self.marks.0 |= Marks::ANSWERED;
        }
        store.join_extras(&mut self.extra, next.extra, flipped, self.last);
        self.first = self.first.min(next.first);
        self.last = self.last.max(next.last);
        let carrier = carrier(self.key.transport());
        store.samples.join(&mut self.chain, carrier, next.chain, flipped);
        flipped
    }

    /// Follows its store into another.
    pub(super) fn shift(&mut self, shift: Shift) {
        self.chain = self.chain.shifted(shift.samples);
        if self.extra != 0 {
            self.extra += shift.extras;
        }
    }

    /// Notes that the flow was joined to another.
    pub(super) fn leave(&mut self) {
        self.marks.0 |= Marks::GONE;
    }

    /// Whether it was.
    #[inline]
    pub(super) fn is_gone(&self) -> bool {
        self.marks.has(Marks::GONE)
    }

    /// Moves a flow to another store.
    pub(super) fn moved(mut self, from: &Store, to: &mut Store) -> Self {
        let (chain, extra) = (self.chain, self.extra);
        (self.chain, self.extra) = (Chain::default(), 0);
        let carrier = carrier(self.key.transport());
        to.samples.append(&mut self.chain, carrier, (&from.samples, chain));
        if let Some(extra) = from.peek(extra)
            && let Some(copy) = to.extra(&mut self.extra)
        {
            *copy = extra.clone();
        }
        self
    }

    /// The hosts at its ends, if it is a TCP connection that plainly works and yet shows one
    /// direction only.
    pub(super) fn one_sided(&self) -> Option<[IpAddr; 2]> {
        let works = |side: usize| {
            let seen = self.tcp[side].any(TcpSeen::ACK | TcpSeen::DATA | TcpSeen::SYN_ACK);
            self.packets[1 - side] == 0 && self.packets[side] >= MIN_PACKETS && seen
        };
        (self.key.transport() == Transport::TCP && (works(0) || works(1))).then(|| self.hosts())
    }

    /// The hosts at its ends, if it is a TCP connection that shows both directions.
    pub(super) fn two_sided(&self) -> Option<[IpAddr; 2]> {
        let both = self.packets.iter().all(|packets| *packets > 0);
        (self.key.transport() == Transport::TCP && both).then(|| self.hosts())
    }

    fn hosts(&self) -> [IpAddr; 2] {
        self.key.ends().map(|(address, _)| address)
    }

    /// Whether its packets are inside IPsec, readable or not.
    pub(super) fn shows_ipsec(&self, store: &Store) -> bool {
        self.key.transport().is_security_association()
            || store.peek(self.extra).is_some_and(Extra::shows_ipsec)
    }

    /// Adds to frame numbers.
    pub(super) fn rebase(&mut self, shift: impl Fn(&mut FrameRef)) {
        let mut at = unpack(self.first_frame);
        shift(&mut at);
        self.first_frame = pack(at);
    }

    /// Where the flow's payload is, and how it is carried.
    pub(super) fn track(&self) -> Track {
        Track {
            chain: self.chain,
            carrier: carrier(self.key.transport()),
            begins: [Side::A, Side::B].map(|side| self.acknowledgements(side).base),
        }
    }

    /// The flow's payload, for itself.
    pub(super) fn sample(&self, store: &Store) -> Sample {
        store.samples.sample(self.track())
    }

    /// The flow as it stands.
    pub(super) fn flow(&self, store: &Store) -> Flow {
        let [low, high] = self.key.ends().map(|(address, port)| Endpoint { address, port });
        let extra = store.peek(self.extra);
        let (first, last) = self.times(store);
        Flow {
            transport: self.key.transport(),
            ends: if self.marks.has(Marks::A_IS_LOW) { [low, high] } else { [high, low] },
            spi: self.key.spi().or_else(|| extra.and_then(Extra::spi)),
            counters: [self.counters(Side::A, store), self.counters(Side::B, store)],
            first,
            last,
            first_frame: unpack(self.first_frame),
            tcp: self.tcp,
            acknowledged: [self.acknowledgements(Side::A), self.acknowledgements(Side::B)],
            wrapping: extra.and_then(|extra| extra.wrapping.clone()).map(Box::new),
            associations: extra.and_then(|extra| extra.associations.clone()),
            paces: extra.and_then(|extra| extra.paces.clone()),
            icmp: extra.and_then(|extra| extra.icmp).map(Box::new),
            direction: DirectionBy::Unknown,
        }
    }

    fn counters(&self, side: Side, store: &Store) -> Counters {
        let upper = store.peek(self.extra).map_or(0, |extra| extra.packets[side.index()]);
        Counters {
            packets: u64::from(upper) << 32 | u64::from(self.packets[side.index()]),
            bytes: self.bytes[side.index()],
        }
    }

    fn acknowledgements(&self, side: Side) -> Acknowledged {
        let is_low = (side == Side::A) == self.marks.has(Marks::A_IS_LOW);
        let opened = is_low == self.marks.has(Marks::BY_LOW);
        let (known, initial) = if opened {
            (self.marks.has(Marks::OPENED), self.initial[0])
        } else {
            (self.marks.has(Marks::ANSWERED), self.initial[1])
        };
        let acknowledged = self.marks.has(Marks::ACKNOWLEDGED << side.index());
        Acknowledged {
            base: (known && self.marks.has(Marks::OPENED)).then(|| initial.wrapping_add(1)),
            sent: self.sent[side.index()],
            number: acknowledged.then_some(self.acknowledged[side.index()]),
        }
    }

    /// Notes what was around a packet that was counted.
    #[cold]
    pub(super) fn note_around(&mut self, around: &Around, seen: &Seen, store: &mut Store) {
        let ends = self.key.ends().map(|(address, _)| address);
        let from_low = (seen.side == Side::A) == self.marks.has(Marks::A_IS_LOW);
        let own_ends = if from_low { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
        let Some(extra) = store.extra(&mut self.extra) else { return };
        for &layer in around.layers.as_slice() {
            extra.add_layer(layer);
        }
        if let Some(shield) = &around.shield {
            extra.associations.get_or_insert_default().note(shield, own_ends, seen);
        }
        if let Some(sealed) = &around.sealed {
            extra.paces.get_or_insert_default()[seen.side.index()].add(sealed, seen.time);
        }
    }
}

fn carrier(transport: Transport) -> Carrier {
    if transport == Transport::TCP { Carrier::Stream } else { Carrier::Datagrams }
}

/// A place in 64 bits: the capture above, the frame below. A million captures of 17 trillion frames
/// each; beyond, the largest that fits.
fn pack(at: FrameRef) -> u64 {
    let capture = u64::from(at.capture).min((1 << (64 - FRAME_BITS)) - 1);
    capture << FRAME_BITS | at.frame.min((1 << FRAME_BITS) - 1)
}

fn unpack(packed: u64) -> FrameRef {
    let frame = packed & ((1 << FRAME_BITS) - 1);
    FrameRef { capture: (packed >> FRAME_BITS) as u32, frame }
}

fn tcp_events(flags: TcpFlags, payload_len: u32) -> u8 {
    let syn = flags.has(TcpFlags::SYN);
    let ack = flags.has(TcpFlags::ACK);
    let mut events = match (syn, ack) {
        (true, false) => TcpSeen::SYN,
        (true, true) => TcpSeen::SYN_ACK,
        // The ACK bit of a reset only answers the packet that it resets.
        (false, true) if !flags.has(TcpFlags::RST) => TcpSeen::ACK,
        (false, _) => 0,
    };
    if payload_len > 0 && !flags.has(TcpFlags::RST) {
        events |= TcpSeen::DATA;
    }
    if flags.has(TcpFlags::FIN) {
        events |= TcpSeen::FIN;
    }
    if flags.has(TcpFlags::RST) {
        events |= TcpSeen::RST;
    }
    events
}

/// Packets of one side from which on its silent peer was overlooked, not absent: fewer are the rest of
/// a connection that ended as the capture began.
const MIN_PACKETS: u32 = 3;
/// Bits of a packed place that number the frame.
const FRAME_BITS: u32 = 44;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_two_lines_of_the_cache() {
        assert_eq!(size_of::<Entry>(), 128);
    }

    #[test]
    fn places_keep_capture_and_frame() {
        for at in [(0, 1), (7, 9_000_000_000), ((1 << 20) - 1, (1 << 44) - 1)] {
            let at = FrameRef { capture: at.0, frame: at.1 };
            assert_eq!(unpack(pack(at)), at);
        }
    }
}
