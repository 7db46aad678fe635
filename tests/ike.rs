//! Negotiations of IPsec are told as the frames show them: who, how it went, how long it took and how long media waited.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::{portassay, stdout};
use crate::support::capture::{Order, Recorded, Ticks, pcap};
use crate::support::craft::{Packet, SYN, at, ip, protocol, tcp, udp};
use crate::support::story::{Rtp, rtp};
use crate::support::wire::noise;

const SITE: &str = r#"
[[network]]
name = "users"
prefixes = ["10.20.0.0/24"]
roles = ["client"]
[[host]]
name = "med01"
addresses = ["10.0.1.31"]
roles = ["mediation"]
"#;

const CLIENT: &str = "10.20.0.5:500";
const SERVER: &str = "10.0.1.31:500";
const START: u64 = 1_700_000_000_000_000_000;

/// What is said in one message, but for what all have.
#[derive(Debug, Clone, Copy)]
struct Said<'a> {
    cookie: u64,
    /// The responder's; 0 before it is known.
    answer: u64,
    version: u8,
    exchange: u8,
    flags: u8,
    id: u32,
    /// The type of the first payload.
    next: u8,
    body: &'a [u8],
}

const FIRST: Said<'_> = Said {
    cookie: 0x0102_0304_0506_0708,
    answer: 0,
    version: 0x10,
    exchange: 2,
    flags: 0,
    id: 0,
    next: 13,
    body: &WINDOWS,
};

/// A vendor id.
const WINDOWS: [u8; 24] = [
    0, 0, 0, 24, 0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d, 0x7c, 0x96, 0xfc, 0xbf, 0xb5,
    0x87, 0xe4, 0x61, 0, 0, 0, 8,
];

fn message(said: &Said<'_>) -> Vec<u8> {
    let mut bytes = said.cookie.to_be_bytes().to_vec();
    bytes.extend(said.answer.to_be_bytes());
    bytes.extend([said.next, said.version, said.exchange, said.flags]);
    bytes.extend(said.id.to_be_bytes());
    bytes.extend((28 + said.body.len() as u32).to_be_bytes());
    bytes.extend(said.body);
    bytes
}

fn asks(said: &Said<'_>) -> Packet {
    udp(at(CLIENT), at(SERVER)).payload(message(said))
}

fn answers(said: &Said<'_>) -> Packet {
    udp(at(SERVER), at(CLIENT)).payload(message(said))
}

/// A packet of media from the client.
fn media(number: u16) -> Packet {
    let stream = Rtp { ssrc: 7, payload_type: 0 };
    let payload = rtp(stream, number, &noise(number.into(), 160));
    udp(at("10.20.0.5:50020"), at("10.0.1.31:49200")).payload(payload)
}

/// `IKEv2` in two round trips, 30 ms from its first message to its last.
fn ike2(port: u16) -> Vec<(f64, Packet)> {
    let body = noise(1, 60);
    let init = Said { version: 0x20, exchange: 34, flags: 8, next: 40, body: &body, ..FIRST };
    let auth = Said { exchange: 35, answer: 9, id: 1, next: 46, ..init };
    let back = |said: Said<'_>| message(&Said { flags: 0x20, answer: 9, ..said });
    let marked = |bytes: Vec<u8>| if port == 4500 { [vec![0; 4], bytes].concat() } else { bytes };
    let (client, server) = (at(&format!("10.20.0.5:{port}")), at(&format!("10.0.1.31:{port}")));
    vec![
        (0.0, asks(&init)),
        (10.0, answers(&Said { flags: 0x20, answer: 9, ..init })),
        (20.0, udp(client, server).payload(marked(message(&auth)))),
        (30.0, udp(server, client).payload(marked(back(auth)))),
    ]
}

/// What a check says of the negotiations in packets sent at these milliseconds.
fn told(packets: &[(f64, Packet)]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    check(folder.path(), packets, "json")["ipsec"].clone()
}

fn check(folder: &Path, packets: &[(f64, Packet)], format: &str) -> Value {
    let text = report(folder, packets, format, "1");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}"))
}

