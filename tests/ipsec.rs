//! What a check says of IPsec around traffic: which exemption rows are broken, which are not touched, and what is no
//! IPsec at all.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{portassay, stdout};
use crate::support::capture::{Order, Recorded, Ticks, pcap};
use crate::support::craft::{ACK, PSH, Packet, SYN, at, ip, tcp, udp};
use crate::support::story::{Rtp, rtp};
use crate::support::wire::noise;

const START: u64 = 1_700_000_000_000_000_000;
/// Nanoseconds in a millisecond.
const MS: u64 = 1_000_000;

/// Hosts of one role each: name, the last byte of their addresses, role.
const HOSTS: [(&str, u8, &str); 7] = [
    ("edge-in", 51, "av-edge-internal"),
    ("edge-out", 52, "av-edge-external"),
    ("med01", 31, "mediation"),
    ("ca01", 61, "conferencing-attendant"),
    ("fe01", 11, "front-end"),
    ("um01", 71, "exchange-um"),
    ("as01", 81, "application-sharing"),
];

fn site() -> String {
    let hosts = HOSTS.iter().map(|(name, byte, role)| {
        format!(
            "[[host]]\nname = \"{name}\"\naddresses = [\"10.0.1.{byte}\", \"fd00:1::{byte}\"]\n\
             roles = [\"{role}\"]\n"
        )
    });
    let clients = "[[network]]\nname = \"users\"\nprefixes = [\"10.20.0.0/24\", \"fd00:20::/64\"]\n\
                   roles = [\"client\"]\n";
    hosts.collect::<String>() + clients
}

/// A host's address, by its name; others are a client and a host that nobody knows.
fn host(name: &str, v6: bool) -> IpAddr {
    let known = HOSTS.iter().find(|host| host.0 == name);
    let text = match (name, known, v6) {
        (_, Some((_, byte, _)), false) => format!("10.0.1.{byte}"),
        (_, Some((_, byte, _)), true) => format!("fd00:1::{byte}"),
        ("client", _, false) => "10.20.0.5".to_owned(),
        ("client", _, true) => "fd00:20::5".to_owned(),
        (_, _, false) => "203.0.113.9".to_owned(),
        (_, _, true) => "2001:db8:9::9".to_owned(),
    };
    ip(&text)
}

/// Packets with the time at which each was sent, in ms.
type Timed = Vec<(u64, Packet)>;

fn frames(mut packets: Timed) -> Vec<Recorded> {
    packets.sort_by_key(|(ms, _)| *ms);
    packets.iter().map(|(ms, packet)| Recorded::new(START + ms * MS, packet.ethernet())).collect()
}

/// Runs a command over packets at the site, with more lines in its topology file.
fn run(command: &[&str], packets: Timed, more: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    run_in(folder.path(), command, packets, more)
}

fn run_in(folder: &Path, command: &[&str], packets: Timed, more: &str) -> String {
    let (capture, topology) = (folder.join("a.pcap"), folder.join("site.toml"));
    std::fs::write(&capture, pcap(1, Order::Little, Ticks::Nano, &frames(packets))).unwrap();
    std::fs::write(&topology, site() + more).unwrap();
    let (capture, topology) = (capture.display().to_string(), topology.display().to_string());
    let arguments = [command, &[&capture, "-t", &topology]].concat();
    stdout(&portassay(&arguments))
}

fn check(packets: Timed, more: &str, flags: &[&str]) -> Value {
    let text = run(&[&["check", "--format", "json"], flags].concat(), packets, more);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

/// The rows with a status.
fn rows(report: &Value, status: &str) -> BTreeSet<String> {
    let all = report["ipsec"]["exemptions"].as_array().unwrap();
    assert_eq!(all.len(), 15, "{report:#}");
    let with = all.iter().filter(|row| row["status"] == status);
    with.map(|row| row["row"].as_str().unwrap().to_owned()).collect()
}

fn set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// The ids of rows for which something speaks.
fn touched(report: &Value) -> BTreeSet<String> {
    ["proven", "likely", "possible"].iter().flat_map(|status| rows(report, status)).collect()
}

fn fired<'r>(report: &'r Value, rule: &str) -> Vec<&'r Value> {
    report["findings"].as_array().unwrap().iter().filter(|found| found["rule"] == rule).collect()
}

const RULE: &str = "ipsec-on-media-range";

