//! ICMP errors: which packet did not get through, and why.
//!
//! Types and codes are those of RFC 792 and RFC 1812 (section 5.2.7.1) for IPv4 and of RFC 4443
//! (section 3.1) for IPv6. An error quotes the head of the packet it is about; routers quote as
//! little as the IP header and eight bytes, which is enough for the ports.

use super::span::Span;
use super::transport::{Segment, ports};
use super::{Detail, IcmpErrorKind, Layer, Layers, Quoted, Stop, Transport, ip};

/// Reads an ICMP message of either version; its payload is what follows the first eight bytes.
pub(super) fn read(transport: Transport, span: Span<'_>) -> Result<Segment<'_>, Stop> {
    let (Some(kind), Some(code), true) = (span.u8(0), span.u8(1), span.holds(HEADER_LEN)) else {
        return Err(Stop::TransportHeader(transport));
    };
    let payload = span.after(HEADER_LEN);
    let detail = error_kind(transport, kind, code)
        .and_then(|error| quoted(error, payload))
        .map_or(Detail::None, Detail::IcmpError);
    Ok(Segment::portless(detail, payload))
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
    let mut layers = Layers::new(Layer::IpInIp);
    let datagram = ip::innermost(quote, &mut layers).ok()?;
    let (source_port, destination_port) = if datagram.transport.has_ports() {
        ports(datagram.body)?
    } else {
        (0, 0)
    };
    Some(Quoted {
        kind,
        source: datagram.source,
        destination: datagram.destination,
        transport: datagram.transport,
        source_port,
        destination_port,
    })
}

/// Type, code, checksum and four bytes of the message's own.
const HEADER_LEN: usize = 8;
