//! The key under which packets of both directions find their flow.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::mix::mix;
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
    #[inline]
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
///
/// Addresses are kept as two words each, which are compared and mixed faster than [`IpAddr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowKey {
    low: [u64; 2],
    high: [u64; 2],
    low_port: u16,
    high_port: u16,
    transport: Transport,
    v6: bool,
}

impl FlowKey {
    /// The key of a packet, and whether its source is the key's `low` end.
    #[inline]
    pub fn of(packet: &Packet<'_>) -> (Self, bool) {
        if packet.transport.is_security_association()
            && let Detail::Security(sealed) = packet.detail
        {
            let (from, to) = (packet.source, packet.destination);
            let key = Self::of_association(packet.transport, from, to, sealed.spi);
            return (key, true);
        }
        Self::of_ends(
            packet.transport,
            (packet.source, packet.source_port),
            (packet.destination, packet.destination_port),
        )
    }

    /// The key of one direction of a security association.
    pub fn of_association(
        transport: Transport,
        source: IpAddr,
        destination: IpAddr,
        spi: u32,
    ) -> Self {
        Self {
            low: words(source),
            high: words(destination),
            low_port: (spi >> 16) as u16,
            high_port: spi as u16,
            transport,
            v6: source.is_ipv6(),
        }
    }

    /// The key of a 5-tuple, and whether `source` is the key's `low` end.
    #[inline]
    pub fn of_ends(
        transport: Transport,
        source: (IpAddr, u16),
        destination: (IpAddr, u16),
    ) -> (Self, bool) {
        let (from, to) = ((words(source.0), source.1), (words(destination.0), destination.1));
        let forward = from <= to;
        let (low, high) = if forward { (from, to) } else { (to, from) };
        let key = Self {
            low: low.0,
            high: high.0,
            low_port: low.1,
            high_port: high.1,
            transport,
            v6: source.0.is_ipv6(),
        };
        (key, forward)
    }

    /// The ends in order, low before high; ports are 0 where there are none.
    pub(super) fn ends(&self) -> [(IpAddr, u16); 2] {
        let has_spi = self.transport.is_security_association();
        let ports = if has_spi { [0, 0] } else { [self.low_port, self.high_port] };
        [(self.address(self.low), ports[0]), (self.address(self.high), ports[1])]
    }

    /// The transport.
    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    /// The SPI of a security association.
    pub(super) fn spi(&self) -> Option<u32> {
        let spi = u32::from(self.low_port) << 16 | u32::from(self.high_port);
        self.transport.is_security_association().then_some(spi)
    }

    /// A number by which the key is found; only with the seed can keys of one number be made.
    #[inline]
    pub(super) fn mixed(&self, seed: u64) -> u64 {
        let rest = u64::from(self.low_port) << 32
            | u64::from(self.high_port) << 16
            | u64::from(self.transport.0) << 8
            | u64::from(self.v6);
        if self.v6 {
            return mix(seed, &[self.low, self.high, [rest, 0]]);
        }
        mix(seed, &[[self.low[1] << 32 | self.high[1], rest]])
    }

    /// Something of the key, for who wants it in the cache.
    #[inline]
    pub(super) fn touch(&self) -> u64 {
        self.low[1]
    }

    fn address(&self, [upper, lower]: [u64; 2]) -> IpAddr {
        if self.v6 {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(upper) << 64 | u128::from(lower)))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(lower as u32))
        }
    }
}

#[inline]
fn words(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(v4) => [0, v4.to_bits().into()],
        IpAddr::V6(v6) => [(v6.to_bits() >> 64) as u64, v6.to_bits() as u64],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> (IpAddr, u16) {
        let end: std::net::SocketAddr = text.parse().unwrap();
        (end.ip(), end.port())
    }

    #[test]
    fn both_directions_have_one_key_that_holds_its_ends() {
        for [a, b] in [["10.0.0.9:5", "10.0.0.1:6"], ["[fd00::9]:5", "[::10.0.0.1]:6"]] {
            let (a, b) = (end(a), end(b));
            let (there, forward) = FlowKey::of_ends(Transport::UDP, a, b);
            let (back, backward) = FlowKey::of_ends(Transport::UDP, b, a);
            assert_eq!((there, forward), (back, !backward));
            assert_eq!(there.mixed(1), back.mixed(1));
            assert_eq!(there.ends(), [b, a]);
        }
    }

    #[test]
    fn addresses_of_both_versions_are_never_the_same() {
        let (v4, _) = FlowKey::of_ends(Transport::UDP, end("0.0.0.1:1"), end("0.0.0.2:1"));
        let (v6, _) = FlowKey::of_ends(Transport::UDP, end("[::1]:1"), end("[::2]:1"));
        assert_ne!(v4, v6);
        assert_ne!(v4.mixed(1), v6.mixed(1));
    }
}
