//! Decoding holds for any traffic: what was crafted comes out, and hostile bytes do no harm.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use portassay::decode::{
    Decoded, Detail, IcmpErrorKind, Layer, MAX_LAYERS, Packet, Stop, Transport, decode,
};
use portassay::input::{Frame, LinkType, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::craft::{self, at, icmp_error, ip, sctp, tcp, udp};
use crate::support::tunnel::Tunnel;

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
        (LinkType::PPP, crafted.ppp()),
        (LinkType::WLAN, crafted.radio()),
        (LinkType::RADIOTAP, crafted.radiotap()),
        (LinkType::ETHERNET, crafted.clone().vlan(100).vlan(20).ethernet()),
        (LinkType::ETHERNET, crafted.clone().mpls(&[29, 16]).ethernet()),
        (LinkType::ETHERNET, crafted.clone().pppoe(17).ethernet()),
    ];
    for (link_type, data) in &frames {
        let packet = packet(*link_type, data);
        assert_eq!(packet.source, ip("10.0.0.1"));
        assert_eq!(packet.destination_port, 49200);
        assert_eq!(packet.payload, b"hello");
    }
}

#[test]
fn one_packet_reads_the_same_through_every_tunnel() {
    let v4 = udp(at("10.0.0.1:50000"), at("10.0.0.2:49200")).payload(b"hello");
    let v6 = tcp(at("[fd00::1]:50000"), at("[fd00::2]:5061")).payload(b"hello");
    let ends = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")];
    for tunnel in Tunnel::ALL {
        for inner in [&v4, &v6, &v4.clone().vlan(30)] {
            for (from, to) in ends.map(|(from, to)| (ip(from), ip(to))) {
                let data = tunnel.around(inner, from, to).vlan(20).ethernet();
                let packet = packet(LinkType::ETHERNET, &data);
                assert_eq!(packet.payload, b"hello", "{tunnel:?}");
                assert_eq!(packet.source_port, 50000, "{tunnel:?}");
                assert_eq!(packet.layers.as_slice(), tunnel.layers(inner, from), "{tunnel:?}");
                assert_eq!(packet.vlans.as_slice()[0], 20);
            }
        }
    }
}

