//! The stack that nearly every frame has, read at once: Ethernet, at most one VLAN tag, IPv4 or IPv6
//! without options, TCP or UDP, captured at least to the end of the transport header.
//!
//! It gives what the general reader gives, or nothing: everything unusual (fragments, options, tunnels,
//! lengths that do not fit, connections that open) is left to that one. A property test holds the two
//! together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::layer::{Layers, Vlans};
use super::span::Span;
use super::{Detail, IKE_PORT, Layer, Packet, TcpFlags, Transport, ipsec, udp_tunnel};
use crate::input::Frame;

/// The packet in an Ethernet frame of the common kind.
#[inline(always)]
#[expect(clippy::inline_always, reason = "only so is the packet written where it is wanted")]
pub(super) fn packet<'a>(frame: &Frame<'a>) -> Option<Packet<'a>> {
    let (head, rest) = frame.data.split_first_chunk::<14>()?;
    let mut vlans = Vlans::new(0);
    let (kind, network) = match u16::from_be_bytes([head[12], head[13]]) {
        0x8100 => {
            let ([c1, c0, k1, k0], rest) = rest.split_first_chunk::<4>()?;
            vlans.push(u16::from_be_bytes([*c1, *c0]) & 0x0FFF);
            (u16::from_be_bytes([*k1, *k0]), rest)
        }
        kind => (kind, rest),
    };
    let header = match kind {
        0x0800 => v4(network)?,
        0x86DD => v6(network)?,
        _ => return None,
    };
    // All that the IP header announces is there, or what is missing was cut by the snaplen.
    let captured = header.body.len().min(header.len);
    let body = header.body.get(..captured)?;
    let cut =
        u64::from(frame.original_len) - frame.data.len().min(frame.original_len as usize) as u64;
    if captured < header.len && ((header.len - captured) as u64) > cut {
        return None;
    }
    let transport = match header.transport {
        6 => tcp(body, header.len)?,
        17 => udp(body, header.len)?,
        _ => return None,
    };
    Some(Packet {
        time: frame.time,
        frame: frame.number,
        wire_len: frame.original_len,
        source: header.source,
        destination: header.destination,
        transport: Transport(header.transport),
        source_port: u16_at(body, 0)?,
        destination_port: u16_at(body, 2)?,
        detail: transport.detail,
        payload: transport.payload,
        payload_len: transport.payload_len,
        vlans,
        layers: Layers::new(Layer::IpInIp),
        shield: None,
        framed: None,
        first_fragment: false,
        identification: header.identification,
        hop_limit: header.hop_limit,
        checksum: transport.checksum,
        checksum_holds: None,
    })
}

struct Header<'a> {
    source: IpAddr,
    destination: IpAddr,
    transport: u8,
    identification: u32,
    hop_limit: u8,
    /// What follows the header, padding included.
    body: &'a [u8],
    /// How long the header says that is.
    len: usize,
}

struct Segment<'a> {
    detail: Detail,
    checksum: u16,
    payload: &'a [u8],
    payload_len: u32,
}

/// IPv4 (RFC 791) without options, not a fragment.
#[inline]
fn v4(network: &[u8]) -> Option<Header<'_>> {
    let (header, body) = network.split_first_chunk::<20>()?;
    let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3FFF;
    if header[0] != 0x45 || fragment != 0 || total < 20 {
        return None;
    }
    let address = |at: usize| {
        IpAddr::V4(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]))
    };
    Some(Header {
        source: address(12),
        destination: address(16),
        transport: header[9],
        identification: u16::from_be_bytes([header[4], header[5]]).into(),
        hop_limit: header[8],
        body,
        len: total - 20,
    })
}

/// IPv6 (RFC 8200) without extension headers; no jumbogram.
#[inline]
fn v6(network: &[u8]) -> Option<Header<'_>> {
    let (header, body) = network.split_first_chunk::<40>()?;
    let len = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || len == 0 {
        return None;
    }
    let address = |at: usize| -> Option<IpAddr> {
        Some(IpAddr::V6(Ipv6Addr::from(*header.get(at..)?.first_chunk::<16>()?)))
    };
    Some(Header {
        source: address(8)?,
        destination: address(24)?,
        transport: header[6],
        identification: 0,
        hop_limit: header[7],
        body,
        len,
    })
}

