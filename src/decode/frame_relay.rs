//! Frame Relay (ITU-T Q.922, RFC 2427) and the LLC-like headers of ATM (RFC 2684).

use super::layer::Path;
use super::span::Span;
use super::{Stop, ether, ppp};

/// An address of two to four bytes, of which the last has its lowest bit set; then either a control
/// byte and a protocol id (RFC 2427), or an EtherType as Cisco's own encapsulation has it.
pub(super) fn read<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let address = span.bytes.iter().take(4).position(|byte| byte & 1 == 1);
    let rest = span.after(address.ok_or(Stop::LinkHeader)? + 1);
    if rest.u8(0).ok_or(Stop::LinkHeader)? == UNNUMBERED {
        return network_layer(rest.after(1), path);
    }
    let (kind, rest) = ether::kind_at(rest, 0)?;
    ether::payload(kind, rest, path)
}

/// Network layer protocol ids (ISO/IEC TR 9577); a zero before them is padding.
fn network_layer<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match span.u8(0).ok_or(Stop::LinkHeader)? {
        0 if span.u8(1).ok_or(Stop::LinkHeader)? == SNAP => snap(span.after(2), path),
        SNAP => snap(span.after(1), path),
        IPV4 | IPV6 => Ok(span.after(1)),
        PPP => ppp::read(span.after(1), path),
        _ => Err(Stop::NotIp(0)),
    }
}

/// LLC on ATM: SNAP, bridged Ethernet included, or a network layer protocol id.
pub(super) fn atm<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match span.bytes {
        [0xAA, 0xAA, 0x03, ..] => snap(span.after(3), path),
        [0xFE, 0xFE, 0x03, ..] => network_layer(span.after(3), path),
        [_, _, _, ..] => Err(Stop::NotIp(0)),
        _ => Err(Stop::LinkHeader),
    }
}

/// An organisation and its number for what follows: an EtherType under organisation 0, bridged
/// Ethernet under that of IEEE 802.1 (RFC 2684, 5.2: 1 with its checksum, 7 without, after padding).
fn snap<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match span.bytes {
        [0, 0, 0, ..] => {
            let (kind, rest) = ether::kind_at(span, 3)?;
            if kind < ether::ETHER_TYPES_FROM {
                return Err(Stop::NotIp(0));
            }
            ether::payload(kind, rest, path)
        }
        [0, 0x80, 0xC2, 0, 1 | 7, rest @ ..] => {
            // ATM pads with two zeros, Frame Relay does not.
            let padding = if rest.starts_with(&[0, 0]) { 2 } else { 0 };
            ether::frame(span.after(5 + padding), path)
        }
        [_, _, _, _, _, ..] => Err(Stop::NotIp(0)),
        _ => Err(Stop::LinkHeader),
    }
}

/// Control field of unnumbered information.
const UNNUMBERED: u8 = 0x03;
/// Protocol id: SNAP follows.
const SNAP: u8 = 0x80;
/// Protocol id of IPv4.
const IPV4: u8 = 0xCC;
/// Protocol id of IPv6.
const IPV6: u8 = 0x8E;
/// Protocol id of PPP (RFC 1973).
const PPP: u8 = 0xCF;

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, hex, inner, inner_frame, reads, stop};
    use super::*;
    use crate::input::LinkType;

    #[test]
    fn the_address_may_be_long_and_the_content_named_three_ways() {
        reads(LinkType::FRELAY, "1841 03 cc", &inner());
        reads(LinkType::FRELAY, "18405001 03 cc", &inner());
        reads(LinkType::FRELAY, "1841 03 00 80 000000 0800", &inner());
        reads(LinkType::FRELAY, "1841 03 80 000000 0800", &inner());
        reads(LinkType::FRELAY, "1841 03 00 80 0080c2 0007", &inner_frame());
        reads(LinkType::FRELAY, "1841 03 cf 0021", &inner());
        reads(LinkType::FRELAY, "1841 0800", &inner());
    }

    #[test]
    fn atm_carries_the_same() {
        reads(LinkType::ATM_RFC1483, "aaaa03 000000 0800", &inner());
        reads(LinkType::ATM_CLIP, "aaaa03 000000 0800", &inner());
        reads(LinkType::ATM_RFC1483, "aaaa03 0080c2 0007 0000", &inner_frame());
        reads(LinkType::ATM_RFC1483, "fefe03 cc", &inner());
    }

    #[test]
    fn other_content_is_llc() {
        for (link_type, header) in
            [(LinkType::FRELAY, "fcf1 03 09 0001"), (LinkType::ATM_RFC1483, "fefe03 83 000000")]
        {
            assert_eq!(stop(&frame(link_type, &hex(header))), Stop::NotIp(0), "{header}");
        }
        assert_eq!(stop(&frame(LinkType::FRELAY, &hex("18 40 40 40 40"))), Stop::LinkHeader);
    }
}
