//! Real captures made by others, each with an independent reading beside it: packets and bytes per
//! direction and 5-tuple must be equal, or the difference is listed here with its reason.
//!
//! The folder is named by `PORTASSAY_CAPTURES` and defaults to `../shared/captures`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use portassay::decode::{Carriage, Decoded, Protector, Stop, Transport, fragments, general};
use portassay::flow::sample::Sample;
use portassay::flow::{Flow, FlowTable, Limits};
use portassay::identify;
use portassay::input::savefile::Records;
use portassay::input::unpack::unpack;
use portassay::pipeline::intake::Duplicates;
use portassay::pipeline::read::{Progress, Reading, Survey, read};
use serde_json::Value;

/// Tunnels in UDP by the oracle's names. A conversation between a tunnel's ends is not expected here:
/// its frames belong to the conversations inside, or to the reason why there is none.
const TUNNELS: &[&str] = &["capwap.data", "geneve", "gtp", "mpls", "teredo", "vxlan"];

/// What stays a conversation between a tunnel's ends: file, conversation, packets from the lower end
/// and back, why.
const STAYS_OUTSIDE: &[(&str, &str, [u64; 2], &str)] = &[
    (
        "zeek__zeek/tunnels__Teredo.pcap",
        "udp 65.55.158.80:3544 192.168.2.16:3797",
        [1, 0],
        "frame 31 is a bubble: an IPv6 header with nothing behind it, which only opens the NAT",
    ),
    ("ntop__nDPI/capwap.pcap", "udp 192.168.10.9:5247 192.168.10.10:12380", [3, 159], NO_PACKET),
    (
        "zeek__zeek/tunnels__vxlan.pcap",
        "udp 192.168.56.11:39924 192.168.56.12:4789",
        [1, 0],
        NO_PACKET,
    ),
    (
        "zeek__zeek/tunnels__vxlan.pcap",
        "udp 192.168.56.11:4789 192.168.56.12:40908",
        [0, 1],
        NO_PACKET,
    ),
];

/// ARP, or frames of a radio that hold no data.
const NO_PACKET: &str = "what is no packet inside leaves the datagram around it to be seen";

/// Differences that stay: file, conversations, why.
const EXCEPTIONS: &[(&str, &[&str], &str)] = &[
    (
        "corelight__zeek-spicy-ipsec/ipsec_client.pcap",
        &["udp 144.76.154.114:4500 192.168.0.10:4500"],
        FRAGMENTS,
    ),
    (
        "ntop__nDPI/dns_fragmented.pcap",
        &[
            "udp 74.125.47.136:59330 193.24.227.238:53",
            "udp 172.217.40.76:56680 193.24.227.238:53",
            "udp 173.194.169.104:59464 193.24.227.238:53",
            "udp 193.24.227.238:53 194.247.5.6:51791",
            "udp 2001:470:1f0b:16b0:20c:29ff:fe7c:a4cb:55729 2001:470:765b::a25:53:53",
            "udp 2001:470:765b::a25:53:53 2a00:1450:4013:c03::10a:46433",
            "udp 2001:470:765b::a25:53:53 2a00:1450:4013:c06::105:63369",
        ],
        FRAGMENTS,
    ),
    ("zeek__zeek/ipv4__fragmented-1.pcap", &["udp 164.1.123.61:137 164.1.123.163:123"], FRAGMENTS),
    (
        "zeek__zeek/ipv6-fragmented-dns.pcap",
        &["udp 2001:470:1f11:81f:d138:5f55:6d4:1fe2:51851 2607:f740:b::f93:53"],
        FRAGMENTS,
    ),
    (
        "zeek__zeek/tunnels__gtp__gtp1_gn_normal_incl_fragmentation.pcap",
        &["tcp 10.131.47.185:1923 79.101.110.141:80"],
        FRAGMENTS,
    ),
    (
        "the-tcpdump-group__libpcap/filter__AH-IPcomp-IPv4.pcap",
        &["tcp 50.0.1.1:1026 150.0.1.1:80"],
        "the oracle inflates IPComp and finds TCP inside; here those packets are AH with IPComp",
    ),
];

/// The oracle counts a reassembled datagram as one packet as long as the frame that completed it; here
/// every frame is counted to the flow of its datagram, with its own length.
const FRAGMENTS: &str = "every fragment is counted, not only the one that completes the datagram";

