//! Room 3: who talks to whom, when and how much. Packets become [`Flow`]s.
//!
//! In: packets in capture order. Out: pairs of [`Flow`] and [`sample::Sample`]. A flow is both
//! directions of one 5-tuple (a new TCP handshake starts a new one), or one direction of one
//! security association. This room knows nothing about protocol names. Read [`key`], then
//! [`table`].

pub mod duplicates;
pub mod key;
pub mod sample;
pub mod table;

mod acknowledged;
mod association;
mod entries;
mod entry;
mod extra;
mod fragments;
mod index;
pub mod mix;
mod observation;
mod opening;
mod pace;
mod places;
mod samples;

use std::fmt;
use std::net::IpAddr;

pub use acknowledged::Acknowledged;
pub use association::{Association, Associations};
pub use fragments::FragmentCounts;
pub use key::{FlowKey, Side};
pub use observation::{Around, Observation};
pub use pace::{Marked, Pace};
pub use table::{BATCH, FlowTable, Limits, Refused};

use crate::decode::{IcmpErrorKind, Layer, Transport};
use crate::input::Timestamp;

/// Where a frame is: which capture of the run, and its number there from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameRef {
    /// Index of the capture in processing order.
    pub capture: u32,
    /// Frame number in that capture, from 1.
    pub frame: u64,
}

/// One end of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// IP address.
    pub address: IpAddr,
    /// Port; 0 for a transport without ports.
    pub port: u16,
}

/// What one side sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord)]
pub struct Counters {
    /// Frames.
    pub packets: u64,
    /// Original lengths of those frames in bytes, link header included.
    pub bytes: u64,
}

impl Counters {
    /// Adds another count.
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// Things seen in the TCP headers of one side, as bits that may be or-ed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpSeen(pub u8);

impl TcpSeen {
    /// A SYN without ACK.
    pub const SYN: u8 = 1;
    /// A SYN with ACK.
    pub const SYN_ACK: u8 = 2;
    /// An ACK outside of the handshake's first two packets.
    pub const ACK: u8 = 4;
    /// Payload.
    pub const DATA: u8 = 8;
    /// FIN.
    pub const FIN: u8 = 16;
    /// RST.
    pub const RST: u8 = 32;

    /// Whether any bit of `mask` was seen.
    pub fn any(self, mask: u8) -> bool {
        self.0 & mask != 0
    }
}

/// ICMP errors that quoted packets of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IcmpSeen {
    /// The first frame with an error of the gravest kind seen.
    pub first_frame: FrameRef,
    /// The gravest kind: prohibited before port unreachable before unreachable.
    pub kind: IcmpErrorKind,
    /// How many errors.
    pub count: u64,
}

/// What was around the packets of a flow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wrapping {
    /// VLAN ids of the first packet, outermost first.
    pub vlans: Vec<u16>,
    /// Encapsulations seen on any packet, outermost first, each kind once.
    pub layers: Vec<Layer>,
}

/// How the initiator was told from the responder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DirectionBy {
    /// The initiator sent a SYN.
    Syn,
    /// The responder sent a SYN-ACK.
    SynAck,
    /// The content shows who asked, or for datagrams who sent first.
    FirstSpeaker,
    /// An expectation fits one way round only.
    Policy,
    /// One port is a service's, the other ephemeral.
    Port,
    /// Nothing tells; the sender of the first packet seen stands first.
    Unknown,
}

impl DirectionBy {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::SynAck => "syn-ack",
            Self::FirstSpeaker => "first-speaker",
            Self::Policy => "policy",
            Self::Port => "port",
            Self::Unknown => "unknown",
        }
    }
}

/// How far a flow got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The TCP or SCTP handshake was answered.
    Established,
    /// A reset, or ICMP port unreachable, was the answer.
    Refused,
    /// Nothing came back.
    Unanswered,
    /// ICMP says that a filter forbids it.
    Prohibited,
    /// Only one direction of a working connection was captured.
    OneSided,
    /// The capture began after the handshake.
    MidStream,
    /// A transport without connections, with packets that need no answer or got one.
    Datagram,
}

impl Outcome {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::Prohibited => "prohibited",
            Self::OneSided => "one-sided",
            Self::MidStream => "mid-stream",
            Self::Datagram => "datagram",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.token())
    }
}

/// Both directions of one 5-tuple, or one direction of one security association.
///
/// Arrays of two are indexed by [`Side`]. As observed, side A sent the first packet seen; once
/// [`Flow::orient`] has run, side A is the initiator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// The transport.
    pub transport: Transport,
    /// The two ends.
    pub ends: [Endpoint; 2],
    /// Security parameters index of ESP and AH flows, and of ESP in UDP.
    pub spi: Option<u32>,
    /// What each side sent.
    pub counters: [Counters; 2],
    /// Earliest packet.
    pub first: Timestamp,
    /// Latest packet.
    pub last: Timestamp,
    /// First packet in capture order.
    pub first_frame: FrameRef,
    /// TCP events per side.
    pub tcp: [TcpSeen; 2],
    /// What each side sent by TCP and its peer acknowledged.
    pub acknowledged: [Acknowledged; 2],
    /// What was around its packets; most flows have nothing.
    pub wrapping: Option<Box<Wrapping>>,
    /// IPsec around packets of this flow, which could be read all the same.
    pub associations: Option<Box<Associations>>,
    /// How each side's packets follow each other, of flows whose content IPsec hides.
    pub paces: Option<Box<[Pace; 2]>>,
    /// ICMP errors about packets of this flow.
    pub icmp: Option<Box<IcmpSeen>>,
    /// How side A became the initiator.
    pub direction: DirectionBy,
}

