//! Holds the built-in packs to the normative tables, row by row.
//!
//! `tables/*.csv` carries the facts of the vendor's page "Port and protocol requirements for
//! servers" (2018-02-15), one line a row. Each line is translated into the fields that its policy
//! row must have. What the tables leave open, or mean differently than they say, is settled by the
//! constants at the end of this file and nowhere else: a port, transport, role, security or
//! direction that changes in a pack without changing here fails.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

/// The fields of a row by name, in one spelling. Absent fields are absent.
type Fields = BTreeMap<String, String>;

#[test]
fn every_server_row_is_the_table_s() {
    compare("servers", &server_rows());
}

#[test]
fn every_load_balancer_row_is_the_table_s() {
    compare("load-balancers", &load_balancer_rows());
}

#[test]
fn every_client_row_is_the_table_s() {
    compare("clients", &client_rows());
}

#[test]
fn every_exemption_is_the_table_s() {
    compare("ipsec-exemptions", &exemption_rows());
}

#[test]
fn all_106_rows_are_there() {
    let counts = [
        server_rows(),
        load_balancer_rows(),
        client_rows(),
        exemption_rows(),
    ]
    .map(|rows| rows.len());
    assert_eq!(counts, [53, 26, 12, 15]);
}

#[test]
fn a_changed_field_is_noticed() {
    let changes = [
        ("port", "1"),
        ("media_port", "1"),
        ("transport", "sctp"),
        ("from", "dns"),
        ("to", "dns"),
        ("role", "dns"),
        ("side", "none"),
        ("balances", "dns"),
        ("application", "ldap"),
        ("security", "unheard-of"),
        ("profile", "2010"),
    ];
    for (name, expected) in [
        ("servers", server_rows()),
        ("load-balancers", load_balancer_rows()),
        ("clients", client_rows()),
        ("ipsec-exemptions", exemption_rows()),
    ] {
        for row in rows(&pack(name)) {
            for (key, value) in changes {
                let mut changed = row.clone();
                changed.insert(key.into(), Value::String(value.into()));
                let (id, found) = fields(&changed);
                assert_ne!(Some(&found), expected.get(&id), "{id} with {key} = {value}");
            }
        }
    }
}

#[test]
fn configurable_ranges_go_by_their_names() {
    for (name, id, range) in [
        ("servers", "S10", "server-video"),
        ("servers", "S28", "app-sharing"),
        ("servers", "S40", "server-audio"),
        ("clients", "C08", "client-media"),
        ("clients", "C09", "client-media"),
        ("clients", "C10", "client-media"),
        ("clients", "C11", "client-media"),
        ("edge", "E11", "edge-media"),
    ] {
        let rows = rows(&pack(name));
        let row = rows.iter().find(|row| text(row, "id") == id).unwrap();
        assert_eq!(text(row, "port"), range, "{id}");
    }
}

#[test]
fn ids_are_unique_over_all_packs_and_sorted_within_one() {
    let mut seen = BTreeSet::new();
    for (name, _) in PACKS {
        let ids: Vec<String> = rows(&pack(name))
            .iter()
            .map(|row| text(row, "id"))
            .collect();
        assert!(ids.is_sorted(), "{name}: {ids:?}");
        for id in ids {
            assert!(seen.insert(id.clone()), "{id} of {name} is there twice");
        }
    }
    assert!(seen.len() > 106, "{}", seen.len());
}

