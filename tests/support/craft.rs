//! Packets made by code: start with a transport, wrap it, put it on a link.
//!
//! ```text
//! udp(at("10.0.0.1:50000"), at("10.0.0.2:49200")).payload(b"hello").ah(0x1000, 1).vlan(100).ethernet()
//! ```
//!
//! Lengths and checksums are right and the same input gives the same bytes. What a real sender
//! would encrypt or sign is filled with a pattern that depends on SPI and sequence number only.

use std::net::{IpAddr, SocketAddr};

use super::wire::{crc32c, internet_checksum, put_address, put16, put32};
use super::wrap::Wrap;

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const PSH: u8 = 0x08;
pub(crate) const ACK: u8 = 0x10;

/// An address and a port, as in `10.0.0.1:5061` or `[fd00::1]:5061`.
#[track_caller]
pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// An address.
#[track_caller]
pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A TCP segment; the ACK bit is set until [`Packet::flags`] says otherwise.
pub(crate) fn tcp(from: SocketAddr, to: SocketAddr) -> Packet {
    let kind = Kind::Tcp { flags: ACK, sequence: 0, acknowledgement: 0, options: Vec::new() };
    Packet::new(from, to, kind)
}

/// A UDP datagram.
pub(crate) fn udp(from: SocketAddr, to: SocketAddr) -> Packet {
    Packet::new(from, to, Kind::Udp)
}

/// An SCTP packet; its payload is the chunks.
pub(crate) fn sctp(from: SocketAddr, to: SocketAddr) -> Packet {
    Packet::new(from, to, Kind::Sctp)
}

/// An IP packet of any other protocol; its payload is all that follows the IP header.
pub(crate) fn protocol(number: u8, from: IpAddr, to: IpAddr) -> Packet {
    let (from, to) = (SocketAddr::new(from, 0), SocketAddr::new(to, 0));
    Packet::new(from, to, Kind::Other(number))
}

/// An echo request with its checksum.
pub(crate) fn ping(from: IpAddr, to: IpAddr) -> Packet {
    let (from, to) = (SocketAddr::new(from, 0), SocketAddr::new(to, 0));
    let kind = if from.is_ipv4() { 8 } else { 128 };
    Packet::new(from, to, Kind::Icmp { kind, code: 0 })
}

/// An ICMP error that a host sends to the sender of a packet, with as many bytes of the packet as
/// routers quote at least: the IP header and eight more.
pub(crate) fn icmp_error(reporter: IpAddr, kind: u8, code: u8, quoted: &Packet) -> Packet {
    let quote = quoted.ip_bytes();
    let header = if quoted.is_v6() { 40 } else { 20 };
    let (from, to) = (SocketAddr::new(reporter, 0), SocketAddr::new(quoted.from.ip(), 0));
    Packet::new(from, to, Kind::Icmp { kind, code }).payload(&quote[..quote.len().min(header + 8)])
}

/// A packet in the making.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    kind: Kind,
    payload: Vec<u8>,
    wraps: Vec<Wrap>,
    extensions: Vec<(u8, Vec<u8>)>,
    part: Option<(usize, usize)>,
    dscp: u8,
    identification: u16,
    hops: u8,
    vlans: Vec<u16>,
    shim: Option<Shim>,
    macs: Option<([u8; 6], [u8; 6])>,
}

/// What stands between Ethernet and IP beside tags.
#[derive(Debug, Clone)]
enum Shim {
    Mpls(Vec<u32>),
    Pppoe { session: u16 },
}

#[derive(Debug, Clone)]
enum Kind {
    Tcp { flags: u8, sequence: u32, acknowledgement: u32, options: Vec<u8> },
    Udp,
    Sctp,
    Icmp { kind: u8, code: u8 },
    Other(u8),
}

impl Packet {
    fn new(from: SocketAddr, to: SocketAddr, kind: Kind) -> Self {
        assert_eq!(from.is_ipv4(), to.is_ipv4(), "{from} cannot speak to {to}");
        Self {
            from,
            to,
            kind,
            payload: Vec::new(),
            wraps: Vec::new(),
            extensions: Vec::new(),
            part: None,
            dscp: 0,
            identification: 0x1234,
            hops: 64,
            vlans: Vec::new(),
            shim: None,
            macs: None,
        }
    }

    /// What the transport carries.
    pub(crate) fn payload(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.payload = bytes.as_ref().to_vec();
        self
    }

    /// TCP control bits.
    pub(crate) fn flags(mut self, bits: u8) -> Self {
        if let Kind::Tcp { flags, .. } = &mut self.kind {
            *flags = bits;
        }
        self
    }

