//! Fixtures of captures that are not what they should be: copies, fragments, losses, one direction,
//! clocks and checksums. Each says what an audit may still claim of it. `crafted.rs` holds them to
//! their files.

use std::net::SocketAddr;
use std::time::Duration;

use crate::crafted::{CLIENT_HELLO, ETHERNET, Recipe, SERVER_HELLO, START};
use crate::support::capture::{Order, Recorded, Ticks, pcap};
use crate::support::craft::{ACK, PSH, SYN, at, tcp, udp};
use crate::support::story::{Rtp, Says, Story, rtp};
use crate::support::wire::noise;

pub(crate) const RECIPES: &[(&str, &str, Recipe)] = &[
    ("mirror-of-both-sides-of-a-router", "capture.pcap", both_sides_of_a_router),
    ("retransmissions-are-no-copies", "capture.pcap", retransmissions),
    ("fragments-in-any-order", "capture.pcap", fragments_in_any_order),
    ("fragments-behind-a-port-filter", "capture.pcap", fragments_behind_a_filter),
    ("fragments-that-overlap", "capture.pcap", fragments_that_overlap),
    ("one-direction-captured", "capture.pcap", one_direction),
    ("one-direction-between-two-hosts", "capture.pcap", one_direction_between_two),
    ("segments-lost-while-capturing", "capture.pcap", lost_segments),
    ("clock-steps-back", "capture.pcap", clock_steps_back),
    ("checksums-and-segments-left-to-the-card", "capture.pcap", offload),
    ("payload-cut-by-snaplen", "capture.pcap", payload_cut),
    ("headers-cut-by-snaplen", "capture.pcap", headers_cut),
    ("most-frames-of-an-unknown-kind", "capture.pcap", unknown_kind),
];