/// Audio in one direction, a packet every 20 ms.
fn audio(from: SocketAddr, to: SocketAddr, packets: u16) -> Timed {
    let stream = Rtp { payload_type: 8, ssrc: 0x0BAD_CAFE };
    let packet = |number: u16| {
        let payload = rtp(stream, number, &noise(u32::from(number), 160));
        (u64::from(number) * 20, udp(from, to).payload(payload))
    };
    (0..packets).map(packet).collect()
}

/// Media over TCP (RFC 4571), of one side of the connection.
fn stream(client: SocketAddr, server: SocketAddr, of_the_client: bool) -> Timed {
    let media = Rtp { payload_type: 127, ssrc: 7 };
    let (from, to) = if of_the_client { (client, server) } else { (server, client) };
    let flags = if of_the_client { SYN } else { SYN | ACK };
    let mut packets = vec![(0, tcp(from, to).flags(flags).numbers(99, 0))];
    for number in 0..30_u16 {
        let message = rtp(media, number, &noise(number.into(), 100));
        let framed = [(message.len() as u16).to_be_bytes().to_vec(), message].concat();
        let sequence = 100 + u32::from(number) * framed.len() as u32;
        let data = tcp(from, to).flags(PSH | ACK).numbers(sequence, 1).payload(framed);
        packets.push((u64::from(number) * 30 + 10, data));
    }
    packets
}

/// Each packet inside ESP without encryption, in one association.
fn readable(packets: Timed, spi: u32) -> Timed {
    let numbered = (1..).zip(packets);
    numbered.map(|(sequence, (ms, packet))| (ms, packet.esp_null(spi, sequence))).collect()
}

fn later(packets: Timed, by: u64) -> Timed {
    packets.into_iter().map(|(ms, packet)| (ms + by, packet)).collect()
}

/// Media of a role inside ESP: the row, the role's host and its port, whether it comes from that host, whether over
/// TCP, and the other rows of the same host and port.
type Media = (&'static str, &'static str, u16, bool, bool, &'static [&'static str]);

const MEDIA: [Media; 21] = [
    ("X01", "edge-in", 3478, false, false, &[]),
    ("X01", "edge-in", 443, false, true, &[]),
    ("X02", "edge-out", 3478, false, false, &[]),
    ("X02", "edge-out", 50_111, false, false, &[]),
    ("X03", "edge-in", 3478, true, false, &[]),
    ("X04", "edge-out", 50_111, true, true, &[]),
    ("X05", "med01", 49_200, false, false, &[]),
    ("X06", "med01", 49_200, true, false, &[]),
    ("X06", "med01", 57_500, true, true, &[]),
    ("X07", "ca01", 49_200, false, false, &[]),
    ("X08", "ca01", 49_200, true, false, &[]),
    ("X09", "fe01", 49_200, false, false, &[]),
    ("X09", "fe01", 57_501, false, false, &[]),
    ("X10", "fe01", 65_535, true, false, &[]),
    ("X11", "um01", 50_000, false, false, &[]),
    ("X12", "as01", 49_200, false, true, &[]),
    // Application sharing of a Front End Server is within its audio range.
    ("X12", "fe01", 49_200, false, true, &["X09"]),
    ("X13", "as01", 49_200, true, true, &[]),
    ("X13", "fe01", 49_200, true, true, &["X10"]),
    ("X14", "um01", 50_000, true, false, &[]),
    ("X15", "client", 50_020, true, false, &[]),
];

#[test]
fn media_of_each_role_inside_esp_break_its_row_and_no_other() {
    for (row, name, port, outbound, over_tcp, beside) in MEDIA {
        for v6 in [false, true] {
            let own = SocketAddr::new(host(name, v6), port);
            let peer = SocketAddr::new(host("nobody", v6), 30_000);
            let packets = match (over_tcp, outbound) {
                (true, _) => stream(peer, own, !outbound),
                (false, true) => audio(own, peer, 40),
                (false, false) => audio(peer, own, 40),
            };
            let clear = check(packets.clone(), "", &[]);
            let said = format!("{row} {own} outbound {outbound}");
            assert_eq!(clear["ipsec"]["deployed"], false, "{said}");
            assert_eq!(rows(&clear, "not-applicable").len(), 15, "{said}");
            let report = check(readable(packets, 0x1000), "", &[]);
            let mut wanted = set(beside);
            wanted.insert(row.to_owned());
            assert_eq!(touched(&report), wanted, "{said}");
            assert_eq!(rows(&report, "proven"), wanted, "{said}");
            let [finding] = fired(&report, RULE)[..] else { panic!("{said}: {report:#}") };
            assert_eq!(
                (&finding["severity"], &finding["confidence"]),
                (&json!("error"), &json!("high"))
            );
            let message = finding["message"].as_str().unwrap();
            assert!(wanted.iter().all(|row| message.contains(row.as_str())), "{said}: {message}");
        }
    }
    let asked: BTreeSet<&str> = MEDIA.iter().map(|media| media.0).collect();
    assert_eq!(asked.len(), 15);
}

