//! GTP-U: user packets of mobile networks (3GPP TS 29.281).

use super::layer::Layer;
use super::span::Span;
use super::tunnel::{Content, Tunnel};

/// Reads the header of a user packet (5.1): version 1, protocol type 1, message type 255. Other
/// messages (echo, error indication, end marker) are the tunnel's own.
pub(super) fn read(span: Span<'_>, partial: bool) -> Option<Tunnel<'_>> {
    let (flags, message) = (span.u8(0)?, span.u8(1)?);
    let stated = u32::from(span.u16(2)?) + MANDATORY as u32;
    let fits = stated == span.wire_len || (partial && stated > span.wire_len);
    if flags & 0xF8 != 0x30 || message != USER_PACKET || !fits {
        return None;
    }
    let mut body = span.after(MANDATORY);
    if flags & 0x07 != 0 {
        // With any of the three flags the sequence number, the N-PDU number and the next extension's
        // type are all there (5.1); the fields whose flag is off mean nothing.
        let mut next = body.u8(3)?;
        body = body.after(4);
        if flags & EXTENDED == 0 {
            next = 0;
        }
        while next != 0 {
            (next, body) = extension(body)?;
        }
    }
    Some(Tunnel::new(Layer::Gtp, Content::Ip, body))
}

/// Goes past an extension header (5.2.1): its length in words comes first, the next type last.
fn extension(span: Span<'_>) -> Option<(u8, Span<'_>)> {
    let len = 4 * usize::from(span.u8(0)?);
    let next = span.u8(len.checked_sub(1)?)?;
    Some((next, span.after(len)))
}

/// Bytes of the header that is always there.
const MANDATORY: usize = 8;
/// Message type of a user packet.
const USER_PACKET: u8 = 255;
/// Flag: an extension header follows.
const EXTENDED: u8 = 0x04;

#[cfg(test)]
mod tests {
    use super::super::testing::{UDP, hex, inner, ipv4, ipv6, layers_in_ip, stays_udp, udp};

    fn in_gtp(header: &str) -> String {
        layers_in_ip(&ipv4(17, &udp(2152, &[hex(header), inner()].concat())))
    }

    #[test]
    fn extension_headers_are_passed_over() {
        assert_eq!(in_gtp("30ff 0020 00000001"), "gtp");
        assert_eq!(in_gtp("32ff 0024 00000001 0001 00 00"), "gtp");
        // With only the sequence flag the next type means nothing.
        assert_eq!(in_gtp("32ff 0024 00000001 0001 00 85"), "gtp");
        // A PDU session container (0x85) and a UDP port (0x40).
        assert_eq!(in_gtp("34ff 0028 00000001 0000 00 85 01 0009 00"), "gtp");
        assert_eq!(in_gtp("37ff 0030 00000001 0001 00 85 01 0009 40 02 2152 00000000 00"), "gtp");
        let six = [hex("30ff 0034 00000001"), ipv6(17, &hex(UDP))].concat();
        assert_eq!(layers_in_ip(&ipv6(17, &udp(2152, &six))), "gtp");
    }

    #[test]
    fn messages_and_damage_stay_outside() {
        // Echo request, another version, a wrong length, an extension without length.
        for header in [
            "3201 0024 00000000 0001 00 00",
            "50ff 0020 00000001",
            "30ff 001f 00000001",
            "34ff 0028 00000001 0000 00 85 00 0009 00",
        ] {
            stays_udp(2152, &[hex(header), inner()].concat());
        }
    }
}