#[test]
fn every_name_is_declared() {
    let base = pack("base");
    let mut parties = names(&base, "role");
    for (group, members) in base["groups"].as_table().unwrap() {
        for member in members.as_array().unwrap() {
            assert!(
                parties.contains(member.as_str().unwrap()),
                "{group}: {member}"
            );
        }
    }
    parties.extend(base["groups"].as_table().unwrap().keys().cloned());
    parties.insert("any".into());
    assert!(parties.len() < 64, "a role set has 64 bits");
    let applications = names(&base, "application");
    for (name, _) in PACKS {
        for (id, row) in rows(&pack(name)).iter().map(fields) {
            for (key, value) in &row {
                let key = key.rsplit('.').next().unwrap();
                match key {
                    "from" | "to" | "role" | "balances" => {
                        for party in value.split('+') {
                            assert!(parties.contains(party), "{id}: {key} = {party}");
                        }
                    }
                    "application" => assert!(applications.contains(value), "{id}: {value}"),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn only_what_may_differ_differs_in_the_strict_reading() {
    for (name, _) in PACKS {
        for (id, row) in rows(&pack(name)).iter().map(fields) {
            for key in row.keys().filter_map(|key| key.strip_prefix("strict.")) {
                let allowed = ["from", "to", "security", "application", "content"];
                assert!(allowed.contains(&key), "{id}: strict.{key}");
            }
        }
    }
}

#[test]
fn each_row_is_one_line() {
    for (name, source) in PACKS {
        let lines = source
            .lines()
            .filter(|line| line.starts_with("  { id = \""))
            .count();
        assert_eq!(lines, rows(&pack(name)).len(), "{name}");
    }
}

fn server_rows() -> BTreeMap<String, Fields> {
    let mut expected = BTreeMap::new();
    for line in lines(include_str!("tables/server-ports.csv")) {
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
        add_strict(&mut row, &id);
        expected.insert(id, row);
    }
    expected
}

fn load_balancer_rows() -> BTreeMap<String, Fields> {
    let mut expected = BTreeMap::new();
    for line in lines(include_str!("tables/load-balancer-ports.csv")) {
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

fn client_rows() -> BTreeMap<String, Fields> {
    let mut expected = BTreeMap::new();
    for line in lines(include_str!("tables/client-ports.csv")) {
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
            put(
                &mut row,
                "port",
                &port_text(line["ports"].trim_end_matches('*')),
            );
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
        add_strict(&mut row, &id);
        expected.insert(id, row);
    }
    expected
}

fn exemption_rows() -> BTreeMap<String, Fields> {
    let mut expected = BTreeMap::new();
    for line in lines(include_str!("tables/ipsec-exemptions.csv")) {
        let id = line["id"].clone();
        assert_eq!(line["authentication"], "do not authenticate", "{id}");
        assert_eq!(line["destination_ports"], "any", "{id}");
        let (side, named) = match (line["source"].as_str(), line["destination"].as_str()) {
            ("any", "any") => ("any", "endpoints"),
            ("any", destination) => ("to", destination),
            (source, "any") => ("from", source),
            other => panic!("{id}: {other:?}"),
        };
        let range = if side == "any" {
            "specified media port range"
        } else {
            "any"
        };
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
    let found = list
        .iter()
        .find(|(of, ..)| of.split(' ').any(|of| of == id));
    found.map(|(_, from, to)| (*from, *to))
}

fn put(row: &mut Fields, key: &str, value: &str) {
    if !value.is_empty() {
        row.insert(key.into(), value.into());
    }
}

/// Fails with every row that is missing, unknown or different.
fn compare(name: &str, expected: &BTreeMap<String, Fields>) {
    let found: BTreeMap<String, Fields> = rows(&pack(name)).iter().map(fields).collect();
    let ids: BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let mut problems = Vec::new();
    for id in ids {
        let (Some(wanted), Some(row)) = (expected.get(id), found.get(id)) else {
            problems.push(format!("{id}: only in one of table and pack"));
            continue;
        };
        let keys: BTreeSet<&String> = wanted.keys().chain(row.keys()).collect();
        for key in keys
            .into_iter()
            .filter(|key| wanted.get(*key) != row.get(*key))
        {
            let (wanted, row) = (wanted.get(key), row.get(key));
            problems.push(format!(
                "{id}: {key} is {row:?}, the table means {wanted:?}"
            ));
        }
    }
    assert!(problems.is_empty(), "{name}:\n{}", problems.join("\n"));
}

/// The id and the fields that carry meaning, in one spelling: ports as ranges, transports sorted.
fn fields(row: &Table) -> (String, Fields) {
    let mut fields = Fields::new();
    for (key, value) in row {
        match (key.as_str(), value) {
            ("id" | "purpose" | "note", _) => {}
            ("strict", Value::Table(over)) => {
                let (_, over) = self::fields(over);
                let over = over
                    .into_iter()
                    .map(|(key, value)| (format!("strict.{key}"), value));
                fields.extend(over);
            }
            ("port" | "from_port" | "media_port", Value::String(ports)) => {
                fields.insert(key.clone(), port_text(ports));
            }
            ("transport", Value::String(transport)) => {
                fields.insert(key.clone(), transport_text(transport));
            }
            (_, Value::String(text)) => {
                fields.insert(key.clone(), text.clone());
            }
            (_, Value::Boolean(flag)) => {
                fields.insert(key.clone(), flag.to_string());
            }
            (_, other) => panic!("{key}: {other}"),
        }
    }
    let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
    (id.to_owned(), fields)
}

/// Sorted inclusive ranges, with names looked up in the base pack.
fn port_text(ports: &str) -> String {
    if ports == "any" {
        return ports.into();
    }
    let base = pack("base");
    let mut ranges: Vec<(u16, u16)> = ports
        .split(',')
        .map(|item| {
            base["ranges"]
                .get(item)
                .and_then(Value::as_str)
                .unwrap_or(item)
        })
        .map(|item| item.split_once('-').unwrap_or((item, item)))
        .map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap()))
        .collect();
    ranges.sort_unstable();
    assert!(ranges.iter().all(|(first, last)| first <= last), "{ports}");
    let texts: Vec<String> = ranges
        .iter()
        .map(|(first, last)| format!("{first}-{last}"))
        .collect();
    texts.join(",")
}

fn transport_text(transport: &str) -> String {
    let mut parts: Vec<&str> = transport.split('+').collect();
    parts.sort_unstable();
    parts.join("+")
}

fn lines(text: &str) -> Vec<Fields> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(|line| line.unwrap()).collect()
}

fn pack(name: &str) -> Table {
    let (_, source) = PACKS.iter().find(|(of, _)| *of == name).unwrap();
    let table: Table = source.parse().unwrap();
    assert_eq!(table["pack"].as_str(), Some(name));
    table
}

fn rows(pack: &Table) -> Vec<Table> {
    let rows = pack
        .get("row")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    rows.into_iter()
        .map(|row| row.try_into().unwrap())
        .collect()
}

fn names(pack: &Table, list: &str) -> BTreeSet<String> {
    let list = pack[list].as_array().unwrap();
    let names: BTreeSet<String> = list
        .iter()
        .map(|item| item["name"].as_str().unwrap().into())
        .collect();
    assert_eq!(names.len(), list.len());
    names
}

fn text(row: &Table, key: &str) -> String {
    row[key].as_str().unwrap().into()
}

/// The packs as they are built in.
const PACKS: &[(&str, &str)] = &[
    ("base", include_str!("../src/policy/packs/base.toml")),
    ("clients", include_str!("../src/policy/packs/clients.toml")),
    ("edge", include_str!("../src/policy/packs/edge.toml")),
    ("fabric", include_str!("../src/policy/packs/fabric.toml")),
    (
        "infrastructure",
        include_str!("../src/policy/packs/infrastructure.toml"),
    ),
    (
        "ipsec-exemptions",
        include_str!("../src/policy/packs/ipsec-exemptions.toml"),
    ),
    (
        "load-balancers",
        include_str!("../src/policy/packs/load-balancers.toml"),
    ),
    (
        "neighbours",
        include_str!("../src/policy/packs/neighbours.toml"),
    ),
    ("servers", include_str!("../src/policy/packs/servers.toml")),
    ("sql", include_str!("../src/policy/packs/sql.toml")),
    ("web", include_str!("../src/policy/packs/web.toml")),
];

/// Server rows that name a peer, or whose role uses the port instead of listening on it. All
/// others are open to anyone at the role of the table.
const SERVER_DIRECTIONS: &[(&str, &str, &str)] = &[
    ("S22 S47 S50", "front-end+load-balancer", "mediation"),
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
    ("av-edge-internal", "443,3478", "stun"),
    ("av-edge-external", "443,3478,50000-59999", "stun"),
    ("mediation", "49152-57500", "media:audio"),
    ("conferencing-attendant", "49152-57500", "media:audio"),
    ("front-end", "49152-57500,57501-65535", "media:audio"),
    ("exchange-um", "1024-65535", "media:audio"),
    (
        "front-end+application-sharing",
        "49152-65535",
        "media:app-sharing",
    ),
    ("endpoints", "1024-65535", ""),
];

/// What the strict reading narrows.
const STRICT: &[(&str, &str, &str)] = &[
    ("S01", "from", "all-servers+management"),
    ("S02", "from", "trusted-application"),
    ("S04", "from", "front-end+director+load-balancer"),
    ("S04", "security", "tls"),
    ("S05", "from", "all-servers+management+load-balancer"),
    ("S14", "from", "reverse-proxy+load-balancer+front-end"),
    ("S15", "application", "psom"),
    ("S16", "application", "psom"),
    ("S22", "security", "mtls"),
    ("S38", "from", "cms"),
    ("S39", "from", "all-servers+management"),
    ("S40", "to", "audio-servers"),
    ("S42", "from", "trusted-application"),
    ("S43", "from", "front-end+director+load-balancer"),
    ("S43", "security", "tls"),
    ("S46", "security", "tls"),
    ("S47", "security", "mtls"),
    ("H19", "security", "tls"),
    ("C01", "content", "required"),
    ("C06", "security", "mtls"),
    ("C06", "to", "front-end+director+sba"),
    ("C10", "content", "required"),
    ("C12", "content", "required"),
];
