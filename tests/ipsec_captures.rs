//! IPsec in real captures made by others: every security association and every pair of hosts that negotiate, as an
//! independent reading lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use portassay::decode::{Carriage, Decoded, Packet, Protector, Transport, decode};
use portassay::flow::{Flow, Limits, Side};
use portassay::identify::identify;
use portassay::identify::ike::message::{self, Message};
use portassay::input::savefile::Records;
use portassay::input::unpack::unpack;
use portassay::pipeline::intake::Duplicates;
use portassay::pipeline::read::{Progress, Reading, Survey, read};
use serde_json::Value;

use crate::captures::{captures, folder};

/// Associations that stay unseen: file, index, why.
const UNSEEN: &[(&str, u32, &str)] = &[(
    "the-tcpdump-group__tcpdump/esp_truncated.pcap",
    0xC0F7_D4C3,
    "the snaplen left four bytes of the datagram: an index, and no sequence number behind it",
)];

/// Associations that are open though the oracle says otherwise: file, index, why.
const OPEN: &[(&str, u32, &str)] = &[(
    "zeek__zeek/ip6_esp.pcap",
    0x17,
    "an echo request with a right checksum, the padding 1, 2, its length, 58, and no check value, where the oracle \
     looks for twelve bytes of one",
)];

/// Messages that are of no negotiation: file, how many, why.
const OF_NONE: &[(&str, u64, &str)] = &[(
    "the-tcpdump-group__tcpdump/ikev2four.pcap",
    1,
    "the last message has cookies that were agreed upon in an encrypted renewal, so that no setup of them was seen",
)];

/// A security association: sender, receiver, security parameters index.
type Sa = (IpAddr, IpAddr, u32);

/// How many packets of it were seen.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    opened: u64,
    hidden: u64,
}

impl Seen {
    fn packets(self) -> u64 {
        self.opened + self.hidden
    }
}

/// ESP by association and what carries it, and AH by association.
#[derive(Debug, Default)]
struct Associations {
    esp: BTreeMap<(Sa, &'static str), Seen>,
    ah: BTreeMap<Sa, Seen>,
}

impl Associations {
    fn of<'f>(flows: impl Iterator<Item = &'f Flow>) -> Self {
        let mut all = Self::default();
        for flow in flows {
            all.read(flow);
            all.hidden(flow);
        }
        all
    }

    /// What could be read is a flow of its own, and tells of the association around it.
    fn read(&mut self, flow: &Flow) {
        for (_, around) in flow.associations.iter().flat_map(|around| around.iter()) {
            let sa = (around.ends.0, around.ends.1, around.spi);
            let carrier = match around.carriage {
                Carriage::Ip => "ip",
                Carriage::Udp => "udp",
                Carriage::Tcp => "tcp",
            };
            match around.protocol {
                Protector::Ah => self.ah.entry(sa).or_default().opened += around.packets,
                _ => self.esp.entry((sa, carrier)).or_default().opened += around.packets,
            }
        }
    }

    /// What could not is a flow of the association, or shares one in UDP.
    fn hidden(&mut self, flow: &Flow) {
        let paces =
            flow.paces.iter().flat_map(|paces| [Side::A, Side::B].into_iter().zip(&**paces));
        for (sender, pace) in paces.filter(|(_, pace)| pace.packets > 0) {
            let [from, to] = [sender, sender.other()].map(|side| flow.ends[side.index()].address);
            let sa = (from, to, pace.spi().unwrap());
            match flow.transport {
                Transport::AH => self.ah.entry(sa).or_default().hidden += pace.packets,
                Transport::UDP => {
                    self.esp.entry((sa, "udp")).or_default().hidden += pace.packets;
                }
                _ => self.esp.entry((sa, "ip")).or_default().hidden += pace.packets,
            }
        }
    }
}

fn survey(path: &Path) -> Survey {
    let reading = Reading {
        captures: vec![path.to_path_buf()],
        filter: None,
        threads: 1,
        limits: Limits::default(),
        duplicates: Duplicates::Kept,
    };
    read(&reading, &Progress::default()).unwrap()
}

/// Every capture that shows IPsec, by name.
fn secured(folder: &Path) -> impl Iterator<Item = (String, std::path::PathBuf, Value)> {
    captures(folder).into_iter().filter(|(_, _, oracle)| oracle["ipsec"].is_object())
}

