//! What happens to a frame between the capture and the flow table: filter, decoding, copies, count.

use crate::decode::{
    self, Decoded, Detail, IKE_PORT, Packet, Parts, Stop, TcpFlags, Transport, UdpEncapsulation,
};
use crate::findings::Negotiations;
use crate::flow::duplicates::{Copy, State, Window};
use crate::flow::sample::Carrier;
use crate::flow::{Around, BATCH, Endpoint, FlowTable, FrameRef, Observation};
use crate::identify::ike::message;
use crate::identify::signals;
use crate::input::Frame;
use crate::input::filter::{Filter, Passage};
use crate::pipeline::counts::CaptureCounts;
use crate::pipeline::gleaned::Gleaned;
use crate::policy::{Conversation, Learned};

/// What to do with frames that only repeat a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// They are counted, but not to flows.
    #[default]
    LeftOut,
    /// They are packets like any other.
    Kept,
}

/// The way of the frames of one capture, in its order.
#[derive(Debug)]
pub(super) struct Intake {
    filter: Option<Filter>,
    /// The frames before, where copies are left out.
    window: Option<Window>,
    /// What the frames so far told beyond their flows.
    gleaned: Gleaned,
    seed: u64,
    /// Room that batches use one after the other.
    around: Vec<(usize, Around)>,
}

impl Intake {
    /// The way of frames that were preceded by none. The seed is the same for all of a run,
    /// and that of its tables.
    pub(super) fn new(expression: Option<&str>, duplicates: Duplicates, seed: u64) -> Self {
        let window = (duplicates == Duplicates::LeftOut).then(|| Window::new(seed));
        Self {
            filter: expression.map(Filter::new),
            window,
            gleaned: Gleaned::default(),
            seed,
            around: Vec::new(),
        }
    }

    /// Whether frames before the first one matter.
    pub(super) fn looks_back(&self) -> bool {
        self.window.is_some()
    }

    /// What is remembered of the frames so far.
    pub(super) fn state(&self) -> Option<State> {
        self.window.as_ref().map(Window::state)
    }

    /// What is kept for the frames that follow, and what was gleaned.
    pub(super) fn into_parts(self) -> (Option<Window>, Gleaned) {
        (self.window, self.gleaned)
    }

    /// Goes on behind other frames.
    pub(super) fn behind(mut self, window: Option<Window>, gleaned: Gleaned) -> Self {
        if self.window.is_some() && window.is_some() {
            self.window = window;
        }
        self.gleaned = gleaned;
        self
    }

    /// What the frames so far announced.
    pub(super) fn learned(&mut self) -> &mut Learned {
        &mut self.gleaned.learned
    }

    /// What was negotiated in the frames so far.
    pub(super) fn negotiations(&mut self) -> &mut Negotiations {
        &mut self.gleaned.negotiations
    }

    /// Counts a frame and hands what it says to the table.
    pub(super) fn take(
        &mut self,
        frame: &Frame<'_>,
        capture: u32,
        counts: &mut CaptureCounts,
        table: &mut FlowTable,
    ) {
        self.take_batch(std::iter::once(*frame), capture, counts, table);
    }