impl Flow {
    /// The initiator's end, once oriented.
    pub fn initiator(&self) -> Endpoint {
        self.ends[0]
    }

    /// The responder's end, once oriented.
    pub fn responder(&self) -> Endpoint {
        self.ends[1]
    }

    /// VLAN ids of the first packet, outermost first.
    pub fn vlans(&self) -> &[u16] {
        self.wrapping.as_ref().map_or(&[], |wrapping| &wrapping.vlans)
    }

    /// Encapsulations seen on any packet, outermost first, each kind once.
    pub fn layers(&self) -> &[Layer] {
        self.wrapping.as_ref().map_or(&[], |wrapping| &wrapping.layers)
    }

    /// Packets of both sides.
    pub fn packets(&self) -> u64 {
        self.counters[0].packets + self.counters[1].packets
    }

    /// Bytes of both sides.
    pub fn bytes(&self) -> u64 {
        self.counters[0].bytes + self.counters[1].bytes
    }

    /// Makes `initiator` side A. Swaps everything that is kept per side, so that a flip is one
    /// operation on the whole record; the caller swaps the [`sample::Sample`] with it.
    pub fn orient(&mut self, initiator: Side, by: DirectionBy) {
        self.direction = by;
        if initiator == Side::B {
            self.ends.swap(0, 1);
            self.counters.swap(0, 1);
            self.tcp.swap(0, 1);
            self.acknowledged.swap(0, 1);
            if let Some(associations) = &mut self.associations {
                associations.swap();
            }
            if let Some(paces) = &mut self.paces {
                paces.swap(0, 1);
            }
        }
    }

    /// The initiator as the handshake shows it, if one was seen.
    pub fn handshake(&self) -> Option<(Side, DirectionBy)> {
        let [a, b] = self.tcp;
        match (a.any(TcpSeen::SYN), b.any(TcpSeen::SYN)) {
            // In a simultaneous open it is whoever was seen first.
            (true, _) => Some((Side::A, DirectionBy::Syn)),
            (false, true) => Some((Side::B, DirectionBy::Syn)),
            (false, false) => match (a.any(TcpSeen::SYN_ACK), b.any(TcpSeen::SYN_ACK)) {
                (true, false) => Some((Side::B, DirectionBy::SynAck)),
                (false, true) => Some((Side::A, DirectionBy::SynAck)),
                _ => None,
            },
        }
    }

    /// Bytes of a connection that were acknowledged but not captured, and bytes that were captured;
    /// None where it cannot be told, or where one direction is missing altogether.
    pub fn unseen(&self) -> Option<(u64, u64)> {
        let both_ways = self.counters.iter().all(|side| side.packets > 0);
        self.handshake().filter(|_| both_ways)?;
        let sides = self.acknowledged.iter().filter_map(|side| Some((side.unseen()?, side.sent)));
        sides
            .map(|(unseen, seen)| (u64::from(unseen), u64::from(seen)))
            .reduce(|sum, side| (sum.0 + side.0, sum.1 + side.1))
    }

    /// How far the flow got. Side A must be the initiator.
    pub fn outcome(&self) -> Outcome {
        let [forward, backward] = self.counters.map(|c| c.packets > 0);
        if let (Some(icmp), false) = (&self.icmp, backward) {
            match icmp.kind {
                IcmpErrorKind::Prohibited => return Outcome::Prohibited,
                IcmpErrorKind::PortUnreachable => return Outcome::Refused,
                IcmpErrorKind::Unreachable => return Outcome::Unanswered,
            }
        }
        match self.transport {
            Transport::TCP => self.tcp_outcome(forward, backward),
            Transport::UDP | Transport::SCTP if !backward && !is_group(self.ends[1].address) => {
                Outcome::Unanswered
            }
            _ => Outcome::Datagram,
        }
    }

    fn tcp_outcome(&self, forward: bool, backward: bool) -> Outcome {
        let [a, b] = self.tcp;
        if b.any(TcpSeen::SYN_ACK) && a.any(TcpSeen::SYN | TcpSeen::ACK) {
            return Outcome::Established;
        }
        if a.any(TcpSeen::SYN) {
            if !backward {
                return if a.any(TcpSeen::ACK | TcpSeen::DATA) {
                    Outcome::OneSided
                } else {
                    Outcome::Unanswered
                };
            }
            if b.any(TcpSeen::RST) && !b.any(TcpSeen::ACK | TcpSeen::DATA | TcpSeen::FIN) {
                return Outcome::Refused;
            }
            return Outcome::Established;
        }
        if forward && backward { Outcome::MidStream } else { Outcome::OneSided }
    }
}

/// Whether an address stands for a group of hosts: multicast, or the IPv4 broadcast address.
/// Such an address never initiates and never answers.
pub fn is_group(address: IpAddr) -> bool {
    address.is_multicast() || matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}
