//! ICMP errors: which packet did not get through, and why.
//!
//! Types and codes are those of RFC 792 and RFC 1812 (section 5.2.7.1) for IPv4 and of RFC 4443
//! (section 3.1) for IPv6. An error quotes the head of the packet it is about; routers quote as
//! little as the IP header and eight bytes, which is enough for the ports.

use super::layer::Path;
use super::span::Span;
use super::transport::{Segment, ports};
use super::{Detail, IcmpErrorKind, Quoted, Stop, Transport, ip};

/// Reads an ICMP message of either version; its payload is what follows the first eight bytes.
pub(super) fn read(transport: Transport, span: Span<'_>) -> Result<Segment<'_>, Stop> {
    let (Some(kind), Some(code), true) = (span.u8(0), span.u8(1), span.holds(HEADER_LEN)) else {
        return Err(Stop::TransportHeader(transport));
    };
    let payload = span.after(HEADER_LEN);
    let detail = error_kind(transport, kind, code)
        .and_then(|error| quoted(error, payload))
        .map_or(Detail::None, Detail::IcmpError);
    // The checksum covers the four bytes that tell one echo from the next.
    let checksum = span.u16(2).unwrap_or_default();
    Ok(Segment { checksum, ..Segment::portless(detail, payload) })
}

/// What an error type and code say of the quoted packet; None for other messages.
fn error_kind(transport: Transport, kind: u8, code: u8) -> Option<IcmpErrorKind> {
    match (transport, kind, code) {
        // A packet too big for the path is sent again in smaller ones: nothing is unreachable.
        (Transport::ICMP, 3, 4) => None,
        (Transport::ICMP, 3, 2 | 3) | (Transport::ICMPV6, 1, 4) => {
            Some(IcmpErrorKind::PortUnreachable)
        }
        (Transport::ICMP, 3, 9 | 10 | 13) | (Transport::ICMPV6, 1, 1 | 5 | 6) => {
            Some(IcmpErrorKind::Prohibited)
        }
        (Transport::ICMP, 3, _) | (Transport::ICMPV6, 1, _) => Some(IcmpErrorKind::Unreachable),
        _ => None,
    }
}

/// Reads the quoted packet, of which only the ports must be there. It is opened as the packet
/// itself was, so that both lead to one flow.
fn quoted(kind: IcmpErrorKind, quote: Span<'_>) -> Option<Quoted> {
    let datagram = ip::innermost(quote, &mut Path::new(), |_| {}).ok()?;
    let (source_port, destination_port) =
        if datagram.transport.has_ports() { ports(datagram.body)? } else { (0, 0) };
    // An error quotes eight bytes at least, and the SPI is in the first four (RFC 4303, 2).
    let is_esp = datagram.transport == Transport::ESP;
    let spi = if is_esp { Some(datagram.body.u32(0)?) } else { None };
    Some(Quoted {
        kind,
        source: datagram.source,
        destination: datagram.destination,
        transport: datagram.transport,
        source_port,
        destination_port,
        spi,
    })
}

/// Type, code, checksum and four bytes of the message's own.
const HEADER_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use super::super::testing::{
        SYN, UDP, cut_frame, hex, ipv4, ipv6, packet, raw, raw_stop, stop,
    };
    use super::*;
    use crate::input::LinkType;
    use IcmpErrorKind::{PortUnreachable, Prohibited, Unreachable};

    fn v4_error(kind: u8, code: u8, quote: &[u8]) -> Vec<u8> {
        ipv4(1, &[&[kind, code, 0, 0, 0, 0, 0, 0], quote].concat())
    }

    fn v6_error(kind: u8, code: u8, quote: &[u8]) -> Vec<u8> {
        ipv6(58, &[&[kind, code, 0, 0, 0, 0, 0, 0], quote].concat())
    }

    fn quote_in(error: &[u8]) -> Option<Quoted> {
        match raw(error).detail {
            Detail::IcmpError(quoted) => Some(quoted),
            _ => None,
        }
    }

    #[test]
    fn an_error_names_the_packet_it_quotes() {
        let bytes = v4_error(3, 3, &ipv4(17, &hex(UDP)));
        let packet = raw(&bytes);
        assert_eq!(packet.transport, Transport::ICMP);
        assert_eq!((packet.source_port, packet.destination_port), (0, 0));
        assert_eq!((packet.payload.len(), packet.payload_len), (32, 32));
        let quoted = Quoted {
            kind: PortUnreachable,
            source: "10.0.0.1".parse().unwrap(),
            destination: "10.0.0.2".parse().unwrap(),
            transport: Transport::UDP,
            source_port: 50000,
            destination_port: 49200,
            spi: None,
        };
        assert_eq!(packet.detail, Detail::IcmpError(quoted));
    }

    #[test]
    fn codes_say_why() {
        let kinds = |make: fn(u8, u8, &[u8]) -> Vec<u8>, kind, quote: &[u8]| {
            (0..=15)
                .map(|code| quote_in(&make(kind, code, quote)).map(|quoted| quoted.kind))
                .collect::<Vec<_>>()
        };
        let mut v4 = vec![Some(Unreachable); 16];
        v4[2..=3].fill(Some(PortUnreachable));
        v4[4] = None;
        v4[9..=10].fill(Some(Prohibited));
        v4[13] = Some(Prohibited);
        assert_eq!(kinds(v4_error, 3, &ipv4(6, &hex(SYN))), v4);
        let mut v6 = vec![Some(Unreachable); 16];
        v6[1] = Some(Prohibited);
        v6[4] = Some(PortUnreachable);
        v6[5..=6].fill(Some(Prohibited));
        assert_eq!(kinds(v6_error, 1, &ipv6(6, &hex(SYN))), v6);
    }

    #[test]
    fn a_quote_may_end_behind_the_ports() {
        let whole = ipv4(6, &hex(SYN));
        for len in 0..whole.len() {
            let ports = quote_in(&v4_error(3, 13, &whole[..len]))
                .map(|quoted| (quoted.source_port, quoted.destination_port));
            assert_eq!(ports, (len >= 24).then_some((50000, 5061)), "quote of {len} bytes");
        }
        let chain = [hex("1100 010400000000"), hex(UDP)].concat();
        let quoted = quote_in(&v6_error(1, 4, &ipv6(60, &chain)[..52])).unwrap();
        assert_eq!((quoted.transport, quoted.destination_port), (Transport::UDP, 49200));
    }

    #[test]
    fn a_quote_is_opened_like_a_packet() {
        let ah = hex("1104 0000 01020304 00000009 a0a1a2a3a4a5a6a7a8a9aaab");
        let quoted = quote_in(&v4_error(3, 3, &ipv4(51, &[ah, hex(UDP)].concat()))).unwrap();
        assert_eq!((quoted.transport, quoted.destination_port), (Transport::UDP, 49200));
        let quoted = quote_in(&v4_error(3, 2, &ipv4(50, &hex("00001000 00000001")))).unwrap();
        assert_eq!((quoted.transport, quoted.source_port), (Transport::ESP, 0));
        assert_eq!(quoted.spi, Some(0x1000));
    }

    #[test]
    fn a_quoted_later_fragment_has_no_ports_to_name() {
        let mut quote = ipv4(17, &hex(UDP));
        quote[7] = 1;
        assert_eq!(quote_in(&v4_error(3, 3, &quote)), None);
    }

    #[test]
    fn other_messages_quote_nothing() {
        let quote = ipv4(17, &hex(UDP));
        for kind in [0, 4, 5, 8, 11, 12] {
            assert_eq!(quote_in(&v4_error(kind, 3, &quote)), None);
        }
        let quote = ipv6(17, &hex(UDP));
        for kind in [2, 3, 128, 129, 135] {
            assert_eq!(quote_in(&v6_error(kind, 4, &quote)), None);
        }
    }

    #[test]
    fn a_cut_message_is_refused() {
        let bytes = v4_error(3, 3, &[]);
        for len in 20..28 {
            let cut = cut_frame(LinkType::RAW, &bytes[..len], bytes.len());
            assert_eq!(stop(&cut), Stop::TransportHeader(Transport::ICMP));
        }
        assert_eq!(packet(&cut_frame(LinkType::RAW, &bytes, 60)).detail, Detail::None);
        let short = ipv6(58, &[1, 4, 0, 0]);
        assert_eq!(raw_stop(&short), Stop::TransportHeader(Transport::ICMPV6));
    }
}
