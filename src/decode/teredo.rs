//! Teredo: IPv6 in UDP through NATs (RFC 4380).

use super::ip;
use super::layer::Layer;
use super::span::Span;
use super::tunnel::{Content, Tunnel};

/// Reads the indications before the packet (5.1.1), and believes it where one of its addresses is a
/// Teredo or a link-local one, as the receivers do (5.2.3, 5.3.1, 5.4.1). A bubble, an IPv6 header
/// with nothing behind it, opens NATs and is the tunnel's own message.
pub(super) fn read(span: Span<'_>) -> Option<Tunnel<'_>> {
    let mut body = span;
    if body.u16(0)? == AUTHENTICATION {
        let (client, value) = (usize::from(body.u8(2)?), usize::from(body.u8(3)?));
        // A nonce of eight bytes and a confirmation byte follow the two fields.
        body = body.after(4 + client + value + 9);
    }
    if body.u16(0)? == ORIGIN {
        body = body.after(8);
    }
    let is_v6 = body.u8(0)? >> 4 == 6 && ip::is_consistent(body);
    let is_bubble = body.u16(4)? == 0 || body.u8(6)? == NOTHING;
    let ours = |at| Some(body.u32(at)? == PREFIX || body.u16(at)? & 0xFFC0 == 0xFE80);
    let addressed = ours(8)? || ours(24)?;
    (is_v6 && !is_bubble && addressed).then(|| Tunnel::new(Layer::Teredo, Content::Ip, body))
}

/// Indicator of an authentication header.
const AUTHENTICATION: u16 = 0x0001;
/// Indicator of an origin: the address that the NAT showed.
const ORIGIN: u16 = 0x0000;
/// The first 32 bits of Teredo addresses (`2001::/32`).
const PREFIX: u32 = 0x2001_0000;
/// Next header number for no next header (RFC 8200, 4.7).
const NOTHING: u8 = 59;

#[cfg(test)]
mod tests {
    use super::super::testing::{UDP, hex, ipv4, ipv6, layers_in_ip, stays_udp, udp};

    /// An IPv6 packet from a Teredo address.
    fn teredo() -> Vec<u8> {
        let mut bytes = ipv6(17, &hex(UDP));
        bytes[8..24].copy_from_slice(&hex("20010000 41379e50 8000 f12a b9c8 2815"));
        bytes
    }

    #[test]
    fn indications_are_passed_over() {
        let authentication = "0001 00 00 0102030405060708 00";
        let long = "0001 02 03 aabb 010203 0102030405060708 00";
        let origin = "0000 f12a 40000001";
        for header in
            [String::new(), origin.into(), authentication.into(), long.to_owned() + origin]
        {
            let bytes = ipv4(17, &udp(3544, &[hex(&header), teredo()].concat()));
            assert_eq!(layers_in_ip(&bytes), "teredo", "{header}");
        }
    }

    #[test]
    fn bubbles_and_other_addresses_stay_outside() {
        stays_udp(3544, &ipv6(17, &hex(UDP)));
        let mut bubble = teredo();
        bubble.truncate(40);
        bubble[4..7].copy_from_slice(&[0, 0, 59]);
        stays_udp(3544, &bubble);
        let mut longer = teredo();
        longer[5] += 1;
        stays_udp(3544, &longer);
    }
}