#[test]
fn a_port_outside_of_the_roles_media_and_a_peers_port_break_nothing() {
    let nobody = SocketAddr::new(host("nobody", false), 49_200);
    for (name, port) in [("med01", 57_501), ("ca01", 57_501), ("edge-in", 50_111), ("fe01", 49_151)]
    {
        let own = SocketAddr::new(host(name, false), port);
        for packets in [audio(own, nobody, 40), audio(nobody, own, 40)] {
            let report = check(readable(packets, 0x1000), "", &[]);
            assert_eq!(touched(&report), set(&[]), "{own}");
            assert_eq!(report["ipsec"]["deployed"], true);
            assert!(fired(&report, RULE).is_empty());
        }
    }
}

#[test]
fn each_direction_stands_for_itself() {
    let (peer, own) = (at("203.0.113.9:30000"), at("10.0.1.31:49200"));
    let (there, back) = (audio(peer, own, 60), later(audio(own, peer, 60), 5));
    let one = [readable(there.clone(), 0x1000), back.clone()].concat();
    let report = check(one, "", &[]);
    assert_eq!(rows(&report, "proven"), set(&["X05"]));
    let other = [there.clone(), readable(back.clone(), 0x2000)].concat();
    assert_eq!(rows(&check(other, "", &[]), "proven"), set(&["X06"]));
    let both = [readable(there, 0x1000), readable(back, 0x2000)].concat();
    let report = check(both, "", &[]);
    assert_eq!(rows(&report, "proven"), set(&["X05", "X06"]));
    let all = report["ipsec"]["exemptions"].as_array().unwrap();
    let inbound = all.iter().find(|row| row["row"] == "X05").unwrap();
    assert_eq!(inbound["grounds"], json!(["media-content"]));
    assert_eq!(inbound["peers"], json!({"count": 1, "addresses": ["203.0.113.9"]}));
    assert_eq!(inbound["frames"][0], json!({"capture": 0, "frame": 1}));
}

/// Signalling between a host that nobody knows and a mediation server, inside ESP.
fn signalling() -> Timed {
    let (client, server) = (at("203.0.113.9:50100"), at("10.0.1.31:5068"));
    let question = b"OPTIONS sip:med01.example.test SIP/2.0\r\nCSeq: 1 OPTIONS\r\n\r\n";
    let answer = b"SIP/2.0 200 OK\r\nCSeq: 1 OPTIONS\r\n\r\n";
    let (asked, told) = (10 + question.len() as u32, 90 + answer.len() as u32);
    let there = vec![
        (0, tcp(client, server).flags(SYN).numbers(9, 0)),
        (2, tcp(client, server).flags(ACK).numbers(10, 90)),
        (3, tcp(client, server).flags(PSH | ACK).numbers(10, 90).payload(question)),
        (5, tcp(client, server).flags(ACK).numbers(asked, told)),
    ];
    let back = vec![
        (1, tcp(server, client).flags(SYN | ACK).numbers(89, 10)),
        (4, tcp(server, client).flags(PSH | ACK).numbers(90, asked).payload(answer)),
    ];
    [readable(there, 0x1000), readable(back, 0x2000)].concat()
}

#[test]
fn signalling_inside_esp_matters_only_strictly() {
    let report = check(signalling(), "", &[]);
    assert_eq!(
        (&report["ipsec"]["deployed"], &report["ipsec"]["mode"]),
        (&json!(true), &json!("media-only"))
    );
    assert_eq!(touched(&report), set(&[]));
    assert!(fired(&report, RULE).is_empty());
    let report = check(signalling(), "", &["--strict"]);
    assert_eq!(report["ipsec"]["mode"], "strict");
    assert_eq!(rows(&report, "proven"), set(&["X05", "X06"]));
    let all = report["ipsec"]["exemptions"].as_array().unwrap();
    let inbound = all.iter().find(|row| row["row"] == "X05").unwrap();
    assert_eq!(inbound["grounds"], json!(["any-port"]));
    assert_eq!(fired(&report, RULE).len(), 1);
}