/// Captures on purpose not read, with the words that must stand in the error.
const REFUSED: &[(&str, &str)] = &[
    ("ajbanjara__Wireshark/BitTorrent.Transfer1.cap", "Network Monitor"),
    ("the-tcpdump-group__libpcap/linktype-reserved-field-not-zero.pcap", "must be zero"),
    ("the-tcpdump-group__libpcap/pcap-invalid-version-1.pcap", "version 1.4"),
    ("the-tcpdump-group__libpcap/pcapng-invalid-vers-1.pcapng", "version 0.1"),
    ("the-tcpdump-group__libpcap/shb-option-too-long.pcapng", "ends with"),
];

type End = (IpAddr, u16);
/// Packets and bytes from the lower end to the higher one and back.
type Conversations = BTreeMap<(String, End, End), [(u64, u64); 2]>;

pub(crate) fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("PORTASSAY_CAPTURES").map(PathBuf::from);
    let folder =
        named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"));
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: no captures at {}; set PORTASSAY_CAPTURES", folder.display());
    None
}

/// Captures with their oracles, sorted by path.
pub(crate) fn captures(folder: &Path) -> Vec<(String, PathBuf, Value)> {
    let mut found = Vec::new();
    for group in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if !group.is_dir() {
            continue;
        }
        for path in std::fs::read_dir(&group).unwrap().map(|entry| entry.unwrap().path()) {
            let oracle = PathBuf::from(format!("{}.oracle.json", path.display()));
            if !oracle.is_file() {
                continue;
            }
            let text = std::fs::read_to_string(oracle).unwrap();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.push((name, path, serde_json::from_str(&text).unwrap()));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    assert!(found.len() > 100, "only {} captures in {}", found.len(), folder.display());
    found
}

fn survey(path: &Path, threads: usize) -> Survey {
    let reading = Reading {
        captures: vec![path.to_path_buf()],
        filter: None,
        threads,
        limits: Limits::default(),
        // tshark counts copies as packets.
        duplicates: Duplicates::Kept,
    };
    read(&reading, &Progress::default()).unwrap()
}

fn ours(survey: Survey) -> Conversations {
    let mut out = Conversations::new();
    for (flow, _) in survey.table.into_flows() {
        if !flow.transport.has_ports() {
            continue;
        }
        let [a, b] = flow.ends.map(|end| (end.address, end.port));
        let [ab, ba] = flow.counters.map(|c| (c.packets, c.bytes));
        add(&mut out, &flow.transport.to_string(), (a, b), [ab, ba]);
    }
    out
}

fn add(out: &mut Conversations, transport: &str, (a, b): (End, End), [ab, ba]: [(u64, u64); 2]) {
    let (key, counts) = if a <= b {
        ((transport.to_owned(), a, b), [ab, ba])
    } else {
        ((transport.to_owned(), b, a), [ba, ab])
    };
    let total = out.entry(key).or_default();
    for (total, counted) in total.iter_mut().zip(counts) {
        total.0 += counted.0;
        total.1 += counted.1;
    }
}

/// The oracle's conversations: those that are expected, and those between the ends of tunnels.
fn theirs(oracle: &Value) -> (Conversations, Conversations) {
    let (mut inner, mut outer) = (Conversations::new(), Conversations::new());
    for conversation in oracle["conversations"].as_array().into_iter().flatten() {
        let end = |value: &Value| -> End {
            (value[0].as_str().unwrap().parse().unwrap(), value[1].as_u64().unwrap() as u16)
        };
        let pair = |value: &Value| [value[0].as_u64().unwrap(), value[1].as_u64().unwrap()];
        let [packets, bytes] = [pair(&conversation["packets"]), pair(&conversation["bytes"])];
        let inside = conversation["protocols"].as_object().unwrap();
        let tunnel = TUNNELS.iter().any(|name| inside.contains_key(*name));
        add(
            if tunnel { &mut outer } else { &mut inner },
            conversation["transport"].as_str().unwrap(),
            (end(&conversation["a"]), end(&conversation["b"])),
            [(packets[0], bytes[0]), (packets[1], bytes[1])],
        );
    }
    (inner, outer)
}

fn label((transport, a, b): &(String, End, End)) -> String {
    format!("{transport} {}:{} {}:{}", a.0, a.1, b.0, b.1)
}

fn exception(name: &str, label: &str) -> Option<(&'static str, &'static str)> {
    let (file, labels, _) = EXCEPTIONS.iter().find(|(file, _, _)| *file == name)?;
    labels.iter().find(|listed| **listed == label).map(|listed| (*file, *listed))
}

#[test]
fn conversations_equal_the_independent_reading() {
    let Some(folder) = folder() else { return };
    let mut wrong = Vec::new();
    let mut excused: BTreeSet<(&str, &str)> = BTreeSet::new();
    let (mut compared, mut tunnels) = (0, 0);
    for (name, path, oracle) in captures(&folder) {
        let survey = survey(&path, 1);
        if let Some((_, words)) = REFUSED.iter().find(|(file, _)| *file == name) {
            let said = survey.errors.first().map(ToString::to_string).unwrap_or_default();
            assert!(said.contains(words), "{name}: should be refused with '{words}': {said}");
            continue;
        }
        if let Some(error) = survey.errors.first() {
            wrong.push(format!("{name}: {error}"));
            continue;
        }
        let ours = ours(survey);
        let (theirs, between_ends) = theirs(&oracle);
        for key in between_ends.keys() {
            tunnels += 1;
            let label = label(key);
            let stays = STAYS_OUTSIDE.iter().find(|stays| (stays.0, stays.1) == (&name, &label));
            let stays = stays.map_or([0, 0], |stays| stays.2);
            let found = ours.get(key).map_or([0, 0], |counts| counts.map(|count| count.0));
            if found != stays {
                wrong.push(format!("{name}: {label}: {found:?} packets outside, not {stays:?}"));
            }
        }
        for (key, counts) in &theirs {
            compared += 1;
            let label = label(key);
            let found = ours.get(key);
            if found == Some(counts) {
                continue;
            }
            match exception(&name, &label) {
                Some(listed) => {
                    excused.insert(listed);
                }
                None => wrong.push(format!("{name}: {label}: {counts:?} there, {found:?} here")),
            }
        }
        let known = |key| theirs.contains_key(key) || between_ends.contains_key(key);
        for key in ours.keys().filter(|key| !known(*key)) {
            let label = label(key);
            match exception(&name, &label) {
                Some(listed) => {
                    excused.insert(listed);
                }
                None => wrong.push(format!("{name}: {label}: only here")),
            }
        }
    }
    eprintln!("{compared} conversations compared; {tunnels} tunnels opened");
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
    for (file, labels, why) in EXCEPTIONS {
        for label in *labels {
            let needed = excused.contains(&(*file, *label));
            assert!(needed, "no longer needed: {file} {label} ({why})");
        }
    }
    assert!(compared > 2000 && tunnels > 10);
}

#[test]
fn frames_are_counted_exactly_once_at_any_thread_count() {
    let Some(folder) = folder() else { return };
    for (name, path, oracle) in captures(&folder) {
        let one = survey(&path, 1);
        let Some(counts) = one.captures.first() else {
            continue;
        };
        let damaged = oracle["container"]["damage"].is_string() || counts.damage.is_some();
        if let Some(frames) = oracle["record_counts"]["container"].as_u64().filter(|_| !damaged) {
            assert_eq!(counts.tally.frames, frames, "{name}: frames");
        }
        let described = format!("{:?}", one.captures);
        let flows = one.table.into_flows().collect::<Vec<_>>();
        for threads in [2, 7] {
            let many = survey(&path, threads);
            assert_eq!(format!("{:?}", many.captures), described, "{name}: {threads} threads");
            assert_eq!(
                many.table.into_flows().collect::<Vec<_>>(),
                flows,
                "{name}: {threads} threads"
            );
        }
    }
}

/// The flows of a capture by the plain way: frame after frame, header after header, without batches,
/// parts and threads.
fn plain(path: &Path) -> Vec<(Flow, Sample)> {
    let stream = Box::new(File::open(path).unwrap());
    let unpacked = unpack(stream).unwrap();
    let mut records = Records::from_stream("plain", unpacked.stream).unwrap();
    let mut table = FlowTable::new(Limits::default()).tasting(identify::TASTE);
    while let Some(frame) = records.next() {
        match general(&frame) {
            Decoded::Packet(packet) if packet.first_fragment => {
                table.observe_first(0, &packet, &fragments(&frame));
            }
            Decoded::Packet(packet) => table.observe(0, &packet),
            Decoded::Stopped(Stop::Fragment) => {
                table.observe_later(0, &frame, &fragments(&frame));
            }
            Decoded::Stopped(_) => {}
        }
    }
    let _ = table.finish_fragments();
    table.into_flows().collect()
}

#[test]
fn the_fast_way_gives_the_flows_of_the_plain_way() {
    let Some(folder) = folder() else { return };
    for (name, path, _) in captures(&folder) {
        let fast = survey(&path, 2);
        if fast.captures.is_empty() {
            continue;
        }
        let fast: Vec<_> = fast.table.into_flows().collect();
        assert!(fast == plain(&path), "{name}");
    }
}

#[test]
fn security_associations_are_counted() {
    let Some(folder) = folder() else { return };
    let mut compared = 0;
    for (name, path, oracle) in captures(&folder) {
        let flows = survey(&path, 1).table.into_flows().collect::<Vec<_>>();
        for flow in oracle["ip_flows"].as_array().into_iter().flatten() {
            let (a, b) = (flow["a"].as_str().unwrap(), flow["b"].as_str().unwrap());
            let (a, b): (IpAddr, IpAddr) = (a.parse().unwrap(), b.parse().unwrap());
            let wanted = match flow["proto"].as_str().unwrap() {
                "esp" => Transport::ESP,
                _ => continue,
            };
            // What could be read of ESP is a flow of its own, and tells of the ESP around it.
            let sum = |from: IpAddr, to: IpAddr| -> u64 {
                let sealed = |f: &Flow| {
                    let ends = (f.ends[0].address, f.ends[1].address);
                    if f.transport == wanted && ends == (from, to) { f.packets() } else { 0 }
                };
                let read = |f: &Flow| -> u64 {
                    let around = f.associations.iter().flat_map(|around| around.iter());
                    let esp = around.filter(|(_, a)| matches!(a.protocol, Protector::Esp(_)));
                    let here =
                        esp.filter(|(_, a)| a.ends == (from, to) && a.carriage == Carriage::Ip);
                    here.map(|(_, a)| a.packets).sum()
                };
                flows.iter().map(|(f, _)| sealed(f) + read(f)).sum()
            };
            let there =
                [flow["packets"][0].as_u64().unwrap(), flow["packets"][1].as_u64().unwrap()];
            assert_eq!([sum(a, b), sum(b, a)], there, "{name}: {wanted} {a} {b}");
            compared += 1;
        }
    }
    assert!(compared > 10, "only {compared} ESP pairs compared");
}

/// Captures with fragments: datagrams, complete ones, overlapping ones, frames without a flow, and a
/// frame that shows why the oracle's numbers are others.
const FRAGMENTED: &[(&str, [u64; 4], u64)] = &[
    ("corelight__zeek-spicy-ipsec/ipsec_client.pcap", [3, 3, 0, 0], 3),
    ("ntop__nDPI/dns_fragmented.pcap", [7, 7, 0, 0], 2),
    // A datagram whose pieces overlap: an attack on old receivers.
    ("zeek__zeek/ipv4__fragmented-1.pcap", [1, 0, 1, 0], 1),
    // The first fragment of one datagram is missing.
    ("zeek__zeek/ipv6-fragmented-dns.pcap", [2, 1, 0, 1], 6),
    ("zeek__zeek/tunnels__gtp__gtp1_gn_normal_incl_fragmentation.pcap", [40, 36, 0, 0], 4),
];

#[test]
fn every_fragment_is_counted_to_the_flow_of_its_datagram() {
    let Some(folder) = folder() else { return };
    for (name, [datagrams, complete, overlapping, strays], shown) in FRAGMENTED {
        let path = folder.join(name);
        let file = Box::new(File::open(&path).unwrap());
        let mut records = Records::from_stream(name, file).unwrap();
        for _ in 1..*shown {
            records.next().unwrap();
        }
        assert!(!fragments(&records.next().unwrap()).as_slice().is_empty(), "{name}: {shown}");
        let survey = survey(&path, 1);
        let seen = &survey.fragments;
        assert_eq!(
            [seen.datagrams, seen.complete, seen.overlapping],
            [*datagrams, *complete, *overlapping],
            "{name}"
        );
        let capture = &survey.captures[0];
        let undecoded: u64 = capture.undecoded.values().sum();
        let stray = capture.undecoded.get(&Stop::Fragment).copied().unwrap_or_default();
        assert_eq!(stray, *strays, "{name}");
        let counted: u64 = survey.table.into_flows().map(|(flow, _)| flow.packets()).sum();
        assert_eq!(counted + undecoded, capture.tally.frames, "{name}");
    }
}