    /// The same for at most [`BATCH`] frames. What the table will look up is fetched for all of them
    /// before the first is counted.
    #[inline]
    pub(super) fn take_batch<'f>(
        &mut self,
        frames: impl Iterator<Item = Frame<'f>>,
        capture: u32,
        counts: &mut CaptureCounts,
        table: &mut FlowTable,
    ) {
        let around = std::mem::take(&mut self.around);
        let mut waiting = Waiting { slots: [const { None }; BATCH], len: 0, around };
        counts.looks_for_copies = self.window.is_some();
        for frame in frames {
            counts.tally.count(&frame);
            let passage = self.passes(&frame);
            self.advance();
            if passage != Passage::Wanted {
                left_out(&frame, passage, counts);
                continue;
            }
            if let Some(packet) = decode::common(&frame) {
                let observation = Observation::of(&packet, table.seed());
                if !counts.is_copy(self.see(&packet, &observation)) {
                    if signals::may_announce(packet.payload) {
                        self.hear(&packet, capture);
                    }
                    waiting.put(observation, capture, table);
                }
                continue;
            }
            match decode::decode(&frame) {
                Decoded::Packet(packet) => {
                    let observation = Observation::of(&packet, table.seed());
                    if counts.is_copy(self.see(&packet, &observation)) {
                        continue;
                    }
                    counts.note(&packet);
                    self.follow(&packet, capture);
                    if signals::may_announce(packet.payload) {
                        self.hear(&packet, capture);
                    }
                    if packet.first_fragment {
                        waiting.settle(capture, table);
                        table.observe_first(capture, &packet, &decode::fragments(&frame));
                    } else if matches!(packet.detail, Detail::IcmpError(_)) {
                        waiting.settle(capture, table);
                        table.observe(capture, &packet);
                    } else {
                        waiting.put_within(observation, Around::of(&packet), capture, table);
                    }
                }
                Decoded::Stopped(Stop::Fragment) => {
                    let parts = decode::fragments(&frame);
                    if !counts.is_copy(self.see_fragment(&frame, &parts)) {
                        counts.fragments += 1;
                        waiting.settle(capture, table);
                        table.observe_later(capture, &frame, &parts);
                    }
                }
                Decoded::Stopped(stop) => counts.stopped(stop, 1),
            }
        }
        waiting.settle(capture, table);
        self.around = waiting.around;
    }

    /// Only remembers a frame, for those that follow.
    pub(super) fn look(&mut self, frame: &Frame<'_>) {
        let passage = self.passes(frame);
        self.advance();
        if passage != Passage::Wanted {
            return;
        }
        match decode::decode(frame) {
            Decoded::Packet(packet) => {
                self.see(&packet, &Observation::of(&packet, self.seed));
            }
            Decoded::Stopped(Stop::Fragment) => {
                self.see_fragment(frame, &decode::fragments(frame));
            }
            Decoded::Stopped(_) => {}
        }
    }

    /// Hears what a packet announces. What a segment carries that opens or resets a connection, its receiver
    /// does not read.
    #[inline(never)]
    fn hear(&mut self, packet: &Packet<'_>, capture: u32) {
        if let Detail::Tcp { flags, .. } = packet.detail
            && flags.0 & (TcpFlags::SYN | TcpFlags::RST) != 0
        {
            return;
        }
        let carrier = match packet.transport {
            Transport::TCP => Carrier::Stream,
            Transport::UDP => Carrier::Datagrams,
            _ => return,
        };
        let at = FrameRef { capture, frame: packet.frame };
        let by = Endpoint { address: packet.source, port: packet.source_port };
        let to = Endpoint { address: packet.destination, port: packet.destination_port };
        let within = Conversation::between(packet.transport, by, to);
        signals::read(carrier, packet.payload, &mut |signal| {
            self.gleaned.learned.take(&signal, &within, at, packet.time);
        });
    }

    /// Follows negotiations: messages on the ports of key exchange, and what begins an association on the one that
    /// they share.
    fn follow(&mut self, packet: &Packet<'_>, capture: u32) {
        let negotiations = &mut self.gleaned.negotiations;
        match packet.detail {
            Detail::UdpEncapsulation(UdpEncapsulation::Esp(sealed)) => {
                let ends = (packet.source, packet.destination);
                negotiations.take_protected(ends, sealed.spi, sealed.sequence, packet.time);
                return;
            }
            Detail::UdpEncapsulation(UdpEncapsulation::Ike) => {}
            Detail::None if packet.transport == Transport::UDP => {
                if ![packet.source_port, packet.destination_port].contains(&IKE_PORT) {
                    return;
                }
            }
            _ => return,
        }
        if let Some(message) = message::read(packet.payload, packet.payload_len) {
            let at = FrameRef { capture, frame: packet.frame };
            let from = Endpoint { address: packet.source, port: packet.source_port };
            let to = Endpoint { address: packet.destination, port: packet.destination_port };
            negotiations.take(&message, from, to, at, packet.time);
        }
    }

    fn advance(&mut self) {
        if let Some(window) = &mut self.window {
            window.advance();
        }
    }

    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only so is the packet never written to memory")]
    fn see(&mut self, packet: &Packet<'_>, observation: &Observation<'_>) -> Copy {
        let direction = observation.direction();
        self.window.as_mut().map_or(Copy::None, |window| window.see(packet, direction))
    }

    fn see_fragment(&mut self, frame: &Frame<'_>, parts: &Parts) -> Copy {
        match (&mut self.window, parts.as_slice().last()) {
            (Some(window), Some(part)) => window.see_fragment(part, frame.time),
            _ => Copy::None,
        }
    }

    /// What the filter says of a frame; without one every frame is wanted. A link type that is not read
    /// may have no filter either: it is counted as not read.
    #[inline]
    fn passes(&mut self, frame: &Frame<'_>) -> Passage {
        match &mut self.filter {
            Some(filter) if decode::reads(frame.link_type) => filter.passes(frame),
            _ => Passage::Wanted,
        }
    }
}

/// Packets that are counted together. In place: a batch is read too often to allocate for it.
struct Waiting<'f> {
    slots: [Option<Observation<'f>>; BATCH],
    len: usize,
    /// What is around those that have anything, each with its slot.
    around: Vec<(usize, Around)>,
}

impl<'f> Waiting<'f> {
    /// One packet more; if there is no place, the others are counted first.
    #[inline]
    fn put(&mut self, packet: Observation<'f>, capture: u32, table: &mut FlowTable) {
        if self.len >= BATCH {
            self.settle(capture, table);
        }
        self.slots[self.len % BATCH] = Some(packet);
        self.len += 1;
    }

    /// The same with what is around it.
    fn put_within(
        &mut self,
        packet: Observation<'f>,
        around: Option<Around>,
        capture: u32,
        table: &mut FlowTable,
    ) {
        self.put(packet, capture, table);
        if let Some(around) = around {
            self.around.push((self.len - 1, around));
        }
    }

    /// Counts the packets, in their order.
    #[inline(never)]
    fn settle(&mut self, capture: u32, table: &mut FlowTable) {
        let packets = self.slots.get(..self.len).unwrap_or_default();
        table.fetch(packets.iter().flatten());
        let mut beside = self.around.iter().peekable();
        for (nth, packet) in packets.iter().flatten().enumerate() {
            let around = beside.next_if(|(slot, _)| *slot == nth).map(|(_, around)| around);
            table.observe_prepared(capture, packet, around);
        }
        self.len = 0;
        self.around.clear();
    }
}

/// Counts a frame that the filter does not let pass.
#[cold]
fn left_out(frame: &Frame<'_>, passage: Passage, counts: &mut CaptureCounts) {
    if passage == Passage::Unknown {
        counts.stopped(Stop::LinkType(frame.link_type), 1);
        return;
    }
    counts.tally.filtered_out += 1;
    let hidden = matches!(decode::decode(frame), Decoded::Stopped(Stop::Fragment));
    counts.filtered_fragments += u64::from(hidden);
}