#[test]
fn what_declared_gateways_wrap_is_no_policy_of_the_hosts() {
    let gateways = (ip("192.0.2.1"), ip("192.0.2.2"));
    let declared = "[ipsec]\ngateways = [\"192.0.2.1\", \"192.0.2.2\"]\n";
    let call = || audio(at("203.0.113.9:30000"), at("10.0.1.31:49200"), 120);
    let in_tunnel = || -> Timed {
        let packets = call().into_iter();
        packets.map(|(ms, packet)| (ms, packet.in_tunnel(gateways.0, gateways.1))).collect()
    };
    let readable = || readable(in_tunnel(), 0x1000);
    assert_eq!(rows(&check(readable(), "", &[]), "proven"), set(&["X05"]));
    for flags in [&[][..], &["--strict"]] {
        let report = check(readable(), declared, flags);
        assert_eq!(touched(&report), set(&[]), "{flags:?}");
        assert!(fired(&report, RULE).is_empty());
        assert_eq!(report["ipsec"]["deployed"], true);
    }
    // A gateway that is itself an end, such as one that wraps for a remote client, with hidden audio.
    let hidden = || -> Timed {
        let packets = (1..).zip(audio(at("203.0.113.9:30000"), at("10.0.1.31:49200"), 120));
        packets.map(|(n, (ms, packet))| (ms, packet.dscp(46).esp(0x3000, n))).collect()
    };
    // A peer that nobody knows may be one, so that it is a hint only.
    let report = check(hidden(), "", &[]);
    assert_eq!(rows(&report, "possible"), set(&["X05"]));
    assert_eq!(fired(&report, "esp-resembles-media").len(), 1);
    let report = check(hidden(), "[ipsec]\ngateways = [\"203.0.113.9\"]\n", &["--strict"]);
    assert_eq!(touched(&report), set(&[]));
    assert!(fired(&report, "esp-resembles-media").is_empty());
}

/// What `flows` says that each flow speaks.
fn protocols(packets: Timed) -> Vec<Value> {
    let text = run(&["flows", "--format", "jsonl"], packets, "");
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["protocol"].clone())
        .collect()
}

#[test]
fn media_on_the_port_of_esp_are_media() {
    let (client, server) = (at("10.20.0.5:4500"), at("10.0.1.31:49200"));
    let call = || [audio(client, server, 200), later(audio(server, client, 200), 7)].concat();
    assert_eq!(protocols(call()), ["rtp"]);
    for flags in [&[][..], &["--strict"]] {
        let report = check(call(), "", flags);
        assert_eq!(report["ipsec"]["deployed"], false, "{flags:?}");
        assert_eq!(rows(&report, "not-applicable").len(), 15);
        assert!(fired(&report, "esp-resembles-media").is_empty());
    }
}

#[test]
fn a_datagram_on_the_port_of_esp_is_no_ipsec_and_an_association_is() {
    let deployed = |payloads: &[Vec<u8>]| {
        let (client, server) = (at("10.20.0.5:40000"), at("10.0.1.31:4500"));
        let packets = (0..).zip(payloads);
        let packets = packets.map(|(n, payload)| (n * 20, udp(client, server).payload(payload)));
        check(packets.collect(), "", &[])["ipsec"]["deployed"].as_bool().unwrap()
    };
    for seed in 1..9 {
        assert!(!deployed(&[noise(seed, 100)]), "{seed}");
    }
    // Each begins otherwise, or is a keep-alive.
    assert!(!deployed(&(1..9).map(|seed| noise(seed, 100)).collect::<Vec<_>>()));
    assert!(!deployed(&[vec![0xFF], vec![0xFF], vec![0xFF]]));
    let esp = |n: u8| [vec![0, 0, 0x10, 0, 0, 0, 0, n], noise(n.into(), 100)].concat();
    assert!(deployed(&[esp(1), esp(2)]));
}

