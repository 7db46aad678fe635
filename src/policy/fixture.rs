//! A small policy and site for the tests of this room, and flows to judge by it.

use std::net::IpAddr;

use super::{ExpectationId, Layer, Learned, Policy, Profile, Verdict};
use crate::decode::Transport;
use crate::flow::{Counters, DirectionBy, Endpoint, Flow, FrameRef, TcpSeen};
use crate::identify::{Confidence, Identification};
use crate::input::Timestamp;

pub(super) const BASE: &str = r#"
pack = "base"
[[role]]
name = "front-end"
[[role]]
name = "mediation"
[[role]]
name = "load-balancer"
kind = "device"
[[role]]
name = "pstn-gateway"
kind = "device"
[[role]]
name = "sql"
[[role]]
name = "domain-controller"
[[role]]
name = "client"
kind = "endpoint"
[groups]
internal-servers = ["front-end", "mediation"]
[[application]]
name = "sip"
speaks = ["sip"]
[[application]]
name = "https"
speaks = ["http"]
[[application]]
name = "tds"
speaks = ["tds"]
[[application]]
name = "dns"
speaks = ["dns"]
[[application]]
name = "dcerpc"
speaks = ["dcerpc"]
[[application]]
name = "media:audio"
media = true
answers = false
[ranges]
server-audio = "49152-57500"
client-media = "1024-65535"
rpc-dynamic = "49152-65535"
"#;

pub(super) const SERVERS: &str = r#"
pack = "servers"
row = [
  { id = "S02", to = "front-end", transport = "tcp", port = "5060", application = "sip", security = "none" },
  { id = "S03", from = "any", to = "front-end", transport = "tcp", port = "5061", application = "sip", security = "tls", between_servers = "mtls" },
  { id = "S04", to = "front-end", transport = "tcp", port = "444", application = "https", security = "tls-or-plain" },
  { id = "S06", to = "front-end", transport = "tcp", port = "5062", application = "sip" },
  { id = "S12", to = "front-end", transport = "tcp", port = "443", application = "https", security = "tls" },
  { id = "S15", to = "front-end", transport = "tcp", port = "8060", security = "mtls" },
  { id = "S19", to = "front-end", transport = "tcp", port = "443", application = "https", security = "tls" },
  { id = "S21", to = "front-end", transport = "tcp", port = "5072", application = "sip" },
  { id = "S25", from = "internal-servers", to = "pstn-gateway", transport = "tcp", port = "5081", application = "sip", strict = { from = "mediation" } },
  { id = "S40", to = "internal-servers", transport = "tcp+udp", port = "server-audio", application = "media:audio", media = true },
  { id = "Q01", from = "front-end", to = "sql", transport = "tcp", port = "1433", application = "tds" },
  { id = "L01", to = "internal-servers", transport = "tcp", port = "50001-50003", security = "mtls" },
  { id = "C08", to = "client", transport = "tcp+udp", port = "client-media", application = "media:audio", media = true, content = "required" },
  { id = "P15", to = "front-end", transport = "tcp", port = "5269", profile = "2015" },
]
"#;

pub(super) const BALANCERS: &str = r#"
pack = "load-balancers"
row = [
  { id = "H01", to = "load-balancer", balances = "front-end", transport = "tcp", port = "5061", application = "sip", security = "tls" },
  { id = "H08", to = "load-balancer", balances = "front-end", transport = "tcp", port = "5072" },
  { id = "H15", to = "load-balancer", balances = "mediation", transport = "tcp", port = "5070" },
]
"#;

pub(super) const INFRASTRUCTURE: &str = r#"
pack = "infrastructure"
kind = "infrastructure"
row = [
  { id = "I01", to = "domain-controller", transport = "tcp+udp", port = "53", application = "dns", relax = true },
  { id = "I04", to = "sql", transport = "tcp", port = "9999", application = "dns" },
  { id = "I15", transport = "tcp", port = "rpc-dynamic", application = "dcerpc", content = "required", announced = true },
  { id = "I30", transport = "udp", port = "5355", application = "dns" },
  { id = "I60", transport = "icmp" },
]
"#;