const TLS: &[Says<'_>] = &[Says::Asks(CLIENT_HELLO), Says::Answers(SERVER_HELLO)];

fn client() -> SocketAddr {
    at("10.20.20.101:50100")
}

fn server() -> SocketAddr {
    at("10.20.0.11:5061")
}

fn file(frames: &[Recorded]) -> Vec<u8> {
    pcap(ETHERNET, Order::Little, Ticks::Micro, frames)
}

/// A session and some media, as a healthy capture shows them.
fn session() -> Story {
    let (phone, mixer) = (at("10.20.20.101:50020"), at("10.20.0.11:49300"));
    Story::begins(START)
        .tcp_session(client(), server(), TLS)
        .rtp_stream(phone, mixer, Rtp { payload_type: 8, ssrc: 1 }, 20)
        .rtp_stream(mixer, phone, Rtp { payload_type: 8, ssrc: 2 }, 20)
}

/// Every packet before the router and 40 microseconds later behind it: hardware addresses and TTL differ.
fn both_sides_of_a_router() -> Vec<u8> {
    let mut frames = Vec::new();
    for frame in session().frames() {
        let mut behind = frame.clone();
        behind.time += 40_000;
        for byte in behind.data.iter_mut().take(12) {
            *byte ^= 0x10;
        }
        // TTL down by one; the header checksum goes up by 0x0100, which here never carries over.
        behind.data[22] -= 1;
        behind.data[24] = behind.data[24].wrapping_add(1);
        frames.extend([frame.clone(), behind]);
    }
    file(&frames)
}

/// A segment and a SYN sent again after their timers ran out, under new numbers.
fn retransmissions() -> Vec<u8> {
    let (client, server) = (client(), server());
    let timeout = Duration::from_millis(250);
    let opens = tcp(client, server).flags(SYN).numbers(100, 0);
    let hello = tcp(client, server).flags(PSH | ACK).numbers(101, 901).payload(CLIENT_HELLO);
    let story = Story::begins(START)
        .sends(&opens.clone().number(1))
        .pause(timeout)
        .sends(&opens.number(2))
        .sends(&tcp(server, client).flags(SYN | ACK).numbers(900, 101).number(7))
        .sends(&tcp(client, server).flags(ACK).numbers(101, 901).number(3))
        .sends(&hello.clone().number(4))
        .pause(timeout)
        .sends(&hello.number(5))
        .sends(
            &tcp(server, client)
                .flags(PSH | ACK)
                .numbers(901, 101 + CLIENT_HELLO.len() as u32)
                .payload(SERVER_HELLO)
                .number(8),
        );
    file(story.frames())
}

/// Video datagrams too long for one frame: their pieces in order, backwards and one by one.
fn video() -> Vec<[Recorded; 2]> {
    let (camera, mixer) = (at("10.20.20.101:58010"), at("10.20.0.11:57600"));
    let stream = Rtp { payload_type: 121, ssrc: 0x00C0_FFEE };
    (0..12_u16)
        .map(|n| {
            let (from, to) = if n % 2 == 0 { (camera, mixer) } else { (mixer, camera) };
            let whole =
                udp(from, to).payload(rtp(stream, n / 2, &noise(n.into(), 1_900))).number(n + 1);
            let time = START + u64::from(n) * 30_000_000;
            [(0, 1_480), (1_480, 1_000)].map(|(offset, len)| {
                let late = if offset == 0 { 0 } else { 100_000 };
                Recorded::new(time + late, whole.clone().fragment(offset, len).ethernet())
            })
        })
        .collect()
}

fn fragments_in_any_order() -> Vec<u8> {
    let mut frames = Vec::new();
    for (n, [first, later]) in video().into_iter().enumerate() {
        let (time, then) = (first.time, later.time);
        match n % 3 {
            0 => frames.extend([first, later]),
            _ => frames.extend([Recorded { time, ..later }, Recorded { time: then, ..first }]),
        }
    }
    file(&frames)
}

fn fragments_behind_a_filter() -> Vec<u8> {
    let first: Vec<Recorded> = video().into_iter().map(|[first, _]| first).collect();
    file(&first)
}

/// A second piece that begins inside the first one.
fn fragments_that_overlap() -> Vec<u8> {
    let mut frames: Vec<Recorded> = video().into_iter().flatten().collect();
    let whole =
        udp(at("10.20.20.101:58010"), at("10.20.0.11:57600")).payload(noise(99, 1_800)).number(99);
    for (offset, len) in [(0, 1_480), (1_400, 400)] {
        let frame = whole.clone().fragment(offset, len).ethernet();
        frames.push(Recorded::new(START + 500_000_000 + offset as u64, frame));
    }
    file(&frames)
}

/// Frames of which this address is the sender.
fn sent_by(frames: &[Recorded], address: [u8; 4]) -> Vec<Recorded> {
    frames.iter().filter(|frame| frame.data[26..30] == address).cloned().collect()
}

/// Five sessions of which the mirror shows what the clients send.
fn one_direction() -> Vec<u8> {
    let mut story = Story::begins(START);
    for n in 0..5 {
        story = story.tcp_session(at(&format!("10.20.20.101:{}", 50_100 + n)), server(), TLS);
    }
    file(&sent_by(story.frames(), [10, 20, 20, 101]))
}

/// Between one client and its server one direction is missing, also of the STUN request's answer; the
/// others are seen well.
fn one_direction_between_two() -> Vec<u8> {
    let (edge, binding) = (at("10.20.0.32:3478"), b"\0\x01\0\0\x21\x12\xA4\x42abcdefghijkl");
    let blind = Story::begins(START)
        .tcp_session(at("10.20.20.101:50200"), at("10.20.0.32:443"), TLS)
        .udp_exchange(at("10.20.20.101:50201"), edge, &[Says::Asks(binding)]);
    let mut frames = sent_by(blind.frames(), [10, 20, 20, 101]);
    let mut story = Story::begins(START + 1_000_000_000);
    for n in 0..6 {
        story = story.tcp_session(at(&format!("10.20.20.102:{}", 50_300 + n)), server(), TLS);
    }
    frames.extend_from_slice(story.frames());
    file(&frames)
}

/// One answer of many was acknowledged and never captured.
fn lost_segments() -> Vec<u8> {
    let answers: Vec<Vec<u8>> = [400, 300, 200, 350].map(|len| noise(len, len as usize)).into();
    let mut says = TLS.to_vec();
    says.extend(answers.iter().map(|answer| Says::Answers(answer)));
    let story = Story::begins(START).tcp_session(client(), server(), &says);
    let lost = |frame: &&Recorded| frame.data.ends_with(&answers[2]);
    let kept = story.frames().iter().filter(|frame| !lost(frame)).cloned();
    file(&kept.collect::<Vec<_>>())
}

/// Half-way through, the clock of the capturing host is set back by a minute.
fn clock_steps_back() -> Vec<u8> {
    let mut frames = session().frames().to_vec();
    let half = frames.len() / 2;
    for frame in frames.iter_mut().skip(half) {
        frame.time -= 60_000_000_000;
    }
    file(&frames)
}

/// What a server sends as its own capture shows it: checksums not filled in, one segment of 20 kB.
fn offload() -> Vec<u8> {
    let long = noise(6, 20_000);
    let says = [Says::Asks(CLIENT_HELLO), Says::Answers(SERVER_HELLO), Says::Answers(&long)];
    let mut frames = Story::begins(START).tcp_session(client(), server(), &says).frames().to_vec();
    for frame in frames.iter_mut().filter(|frame| frame.data[26..30] == [10, 20, 0, 11]) {
        frame.data[50] ^= 0x5A;
    }
    file(&frames)
}

fn cut_to(snaplen: usize) -> Vec<u8> {
    let whole = session();
    let frames = whole.frames().iter().map(|frame| frame.clone().cut(snaplen));
    file(&frames.collect::<Vec<_>>())
}

/// Room for the headers and a little more.
fn payload_cut() -> Vec<u8> {
    cut_to(68)
}

/// Not even room for the IP header.
fn headers_cut() -> Vec<u8> {
    cut_to(32)
}

/// One session, and far more frames of an EtherType that is not assigned.
fn unknown_kind() -> Vec<u8> {
    let mut story = Story::begins(START).tcp_session(client(), server(), TLS);
    for n in 0..40 {
        let head = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0xBE, 0xEF];
        story = story.frame([&head[..], &noise(n, 60)].concat());
    }
    file(story.frames())
}
