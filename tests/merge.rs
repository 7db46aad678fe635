//! The merge law: a capture cut anywhere, joined in order, gives the table of the whole.

use std::net::{IpAddr, Ipv4Addr};

use portassay::decode::{
    Carriage, Detail, IcmpErrorKind, Inline, Layer, NullForm, Packet, Part, Parts, Protector,
    Quoted, Sealed, Shield, TcpFlags, Transport, UdpEncapsulation,
};
use portassay::flow::{FlowTable, Limits};
use portassay::input::{Frame, LinkType, Timestamp};
use proptest::prelude::*;

/// A packet in terms small enough that keys, handshakes and retransmissions collide often.
#[derive(Debug, Clone)]
struct Small {
    from: u8,
    to: u8,
    kind: u8,
    flags: u8,
    sequence: u32,
    time: i64,
    payload: Vec<u8>,
    ah: bool,
    /// A fragment: which place, 0 for the first; the datagram is numbered by `sequence`.
    place: Option<u8>,
}

fn address(n: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, n))
}

fn small() -> impl Strategy<Value = Small> {
    let hosts = (0..3_u8, 0..3_u8, any::<bool>());
    let places = prop_oneof![2 => Just(None), 1 => (0..4_u8).prop_map(Some)];
    (hosts, 0..7_u8, 0..32_u8, 0..4_u32, 0..50_i64, 0..4_usize, places).prop_map(
        |((from, to, ah), kind, flags, sequence, time, len, place)| Small {
            from,
            to,
            kind,
            flags,
            sequence,
            // Far enough apart that datagrams are given up in between.
            time: time * 2_000_000_000,
            payload: vec![from; len * 100],
            ah,
            place,
        },
    )
}

fn sealed(small: &Small) -> Sealed {
    Sealed {
        spi: small.sequence + 256,
        sequence: small.sequence,
        dscp: [0, 24, 34, 46][small.sequence as usize % 4],
        whole: small.ah,
        ip_len: small.payload.len() as u32 + 28,
    }
}

/// IPsec of any kind, of the hosts or of the ends of a tunnel.
fn shield(small: &Small) -> Shield {
    let outer =
        |host| if small.sequence.is_multiple_of(2) { address(host) } else { address(host + 10) };
    let ends = (outer(small.from), outer(small.to));
    let (protocol, carriage) = match small.flags % 4 {
        0 => (Protector::Ah, Carriage::Ip),
        1 => (Protector::Esp(NullForm { icv: 12, iv: 0 }), Carriage::Ip),
        2 => (Protector::Esp(NullForm { icv: 16, iv: 8 }), Carriage::Udp),
        _ => (Protector::Wesp, Carriage::Ip),
    };
    Shield { protocol, spi: small.sequence, carriage, ends }
}

fn packet(small: &Small, frame: u64) -> Packet<'_> {
    let (source, destination) = (address(small.from), address(small.to));
    let quoted = Quoted {
        kind: [IcmpErrorKind::Prohibited, IcmpErrorKind::Unreachable][usize::from(small.ah)],
        source: destination,
        destination: source,
        transport: Transport::TCP,
        source_port: 1000 + u16::from(small.to),
        destination_port: 1000 + u16::from(small.from),
        spi: None,
    };
    let (transport, detail) = match small.kind {
        0..=2 => {
            let flags = TcpFlags(small.flags);
            (
                Transport::TCP,
                Detail::Tcp {
                    flags,
                    sequence: small.sequence,
                    acknowledgement: small.sequence + 1,
                },
            )
        }
        3 => (Transport::UDP, Detail::None),
        4 => (Transport::ICMP, Detail::IcmpError(quoted)),
        5 => (Transport::ESP, Detail::Security(sealed(small))),
        _ => {
            let esp = UdpEncapsulation::Esp(sealed(small));
            (Transport::UDP, Detail::UdpEncapsulation(esp))
        }
    };
    let ports = transport.has_ports();
    let mut layers = Inline::new(Layer::IpInIp);
    if small.ah {
        layers.push(Layer::Ah { spi: small.sequence });
    }
    Packet {
        time: Timestamp(small.time),
        frame,
        wire_len: 60 + small.payload.len() as u32,
        source,
        destination,
        transport,
        source_port: if ports { 1000 + u16::from(small.from) } else { 0 },
        destination_port: if ports { 1000 + u16::from(small.to) } else { 0 },
        detail,
        payload: &small.payload,
        payload_len: small.payload.len() as u32,
        vlans: Inline::new(0),
        layers,
        shield: small.ah.then(|| shield(small)),
        framed: (transport == Transport::TCP && small.ah).then(|| sealed(small)),
        first_fragment: small.place == Some(0),
        identification: small.sequence,
        hop_limit: 64,
        checksum: 0,
        checksum_holds: None,
    }
}

