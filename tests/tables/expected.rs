//! Translates the lines of the normative tables into the fields that a policy row must have.
//!
//! What the tables leave open, or mean differently than they say, is settled by the constants at
//! the end of this file and nowhere else.

use std::collections::BTreeMap;

use super::packs::{Fields, port_text, transport_text};

pub(super) fn server_rows() -> BTreeMap<String, Fields> {
    let mut expected = BTreeMap::new();
    for line in lines(include_str!("server-ports.csv")) {
        let id = line["id"].clone();
        let mut row = common(&line);
        let (from, to) = direction(SERVER_DIRECTIONS, &id).unwrap_or(("any", &line["role"]));
        row.insert("from".into(), from.into());
        row.insert("to".into(), to.into());
        put(&mut row, "port", &port_text(&line["ports"]));
        put(&mut row, "service", &line["service"]);
        if id == "S41" {
            // The cells are blank in the table.
            row.insert("transport".into(), "tcp".into());
            row.insert("service".into(), "Office Web Apps Server".into());
        }
        if line["role"] == "persistent-chat-front-end" {
            row.insert("profile".into(), "2015".into());
        }
        if id == "S03" {
            // The purpose says it: TLS with clients, MTLS with servers.
            assert!(line["purpose"].contains("server to server (MTLS)"));
            row.insert("between_servers".into(), "mtls".into());
        }
        add_legacy(&mut row, &id);
        add_strict(&mut row, &id);
        expected.insert(id, row);
    }
    expected
}

pub(super) fn load_balancer_rows() -> BTreeMap<String, Fields> {
    let mut expected = BTreeMap::new();
    for line in lines(include_str!("load-balancer-ports.csv")) {
        let id = line["id"].clone();
        let mut row = common(&line);
        row.insert("from".into(), "any".into());
        row.insert("to".into(), "load-balancer".into());
        put(&mut row, "balances", &line["balances"]);
        put(&mut row, "port", &port_text(&line["ports"]));
        // The service is our wording of the two columns that name the pool.
        let pool = match line["balances"].as_str() {
            "front-end" => "Front End pool",
            "director" => "Director pool",
            "mediation" => "Mediation pool",
            "front-end+mediation" => "Front End pool with Mediation Servers on it",
            other => panic!("{id}: {other}"),
        };
        let mode = match line["mode"].as_str() {
            "hardware-only" => "hardware balancing",
            "with-dns" => "with DNS balancing",
            other => panic!("{id}: {other}"),
        };
        put(&mut row, "service", &format!("{pool}, {mode}"));
        if line["purpose"] == "from the reverse proxy" {
            row.insert("strict.from".into(), "reverse-proxy".into());
        }
        add_strict(&mut row, &id);
        expected.insert(id, row);
    }
    expected
}

pub(super) fn client_rows() -> BTreeMap<String, Fields> {
    let mut expected = BTreeMap::new();
    for line in lines(include_str!("client-ports.csv")) {
        let id = line["id"].clone();
        let mut row = common(&line);
        let (from, to) = direction(CLIENT_DIRECTIONS, &id).unwrap();
        row.insert("from".into(), from.into());
        row.insert("to".into(), to.into());
        row.insert(
            "service".into(),
            match line["role"].as_str() {
                "client" => "Client".into(),
                "phone" => "Phone".into(),
                other => panic!("{id}: {other}"),
            },
        );
        if line["ports"] == "67/68" {
            // A pair: from the client's 68 to the server's 67.
            row.insert("port".into(), "67-67".into());
            row.insert("from_port".into(), "68-68".into());
        } else {
            put(&mut row, "port", &port_text(line["ports"].trim_end_matches('*')));
        }
        if row.contains_key("media") {
            // So wide a range says nothing by itself.
            row.insert("content".into(), "required".into());
        }
        if id == "C06" {
            // The table's MTLS is the strict reading; clients sign in with TLS.
            assert_eq!(line["tls"], "mtls");
            row.insert("security".into(), "tls".into());
        }
        add_legacy(&mut row, &id);
        add_strict(&mut row, &id);
        expected.insert(id, row);
    }
    expected
}

pub(super) fn exemption_rows() -> BTreeMap<String, Fields> {
    let mut expected = BTreeMap::new();
    for line in lines(include_str!("ipsec-exemptions.csv")) {
        let id = line["id"].clone();
        assert_eq!(line["authentication"], "do not authenticate", "{id}");
        assert_eq!(line["destination_ports"], "any", "{id}");
        let (side, named) = match (line["source"].as_str(), line["destination"].as_str()) {
            ("any", "any") => ("any", "endpoints"),
            ("any", destination) => ("to", destination),
            (source, "any") => ("from", source),
            other => panic!("{id}: {other:?}"),
        };
        let range = if side == "any" { "specified media port range" } else { "any" };
        assert_eq!(line["source_ports"], range, "{id}");
        let role = match named {
            "front-end running conferencing-attendant" => "conferencing-attendant",
            // It runs on the Front End Server unless a host of its own is declared.
            "application-sharing" => "front-end+application-sharing",
            other => other,
        };
        let (_, ports, application) = MEDIA_PORTS
            .iter()
            .find(|(roles, ..)| *roles == role)
            .unwrap_or_else(|| panic!("{id}: {role}"));
        let mut row = Fields::new();
        put(&mut row, "name", &line["rule_name"]);
        put(&mut row, "role", role);
        put(&mut row, "side", side);
        put(&mut row, "transport", &transport_text(&line["transport"]));
        put(&mut row, "media_port", &port_text(ports));
        put(&mut row, "application", application);
        expected.insert(id, row);
    }
    expected
}

