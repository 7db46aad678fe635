//! Generic routing encapsulation and what is built on it: version 0 (RFC 2784, RFC 2890, and the
//! source routes of RFC 1701), version 1 with PPP inside (RFC 2637), WCCP redirects, ERSPAN.

use super::layer::Layer;
use super::span::Span;
use super::tunnel::{BRIDGED, Content, Tunnel};
use super::{erspan, ether};

/// Reads a GRE header; None for a protocol that is not known here, which stays GRE between its ends.
pub(super) fn read(span: Span<'_>) -> Option<Tunnel<'_>> {
    let (flags, protocol) = (span.u16(0)?, span.u16(2)?);
    match flags & VERSION {
        0 => carried(protocol, flags & SEQUENCE != 0, span.after(basic_len(flags, span)?)),
        1 => point_to_point(flags, protocol, span),
        _ => None,
    }
}

fn carried(protocol: u16, numbered: bool, body: Span<'_>) -> Option<Tunnel<'_>> {
    let gre = |content, body| Some(Tunnel::new(Layer::Gre, content, body));
    match protocol {
        ether::IPV4 | ether::IPV6 | BRIDGED | ether::MPLS | ether::MPLS_UPSTREAM | ether::NSH => {
            gre(Content::EtherType(protocol), body)
        }
        PPP => gre(Content::Ppp, body),
        // Version 2 of WCCP puts four bytes before the packet, version 1 none.
        WCCP => match body.u8(0)? >> 4 {
            4 => gre(Content::Ip, body),
            _ => gre(Content::Ip, body.after(4)),
        },
        ERSPAN_1_2 if !numbered => erspan::type_1(body),
        ERSPAN_1_2 | ERSPAN_3 => erspan::read(body),
        _ => None,
    }
}

/// The length of a version 0 header. A checksum and an offset come together (RFC 1701), whichever of
/// both is used.
fn basic_len(flags: u16, span: Span<'_>) -> Option<usize> {
    let mut len = 4;
    for (bits, field) in [(CHECKSUM | ROUTING, 4), (KEY, 4), (SEQUENCE, 4)] {
        len += if flags & bits == 0 { 0 } else { field };
    }
    if flags & ROUTING != 0 {
        len += routes_len(span.after(len))?;
    }
    Some(len)
}

/// Source route entries (RFC 1701): family, offset, length, route; one of family and length 0 ends
/// them.
fn routes_len(mut span: Span<'_>) -> Option<usize> {
    let mut len = 0;
    for _ in 0..MAX_ROUTES {
        let (family, route) = (span.u16(0)?, usize::from(span.u8(3)?));
        len += 4 + route;
        if (family, route) == (0, 0) {
            return Some(len);
        }
        span = span.after(4 + route);
    }
    None
}

/// Version 1 (RFC 2637, 4.1): the key is a length and a call; without sequence number it holds no
/// payload and only acknowledges.
fn point_to_point(flags: u16, protocol: u16, span: Span<'_>) -> Option<Tunnel<'_>> {
    let length = span.u16(4)?;
    if protocol != PPP || flags & (KEY | SEQUENCE) != KEY | SEQUENCE || length == 0 {
        return None;
    }
    let len = if flags & ACKNOWLEDGED == 0 { 12 } else { 16 };
    let body = span.after(len).with_len(u32::from(length));
    Some(Tunnel::new(Layer::Gre, Content::Ppp, body))
}

/// A checksum is present.
const CHECKSUM: u16 = 0x8000;
/// Source routes are present (RFC 1701).
const ROUTING: u16 = 0x4000;
/// A key is present.
const KEY: u16 = 0x2000;
/// A sequence number is present.
const SEQUENCE: u16 = 0x1000;
/// An acknowledgement number is present (version 1).
const ACKNOWLEDGED: u16 = 0x0080;
/// The version.
const VERSION: u16 = 0x0007;
/// PPP inside.
const PPP: u16 = 0x880B;
/// A packet that a router hands to a cache.
const WCCP: u16 = 0x883E;
/// ERSPAN types I and II.
const ERSPAN_1_2: u16 = 0x88BE;
/// ERSPAN type III.
const ERSPAN_3: u16 = 0x22EB;
/// Source routes walked per packet.
const MAX_ROUTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::testing::{hex, inner, inner_frame, ipv4, ipv6, layers_in_ip, raw, raw_stop};
    use super::super::{Stop, Transport};

    fn in_gre(header: &str, body: &[u8]) -> String {
        layers_in_ip(&ipv4(47, &[hex(header), body.to_vec()].concat()))
    }

    #[track_caller]
    fn stays_gre(bytes: &[u8]) {
        let bytes = ipv4(47, bytes);
        let packet = raw(&bytes);
        assert_eq!((packet.transport, packet.layers.as_slice().len()), (Transport::GRE, 0));
    }

    #[test]
    fn every_flag_moves_the_packet() {
        for header in [
            "0000 0800",
            "8000 0800 beef0000",
            "2000 0800 00000007",
            "1000 0800 00000001",
            "b000 0800 beef0000 00000007 00000001",
            // RFC 1701: a route of eight bytes and the empty one that ends them.
            "4000 0800 00000000 0800 0408 0a000001 0a000002 00000000",
            "f000 0800 beef0000 00000007 00000001 0800 0004 0a000001 00000000",
        ] {
            assert_eq!(in_gre(header, &inner()), "gre", "{header}");
        }
        assert_eq!(layers_in_ip(&ipv6(47, &[hex("0000 0800"), inner()].concat())), "gre");
    }

    #[test]
    fn frames_labels_and_redirects() {
        assert_eq!(in_gre("0000 6558", &inner_frame()), "gre");
        // NVGRE (RFC 7637): subnet 5001, flow 1.
        assert_eq!(in_gre("2000 6558 00138901", &inner_frame()), "gre");
        assert_eq!(in_gre("0000 8847 00013140", &inner()), "gre mpls:19");
        assert_eq!(in_gre("0000 883e", &inner()), "gre");
        assert_eq!(in_gre("0000 883e 00000000", &inner()), "gre");
        assert_eq!(in_gre("0000 894f 00020203 000000ff", &inner_frame()), "gre nsh");
    }

    #[test]
    fn point_to_point_tunnels_hold_ppp() {
        // RFC 2637, 4.1: length 0x24, call 1, sequence 1; the same with an acknowledgement.
        assert_eq!(in_gre("3001 880b 0024 0001 00000001 ff03 0021", &inner()), "gre ppp");
        assert_eq!(in_gre("3081 880b 0021 0001 00000001 00000000 21", &inner()), "gre ppp");
        stays_gre(&hex("2081 880b 0000 0001 00000001"));
        let control = hex("3001 880b 0008 0001 00000001 ff03c021 01010004");
        assert_eq!(raw_stop(&ipv4(47, &control)), Stop::Ppp(0xC021));
    }

    #[test]
    fn what_is_not_known_stays_gre() {
        stays_gre(&[hex("0000 0806"), inner()].concat());
        stays_gre(&[hex("0000 2001"), inner()].concat());
        stays_gre(&[hex("0002 0800"), inner()].concat());
        stays_gre(&[hex("0000 0800"), vec![0; 40]].concat());
        stays_gre(&hex("0000 0800"));
        stays_gre(&hex("b000"));
        // Source routes without end.
        stays_gre(&[hex("4000 0800 00000000"), hex("0800 0000").repeat(20)].concat());
    }

    #[test]
    fn a_keepalive_is_between_the_ends() {
        // The inner packet goes back from 10.0.0.2 to 10.0.0.1 and holds GRE with nothing in it.
        let mut back = ipv4(47, &hex("0000 0000"));
        back[12..20].copy_from_slice(&hex("0a000002 0a000001"));
        stays_gre(&[hex("0000 0800"), back.clone()].concat());
        // Between others it is traffic.
        back[15] = 9;
        let bytes = ipv4(47, &[hex("0000 0800"), back].concat());
        assert_eq!(raw(&bytes).source.to_string(), "10.0.0.9");
    }

    #[test]
    fn frames_that_are_no_packets_are_counted_as_such() {
        let arp = hex("0000 6558 ffffffffffff 020000000001 0806 0001");
        assert_eq!(raw_stop(&ipv4(47, &arp)), Stop::NotIp(0x0806));
    }
}