fn report(folder: &Path, packets: &[(f64, Packet)], format: &str, threads: &str) -> String {
    let mut packets: Vec<&(f64, Packet)> = packets.iter().collect();
    packets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let frames: Vec<Recorded> = packets
        .iter()
        .map(|(ms, packet)| {
            let after = Duration::from_secs_f64(10.0 + ms / 1e3);
            Recorded::new(START + after.as_nanos() as u64, packet.ethernet())
        })
        .collect();
    let (capture, topology) = (folder.join("a.pcap"), folder.join("site.toml"));
    std::fs::write(&capture, pcap(1, Order::Little, Ticks::Nano, &frames)).unwrap();
    std::fs::write(&topology, SITE).unwrap();
    let (capture, topology) = (capture.display().to_string(), topology.display().to_string());
    let arguments = ["check", &capture, "-t", &topology, "--format", format, "--threads", threads];
    stdout(&portassay(&arguments))
}

fn only(packets: &[(f64, Packet)]) -> Value {
    let ipsec = told(packets);
    let all = ipsec["negotiations"].as_array().unwrap();
    assert_eq!(all.len(), 1, "{ipsec:#}");
    all[0].clone()
}

#[track_caller]
fn near(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap_or_else(|| panic!("{value}"));
    assert!((value - expected).abs() < 1.0, "{value} is not {expected}");
}

#[test]
fn the_delay_is_what_the_frames_show() {
    let mut packets = ike2(500);
    packets.extend((0..4).map(|n| (f64::from(n) * 20.0 - 3.5, media(n))));
    packets.push((137.25, protocol(50, ip("10.20.0.5"), ip("10.0.1.31")).payload(noise(3, 120))));
    let one = only(&packets);
    assert_eq!((&one["initiator"], &one["responder"]), (&json!("10.20.0.5"), &json!("10.0.1.31")));
    assert_eq!((&one["families"], &one["outcome"]), (&json!(["ikev2"]), &json!("sa")));
    assert_eq!((&one["messages"], &one["round_trips"]), (&json!(4), &json!(2)));
    assert_eq!(one["first_frame"], json!({"capture": 0, "frame": 2}));
    near(&one["nego_ms"], 137.25);
    near(&one["media_delay_ms"], 0.0);
    near(&one["gap_ms"], 137.25 - 56.5);
    assert_eq!((&one["fallback"], &one["other_triggers"]), (&json!("parallel"), &json!(0)));
    assert_eq!(one["media"]["initiator"], json!({"address": "10.20.0.5", "port": 50_020}));
    assert_eq!((&one["media"]["protocol"], &one["media"]["packets"]), (&json!("rtp"), &json!(4)));
}

/// Two seconds of media from each side, each packet in ESP.
fn call(begin: f64, spi: u32, wrap: impl Fn(Packet, u32, u32) -> Packet) -> Vec<(f64, Packet)> {
    // Ports change from call to call.
    let client = at(&format!("10.20.0.5:{}", 50_000 + (spi >> 12)));
    let server = at("10.0.1.31:49200");
    let packets = (0..120_u16).flat_map(|n| {
        let ms = begin + f64::from(n) * 20.0;
        let sound = noise(n.into(), 160);
        let side = |from, to, ssrc| {
            udp(from, to).payload(rtp(Rtp { ssrc, payload_type: 0 }, n, &sound)).dscp(46)
        };
        let sequence = u32::from(n) + 1;
        [
            (ms, wrap(side(client, server, 7), spi, sequence)),
            (ms + 3.0, wrap(side(server, client, 8), spi + 1, sequence)),
        ]
    });
    packets.collect()
}

fn readable(packet: Packet, spi: u32, sequence: u32) -> Packet {
    packet.esp_null(spi, sequence)
}

fn hidden(packet: Packet, spi: u32, sequence: u32) -> Packet {
    packet.esp(spi, sequence)
}

/// What a check says of the row of what the mediation server is sent.
fn inbound(packets: &[(f64, Packet)]) -> Value {
    let ipsec = told(packets);
    let rows = ipsec["exemptions"].as_array().unwrap();
    rows.iter().find(|row| row["row"] == "X05").unwrap().clone()
}

/// The exchange that makes a further association ten minutes later.
fn anew(begin: f64) -> Vec<(f64, Packet)> {
    let body = noise(5, 200);
    let child = Said {
        version: 0x20,
        exchange: 36,
        flags: 8,
        next: 46,
        id: 2,
        answer: 9,
        body: &body,
        ..FIRST
    };
    vec![(begin, asks(&child)), (begin + 80.0, answers(&Said { flags: 0x20, ..child }))]
}

