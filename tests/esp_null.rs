//! Reading what IPsec does not encrypt: whatever is inside comes out as it went in, and what is encrypted, random or
//! cut is never taken for it.

use std::net::{IpAddr, SocketAddr};

use portassay::decode::{Carriage, Decoded, Packet, Protector, Transport, decode, general};
use portassay::flow::{FlowTable, Limits};
use portassay::input::{Frame, LinkType, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::craft::{self, ACK, FIN, PSH, RST, SYN, ip, ping, protocol, tcp, udp};
use crate::support::wire::noise;

fn frame(number: u64, data: &[u8], original_len: usize) -> Frame<'_> {
    Frame {
        number,
        time: Timestamp(number.cast_signed() * 20_000_000),
        link_type: LinkType::ETHERNET,
        data,
        original_len: u32::try_from(original_len).unwrap(),
    }
}

/// What is protected: 0 UDP, 1 TCP, 2 an echo request.
#[derive(Debug, Clone)]
struct Inner {
    kind: u8,
    v6: bool,
    ports: (u16, u16),
    flags: u8,
    numbers: (u32, u32),
    payload: Vec<u8>,
}

fn inner() -> impl Strategy<Value = Inner> {
    let flags = prop_oneof![
        Just(SYN),
        Just(SYN | ACK),
        Just(ACK),
        Just(PSH | ACK),
        Just(FIN | ACK),
        Just(RST),
        Just(RST | ACK)
    ];
    // Half of all acknowledgements are zero, as in the first segment of a connection, and some sequence numbers look
    // like the end of a header to who takes the initialization vector for its begin.
    let sequence =
        prop_oneof![3 => any::<u32>(), 1 => (0..=0xFFFF_u32).prop_map(|low| 0x5010_0000 | low)];
    let numbers = (sequence, prop_oneof![Just(0), any::<u32>()]);
    let ports =
        (1024..65535_u16, prop_oneof![Just(49200_u16), Just(3478), Just(5061), 20_000..65535_u16]);
    (0..3_u8, any::<bool>(), ports, flags, numbers, vec(any::<u8>(), 0..120)).prop_map(
        |(kind, v6, ports, flags, numbers, payload)| Inner {
            kind,
            v6,
            ports,
            flags,
            numbers,
            payload,
        },
    )
}

fn hosts(v6: bool) -> (IpAddr, IpAddr) {
    if v6 { (ip("fd00::1"), ip("fd00::2")) } else { (ip("10.0.0.1"), ip("10.0.0.2")) }
}

fn gateways(v6: bool) -> (IpAddr, IpAddr) {
    if v6 { (ip("2001:db8::1"), ip("2001:db8::2")) } else { (ip("192.0.2.1"), ip("192.0.2.2")) }
}

fn crafted(inner: &Inner) -> craft::Packet {
    let (from, to) = hosts(inner.v6);
    let ends = (SocketAddr::new(from, inner.ports.0), SocketAddr::new(to, inner.ports.1));
    let (sequence, acknowledgement) = inner.numbers;
    let packet = match inner.kind {
        0 => udp(ends.0, ends.1),
        1 => tcp(ends.0, ends.1).flags(inner.flags).numbers(sequence, acknowledgement),
        _ => ping(from, to),
    };
    packet.payload(&inner.payload)
}

/// What is around it.
#[derive(Debug, Clone, Copy)]
enum Around {
    Ah,
    Esp { iv: usize, icv: usize, in_udp: bool },
    Wesp { icv: usize, aligned: bool, in_udp: bool },
}

/// Every form of ESP without encryption.
const FORMS: [(usize, usize); 6] = [(0, 12), (0, 16), (8, 16), (0, 24), (0, 32), (0, 0)];

fn around() -> impl Strategy<Value = Around> {
    let (form, in_udp) = (0..FORMS.len(), any::<bool>());
    prop_oneof![
        1 => Just(Around::Ah),
        4 => (form.clone(), in_udp).prop_map(|(form, in_udp)| {
            let (iv, icv) = FORMS[form];
            Around::Esp { iv, icv, in_udp }
        }),
        1 => (form, any::<bool>(), any::<bool>()).prop_map(|(form, aligned, in_udp)| {
            Around::Wesp { icv: FORMS[form].1, aligned, in_udp }
        }),
    ]
}

/// Its index: what it is filled with depends on it alone, and no end of it is like that of another form.
const SPI: u32 = 0x5060_7080;

impl Around {
    fn wrap(self, packet: craft::Packet) -> craft::Packet {
        match self {
            Self::Ah => packet.ah(SPI, 1),
            Self::Esp { iv, icv, in_udp } => {
                let esp = packet.esp_null_as(SPI, 1, iv, icv);
                if in_udp { esp.in_udp(4500, 4500) } else { esp }
            }
            Self::Wesp { icv, aligned, in_udp } => {
                let wesp = packet.wesp(SPI, 1, icv, aligned);
                if in_udp { wesp.in_udp_marked(4500, 61_000) } else { wesp }
            }
        }
    }

    fn carriage(self) -> Carriage {
        match self {
            Self::Esp { in_udp: true, .. } | Self::Wesp { in_udp: true, .. } => Carriage::Udp,
            _ => Carriage::Ip,
        }
    }

    fn is(self, protector: Protector) -> bool {
        match (self, protector) {
            (Self::Esp { iv, icv, .. }, Protector::Esp(form)) => {
                (usize::from(form.iv), usize::from(form.icv)) == (iv, icv)
            }
            (Self::Ah, Protector::Ah) | (Self::Wesp { .. }, Protector::Wesp) => true,
            _ => false,
        }
    }

