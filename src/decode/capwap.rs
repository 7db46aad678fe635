//! CAPWAP data: what access points hand to their controller (RFC 5415).

use super::layer::Layer;
use super::span::Span;
use super::tunnel::{Content, Tunnel};

/// Reads the header (RFC 5415, 4.3): version 0, not encrypted (4.2), its length in words, and a flag
/// that tells 802.11 (binding 1) from 802.3. Keepalives (4.4.1) and later fragments hold nothing to
/// open.
pub(super) fn read(span: Span<'_>) -> Option<Tunnel<'_>> {
    let (start, fragment) = (span.u32(0)?, span.u16(6)?);
    let len = 4 * (start >> 19 & 0x1F) as usize;
    let later = start & FRAGMENT != 0 && fragment & 0xFFF8 != 0;
    if start >> 24 != 0 || start & (KEEPALIVE | RESERVED) != 0 || len < 8 || later {
        return None;
    }
    let content = match (start & NATIVE != 0, start >> 9 & 0x1F) {
        (false, _) => Content::Ethernet,
        (true, 1) => Content::Wlan,
        _ => return None,
    };
    Some(Tunnel::new(Layer::Capwap, content, span.after(len)))
}

/// The frame is in the format of its radio.
const NATIVE: u32 = 0x100;
/// A part of a larger frame.
const FRAGMENT: u32 = 0x80;
/// Keeps the channel open.
const KEEPALIVE: u32 = 0x08;
/// Bits that must be 0.
const RESERVED: u32 = 0x07;

#[cfg(test)]
mod tests {
    use super::super::testing::{hex, inner, inner_frame, ipv4, layers_in_ip, stays_udp, udp};

    fn in_capwap(header: &str, body: &[u8]) -> String {
        layers_in_ip(&ipv4(17, &udp(5247, &[hex(header), body.to_vec()].concat())))
    }

    #[test]
    fn frames_of_both_kinds_are_read() {
        assert_eq!(in_capwap("00100000 00000000", &inner_frame()), "capwap");
        let standard =
            hex("0801 0000 020000000001 020000000002 020000000003 1000 aaaa03 000000 0800");
        // Binding 1, a radio header of eight bytes: as in a capture by others (capwap.pcap), whose
        // sender swaps the control fields.
        let swapped =
            hex("0108 2c00 580a20690e20 1caba7f2139d ffffffffffff 0110 aaaa03 000000 0800");
        for radio in [standard, swapped] {
            let body = [radio, inner()].concat();
            assert_eq!(in_capwap("00204320 00000000 0104ed4d 00000000", &body), "capwap");
        }
    }

    #[test]
    fn keepalives_and_fragments_stay_outside() {
        for header in [
            "00100008 00000000",
            "00100080 00010010",
            "01100000 00000000",
            "00080000 00000000",
            "00100004 00000000",
        ] {
            stays_udp(5247, &[hex(header), inner_frame()].concat());
        }
    }

    #[test]
    fn management_of_the_radio_stays_outside() {
        stays_udp(5247, &hex("00200320 00000000 00000000 00000000 8000 0000 ffffffffffff"));
    }
}
