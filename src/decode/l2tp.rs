//! L2TP: version 2 with PPP inside (RFC 2661), version 3 with Ethernet inside (RFC 3931).

use super::layer::Layer;
use super::span::Span;
use super::tunnel::{Content, Tunnel};

/// Reads a data message over UDP; control messages are the tunnel's own.
pub(super) fn over_udp(span: Span<'_>, partial: bool) -> Option<Tunnel<'_>> {
    let flags = span.u16(0)?;
    match flags & 0x000F {
        2 => version_2(flags, span, partial),
        // RFC 3931, 4.1.2: the flags word and a reserved one, then the session.
        3 if flags == 0x0003 && span.u16(2)? == 0 => session(span.after(4)),
        _ => None,
    }
}

/// Reads a data message directly over IP (RFC 3931, 4.1.1); session 0 marks control messages.
pub(super) fn over_ip(span: Span<'_>) -> Option<Tunnel<'_>> {
    session(span)
}

/// RFC 2661, 3.1: length, sequence numbers and an offset are there when their flags say so.
fn version_2(flags: u16, span: Span<'_>, partial: bool) -> Option<Tunnel<'_>> {
    if flags & (CONTROL | RESERVED) != 0 {
        return None;
    }
    let mut at = 2;
    let mut end = span.wire_len;
    if flags & LENGTH != 0 {
        end = u32::from(span.u16(at)?);
        at += 2;
        if end > span.wire_len && !partial {
            return None;
        }
    }
    let (tunnel, call) = (span.u16(at)?, span.u16(at + 2)?);
    at += 4;
    if tunnel == 0 || call == 0 {
        return None;
    }
    at += if flags & SEQUENCE == 0 { 0 } else { 4 };
    if flags & OFFSET != 0 {
        at += 2 + usize::from(span.u16(at)?);
    }
    let body = span.with_len(end).after(at);
    Some(Tunnel::new(Layer::L2tp, Content::Ppp, body))
}

fn session(span: Span<'_>) -> Option<Tunnel<'_>> {
    (span.u32(0)? != 0)
        .then(|| Tunnel::new(Layer::L2tpV3, Content::EthernetBehindCookie, span.after(4)))
}

/// A control message.
const CONTROL: u16 = 0x8000;
/// A length field is present.
const LENGTH: u16 = 0x4000;
/// Sequence numbers are present.
const SEQUENCE: u16 = 0x0800;
/// An offset field is present.
const OFFSET: u16 = 0x0200;
/// Bits that must be 0.
const RESERVED: u16 = 0x34F0;

#[cfg(test)]
mod tests {
    use super::super::Transport;
    use super::super::testing::{hex, inner, inner_frame, ipv4, layers_in_ip, raw, stays_udp, udp};

    fn in_udp(header: &str, body: &[u8]) -> String {
        layers_in_ip(&ipv4(17, &udp(1701, &[hex(header), body.to_vec()].concat())))
    }

    #[test]
    fn every_flag_moves_the_ppp_frame() {
        for header in [
            "0002 0001 0002 ff03 0021",
            "0002 0001 0002 0021",
            "4002 002c 0001 0002 ff03 0021",
            "0802 0001 0002 0003 0004 21",
            "4a02 0034 0001 0002 0003 0004 0002 0000 ff03 0021",
            "0102 0001 0002 ff03 0021",
        ] {
            assert_eq!(in_udp(header, &inner()), "l2tp", "{header}");
        }
    }

    #[test]
    fn control_messages_and_damage_stay_outside() {
        stays_udp(1701, &hex("c802 000c 0001 0000 0001 0001"));
        for header in [
            "1002 0001 0002 ff03 0021",
            "4002 ffff 0001 0002 ff03 0021",
            "0002 0000 0002 ff03 0021",
            "0002 0001 0002 ff03 1234",
            "0001 0001 0002 ff03 0021",
        ] {
            stays_udp(1701, &[hex(header), inner()].concat());
        }
        stays_udp(1701, &hex("0002 0001 0002 ff03 c021 01010004"));
    }

    #[test]
    fn version_3_hides_its_cookie_not_its_frame() {
        for cookie in ["", "00000000", "a1a2a3a4a5a6a7a8", "a1a2a3a4a5a6a7a8 00000000"] {
            let message = [hex("00000007"), hex(cookie), inner_frame()].concat();
            assert_eq!(layers_in_ip(&ipv4(115, &message)), "l2tpv3", "{cookie}");
            let message = [hex("0003 0000"), message].concat();
            assert_eq!(layers_in_ip(&ipv4(17, &udp(1701, &message))), "l2tpv3", "{cookie}");
        }
        // Addresses that look like the EtherType of IPv4 or of a backbone at another place.
        for addresses in ["080027000002 020000000001", "020000000800 080088e70800"] {
            let frame = [hex(addresses), hex("0800"), inner()].concat();
            for cookie in ["", "00000000", "a1a2a3a4a5a6a7a8", "a1a2a3a4a5a6a7a8 00000000"] {
                let message = [hex("00000007"), hex(cookie), frame.clone()].concat();
                assert_eq!(layers_in_ip(&ipv4(115, &message)), "l2tpv3", "{addresses} {cookie}");
            }
        }
        let control = ipv4(115, &[hex("00000000"), inner_frame()].concat());
        assert_eq!(raw(&control).transport, Transport::L2TP);
    }
}
