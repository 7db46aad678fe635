//! IPsec: the Authentication Header (RFC 4302), ESP (RFC 4303) and ESP inside UDP (RFC 3948).
//!
//! AH leaves what it protects in clear, so it is opened like an envelope; so are ESP without encryption
//! (`esp_null`) and wrapped ESP that says so (`wesp`). Other ESP shows its SPI and sequence number.

use std::net::IpAddr;

use super::ip::{Datagram, Fragment};
use super::span::Span;
use super::transport::{self, Segment};
use super::{
    Carriage, Detail, Protector, Sealed, Shield, Stop, Transport, UdpEncapsulation, esp_null, wesp,
};

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
pub(super) fn opaque_ah<'a>(datagram: &Datagram<'a>) -> Result<Segment<'a>, Stop> {
    let header = Authentication::read(datagram.body)?;
    let sealed = sealed(header.spi, header.sequence, datagram);
    Ok(Segment::portless(Detail::Security(sealed), header.body))
}

/// ESP whose content cannot be read: SPI and sequence number; all behind them is encrypted.
pub(super) fn esp<'a>(datagram: &Datagram<'a>) -> Result<Segment<'a>, Stop> {
    let span = datagram.body;
    let (Some(spi), Some(sequence)) = (span.u32(0), span.u32(4)) else {
        return Err(Stop::TransportHeader(Transport::ESP));
    };
    Ok(Segment::portless(Detail::Security(sealed(spi, sequence, datagram)), span.after(ESP_LEN)))
}

/// Wrapped ESP whose content cannot be read.
pub(super) fn wrapped_esp<'a>(datagram: &Datagram<'a>) -> Result<Segment<'a>, Stop> {
    let bad = Stop::TransportHeader(Transport::WESP);
    let inside = wesp::esp(datagram.body).ok_or(bad)?;
    let (Some(spi), Some(sequence)) = (inside.u32(0), inside.u32(4)) else {
        return Err(bad);
    };
    let sealed = sealed(spi, sequence, datagram);
    Ok(Segment::portless(Detail::Security(sealed), inside.after(ESP_LEN)))
}

fn sealed(spi: u32, sequence: u32, datagram: &Datagram<'_>) -> Sealed {
    let body = datagram.body;
    let whole =
        body.bytes.len() as u64 == u64::from(body.wire_len) && datagram.fragment == Fragment::Whole;
    Sealed { spi, sequence, dscp: datagram.dscp, whole, ip_len: datagram.ip_len() }
}

/// Whether the ports of a datagram or segment are those of ESP in UDP or TCP. A NAT may have changed one of them.
#[inline]
pub(super) fn may_be_encapsulation(datagram: Span<'_>) -> bool {
    transport::ports(datagram).is_some_and(|(from, to)| from == NAT_PORT || to == NAT_PORT)
}

/// What a datagram on port 4500 carries (RFC 3948, 2); None when it has none of the shapes.
pub(super) fn udp_encapsulation(
    payload: Span<'_>,
    datagram: &Datagram<'_>,
) -> Option<UdpEncapsulation> {
    if payload.wire_len == 1 {
        return (payload.u8(0)? == 0xFF).then_some(UdpEncapsulation::Keepalive);
    }
    match payload.u32(0)? {
        0 if payload.wire_len >= MARKER_LEN + IKE_LEN => Some(UdpEncapsulation::Ike),
        spi @ FIRST_SPI.. if payload.wire_len >= ESP_LEN as u32 => {
            Some(UdpEncapsulation::Esp(sealed(spi, payload.u32(4)?, datagram)))
        }
        WESP_IDENTIFIER => {
            let inside = wesp::esp(payload.after(IDENTIFIER_LEN))?;
            let spi = inside.u32(0).filter(|spi| *spi >= FIRST_SPI)?;
            Some(UdpEncapsulation::Esp(sealed(spi, inside.u32(4)?, datagram)))
        }
        _ => None,
    }
}

/// ESP in a TCP segment on port 4500 (RFC 9329, 3), as it looks; None where there is none of the shape.
pub(super) fn framed(datagram: &Datagram<'_>) -> Option<Sealed> {
    if datagram.transport != Transport::TCP || !may_be_encapsulation(datagram.body) {
        return None;
    }
    let esp = lone_frame(datagram.body)?;
    Some(sealed(esp.u32(0)?, esp.u32(4)?, datagram))
}

