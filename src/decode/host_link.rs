//! Link types in which the capturing host itself tells of the packet: macOS's packet tap, Linux's
//! netfilter log, the BSDs' IPsec and packet filter taps, Solaris's ipnet, serial line IP.
//!
//! Where such a header is in the byte order of the host, which the frame does not tell, its numbers
//! are small ones: read in the wrong order they would be huge.

use super::layer::Path;
use super::span::Span;
use super::{Stop, link};
use crate::input::LinkType;

/// macOS pktap: header length, record kind (1 for a packet), and the libpcap number of what follows.
/// The number 149 is also free for private use, so what does not look like pktap stays unread.
pub(super) fn packet_tap<'a>(
    link_type: LinkType,
    span: Span<'a>,
    path: &mut Path,
) -> Result<Span<'a>, Stop> {
    let (Some(len), Some(kind), Some(number)) =
        (span.u32_host(0), span.u32_host(4), span.u32_host(8))
    else {
        return Err(Stop::LinkHeader);
    };
    if !(PKTAP_MIN..PKTAP_MAX).contains(&len) || kind != 1 {
        return Err(Stop::LinkType(link_type));
    }
    link::carried(number, span.after(len as usize), path)
}

/// Linux nflog: address family, version 0, resource; then attributes of length and type, padded to
/// words, of which one is the packet.
pub(super) fn netfilter_log(span: Span<'_>) -> Result<Span<'_>, Stop> {
    let (Some(family), Some(version)) = (span.u8(0), span.u8(1)) else {
        return Err(Stop::LinkHeader);
    };
    if version != 0 {
        return Err(Stop::LinkHeader);
    }
    let mut rest = span.after(4);
    while let (Some(&[l0, l1]), Some(&[t0, t1])) =
        (rest.bytes.first_chunk::<2>(), rest.bytes.get(2..).and_then(<[u8]>::first_chunk::<2>))
    {
        // Types are small, so the byte that is not zero tells the order.
        let (length, kind) = if t1 == 0 {
            (u16::from_le_bytes([l0, l1]), t0)
        } else {
            (u16::from_be_bytes([l0, l1]), t1)
        };
        let length = usize::from(length);
        if length < 4 {
            return Err(Stop::LinkHeader);
        }
        if kind == NFLOG_PAYLOAD {
            return match family {
                2 | 10 => Ok(rest.with_len(length as u32).after(4)),
                other => Err(Stop::AddressFamily(other)),
            };
        }
        rest = rest.after(length.next_multiple_of(4));
    }
    Err(Stop::LinkHeader)
}

/// IPsec tap of OpenBSD and its relatives (`enc0`): address family in the host's order, SPI, flags.
/// It shows packets before protection or after it was taken off.
pub(super) fn ipsec_tap(span: Span<'_>) -> Result<Span<'_>, Stop> {
    family(span.u32_host(0), span.after(12))
}

/// Log of the BSDs' packet filter (`pflog0`): its own length without padding, address family.
pub(super) fn filter_log(span: Span<'_>) -> Result<Span<'_>, Stop> {
    let (Some(len), Some(number)) = (span.u8(0), span.u8(1)) else {
        return Err(Stop::LinkHeader);
    };
    if len < 4 {
        return Err(Stop::LinkHeader);
    }
    family(Some(u32::from(number)), span.after(usize::from(len).next_multiple_of(4)))
}

/// Solaris ipnet: version 1, address family (2 and 26), 22 bytes of zones and interfaces.
pub(super) fn ipnet(span: Span<'_>) -> Result<Span<'_>, Stop> {
    match (span.u8(0), span.u8(1)) {
        (Some(1), Some(2 | 26)) => Ok(span.after(24)),
        (Some(1), Some(other)) => Err(Stop::AddressFamily(other)),
        _ => Err(Stop::LinkHeader),
    }
}

/// Serial line IP: direction, a copy of the first byte, 14 bytes for connection numbers. A first byte
/// with other than version 4 in it belongs to Van Jacobson's compression (RFC 1144), which takes
/// the headers before it to undo.
pub(super) fn serial_line(span: Span<'_>) -> Result<Span<'_>, Stop> {
    match span.u8(1).ok_or(Stop::LinkHeader)? >> 4 {
        4 => Ok(span.after(16)),
        _ => Err(Stop::Ppp(VAN_JACOBSON)),
    }
}

/// BSD loopback: four bytes of address family. `AF_INET` is 2 everywhere, `AF_INET6` differs
/// between systems.
pub(super) fn family(number: Option<u32>, rest: Span<'_>) -> Result<Span<'_>, Stop> {
    match number.ok_or(Stop::LinkHeader)? {
        2 | 10 | 24 | 28 | 30 => Ok(rest),
        // Families are numbered by bytes everywhere: anything above is a broken header.
        other => Err(u8::try_from(other).map_or(Stop::LinkHeader, Stop::AddressFamily)),
    }
}

/// Attribute type of the packet itself.
const NFLOG_PAYLOAD: u8 = 9;
/// PPP's number for what Van Jacobson's compression made of a TCP header.
const VAN_JACOBSON: u16 = 0x002D;
/// Bytes of pktap's first fields up to the process id.
const PKTAP_MIN: u32 = 44;
/// A longer header is damage.
const PKTAP_MAX: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, hex, inner, inner_frame, layers_around_inner, reads, stop};
    use super::*;

    #[test]
    fn a_packet_tap_tells_what_follows() {
        let ethernet = format!("2c000000 01000000 01000000 {}", "00".repeat(32));
        let raw = format!("0000002c 00000001 0000000c {}", "00".repeat(32));
        for link_type in [LinkType::PKTAP, LinkType::PKTAP_DARWIN] {
            reads(link_type, &ethernet, &inner_frame());
            reads(link_type, &raw, &inner());
            let private = hex("ffff0000 01000000 01000000");
            assert_eq!(stop(&frame(link_type, &private)), Stop::LinkType(link_type));
            let within = hex(&ethernet.replacen("01000000 01000000", "01000000 02010000", 1));
            assert_eq!(stop(&frame(link_type, &within)), Stop::LinkHeader);
        }
    }

    #[test]
    fn a_netfilter_log_is_walked_to_its_packet() {
        // Hook (type 1), mark (2), prefix of three bytes (10), packet (9) of 36 bytes, then time.
        let attributes = "0800 0100 08000100 0800 0200 00000000 0700 0a00 61620000 2400 0900";
        let bytes = [hex("02 00 0001"), hex(attributes), inner(), hex("0800 0300 00000000")];
        assert_eq!(layers_around_inner(LinkType::NFLOG, &bytes.concat()), "");
        let other_order = "02 00 0001 0008 0001 00080001 0024 0009";
        reads(LinkType::NFLOG, other_order, &inner());
        for (bytes, why) in [
            ("07 00 0001 2400 0900", Stop::AddressFamily(7)),
            ("02 01 0001 2400 0900", Stop::LinkHeader),
            ("02 00 0001 0000 0100", Stop::LinkHeader),
            ("02 00 0001 0800 0100 00000000", Stop::LinkHeader),
        ] {
            assert_eq!(stop(&frame(LinkType::NFLOG, &hex(bytes))), why, "{bytes}");
        }
    }

    #[test]
    fn taps_of_other_systems() {
        reads(LinkType::ENC, "02000000 00001000 00000c00", &inner());
        reads(LinkType::ENC, "00000002 00001000 00000c00", &inner());
        reads(LinkType::PFLOG, &format!("3d02 {}", "00".repeat(62)), &inner());
        reads(LinkType::IPNET, &format!("0102 {}", "00".repeat(22)), &inner());
        reads(LinkType::SLIP, &format!("0045 {}", "00".repeat(14)), &inner());
        let compressed = hex(&format!("0080 {}", "00".repeat(14)));
        assert_eq!(stop(&frame(LinkType::SLIP, &compressed)), Stop::Ppp(0x2D));
    }
}
