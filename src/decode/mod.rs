//! Room 2: what a frame says. Link, network and transport headers become a [`Packet`].
//!
//! In: a [`Frame`]. Out: [`Decoded`], the packet as far as it was understood and the [`Stop`] that
//! ended the reading. `decode` cannot fail. This room knows nothing about flows or time order.

mod capwap;
mod common;
mod erspan;
mod esp_null;
mod ether;
mod frame_relay;
mod gre;
mod gtp;
mod host_link;
mod icmp;
mod ip;
mod ipsec;
mod l2tp;
mod layer;
mod link;
mod mpls;
mod nsh;
mod ppp;
mod radio;
mod span;
mod teredo;
#[cfg(test)]
mod testing;
mod transport;
mod tunnel;
mod tzsp;
mod udp_tunnel;
mod wesp;
mod wlan;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

pub use esp_null::NullForm;
pub use layer::{Layer, Layers, MAX_LAYERS, MAX_VLANS, Vlans};
pub use wlan::Radio;

use crate::input::{Frame, LinkType, Timestamp};

/// An IP protocol number (IANA registry "Assigned Internet Protocol Numbers").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Transport(pub u8);

impl Transport {
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: Self = Self(1);
    /// IPv4 in IP (RFC 2003).
    pub const IPV4: Self = Self(4);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// IPv6 in IP (RFC 2473).
    pub const IPV6: Self = Self(41);
    /// Generic Routing Encapsulation (RFC 2784).
    pub const GRE: Self = Self(47);
    /// IPsec Encapsulating Security Payload (RFC 4303).
    pub const ESP: Self = Self(50);
    /// IPsec Authentication Header (RFC 4302).
    pub const AH: Self = Self(51);
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: Self = Self(58);
    /// Ethernet in IP (RFC 3378).
    pub const ETHER_IP: Self = Self(97);
    /// L2TP version 3 (RFC 3931).
    pub const L2TP: Self = Self(115);
    /// SCTP (RFC 9260).
    pub const SCTP: Self = Self(132);
    /// MPLS in IP (RFC 4023).
    pub const MPLS: Self = Self(137);
    /// IPsec Wrapped ESP (RFC 5840).
    pub const WESP: Self = Self(141);

    /// Whether the transport header begins with two ports.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::TCP | Self::UDP | Self::SCTP)
    }

    /// Whether flows of this transport are one-way security associations keyed by SPI.
    pub fn is_security_association(self) -> bool {
        matches!(self, Self::ESP | Self::WESP | Self::AH)
    }
}

/// The stable name: `tcp`, `udp`, `esp`, …, or `ip-N` for a number without a name here.
impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1 => "icmp",
            2 => "igmp",
            4 => "ipip",
            6 => "tcp",
            17 => "udp",
            33 => "dccp",
            41 => "ipv6",
            47 => "gre",
            50 => "esp",
            51 => "ah",
            58 => "icmpv6",
            88 => "eigrp",
            89 => "ospf",
            97 => "etherip",
            103 => "pim",
            108 => "ipcomp",
            112 => "vrrp",
            115 => "l2tp",
            132 => "sctp",
            136 => "udplite",
            137 => "mpls",
            141 => "wesp",
            number => return write!(f, "ip-{number}"),
        };
        f.pad(name)
    }
}

/// TCP control bits (RFC 9293, 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field counts.
    pub const ACK: u8 = 0x10;

    /// Whether every bit of `mask` is set.
    pub fn has(self, mask: u8) -> bool {
        self.0 & mask == mask
    }
}

/// What an ICMP error says about the packet it quotes (RFC 792, RFC 4443, codes of RFC 1812).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IcmpErrorKind {
    /// A filter forbids the traffic.
    Prohibited,
    /// The host is there, but nothing listens on the port (or the protocol).
    PortUnreachable,
    /// The network or the host cannot be reached.
    Unreachable,
}

