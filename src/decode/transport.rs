//! Transport headers: ports, TCP control bits, and where the payload begins.
//!
//! Fields are read one by one instead of through a whole-header type, because a snaplen that cuts
//! the header still leaves the ports, and the ports are what an audit needs most.

use std::net::IpAddr;

use super::ip::{Datagram, Fragment};
use super::span::Span;
use super::{Detail, Stop, TcpFlags, Transport, icmp, ipsec};

/// A transport header, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    /// Source port; 0 for a transport without ports.
    pub(super) source_port: u16,
    /// Destination port; 0 for a transport without ports.
    pub(super) destination_port: u16,
    /// What the header says beyond ports.
    pub(super) detail: Detail,
    /// The checksum as captured; 0 where there is none, or it was cut.
    pub(super) checksum: u16,
    /// Whether that checksum is right, where it was looked at.
    pub(super) checksum_holds: Option<bool>,
    /// What follows the header.
    pub(super) payload: Span<'a>,
}

impl<'a> Segment<'a> {
    /// A segment of a transport without ports.
    pub(super) fn portless(detail: Detail, payload: Span<'a>) -> Self {
        Self {
            source_port: 0,
            destination_port: 0,
            detail,
            checksum: 0,
            checksum_holds: None,
            payload,
        }
    }
}

/// Reads the transport header of a datagram. A transport without a reader is all payload.
pub(super) fn read<'a>(datagram: &Datagram<'a>) -> Result<Segment<'a>, Stop> {
    let body = datagram.body;
    match datagram.transport {
        Transport::TCP => tcp(body, datagram.fragment).map(|segment| checked(segment, datagram)),
        Transport::UDP => udp(datagram),
        Transport::SCTP => sctp(body),
        Transport::ICMP | Transport::ICMPV6 => icmp::read(datagram.transport, body),
        Transport::ESP => ipsec::esp(datagram),
        Transport::WESP => ipsec::wrapped_esp(datagram),
        Transport::AH => ipsec::opaque_ah(datagram),
        _ => Ok(Segment::portless(Detail::None, body)),
    }
}

/// Whether [`read`] finds more than payload behind an encapsulation.
pub(super) fn is_readable(transport: Transport) -> bool {
    matches!(
        transport,
        Transport::TCP
            | Transport::UDP
            | Transport::SCTP
            | Transport::ICMP
            | Transport::ICMPV6
            | Transport::ESP
            | Transport::WESP
            | Transport::AH
    )
}

/// The two ports that TCP, UDP and SCTP headers begin with.
pub(super) fn ports(header: Span<'_>) -> Option<(u16, u16)> {
    let [s1, s0, d1, d0] = *header.bytes.first_chunk::<4>()?;
    Some((u16::from_be_bytes([s1, s0]), u16::from_be_bytes([d1, d0])))
}

/// TCP (RFC 9293, 3.1).
fn tcp(span: Span<'_>, fragment: Fragment) -> Result<Segment<'_>, Stop> {
    let bad = Stop::TransportHeader(Transport::TCP);
    let (source_port, destination_port) = ports(span).ok_or(bad)?;
    let header_len = span.u8(12).map_or(TCP_MIN_LEN, |offset| usize::from(offset >> 4) * 4);
    if header_len < TCP_MIN_LEN || !fits(header_len, span, fragment) {
        return Err(bad);
    }
    Ok(Segment {
        source_port,
        destination_port,
        detail: tcp_detail(span).unwrap_or(Detail::None),
        checksum: span.u16(16).unwrap_or_default(),
        checksum_holds: None,
        payload: span.after(header_len),
    })
}

/// Looks at the checksum of a segment that opens a connection: there is one on each side of every
/// connection, short and soon summed up, and a host that leaves checksums to its network card leaves
/// these too.
fn checked<'a>(segment: Segment<'a>, datagram: &Datagram<'a>) -> Segment<'a> {
    let opens = matches!(segment.detail, Detail::Tcp { flags, .. } if flags.has(TcpFlags::SYN));
    let body = datagram.body;
    let whole = body.bytes.len() as u64 == u64::from(body.wire_len);
    if !opens || !whole || datagram.fragment != Fragment::Whole || body.bytes.len() > MAX_SUMMED {
        return segment;
    }
    let pseudo =
        pseudo_header(datagram.source, datagram.destination, Transport::TCP, body.wire_len);
    Segment { checksum_holds: Some(sums_up(body, pseudo)), ..segment }
}

/// The sum of what stands for the IP header in checksums of transports (RFC 9293, 3.1; RFC 8200, 8.1).
pub(super) fn pseudo_header(from: IpAddr, to: IpAddr, transport: Transport, len: u32) -> u32 {
    address_sum(from) + address_sum(to) + u32::from(transport.0) + (len >> 16) + (len & 0xFFFF)
}

/// Whether bytes with a checksum in them are right (RFC 1071); `before` is the sum of what stands before
/// them.
pub(super) fn sums_up(span: Span<'_>, before: u32) -> bool {
    let mut sum = u64::from(before);
    // In pieces whose sums do not overflow.
    for piece in span.bytes.chunks(1 << 16) {
        sum += u64::from(sum_of_words(piece));
    }
    while sum > 0xFFFF {
        sum = (sum >> 16) + (sum & 0xFFFF);
    }
    sum == 0xFFFF
}

fn address_sum(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(v4) => sum_of_words(&v4.octets()),
        IpAddr::V6(v6) => sum_of_words(&v6.octets()),
    }
}

