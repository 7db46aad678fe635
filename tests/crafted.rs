//! Fixtures made by code: what no software at hand sends, or what must be exact to the byte. Each
//! recipe is held against the file in `fixtures/`, so that the two cannot drift apart; with
//! `PORTASSAY_BLESS=1` the files are written anew.

use std::time::Duration;

use crate::flaws;
use crate::support::capture::{Order, Pcapng, Recorded, Ticks, pcap};
use crate::support::craft::{ACK, SYN, at, ip, protocol, tcp, udp};
use crate::support::fixtures;
use crate::support::story::{Rtp, Says, Story, rtp, tcp_packets};
use crate::support::tunnel::Tunnel;
use crate::support::wire::noise;

/// 2026-11-23 10:00:00 UTC in nanoseconds.
pub(crate) const START: u64 = 1_795_428_000_000_000_000;
pub(crate) const ETHERNET: u32 = 1;
const RADIOTAP: u32 = 127;

/// Makes the bytes of a capture.
pub(crate) type Recipe = fn() -> Vec<u8>;

const CRAFTED: &[(&str, &str, Recipe)] = &[
    ("udp-unknown-in-media-range", "capture.pcap", unknown_in_media_range),
    ("ah-tunnel-around-rtp-to-mediation", "capture.pcap", ah_tunnel),
    ("pcapng-of-two-interfaces-and-byte-orders", "capture.pcapng", two_interfaces),
    ("tcp-ports-used-again", "capture.pcap", ports_used_again),
    ("a-healthy-site-stays-silent", "capture.pcap", healthy_site),
    ("media-under-mpls-labels", "capture.pcap", under_labels),
    ("client-behind-pppoe", "capture.pcap", behind_pppoe),
    ("client-on-the-air", "capture.pcap", on_the_air),
    ("media-on-4789-is-no-vxlan", "capture.pcap", media_on_4789),
];

#[test]
fn crafted_fixtures_are_what_their_recipes_make() {
    for (case, file, recipe) in CRAFTED.iter().chain(flaws::RECIPES) {
        let path = fixtures::folder().join(case).join(file);
        let made = recipe();
        if std::env::var_os("PORTASSAY_BLESS").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(kept == made, "{} differs from its recipe", path.display());
    }
}

/// Datagrams between a client and a media port that are neither media nor anything known.
fn unknown_in_media_range() -> Vec<u8> {
    let (client, server) = (at("10.20.20.101:50030"), at("10.20.0.21:49300"));
    let mut story = Story::begins(START);
    for n in 0..8 {
        story = story
            .sends(&udp(client, server).payload(noise(2 * n, 90)))
            .pause(Duration::from_millis(40))
            .sends(&udp(server, client).payload(noise(2 * n + 1, 120)))
            .pause(Duration::from_millis(40));
    }
    pcap(ETHERNET, Order::Big, Ticks::Nano, story.frames())
}

/// A gateway's media in AH tunnel mode: the addresses inside are the ones that count.
fn ah_tunnel() -> Vec<u8> {
    let (gateway, server) = (at("10.20.0.200:20010"), at("10.20.0.21:49400"));
    let stream = Rtp { ssrc: 0xCAFE_0001, payload_type: 8 };
    let mut story = Story::begins(START);
    for n in 0..30_u16 {
        let there = udp(gateway, server).payload(rtp(stream, n, &noise(u32::from(n), 160)));
        let outer = (ip("192.0.2.1"), ip("192.0.2.2"));
        story = story
            .sends(&there.in_tunnel(outer.0, outer.1).ah(0x1000, u32::from(n) + 1))
            .pause(Duration::from_millis(20));
    }
    pcap(ETHERNET, Order::Little, Ticks::Micro, story.frames())
}

