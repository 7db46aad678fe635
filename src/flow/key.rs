//! The key under which packets of both directions find their flow.

use std::net::IpAddr;

use crate::decode::{Detail, Packet, Transport};

/// One side of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The sender of the first packet seen; the initiator once the flow is oriented.
    A,
    /// The other side.
    B,
}

impl Side {
    /// Position in per-side arrays.
    pub fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// The opposite side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// An order-free key: both directions of a 5-tuple have the same. Security associations are
/// one-way, so theirs keeps the direction and holds the SPI where ports would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowKey {
    low: IpAddr,
    high: IpAddr,
    low_port: u16,
    high_port: u16,
    transport: Transport,
}

impl FlowKey {
    /// The key of a packet, and whether its source is the key's `low` end.
    pub fn of(packet: &Packet<'_>) -> (Self, bool) {
        if packet.transport.is_security_association()
            && let Detail::Security { spi, .. } = packet.detail
        {
            let (from, to) = ((packet.source, 0), (packet.destination, 0));
            return (Self::of_sorted(packet.transport, from, to, Some(spi)), true);
        }
        Self::of_ends(
            packet.transport,
            (packet.source, packet.source_port),
            (packet.destination, packet.destination_port),
        )
    }

    /// The key whose ends are in order already; a security association's ports are its SPI.
    pub(super) fn of_sorted(
        transport: Transport,
        low: (IpAddr, u16),
        high: (IpAddr, u16),
        spi: Option<u32>,
    ) -> Self {
        let (low_port, high_port) = match spi {
            Some(spi) if transport.is_security_association() => ((spi >> 16) as u16, spi as u16),
            _ => (low.1, high.1),
        };
        Self { low: low.0, high: high.0, low_port, high_port, transport }
    }

    /// The key of a 5-tuple, and whether `source` is the key's `low` end.
    pub fn of_ends(
        transport: Transport,
        source: (IpAddr, u16),
        destination: (IpAddr, u16),
    ) -> (Self, bool) {
        let forward = source <= destination;
        let (low, high) = if forward { (source, destination) } else { (destination, source) };
        (Self::of_sorted(transport, low, high, None), forward)
    }
}
