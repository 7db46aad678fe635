//! One flow of the table while it grows: its packets, its handshake, and how two halves of it join.

use super::fragments::Late;
use super::sample::{Carrier, Sample};
use super::{
    AhSeen, Counters, DirectionBy, Endpoint, Flow, FlowKey, FrameRef, IcmpSeen, Side, TcpSeen,
    Wrapping,
};
use crate::decode::{Detail, Layer, Packet, TcpFlags, Transport, UdpEncapsulation};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whether side A is the key's low end.
    a_is_low: bool,
    pub(super) opening: Option<Opening>,
    pub(super) flow: Flow,
    pub(super) sample: Sample,
}

/// The handshake that names a TCP flow: which end of the key opened it, with which initial
/// sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    by_low: bool,
    initial_sequence: u32,
}

impl Opening {
    pub(super) fn of(packet: &Packet<'_>, from_low: bool) -> Option<Self> {
        let Detail::Tcp { flags, sequence, acknowledgement } = packet.detail else {
            return None;
        };
        if !flags.has(TcpFlags::SYN) || flags.0 & (TcpFlags::RST | TcpFlags::FIN) != 0 {
            return None;
        }
        Some(if flags.has(TcpFlags::ACK) {
            Self { by_low: !from_low, initial_sequence: acknowledgement.wrapping_sub(1) }
        } else {
            Self { by_low: from_low, initial_sequence: sequence }
        })
    }
}

impl Entry {
    /// A flow without packets, named by its first one.
    pub(super) fn open(
        from_low: bool,
        opening: Option<Opening>,
        packet: &Packet<'_>,
        at: FrameRef,
    ) -> Self {
        let carrier =
            if packet.transport == Transport::TCP { Carrier::Stream } else { Carrier::Datagrams };
        let flow = Flow {
            transport: packet.transport,
            ends: [
                Endpoint { address: packet.source, port: packet.source_port },
                Endpoint { address: packet.destination, port: packet.destination_port },
            ],
            spi: match packet.detail {
                Detail::Security { spi, .. }
                | Detail::UdpEncapsulation(UdpEncapsulation::Esp { spi }) => Some(spi),
                _ => None,
            },
            counters: [Counters::default(); 2],
            first: packet.time,
            last: packet.time,
            first_frame: at,
            last_frame: at,
            tcp: [TcpSeen::default(); 2],
            acknowledged: Default::default(),
            wrapping: match packet.vlans.as_slice() {
                [] => None,
                vlans => Some(Box::new(Wrapping { vlans: vlans.to_vec(), layers: Vec::new() })),
            },
            ah: None,
            icmp: None,
            direction: DirectionBy::Unknown,
        };
        Self { a_is_low: from_low, opening, flow, sample: Sample::new(carrier) }
    }

    /// The key under which its packets find it. Kept with the flow only in parts, since a table
    /// holds millions.
    pub(super) fn key(&self) -> FlowKey {
        let [a, b] = self.flow.ends.map(|end| (end.address, end.port));
        let (low, high) = if self.a_is_low { (a, b) } else { (b, a) };
        FlowKey::of_sorted(self.flow.transport, low, high, self.flow.spi)
    }

    pub(super) fn add(&mut self, packet: &Packet<'_>, from_low: bool, at: FrameRef) -> Side {
        let side = if from_low == self.a_is_low { Side::A } else { Side::B };
        let flow = &mut self.flow;
        flow.counters[side.index()].add(counters(packet));
        flow.first = flow.first.min(packet.time);
        flow.last = flow.last.max(packet.time);
        flow.last_frame = flow.last_frame.max(at);
        if let Detail::Tcp { flags, acknowledgement, .. } = packet.detail {
            flow.tcp[side.index()].0 |= tcp_events(flags, packet.payload_len);
            // A reset's numbers only please the host that it is for.
            if !flags.has(TcpFlags::RST) {
                flow.acknowledged[side.index()].sent(packet.payload_len);
                if flags.has(TcpFlags::ACK) {
                    flow.acknowledged[side.other().index()].acknowledge(acknowledgement);
                }
            }
        }
        if !packet.layers.as_slice().is_empty() {
            note_layers(flow, packet, side, at);
        }
        if packet.payload_len > 0 && packet.transport.has_ports() && self.sample.wants(side) {
            let sequence = match packet.detail {
                Detail::Tcp { sequence, .. } => sequence,
                _ => 0,
            };
            self.sample.push(side, sequence, packet.payload, packet.payload_len);
        }
        side
    }