pub(super) const EXEMPTIONS: &str = r#"
pack = "exemptions"
kind = "exemptions"
row = [
  { id = "X05", name = "Mediation Server Inbound", role = "mediation", side = "to", transport = "tcp+udp", media_port = "server-audio" },
  { id = "X06", name = "Mediation Server Outbound", role = "mediation", side = "from", transport = "tcp+udp", media_port = "server-audio" },
  { id = "X15", name = "Clients", role = "client", side = "any", transport = "udp", media_port = "client-media" },
]
"#;

pub(super) const SITE: &str = r#"
[[host]]
name = "fe01"
addresses = ["10.0.1.11", "fd00::11"]
roles = ["front-end"]
aliases = ["fe01.example.com"]
[[host]]
name = "med01"
addresses = ["10.0.1.12"]
roles = ["mediation"]
[[host]]
name = "lb01"
addresses = ["10.0.1.5"]
roles = ["load-balancer"]
balances = "front-end"
[[host]]
name = "gw01"
addresses = ["10.0.3.1"]
roles = ["pstn-gateway"]
[[host]]
name = "sql01"
addresses = ["10.0.1.20"]
roles = ["sql"]
[[network]]
name = "users"
prefixes = ["10.0.20.0/22"]
roles = ["client"]
"#;

/// The layers of the fixture.
pub(super) fn layers() -> Vec<Layer> {
    [BASE, SERVERS, BALANCERS, INFRASTRUCTURE, EXEMPTIONS]
        .iter()
        .map(|text| Layer::builtin("fixture.toml", text))
        .collect()
}

/// The fixture's policy for a site.
pub(super) fn policy(site: &str) -> Policy {
    read(site, &[], false).unwrap_or_else(|error| panic!("{error}"))
}

/// The fixture's policy in the strict reading.
pub(super) fn strict(site: &str) -> Policy {
    read(site, &[], true).unwrap_or_else(|error| panic!("{error}"))
}

/// The fixture's policy with further layers.
pub(super) fn read(site: &str, more: &[&str], strict: bool) -> crate::error::Result<Policy> {
    let mut layers = layers();
    layers.extend(more.iter().map(|text| Layer::named("site.toml", text)));
    let site = Layer::named("topology.toml", site);
    Policy::compile(&layers, Some(&site), Profile::Sfb2019, strict)
}

/// A flow written as `tcp 10.0.20.5:50000 -> 10.0.1.11:5061`; both sides sent something.
pub(super) fn flow(text: &str) -> Flow {
    let (left, to) = text.split_once(" -> ").unwrap();
    let (transport, from) = left.split_once(' ').unwrap();
    let transport = match transport {
        "tcp" => Transport::TCP,
        "udp" => Transport::UDP,
        "sctp" => Transport::SCTP,
        "icmp" => Transport::ICMP,
        _ => Transport::ESP,
    };
    let end = |text: &str| {
        let socket: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { address: socket.ip(), port: socket.port() }
    };
    let one = Counters { packets: 1, bytes: 100 };
    let frame = FrameRef { capture: 0, frame: 1 };
    Flow {
        transport,
        ends: [end(from), end(to)],
        spi: None,
        counters: [one, one],
        first: Timestamp::default(),
        last: Timestamp::default(),
        first_frame: frame,
        tcp: [TcpSeen::default(); 2],
        wrapping: None,
        associations: None,
        paces: None,
        icmp: None,
        acknowledged: Default::default(),
        direction: DirectionBy::Unknown,
    }
}

/// A protocol identified with high confidence; the empty name is payload that nobody knows.
pub(super) fn speaks(protocol: &'static str) -> Identification {
    let known = !protocol.is_empty();
    Identification {
        protocol: known.then_some(protocol),
        confidence: known.then_some(Confidence::High),
        payload_seen: known,
        ..Identification::default()
    }
}

/// TLS whose handshake tells this of the client's certificate.
pub(super) fn tls(client_certificate: &'static str) -> Identification {
    let mut tls = speaks("tls");
    tls.facts.set("client_certificate", client_certificate);
    tls
}

/// The verdict on a flow with a protocol.
pub(super) fn judge(policy: &Policy, text: &str, protocol: &'static str) -> Verdict {
    policy.judge(&flow(text), &speaks(protocol), &Learned::default())
}

/// A row's id.
pub(super) fn id(policy: &Policy, row: Option<ExpectationId>) -> &str {
    row.map_or("-", |row| policy.expectation(row).id.as_str())
}

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
