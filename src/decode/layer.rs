//! What was peeled off around a packet: encapsulations with their stable names, and VLAN tags.
//!
//! A layer is told once per header. Two simplifications are on purpose: a stack of MPLS labels is one
//! layer with the innermost label, which names the service, and what a header always brings with it
//! (the UDP of VXLAN, the GRE of ERSPAN, the PPP of PPPoE and L2TP) is not a layer of its own.

use std::fmt;

use super::{Carriage, Inline, Protector, Shield, Stop};

/// A header that was peeled off around the innermost IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Layer {
    /// IPsec Authentication Header with readable content.
    Ah {
        /// Security parameters index.
        spi: u32,
    },
    /// IPsec ESP in UDP (RFC 3948) around readable content.
    UdpEncapsulation,
    /// IPsec ESP in TCP (RFC 9329) around readable content.
    TcpEncapsulation,
    /// IPsec ESP without encryption.
    EspNull {
        /// Security parameters index.
        spi: u32,
    },
    /// IPsec Wrapped ESP without encryption.
    Wesp {
        /// Security parameters index.
        spi: u32,
    },
    /// IPv4 in IPv4 (RFC 2003).
    IpInIp,
    /// IPv6 in IPv4 (RFC 4213).
    SixInFour,
    /// IPv6 in IPv4 whose addresses name the tunnel's end (`2002::/16`, RFC 3056).
    SixToFour,
    /// IPv4 in IPv6 (RFC 2473).
    FourInSix,
    /// IPv6 in IPv6 (RFC 2473).
    SixInSix,
    /// GRE (RFC 2784, RFC 2890, RFC 1701, RFC 2637). NVGRE (RFC 7637) looks the same as GRE with a
    /// key, so it has no name of its own.
    Gre,
    /// ERSPAN without a header of its own.
    Erspan1,
    /// ERSPAN type II.
    Erspan2 {
        /// Which mirror of the switch it is.
        session: u16,
    },
    /// ERSPAN type III.
    Erspan3 {
        /// Which mirror of the switch it is.
        session: u16,
    },
    /// VXLAN (RFC 7348).
    Vxlan {
        /// VXLAN network identifier.
        vni: u32,
    },
    /// VXLAN with the generic protocol extension.
    VxlanGpe {
        /// VXLAN network identifier.
        vni: u32,
    },
    /// Geneve (RFC 8926).
    Geneve {
        /// Virtual network identifier.
        vni: u32,
    },
    /// MPLS (RFC 3032), with or without a pseudowire inside.
    Mpls {
        /// The innermost label.
        label: u32,
    },
    /// PPP over Ethernet (RFC 2516).
    Pppoe,
    /// PPP (RFC 1661) inside GRE.
    Ppp,
    /// Ethernet in IP (RFC 3378).
    EtherIp,
    /// L2TP version 2 (RFC 2661).
    L2tp,
    /// L2TP version 3 (RFC 3931).
    L2tpV3,
    /// GTP-U (3GPP TS 29.281).
    Gtp,
    /// CAPWAP data (RFC 5415).
    Capwap,
    /// Teredo (RFC 4380).
    Teredo,
    /// TaZmen Sniffer Protocol, a mirror in UDP.
    Tzsp,
    /// IEEE 802.1BR E-Tag.
    ETag,
    /// Cisco VN-Tag.
    VnTag,
    /// IEEE 802.1AE SecTAG around readable content.
    MacSec,
    /// IEEE 802.1ah provider backbone bridging.
    Pbb {
        /// Backbone service instance.
        isid: u32,
    },
    /// Cisco `MetaData` with a TrustSec security group.
    TrustSec,
    /// Network service header (RFC 8300).
    Nsh,
}

