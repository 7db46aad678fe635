//! Tunnels and mirrors by code: a packet becomes what a tunnel's end or a mirroring switch sends.

use std::net::{IpAddr, SocketAddr};

use portassay::decode::Layer;

use super::craft::{Packet, protocol, udp};
use super::wire::{put16, put32};

/// A tunnel around a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tunnel {
    IpInIp,
    Gre { sum: bool, key: Option<u32>, sequence: Option<u32> },
    GreBridged { key: Option<u32> },
    Erspan1,
    Erspan2 { session: u16 },
    Erspan3 { session: u16, platform: bool },
    Vxlan { vni: u32 },
    VxlanGpe { vni: u32 },
    Geneve { vni: u32, options: u8 },
    MplsInGre { label: u32 },
    MplsInIp { label: u32 },
    MplsInUdp { label: u32 },
    Pseudowire { label: u32, control_word: bool },
    EtherIp,
    Pptp,
    L2tp { length: bool },
    L2tpV3 { cookie: u8 },
    Gtp { extended: bool },
    Capwap { radio: bool },
    Tzsp,
}

impl Tunnel {
    /// One of each kind, with its options on.
    pub(crate) const ALL: [Self; 20] = [
        Self::IpInIp,
        Self::Gre { sum: true, key: Some(7), sequence: Some(9) },
        Self::GreBridged { key: Some(0x0013_8901) },
        Self::Erspan1,
        Self::Erspan2 { session: 7 },
        Self::Erspan3 { session: 1023, platform: true },
        Self::Vxlan { vni: 42 },
        Self::VxlanGpe { vni: 43 },
        Self::Geneve { vni: 700, options: 3 },
        Self::MplsInGre { label: 16 },
        Self::MplsInIp { label: 17 },
        Self::MplsInUdp { label: 18 },
        Self::Pseudowire { label: 19, control_word: true },
        Self::EtherIp,
        Self::Pptp,
        Self::L2tp { length: true },
        Self::L2tpV3 { cookie: 1 },
        Self::Gtp { extended: true },
        Self::Capwap { radio: true },
        Self::Tzsp,
    ];

    /// The packet that the tunnel's ends exchange.
    pub(crate) fn around(self, inner: &Packet, from: IpAddr, to: IpAddr) -> Packet {
        match self.carrier(inner.is_v6()) {
            Carrier::Protocol(number) => protocol(number, from, to),
            Carrier::Port(port) => udp(SocketAddr::new(from, 61_000), SocketAddr::new(to, port)),
        }
        .payload(self.content(inner))
    }

    /// What decoding must tell of it.
    pub(crate) fn layers(self, inner: &Packet, from: IpAddr) -> Vec<Layer> {
        vec![match self {
            Self::IpInIp => match (from.is_ipv6(), inner.is_v6()) {
                (false, false) => Layer::IpInIp,
                (false, true) if inner.touches_6to4() => Layer::SixToFour,
                (false, true) => Layer::SixInFour,
                (true, false) => Layer::FourInSix,
                (true, true) => Layer::SixInSix,
            },
            Self::Gre { .. } | Self::GreBridged { .. } => Layer::Gre,
            Self::Erspan1 => Layer::Erspan1,
            Self::Erspan2 { session } => Layer::Erspan2 { session },
            Self::Erspan3 { session, .. } => Layer::Erspan3 { session },
            Self::Vxlan { vni } => Layer::Vxlan { vni },
            Self::VxlanGpe { vni } => Layer::VxlanGpe { vni },
            Self::Geneve { vni, .. } => Layer::Geneve { vni },
            Self::MplsInGre { label } => return vec![Layer::Gre, Layer::Mpls { label }],
            Self::MplsInIp { label }
            | Self::MplsInUdp { label }
            | Self::Pseudowire { label, .. } => Layer::Mpls { label },
            Self::EtherIp => Layer::EtherIp,
            Self::Pptp => return vec![Layer::Gre, Layer::Ppp],
            Self::L2tp { .. } => Layer::L2tp,
            Self::L2tpV3 { .. } => Layer::L2tpV3,
            Self::Gtp { .. } => Layer::Gtp,
            Self::Capwap { .. } => Layer::Capwap,
            Self::Tzsp => Layer::Tzsp,
        }]
    }

    fn carrier(self, inner_is_v6: bool) -> Carrier {
        match self {
            Self::IpInIp => Carrier::Protocol(if inner_is_v6 { 41 } else { 4 }),
            Self::Gre { .. }
            | Self::GreBridged { .. }
            | Self::Erspan1
            | Self::Erspan2 { .. }
            | Self::Erspan3 { .. }
            | Self::MplsInGre { .. }
            | Self::Pptp => Carrier::Protocol(47),
            Self::EtherIp => Carrier::Protocol(97),
            Self::MplsInIp { .. } | Self::Pseudowire { .. } => Carrier::Protocol(137),
            Self::L2tpV3 { .. } => Carrier::Protocol(115),
            Self::Vxlan { .. } => Carrier::Port(4789),
            Self::VxlanGpe { .. } => Carrier::Port(4790),
            Self::Geneve { .. } => Carrier::Port(6081),
            Self::MplsInUdp { .. } => Carrier::Port(6635),
            Self::L2tp { .. } => Carrier::Port(1701),
            Self::Gtp { .. } => Carrier::Port(2152),
            Self::Capwap { .. } => Carrier::Port(5247),
            Self::Tzsp => Carrier::Port(37_008),
        }
    }