/// The packet that an ICMP error quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted {
    /// What the error says about it.
    pub kind: IcmpErrorKind,
    /// Its source address.
    pub source: IpAddr,
    /// Its destination address.
    pub destination: IpAddr,
    /// Its transport.
    pub transport: Transport,
    /// Its source port; 0 for a transport without ports.
    pub source_port: u16,
    /// Its destination port; 0 for a transport without ports.
    pub destination_port: u16,
    /// Its SPI, if it is ESP.
    pub spi: Option<u32>,
}

/// The port of key exchange (RFC 7296, section 2). [`common`] leaves packets on it alone, as it leaves those on the port
/// that ESP shares with it, so that only the slower way has to look for messages.
pub const IKE_PORT: u16 = 500;

/// What a UDP datagram on port 4500 carries (RFC 3948).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UdpEncapsulation {
    /// One byte 0xFF that keeps a NAT binding open.
    Keepalive,
    /// IKE behind the four zero bytes of the non-ESP marker.
    Ike,
    /// ESP, or wrapped ESP, whose content cannot be read.
    Esp(Sealed),
}

/// A packet of a security association whose content cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Security parameters index.
    pub spi: u32,
    /// Sequence number.
    pub sequence: u32,
    /// Differentiated services code point of the IP header around it (RFC 2474).
    pub dscp: u8,
    /// Captured to its end, and not in fragments: had it been readable, it would have been read.
    pub whole: bool,
    /// Length of the IP packet in bytes.
    pub ip_len: u32,
}

/// What protects a packet that could be read all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protector {
    /// The Authentication Header (RFC 4302), which encrypts nothing.
    Ah,
    /// ESP without encryption.
    Esp(NullForm),
    /// Wrapped ESP that says it is not encrypted (RFC 5840).
    Wesp,
}

/// What carries a packet of a security association.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Carriage {
    /// IP.
    Ip,
    /// UDP, because of a NAT (RFC 3948).
    Udp,
    /// TCP, because nothing else gets through (RFC 9329).
    Tcp,
}

/// The outermost security association around a packet that could be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shield {
    /// What protects the packet.
    pub protocol: Protector,
    /// Security parameters index.
    pub spi: u32,
    /// What carries it.
    pub carriage: Carriage,
    /// Source and destination of the IP header around it: those of the packet itself in transport mode, those
    /// of the tunnel's ends in tunnel mode.
    pub ends: (IpAddr, IpAddr),
}

/// What the transport header says beyond ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Nothing that is used.
    None,
    /// A TCP header.
    Tcp {
        /// Control bits.
        flags: TcpFlags,
        /// Sequence number.
        sequence: u32,
        /// Acknowledgement number; meaningful with the ACK bit.
        acknowledgement: u32,
    },
    /// A UDP datagram on port 4500.
    UdpEncapsulation(UdpEncapsulation),
    /// An ICMP error that quotes another packet.
    IcmpError(Quoted),
    /// An ESP or AH header.
    Security(Sealed),
}

/// A short list kept in place, so that decoding a packet never allocates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inline<T, const N: usize> {
    items: [T; N],
    len: u8,
}

impl<T: Copy, const N: usize> Inline<T, N> {
    /// An empty list; `fill` is only a placeholder.
    pub const fn new(fill: T) -> Self {
        Self { items: [fill; N], len: 0 }
    }