/// Which datagram a fragment is a piece of; the last place of each ends it.
fn parts(small: &Small, place: u8) -> Parts {
    let part = Part {
        source: address(small.from),
        destination: address(small.to),
        transport: Transport(17),
        identification: small.sequence,
        offset: u32::from(place) * 80,
        len: if small.ah { 80 } else { 88 },
        more: place < 3,
    };
    let mut parts = Parts::new(part);
    parts.push(part);
    parts
}

fn observe(table: &mut FlowTable, small: &Small, frame: u64) {
    let packet = packet(small, frame);
    match small.place {
        None => table.observe(0, &packet),
        Some(0) => table.observe_first(0, &packet, &parts(small, 0)),
        Some(place) => {
            let frame = Frame {
                number: frame,
                time: packet.time,
                link_type: LinkType::ETHERNET,
                data: &[],
                original_len: packet.wire_len,
            };
            table.observe_later(0, &frame, &parts(small, place));
        }
    }
}

fn table(packets: &[Small], first_frame: u64, limits: Limits) -> FlowTable {
    fill(FlowTable::new(limits), packets, first_frame)
}

fn part_table(packets: &[Small], first_frame: u64, limits: Limits) -> FlowTable {
    fill(FlowTable::part(limits), packets, first_frame)
}

fn fill(mut table: FlowTable, packets: &[Small], first_frame: u64) -> FlowTable {
    for (n, small) in packets.iter().enumerate() {
        observe(&mut table, small, first_frame + n as u64);
    }
    table
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn parts_joined_in_order_equal_the_whole(
        packets in prop::collection::vec(small(), 0..60),
        mut cuts in prop::collection::vec(0..60_usize, 0..4),
    ) {
        let limits = Limits::default();
        for cut in &mut cuts {
            *cut = (*cut).min(packets.len());
        }
        cuts.extend([0, packets.len()]);
        cuts.sort_unstable();
        let mut joined = FlowTable::new(limits);
        for window in cuts.windows(2) {
            let part = &packets[window[0]..window[1]];
            let mut table = part_table(part, 1, limits);
            table.rebase(0, window[0] as u64);
            prop_assert!(joined.merge(table).is_ok());
        }
        let mut whole = table(&packets, 1, limits);
        prop_assert_eq!(joined.untracked(), whole.untracked());
        let (counts, strays) = whole.finish_fragments();
        prop_assert_eq!(joined.finish_fragments(), (counts, strays.clone()));
        let counted: u64 = whole.flows().map(|flow| flow.packets()).sum();
        prop_assert_eq!(counted + strays.values().sum::<u64>(), packets.len() as u64);
        prop_assert_eq!(joined.into_flows().collect::<Vec<_>>(), whole.into_flows().collect::<Vec<_>>());
    }

    #[test]
    fn joining_is_associative(
        packets in prop::collection::vec(small(), 3..60),
        a in 0..60_usize,
        b in 0..60_usize,
    ) {
        let limits = Limits::default();
        let (a, b) = (a.min(b).min(packets.len()), a.max(b).min(packets.len()));
        let part = |from: usize, to: usize| {
            let mut table = part_table(&packets[from..to], 1, limits);
            table.rebase(0, from as u64);
            table
        };
        let begin = || {
            let mut table = FlowTable::new(limits);
            table.merge(part(0, a)).map(|()| table)
        };
        let mut left = begin().unwrap();
        prop_assert!(left.merge(part(a, b)).is_ok());
        prop_assert!(left.merge(part(b, packets.len())).is_ok());
        let mut tail = part(a, b);
        prop_assert!(tail.merge(part(b, packets.len())).is_ok());
        let mut right = begin().unwrap();
        prop_assert!(right.merge(tail).is_ok());
        prop_assert_eq!(left.finish_fragments(), right.finish_fragments());
        prop_assert_eq!(left.into_flows().collect::<Vec<_>>(), right.into_flows().collect::<Vec<_>>());
    }

    #[test]
    fn a_full_table_counts_every_packet_and_refuses_to_join(
        mut packets in prop::collection::vec(small(), 1..60),
    ) {
        for small in &mut packets {
            small.place = None;
        }
        let limits = Limits { max_flows: 2 };
        let full = table(&packets, 1, limits);
        let untracked = full.untracked().packets;
        prop_assert_eq!(full.exceeded(), untracked > 0);
        if full.exceeded() {
            let mut before = FlowTable::new(limits);
            prop_assert!(before.merge(part_table(&packets, 1, limits)).is_err());
        }
        let tracked: u64 = full.into_flows().map(|(flow, _)| flow.packets()).sum();
        prop_assert_eq!(tracked + untracked, packets.len() as u64);
    }
}

