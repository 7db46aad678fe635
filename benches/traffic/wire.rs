//! Headers around payloads: from a segment of a flow to a frame on the wire.

use std::net::{IpAddr, Ipv4Addr};

use super::random::Random;

/// What is around every packet of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrap {
    Nothing,
    /// One 802.1Q tag.
    Vlan,
    /// VXLAN, as mirrors in virtual networks send it (RFC 7348).
    Vxlan,
    /// ERSPAN type II in GRE (draft-foschiano-erspan-03).
    Erspan,
    /// AH in transport mode (RFC 4302).
    Ah,
    /// ESP in transport mode (RFC 4303): nothing of the packet can be read.
    Esp,
}

/// One packet, to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) source: (IpAddr, u16),
    pub(crate) destination: (IpAddr, u16),
    pub(crate) head: Head,
    /// Whether it is sent inside AH in any case.
    pub(crate) authenticated: bool,
    pub(crate) payload: &'a [u8],
    /// A number of the flow's direction, for SPIs.
    pub(crate) spi: u32,
    /// A number that grows from packet to packet of that direction.
    pub(crate) serial: u32,
}

/// Its transport header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    Tcp { flags: u8, sequence: u32, acknowledgement: u32 },
    Udp,
    Esp,
}

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

const ETHERNET: usize = 14;
const AH: usize = 24;
const VXLAN: usize = ETHERNET + 20 + 8 + 8;
const ERSPAN: usize = ETHERNET + 20 + 8 + 8;
/// Padding, pad length, next header and ICV behind what ESP encrypts, and its header and IV before.
const ESP_OVERHEAD: usize = 8 + 8 + 2 + 12;

impl Segment<'_> {
    /// Appends the frame. Transport checksums stay zero, as with checksum offload.
    pub(crate) fn write(&self, out: &mut Vec<u8>, wrap: Wrap, random: &mut Random) {
        let sealed = wrap == Wrap::Esp || self.head == Head::Esp;
        let segment = self.head_len() + self.payload.len();
        let authenticated = wrap == Wrap::Ah || self.authenticated;
        let (protocol, upper) = match (sealed, authenticated) {
            (true, _) => (50, ESP_OVERHEAD + segment.next_multiple_of(4)),
            (false, true) => (51, AH + segment),
            (false, false) => (self.protocol(), segment),
        };
        let ip = if self.source.0.is_ipv4() { 20 } else { 40 } + upper;
        match wrap {
            Wrap::Vxlan => vxlan(out, ETHERNET + ip, self.spi),
            Wrap::Erspan => erspan(out, ETHERNET + ip, self.serial),
            _ => {}
        }
        self.ethernet(out, wrap == Wrap::Vlan);
        self.ip(out, protocol, upper);
        if sealed {
            self.esp(out);
            random.fill(out, upper - 8);
            return;
        }
        if authenticated {
            self.ah(out);
        }
        self.head(out);
        out.extend_from_slice(self.payload);
    }

    fn protocol(&self) -> u8 {
        match self.head {
            Head::Tcp { .. } => 6,
            Head::Udp => 17,
            Head::Esp => 50,
        }
    }

    fn head_len(&self) -> usize {
        match self.head {
            // A SYN offers MSS, window scale and selective acknowledgements.
            Head::Tcp { flags, .. } if flags & SYN != 0 => 32,
            Head::Tcp { .. } => 20,
            Head::Udp => 8,
            Head::Esp => 0,
        }
    }

    fn ethernet(&self, out: &mut Vec<u8>, tagged: bool) {
        out.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
        if tagged {
            out.extend_from_slice(&[0x81, 0, 0, 20]);
        }
        out.extend_from_slice(if self.source.0.is_ipv4() { &[8, 0] } else { &[0x86, 0xdd] });
    }

    fn ip(&self, out: &mut Vec<u8>, protocol: u8, upper: usize) {
        match (self.source.0, self.destination.0) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                out.extend_from_slice(&[0x60, 0, 0, 0]);
                out.extend_from_slice(&(upper as u16).to_be_bytes());
                out.extend_from_slice(&[protocol, 64]);
                out.extend_from_slice(&source.octets());
                out.extend_from_slice(&destination.octets());
            }
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ipv4(out, source, destination, protocol, upper, self.serial);
            }
            _ => unreachable!("both ends of a flow are of one family"),
        }
    }

    fn ah(&self, out: &mut Vec<u8>) {
        // The length counts words of four bytes less two (RFC 4302, 2.2).
        out.extend_from_slice(&[self.protocol(), (AH / 4 - 2) as u8, 0, 0]);
        self.esp(out);
        out.extend_from_slice(&[0xa5; 12]);
    }

    fn esp(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.spi.to_be_bytes());
        out.extend_from_slice(&self.serial.to_be_bytes());
    }

    fn head(&self, out: &mut Vec<u8>) {
        if self.head == Head::Esp {
            return;
        }
        out.extend_from_slice(&self.source.1.to_be_bytes());
        out.extend_from_slice(&self.destination.1.to_be_bytes());
        match self.head {
            Head::Tcp { flags, sequence, acknowledgement } => {
                out.extend_from_slice(&sequence.to_be_bytes());
                out.extend_from_slice(&acknowledgement.to_be_bytes());
                let words = (self.head_len() / 4) as u8;
                out.extend_from_slice(&[words << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
                if flags & SYN != 0 {
                    out.extend_from_slice(&[2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2]);
                }
            }
            Head::Udp => {
                out.extend_from_slice(&(8 + self.payload.len() as u16).to_be_bytes());
                out.extend_from_slice(&[0, 0]);
            }
            Head::Esp => {}
        }
    }
}

/// An IPv4 header (RFC 791) with its checksum, which some programs do verify.
/// Hosts number their datagrams; 0 is none (RFC 6864).
fn ipv4(
    out: &mut Vec<u8>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    upper: usize,
    serial: u32,
) {
    let number = (serial % 65_535 + 1) as u16;
    let at = out.len();
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&(20 + upper as u16).to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&[0x40, 0, 64, protocol, 0, 0]);
    out.extend_from_slice(&source.octets());
    out.extend_from_slice(&destination.octets());
    let words =
        out[at..].chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    out[at + 10..at + 12].copy_from_slice(&(!(folded as u16)).to_be_bytes());
}

/// The outer headers of a mirror: Ethernet and IPv4 between two fixed devices.
fn outer(out: &mut Vec<u8>, protocol: u8, upper: usize) {
    out.extend_from_slice(&[2, 0, 0, 0, 0, 3, 2, 0, 0, 0, 0, 4, 8, 0]);
    ipv4(out, Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2), protocol, upper, 0);
}

fn vxlan(out: &mut Vec<u8>, inner: usize, entropy: u32) {
    outer(out, 17, VXLAN - ETHERNET - 20 + inner);
    // The source port spreads flows over paths (RFC 7348, 5).
    out.extend_from_slice(&(0xc000 | (entropy as u16 & 0x3fff)).to_be_bytes());
    out.extend_from_slice(&4789_u16.to_be_bytes());
    out.extend_from_slice(&(16 + inner as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0, 8, 0, 0, 0, 0, 0, 42, 0]);
}

fn erspan(out: &mut Vec<u8>, inner: usize, serial: u32) {
    outer(out, 47, ERSPAN - ETHERNET - 20 + inner);
    // GRE with a sequence number, then version 1, VLAN 20, session 7.
    out.extend_from_slice(&[0x10, 0, 0x88, 0xbe]);
    out.extend_from_slice(&serial.to_be_bytes());
    out.extend_from_slice(&[0x10, 20, 0, 7, 0, 0, 0, 0]);
}
