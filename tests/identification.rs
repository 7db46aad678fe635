//! What flows speak, by content, beside what another reader says: every conversation of the captures
//! agrees, or it is listed here with the reason.
//!
//! The other reader asks ports first. Where it reads otherwise when it asks content first, that counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use portassay::flow::sample::Sample;
use portassay::flow::{Flow, Limits};
use portassay::identify::{Confidence, DETECTORS, identify};
use portassay::pipeline::intake::Duplicates;
use portassay::pipeline::read::{Progress, Reading, read};
use serde_json::Value;

use super::captures::{captures, folder};

/// The other reader's names, and what they are here. Names that are not listed (what certificates hold,
/// say) are no protocols of their own.
const NAMES: &[(&str, &str)] = &[
    ("cldap", "ldap"),
    ("classicstun", "stun"),
    ("cotp", "rdp"),
    ("dcerpc", "dcerpc"),
    ("dhcp", "dhcp"),
    ("dhcpv6", "dhcpv6"),
    ("dns", "dns"),
    ("dtls", "dtls"),
    ("ftp", "ftp"),
    ("gquic", "quic"),
    ("http", "http"),
    ("http2", "http"),
    ("imap", "imap"),
    ("isakmp", "ike"),
    ("kerberos", "kerberos"),
    ("ldap", "ldap"),
    ("llmnr", "llmnr"),
    ("mdns", "mdns"),
    ("nbdgm", "netbios-dgm"),
    ("nbns", "netbios-ns"),
    ("ntp", "ntp"),
    ("pop", "pop3"),
    ("quic", "quic"),
    ("rdp", "rdp"),
    ("rtcp", "rtcp"),
    ("rtp", "rtp"),
    ("sip", "sip"),
    ("smb", "smb"),
    ("smb2", "smb"),
    ("smtp", "smtp"),
    ("snmp", "snmp"),
    ("ssdp", "ssdp"),
    ("ssh", "ssh"),
    ("stun", "stun"),
    ("syslog", "syslog"),
    ("tds", "tds"),
    ("teredo", "teredo"),
    ("tls", "tls"),
    ("turnchannel", "stun"),
    ("websocket", "websocket"),
    ("xmpp", "xmpp"),
];

/// Disagreements that stay: capture, conversation, why.
const DISAGREEMENTS: &[(&str, &str, &str)] = &[
    (
        "ntop__nDPI/capwap.pcap",
        "udp 192.168.10.9:5246 192.168.10.10:12379",
        "records of DTLS behind four bytes of CAPWAP (RFC 5415, 4.2): the datagrams are CAPWAP's",
    ),
    (
        "ntop__nDPI/capwap.pcap",
        "udp 192.168.10.9:5246 192.168.10.10:12380",
        "records of DTLS behind four bytes of CAPWAP (RFC 5415, 4.2): the datagrams are CAPWAP's",
    ),
    (
        "ntop__nDPI/openvpn_nohmac_tcp.pcapng",
        "tcp 10.181.235.122:39772 10.251.71.30:1194",
        "OpenVPN: its control packets hold the records of TLS, which the connection does not speak",
    ),
    (
        "zeek__zeek/ipv4__fragmented-1.pcap",
        "udp 164.1.123.61:137 164.1.123.163:123",
        "fragments of a made up datagram: ten bytes of zero in the first, or the letter X",
    ),
    (
        "zeek__zeek/ssh__ssh-on-port-80.pcap",
        "tcp 172.16.238.1:49656 172.16.238.131:80",
        "both sides open with a version line of SSH; the other reader believes the port",
    ),
];

/// Protocols that are claimed with high confidence here alone: capture, conversation, protocol, why.
const ONLY_HERE: &[(&str, &str, &str, &str)] = &[
    (
        "SIPp__sipp/dtmf_2833_1.pcap",
        "udp 192.168.0.1:10000 192.168.0.3:49176",
        "rtp",
        "telephone events of one source; the other reader wants signalling first",
    ),
    (
        "SIPp__sipp/g711a.pcap",
        "udp 10.1.3.143:5000 10.1.6.18:2006",
        "rtp",
        "G.711 of one source; the other reader wants signalling first",
    ),
    (
        "ntop__nDPI/rtp.pcapng",
        "tcp 172.16.168.24:40252 172.16.168.64:5000",
        "rtp",
        "G.711 behind the lengths of RFC 4571, a step of 1 from segment to segment",
    ),
    (
        "ntop__nDPI/rtp.pcapng",
        "udp 10.140.67.167:55402 148.153.85.97:6008",
        "rtp",
        "steps of 1 and a clock that moves, of one source, behind a datagram that opens the way",
    ),
    (
        "ntop__nDPI/rtp.pcapng",
        "udp 10.204.220.71:6000 10.204.220.171:6000",
        "rtp",
        "video: steps of 1, with a marker at the end of each picture",
    ),
    (
        "ntop__nDPI/rtp.pcapng",
        "udp 150.219.118.19:54234 192.113.193.227:50003",
        "rtp",
        "a source of type 120 with header extensions (RFC 8285), behind a discovery of addresses",
    ),
    (
        "ntop__nDPI/stun_classic.pcap",
        "udp 172.16.63.21:13958 172.16.63.224:55050",
        "rtp",
        "media both ways behind one check of classic STUN, after which the other reader looks no more",
    ),
    (
        "ntop__nDPI/stun_msteams_unidir.pcapng",
        "udp 10.0.0.1:50006 52.115.136.55:3479",
        "rtcp",
        "encrypted reports of the types 200 and 201 among the checks",
    ),
    (
        "zeek__zeek/ssh__ssh-on-port-80.pcap",
        "tcp 172.16.238.1:49656 172.16.238.131:80",
        "ssh",
        "both sides open with a version line of SSH",
    ),
    (
        "zeek__zeek/tunnels__Teredo.pcap",
        "udp 83.170.1.38:32900 192.168.2.16:3797",
        "teredo",
        "frames 29 and 32 are an IPv6 header with nothing behind it, to an address of Teredo's",
    ),
];