    /// Counts later fragments of a datagram that one side sent.
    pub(super) fn add_late(&mut self, side: Side, late: &Late) {
        let flow = &mut self.flow;
        flow.counters[side.index()].add(late.counters);
        flow.first = flow.first.min(late.first);
        flow.last = flow.last.max(late.last);
        flow.last_frame = flow.last_frame.max(late.last_frame);
    }

    /// Appends what the following part saw of the same flow. Tells whether its sides were the other
    /// way round.
    pub(super) fn join(&mut self, mut next: Self) -> bool {
        let flipped = next.a_is_low != self.a_is_low;
        if flipped {
            next.flow.orient(Side::B, DirectionBy::Unknown);
        }
        let (ours, theirs) = (&mut self.flow, next.flow);
        for side in [Side::A, Side::B] {
            ours.counters[side.index()].add(theirs.counters[side.index()]);
            ours.tcp[side.index()].0 |= theirs.tcp[side.index()].0;
            ours.acknowledged[side.index()].join(&theirs.acknowledged[side.index()]);
        }
        ours.first = ours.first.min(theirs.first);
        ours.last = ours.last.max(theirs.last);
        ours.last_frame = ours.last_frame.max(theirs.last_frame);
        for &layer in theirs.layers() {
            add_layer(ours, layer);
        }
        if let Some(ah) = theirs.ah {
            match &mut ours.ah {
                None => ours.ah = Some(ah),
                Some(mine) => {
                    for (mine, theirs) in mine.packets.iter_mut().zip(ah.packets) {
                        *mine += theirs;
                    }
                }
            }
        }
        if let Some(icmp) = theirs.icmp {
            add_error(ours, *icmp);
        }
        self.sample.merge(&next.sample, flipped);
        flipped
    }
}

pub(super) fn counters(packet: &Packet<'_>) -> Counters {
    Counters { packets: 1, bytes: u64::from(packet.wire_len) }
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

fn note_layers(flow: &mut Flow, packet: &Packet<'_>, side: Side, at: FrameRef) {
    for &layer in packet.layers.as_slice() {
        add_layer(flow, layer);
        if let Layer::Ah { spi } = layer {
            let ah = flow
                .ah
                .get_or_insert_with(|| Box::new(AhSeen { packets: [0; 2], first_frame: at, spi }));
            ah.packets[side.index()] += 1;
        }
    }
}

fn add_layer(flow: &mut Flow, layer: Layer) {
    let layers = &mut flow.wrapping.get_or_insert_default().layers;
    let kind = std::mem::discriminant(&layer);
    let known = layers.iter().any(|have| std::mem::discriminant(have) == kind);
    if !known && layers.len() < MAX_FLOW_LAYERS {
        layers.push(layer);
    }
}

pub(super) fn add_error(flow: &mut Flow, seen: IcmpSeen) {
    flow.icmp = Some(Box::new(match flow.icmp.as_deref() {
        None => seen,
        Some(old) => graver(*old, seen),
    }));
}

pub(super) fn graver(a: IcmpSeen, b: IcmpSeen) -> IcmpSeen {
    let (kind, first_frame) = (a.kind, a.first_frame).min((b.kind, b.first_frame));
    IcmpSeen { first_frame, kind, count: a.count + b.count }
}

/// Kinds of encapsulation listed per flow.
const MAX_FLOW_LAYERS: usize = 8;