    /// TCP sequence and acknowledgement numbers.
    pub(crate) fn numbers(mut self, seq: u32, ack: u32) -> Self {
        if let Kind::Tcp { sequence, acknowledgement, .. } = &mut self.kind {
            (*sequence, *acknowledgement) = (seq, ack);
        }
        self
    }

    /// TCP options, filled up to whole words with zeros.
    pub(crate) fn tcp_options(mut self, bytes: &[u8]) -> Self {
        if let Kind::Tcp { options, .. } = &mut self.kind {
            *options = bytes.to_vec();
            options.resize(bytes.len().next_multiple_of(4), 0);
        }
        self
    }

    /// The class of service of the IP header.
    pub(crate) fn dscp(mut self, dscp: u8) -> Self {
        self.dscp = dscp;
        self
    }

    /// The number of the datagram: the identification of IPv4, and of fragments of IPv6.
    pub(crate) fn number(mut self, identification: u16) -> Self {
        self.identification = identification;
        self
    }

    /// Time to live, or hop limit.
    pub(crate) fn hops(mut self, hops: u8) -> Self {
        self.hops = hops;
        self
    }

    /// An IPv6 extension header of 8 bytes, after those already there.
    pub(crate) fn extension(mut self, number: u8) -> Self {
        self.extensions.push((number, vec![0; 8]));
        self
    }

    /// AH in transport mode with a 12-byte check value.
    pub(crate) fn ah(self, spi: u32, sequence: u32) -> Self {
        self.wrap(Wrap::Ah { spi, sequence })
    }

    /// ESP with NULL encryption and a 12-byte check value: the content is readable.
    pub(crate) fn esp_null(self, spi: u32, sequence: u32) -> Self {
        self.esp_null_as(spi, sequence, 0, 12)
    }

    /// The same with an initialization vector and a check value of so many bytes.
    pub(crate) fn esp_null_as(self, spi: u32, sequence: u32, iv: usize, icv: usize) -> Self {
        self.wrap(Wrap::EspNull { spi, sequence, iv, icv })
    }

    /// Wrapped ESP without encryption; `aligned` as IPv6 wants it.
    pub(crate) fn wesp(self, spi: u32, sequence: u32, icv: usize, aligned: bool) -> Self {
        self.wrap(Wrap::Wesp { spi, sequence, icv, aligned })
    }

    /// ESP whose content cannot be told from noise.
    pub(crate) fn esp(self, spi: u32, sequence: u32) -> Self {
        self.wrap(Wrap::EspSealed { spi, sequence })
    }

    /// Puts what is there so far into UDP without a checksum, as ESP is behind a NAT.
    pub(crate) fn in_udp(self, from: u16, to: u16) -> Self {
        self.wrap(Wrap::Udp { from, to, marked: false })
    }

    /// The same with the mark that wrapped ESP has there.
    pub(crate) fn in_udp_marked(self, from: u16, to: u16) -> Self {
        self.wrap(Wrap::Udp { from, to, marked: true })
    }

    /// A new packet between two gateways around this one.
    pub(crate) fn in_tunnel(self, from: IpAddr, to: IpAddr) -> Self {
        let number = if self.is_v6() { IPV6 } else { IPV4 };
        protocol(number, from, to).payload(self.ip_bytes())
    }

    /// A VLAN tag inside those already there.
    pub(crate) fn vlan(mut self, id: u16) -> Self {
        self.vlans.push(id);
        self
    }

    /// MPLS labels from the outermost in.
    pub(crate) fn mpls(mut self, labels: &[u32]) -> Self {
        self.shim = Some(Shim::Mpls(labels.to_vec()));
        self
    }

    /// A PPPoE session.
    pub(crate) fn pppoe(mut self, session: u16) -> Self {
        self.shim = Some(Shim::Pppoe { session });
        self
    }

    /// Hardware addresses of sender and receiver; without, they follow from the IP addresses.
    pub(crate) fn macs(mut self, from: [u8; 6], to: [u8; 6]) -> Self {
        self.macs = Some((from, to));
        self
    }

    /// Only a part of what follows the IP header: a fragment. The offset is a multiple of 8.
    pub(crate) fn fragment(mut self, offset: usize, len: usize) -> Self {
        assert_eq!(offset % 8, 0, "fragments begin at multiples of 8");
        self.part = Some((offset, len));
        self
    }