type End = (IpAddr, u16);
type Conversation = (String, End, End);

/// What is known of one conversation.
#[derive(Debug, Default)]
struct Both {
    theirs: BTreeSet<String>,
    /// All that the other reader found, by its own names.
    raw: BTreeSet<String>,
    /// What is claimed here, and how surely.
    ours: BTreeMap<String, Option<Confidence>>,
    /// Whether any payload byte was captured.
    payload: bool,
}

#[test]
fn protocols_agree_with_another_reader() {
    let Some(folder) = folder() else { return };
    let mut table: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut wrong = String::new();
    let mut unused: BTreeSet<String> =
        DISAGREEMENTS.iter().map(|(name, label, _)| format!("{name} {label}")).collect();
    unused.extend(ONLY_HERE.iter().map(|(name, label, ours, _)| format!("{name} {label} {ours}")));
    for (name, path, oracle) in captures(&folder) {
        for (conversation, both) in compare(&path, &oracle) {
            if both.theirs.is_empty() && both.ours.is_empty() {
                continue;
            }
            let theirs = joined(both.theirs.iter().map(String::as_str));
            let ours = joined(both.ours.keys().map(String::as_str));
            *table.entry((theirs, ours)).or_default() += 1;
            let label = format!("{name} {}", label(&conversation));
            let listed = DISAGREEMENTS.iter().any(|(n, l, _)| label == format!("{n} {l}"));
            let explained = listed && unused.remove(&label);
            if !both.agree() && !explained {
                let _ = writeln!(wrong, "{label}: {both:?}");
            }
            for protocol in both.only_here() {
                let claim = format!("{label} {protocol}");
                if !unused.remove(&claim) {
                    let _ = writeln!(wrong, "{claim}: only here; {:?}", both.raw);
                }
            }
        }
    }
    let table = rendered(&table);
    println!("{table}");
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(unused.is_empty(), "listed, but agreeing: {unused:?}");
    documented(&table);
}

impl Both {
    /// Whether the two have a protocol in common, or there is nothing to compare.
    fn agree(&self) -> bool {
        let common = self.ours.keys().any(|protocol| self.theirs.contains(protocol));
        self.theirs.is_empty() || common || (self.ours.is_empty() && !self.payload)
    }

    /// What is claimed with high confidence here alone.
    fn only_here(&self) -> impl Iterator<Item = &String> {
        self.ours
            .iter()
            .filter(|(protocol, sure)| {
                **sure == Some(Confidence::High) && !self.theirs.contains(*protocol)
            })
            .map(|(protocol, _)| protocol)
    }
}

fn rendered(table: &BTreeMap<(String, String), u64>) -> String {
    let mut all = "| tshark | here | conversations |\n|---|---|---|\n".to_owned();
    for ((theirs, ours), count) in table {
        let _ = writeln!(all, "| {theirs} | {ours} | {count} |");
    }
    all
}

/// The table stands in the documentation, and is written anew with `PORTASSAY_BLESS=1`.
fn documented(table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/identification.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the table");
    let (shown, after) = rest.split_once(END).expect("the table ends");
    if std::env::var_os("PORTASSAY_BLESS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
        return;
    }
    assert!(shown == table, "docs/identification.md has another table; set PORTASSAY_BLESS=1");
}

const BEGIN: &str = "<!-- beside another reader -->\n";
const END: &str = "<!-- end of the comparison -->";