/// A message of `IKEv2` with the responder's cookie and without, for two round trips.
fn negotiation(client: SocketAddr, server: SocketAddr, cookie: u32) -> Timed {
    let message = |exchange: u8, flags: u8, id: u8, known: bool| {
        let mut bytes = [&[7, 7, 7, 7][..], &cookie.to_be_bytes()].concat();
        bytes.extend([if known { 9 } else { 0 }; 8]);
        bytes.extend([if exchange == 34 { 33 } else { 46 }, 0x20, exchange, flags, 0, 0, 0, id]);
        bytes.extend([0, 0, 0, 28 + 60]);
        bytes.extend(noise(u32::from(exchange) << 8 | u32::from(flags), 60));
        bytes
    };
    let (asks, answers) = (udp(client, server), udp(server, client));
    vec![
        (0, asks.clone().payload(message(34, 8, 0, false))),
        (10, answers.clone().payload(message(34, 0x20, 0, true))),
        (20, asks.payload(message(35, 8, 1, true))),
        (30, answers.payload(message(35, 0x20, 1, true))),
    ]
}

/// Six seconds of audio both ways that nobody can read, marked as audio; of each side in an association of this index.
fn hidden_call(client: SocketAddr, server: SocketAddr, spis: [u32; 2]) -> [Timed; 2] {
    let ways = [audio(client, server, 300), later(audio(server, client, 300), 3)];
    [0, 1].map(|way| {
        let numbered = (1..).zip(ways[way].clone());
        numbered.map(|(n, (ms, packet))| (ms, packet.dscp(46).esp(spis[way], n))).collect()
    })
}

fn on_4500(packets: Timed) -> Timed {
    packets.into_iter().map(|(ms, packet)| (ms, packet.in_udp(4500, 4500))).collect()
}

/// The grounds of a row.
fn grounds(report: &Value, row: &str) -> Value {
    let all = report["ipsec"]["exemptions"].as_array().unwrap();
    all.iter().find(|answer| answer["row"] == row).unwrap()["grounds"].clone()
}

#[test]
fn what_a_host_shows_decrypted_speaks_for_the_hidden_media_and_not_against() {
    let (client, server) = (at("10.20.0.5:50020"), at("10.0.1.31:49200"));
    let [there, back] = hidden_call(client, server, [0xC0FF_EE01, 0xC0FF_EE02]);
    for in_udp in [false, true] {
        let hidden = [there.clone(), back.clone()].concat();
        let hidden = if in_udp { on_4500(hidden) } else { hidden };
        let with = |shown: u16| [hidden.clone(), audio(client, server, shown)].concat();
        let report = check(with(300), "", &[]);
        assert_eq!(rows(&report, "likely"), set(&["X05", "X06", "X15"]), "{in_udp}");
        assert_eq!(grounds(&report, "X05"), json!(["shown-decrypted"]));
        assert_eq!(grounds(&report, "X06"), json!(["audio-rhythm-in-context"]));
        // Of which the larger part was shown, or only some: the rest may be anything.
        let report = check(with(250), "", &[]);
        assert_eq!(rows(&report, "likely"), set(&["X05", "X06", "X15"]), "{in_udp}");
        assert_eq!(grounds(&report, "X05"), json!(["audio-rhythm-in-context"]));
        assert_eq!(grounds(&check(with(200), "", &[]), "X05"), json!(["marked-as-media"]));
        // Both hosts captured, so that both ways are shown.
        let both = [with(300), later(audio(server, client, 300), 3)].concat();
        let report = check(both, "", &[]);
        assert_eq!(rows(&report, "likely"), set(&["X05", "X06", "X15"]), "{in_udp}");
        assert_eq!(grounds(&report, "X06"), json!(["shown-decrypted"]));
    }
}

#[test]
fn esp_in_udp_is_believed_by_its_numbers_or_by_an_answered_negotiation() {
    let (client, server) = (at("10.20.0.5:50020"), at("10.0.1.31:49200"));
    let call = |spis| on_4500(hidden_call(client, server, spis).concat());
    let (alike, unlike) = ([0xC0FF_EE01; 2], [0xC0FF_EE01, 0xC0FF_EE02]);
    let wanted = set(&["X05", "X06", "X15"]);
    assert_eq!(rows(&check(call(unlike), "", &[]), "likely"), wanted);
    assert_eq!(rows(&check(call(alike), "", &[]), "possible"), wanted);
    let ike = negotiation(at("10.20.0.5:500"), at("10.0.1.31:500"), 7);
    let with = |messages: &[(u64, Packet)]| {
        let call = later(call(alike), 6_000);
        check([messages.to_vec(), call].concat(), "", &[])
    };
    assert_eq!(rows(&with(&ike[..1]), "possible"), wanted);
    assert_eq!(rows(&with(&ike), "likely"), wanted);
}

