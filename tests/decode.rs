//! Decoding holds for any traffic: what was crafted comes out, and hostile bytes do no harm.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use portassay::decode::{Decoded, Detail, IcmpErrorKind, Layer, Packet, Stop, Transport, decode};
use portassay::input::{Frame, LinkType, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::craft::{self, at, icmp_error, ip, sctp, tcp, udp};

fn frame(link_type: LinkType, data: &[u8]) -> Frame<'_> {
    Frame {
        number: 1,
        time: Timestamp(0),
        link_type,
        data,
        original_len: u32::try_from(data.len()).unwrap(),
    }
}

#[track_caller]
fn packet(link_type: LinkType, data: &[u8]) -> Packet<'_> {
    match decode(&frame(link_type, data)) {
        Decoded::Packet(packet) => packet,
        Decoded::Stopped(stop) => panic!("stopped: {stop}"),
    }
}

#[test]
fn one_packet_reads_the_same_on_every_link() {
    let crafted = udp(at("10.0.0.1:50000"), at("10.0.0.2:49200")).payload(b"hello");
    let frames = [
        (LinkType::ETHERNET, crafted.ethernet()),
        (LinkType::LINUX_SLL, crafted.cooked()),
        (LinkType::NULL, crafted.loopback()),
        (LinkType::RAW, crafted.ip_bytes()),
    ];
    for (link_type, data) in &frames {
        let packet = packet(*link_type, data);
        assert_eq!(packet.source, ip("10.0.0.1"));
        assert_eq!(packet.destination_port, 49200);
        assert_eq!(packet.payload, b"hello");
    }
}