/// What ESP or wrapped ESP holds in clear, and its SPI; None where it is encrypted, cut or in pieces.
pub(super) fn open<'a>(datagram: &Datagram<'a>) -> Option<(Shield, Clear<'a>)> {
    if datagram.fragment != Fragment::Whole {
        return None;
    }
    let ends = (datagram.source, datagram.destination);
    match datagram.transport {
        Transport::ESP => open_esp(datagram.body, ends, Carriage::Ip),
        Transport::WESP => open_wrapped(datagram.body, ends, Carriage::Ip),
        Transport::TCP => open_esp(lone_frame(datagram.body)?, ends, Carriage::Tcp),
        Transport::UDP => {
            let payload = transport::udp_payload(datagram.body);
            match payload.u32(0)? {
                FIRST_SPI.. => open_esp(payload, ends, Carriage::Udp),
                WESP_IDENTIFIER => open_wrapped(payload.after(IDENTIFIER_LEN), ends, Carriage::Udp),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The ESP packet that a TCP segment consists of: frames begin with their length, which counts itself
/// (RFC 9329, 3). Senders of media fill a segment with one; what shares segments stays with its stream.
fn lone_frame(segment: Span<'_>) -> Option<Span<'_>> {
    let header_len = usize::from(segment.u8(12)? >> 4) * 4;
    let payload = segment.after(header_len);
    let alone = u32::from(payload.u16(0)?) == payload.wire_len;
    let esp = payload.after(FRAME_LENGTH_LEN);
    (header_len >= 20 && alone && esp.u32(0)? >= FIRST_SPI).then_some(esp)
}

fn open_esp(
    esp: Span<'_>,
    ends: (IpAddr, IpAddr),
    carriage: Carriage,
) -> Option<(Shield, Clear<'_>)> {
    let opened = esp_null::open(esp, ends)?;
    let protocol = Protector::Esp(opened.form);
    let shield = Shield { protocol, spi: esp.u32(0)?, carriage, ends };
    Some((shield, Clear { next: opened.next, body: opened.body }))
}

fn open_wrapped(
    wrapped: Span<'_>,
    ends: (IpAddr, IpAddr),
    carriage: Carriage,
) -> Option<(Shield, Clear<'_>)> {
    let (next, body) = wesp::content(wrapped)?;
    let spi = wesp::esp(wrapped)?.u32(0)?;
    Some((Shield { protocol: Protector::Wesp, spi, carriage, ends }, Clear { next, body }))
}

/// Content that IPsec leaves readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clear<'a> {
    /// What the body begins with.
    pub(super) next: Transport,
    pub(super) body: Span<'a>,
}

/// The port to which IKE and ESP move behind a NAT (RFC 3947).
pub(super) const NAT_PORT: u16 = 4500;
/// SPI and sequence number, in bytes.
const ESP_LEN: usize = 8;
/// The zero bytes in SPI place that mark IKE, in bytes.
const MARKER_LEN: u32 = 4;
/// An IKE header (RFC 7296, 3.1), in bytes.
const IKE_LEN: u32 = 28;
/// What stands in SPI place before wrapped ESP in UDP (RFC 5840, 2).
const WESP_IDENTIFIER: u32 = 2;
/// Its length, in bytes.
const IDENTIFIER_LEN: usize = 4;
/// The length before a frame in TCP, in bytes.
const FRAME_LENGTH_LEN: usize = 2;
/// SPIs 1 to 255 are reserved (RFC 4303, 2.1).
const FIRST_SPI: u32 = 256;

#[cfg(test)]
mod tests {
    use super::super::testing::{
        SYN, UDP, cut_frame, hex, ipv4, ipv6, packet, raw, raw_stop, stop,
    };
    use super::super::{Layer, MAX_LAYERS, Packet};
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

    fn sealed(packet: &Packet<'_>) -> Option<(u32, u32)> {
        match packet.detail {
            Detail::Security(sealed) | Detail::UdpEncapsulation(UdpEncapsulation::Esp(sealed)) => {
                Some((sealed.spi, sealed.sequence))
            }
            _ => None,
        }
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
                    assert_eq!(packet.transport, Transport::AH);
                    assert_eq!(sealed(&packet), Some((0x1020_3040, 1)));
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
        assert_eq!(sealed(&packet), Some((0x1000, 3)));
        assert_eq!(packet.layers.as_slice(), [Layer::Ah { spi: 0x0102_0304 }]);
        assert_eq!((packet.payload, packet.payload_len), (&[0xFF, 0xFF][..], 2));
    }

    #[test]
    fn ah_around_the_unread_is_an_ah_packet() {
        for next in [89, 108, 59, 47] {
            let bytes = ipv4(51, &ah(next, &[1, 2, 3, 4]));
            let packet = raw(&bytes);
            assert_eq!(packet.transport, Transport::AH);
            assert_eq!(sealed(&packet), Some((0x0102_0304, 9)));
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

    /// What all vectors hold, whatever is around it.
    fn assert_media(vector: &str, layers: &[Layer]) {
        let bytes = hex(vector);
        let packet = raw(&bytes);
        assert_eq!(packet.transport, Transport::UDP, "{layers:?}");
        assert_eq!((packet.source_port, packet.destination_port), (50000, 49200));
        assert_eq!(packet.payload.get(..4), Some(&hex("80680101")[..]));
        assert_eq!((packet.payload.len(), packet.payload_len), (32, 32));
        assert_eq!(packet.layers.as_slice(), layers);
        let shield = packet.shield.unwrap();
        assert_eq!(shield.ends, (packet.source, packet.destination));
    }

    #[test]
    fn esp_without_encryption_shows_the_ports_inside() {
        assert_media(ESP_NULL, &[Layer::EspNull { spi: 0x5060_7080 }]);
        assert_media(ESP_GMAC, &[Layer::EspNull { spi: 0x5060_7081 }]);
        let in_udp = [Layer::UdpEncapsulation, Layer::EspNull { spi: 0x5060_7082 }];
        assert_media(UDP_ESP, &in_udp);
        assert_media(WESP, &[Layer::Wesp { spi: 0x5060_7083 }]);
        let form = |vector: &str| match raw(&hex(vector)).shield.unwrap().protocol {
            Protector::Esp(form) => (form.icv, form.iv),
            other => panic!("{other:?}"),
        };
        assert_eq!(form(ESP_NULL), (12, 0));
        assert_eq!(form(ESP_GMAC), (16, 8));
    }

    #[test]
    fn cut_or_damaged_esp_shows_spi_and_sequence_only() {
        for (vector, spi) in [(ESP_NULL, 0x5060_7080), (ESP_GMAC, 0x5060_7081)] {
            let bytes = hex(vector);
            for len in 20..bytes.len() {
                let cut = cut_frame(LinkType::RAW, &bytes[..len], bytes.len());
                if len < 28 {
                    assert_eq!(stop(&cut), Stop::TransportHeader(Transport::ESP));
                    continue;
                }
                let packet = packet(&cut);
                assert_eq!(packet.transport, Transport::ESP);
                assert_eq!(sealed(&packet), Some((spi, 1)));
                assert!(!matches!(packet.detail, Detail::Security(s) if s.whole));
            }
            // The UDP length, and the pad length.
            for at in [33, bytes.len() - 14, bytes.len() - 18] {
                let mut bad = bytes.clone();
                bad[at] ^= 0x40;
                let Detail::Security(sealed) = raw(&bad).detail else { continue };
                assert!(sealed.whole);
                assert_eq!((sealed.dscp, sealed.ip_len as usize), (46, bytes.len()));
            }
        }
    }

    #[test]
    fn wrapped_esp_is_a_transport_of_its_own_where_it_is_encrypted() {
        let mut bytes = hex(WESP);
        bytes[20..24].copy_from_slice(&[0, 0, 0, 0x20]);
        let packet = raw(&bytes);
        assert_eq!(packet.transport, Transport::WESP);
        assert_eq!(sealed(&packet), Some((0x5060_7083, 1)));
        assert_eq!(packet.payload_len, 56);
    }

    #[test]
    fn the_length_of_the_wesp_trailer_may_be_that_of_the_check_value_alone() {
        let mut bytes = hex(WESP);
        bytes[22] = 12;
        assert_eq!(raw(&bytes).destination_port, 49200);
        bytes[22] = 20;
        assert_eq!(raw(&bytes).transport, Transport::WESP);
    }

    #[test]
    fn port_4500_carries_esp_ike_or_a_keepalive() {
        let esp = hex(UDP_ESP);
        // Encrypted, as far as anybody can tell.
        let mut sealed_esp = esp.clone();
        sealed_esp[40] ^= 0x10;
        assert_eq!(raw(&sealed_esp).transport, Transport::UDP);
        assert_eq!(sealed(&raw(&sealed_esp)), Some((0x5060_7082, 1)));
        let inside = |vector| match raw(&hex(vector)).detail {
            Detail::UdpEncapsulation(inside) => Some(inside),
            _ => None,
        };
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
        let Detail::UdpEncapsulation(UdpEncapsulation::Esp(esp)) = udp_4500("00000100 00000001")
        else {
            panic!("no ESP");
        };
        assert_eq!((esp.spi, esp.sequence), (256, 1));
    }

    #[test]
    fn a_segment_on_port_4500_that_is_one_frame_may_be_esp() {
        let segment = |ports: &str, payload: &str| {
            let header = hex("00000064 00000001 5018 2000 0000 0000");
            let bytes = [hex(ports), header, hex(payload)].concat();
            let packet = ipv4(6, &bytes);
            raw(&packet).framed.map(|sealed| (sealed.spi, sealed.sequence, sealed.whole))
        };
        let esp = "000e c0ffee01 00000009 9a7b3c5d";
        assert_eq!(segment("1194 e000", esp), Some((0xC0FF_EE01, 9, true)));
        assert_eq!(segment("e000 1194", esp), Some((0xC0FF_EE01, 9, true)));
        assert_eq!(segment("e000 1195", esp), None);
        // Shorter or longer than it says, a frame of key exchange, half an ESP header.
        assert_eq!(segment("1194 e000", "000d c0ffee01 00000009 9a7b3c5d"), None);
        assert_eq!(segment("1194 e000", "000f c0ffee01 00000009 9a7b3c5d"), None);
        assert_eq!(segment("1194 e000", "000e 00000000 00000009 9a7b3c5d"), None);
        assert_eq!(segment("1194 e000", "0008 c0ffee01 0000"), None);
        assert_eq!(segment("1194 e000", ""), None);
        let udp = ipv4(17, &hex("1194 e000 0016 0000 000e c0ffee01 00000009 9a7b3c5d"));
        assert_eq!(raw(&udp).framed, None);
    }
}