#[test]
fn every_tunnel_nests_to_the_bound_and_no_deeper() {
    let (from, to) = (ip("192.0.2.1"), ip("192.0.2.2"));
    for tunnel in Tunnel::ALL {
        let mut crafted = udp(at("10.0.0.1:50000"), at("10.0.0.2:49200")).payload(b"hello");
        let each = tunnel.layers(&crafted, from).len();
        for depth in (each..).step_by(each) {
            crafted = tunnel.around(&crafted, from, to);
            let data = crafted.ethernet();
            match decode(&frame(LinkType::ETHERNET, &data)) {
                // A tunnel in UDP that cannot be opened stays a packet between its ends.
                Decoded::Packet(packet) if depth > MAX_LAYERS => {
                    assert_eq!((packet.source, packet.transport), (from, Transport::UDP));
                    break;
                }
                Decoded::Packet(packet) => {
                    assert_eq!(packet.layers.as_slice().len(), depth, "{tunnel:?}");
                    assert_eq!(packet.payload, b"hello", "{tunnel:?}");
                }
                Decoded::Stopped(stop) => {
                    assert_eq!(stop, Stop::TooDeep, "{tunnel:?}");
                    assert!(depth > MAX_LAYERS, "{tunnel:?}: stopped at {depth} layers");
                    break;
                }
            }
        }
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
    assert_eq!(packet.layers.as_slice(), [Layer::Ah { spi: 0x1000 }, Layer::FourInSix]);
}

#[test]
fn esp_shows_its_spi_and_what_it_does_not_encrypt() {
    let clear = udp(at("10.0.0.1:50000"), at("10.0.0.2:49200")).payload(b"media");
    let data = clear.clone().esp(0x2000, 5).ip_bytes();
    let packet_of = |data| packet(LinkType::RAW, data);
    let Detail::Security(sealed) = packet_of(&data).detail else { panic!("no ESP") };
    assert_eq!((sealed.spi, sealed.sequence, sealed.whole), (0x2000, 5, true));
    let data = clear.clone().esp_null(0x2000, 5).ip_bytes();
    let packet = packet_of(&data);
    assert_eq!((packet.transport, packet.destination_port), (Transport::UDP, 49200));
    assert_eq!(packet.payload, b"media");
    assert_eq!(packet.layers.as_slice(), [Layer::EspNull { spi: 0x2000 }]);
    let data = clear.clone().esp_null(0x2000, 5).in_udp(4500, 61000).ip_bytes();
    assert_eq!(packet_of(&data).destination_port, 49200);
    let data = clear.esp(0x2000, 5).in_udp(4500, 61000).ip_bytes();
    let packet = packet_of(&data);
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

/// Tunnels whose layers, with two of AH, stay within the bound.
fn tunnels() -> impl Strategy<Value = Vec<Tunnel>> {
    let number = 0_u32..1 << 20;
    let tunnel = prop_oneof![
        prop::sample::select(Tunnel::ALL.to_vec()),
        (any::<bool>(), any::<Option<u32>>(), any::<Option<u32>>())
            .prop_map(|(sum, key, sequence)| Tunnel::Gre { sum, key, sequence }),
        (number.clone(), 0_u8..64).prop_map(|(vni, options)| Tunnel::Geneve { vni, options }),
        number.clone().prop_map(|vni| Tunnel::Vxlan { vni }),
        // Labels below 16 have meanings of their own (RFC 3032, 2.1).
        (number, any::<bool>()).prop_map(|(label, control_word)| Tunnel::Pseudowire {
            label: label.max(16),
            control_word
        }),
        (0_u16..1024, any::<bool>())
            .prop_map(|(session, platform)| Tunnel::Erspan3 { session, platform }),
        (0_u8..4).prop_map(|cookie| Tunnel::L2tpV3 { cookie }),
        any::<bool>().prop_map(|radio| Tunnel::Capwap { radio }),
        any::<bool>().prop_map(|length| Tunnel::L2tp { length }),
        any::<bool>().prop_map(|extended| Tunnel::Gtp { extended }),
    ];
    vec(tunnel, 0..3)
}

fn stacks() -> impl Strategy<Value = Expected> {
    let extensions = vec(prop::sample::select(vec![0, 43, 60, 135, 139, 140]), 0..4);
    let transports = prop::sample::select(vec![Transport::TCP, Transport::UDP, Transport::SCTP]);
    let wraps = (vec(any::<u32>(), 0..3), tunnels(), vec(0_u16..4096, 0..8));
    (ends(), ends(), transports, vec(any::<u8>(), 0..200), extensions, wraps).prop_map(
        |(inner, gateways, transport, payload, extensions, (spis, tunnels, vlans))| {
            let (from, to) = inner;
            let crafted = match transport {
                Transport::TCP => tcp(from, to).tcp_options(&payload[..payload.len().min(9)]),
                Transport::UDP => udp(from, to),
                _ => sctp(from, to),
            };
            let crafted = crafted.payload(&payload);
            let (mut crafted, mut layers) = (crafted, Vec::new());
            for tunnel in tunnels {
                let (from, to) = (gateways.0.ip(), gateways.1.ip());
                layers.splice(0..0, tunnel.layers(&crafted, from));
                crafted = tunnel.around(&crafted, from, to);
            }
            for spi in spis {
                crafted = crafted.ah(spi, 1);
                layers.insert(0, Layer::Ah { spi });
            }
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
            prop_assert!(expected.layers.starts_with(packet.layers.as_slice()));
            // Cut before the headers inside, what is around them is all there is to tell.
            if packet.layers.as_slice().len() < expected.layers.len() {
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
        for link_type in (0..300).chain([number]).map(LinkType) {
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