fn add_legacy(row: &mut Fields, id: &str) {
    for (ids, edition) in LEGACY {
        if ids.split(' ').any(|legacy| legacy == id) {
            row.insert("legacy".into(), (*edition).into());
        }
    }
}

/// The columns that mean the same in every table of ports.
fn common(line: &Fields) -> Fields {
    let mut row = Fields::new();
    put(&mut row, "transport", &transport_text(&line["transport"]));
    put(&mut row, "application", &line["application"]);
    let security = match line["tls"].as_str() {
        "" | "none" | "tls" | "mtls" | "tls-or-plain" => &line["tls"],
        // Either of the two agrees with TLS.
        "tls-or-mtls" => "tls",
        other => panic!("{}: {other}", line["id"]),
    };
    put(&mut row, "security", security);
    if line["application"].starts_with("media:") {
        row.insert("media".into(), "true".into());
    }
    row
}

fn add_strict(row: &mut Fields, id: &str) {
    for (_, key, value) in STRICT.iter().filter(|(of, ..)| *of == id) {
        row.insert(format!("strict.{key}"), (*value).into());
    }
}

fn direction(
    list: &[(&str, &'static str, &'static str)],
    id: &str,
) -> Option<(&'static str, &'static str)> {
    let found = list.iter().find(|(of, ..)| of.split(' ').any(|of| of == id));
    found.map(|(_, from, to)| (*from, *to))
}

fn put(row: &mut Fields, key: &str, value: &str) {
    if !value.is_empty() {
        row.insert(key.into(), value.into());
    }
}

fn lines(text: &str) -> Vec<Fields> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|line| line.unwrap()).collect()
}

/// Server rows that name a peer, or whose role uses the port instead of listening on it. All
/// others are open to anyone at the role of the table.
const SERVER_DIRECTIONS: &[(&str, &str, &str)] = &[
    ("S22 S47 S50", "front-end", "mediation"),
    ("S23 S24 S48 S49", "pstn-gateway", "mediation"),
    ("S25 S26", "mediation", "pstn-gateway"),
    ("S32", "front-end+mediation", "pstn-gateway"),
    ("S36", "front-end", "file-server"),
    ("S38", "front-end+cms", "all-internal-servers"),
];

/// Client rows mix ports of servers with the client's own.
const CLIENT_DIRECTIONS: &[(&str, &str, &str)] = &[
    ("C01", "client", "any"),
    ("C02", "endpoints", "access-edge"),
    ("C03", "endpoints", "web-conferencing-edge"),
    ("C04 C05", "endpoints", "av-edge-external+av-edge-internal"),
    ("C06", "endpoints", "front-end+director+sba+access-edge"),
    ("C07 C10", "endpoints", "client"),
    ("C08 C09 C11", "any", "endpoints"),
    ("C12", "phone", "any"),
];

/// The role side's ports for the media-only reading of the exemptions, and what runs there.
const MEDIA_PORTS: &[(&str, &str, &str)] = &[
    ("av-edge-internal", "443/tcp,3478/udp", "stun"),
    ("av-edge-external", "443/tcp,3478/udp,50000-59999", "stun"),
    ("mediation", "49152-57500", "media:audio"),
    ("conferencing-attendant", "49152-57500", "media:audio"),
    ("front-end", "49152-57500,57501-65535", "media:audio"),
    ("exchange-um", "1024-65535", "media:audio"),
    ("front-end+application-sharing", "49152-65535", "media:app-sharing"),
    ("endpoints", "1024-65535", ""),
];

/// Services that are left over from earlier editions, and from which edition on.
const LEGACY: &[(&str, &str)] = &[("S08 C07", "2015"), ("S17 S18", "2019")];

/// What the strict reading narrows.
const STRICT: &[(&str, &str, &str)] = &[
    ("S01", "from", "all-servers+management"),
    ("S02", "from", "trusted-application"),
    ("S04", "from", "front-end+director"),
    ("S04", "security", "tls"),
    ("S05", "from", "all-servers+management"),
    ("S14", "from", "reverse-proxy+front-end"),
    ("S15", "application", "psom"),
    ("S16", "application", "psom"),
    ("S22", "security", "mtls"),
    ("S38", "from", "cms"),
    ("S39", "from", "all-servers+management"),
    ("S40", "to", "audio-servers"),
    ("S42", "from", "trusted-application"),
    ("S43", "from", "front-end+director"),
    ("S43", "security", "tls"),
    ("S46", "security", "tls"),
    ("S46", "between_servers", "mtls"),
    ("S47", "security", "mtls"),
    ("H19", "security", "tls"),
    ("C01", "content", "required"),
    ("C06", "security", "mtls"),
    ("C06", "to", "front-end+director+sba"),
    ("C10", "content", "required"),
    ("C12", "content", "required"),
];