fn list<'v>(oracle: &'v Value, name: &str) -> Vec<&'v Value> {
    oracle[name].as_array().into_iter().flatten().collect()
}

fn address(value: &Value) -> IpAddr {
    value.as_str().unwrap().parse().unwrap()
}

fn sa(value: &Value) -> Sa {
    let spi = value["spi"].as_str().unwrap().strip_prefix("0x").unwrap();
    (address(&value["src"]), address(&value["dst"]), u32::from_str_radix(spi, 16).unwrap())
}

#[test]
fn every_association_has_its_packets_and_is_open_where_it_is_not_encrypted() {
    let Some(folder) = folder() else { return };
    let (mut esp, mut ah, mut open) = (0, 0, 0);
    for (name, path, oracle) in secured(&folder) {
        let flows: Vec<_> = survey(&path).table.into_flows().collect();
        let mut ours = Associations::of(flows.iter().map(|(flow, _)| flow));
        for there in list(&oracle["ipsec"], "esp") {
            let carrier = match there["carrier"].as_str().unwrap() {
                "ip" => "ip",
                "udp" => "udp",
                other => panic!("{name}: ESP carried by {other}"),
            };
            let seen = ours.esp.remove(&(sa(there), carrier)).unwrap_or_default();
            let packets = there["packets"].as_u64().unwrap();
            let unseen = UNSEEN.iter().any(|(file, spi, _)| *file == name && *spi == sa(there).2);
            assert_eq!(seen.packets(), if unseen { 0 } else { packets }, "{name}: {there}");
            esp += 1;
        }
        for there in list(&oracle["ipsec"], "ah") {
            let seen = ours.ah.remove(&sa(there)).unwrap_or_default();
            assert_eq!(seen.packets(), there["packets"].as_u64().unwrap(), "{name}: {there}");
            // What AH protects is open but where it is nothing with ports: routing, or compressed.
            let portless = ["89", "108"].map(|next| there["next"][next].as_u64().unwrap_or(0));
            assert_eq!(seen.hidden, portless.iter().sum::<u64>(), "{name}: {there}");
            ah += 1;
        }
        assert!(ours.esp.is_empty() && ours.ah.is_empty(), "{name}: only here: {ours:?}");
        let ours = Associations::of(flows.iter().map(|(flow, _)| flow));
        for there in list(&oracle["heuristic_pass"], "esp") {
            let carrier = if there["carrier"] == "ip" { "ip" } else { "udp" };
            let seen = ours.esp.get(&(sa(there), carrier)).copied().unwrap_or_default();
            // The oracle's guess is of single packets, so that a "no" may name a content too.
            let listed = OPEN.iter().any(|(file, spi, _)| *file == name && *spi == sa(there).2);
            match there["null_cipher"].as_str().unwrap() {
                "likely" => {
                    assert!(!listed, "no longer needed: {there}");
                    assert!(seen.opened * 2 > seen.packets(), "{name}: {there} {seen:?}");
                    open += 1;
                }
                "no" | "unknown" => {
                    let packets = if listed { seen.packets() } else { 0 };
                    assert_eq!(seen.opened, packets, "{name}: {there}");
                }
                other => panic!("{name}: {other}"),
            }
        }
    }
    eprintln!("{esp} associations of ESP, {open} of them open, and {ah} of AH compared");
    assert!(esp >= 22 && ah >= 10 && open >= 2, "{esp} of ESP, {open} open, {ah} of AH");
}

/// Two endpoints in the order of the oracle.
type Pair = [(IpAddr, u16); 2];

/// Messages by pair of endpoints, the lower one first.
fn messages(path: &Path) -> BTreeMap<Pair, Vec<Message>> {
    let file = Box::new(std::fs::File::open(path).unwrap());
    let mut records = Records::from_stream("ike", unpack(file).unwrap().stream).unwrap();
    let mut all: BTreeMap<Pair, Vec<Message>> = BTreeMap::new();
    while let Some(frame) = records.next() {
        let Decoded::Packet(packet) = decode(&frame) else { continue };
        let ends = ends(&packet);
        let on_its_port = ends.iter().any(|end| [500, 4500].contains(&end.1));
        if packet.transport != Transport::UDP || !on_its_port {
            continue;
        }
        if let Some(message) = message::read(packet.payload, packet.payload_len) {
            all.entry(ends).or_default().push(message);
        }
    }
    all
}