    /// Appends an item; false when the list is full.
    pub fn push(&mut self, item: T) -> bool {
        match self.items.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = item;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// The items so far.
    pub fn as_slice(&self) -> &[T] {
        self.items.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// A frame's innermost IP packet.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// When the frame was captured.
    pub time: Timestamp,
    /// The frame's number in its capture, from 1.
    pub frame: u64,
    /// The frame's original length in bytes.
    pub wire_len: u32,
    /// Source address of the innermost IP header.
    pub source: IpAddr,
    /// Destination address of the innermost IP header.
    pub destination: IpAddr,
    /// The innermost transport.
    pub transport: Transport,
    /// Source port; 0 for a transport without ports.
    pub source_port: u16,
    /// Destination port; 0 for a transport without ports.
    pub destination_port: u16,
    /// What the transport header says beyond ports.
    pub detail: Detail,
    /// The captured part of the transport's payload.
    pub payload: &'a [u8],
    /// The payload's length on the wire in bytes, as the headers say.
    pub payload_len: u32,
    /// VLAN tags around the packet.
    pub vlans: Vlans,
    /// Encapsulations around the packet.
    pub layers: Layers,
    /// The IPsec around it.
    pub shield: Option<Shield>,
    /// ESP in a TCP segment (RFC 9329), as it looks, whose content cannot be read.
    pub framed: Option<Sealed>,
    /// Whether this is the first fragment of a larger datagram; [`fragments`] tells of which.
    pub first_fragment: bool,
    /// Identification of the innermost IPv4 header; 0 for IPv6 without a fragment header.
    pub identification: u32,
    /// Time to live, or hop limit, of the innermost IP header.
    pub hop_limit: u8,
    /// Checksum of the transport header as captured (of SCTP the lower half); 0 where there is none.
    pub checksum: u16,
    /// Whether that checksum is right; None where it was not looked at. Hosts leave it to their network
    /// cards, so that what they send is captured with a wrong one: no reason to leave anything out.
    pub checksum_holds: Option<bool>,
}

/// A piece of a fragmented datagram (RFC 791, RFC 8200 section 4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Source address of the datagram.
    pub source: IpAddr,
    /// Destination address of the datagram.
    pub destination: IpAddr,
    /// Its IPv4 protocol; for IPv6 the number of the fragment header itself.
    pub transport: Transport,
    /// What its sender numbered it with.
    pub identification: u32,
    /// Where the piece begins in the datagram's body, in bytes.
    pub offset: u32,
    /// Length of the piece on the wire, in bytes.
    pub len: u32,
    /// Whether there is more behind it.
    pub more: bool,
}

impl Part {
    /// A placeholder for lists.
    const NONE: Self = Self {
        source: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        transport: Transport(0),
        identification: 0,
        offset: 0,
        len: 0,
        more: false,
    };

    /// Whether another piece was read off the same IP header, further in.
    fn is_of_the_same_header(&self, other: &Self) -> bool {
        (self.source, self.destination, self.identification, self.offset)
            == (other.source, other.destination, other.identification, other.offset)
    }
}

/// The fragments that one frame is, from the outermost IP header in: a tunnel may cut what was cut
/// before. A third one inside two is not followed.
pub type Parts = Inline<Part, 2>;

/// Why and where the decoding of a frame ended before a transport header was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stop {
    /// The link type is not read by this tool.
    LinkType(LinkType),
    /// The link-layer header is cut off by the snaplen or damaged.
    LinkHeader,
    /// The frame does not carry IP but this EtherType (or, under 0x0600, an LLC length).
    NotIp(u16),
    /// The frame is encrypted on the link (IEEE 802.1AE).
    MacSecEncrypted,
    /// A radio frame that shows no packet.
    Wlan(Radio),
    /// PPP does not carry IP but this protocol.
    Ppp(u16),
    /// The loopback header names an address family that is not IP.
    AddressFamily(u8),
    /// The IP header is cut off or contradicts itself.
    IpHeader,
    /// A fragment other than the first: its transport header is in another frame.
    Fragment,
    /// The transport header is cut off or contradicts itself.
    TransportHeader(Transport),
    /// More encapsulations than [`MAX_LAYERS`], or more VLAN tags than are walked.
    TooDeep,
}

impl Stop {
    /// Whether there may be traffic in the frame that an audit should have seen.
    pub fn hides_traffic(&self) -> bool {
        match self {
            Self::LinkType(_)
            | Self::AddressFamily(_)
            | Self::TooDeep
            | Self::MacSecEncrypted
            | Self::Wlan(Radio::Protected) => true,
            // Network layer protocols; above are those that only set up a link (RFC 1661, 2).
            Self::Ppp(protocol) => *protocol < 0x4000,
            Self::NotIp(kind) => {
                *kind >= ETHER_TYPES_FROM && WITHOUT_IP.binary_search(kind).is_err()
            }
            _ => false,
        }
    }

