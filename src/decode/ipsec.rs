//! IPsec: the Authentication Header (RFC 4302), ESP (RFC 4303) and ESP inside UDP (RFC 3948).
//!
//! AH leaves what it protects in clear, so it is opened like an envelope. ESP shows only its SPI and
//! sequence number here; whether its content is readable after all (NULL encryption) takes several
//! packets to tell and is not this room's work.

use super::span::Span;
use super::transport::Segment;
use super::{Detail, Stop, Transport, UdpEncapsulation};

/// An Authentication Header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authentication<'a> {
    /// Security parameters index.
    pub(super) spi: u32,
    /// Sequence number.
    pub(super) sequence: u32,
    /// What it protects.
    pub(super) next: Transport,
    /// What follows it.
    pub(super) body: Span<'a>,
}

impl<'a> Authentication<'a> {
    /// Reads the header at the start of the span (RFC 4302, 2). Its length counts words of four
    /// bytes less two and includes an integrity check value, so 0 is impossible; more than 64
    /// would be a check value no algorithm has.
    pub(super) fn read(span: Span<'a>) -> Result<Self, Stop> {
        let bad = Stop::TransportHeader(Transport::AH);
        // The reserved field is for the receiver to ignore.
        let (&[next, words, _, _], Some(spi), Some(sequence)) =
            (span.bytes.first_chunk::<4>().ok_or(bad)?, span.u32(4), span.u32(8))
        else {
            return Err(bad);
        };
        let len = (usize::from(words) + 2) * 4;
        if !(1..=64).contains(&words) || len as u64 > u64::from(span.wire_len) {
            return Err(bad);
        }
        Ok(Self { spi, sequence, next: Transport(next), body: span.after(len) })
    }
}