/// Two sections of different byte order, the second with two interfaces of which one is a loopback.
fn two_interfaces() -> Vec<u8> {
    let (client, server) = (at("10.20.20.103:51000"), at("10.20.0.11:5061"));
    let says = [Says::Asks(b"OPTIONS sip:fe01.example.test SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n")];
    let story = Story::begins(START).tcp_session(client, server, &says);
    let (first, rest) = story.frames().split_at(3);
    let local = udp(at("127.0.0.1:40000"), at("127.0.0.1:40001")).payload(noise(1, 20));
    let mut file = Pcapng::new(Order::Little).interface(1, Ticks::Micro);
    for frame in first {
        file = file.frame(0, frame);
    }
    file = file.section(Order::Big).interface(0, Ticks::Micro).interface(1, Ticks::Nano);
    file = file.frame(0, &Recorded::new(START, local.loopback()));
    for frame in rest {
        file = file.frame(1, frame);
    }
    file.unknown(0x0000_0BAD, b"a block that nobody knows").bytes()
}

/// A gateway's media as a carrier's router shows it: labels, and a pseudowire between two of them.
fn under_labels() -> Vec<u8> {
    let (gateway, server) = (at("10.20.0.200:20010"), at("10.20.0.21:30000"));
    let there = Rtp { ssrc: 0xCAFE_0001, payload_type: 8 };
    let back = Rtp { ssrc: 0xCAFE_0002, payload_type: 8 };
    let wire = Tunnel::Pseudowire { label: 18, control_word: true };
    let mut story = Story::begins(START);
    for n in 0..30_u16 {
        let audio = noise(u32::from(n), 160);
        let labelled = udp(gateway, server).payload(rtp(there, n, &audio)).mpls(&[29, 16]);
        let answer = udp(server, gateway).payload(rtp(back, n, &audio));
        story = story
            .sends(&labelled)
            .sends(&wire.around(&answer, ip("192.0.2.2"), ip("192.0.2.1")))
            .pause(Duration::from_millis(18));
    }
    pcap(ETHERNET, Order::Little, Ticks::Micro, story.frames())
}

/// A TLS session over an access line: two tags and PPPoE, with the line's own messages before it.
fn behind_pppoe() -> Vec<u8> {
    let (client, server) = (at("10.20.20.101:51000"), at("10.20.0.11:5061"));
    let says = [Says::Asks(CLIENT_HELLO), Says::Answers(SERVER_HELLO)];
    let ends = [[0xFF; 6], [2, 0, 10, 20, 20, 101]].concat();
    let tags = b"\x88\xA8\x0E\x78\x81\0\x09\xAA";
    let discovery = b"\x88\x63\x11\x09\0\0\0\x04\x01\x01\0\0";
    let negotiation = b"\x88\x64\x11\0\0\x11\0\x0A\xC0\x21\x01\x01\0\x08\x01\x04\x05\xD4";
    let mut story = Story::begins(START);
    for line in [&discovery[..], negotiation] {
        story = story.frame([&ends, &tags[..], line].concat());
    }
    for packet in tcp_packets(client, server, &says) {
        story = story.sends(&packet.vlan(3704).vlan(2474).pppoe(17));
    }
    pcap(ETHERNET, Order::Big, Ticks::Micro, story.frames())
}

/// What a monitor interface hears of a client on an open network.
fn on_the_air() -> Vec<u8> {
    let (client, server) = (at("10.20.20.101:51000"), at("10.20.0.11:5061"));
    let says = [Says::Asks(CLIENT_HELLO), Says::Answers(SERVER_HELLO)];
    let radiotap = |flags: u8| vec![0, 0, 9, 0, 2, 0, 0, 0, flags];
    let beacon = [&b"\x80\0\0\0"[..], &[0xFF; 6], &[2, 0, 0, 0, 0, 0xAB].repeat(2), &[0; 14]];
    let mut story = Story::begins(START).frame([radiotap(0), beacon.concat()].concat());
    for packet in tcp_packets(client, server, &says) {
        story = story.frame(packet.radiotap());
    }
    let stray = udp(at("10.20.20.102:50040"), at("10.20.0.11:9999")).payload(noise(3, 60)).radio();
    let mut sealed = stray.clone();
    sealed[1] |= 0x40;
    story = story
        .frame([radiotap(0), sealed].concat())
        .frame([radiotap(0x40), stray].concat())
        .frame([radiotap(0), beacon.concat()].concat());
    pcap(RADIOTAP, Order::Little, Ticks::Micro, story.frames())
}