    /// Whether a header is cut off or contradicts itself.
    pub fn is_broken(&self) -> bool {
        matches!(self, Self::LinkHeader | Self::IpHeader | Self::TransportHeader(_))
    }
}

/// Protocols over Ethernet that never carry IP (IEEE registration authority): ARP, RARP, their like of
/// other suites, slow protocols, link discovery and control of switches, authentication, time, storage, loop tests.
const WITHOUT_IP: [u16; 25] = [
    0x0806, 0x22EA, 0x22F0, 0x6002, 0x6003, 0x8035, 0x809B, 0x80F3, 0x8137, 0x8808, 0x8809, 0x8863,
    0x886D, 0x888E, 0x8892, 0x8899, 0x88A2, 0x88B8, 0x88CC, 0x88E1, 0x88F5, 0x88F7, 0x8902, 0x8906,
    0x9000,
];
/// Numbers below this are lengths (IEEE 802.3).
const ETHER_TYPES_FROM: u16 = 0x0600;

/// The stable reason under which a frame is counted, such as `arp` or `ip-header`.
impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkType(kind) => write!(f, "link-type-{}", kind.0),
            Self::LinkHeader => f.write_str("link-header"),
            Self::NotIp(kind) => match ether::known(*kind) {
                Some(name) => f.write_str(name),
                None => write!(f, "ethertype-0x{kind:04x}"),
            },
            Self::MacSecEncrypted => f.write_str("macsec-encrypted"),
            Self::Wlan(radio) => radio.fmt(f),
            Self::Ppp(protocol) => match ppp::known(*protocol) {
                Some(name) => f.write_str(name),
                None => write!(f, "ppp-0x{protocol:04x}"),
            },
            Self::AddressFamily(family) => write!(f, "address-family-{family}"),
            Self::IpHeader => f.write_str("ip-header"),
            Self::Fragment => f.write_str("fragment"),
            Self::TransportHeader(transport) => write!(f, "{transport}-header"),
            Self::TooDeep => f.write_str("too-many-layers"),
        }
    }
}

/// A frame as far as it was understood.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::large_enum_variant, reason = "nearly every frame is a packet, and none is kept")]
pub enum Decoded<'a> {
    /// An IP packet whose transport was read.
    Packet(Packet<'a>),
    /// Anything else, with the reason.
    Stopped(Stop),
}

/// Whether frames of this link type are read at all; others are counted by their link type.
pub fn reads(link_type: LinkType) -> bool {
    link::reads(link_type)
}

/// Reads the headers of a frame. Never fails and never allocates.
#[inline]
pub fn decode<'a>(frame: &Frame<'a>) -> Decoded<'a> {
    match common(frame) {
        Some(packet) => Decoded::Packet(packet),
        None => general(frame),
    }
}

/// What [`decode`] gives for a frame of the common kind; None for others. For callers that keep packets:
/// it is put in its place without being moved.
#[inline(always)]
#[expect(clippy::inline_always, reason = "only so is the packet written where it is wanted")]
pub fn common<'a>(frame: &Frame<'a>) -> Option<Packet<'a>> {
    if frame.link_type == LinkType::ETHERNET { common::packet(frame) } else { None }
}

/// Reads the headers of any frame, one after the other. [`decode`] gives the same, sooner.
#[inline(never)]
pub fn general<'a>(frame: &Frame<'a>) -> Decoded<'a> {
    let mut path = layer::Path::new();
    match link::strip(frame, &mut path) {
        Ok(span) => ip::read(frame, span, &mut path),
        Err(stop) => Decoded::Stopped(stop),
    }
}

/// Of which datagrams a frame is a piece. For the few frames that [`decode`] calls fragments: it
/// reads the headers once more.
pub fn fragments(frame: &Frame<'_>) -> Parts {
    let mut path = layer::Path::new();
    match link::strip(frame, &mut path) {
        Ok(span) => ip::parts(span, &mut path),
        Err(_) => Parts::new(Part::NONE),
    }
}
