//! Tunnels in UDP: which ports they have, and their headers.
//!
//! The headers are read strictly, bit by reserved bit and length by length, since a port alone proves
//! nothing; `tunnel.rs` has the whole rule.

use super::layer::Layer;
use super::span::Span;
use super::tunnel::{BRIDGED, Content, Tunnel};
use super::{capwap, ether, gtp, ip, l2tp, teredo, transport, tzsp};

/// Whether the ports of a datagram are those of a tunnel. Senders to most of them choose any source
/// port; the rest answer from where they were asked.
#[inline]
pub(super) fn may_be(datagram: Span<'_>) -> bool {
    let Some((from, to)) = transport::ports(datagram) else {
        return false;
    };
    matches!(
        to,
        GTP | TEREDO | L2TP | VXLAN | VXLAN_GPE | GENEVE | CAPWAP | MPLS | VXLAN_OLD | TZSP
    ) || matches!(from, TEREDO | L2TP | CAPWAP)
}

/// Reads the header of a tunnel in a UDP datagram. Of a first fragment (`partial`) the header may
/// state more than is there.
pub(super) fn read(datagram: Span<'_>, partial: bool) -> Option<Tunnel<'_>> {
    let (from, to) = transport::ports(datagram)?;
    let payload = transport::udp_payload(datagram);
    let tunnel = match to {
        // Some senders extend the protocol and leave the port.
        VXLAN | VXLAN_OLD | VXLAN_GPE => vxlan(payload).or_else(|| vxlan_gpe(payload)),
        GENEVE => geneve(payload),
        GTP => gtp::read(payload, partial),
        MPLS => mpls(payload),
        TZSP => tzsp::read(payload),
        _ => None,
    };
    let either = |port| from == port || to == port;
    match tunnel {
        None if either(TEREDO) => teredo::read(payload),
        None if either(L2TP) => l2tp::over_udp(payload, partial),
        None if either(CAPWAP) => capwap::read(payload),
        tunnel => tunnel,
    }
}

/// VXLAN (RFC 7348, 5), and with its group policy extension, which fills the reserved bytes between
/// flags and identifier (draft-smith-vxlan-group-policy).
fn vxlan(span: Span<'_>) -> Option<Tunnel<'_>> {
    let (flags, identifier) = (span.u32(0)?, span.u32(4)?);
    let plain = flags == 0x0800_0000;
    let with_group = flags & 0xFFB7_0000 == 0x8800_0000;
    if !(plain || with_group) || identifier & 0xFF != 0 {
        return None;
    }
    let layer = Layer::Vxlan { vni: identifier >> 8 };
    Some(Tunnel::new(layer, Content::Ethernet, span.after(8)))
}

/// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe, 3): version 0, identifier and next protocol present, no
/// operations message; the frame may be a replicated one.
fn vxlan_gpe(span: Span<'_>) -> Option<Tunnel<'_>> {
    let (flags, identifier) = (span.u32(0)?, span.u32(4)?);
    if flags & 0xFDFF_FF00 != 0x0C00_0000 || identifier & 0xFF != 0 {
        return None;
    }
    let content = match flags & 0xFF {
        1 | 2 => Content::Ip,
        3 => Content::Ethernet,
        4 => Content::Nsh,
        5 => Content::Mpls,
        _ => return None,
    };
    Some(Tunnel::new(Layer::VxlanGpe { vni: identifier >> 8 }, content, span.after(8)))
}

/// Geneve (RFC 8926, 3.4): version 0, options in words, no control packet, then the EtherType of the
/// content and the identifier. The options must fill their place exactly (3.5).
fn geneve(span: Span<'_>) -> Option<Tunnel<'_>> {
    let (start, identifier) = (span.u32(0)?, span.u32(4)?);
    let words = start >> 24 & 0x3F;
    // Version, control bit and reserved bits; only the bit for critical options may be set.
    if start & 0xC0BF_0000 != 0 || identifier & 0xFF != 0 {
        return None;
    }
    let body = span.after(8 + 4 * words as usize);
    if !options_fit(span.after(8).with_len(4 * words)) {
        return None;
    }
    let content = match (start & 0xFFFF) as u16 {
        BRIDGED => Content::Ethernet,
        ether::IPV4 | ether::IPV6 => Content::Ip,
        _ => return None,
    };
    Some(Tunnel::new(Layer::Geneve { vni: identifier >> 8 }, content, body))
}

/// Geneve options: class, type, and a length in words after the four bytes of their header.
fn options_fit(mut span: Span<'_>) -> bool {
    while !span.bytes.is_empty() {
        let Some(words) = span.u8(3).map(|byte| u32::from(byte & 0x1F)) else {
            return false;
        };
        if 4 + 4 * words > span.wire_len {
            return false;
        }
        span = span.after(4 + 4 * words as usize);
    }
    span.wire_len == 0
}

/// MPLS in UDP (RFC 7510). A label stack has no reserved bits to check, so IP must follow it and
/// fill the datagram to the byte.
fn mpls(span: Span<'_>) -> Option<Tunnel<'_>> {
    let below = super::mpls::below(span)?;
    ip::fills(below).then_some(Tunnel { layer: None, content: Content::Mpls, body: span })
}

/// L2TP (RFC 2661).
const L2TP: u16 = 1701;
/// GTP-U (3GPP TS 29.281, 4.4.2).
const GTP: u16 = 2152;
/// Teredo (RFC 4380, 2.7).
const TEREDO: u16 = 3544;
/// VXLAN (RFC 7348).
const VXLAN: u16 = 4789;
/// VXLAN-GPE.
const VXLAN_GPE: u16 = 4790;
/// CAPWAP data (RFC 5415, 4).
const CAPWAP: u16 = 5247;
/// Geneve (RFC 8926).
const GENEVE: u16 = 6081;
/// MPLS in UDP (RFC 7510).
const MPLS: u16 = 6635;
/// VXLAN before it had a number of its own; Linux's default until today.
const VXLAN_OLD: u16 = 8472;
/// TaZmen Sniffer Protocol.
const TZSP: u16 = 37008;

#[cfg(test)]
mod tests {
    use super::super::MAX_LAYERS;
    use super::super::testing::{
        hex, inner, inner_frame, ipv4, ipv6, layers_in_ip, raw, stays_udp, udp,
    };

    fn in_udp(port: u16, header: &str, body: &[u8]) -> String {
        layers_in_ip(&ipv4(17, &udp(port, &[hex(header), body.to_vec()].concat())))
    }

    #[test]
    fn vxlan_holds_a_frame() {
        // RFC 7348, figure 1: the I flag, VNI 42.
        for port in [4789, 8472] {
            assert_eq!(in_udp(port, "08000000 00002a00", &inner_frame()), "vxlan:42");
        }
        // With a group policy; and the generic form on the plain port, as in a capture of three
        // levels (vxlan-triple-v2).
        assert_eq!(in_udp(4789, "88000010 00002a00", &inner_frame()), "vxlan:42");
        assert_eq!(in_udp(4789, "0c000003 00000100", &inner_frame()), "vxlan-gpe:1");
    }

    #[test]
    fn vxlan_gpe_names_its_content() {
        assert_eq!(in_udp(4790, "0c000001 00000700", &inner()), "vxlan-gpe:7");
        assert_eq!(in_udp(4790, "0e000003 00000700", &inner_frame()), "vxlan-gpe:7");
        let service = [hex("00020204 000000ff"), hex("00020201 000000ff"), inner()].concat();
        assert_eq!(in_udp(4790, "0c000004 00000700", &service), "vxlan-gpe:7 nsh nsh");
        let label = [hex("00012140"), inner()].concat();
        assert_eq!(in_udp(4790, "0c000005 00000700", &label), "vxlan-gpe:7 mpls:18");
    }

    #[test]
    fn geneve_options_are_passed_over() {
        assert_eq!(in_udp(6081, "00006558 0002bc00", &inner_frame()), "geneve:700");
        // Two options of eight and four bytes, one of them critical.
        let options = "03406558 0002bc00 01088001 00000001 01080200";
        assert_eq!(in_udp(6081, options, &inner_frame()), "geneve:700");
        assert_eq!(in_udp(6081, "00000800 0002bc00", &inner()), "geneve:700");
    }

    #[test]
    fn mpls_in_udp_must_fill_the_datagram() {
        assert_eq!(in_udp(6635, "00012040 00013140", &inner()), "mpls:19");
        stays_udp(6635, &[hex("00013140"), inner(), vec![0]].concat());
    }

    #[test]
    fn headers_with_a_wrong_bit_are_no_tunnels() {
        for header in
            ["00000000 00002a00", "08000001 00002a00", "08000000 00002a01", "0c000000 00002a00"]
        {
            stays_udp(4789, &[hex(header), inner_frame()].concat());
        }
        // Version 1, a control packet, a reserved bit, options that do not fit, an unknown content.
        for header in [
            "40006558 0002bc00",
            "00806558 0002bc00",
            "00016558 0002bc00",
            "00006558 0002bc01",
            "01006558 0002bc00 01088001",
            "00008847 0002bc00",
        ] {
            stays_udp(6081, &[hex(header), inner_frame()].concat());
        }
    }

    #[test]
    fn what_is_inside_must_read_as_a_packet() {
        let mut unknown = inner_frame();
        unknown[12..14].copy_from_slice(&[0xAB, 0xCD]);
        let mut longer = inner_frame();
        longer[17] += 1;
        let mut other_version = inner_frame();
        other_version[14] = 0x55;
        for frame in [unknown, longer, other_version, vec![0x80; 60], Vec::new()] {
            stays_udp(4789, &[hex("08000000 00002a00"), frame].concat());
        }
    }

    #[test]
    fn media_on_the_ports_of_tunnels_stays_media() {
        let rtp = [hex("8008 0001 000000a0 cafe0001"), vec![0xD5; 160]].concat();
        let stun = hex("0001 0000 2112a442 6162636465666768696a6b6c");
        let channel = [hex("4000 00ac"), rtp.clone()].concat();
        for port in [1701, 2152, 3544, 4789, 4790, 5247, 6081, 6635, 8472, 37008] {
            for payload in [&rtp, &stun, &channel] {
                stays_udp(port, payload);
            }
        }
    }

    #[test]
    fn frames_that_are_no_packets_hide_nothing() {
        let arp = "ffffffffffff 020000000001 0806 0001080006040001";
        let tree = "0180c2000000 020000000001 0007 424203 00000000";
        for frame in [arp, tree] {
            stays_udp(4789, &[hex("08000000 00002a00"), hex(frame)].concat());
        }
    }

    #[test]
    fn what_follows_the_packet_inside_is_padding_or_no_tunnel() {
        let around =
            |trailer: usize| [hex("08000000 00002a00"), inner_frame(), vec![0; trailer]].concat();
        // Up to 60 bytes of frame, and a check sequence.
        let padding = 60 - inner_frame().len() + 4;
        assert_eq!(layers_in_ip(&ipv4(17, &udp(4789, &around(padding)))), "vxlan:42");
        stays_udp(4789, &around(900));
    }

    #[test]
    fn tags_inside_follow_the_tags_outside() {
        let mut tagged = inner_frame();
        tagged.splice(12..12, hex("8100 0014"));
        let tunnel = ipv4(17, &udp(4789, &[hex("08000000 00002a00"), tagged].concat()));
        let outer = [hex("020000000002 020000000001 8100 000a 0800"), tunnel].concat();
        let frame = super::super::testing::frame(crate::input::LinkType::ETHERNET, &outer);
        assert_eq!(super::super::testing::packet(&frame).vlans.as_slice(), [10, 20]);
    }

    #[test]
    fn tunnels_nest_to_the_bound() {
        let mut bytes = inner();
        for depth in 1..=MAX_LAYERS {
            let frame = [hex("020000000002 020000000001 0800"), bytes].concat();
            bytes = ipv4(17, &udp(4789, &[hex("08000000 00002a00"), frame].concat()));
            assert_eq!(layers_in_ip(&bytes), ["vxlan:42"; MAX_LAYERS][..depth].join(" "));
        }
        let frame = [hex("020000000002 020000000001 0800"), bytes].concat();
        let deeper = ipv4(17, &udp(4789, &[hex("08000000 00002a00"), frame].concat()));
        // The innermost tunnel that fits stays a packet between its ends.
        assert_eq!(raw(&deeper).destination_port, 4789);
    }

    #[test]
    fn a_first_fragment_is_opened() {
        let body = udp(4789, &[hex("08000000 00002a00"), inner_frame()].concat());
        let mut first = ipv4(17, &body[..body.len() - 4]);
        first[6] = 0x20;
        let packet = raw(&first);
        assert!(packet.first_fragment);
        assert_eq!(packet.destination_port, 49200);
        assert_eq!(layers_in_ip(&ipv6(17, &body)), "vxlan:42");
    }
}