/// The same as a stream of frames (RFC 9329, 3), each in a segment of its own.
fn hidden_call_in_tcp() -> Timed {
    let (client, server) = (at("10.20.0.5:40500"), at("10.0.1.31:4500"));
    let mut packets = vec![
        (0, tcp(client, server).flags(SYN).numbers(99, 0)),
        (1, tcp(server, client).flags(SYN | ACK).numbers(499, 100)),
        (2, tcp(client, server).flags(ACK).numbers(100, 500)),
        (3, tcp(client, server).flags(PSH | ACK).numbers(100, 500).payload(b"IKETCP")),
    ];
    for n in 0..300_u32 {
        let frame = |spi: u32| {
            let esp = [spi.to_be_bytes(), (n + 1).to_be_bytes()].concat();
            [&[0, 10 + 180][..], &esp, &noise(n ^ spi, 180)].concat()
        };
        let (sent, received) = (106 + n * 190, 500 + n * 190);
        let there = tcp(client, server).flags(PSH | ACK).numbers(sent, received).dscp(46);
        let back = tcp(server, client).flags(PSH | ACK).numbers(received, sent + 190).dscp(46);
        let ms = 20 + u64::from(n) * 20;
        packets.push((ms, there.payload(frame(0xC0FF_EE01))));
        packets.push((ms + 3, back.payload(frame(0xC0FF_EE02))));
    }
    packets
}

#[test]
fn hidden_audio_in_tcp_counts_like_any_other() {
    let wanted = set(&["X05", "X06", "X15"]);
    let report = check(hidden_call_in_tcp(), "", &[]);
    assert_eq!(rows(&report, "likely"), wanted);
    let [finding] = fired(&report, "esp-resembles-media")[..] else { panic!("{report:#}") };
    assert_eq!(finding["severity"], "warning");
    let evidence = report["ipsec"]["exemptions"][4]["evidence"][0].as_str().unwrap();
    assert!(
        evidence.starts_with("esp in TCP 10.20.0.5 -> 10.0.1.31, SPI 0xc0ffee01"),
        "{evidence}"
    );
}