/// Media on the port of VXLAN, and VXLAN on it.
fn media_on_4789() -> Vec<u8> {
    let (client, server) = (at("10.20.20.101:4789"), at("10.20.0.11:49300"));
    let (other, second) = (at("10.20.20.102:50020"), at("10.20.0.11:49302"));
    let mirror = Tunnel::Vxlan { vni: 42 };
    let stream = |ssrc| Rtp { ssrc, payload_type: 8 };
    let mut story = Story::begins(START);
    for n in 0..30_u16 {
        let audio = noise(u32::from(n), 160);
        let media = |from, to, ssrc| udp(from, to).payload(rtp(stream(ssrc), n, &audio));
        let mirrored = |packet| mirror.around(&packet, ip("192.0.2.1"), ip("192.0.2.2"));
        story = story
            .sends(&media(client, server, 1))
            .sends(&media(server, client, 2))
            .sends(&mirrored(media(other, second, 3)))
            .sends(&mirrored(media(second, other, 4)))
            .pause(Duration::from_millis(16));
    }
    pcap(ETHERNET, Order::Little, Ticks::Nano, story.frames())
}

/// The same ports used for a second connection: a flow that was answered and one that was not.
fn ports_used_again() -> Vec<u8> {
    let (client, server) = (at("10.20.20.101:51000"), at("10.20.0.11:444"));
    let opens = |sequence| tcp(client, server).flags(SYN).numbers(sequence, 0);
    let answers = tcp(server, client).flags(SYN | ACK).numbers(900, 101);
    let confirms = tcp(client, server).flags(ACK).numbers(101, 901);
    let story = Story::begins(START)
        .sends(&opens(100))
        .sends(&answers)
        .sends(&confirms)
        .pause(Duration::from_secs(60))
        .sends(&opens(5000))
        .pause(Duration::from_secs(1))
        .sends(&opens(5000));
    pcap(ETHERNET, Order::Little, Ticks::Nano, story.frames())
}

