//! What the unit tests of this room share: frames from hex, and a short way to the answer.

use super::{Decoded, Packet, Stop, Transport, decode};
use crate::input::{Frame, LinkType, Timestamp};

/// Bytes from hex digits; blanks are for the reader.
pub(super) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    assert_eq!(digits.len() % 2, 0, "an odd number of hex digits");
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A frame captured whole.
pub(super) fn frame(link_type: LinkType, data: &[u8]) -> Frame<'_> {
    cut_frame(link_type, data, data.len())
}

/// A frame that was `original_len` bytes long on the wire.
pub(super) fn cut_frame(link_type: LinkType, data: &[u8], original_len: usize) -> Frame<'_> {
    Frame {
        number: 7,
        time: Timestamp(1_000),
        link_type,
        data,
        original_len: u32::try_from(original_len).unwrap(),
    }
}

/// The packet in a frame.
#[track_caller]
pub(super) fn packet<'a>(frame: &Frame<'a>) -> Packet<'a> {
    match decode(frame) {
        Decoded::Packet(packet) => packet,
        Decoded::Stopped(stop) => panic!("stopped: {stop}"),
    }
}

/// The packet in raw IP bytes.
#[track_caller]
pub(super) fn raw(data: &[u8]) -> Packet<'_> {
    packet(&frame(LinkType::RAW, data))
}

/// Why a frame was not decoded.
#[track_caller]
pub(super) fn stop(frame: &Frame<'_>) -> Stop {
    match decode(frame) {
        Decoded::Stopped(stop) => stop,
        Decoded::Packet(packet) => panic!("decoded: {packet:?}"),
    }
}

/// Why raw IP bytes were not decoded.
#[track_caller]
pub(super) fn raw_stop(data: &[u8]) -> Stop {
    stop(&frame(LinkType::RAW, data))
}

/// An IPv4 header without options (10.0.0.1 to 10.0.0.2) before a body.
pub(super) fn ipv4(protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = hex("45000000 00010000 40000000 0a000001 0a000002");
    let total = u16::try_from(bytes.len() + body.len()).unwrap();
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[9] = protocol;
    bytes.extend_from_slice(body);
    bytes
}

/// An IPv6 header (`fd00::1` to `fd00::2`) before a body.
pub(super) fn ipv6(next_header: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = hex("60000000 00000040
        fd000000000000000000000000000001 fd000000000000000000000000000002");
    bytes[4..6].copy_from_slice(&u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes[6] = next_header;
    bytes.extend_from_slice(body);
    bytes
}

/// A UDP header (61000 to `port`) before a body.
pub(super) fn udp(port: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = hex("ee48");
    bytes.extend(port.to_be_bytes());
    bytes.extend(u16::try_from(8 + body.len()).unwrap().to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend_from_slice(body);
    bytes
}

/// The packet that tests wrap: [`UDP`] in IPv4.
pub(super) fn inner() -> Vec<u8> {
    ipv4(17, &hex(UDP))
}

/// An Ethernet frame around [`inner`].
pub(super) fn inner_frame() -> Vec<u8> {
    [hex("020000000002 020000000001 0800"), inner()].concat()
}

/// The layers, by name, around [`inner`] in a frame that must lead to it. Cut anywhere, the frame
/// shows the inner packet, or one between the outer ends, or a header that is not whole; damaged
/// anywhere, it does no harm.
#[track_caller]
pub(super) fn layers_around_inner(link_type: LinkType, data: &[u8]) -> String {
    let whole = packet(&frame(link_type, data));
    let is_inner = |packet: &Packet<'_>| {
        (packet.transport, packet.source_port, packet.destination_port)
            == (Transport::UDP, 50000, 49200)
    };
    assert!(is_inner(&whole), "shows {whole:?}");
    assert_eq!((whole.payload, whole.payload_len), (&hex("deadbeef")[..], 4));
    for len in 0..data.len() {
        match decode(&cut_frame(link_type, &data[..len], data.len())) {
            Decoded::Packet(packet) if is_inner(&packet) => {
                assert_eq!(packet.layers, whole.layers, "cut to {len}");
                assert!(packet.payload.len() <= packet.payload_len as usize);
            }
            Decoded::Packet(packet) => {
                let outer = packet.layers.as_slice().len() < whole.layers.as_slice().len();
                assert!(outer, "cut to {len}: {packet:?}");
            }
            Decoded::Stopped(
                Stop::LinkHeader
                | Stop::IpHeader
                | Stop::TransportHeader(_)
                | Stop::NotIp(0x8847 | 0x8848),
            ) => {}
            Decoded::Stopped(stop) => panic!("cut to {len}: {stop}"),
        }
    }
    for at in 0..data.len() {
        for bits in [0x01, 0x10, 0x80, 0xFF] {
            let mut damaged = data.to_vec();
            damaged[at] ^= bits;
            if let Decoded::Packet(packet) = decode(&frame(link_type, &damaged)) {
                assert!(packet.payload.len() <= packet.payload_len as usize);
            }
        }
    }
    let names: Vec<_> = whole.layers.as_slice().iter().map(ToString::to_string).collect();
    names.join(" ")
}

/// The same for raw IP bytes.
#[track_caller]
pub(super) fn layers_in_ip(data: &[u8]) -> String {
    layers_around_inner(LinkType::RAW, data)
}

/// A datagram to a tunnel's port that must stay what it is.
#[track_caller]
pub(super) fn stays_udp(port: u16, payload: &[u8]) {
    let bytes = ipv4(17, &udp(port, payload));
    let packet = raw(&bytes);
    assert_eq!((packet.source_port, packet.destination_port), (61000, port));
    assert!(packet.layers.as_slice().is_empty() && packet.vlans.as_slice().is_empty());
    assert_eq!(packet.payload, payload);
}

/// UDP 50000 to 49200 with four bytes of payload.
pub(super) const UDP: &str = "c350 c030 000c 0000 deadbeef";
/// A TCP SYN from 50000 to 5061, sequence 1, with a maximum segment size option.
pub(super) const SYN: &str = "c350 13c5 00000001 00000000 6002 ffff 0000 0000 020405b4";

/// A link header that leads straight to the packet of [`inner`], or to its Ethernet frame.
#[track_caller]
pub(super) fn reads(link_type: LinkType, header: &str, body: &[u8]) {
    let bytes = [hex(header), body.to_vec()].concat();
    assert_eq!(layers_around_inner(link_type, &bytes), "", "{header}");
}
