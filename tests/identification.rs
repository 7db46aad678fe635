//! What flows speak, by content, beside what another reader says: every conversation of the captures
//! agrees, or it is listed here with the reason.
//!
//! The other reader asks ports first. Where it reads otherwise when it asks content first, that counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;

use portassay::flow::Limits;
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
    ("msnms", "msnms"),
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
    ("tls", "tls"),
    ("turnchannel", "stun"),
    ("websocket", "websocket"),
    ("xmpp", "xmpp"),
];

/// Disagreements that stay: capture, conversation, why.
const DISAGREEMENTS: &[(&str, &str, &str)] = &[];

type End = (IpAddr, u16);
type Conversation = (String, End, End);

/// What is known of one conversation.
#[derive(Debug, Default)]
struct Both {
    theirs: BTreeSet<String>,
    /// All that the other reader found, by its own names.
    raw: BTreeSet<String>,
    ours: BTreeSet<(String, Option<Confidence>)>,
    /// Whether any payload byte was captured.
    payload: bool,
}

#[test]
fn protocols_agree_with_another_reader() {
    let Some(folder) = folder() else { return };
    let mut table: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut wrong = String::new();
    let mut unused: BTreeSet<(&str, &str)> =
        DISAGREEMENTS.iter().map(|(name, label, _)| (*name, *label)).collect();
    for (name, path, oracle) in captures(&folder) {
        for (conversation, both) in compare(&path, &oracle) {
            let theirs = joined(both.theirs.iter().map(String::as_str));
            let ours = joined(both.ours.iter().map(|(protocol, _)| protocol.as_str()));
            let named: BTreeSet<_> =
                both.ours.iter().map(|(protocol, _)| protocol.clone()).collect();
            if both.theirs.is_empty() && named.is_empty() {
                continue;
            }
            *table.entry((theirs.clone(), ours.clone())).or_default() += 1;
            let agrees = if both.theirs.is_empty() {
                // The other reader found nothing of the list: only sureness would be an error.
                both.ours.iter().all(|(_, sure)| *sure < Some(Confidence::High))
                    || both.raw.is_empty()
            } else {
                !both.theirs.is_disjoint(&named) || (named.is_empty() && !both.payload)
            };
            let label = label(&conversation);
            let listed = DISAGREEMENTS.iter().find(|(n, l, _)| *n == name && *l == label);
            if let Some((n, l, _)) = listed {
                unused.remove(&(*n, *l));
            }
            if !agrees && listed.is_none() {
                let raw = joined(both.raw.iter().map(String::as_str));
                let _ = writeln!(wrong, "{name} {label}: {theirs} ({raw}), here {:?}", both.ours);
            }
        }
    }
    print_table(&table);
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(unused.is_empty(), "listed, but agreeing: {unused:?}");
}

fn print_table(table: &BTreeMap<(String, String), u64>) {
    println!("| tshark | here | conversations |");
    println!("|---|---|---|");
    for ((theirs, ours), count) in table {
        println!("| {theirs} | {ours} | {count} |");
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
    let reading = Reading {
        captures: vec![path.to_path_buf()],
        filter: None,
        threads: 1,
        limits: Limits::default(),
        duplicates: Duplicates::Kept,
    };
    let survey = read(&reading, &Progress::default()).unwrap();
    for (flow, sample) in survey.table.into_flows() {
        let ends = flow.ends.map(|end| (end.address, end.port));
        let key = ordered(flow.transport.to_string(), ends);
        // What is inside a tunnel that the other reader does not open has no counterpart.
        let Some(both) = all.get_mut(&key) else { continue };
        let identification = identify(&sample);
        both.payload |= identification.payload_seen;
        let sure = identification.confidence;
        let also = identification.also.iter().copied();
        for protocol in identification.protocol.into_iter().chain(also) {
            both.ours.insert((protocol.to_owned(), sure));
        }
    }
    all
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
        assert!(known || *ours == "msnms", "{ours}");
    }
}