#[test]
fn a_call_that_waits_for_a_further_association_alone_has_a_delay_too() {
    let first = [ike2(500), call(50.0, 0x1000, readable)].concat();
    let second = [anew(600_000.0), call(600_150.0, 0x2000, readable)].concat();
    let both = [first.clone(), second.clone()].concat();
    let ipsec = told(&both);
    let all = ipsec["negotiations"].as_array().unwrap();
    let waits: Vec<&Value> = all.iter().map(|one| &one["media_delay_ms"]).collect();
    assert_eq!(waits.len(), 2, "{ipsec:#}");
    near(waits[0], 50.0);
    near(waits[1], 150.0);
    near(&inbound(&both)["delay_ms"], 150.0);
    // Of the older association nothing is captured.
    near(&inbound(&second)["delay_ms"], 150.0);
    // While the first is in use, the second renews it.
    let renewal = [anew(20_000.0), call(20_150.0, 0x2000, readable)].concat();
    let ipsec = told(&[first, renewal].concat());
    let all = ipsec["negotiations"].as_array().unwrap();
    assert_eq!((all.len(), &all[0]["renewals"]), (1, &json!(1)), "{ipsec:#}");
}

#[test]
fn what_resembles_media_waited_as_likely_as_it_is_media() {
    let row = inbound(&[ike2(500), call(60.0, 0x1000, hidden)].concat());
    assert_eq!(row["status"], json!("likely"));
    near(&row["delay_ms"], 60.0);
    let text = row["evidence"][0].as_str().unwrap();
    let said =
        "; if they are media, they waited 60.000 ms for the negotiation at capture 0, frame 1";
    assert!(text.ends_with(said), "{text}");
    let older = inbound(&call(60.0, 0x1000, hidden));
    assert_eq!((&older["status"], &older["delay_ms"]), (&json!("likely"), &Value::Null));
}

#[test]
fn hidden_packets_of_both_ways_in_udp_are_one_flow_of_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let in_udp = |packet: Packet, spi, sequence| packet.esp(spi, sequence).in_udp(4500, 4500);
    let packets = [ike2(4500), call(60.0, 0x1000, in_udp)].concat();
    let report = check(folder.path(), &packets, "json");
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["rule"] == "esp-resembles-media").unwrap();
    // Two messages moved to the port of ESP.
    assert_eq!((&found["flows"], &found["packets"]), (&json!(1), &json!(242)));
}

#[test]
fn behind_a_nat_the_association_begins_in_udp() {
    let mut packets = ike2(4500);
    let esp = |sequence| media(9).esp(0x1000, sequence).in_udp(4500, 4500);
    packets.extend([(80.0, esp(1)), (100.0, esp(2)), (120.0, esp(3))]);
    let one = only(&packets);
    assert_eq!((&one["outcome"], &one["behind_nat"]), (&json!("sa"), &json!(true)));
    near(&one["nego_ms"], 80.0);
    assert_eq!(one["media"], Value::Null);
    // Seen from its middle it is no new association.
    let mut packets = ike2(4500);
    packets.push((80.0, esp(4711)));
    let one = only(&packets);
    assert_eq!((&one["outcome"], &one["nego_ms"]), (&json!("completed"), &Value::Null));
}