/// The sum of the 16-bit words of some bytes (RFC 1071), of few enough for it not to overflow.
fn sum_of_words(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().map_or(0, |byte| u32::from(*byte) << 8);
    words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum::<u32>() + last
}

fn tcp_detail(span: Span<'_>) -> Option<Detail> {
    Some(Detail::Tcp {
        flags: TcpFlags(span.u8(13)?),
        sequence: span.u32(4)?,
        acknowledgement: span.u32(8)?,
    })
}

/// UDP (RFC 768).
fn udp<'a>(datagram: &Datagram<'a>) -> Result<Segment<'a>, Stop> {
    let span = datagram.body;
    let bad = Stop::TransportHeader(Transport::UDP);
    let (source_port, destination_port) = ports(span).ok_or(bad)?;
    if !fits(UDP_LEN, span, datagram.fragment) {
        return Err(bad);
    }
    let payload = udp_payload(span);
    let detail = if source_port == ipsec::NAT_PORT || destination_port == ipsec::NAT_PORT {
        ipsec::udp_encapsulation(payload, datagram).map_or(Detail::None, Detail::UdpEncapsulation)
    } else {
        Detail::None
    };
    let checksum = span.u16(6).unwrap_or_default();
    let checksum_holds = None;
    Ok(Segment { source_port, destination_port, detail, checksum, checksum_holds, payload })
}

