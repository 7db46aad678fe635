//! Reads the built-in packs as plain TOML and brings their rows into one spelling.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

/// The fields of a row by name. Absent fields are absent.
pub(super) type Fields = BTreeMap<String, String>;

/// The id and the fields that carry meaning, in one spelling: ports as ranges, transports sorted.
pub(super) fn fields(row: &Table) -> (String, Fields) {
    let mut fields = Fields::new();
    for (key, value) in row {
        match (key.as_str(), value) {
            ("id" | "purpose" | "note", _) => {}
            ("strict", Value::Table(over)) => {
                let (_, over) = self::fields(over);
                let over = over.into_iter().map(|(key, value)| (format!("strict.{key}"), value));
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
pub(super) fn port_text(ports: &str) -> String {
    if ports == "any" {
        return ports.into();
    }
    let base = pack("base");
    let mut ranges: Vec<(u16, u16, &str)> = ports
        .split(',')
        .map(|item| item.find('/').map_or((item, ""), |at| item.split_at(at)))
        .map(|(item, only)| {
            (base["ranges"].get(item).and_then(Value::as_str).unwrap_or(item), only)
        })
        .map(|(item, only)| (item.split_once('-').unwrap_or((item, item)), only))
        .map(|((first, last), only)| (first.parse().unwrap(), last.parse().unwrap(), only))
        .collect();
    ranges.sort_unstable();
    assert!(ranges.iter().all(|(first, last, _)| first <= last), "{ports}");
    let texts: Vec<String> =
        ranges.iter().map(|(first, last, only)| format!("{first}-{last}{only}")).collect();
    texts.join(",")
}

pub(super) fn transport_text(transport: &str) -> String {
    let mut parts: Vec<&str> = transport.split('+').collect();
    parts.sort_unstable();
    parts.join("+")
}

pub(super) fn pack(name: &str) -> Table {
    let (_, source) = PACKS.iter().find(|(of, _)| *of == name).unwrap();
    let table: Table = source.parse().unwrap();
    assert_eq!(table["pack"].as_str(), Some(name));
    table
}

pub(super) fn rows(pack: &Table) -> Vec<Table> {
    let rows = pack.get("row").and_then(Value::as_array).cloned().unwrap_or_default();
    rows.into_iter().map(|row| row.try_into().unwrap()).collect()
}

pub(super) fn names(pack: &Table, list: &str) -> BTreeSet<String> {
    let list = pack[list].as_array().unwrap();
    let names: BTreeSet<String> =
        list.iter().map(|item| item["name"].as_str().unwrap().into()).collect();
    assert_eq!(names.len(), list.len());
    names
}

pub(super) fn text(row: &Table, key: &str) -> String {
    row[key].as_str().unwrap().into()
}

/// The packs as they are built in.
pub(super) const PACKS: &[(&str, &str)] = &[
    ("base", include_str!("../../src/policy/packs/base.toml")),
    ("clients", include_str!("../../src/policy/packs/clients.toml")),
    ("edge", include_str!("../../src/policy/packs/edge.toml")),
    ("fabric", include_str!("../../src/policy/packs/fabric.toml")),
    ("infrastructure", include_str!("../../src/policy/packs/infrastructure.toml")),
    ("ipsec-exemptions", include_str!("../../src/policy/packs/ipsec-exemptions.toml")),
    ("load-balancers", include_str!("../../src/policy/packs/load-balancers.toml")),
    ("neighbours", include_str!("../../src/policy/packs/neighbours.toml")),
    ("servers", include_str!("../../src/policy/packs/servers.toml")),
    ("sql", include_str!("../../src/policy/packs/sql.toml")),
    ("web", include_str!("../../src/policy/packs/web.toml")),
];
