//! Fixtures made by code: what no software at hand sends, or what must be exact to the byte. Each
//! recipe is held against the file in `fixtures/`, so that the two cannot drift apart; with
//! `PORTASSAY_BLESS=1` the files are written anew.

use std::time::Duration;

use crate::support::capture::{Order, Pcapng, Recorded, Ticks, pcap};
use crate::support::craft::{ACK, SYN, at, ip, tcp, udp};
use crate::support::fixtures;
use crate::support::story::{Rtp, Says, Story, rtp};
use crate::support::wire::noise;

/// 2026-11-23 10:00:00 UTC in nanoseconds.
const START: u64 = 1_795_428_000_000_000_000;
const ETHERNET: u32 = 1;

type Recipe = fn() -> Vec<u8>;

const CRAFTED: &[(&str, &str, Recipe)] = &[
    ("udp-unknown-in-media-range", "capture.pcap", unknown_in_media_range),
    ("ah-tunnel-around-rtp-to-mediation", "capture.pcap", ah_tunnel),
    ("pcapng-of-two-interfaces-and-byte-orders", "capture.pcapng", two_interfaces),
    ("tcp-ports-used-again", "capture.pcap", ports_used_again),
];

#[test]
fn crafted_fixtures_are_what_their_recipes_make() {
    for (case, file, recipe) in CRAFTED {
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