    /// What a packet is that could not be opened.
    fn closed(self) -> Transport {
        match self {
            _ if self.carriage() == Carriage::Udp => Transport::UDP,
            Self::Ah => Transport::AH,
            Self::Esp { .. } => Transport::ESP,
            Self::Wesp { .. } => Transport::WESP,
        }
    }
}

/// Everything that decoding says of the packet itself.
fn told(packet: &Packet<'_>) -> String {
    format!(
        "{} {:?}:{} {:?}:{} {:?} {:02x?} {}",
        packet.transport,
        packet.source,
        packet.source_port,
        packet.destination,
        packet.destination_port,
        packet.detail,
        packet.payload,
        packet.payload_len
    )
}

fn opened(
    data: &[u8],
    original_len: usize,
    whole: bool,
) -> Result<Option<Packet<'_>>, TestCaseError> {
    let frame = frame(1, data, original_len);
    let (soon, plain) = (decode(&frame), general(&frame));
    prop_assert_eq!(format!("{:?}", soon), format!("{:?}", plain));
    match soon {
        Decoded::Packet(packet) => Ok(Some(packet)),
        Decoded::Stopped(stop) => {
            prop_assert!(!whole, "stopped: {}", stop);
            Ok(None)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, ..ProptestConfig::default() })]

    #[test]
    fn what_is_inside_comes_out_as_it_went_in(
        inner in inner(),
        around in around(),
        tunnel in prop::option::of(any::<bool>()),
    ) {
        let plain = crafted(&inner);
        let bytes = plain.ethernet();
        let wanted = opened(&bytes, bytes.len(), true)?.unwrap();
        let wrapped = match tunnel {
            Some(v6) => around.wrap(plain.in_tunnel(gateways(v6).0, gateways(v6).1)),
            None => around.wrap(plain),
        };
        let mut bytes = wrapped.ethernet();
        // Ethernet fills short frames up.
        bytes.resize(bytes.len().max(60), 0);
        let found = opened(&bytes, bytes.len(), true)?.unwrap();
        prop_assert_eq!(told(&found), told(&wanted));
        let shield = found.shield.unwrap();
        prop_assert!(around.is(shield.protocol), "{:?}", shield);
        prop_assert_eq!((shield.spi, shield.carriage), (SPI, around.carriage()));
        let ends = tunnel.map_or_else(|| hosts(inner.v6), gateways);
        prop_assert_eq!(shield.ends, ends);
    }

    #[test]
    fn what_the_snaplen_cuts_is_never_opened_wrongly(inner in inner(), around in around(), in_tunnel: bool) {
        let plain = crafted(&inner);
        let bytes = plain.ethernet();
        let wanted = opened(&bytes, bytes.len(), true)?.unwrap();
        let (from, to) = gateways(false);
        let wrapped = around.wrap(if in_tunnel { plain.in_tunnel(from, to) } else { plain });
        let bytes = wrapped.ethernet();
        for len in 0..bytes.len() {
            let Some(found) = opened(&bytes[..len], bytes.len(), false)? else { continue };
            if found.shield.is_none() {
                prop_assert_eq!(found.transport, around.closed(), "{} bytes", len);
                continue;
            }
            // Without its end ESP cannot be read. AH has none, and wrapped ESP says what is in it.
            prop_assert!(!matches!(around, Around::Esp { .. }), "{} bytes: {:?}", len, found);
            prop_assert_eq!(found.transport, wanted.transport);
            let ends = |packet: &Packet<'_>| {
                let source = (packet.source, packet.source_port);
                (source, packet.destination, packet.destination_port)
            };
            prop_assert_eq!(ends(&found), ends(&wanted));
            // Where the content ends is not known before all of it is there: of wrapped ESP the padding may be
            // taken for content.
            let shared = found.payload.len().min(wanted.payload.len());
            prop_assert_eq!(&found.payload[..shared], &wanted.payload[..shared]);
            let longer = found.payload.len() - shared;
            let most = if matches!(around, Around::Ah) { 0 } else { 5 };
            prop_assert!(longer <= most, "{} bytes longer", longer);
        }
    }

    #[test]
    fn ciphertext_is_never_taken_for_clear(
        spi in 256..u32::MAX,
        carrier in 0..4_u8,
        v6: bool,
        header in any::<[u8; 3]>(),
        packets in vec((any::<u32>(), 0..60_usize), 2..12),
    ) {
        let (from, to) = hosts(v6);
        let mut table = FlowTable::new(Limits::default());
        for (number, (seed, words)) in (1_u32..).zip(&packets) {
            let esp = [spi.to_be_bytes().to_vec(), number.to_be_bytes().to_vec(), noise(*seed, words * 4)];
            let esp = esp.concat();
            let wrapped = || [&header[..], &[0], &esp].concat();
            let at = |host| SocketAddr::new(host, 4500);
            let packet = match carrier {
                0 => protocol(50, from, to).payload(esp),
                1 => udp(at(from), at(to)).payload(esp),
                // Whole and said to be clear, which its end does not bear out.
                2 => protocol(141, from, to).payload(wrapped()),
                _ => udp(at(from), at(to)).payload([vec![0, 0, 0, 2], wrapped()].concat()),
            };
            let bytes = packet.ethernet();
            match decode(&frame(number.into(), &bytes, bytes.len())) {
                Decoded::Packet(packet) => table.observe(0, &packet),
                Decoded::Stopped(_) => {}
            }
        }
        for flow in table.flows() {
            for (_, association) in flow.associations.iter().flat_map(|around| around.iter()) {
                prop_assert!(association.packets < 2, "{:?}", flow);
            }
        }
    }
}