#[test]
fn windows_asks_in_two_families_at_once() {
    let authip = Said {
        cookie: 0x7700_0000_0000_0077,
        exchange: 243,
        next: 0x85,
        body: &[[13, 0, 0, 8, 0, 0, 0, 0].as_slice(), &WINDOWS].concat(),
        ..FIRST
    };
    let both = [(0.0, asks(&authip)), (2.0, asks(&FIRST))];
    let one = only(&both);
    assert_eq!((&one["families"], &one["attempts"]), (&json!(["ikev1", "authip"]), &json!(2)));
    assert_eq!((&one["outcome"], &one["vendors"]), (&json!("unanswered"), &json!(["microsoft"])));
    // Media in clear after the wait, and another connection that began just before.
    let mut packets = both.to_vec();
    packets.extend([(1000.0, asks(&FIRST)), (3000.0, asks(&FIRST))]);
    packets.extend((0..4).map(|n| (3010.0 + f64::from(n) * 20.0, media(n))));
    packets.push((-4.0, tcp(at("10.20.0.5:50001"), at("10.0.1.31:5070")).flags(SYN)));
    let one = only(&packets);
    assert_eq!((&one["outcome"], &one["retransmits"]), (&json!("timeout"), &json!(2)));
    near(&one["media_delay_ms"], 3010.0);
    assert_eq!((&one["fallback"], &one["nego_ms"]), (&json!("soft-3s"), &Value::Null));
    assert_eq!(
        (&one["other_triggers"], &one["trigger_frames"][0]["frame"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn a_refusal_in_clear_is_a_failure() {
    let body = [0, 0, 0, 12, 0, 0, 0, 1, 1, 0, 0, 14];
    let refuses = Said { answer: 5, exchange: 5, next: 11, id: 99, body: &body, ..FIRST };
    let one = only(&[(0.0, asks(&FIRST)), (8.0, answers(&refuses))]);
    assert_eq!((&one["outcome"], &one["error"]), (&json!("failed"), &json!(14)));
}

#[test]
fn keep_alives_and_strangers_are_no_negotiations() {
    let alive = Said { answer: 5, exchange: 5, flags: 1, next: 8, id: 3, ..FIRST };
    let junk = udp(at(CLIENT), at(SERVER)).payload([0_u8; 40]);
    let ipsec = told(&[(0.0, asks(&alive)), (9.0, answers(&alive)), (12.0, junk)]);
    assert_eq!((&ipsec["negotiations"], &ipsec["more_negotiations"]), (&json!([]), &json!(0)));
    let scanner = udp(at("192.0.2.7:40000"), at(SERVER)).payload(message(&FIRST));
    let one = only(&[(0.0, scanner)]);
    assert_eq!((&one["initiator"], &one["outcome"]), (&json!("192.0.2.7"), &json!("unanswered")));
}

/// Two hundred hosts negotiate for minutes, some with retransmissions, some with media, beside so much other
/// traffic that each of seven threads has a share to read.
fn many() -> Vec<(f64, Packet)> {
    let (from, to) = (at("10.9.0.1:9000"), at("10.9.0.2:9000"));
    let other = |n: u32| udp(from, to).number(n as u16).payload(noise(n, 1400));
    let mut packets: Vec<(f64, Packet)> =
        (0..6_000).map(|n| (f64::from(n) * 24.0, other(n))).collect();
    for host in 1..=200_u64 {
        let client = at(&format!("10.20.0.{host}:500"));
        let begin = host as f64 * 700.0;
        for turn in 0..=host % 4 {
            let said = Said { cookie: FIRST.cookie + host, ..FIRST };
            let ms = begin + turn as f64 * 1000.0;
            packets.push((ms, udp(client, at(SERVER)).payload(message(&said))));
            let back = Said { answer: 1, body: &noise(turn as u32, 90), next: 0, ..said };
            if host % 3 == 0 {
                packets.push((ms + 400.0, udp(at(SERVER), client).payload(message(&back))));
            }
        }
        if host % 5 == 0 {
            let from = at(&format!("10.20.0.{host}:50020"));
            for n in 1..5 {
                let payload = rtp(Rtp { ssrc: 7, payload_type: 0 }, n, &noise(9, 160));
                let ms = begin + 480.0 + f64::from(n) * 20.0;
                packets.push((ms, udp(from, at("10.0.1.31:49200")).payload(payload)));
            }
        }
    }
    packets
}

#[test]
fn negotiations_are_the_same_wherever_a_capture_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let packets = many();
    for format in ["json", "table", "markdown"] {
        let one = report(folder.path(), &packets, format, "1");
        for threads in ["2", "3", "7"] {
            let other = report(folder.path(), &packets, format, threads);
            assert!(other == one, "{format}, {threads} threads");
        }
        assert!(one.contains("soft-500ms"), "{one}");
    }
    let all = check(folder.path(), &packets, "json");
    let all = all["ipsec"]["negotiations"].as_array().unwrap().clone();
    assert_eq!(all.len(), 200);
    let mut outcomes = String::new();
    for one in all.iter().take(6) {
        let _ = write!(outcomes, "{} ", one["outcome"].as_str().unwrap());
    }
    assert_eq!(outcomes, "timeout timeout unfinished unanswered timeout unfinished ");
}