/// AH around something that cannot be read: the AH packet is all there is to tell.
pub(super) fn opaque_ah(span: Span<'_>) -> Result<Segment<'_>, Stop> {
    let header = Authentication::read(span)?;
    let detail = Detail::Security { spi: header.spi, sequence: header.sequence };
    Ok(Segment::portless(detail, header.body))
}

/// ESP: SPI and sequence number; all behind them may be encrypted.
pub(super) fn esp(span: Span<'_>) -> Result<Segment<'_>, Stop> {
    let (Some(spi), Some(sequence)) = (span.u32(0), span.u32(4)) else {
        return Err(Stop::TransportHeader(Transport::ESP));
    };
    Ok(Segment::portless(Detail::Security { spi, sequence }, span.after(ESP_LEN)))
}

/// What a datagram on port 4500 carries (RFC 3948, 2); None when it has none of the three shapes.
pub(super) fn udp_encapsulation(payload: Span<'_>) -> Option<UdpEncapsulation> {
    if payload.wire_len == 1 {
        return (payload.u8(0)? == 0xFF).then_some(UdpEncapsulation::Keepalive);
    }
    match payload.u32(0)? {
        0 if payload.wire_len >= MARKER_LEN + IKE_LEN => Some(UdpEncapsulation::Ike),
        spi @ FIRST_SPI.. if payload.wire_len >= ESP_LEN as u32 => {
            Some(UdpEncapsulation::Esp { spi })
        }
        _ => None,
    }
}

/// The port to which IKE and ESP move behind a NAT (RFC 3947).
pub(super) const NAT_PORT: u16 = 4500;
/// SPI and sequence number, in bytes.
const ESP_LEN: usize = 8;
/// The zero bytes in SPI place that mark IKE, in bytes.
const MARKER_LEN: u32 = 4;
/// An IKE header (RFC 7296, 3.1), in bytes.
const IKE_LEN: u32 = 28;
/// SPIs 1 to 255 are reserved (RFC 4303, 2.1).
const FIRST_SPI: u32 = 256;

#[cfg(test)]
mod tests {
    use super::super::testing::{
        SYN, UDP, cut_frame, hex, ipv4, ipv6, packet, raw, raw_stop, stop,
    };
    use super::super::{Layer, MAX_LAYERS};
    use super::*;
    use crate::input::LinkType;

    const AH_SHA1: &str = "45b80054123440008033d06b0a01010a0a010214110400001020304000000001\
        a0a1a2a3a4a5a6a7a8a9aaabc350c0300028f4808068010100001400cafebabe\
        5555555555555555555555555555555555555555";
    const ESP_NULL: &str = "45b80054123440008032d06c0a01010a0a0102145060708000000001c350c030\
        0028f4808068010100001400cafebabe55555555555555555555555555555555\
        5555555501020211a0a1a2a3a4a5a6a7a8a9aaab";
    const ESP_GMAC: &str = "45b80060123440008032d0600a01010a0a010214506070810000000100000000\
        00000001c350c0300028f4808068010100001400cafebabe5555555555555555\
        55555555555555555555555501020211a0a1a2a3a4a5a6a7a8a9aaabacadaeaf";
    const UDP_ESP: &str = "4500005c123440008011d13d0a01010a0a010214119411940048000050607082\
        00000001c350c0300028f4808068010100001400cafebabe5555555555555555\
        55555555555555555555555501020211a0a1a2a3a4a5a6a7a8a9aaab";
    const WESP: &str = "45b8005812344000808dd00d0a01010a0a010214110c10005060708300000001\
        c350c0300028f4808068010100001400cafebabe555555555555555555555555\
        555555555555555501020211a0a1a2a3a4a5a6a7a8a9aaab";
    const KEEPALIVE: &str = "4500001d123440008011d17c0a01010a0a0102141194119400090000ff";
    const IKEV2: &str = "4500003c123440008011d15d0a01010a0a010214119411940028000000000000\
        1122334455667788000000000000000021202208000000000000001c";
    const IKEV1: &str = "45000050123440008011d1490a01010a0a01021401f401f4003c000011223344\
        5566778800000000000000000d1002000000000000000034000000181e2b5169\
        05991c7d7c96fcbfb587e46100000008";
    const AUTHIP: &str = "45000058123440008011d1410a01010a0a01021401f401f40044000011223344\
        556677880000000000000000\
        8510f300000000000000003c0d00000800000000000000181e2b516905991c7d7c96fcbfb587e46100000008";

    /// AH with a 12-byte check value, SPI 0x01020304 and sequence number 9.
    fn ah(next: u8, body: &[u8]) -> Vec<u8> {
        [vec![next], hex("04 0000 01020304 00000009 a0a1a2a3a4a5a6a7a8a9aaab"), body.to_vec()]
            .concat()
    }

    fn udp_4500(payload: &str) -> Detail {
        let payload = hex(payload);
        let len = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
        raw(&ipv4(17, &[hex("1194 e000"), len.to_vec(), hex("0000"), payload].concat())).detail
    }

    #[test]
    fn transport_mode_ah_shows_the_ports_inside() {
        let bytes = hex(AH_SHA1);
        let packet = raw(&bytes);
        assert_eq!(packet.source.to_string(), "10.1.1.10");
        assert_eq!(packet.destination.to_string(), "10.1.2.20");
        assert_eq!(packet.transport, Transport::UDP);
        assert_eq!((packet.source_port, packet.destination_port), (50000, 49200));
        assert_eq!(packet.layers.as_slice(), [Layer::Ah { spi: 0x1020_3040 }]);
        assert_eq!(packet.payload_len, 32);
        assert_eq!(packet.payload.get(..4), Some(&hex("80680101")[..]));
    }

    #[test]
    fn ah_cut_by_the_snaplen_shows_what_is_left() {
        let bytes = hex(AH_SHA1);
        for len in 20..bytes.len() {
            let cut = cut_frame(LinkType::RAW, &bytes[..len], bytes.len());
            match len {
                20..32 => assert_eq!(stop(&cut), Stop::TransportHeader(Transport::AH)),
                32..=44 => {
                    let packet = packet(&cut);
                    let detail = Detail::Security { spi: 0x1020_3040, sequence: 1 };
                    assert_eq!((packet.transport, packet.detail), (Transport::AH, detail));
                    assert_eq!((packet.payload.len(), packet.payload_len), (0, 40));
                }
                45..48 => assert_eq!(stop(&cut), Stop::TransportHeader(Transport::UDP)),
                _ => assert_eq!(packet(&cut).destination_port, 49200),
            }
        }
    }

    #[test]
    fn tunnel_mode_ah_shows_the_inner_addresses() {
        let bytes = ipv6(51, &ah(4, &ipv4(6, &hex(SYN))));
        let packet = raw(&bytes);
        assert_eq!(packet.source.to_string(), "10.0.0.1");
        assert_eq!(packet.destination_port, 5061);
        let layers = [Layer::Ah { spi: 0x0102_0304 }, Layer::FourInSix];
        assert_eq!(packet.layers.as_slice(), layers);
        let bytes = ipv4(51, &ah(41, &ipv6(17, &hex(UDP))));
        assert_eq!(raw(&bytes).source.to_string(), "fd00::1");
        assert_eq!(raw_stop(&ipv4(51, &ah(4, &[0x15; 20]))), Stop::IpHeader);
    }

    #[test]
    fn ipv6_options_may_follow_ah() {
        let bytes = ipv6(51, &ah(60, &[hex("1100 010400000000"), hex(UDP)].concat()));
        let packet = raw(&bytes);
        assert_eq!(packet.destination_port, 49200);
        assert_eq!(packet.layers.as_slice(), [Layer::Ah { spi: 0x0102_0304 }]);
    }

    #[test]
    fn ah_before_esp_is_esp_inside_ah() {
        let bytes = ipv4(51, &ah(50, &hex("00001000 00000003 ffff")));
        let packet = raw(&bytes);
        assert_eq!(packet.transport, Transport::ESP);
        assert_eq!(packet.detail, Detail::Security { spi: 0x1000, sequence: 3 });
        assert_eq!(packet.layers.as_slice(), [Layer::Ah { spi: 0x0102_0304 }]);
        assert_eq!((packet.payload, packet.payload_len), (&[0xFF, 0xFF][..], 2));
    }

    #[test]
    fn ah_around_the_unread_is_an_ah_packet() {
        for next in [89, 108, 59, 47] {
            let bytes = ipv4(51, &ah(next, &[1, 2, 3, 4]));
            let packet = raw(&bytes);
            assert_eq!(packet.transport, Transport::AH);
            let detail = Detail::Security { spi: 0x0102_0304, sequence: 9 };
            assert_eq!(packet.detail, detail);
            assert!(packet.layers.as_slice().is_empty());
            assert_eq!((packet.payload, packet.payload_len), (&[1, 2, 3, 4][..], 4));
        }
    }

    #[test]
    fn a_damaged_ah_is_refused() {
        let good = ipv4(51, &ah(17, &hex(UDP)));
        // No check value, longer than the packet, longer than any algorithm's.
        for (at, value) in [(21, 0), (21, 8), (21, 65)] {
            let mut bad = good.clone();
            bad[at] = value;
            let refused = Stop::TransportHeader(Transport::AH);
            assert_eq!(raw_stop(&bad), refused, "byte {at} = {value}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested =
            |depth| (0..depth).fold(hex(UDP), |body, n| ah(if n == 0 { 17 } else { 51 }, &body));
        let deepest = ipv4(51, &nested(MAX_LAYERS));
        assert_eq!(raw(&deepest).layers.as_slice().len(), MAX_LAYERS);
        assert_eq!(raw_stop(&ipv4(51, &nested(MAX_LAYERS + 1))), Stop::TooDeep);
        let tunnels = (0..4).fold(ipv4(17, &hex(UDP)), |inner, _| ipv4(51, &ah(4, &inner)));
        assert_eq!(raw_stop(&tunnels), Stop::TooDeep);
    }

    #[test]
    fn a_fragment_stays_one_through_ah() {
        let mut first = ipv4(51, &ah(17, &hex("c350 c030 0800 0000 deadbeef")));
        first[6] = 0x20;
        assert!(raw(&first).first_fragment);
        let mut tunnel = ipv4(51, &ah(4, &ipv4(17, &hex(UDP))));
        tunnel[6] = 0x20;
        assert!(raw(&tunnel).first_fragment);
        let mut inner = ipv4(17, &hex(UDP));
        inner[7] = 1;
        assert_eq!(raw_stop(&ipv4(51, &ah(4, &inner))), Stop::Fragment);
    }

    #[test]
    fn esp_shows_spi_and_sequence_only() {
        for (vector, spi, len) in [(ESP_NULL, 0x5060_7080, 56), (ESP_GMAC, 0x5060_7081, 68)] {
            let bytes = hex(vector);
            let packet = raw(&bytes);
            assert_eq!(packet.transport, Transport::ESP);
            assert_eq!((packet.source_port, packet.destination_port), (0, 0));
            assert_eq!(packet.detail, Detail::Security { spi, sequence: 1 });
            assert_eq!((packet.payload.len(), packet.payload_len), (len as usize, len));
            for cut in 20..28 {
                let cut = cut_frame(LinkType::RAW, &bytes[..cut], bytes.len());
                assert_eq!(stop(&cut), Stop::TransportHeader(Transport::ESP));
            }
        }
    }

    #[test]
    fn wrapped_esp_is_a_transport_of_its_own() {
        let bytes = hex(WESP);
        assert_eq!(raw(&bytes).transport, Transport::WESP);
        assert_eq!(raw(&bytes).payload_len, 68);
    }

    #[test]
    fn port_4500_carries_esp_ike_or_a_keepalive() {
        let esp = hex(UDP_ESP);
        assert_eq!(raw(&esp).transport, Transport::UDP);
        let inside = |vector| match raw(&hex(vector)).detail {
            Detail::UdpEncapsulation(inside) => Some(inside),
            _ => None,
        };
        assert_eq!(inside(UDP_ESP), Some(UdpEncapsulation::Esp { spi: 0x5060_7082 }));
        assert_eq!(inside(KEEPALIVE), Some(UdpEncapsulation::Keepalive));
        assert_eq!(inside(IKEV2), Some(UdpEncapsulation::Ike));
        // Port 500 is IKE without a marker: a detector's work.
        assert_eq!(inside(IKEV1), None);
        assert_eq!(inside(AUTHIP), None);
        assert_eq!(raw(&hex(AUTHIP)).payload_len, 60);
    }

    #[test]
    fn other_content_of_port_4500_is_not_named() {
        assert_eq!(udp_4500("fe"), Detail::None);
        assert_eq!(udp_4500(""), Detail::None);
        assert_eq!(udp_4500("000000"), Detail::None);
        // A marker without room for an IKE header, the WESP identifier, a reserved SPI, half an ESP.
        assert_eq!(udp_4500(&"00".repeat(31)), Detail::None);
        assert_eq!(udp_4500("00000002 00000001 00000000"), Detail::None);
        assert_eq!(udp_4500("000000ff 00000001"), Detail::None);
        assert_eq!(udp_4500("00000100 000001"), Detail::None);
        let esp = Detail::UdpEncapsulation(UdpEncapsulation::Esp { spi: 256 });
        assert_eq!(udp_4500("00000100 00000001"), esp);
    }
}