/// TCP (RFC 9293). A segment that opens a connection has its checksum looked at elsewhere.
#[inline]
fn tcp(body: &[u8], len: usize) -> Option<Segment<'_>> {
    let header = body.first_chunk::<20>()?;
    let header_len = usize::from(header[12] >> 4) * 4;
    let flags = TcpFlags(header[13]);
    let ports = [u16_at(body, 0)?, u16_at(body, 2)?];
    let unusual = flags.has(TcpFlags::SYN) || ports.contains(&ipsec::NAT_PORT);
    if header_len < 20 || header_len > len || unusual {
        return None;
    }
    Some(Segment {
        detail: Detail::Tcp {
            flags,
            sequence: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            acknowledgement: u32::from_be_bytes([header[8], header[9], header[10], header[11]]),
        },
        checksum: u16::from_be_bytes([header[16], header[17]]),
        payload: body.get(header_len..).unwrap_or_default(),
        payload_len: (len - header_len) as u32,
    })
}

/// UDP (RFC 768) of the length that IP says, on no port of a tunnel, of ESP or of key exchange.
#[inline]
fn udp(body: &[u8], len: usize) -> Option<Segment<'_>> {
    let header = body.first_chunk::<8>()?;
    let stated = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let ports = [u16_at(body, 0)?, u16_at(body, 2)?];
    let of_ipsec = ports.iter().any(|port| [ipsec::NAT_PORT, IKE_PORT].contains(port));
    if stated != len || of_ipsec || udp_tunnel::may_be(Span::new(body, 0)) {
        return None;
    }
    Some(Segment {
        detail: Detail::None,
        checksum: u16::from_be_bytes([header[6], header[7]]),
        payload: body.get(8..).unwrap_or_default(),
        payload_len: (len - 8) as u32,
    })
}

#[inline]
fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{SYN, UDP, cut_frame, hex, ipv4, ipv6};
    use super::super::{Decoded, general};
    use super::*;
    use crate::input::LinkType;

    /// What both readers make of a frame, in words.
    fn compare(frame: &Frame<'_>) -> bool {
        let Some(packet) = packet(frame) else {
            return false;
        };
        let Decoded::Packet(expected) = general(frame) else {
            panic!("the general reader finds no packet in {:02x?}", frame.data);
        };
        assert_eq!(format!("{packet:?}"), format!("{expected:?}"));
        true
    }

    fn ethernet(tag: &str, kind: &str, network: &[u8]) -> Vec<u8> {
        [hex("020000000002020000000001"), hex(tag), hex(kind), network.to_vec()].concat()
    }

    fn common() -> Vec<Vec<u8>> {
        let mut ack = hex(SYN);
        ack[13] = 0x18;
        ack.extend([0x16, 3, 1]);
        [
            ethernet("", "0800", &ipv4(6, &ack)),
            ethernet("", "86dd", &ipv6(6, &ack)),
            ethernet("81000014", "0800", &ipv4(17, &hex(UDP))),
            ethernet("", "86dd", &ipv6(17, &hex(UDP))),
        ]
        .into()
    }

    #[test]
    fn the_common_kinds_are_read_here_and_the_same() {
        for bytes in common() {
            assert!(compare(&cut_frame(LinkType::ETHERNET, &bytes, bytes.len())));
            let padded = [bytes.clone(), vec![0; 9]].concat();
            assert!(compare(&cut_frame(LinkType::ETHERNET, &padded, padded.len())));
        }
    }

    #[test]
    fn what_ipsec_speaks_in_udp_is_left_to_the_general_reader() {
        for port in [[0x01, 0xf4], [0x11, 0x94]] {
            for at in [0, 2] {
                let mut udp = hex(UDP);
                udp[at..at + 2].copy_from_slice(&port);
                let bytes = ethernet("", "0800", &ipv4(17, &udp));
                assert!(!compare(&cut_frame(LinkType::ETHERNET, &bytes, bytes.len())));
            }
        }
    }

    #[test]
    fn what_opens_a_connection_is_left_to_the_general_reader() {
        let bytes = ethernet("", "0800", &ipv4(6, &hex(SYN)));
        assert!(!compare(&cut_frame(LinkType::ETHERNET, &bytes, bytes.len())));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

        #[test]
        fn damaged_and_cut_frames_read_the_same_or_not_here(
            which in 0..4_usize,
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
            more in 0..90_u32,
        ) {
            let mut bytes = common().swap_remove(which);
            for (at, value) in damage {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            let whole = bytes.len();
            let cut = whole - cut.index(whole) * usize::from(more % 3 == 0);
            let frame = Frame {
                original_len: cut as u32 + more,
                ..cut_frame(LinkType::ETHERNET, &bytes[..cut], cut)
            };
            compare(&frame);
            // A frame that says it was shorter than it is.
            compare(&Frame { original_len: more, ..frame });
        }
    }
}