#[test]
fn a_tunnel_shows_who_speaks_inside() {
    let inner = tcp(at("10.0.0.1:50000"), at("10.0.0.2:5061")).payload(b"inside");
    let tunnel = inner
        .in_tunnel(ip("fd00::1"), ip("fd00::2"))
        .ah(0x1000, 1)
        .vlan(20)
        .macs([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ethernet();
    assert_eq!(tunnel[..12], [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    let packet = packet(LinkType::ETHERNET, &tunnel);
    assert_eq!(packet.source, ip("10.0.0.1"));
    assert_eq!(packet.payload, b"inside");
    assert_eq!(packet.vlans.as_slice(), [20]);
    assert_eq!(packet.layers.as_slice(), [Layer::Ah { spi: 0x1000 }, Layer::IpInIp]);
}

#[test]
fn esp_shows_its_spi_whether_sealed_or_not() {
    let clear = udp(at("10.0.0.1:50000"), at("10.0.0.2:49200")).payload(b"media");
    for crafted in [clear.clone().esp(0x2000, 5), clear.clone().esp_null(0x2000, 5)] {
        let data = crafted.ip_bytes();
        let packet = packet(LinkType::RAW, &data);
        assert_eq!(packet.transport, Transport::ESP);
        assert_eq!(packet.detail, Detail::Security { spi: 0x2000, sequence: 5 });
    }
    let data = clear.esp(0x2000, 5).in_udp(4500, 61000).ip_bytes();
    let packet = packet(LinkType::RAW, &data);
    assert_eq!((packet.source_port, packet.destination_port), (4500, 61000));
    assert!(matches!(packet.detail, Detail::UdpEncapsulation(_)));
}

#[test]
fn an_error_report_points_at_its_flow() {
    let lost = udp(at("[fd00::1]:50000"), at("[fd00::2]:3478")).payload([0; 100]);
    let report = icmp_error(ip("fd00::2"), 1, 4, &lost).ethernet();
    let Detail::IcmpError(quoted) = packet(LinkType::ETHERNET, &report).detail else {
        panic!("no quote");
    };
    assert_eq!(quoted.kind, IcmpErrorKind::PortUnreachable);
    assert_eq!((quoted.source, quoted.source_port), (ip("fd00::1"), 50000));
    assert_eq!((quoted.destination, quoted.destination_port), (ip("fd00::2"), 3478));
}

#[test]
fn only_the_first_fragment_shows_ports() {
    for (from, to) in [("10.0.0.1:1", "10.0.0.2:2"), ("[fd00::1]:1", "[fd00::2]:2")] {
        let whole = udp(at(from), at(to)).payload([7; 100]);
        let first = whole.clone().fragment(0, 64).ip_bytes();
        let first = packet(LinkType::RAW, &first);
        assert!(first.first_fragment);
        assert_eq!((first.destination_port, first.payload_len), (2, 56));
        let rest = whole.fragment(64, 64).ip_bytes();
        let rest = decode(&frame(LinkType::RAW, &rest));
        assert!(matches!(rest, Decoded::Stopped(Stop::Fragment)));
    }
}

/// A random packet, and what decoding must say of it.
#[derive(Debug, Clone)]
struct Expected {
    crafted: craft::Packet,
    from: SocketAddr,
    to: SocketAddr,
    transport: Transport,
    payload: Vec<u8>,
    vlans: Vec<u16>,
    layers: Vec<Layer>,
}

fn ends() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<[([u8; 4], u16); 2]>().prop_map(|[a, b]| {
        let end = |(ip, port): ([u8; 4], u16)| SocketAddr::from((Ipv4Addr::from(ip), port));
        (end(a), end(b))
    });
    let v6 = any::<[([u8; 16], u16); 2]>().prop_map(|[a, b]| {
        let end = |(ip, port): ([u8; 16], u16)| SocketAddr::from((Ipv6Addr::from(ip), port));
        (end(a), end(b))
    });
    prop_oneof![v4, v6]
}

fn stacks() -> impl Strategy<Value = Expected> {
    let extensions = vec(prop::sample::select(vec![0, 43, 60, 135, 139, 140]), 0..4);
    let transports = prop::sample::select(vec![Transport::TCP, Transport::UDP, Transport::SCTP]);
    let wraps = (vec(any::<u32>(), 0..3), any::<bool>(), vec(0_u16..4096, 0..8));
    (ends(), ends(), transports, vec(any::<u8>(), 0..200), extensions, wraps).prop_map(
        |(inner, gateways, transport, payload, extensions, (spis, tunnel, vlans))| {
            let (from, to) = inner;
            let crafted = match transport {
                Transport::TCP => tcp(from, to).tcp_options(&payload[..payload.len().min(9)]),
                Transport::UDP => udp(from, to),
                _ => sctp(from, to),
            };
            let crafted = crafted.payload(&payload);
            let (mut crafted, mut layers) = if tunnel {
                let crafted = crafted.in_tunnel(gateways.0.ip(), gateways.1.ip()).ah(9, 1);
                (crafted, vec![Layer::IpInIp, Layer::Ah { spi: 9 }])
            } else {
                (crafted, Vec::new())
            };
            for spi in spis {
                crafted = crafted.ah(spi, 1);
                layers.push(Layer::Ah { spi });
            }
            layers.reverse();
            crafted = extensions.into_iter().fold(crafted, craft::Packet::extension);
            crafted = vlans.iter().fold(crafted, |packet, id| packet.vlan(*id));
            Expected { crafted, from, to, transport, payload, vlans, layers }
        },
    )
}

proptest! {
    #[test]
    fn what_was_crafted_comes_out(expected in stacks(), padding in 0_usize..46) {
        let data = [expected.crafted.ethernet(), vec![0xFF; padding]].concat();
        let Decoded::Packet(packet) = decode(&frame(LinkType::ETHERNET, &data)) else {
            return Err(TestCaseError::fail("stopped"));
        };
        prop_assert_eq!(packet.source, expected.from.ip());
        prop_assert_eq!(packet.destination, expected.to.ip());
        prop_assert_eq!(packet.source_port, expected.from.port());
        prop_assert_eq!(packet.destination_port, expected.to.port());
        prop_assert_eq!(packet.transport, expected.transport);
        prop_assert_eq!(packet.payload, &expected.payload);
        prop_assert_eq!(packet.payload_len as usize, expected.payload.len());
        prop_assert_eq!(packet.vlans.as_slice(), &expected.vlans[..expected.vlans.len().min(4)]);
        prop_assert_eq!(packet.layers.as_slice(), &expected.layers);
        prop_assert_eq!(packet.wire_len as usize, data.len());
        prop_assert!(!packet.first_fragment);
    }

    /// A snaplen may hide the transport behind AH or everything, but never invents anything.
    #[test]
    fn cutting_loses_but_never_changes(expected in stacks()) {
        let data = expected.crafted.ethernet();
        for len in 0..data.len() {
            let cut = Frame { data: &data[..len], ..frame(LinkType::ETHERNET, &data) };
            let Decoded::Packet(packet) = decode(&cut) else { continue };
            prop_assert!(packet.payload.len() <= packet.payload_len as usize);
            if packet.transport == Transport::AH {
                continue;
            }
            prop_assert_eq!(packet.transport, expected.transport);
            prop_assert_eq!(packet.source_port, expected.from.port());
            prop_assert_eq!(packet.destination_port, expected.to.port());
            prop_assert!(expected.payload.starts_with(packet.payload));
        }
    }

    #[test]
    fn random_bytes_do_no_harm(data in vec(any::<u8>(), 0..300), number in any::<u32>(), wire in any::<u32>()) {
        let known = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276, number];
        for link_type in known.map(LinkType) {
            check_bounds(&Frame { original_len: wire, ..frame(link_type, &data) })?;
        }
    }

    #[test]
    fn damaged_packets_do_no_harm(
        expected in stacks(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut data = expected.crafted.ethernet();
        for (place, value) in damage {
            let place = place.index(data.len());
            data[place] = value;
        }
        check_bounds(&frame(LinkType::ETHERNET, &data))?;
        check_bounds(&frame(LinkType::ETHERNET, &data[..cut.index(data.len())]))?;
    }
}

/// Whatever is decoded lies within the frame.
fn check_bounds(frame: &Frame<'_>) -> Result<(), TestCaseError> {
    if let Decoded::Packet(packet) = decode(frame) {
        let within = frame.data.as_ptr_range();
        prop_assert!(packet.payload.is_empty() || within.contains(&packet.payload.as_ptr()));
        prop_assert!(packet.payload.len() < frame.data.len());
        prop_assert!(packet.payload.len() <= packet.payload_len as usize);
    }
    Ok(())
}