fn ends(packet: &Packet<'_>) -> Pair {
    let mut ends =
        [(packet.source, packet.source_port), (packet.destination, packet.destination_port)];
    ends.sort_unstable();
    ends
}

fn pair(there: &Value) -> Pair {
    let mut ends = ["a", "b"].map(|end| {
        (address(&there[end][0]), u16::try_from(there[end][1].as_u64().unwrap()).unwrap())
    });
    ends.sort_unstable();
    ends
}

/// How often each exchange type and version occurs, as the oracle writes it.
fn tally(messages: &[Message]) -> (BTreeMap<u64, u64>, BTreeMap<&'static str, u64>) {
    let (mut exchanges, mut versions) = (BTreeMap::new(), BTreeMap::new());
    for message in messages {
        *exchanges.entry(u64::from(message.exchange)).or_default() += 1;
        let version = if message.family.token() == "ikev2" { "2.0" } else { "1.0" };
        *versions.entry(version).or_default() += 1;
    }
    (exchanges, versions)
}

#[test]
fn everybody_who_negotiates_is_a_flow_of_ike_and_every_message_is_counted() {
    let Some(folder) = folder() else { return };
    let mut compared = 0;
    for (name, path, oracle) in secured(&folder) {
        let peers = list(&oracle["ipsec"], "ike");
        if peers.is_empty() {
            continue;
        }
        let read = messages(&path);
        let survey = survey(&path);
        let negotiations = survey.negotiations.negotiations();
        assert_eq!(survey.negotiations.left_out(), 0, "{name}");
        let flows: Vec<_> = survey.table.into_flows().collect();
        let mut by_hosts: BTreeMap<BTreeSet<IpAddr>, (u64, u64)> = BTreeMap::new();
        for there in peers {
            let ends = pair(there);
            let packets = there["packets"].as_u64().unwrap();
            let (exchanges, versions) = tally(&read[&ends]);
            let told = there["exchange"].as_object().unwrap().iter();
            let told: BTreeMap<u64, u64> = told
                .map(|(kind, count)| {
                    let number = kind.split(' ').next().unwrap().parse().unwrap();
                    (number, count.as_u64().unwrap())
                })
                .collect();
            assert_eq!(exchanges, told, "{name}: {there}");
            for (version, count) in there["versions"].as_object().unwrap() {
                assert_eq!(versions.get(version.as_str()), count.as_u64().as_ref(), "{name}");
            }
            let (flow, sample) = flows
                .iter()
                .find(|(flow, _)| {
                    let mut own = flow.ends.map(|end| (end.address, end.port));
                    own.sort_unstable();
                    flow.transport == Transport::UDP && own == ends
                })
                .unwrap_or_else(|| panic!("{name}: no flow of {there}"));
            assert!(identify(sample).claims("ike"), "{name}: {there}");
            // ESP, keep-alives and further fragments share the port behind a NAT.
            let shared = ends.iter().any(|end| end.1 == 4500);
            assert!(
                if shared { flow.packets() >= packets } else { flow.packets() == packets },
                "{name}: {} packets of {there}",
                flow.packets()
            );
            let hosts: BTreeSet<IpAddr> = ends.iter().map(|end| end.0).collect();
            by_hosts.entry(hosts).or_default().0 += packets;
            compared += 1;
        }
        for one in &negotiations {
            let hosts = BTreeSet::from([one.initiator, one.responder]);
            by_hosts.entry(hosts).or_default().1 += one.messages;
            let shown =
                read.iter().filter(|(ends, _)| ends.iter().any(|end| end.0 == one.initiator));
            let families: BTreeSet<_> = shown
                .flat_map(|(_, all)| all.iter().map(|message| message.family.token()))
                .collect();
            assert!(
                one.families.iter().all(|own| families.contains(own.token())),
                "{name}: {one:?}"
            );
        }
        let of_none = OF_NONE.iter().find(|none| none.0 == name).map_or(0, |none| none.1);
        for (hosts, (there, here)) in by_hosts {
            let there = there - of_none;
            assert_eq!(here, there, "{name}: messages of {hosts:?}: {negotiations:#?}");
        }
    }
    eprintln!("{compared} pairs of negotiating endpoints compared");
    assert!(compared >= 9, "only {compared} pairs");
}