    /// The packet on Ethernet, without padding. Several tags: the outer ones are service tags.
    pub(crate) fn ethernet(&self) -> Vec<u8> {
        let (from, to) = self.macs.unwrap_or((mac(self.from.ip()), mac(self.to.ip())));
        let mut bytes = [to, from].concat();
        for (depth, id) in self.vlans.iter().enumerate() {
            let last = depth + 1 == self.vlans.len();
            put16(&mut bytes, if last { 0x8100 } else { 0x88A8 });
            put16(&mut bytes, *id);
        }
        let packet = self.ip_bytes();
        match &self.shim {
            None => put16(&mut bytes, self.ether_type()),
            Some(Shim::Mpls(labels)) => {
                put16(&mut bytes, 0x8847);
                for (depth, label) in labels.iter().enumerate() {
                    let last = u32::from(depth + 1 == labels.len());
                    put32(&mut bytes, label << 12 | last << 8 | 0xFF);
                }
            }
            Some(Shim::Pppoe { session }) => {
                put32(&mut bytes, 0x8864_1100);
                put16(&mut bytes, *session);
                put16(&mut bytes, (packet.len() + 2) as u16);
                put16(&mut bytes, if self.is_v6() { 0x0057 } else { 0x0021 });
            }
        }
        bytes.extend(packet);
        bytes
    }

    /// The packet in an 802.11 data frame with quality of service, on its way to an access point
    /// (link type 105).
    pub(crate) fn radio(&self) -> Vec<u8> {
        let mut bytes = vec![0x88, 0x01, 0, 0];
        bytes.extend(RADIO_NETWORK);
        bytes.extend(mac(self.from.ip()));
        bytes.extend(mac(self.to.ip()));
        bytes.extend([0x10, 0, 0, 0, 0xAA, 0xAA, 0x03, 0, 0, 0]);
        put16(&mut bytes, self.ether_type());
        bytes.extend(self.ip_bytes());
        bytes
    }

    /// The same behind a radiotap header that tells of flags (link type 127).
    pub(crate) fn radiotap(&self) -> Vec<u8> {
        [vec![0, 0, 9, 0, 2, 0, 0, 0, 0], self.radio()].concat()
    }

    /// The packet as PPP in HDLC framing (link type 9).
    pub(crate) fn ppp(&self) -> Vec<u8> {
        let protocol = if self.is_v6() { 0x57 } else { 0x21 };
        [vec![0xFF, 0x03, 0, protocol], self.ip_bytes()].concat()
    }

    /// The packet as Linux's `any` interface shows it (link type 113).
    pub(crate) fn cooked(&self) -> Vec<u8> {
        let mut bytes = vec![0, 0, 0, 1, 0, 6];
        bytes.extend(mac(self.from.ip()));
        put16(&mut bytes, 0);
        put16(&mut bytes, self.ether_type());
        bytes.extend(self.ip_bytes());
        bytes
    }

    /// The packet as a BSD loopback interface of a little-endian host shows it (link type 0).
    pub(crate) fn loopback(&self) -> Vec<u8> {
        let family: u32 = if self.is_v6() { 30 } else { 2 };
        [family.to_le_bytes().to_vec(), self.ip_bytes()].concat()
    }

    /// The packet from its IP header on (link type 101).
    pub(crate) fn ip_bytes(&self) -> Vec<u8> {
        let (mut next, mut body) = (self.protocol(), self.transport_bytes());
        for wrap in &self.wraps {
            (next, body) = wrap.around(next, &body);
        }
        let total = body.len();
        let (offset, len) = self.part.unwrap_or((0, total));
        let end = (offset + len).min(total);
        let body = &body[offset..end];
        if self.is_v6() {
            self.ipv6(next, body, offset, end < total)
        } else {
            self.ipv4(next, body, offset, end < total)
        }
    }

    fn wrap(mut self, wrap: Wrap) -> Self {
        self.wraps.push(wrap);
        self
    }

    /// Whether one of the addresses is of `2002::/16`.
    pub(crate) fn touches_6to4(&self) -> bool {
        [self.from, self.to].iter().any(|end| match end.ip() {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => address.segments()[0] == 0x2002,
        })
    }

    pub(crate) fn is_v6(&self) -> bool {
        self.from.is_ipv6()
    }

    pub(crate) fn ether_type(&self) -> u16 {
        if self.is_v6() { 0x86DD } else { 0x0800 }
    }

    fn protocol(&self) -> u8 {
        match self.kind {
            Kind::Tcp { .. } => 6,
            Kind::Udp => UDP,
            Kind::Sctp => 132,
            Kind::Icmp { .. } if self.is_v6() => 58,
            Kind::Icmp { .. } => 1,
            Kind::Other(number) => number,
        }
    }