#[test]
fn a_new_handshake_on_the_same_ports_starts_a_new_flow_and_a_retransmission_does_not() {
    let syn = |sequence| Small {
        from: 1,
        to: 2,
        kind: 0,
        flags: TcpFlags::SYN,
        sequence,
        time: 0,
        payload: Vec::new(),
        ah: false,
        place: None,
    };
    let data = Small { flags: TcpFlags::ACK, payload: vec![1], ..syn(7) };
    let packets = [syn(1), syn(1), data.clone(), syn(9), data];
    let flows: Vec<_> = table(&packets, 1, Limits::default()).into_flows().collect();
    let counted: Vec<u64> = flows.iter().map(|(flow, _)| flow.packets()).collect();
    assert_eq!(counted, [3, 2]);
}

#[test]
fn idle_flows_leave_and_their_ports_may_come_back() {
    let udp = |from, to, time| Small {
        from,
        to,
        kind: 3,
        flags: 0,
        sequence: 0,
        time,
        payload: vec![1],
        ah: false,
        place: None,
    };
    let packets = [udp(1, 2, 10), udp(0, 1, 20), udp(2, 1, 30), udp(0, 1, 60)];
    let mut table = table(&packets, 1, Limits { max_flows: 2 });
    let left: Vec<u64> =
        table.take_idle(Timestamp(40)).iter().map(|(flow, _)| flow.packets()).collect();
    assert_eq!(left, [2], "the flow last seen at 30");
    assert_eq!(table.len(), 1);
    table.observe(0, &packet(&udp(1, 2, 70), 5));
    let flows = table.into_flows().collect::<Vec<_>>();
    let kept: Vec<(u64, u64)> =
        flows.iter().map(|(flow, _)| (flow.first_frame.frame, flow.packets())).collect();
    assert_eq!(kept, [(2, 2), (5, 1)]);
}

#[test]
fn errors_about_unknown_flows_never_hide_those_about_known_ones() {
    let known = Small {
        from: 1,
        to: 2,
        kind: 0,
        flags: TcpFlags::SYN,
        sequence: 1,
        time: 0,
        payload: Vec::new(),
        ah: true,
        place: None,
    };
    // It quotes what went the other way.
    let error = Small { from: 2, to: 1, kind: 4, ..known.clone() };
    let mut table = table(std::slice::from_ref(&known), 1, Limits::default());
    for number in 0..70_000_u32 {
        let mut packet = packet(&error, u64::from(number) + 2);
        if let Detail::IcmpError(quoted) = &mut packet.detail {
            quoted.source = IpAddr::V4(Ipv4Addr::from_bits(number));
        }
        table.observe(0, &packet);
    }
    table.observe(0, &packet(&error, 80_000));
    let flows = table.into_flows().collect::<Vec<_>>();
    let seen = flows[0].0.icmp.as_deref().map(|seen| (seen.count, seen.first_frame.frame));
    assert_eq!(seen, Some((1, 80_000)));
}

#[test]
fn an_error_captured_before_its_packet_counts_when_the_flow_goes_idle() {
    let syn = Small {
        from: 1,
        to: 2,
        kind: 0,
        flags: TcpFlags::SYN,
        sequence: 1,
        time: 1,
        payload: Vec::new(),
        ah: true,
        place: None,
    };
    let error = Small { from: 2, to: 1, kind: 4, ..syn.clone() };
    let mut table = table(&[error, syn], 1, Limits::default());
    let idle = table.take_idle(Timestamp(9));
    let errors: Vec<bool> = idle.iter().map(|(flow, _)| flow.icmp.is_some()).collect();
    assert_eq!(errors, [false, true]);
}

#[test]
fn an_error_about_esp_finds_its_association() {
    let esp = Small {
        from: 1,
        to: 2,
        kind: 5,
        flags: 0,
        sequence: 7,
        time: 0,
        payload: vec![1],
        ah: false,
        place: None,
    };
    let mut table = table(std::slice::from_ref(&esp), 1, Limits::default());
    let error = Small { from: 2, to: 1, kind: 4, ..esp.clone() };
    for spi in [7 + 256, 8 + 256] {
        let mut packet = packet(&error, 2);
        if let Detail::IcmpError(quoted) = &mut packet.detail {
            (quoted.transport, quoted.spi) = (Transport::ESP, Some(spi));
            (quoted.source_port, quoted.destination_port) = (0, 0);
        }
        table.observe(0, &packet);
    }
    let errors: Vec<Option<u64>> =
        table.into_flows().map(|(flow, _)| flow.icmp.as_ref().map(|seen| seen.count)).collect();
    assert_eq!(errors, [Some(1), None]);
}