/// The stable name as machine output shows it.
impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::Ah { .. } => "ah",
            Self::UdpEncapsulation => "udp-encap",
            Self::TcpEncapsulation => "tcp-encap",
            Self::EspNull { .. } => "esp-null",
            Self::Wesp { .. } => "wesp",
            Self::IpInIp => "ipip",
            Self::SixInFour => "6in4",
            Self::SixToFour => "6to4",
            Self::FourInSix => "4in6",
            Self::SixInSix => "6in6",
            Self::Gre => "gre",
            Self::Erspan1 => "erspan-1",
            Self::Erspan2 { session } => return write!(f, "erspan-2:{session}"),
            Self::Erspan3 { session } => return write!(f, "erspan-3:{session}"),
            Self::Vxlan { vni } => return write!(f, "vxlan:{vni}"),
            Self::VxlanGpe { vni } => return write!(f, "vxlan-gpe:{vni}"),
            Self::Geneve { vni } => return write!(f, "geneve:{vni}"),
            Self::Mpls { label } => return write!(f, "mpls:{label}"),
            Self::Pppoe => "pppoe",
            Self::Ppp => "ppp",
            Self::EtherIp => "etherip",
            Self::L2tp => "l2tp",
            Self::L2tpV3 => "l2tpv3",
            Self::Gtp => "gtp",
            Self::Capwap => "capwap",
            Self::Teredo => "teredo",
            Self::Tzsp => "tzsp",
            Self::ETag => "etag",
            Self::VnTag => "vntag",
            Self::MacSec => "macsec",
            Self::Pbb { isid } => return write!(f, "pbb:{isid}"),
            Self::TrustSec => "trustsec",
            Self::Nsh => "nsh",
        })
    }
}

/// VLAN tags kept per packet; deeper stacks are cut to the outermost.
pub const MAX_VLANS: usize = 4;
/// Encapsulations peeled per packet; a deeper one stops the decoding.
pub const MAX_LAYERS: usize = 6;

/// VLAN ids from the outermost in, those inside tunnels after those around them.
pub type Vlans = Inline<u16, MAX_VLANS>;
/// Encapsulations from the outermost in.
pub type Layers = Inline<Layer, MAX_LAYERS>;

/// The way from the frame's first byte to where the reading stands. Each header that may hold others
/// enters a layer first, so the list's length bounds the nesting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    /// VLAN tags passed.
    pub(super) vlans: Vlans,
    /// Encapsulations passed.
    pub(super) layers: Layers,
    /// The outermost IPsec passed.
    pub(super) shield: Option<Shield>,
}

impl Path {
    /// Nothing passed yet.
    pub(super) fn new() -> Self {
        Self { vlans: Vlans::new(0), layers: Layers::new(Layer::IpInIp), shield: None }
    }

    /// Goes into an encapsulation.
    pub(super) fn enter(&mut self, layer: Layer) -> Result<(), Stop> {
        if self.layers.push(layer) { Ok(()) } else { Err(Stop::TooDeep) }
    }

    /// Goes into readable IPsec.
    pub(super) fn enter_shielded(&mut self, shield: Shield) -> Result<(), Stop> {
        let spi = shield.spi;
        match shield.carriage {
            Carriage::Ip => {}
            Carriage::Udp => self.enter(Layer::UdpEncapsulation)?,
            Carriage::Tcp => self.enter(Layer::TcpEncapsulation)?,
        }
        self.enter(match shield.protocol {
            Protector::Ah => Layer::Ah { spi },
            Protector::Esp(_) => Layer::EspNull { spi },
            Protector::Wesp => Layer::Wesp { spi },
        })?;
        self.shield.get_or_insert(shield);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_stays_small() {
        assert_eq!(size_of::<Layer>(), 8);
    }

    #[test]
    fn names_hold_what_tells_two_tunnels_apart() {
        let names = [
            (Layer::Vxlan { vni: 42 }, "vxlan:42"),
            (Layer::Geneve { vni: 700 }, "geneve:700"),
            (Layer::Erspan1, "erspan-1"),
            (Layer::Erspan2 { session: 7 }, "erspan-2:7"),
            (Layer::Erspan3 { session: 7 }, "erspan-3:7"),
            (Layer::Mpls { label: 18 }, "mpls:18"),
            (Layer::Ah { spi: 9 }, "ah"),
            (Layer::IpInIp, "ipip"),
        ];
        for (layer, name) in names {
            assert_eq!(layer.to_string(), name);
        }
    }

    #[test]
    fn a_path_ends_at_its_bound() {
        let mut path = Path::new();
        for _ in 0..MAX_LAYERS {
            assert_eq!(path.enter(Layer::Gre), Ok(()));
        }
        assert_eq!(path.enter(Layer::Gre), Err(Stop::TooDeep));
    }
}