#[test]
fn hidden_audio_beside_other_media_in_clear_stays_possible_by_its_marking() {
    let (client, server) = (at("10.20.0.5:50020"), at("10.0.1.11:49200"));
    let hidden = || hidden_call(client, server, [0xC0FF_EE01, 0xC0FF_EE02]).concat();
    let video = (at("10.20.0.5:50040"), at("10.0.1.11:58000"));
    let clear = || [audio(video.0, video.1, 280), later(audio(video.1, video.0, 280), 7)].concat();
    let wanted = set(&["X09", "X10", "X15"]);
    let partly = |report: &Value| {
        let all = report["ipsec"]["exemptions"].as_array().unwrap().iter();
        let partly = all.filter(|row| row["partly_exempt"] == true);
        partly.map(|row| row["row"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    assert_eq!(rows(&check([hidden(), clear()].concat(), "", &[]), "exempt-seen"), set(&[]));
    let report = check([hidden(), clear()].concat(), "", &[]);
    assert_eq!((rows(&report, "possible"), partly(&report)), (wanted.clone(), wanted.clone()));
    assert_eq!(grounds(&report, "X09"), json!(["marked-as-media", "clear-media"]));
    // Checks that the path of other media works are no stream of media: the rhythm counts.
    let checks = (0..7_u8).flat_map(|n| {
        let message = |kind: u8| [&[kind, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42][..], &[n; 12]].concat();
        let ms = u64::from(n) * 1_000;
        let asks = udp(video.0, video.1).payload(message(0));
        [(ms, asks), (ms + 4, udp(video.1, video.0).payload(message(1)))]
    });
    let report = check([hidden(), checks.collect()].concat(), "", &[]);
    assert_eq!((rows(&report, "likely"), partly(&report)), (wanted.clone(), wanted));
}

#[test]
fn other_protocols_on_the_port_of_esp_are_no_ipsec() {
    let (client, server) = (at("10.20.0.5:4500"), at("10.0.1.11:4500"));
    let ike = negotiation(at("10.20.0.5:500"), at("10.0.1.11:500"), 7);
    let wireguard = |n: u32, back: bool| {
        let (kind, receiver) =
            if n == 0 { (1 + u8::from(back), n) } else { (4, 64 + u32::from(back)) };
        let head = [&[kind, 0, 0, 0][..], &receiver.to_le_bytes(), &u64::from(n).to_le_bytes()];
        [head.concat(), noise(n, 180)].concat()
    };
    let text = |n: u32, _: bool| format!("PING{n:04} {:100}", "").into_bytes();
    let markup = |n: u32, _: bool| format!("<r n=\"{n:04}\"/>{:100}", "").into_bytes();
    let kinds: [&dyn Fn(u32, bool) -> Vec<u8>; 3] = [&wireguard, &text, &markup];
    for (nth, payload) in kinds.iter().enumerate() {
        let talk: Timed = (0..300_u32)
            .flat_map(|n| {
                let ms = u64::from(n) * 20;
                let there = udp(client, server).dscp(46).payload(payload(n, false));
                let back = udp(server, client).dscp(46).payload(payload(n, true));
                [(ms, there), (ms + 3, back)]
            })
            .collect();
        assert_eq!(check(talk.clone(), "", &[])["ipsec"]["deployed"], false, "{nth}");
        // A question that nobody answers makes it none.
        let asked = [ike[..1].to_vec(), later(talk, 3_000)].concat();
        let report = check(asked, "", &["--strict"]);
        assert_eq!(touched(&report), set(&[]), "{nth}");
        assert!(fired(&report, "esp-resembles-media").is_empty(), "{nth}");
    }
}

/// Minutes in which thirty hosts call two servers inside IPsec of every kind, with negotiations and rekeyings, beside so
/// much other traffic that each of seven threads has a share to read.
fn busy() -> Timed {
    let (from, to) = (at("10.9.0.1:9000"), at("10.9.0.2:9000"));
    let mut packets: Timed = (0..6_000_u32)
        .map(|n| (u64::from(n) * 20, udp(from, to).number(n as u16).payload(noise(n, 1300))))
        .collect();
    for n in 1..=30_u16 {
        let client = host("client", false).to_string().replace(".5", &format!(".{n}"));
        let server = ["10.0.1.31", "10.0.1.11"][usize::from(n % 2)];
        let ends = |port: u16| (at(&format!("{client}:{port}")), at(&format!("{server}:{port}")));
        let begin = u64::from(n) * 3_700;
        let ike = ends(500);
        packets.extend(later(negotiation(ike.0, ike.1, n.into()), begin));
        let media = (at(&format!("{client}:50020")), at(&format!("{server}:49200")));
        // Two associations follow each other.
        let call =
            audio(media.0, media.1, 200).into_iter().chain(later(audio(media.1, media.0, 200), 3));
        for (sequence, (ms, packet)) in (1..).zip(call) {
            let spi = 0x1000 + u32::from(n) * 2 + u32::from(ms > 2_000);
            let wrapped = match n % 6 {
                0 => packet.esp(spi, sequence),
                1 => packet.esp_null(spi, sequence),
                2 => packet.dscp(46).esp(spi, sequence).in_udp(4500, 4500),
                3 => packet.esp_null_as(spi, sequence, 8, 16).in_udp(4500, 4500),
                4 => packet.ah(spi, sequence),
                _ => packet.wesp(spi, sequence, 12, false),
            };
            packets.push((begin + 60 + ms, wrapped));
        }
    }
    packets
}

#[test]
fn any_number_of_threads_says_the_same_wherever_they_cut() {
    let folder = tempfile::tempdir().unwrap();
    let packets = busy();
    for flags in [&[][..], &["--strict"]] {
        let said = |threads: &str| {
            let command = ["check", "--format", "json", "--threads", threads];
            run_in(folder.path(), &[&command, flags].concat(), packets.clone(), "")
        };
        let one = said("1");
        for threads in ["2", "3", "7"] {
            assert!(said(threads) == one, "{threads} threads");
        }
        let report: Value = serde_json::from_str(&one).unwrap();
        assert_eq!(report["ipsec"]["negotiations"].as_array().unwrap().len(), 30);
        assert_eq!(rows(&report, "proven"), set(&["X05", "X06", "X09", "X10", "X15"]), "{flags:?}");
        assert!(!fired(&report, "esp-resembles-media").is_empty());
    }
}