/// What follows a UDP header.
#[inline]
pub(super) fn udp_payload(span: Span<'_>) -> Span<'_> {
    let datagram = match span.u16(4).map(u32::from) {
        Some(len) if (UDP_LEN as u32..=span.wire_len).contains(&len) => span.with_len(len),
        // Offload leaves it 0, a fragment holds less than it says: the IP header knows better.
        _ => span,
    };
    datagram.after(UDP_LEN)
}

/// SCTP (RFC 9260, 3.1): the common header is read whole or not at all, since every chunk that
/// tells a peer's mind follows it.
fn sctp(span: Span<'_>) -> Result<Segment<'_>, Stop> {
    match ports(span) {
        Some((source_port, destination_port)) if span.holds(SCTP_LEN) => Ok(Segment {
            source_port,
            destination_port,
            detail: Detail::None,
            // The lower half of a CRC tells packets apart as well as the whole.
            checksum: span.u16(10).unwrap_or_default(),
            checksum_holds: None,
            payload: span.after(SCTP_LEN),
        }),
        _ => Err(Stop::TransportHeader(Transport::SCTP)),
    }
}

/// Whether a header of this length was on the wire. The header of a first fragment may go on in
/// the next one.
fn fits(header_len: usize, span: Span<'_>, fragment: Fragment) -> bool {
    header_len as u64 <= u64::from(span.wire_len) || fragment == Fragment::First
}

/// The longest segment whose checksum is looked at, in bytes: one that opens a connection is rarely
/// longer than its header.
const MAX_SUMMED: usize = 256;
/// A TCP header without options, in bytes.
const TCP_MIN_LEN: usize = 20;
/// A UDP header, in bytes.
const UDP_LEN: usize = 8;
/// An SCTP common header, in bytes.
const SCTP_LEN: usize = 12;

#[cfg(test)]
mod tests {
    use super::super::testing::{SYN, UDP, cut_frame, hex, ipv4, packet, raw, raw_stop, stop};
    use super::*;
    use crate::input::LinkType;

    const BAD_TCP: Stop = Stop::TransportHeader(Transport::TCP);
    const BAD_UDP: Stop = Stop::TransportHeader(Transport::UDP);
    const BAD_SCTP: Stop = Stop::TransportHeader(Transport::SCTP);

    #[test]
    fn a_tcp_header_with_options() {
        let bytes = ipv4(6, &[hex(SYN), hex("160301")].concat());
        let packet = raw(&bytes);
        assert_eq!((packet.source_port, packet.destination_port), (50000, 5061));
        let syn = Detail::Tcp { flags: TcpFlags(TcpFlags::SYN), sequence: 1, acknowledgement: 0 };
        assert_eq!(packet.detail, syn);
        assert_eq!((packet.payload, packet.payload_len), (&hex("160301")[..], 3));
    }

    #[test]
    fn the_checksum_of_an_opening_segment_is_looked_at() {
        let right = |mut tcp: Vec<u8>| {
            let mut sum: u32 = 0x0a00 + 1 + 0x0a00 + 2 + 6 + tcp.len() as u32;
            sum += sum_of_words(&tcp);
            sum = (sum >> 16) + (sum & 0xFFFF);
            let sum = !((sum >> 16) + (sum & 0xFFFF)) as u16;
            tcp[16..18].copy_from_slice(&sum.to_be_bytes());
            tcp
        };
        let holds = |tcp: &[u8]| raw(&ipv4(6, tcp)).checksum_holds;
        let good = right(hex(SYN));
        assert_eq!(holds(&good), Some(true));
        assert_eq!(holds(&right([hex(SYN), vec![7; 3]].concat())), Some(true));
        assert_eq!(holds(&hex(SYN)), Some(false));
        // Nobody looks at others, or at what was cut or is too long.
        let mut ack = good.clone();
        ack[13] = TcpFlags::ACK;
        assert_eq!(holds(&ack), None);
        assert_eq!(holds(&[good.clone(), vec![0; 300]].concat()), None);
        let bytes = ipv4(6, &good);
        let cut = cut_frame(LinkType::RAW, &bytes[..bytes.len() - 1], bytes.len());
        assert_eq!(packet(&cut).checksum_holds, None);
    }

    #[test]
    fn a_cut_tcp_header_keeps_its_ports() {
        let bytes = ipv4(6, &[hex(SYN), vec![5; 10]].concat());
        for len in 20..bytes.len() {
            let cut = cut_frame(LinkType::RAW, &bytes[..len], bytes.len());
            if len < 24 {
                assert_eq!(stop(&cut), BAD_TCP);
                continue;
            }
            let packet = packet(&cut);
            assert_eq!((packet.source_port, packet.destination_port), (50000, 5061));
            assert_eq!(packet.detail == Detail::None, len < 34, "cut to {len}");
            assert_eq!(packet.payload.len(), len.saturating_sub(44));
            // Before the data offset is seen, the header counts as one without options.
            assert_eq!(packet.payload_len, if len < 33 { 14 } else { 10 });
        }
    }

    #[test]
    fn a_tcp_header_that_contradicts_itself_is_refused() {
        let mut short = hex(SYN);
        short[12] = 0x40;
        assert_eq!(raw_stop(&ipv4(6, &short)), BAD_TCP);
        let mut long = hex(SYN);
        long[12] = 0x70;
        assert_eq!(raw_stop(&ipv4(6, &long)), BAD_TCP);
        assert_eq!(raw_stop(&ipv4(6, &hex(SYN)[..12])), BAD_TCP);
    }

    #[test]
    fn a_cut_udp_header_keeps_its_ports() {
        let bytes = ipv4(17, &hex(UDP));
        for len in 20..bytes.len() {
            let cut = cut_frame(LinkType::RAW, &bytes[..len], bytes.len());
            if len < 24 {
                assert_eq!(stop(&cut), BAD_UDP);
                continue;
            }
            let packet = packet(&cut);
            assert_eq!((packet.source_port, packet.destination_port), (50000, 49200));
            assert_eq!(packet.payload.len(), len.saturating_sub(28));
            assert_eq!(packet.payload_len, 4);
        }
    }

    #[test]
    fn the_udp_length_counts_when_it_can_be_true() {
        let payload_len = |len: &str| {
            let udp = [hex("c350 c030"), hex(len), hex("0000 0102030405060708")].concat();
            raw(&ipv4(17, &udp)).payload_len
        };
        assert_eq!(payload_len("000b"), 3);
        assert_eq!(payload_len("0008"), 0);
        assert_eq!(payload_len("0010"), 8);
        for impossible in ["0000", "0007", "0011", "ffff"] {
            assert_eq!(payload_len(impossible), 8, "{impossible}");
        }
        assert_eq!(raw_stop(&ipv4(17, &hex("c350 c030 0007 00"))), BAD_UDP);
    }

    #[test]
    fn an_sctp_header_is_read_whole_or_not_at_all() {
        let sctp = hex("0b59 0b5a 00000001 00000000 0100 0014");
        let bytes = ipv4(132, &sctp);
        let packet = raw(&bytes);
        assert_eq!((packet.source_port, packet.destination_port), (2905, 2906));
        assert_eq!((packet.payload, packet.payload_len), (&hex("01000014")[..], 4));
        for len in 20..32 {
            let cut = cut_frame(LinkType::RAW, &bytes[..len], bytes.len());
            assert_eq!(stop(&cut), BAD_SCTP);
        }
    }

    #[test]
    fn other_transports_are_all_payload() {
        let bytes = ipv4(89, &hex("0201002c"));
        let packet = raw(&bytes);
        assert_eq!(packet.transport.to_string(), "ospf");
        assert_eq!((packet.source_port, packet.destination_port), (0, 0));
        assert_eq!((packet.payload, packet.payload_len), (&hex("0201002c")[..], 4));
    }
}
