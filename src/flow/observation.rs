//! A packet as the table counts it: all that is needed of it, found out before the table is touched.

use super::key::FlowKey;
use crate::decode::{Detail, Layers, Packet, Sealed, Shield, TcpFlags, UdpEncapsulation, Vlans};
use crate::input::Timestamp;

/// What a table takes of a packet. Packets are counted in batches, so this waits in a row with others;
/// what is rare (encapsulations) waits elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'p> {
    pub(super) key: FlowKey,
    /// The key's number under the table's seed.
    pub(super) mixed: u64,
    pub(super) time: Timestamp,
    /// Number of the frame in its capture.
    pub(super) frame: u64,
    pub(super) payload: &'p [u8],
    /// Lengths on the wire, of the payload and of the frame.
    pub(super) payload_len: u32,
    pub(super) wire_len: u32,
    /// Of TCP.
    pub(super) sequence: u32,
    pub(super) acknowledgement: u32,
    pub(super) flags: TcpFlags,
    /// Whether the packet comes from the key's low end.
    pub(super) from_low: bool,
    pub(super) is_tcp: bool,
    pub(super) vlans: Vlans,
}

impl<'p> Observation<'p> {
    /// What there is to count of a packet, for a table of this seed.
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "only so is the packet never written to memory")]
    pub fn of(packet: &Packet<'p>, seed: u64) -> Self {
        let (key, from_low) = FlowKey::of(packet);
        let (is_tcp, flags, sequence, acknowledgement) = match packet.detail {
            Detail::Tcp { flags, sequence, acknowledgement } => {
                (true, flags, sequence, acknowledgement)
            }
            _ => (false, TcpFlags(0), 0, 0),
        };
        Self {
            key,
            mixed: key.mixed(seed),
            time: packet.time,
            frame: packet.frame,
            payload: packet.payload,
            payload_len: packet.payload_len,
            wire_len: packet.wire_len,
            sequence,
            acknowledgement,
            flags,
            from_low,
            is_tcp,
            vlans: packet.vlans,
        }
    }

    /// A number of both ends, their ports and the transport, in this direction.
    #[inline]
    pub fn direction(&self) -> u64 {
        if self.from_low { self.mixed } else { !self.mixed }
    }
}

/// What few packets have around them.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    pub(super) layers: Layers,
    pub(super) shield: Option<Shield>,
    pub(super) sealed: Option<Sealed>,
}

impl Around {
    /// What there is around a packet; None for most.
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let sealed = match packet.detail {
            Detail::Security(sealed) | Detail::UdpEncapsulation(UdpEncapsulation::Esp(sealed)) => {
                Some(sealed)
            }
            _ => packet.framed,
        };
        let nothing = packet.layers.as_slice().is_empty() && sealed.is_none();
        let (layers, shield) = (packet.layers, packet.shield);
        (!nothing).then_some(Self { layers, shield, sealed })
    }
}