    /// The tunnel's header and the packet or frame behind it.
    fn content(self, inner: &Packet) -> Vec<u8> {
        let packet = inner.ip_bytes();
        let mut bytes = Vec::new();
        let frame = match self {
            Self::IpInIp => return packet,
            Self::Gre { .. }
            | Self::GreBridged { .. }
            | Self::Erspan1
            | Self::Erspan2 { .. }
            | Self::Erspan3 { .. }
            | Self::MplsInGre { .. }
            | Self::Pptp => return self.in_gre(inner),
            Self::Vxlan { vni } => {
                put32(&mut bytes, 0x0800_0000);
                put32(&mut bytes, vni << 8);
                inner.ethernet()
            }
            Self::VxlanGpe { vni } => {
                put32(&mut bytes, if inner.is_v6() { 0x0C00_0002 } else { 0x0C00_0001 });
                put32(&mut bytes, vni << 8);
                packet
            }
            Self::Geneve { vni, options } => {
                put32(&mut bytes, u32::from(options) << 24 | 0x6558);
                put32(&mut bytes, vni << 8);
                for _ in 0..options {
                    put32(&mut bytes, 0x0108_0100);
                }
                inner.ethernet()
            }
            Self::MplsInIp { label } | Self::MplsInUdp { label } => {
                put32(&mut bytes, 99 << 12 | 0xFF);
                put32(&mut bytes, label << 12 | 0x1FF);
                packet
            }
            Self::Pseudowire { label, control_word } => {
                put32(&mut bytes, label << 12 | 0x1FF);
                bytes.extend(vec![0; if control_word { 4 } else { 0 }]);
                inner.ethernet()
            }
            Self::EtherIp => {
                put16(&mut bytes, 0x3000);
                inner.ethernet()
            }
            Self::L2tp { length } => {
                put16(&mut bytes, if length { 0x4002 } else { 0x0002 });
                if length {
                    put16(&mut bytes, (packet.len() + 12) as u16);
                }
                put32(&mut bytes, 0x0001_0002);
                ppp(&mut bytes, inner.is_v6());
                packet
            }
            Self::L2tpV3 { cookie } => {
                put32(&mut bytes, 7);
                bytes.extend(vec![0; 4 * usize::from(cookie)]);
                // Behind a cookie of hidden length, hardware addresses made of IP addresses may
                // look like tags.
                inner.clone().macs([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]).ethernet()
            }
            Self::Gtp { extended } => {
                bytes.extend([if extended { 0x34 } else { 0x30 }, 0xFF]);
                put16(&mut bytes, (packet.len() + if extended { 8 } else { 0 }) as u16);
                put32(&mut bytes, 1);
                if extended {
                    bytes.extend([0, 0, 0, 0x85, 1, 0, 9, 0]);
                }
                packet
            }
            Self::Capwap { radio } => {
                put32(&mut bytes, if radio { 0x0010_0300 } else { 0x0010_0200 });
                put32(&mut bytes, 0);
                if radio { inner.radio() } else { inner.ethernet() }
            }
            Self::Tzsp => {
                bytes.extend([1, 0, 0, 1, 10, 1, 0xC4, 1]);
                inner.ethernet()
            }
        };
        [bytes, frame].concat()
    }

    /// The same for what is built on GRE.
    fn in_gre(self, inner: &Packet) -> Vec<u8> {
        let packet = inner.ip_bytes();
        let mut bytes = Vec::new();
        let frame = match self {
            Self::Gre { sum, key, sequence } => {
                gre(&mut bytes, inner.ether_type(), sum, key, sequence);
                packet
            }
            Self::GreBridged { key } => {
                gre(&mut bytes, 0x6558, false, key, None);
                inner.ethernet()
            }
            Self::Erspan1 => {
                gre(&mut bytes, 0x88BE, false, None, None);
                inner.ethernet()
            }
            Self::Erspan2 { session } => {
                gre(&mut bytes, 0x88BE, false, None, Some(1));
                put32(&mut bytes, 0x1000_0000 | u32::from(session));
                put32(&mut bytes, 5);
                inner.ethernet()
            }
            Self::Erspan3 { session, platform } => {
                gre(&mut bytes, 0x22EB, false, None, Some(1));
                put32(&mut bytes, 0x2000_0000 | u32::from(session));
                put32(&mut bytes, 0x0102_0304);
                put32(&mut bytes, 8 | u32::from(platform));
                bytes.extend(vec![0; if platform { 8 } else { 0 }]);
                inner.ethernet()
            }
            Self::MplsInGre { label } => {
                gre(&mut bytes, 0x8847, false, None, None);
                put32(&mut bytes, label << 12 | 0x1FF);
                packet
            }
            Self::Pptp => {
                put32(&mut bytes, 0x3001_880B);
                put16(&mut bytes, (packet.len() + 4) as u16);
                put16(&mut bytes, 1);
                put32(&mut bytes, 1);
                ppp(&mut bytes, inner.is_v6());
                packet
            }
            other => panic!("{other:?} is not built on GRE"),
        };
        [bytes, frame].concat()
    }
}

/// What a tunnel is carried in.
enum Carrier {
    Protocol(u8),
    Port(u16),
}

fn gre(bytes: &mut Vec<u8>, kind: u16, sum: bool, key: Option<u32>, sequence: Option<u32>) {
    let flags = [(sum, 0x8000), (key.is_some(), 0x2000), (sequence.is_some(), 0x1000)];
    put16(bytes, flags.into_iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum());
    put16(bytes, kind);
    if sum {
        put32(bytes, 0);
    }
    for field in [key, sequence].into_iter().flatten() {
        put32(bytes, field);
    }
}

fn ppp(bytes: &mut Vec<u8>, is_v6: bool) {
    put32(bytes, if is_v6 { 0xFF03_0057 } else { 0xFF03_0021 });
}
