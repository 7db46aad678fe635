//! Holds the built-in packs to the normative tables, row by row.
//!
//! `tables/*.csv` carries the facts of the vendor's page "Port and protocol requirements for
//! servers" (2018-02-15), one line a row. Each line is translated into the fields that its policy
//! row must have. What the tables leave open, or mean differently than they say, is settled in
//! `tables/expected.rs` and nowhere else: a port, transport, role, security or
//! direction that changes in a pack without changing here fails.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

mod expected;
mod packs;

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use expected::{client_rows, exemption_rows, load_balancer_rows, server_rows};
use packs::{Fields, PACKS, fields, names, pack, rows, text};

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
    let counts = [server_rows(), load_balancer_rows(), client_rows(), exemption_rows()]
        .map(|rows| rows.len());
    assert_eq!(counts, [53, 26, 12, 15]);
}

#[test]
fn a_changed_field_is_noticed() {
    let edits = [
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
        ("between_servers", "none"),
        ("legacy", "2010"),
        ("profile", "2010"),
    ];
    for (name, expected) in [
        ("servers", server_rows()),
        ("load-balancers", load_balancer_rows()),
        ("clients", client_rows()),
        ("ipsec-exemptions", exemption_rows()),
    ] {
        for row in rows(&pack(name)) {
            for (key, value) in edits {
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
        let ids: Vec<String> = rows(&pack(name)).iter().map(|row| text(row, "id")).collect();
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
            assert!(parties.contains(member.as_str().unwrap()), "{group}: {member}");
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
                let allowed =
                    ["from", "to", "security", "between_servers", "application", "content"];
                assert!(allowed.contains(&key), "{id}: strict.{key}");
            }
        }
    }
}

#[test]
fn each_row_is_one_line() {
    for (name, source) in PACKS {
        let lines = source.lines().filter(|line| line.starts_with("  { id = \"")).count();
        assert_eq!(lines, rows(&pack(name)).len(), "{name}");
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
        for key in keys.into_iter().filter(|key| wanted.get(*key) != row.get(*key)) {
            let (wanted, row) = (wanted.get(key), row.get(key));
            problems.push(format!("{id}: {key} is {row:?}, the table means {wanted:?}"));
        }
    }
    assert!(problems.is_empty(), "{name}:\n{}", problems.join("\n"));
}