    fn transport_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !matches!(self.kind, Kind::Icmp { .. } | Kind::Other(_)) {
            put16(&mut bytes, self.from.port());
            put16(&mut bytes, self.to.port());
        }
        let checksum_at = match &self.kind {
            Kind::Tcp { flags, sequence, acknowledgement, options } => {
                put32(&mut bytes, *sequence);
                put32(&mut bytes, *acknowledgement);
                bytes.extend([((20 + options.len()) / 4 * 16) as u8, *flags]);
                bytes.extend([0xFA, 0xF0, 0, 0, 0, 0]);
                bytes.extend(options);
                Some(16)
            }
            Kind::Udp => {
                put16(&mut bytes, (8 + self.payload.len()) as u16);
                put16(&mut bytes, 0);
                Some(6)
            }
            Kind::Sctp => {
                put32(&mut bytes, 1);
                put32(&mut bytes, 0);
                None
            }
            Kind::Icmp { kind, code } => {
                bytes.extend([*kind, *code, 0, 0, 0, 0, 0, 0]);
                Some(2)
            }
            Kind::Other(_) => None,
        };
        bytes.extend(&self.payload);
        if let Some(at) = checksum_at {
            let sum = self.checksum(&bytes);
            bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        } else if matches!(self.kind, Kind::Sctp) {
            let sum = crc32c(&bytes);
            bytes[8..12].copy_from_slice(&sum.to_le_bytes());
        }
        bytes
    }

    /// The transport checksum; ICMP for IPv4 goes without addresses in it.
    fn checksum(&self, bytes: &[u8]) -> u16 {
        let mut summed = Vec::new();
        if self.protocol() != 1 {
            put_address(&mut summed, self.from.ip());
            put_address(&mut summed, self.to.ip());
            put32(&mut summed, bytes.len() as u32);
            put32(&mut summed, u32::from(self.protocol()));
        }
        summed.extend(bytes);
        match internet_checksum(&summed) {
            // Zero would mean "no checksum" in UDP.
            0 if self.protocol() == UDP => 0xFFFF,
            sum => sum,
        }
    }

    fn ipv4(&self, next: u8, body: &[u8], offset: usize, more: bool) -> Vec<u8> {
        let mut bytes = vec![0x45, self.dscp << 2];
        put16(&mut bytes, (20 + body.len()) as u16);
        put16(&mut bytes, self.identification);
        put16(&mut bytes, (offset / 8) as u16 | u16::from(more) << 13);
        bytes.extend([self.hops, next, 0, 0]);
        put_address(&mut bytes, self.from.ip());
        put_address(&mut bytes, self.to.ip());
        let sum = internet_checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(body);
        bytes
    }

    fn ipv6(&self, next: u8, body: &[u8], offset: usize, more: bool) -> Vec<u8> {
        let mut extensions = self.extensions.clone();
        if self.part.is_some() {
            let mut header = vec![0, 0];
            put16(&mut header, offset as u16 | u16::from(more));
            put32(&mut header, u32::from(self.identification));
            extensions.push((44, header));
        }
        let numbers: Vec<u8> = extensions.iter().map(|e| e.0).chain([next]).collect();
        let mut content = Vec::new();
        for ((_, header), next) in extensions.iter().zip(&numbers[1..]) {
            content.push(*next);
            content.extend(&header[1..]);
        }
        content.extend(body);
        let mut bytes = Vec::new();
        put32(&mut bytes, 6 << 28 | u32::from(self.dscp) << 22);
        put16(&mut bytes, content.len() as u16);
        bytes.extend([numbers[0], self.hops]);
        put_address(&mut bytes, self.from.ip());
        put_address(&mut bytes, self.to.ip());
        bytes.extend(content);
        bytes
    }
}

/// A locally administered hardware address made of the last four bytes of an IP address.
fn mac(address: IpAddr) -> [u8; 6] {
    let mut bytes = Vec::new();
    put_address(&mut bytes, address);
    let mut mac = [2, 0, 0, 0, 0, 0];
    mac[2..].copy_from_slice(&bytes[bytes.len() - 4..]);
    mac
}

/// The address of the access point that radio frames go to.
const RADIO_NETWORK: [u8; 6] = [2, 0, 0, 0, 0, 0xAB];
/// Protocol numbers used more than once.
const IPV4: u8 = 4;
const UDP: u8 = 17;
const IPV6: u8 = 41;