#[test]
fn certificates_of_clients_agree_with_another_reader() {
    let Some(folder) = folder() else { return };
    let mut compared = 0;
    let mut wrong = String::new();
    for (name, path, oracle) in captures(&folder) {
        let told: BTreeMap<Conversation, &Value> = oracle["conversations"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|told| told["tls"].is_object())
            .map(|told| (conversation(told), told))
            .collect();
        if told.is_empty() {
            continue;
        }
        for (flow, sample) in survey(&path) {
            let Some(told) = told.get(&key(&flow)) else { continue };
            let identification = identify(&sample);
            if identification.protocol != Some("tls") {
                continue;
            }
            compared += 1;
            let facts = &identification.facts;
            let certificate = facts.get("client_certificate");
            let chosen = facts.get("tls_version");
            let seen = told["tls"]["client_certificate"] == true;
            let label = format!("{name} {}", label(&key(&flow)));
            let agrees = match chosen {
                Some("1.3") => certificate == Some("not-observable"),
                _ => seen == (certificate == Some("seen")),
            };
            if !agrees {
                let _ = writeln!(wrong, "{label}: {certificate:?} of {chosen:?}, {}", told["tls"]);
            }
            if let (Some(chosen), Some(theirs)) = (chosen, version(&told["detail"]))
                && chosen != theirs
            {
                let _ = writeln!(wrong, "{label}: version {chosen}, there {theirs}");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(compared >= 10, "{compared} connections of TLS compared");
}

/// The version that the hellos of a connection agree on, as the other reader counts them: that of the
/// fixed field, unless all of them name 1.3 in the extension.
fn version(detail: &Value) -> Option<&'static str> {
    let count = |counted: &Value, number: &str| counted[number].as_u64().unwrap_or_default();
    let fixed = detail["tls_hello_version"].as_object()?;
    let hellos: u64 = fixed.values().filter_map(Value::as_u64).sum();
    if count(&detail["tls_supported"], "0x0304") > hellos / 2 {
        return Some("1.3");
    }
    let mut numbers = fixed.keys();
    let (Some(number), None) = (numbers.next(), numbers.next()) else { return None };
    match number.as_str() {
        "0x0301" => Some("1.0"),
        "0x0302" => Some("1.1"),
        "0x0303" => Some("1.2"),
        _ => None,
    }
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(" + ") }
}

/// Both readings of every conversation that has ports.
fn compare(path: &Path, oracle: &Value) -> BTreeMap<Conversation, Both> {
    let mut all: BTreeMap<Conversation, Both> = BTreeMap::new();
    let conversations = oracle["conversations"].as_array().map(Vec::as_slice).unwrap_or_default();
    for told in conversations {
        let names = names(&told["protocols"]);
        let both = all.entry(conversation(told)).or_default();
        both.raw.extend(names.iter().filter(|name| !is_carrier(name)).cloned());
        both.theirs.extend(names.iter().filter_map(|name| ours(name)));
    }
    for told in
        oracle["content_first_pass"]["conversations_changed"].as_array().into_iter().flatten()
    {
        let both = all.entry(conversation(told)).or_default();
        both.theirs.extend(names(&told["protocols"]).iter().filter_map(|name| ours(name)));
    }
    for (flow, sample) in survey(path) {
        // What is inside a tunnel that the other reader does not open has no counterpart.
        let Some(both) = all.get_mut(&key(&flow)) else { continue };
        let identification = identify(&sample);
        both.payload |= identification.payload_seen;
        let sure = identification.confidence;
        let also = identification.also.iter().copied();
        for protocol in identification.protocol.into_iter().chain(also) {
            let known = both.ours.entry(protocol.to_owned()).or_default();
            *known = sure.max(*known);
        }
    }
    all
}

/// Every flow of a capture with its sample.
fn survey(path: &Path) -> impl Iterator<Item = (Flow, Sample)> {
    let reading = Reading {
        captures: vec![path.to_path_buf()],
        filter: None,
        threads: 1,
        limits: Limits::default(),
        duplicates: Duplicates::Kept,
    };
    read(&reading, &Progress::default()).unwrap().table.into_flows()
}

fn key(flow: &Flow) -> Conversation {
    ordered(flow.transport.to_string(), flow.ends.map(|end| (end.address, end.port)))
}

/// The names that a reading gives, whether they are counted or listed.
fn names(told: &Value) -> Vec<String> {
    match told {
        Value::Object(counted) => counted.keys().cloned().collect(),
        Value::Array(listed) => {
            listed.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

fn ours(name: &str) -> Option<String> {
    NAMES.iter().find(|(theirs, _)| *theirs == name).map(|(_, ours)| (*ours).to_owned())
}

/// Whether a name only says how something is carried.
fn is_carrier(name: &str) -> bool {
    matches!(name, "eth" | "ip" | "ipv6" | "data" | "vxlan" | "geneve" | "gtp" | "mpls" | "capwap")
}

fn conversation(told: &Value) -> Conversation {
    let end = |name: &str| -> End {
        let end = &told[name];
        let address = end[0].as_str().unwrap().parse().unwrap();
        (address, end[1].as_u64().unwrap() as u16)
    };
    ordered(told["transport"].as_str().unwrap().to_owned(), [end("a"), end("b")])
}

fn ordered(transport: String, [a, b]: [End; 2]) -> Conversation {
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    (transport, a, b)
}

fn label((transport, a, b): &Conversation) -> String {
    format!("{transport} {}:{} {}:{}", a.0, a.1, b.0, b.1)
}

#[test]
fn the_names_are_those_of_detectors() {
    for (_, ours) in NAMES {
        let known = DETECTORS.iter().any(|detector| detector.token == *ours);
        assert!(known, "{ours}");
    }
}