/// A morning at a site where nothing is wrong: what every office network carries beside the product
/// must not be called an error.
fn healthy_site() -> Vec<u8> {
    let (fe1, fe2, med, edge) = ("10.20.0.11", "10.20.0.12", "10.20.0.21", "10.20.0.31");
    let (dc, sql, files, gateway) = ("10.20.0.5", "10.20.0.7", "10.20.0.6", "10.20.0.200");
    let (pc, balancer, world) = ("10.20.20.101", "10.20.0.9", "203.0.113.80");
    let mut story = Story::begins(START);
    let tls = [Says::Asks(CLIENT_HELLO), Says::Answers(SERVER_HELLO)];
    let http = [
        Says::Asks(b"GET / HTTP/1.1\r\nHost: www.example.test\r\n\r\n"),
        Says::Answers(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ];
    let sip = [
        Says::Asks(b"OPTIONS sip:trunk.example.test SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n"),
        Says::Answers(b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n"),
    ];
    let smb = [
        Says::Asks(
            b"\0\0\0\x24\xFESMB\x40\0\0\0\0\0\0\0\0\0\x1F\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
        Says::Answers(
            b"\0\0\0\x24\xFESMB\x40\0\0\0\0\0\0\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        ),
    ];
    let mut port = 50_100;
    let mut from = |host: &str| {
        port += 1;
        at(&format!("{host}:{port}"))
    };
    let to = |host: &str, port: u16| at(&format!("{host}:{port}"));
    for (client, server, service, says) in [
        (pc, fe1, 5061, &tls[..]),
        (pc, fe1, 443, &tls),
        (pc, world, 443, &tls),
        (pc, world, 80, &http),
        (fe1, fe2, 5061, &tls),
        (fe1, fe2, 444, &tls),
        (fe1, med, 5070, &tls),
        (fe1, sql, 1433, &[]),
        (fe2, files, 445, &smb),
        (fe1, edge, 5062, &tls),
        (fe1, edge, 4443, &tls),
        (med, gateway, 5081, &sip),
        (gateway, med, 5068, &sip),
        (pc, dc, 389, &[]),
        (pc, dc, 88, &[]),
        // A balancer's health probe connects and says nothing.
        (balancer, fe1, 5061, &[]),
        (balancer, fe2, 5061, &[]),
    ] {
        story = story.tcp_session(from(client), to(server, service), says);
    }
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04fe01\x07example\x04test\0\0\x01\0\x01";
    let answer = b"\x12\x34\x85\x80\0\x01\0\x01\0\0\0\0\x04fe01\x07example\x04test\0\0\x01\0\x01\xC0\x0C\0\x01\0\x01\0\0\0\x3C\0\x04\x0A\x14\0\x0B";
    for host in [pc, fe1, med] {
        let says = [Says::Asks(question), Says::Answers(answer)];
        story = story.udp_exchange(from(host), to(dc, 53), &says);
    }
    let clock = |mode: u8| [&[mode][..], &[0; 47]].concat();
    let (asks, tells) = (clock(0x23), clock(0x24));
    let says = [Says::Asks(&asks), Says::Answers(&tells)];
    story = story.udp_exchange(from(pc), to(dc, 123), &says);
    // Names asked of everybody.
    for (group, service) in [("224.0.0.252", 5355), ("224.0.0.251", 5353)] {
        story = story.udp_exchange(from(pc), to(group, service), &[Says::Asks(question)]);
    }
    story = story.udp_exchange(
        from(pc),
        to("239.255.255.250", 1900),
        &[Says::Asks(b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n")],
    );
    let binding = b"\0\x01\0\0\x21\x12\xA4\x42abcdefghijkl";
    let success = b"\x01\x01\0\0\x21\x12\xA4\x42abcdefghijkl";
    let says = [Says::Asks(binding), Says::Answers(success)];
    story = story.udp_exchange(from(pc), to(edge, 3478), &says);
    for (a, b, ssrc) in [
        (to(pc, 50_020), to(fe1, 49_300), 1),
        (to(pc, 58_000), to(fe1, 57_600), 3),
        (to(med, 49_200), to(gateway, 20_010), 5),
        (to(pc, 50_022), to(med, 49_210), 7),
    ] {
        let there = Rtp { payload_type: 8, ssrc };
        let back = Rtp { payload_type: 8, ssrc: ssrc + 1 };
        story = story.rtp_stream(a, b, there, 8).rtp_stream(b, a, back, 8);
    }
    let ping = |kind: u8, a, b| {
        protocol(1, a, b).payload([&[kind, 0, 0, 0, 0, 1, 0, 1][..], &[7; 32]].concat())
    };
    story = story.sends(&ping(8, ip(pc), ip(fe1))).sends(&ping(0, ip(fe1), ip(pc)));
    pcap(ETHERNET, Order::Little, Ticks::Micro, story.frames())
}

/// The beginning of a TLS 1.2 handshake (RFC 5246): one cipher suite, no extensions.
pub(crate) const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\0\x2D\x01\0\0\x29\x03\x03\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\0\0\x02\xC0\x2F\x01\0";
pub(crate) const SERVER_HELLO: &[u8] = b"\x16\x03\x03\0\x2A\x02\0\0\x26\x03\x03\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\x22\0\xC0\x2F\0";
