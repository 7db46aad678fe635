//! PPP (RFC 1661) on its own, in HDLC framing (RFC 1662) and over Ethernet (RFC 2516), and Cisco's
//! HDLC, which shares links with it.

use super::layer::{Layer, Path};
use super::span::Span;
use super::{Stop, ether, mpls};

/// PPP with or without the two bytes of HDLC framing. Leads to IP.
pub(super) fn read<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let span = match span.bytes {
        [ALL_STATIONS, UNNUMBERED, ..] => span.after(2),
        [ALL_STATIONS] => return Err(Stop::LinkHeader),
        _ => span,
    };
    unframed(span, path)
}

/// A serial line: PPP in HDLC framing or Cisco's HDLC, told apart by the address.
pub(super) fn serial<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match span.u8(0).ok_or(Stop::LinkHeader)? {
        UNICAST | MULTICAST => cisco_hdlc(span, path),
        _ => read(span, path),
    }
}

/// Cisco HDLC: an address, a zero, and an EtherType.
pub(super) fn cisco_hdlc<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let (kind, rest) = ether::kind_at(span, 2)?;
    ether::payload(kind, rest, path)
}

/// PPP whose HDLC address was overwritten with the direction, as pppd's link type has it.
pub(super) fn directed<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    unframed(span.after(2), path)
}

/// PPP over Ethernet, session stage (RFC 2516, 4): version and type 1, code 0, session, length.
pub(super) fn over_ethernet<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let (Some(start), Some(length)) = (span.u16(0), span.u16(4)) else {
        return Err(Stop::LinkHeader);
    };
    if start != PPPOE_SESSION {
        return Err(Stop::NotIp(PPPOE));
    }
    path.enter(Layer::Pppoe)?;
    unframed(span.after(6).with_len(u32::from(length)), path)
}

/// The protocol field and what follows it. An odd first byte is the whole number: both ends agreed
/// to leave the zero before it out (RFC 1661, 6.5).
fn unframed<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let first = span.u8(0).ok_or(Stop::LinkHeader)?;
    let (protocol, body) = if first & 1 == 1 {
        (u16::from(first), span.after(1))
    } else {
        (span.u16(0).ok_or(Stop::LinkHeader)?, span.after(2))
    };
    match protocol {
        IPV4 | IPV6 => Ok(body),
        MPLS | MPLS_MULTICAST => mpls::read(body, path),
        other => Err(Stop::Ppp(other)),
    }
}

/// The stable name of a PPP protocol (IANA registry "PPP DLL Protocol Numbers"); None for a number
/// that means nothing here.
pub(super) fn known(protocol: u16) -> Option<&'static str> {
    Some(match protocol {
        0x002D | 0x002F => "ppp-van-jacobson",
        0x003D => "ppp-multilink",
        0x0053 => "ppp-encrypted",
        0x00FB | 0x00FD => "ppp-compressed",
        0x8021 => "ppp-ipcp",
        0x8053 => "ppp-ecp",
        0x8057 => "ppp-ipv6cp",
        0x80FD => "ppp-ccp",
        0x8281 => "ppp-mplscp",
        0xC021 => "ppp-lcp",
        0xC023 => "ppp-pap",
        0xC025 => "ppp-lqr",
        0xC223 => "ppp-chap",
        0xC227 => "ppp-eap",
        _ => return None,
    })
}

/// HDLC address of all stations.
const ALL_STATIONS: u8 = 0xFF;
/// HDLC control field of unnumbered information.
const UNNUMBERED: u8 = 0x03;
/// Cisco HDLC's address for one receiver.
const UNICAST: u8 = 0x0F;
/// Cisco HDLC's address for all.
const MULTICAST: u8 = 0x8F;
/// PPP protocol number of IPv4.
const IPV4: u16 = 0x0021;
/// PPP protocol number of IPv6 (RFC 5072).
const IPV6: u16 = 0x0057;
/// PPP protocol number of MPLS (RFC 3032, 4.3).
const MPLS: u16 = 0x0281;
/// PPP protocol number of MPLS multicast.
const MPLS_MULTICAST: u16 = 0x0283;
/// Version 1, type 1, code 0: a session packet.
const PPPOE_SESSION: u16 = 0x1100;
/// EtherType of PPP over Ethernet.
const PPPOE: u16 = 0x8864;

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, hex, inner, layers_around_inner, stop};
    use super::*;
    use crate::input::LinkType;

    #[track_caller]
    fn layers(link_type: LinkType, header: &str) -> String {
        layers_around_inner(link_type, &[hex(header), inner()].concat())
    }

    #[test]
    fn framing_and_shortened_numbers() {
        for header in ["ff03 0021", "0021", "21", "ff03 21"] {
            assert_eq!(layers(LinkType::PPP, header), "", "{header}");
            assert_eq!(layers(LinkType::PPP_WITH_DIR, &format!("01 {header}")), "", "{header}");
        }
        assert_eq!(layers(LinkType::PPP_HDLC, "ff03 0021"), "");
        assert_eq!(layers(LinkType::PPP_HDLC, "0f00 0800"), "");
        assert_eq!(layers(LinkType::C_HDLC, "8f00 0800"), "");
        assert_eq!(layers(LinkType::PPP_PPPD, "0003 0021"), "");
        assert_eq!(layers(LinkType::PPP, "ff03 0281 000121ff"), "mpls:18");
    }

    #[test]
    fn ppp_over_ethernet() {
        // Session 0x11, then a PPP frame of 34 bytes.
        assert_eq!(layers(LinkType::PPP_ETHER, "1100 0011 0022 0021"), "pppoe");
        let header = "020000000002 020000000001 88a8 0e78 8100 09aa 8864 1100 0011 0022 0021";
        assert_eq!(layers(LinkType::ETHERNET, header), "pppoe");
        let terminate = hex("020000000002 020000000001 8863 11a7 0011 0000");
        assert_eq!(stop(&frame(LinkType::ETHERNET, &terminate)), Stop::NotIp(0x8863));
        let version = hex("2100 0011 0022 0021");
        assert_eq!(stop(&frame(LinkType::PPP_ETHER, &version)), Stop::NotIp(0x8864));
    }

    #[test]
    fn other_protocols_are_named() {
        let name = |header: &str| stop(&frame(LinkType::PPP, &hex(header))).to_string();
        assert_eq!(name("ff03 c021 0101"), "ppp-lcp");
        assert_eq!(name("ff03 8021 0101"), "ppp-ipcp");
        assert_eq!(name("fd 00"), "ppp-compressed");
        assert_eq!(name("ff03 4242 00"), "ppp-0x4242");
        let slarp = hex("8f00 8035 00000002");
        assert_eq!(stop(&frame(LinkType::C_HDLC, &slarp)), Stop::NotIp(0x8035));
    }
}
