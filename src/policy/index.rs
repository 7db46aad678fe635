//! Finds the rows that name a port without walking all of them.
//!
//! One table per transport: every port leads to a bucket of row positions. Buckets are shared, so
//! that a table costs two bytes a port.

use std::collections::{BTreeMap, BTreeSet};

use super::ports::PortSet;
use crate::decode::Transport;

/// Rows by transport and port.
#[derive(Debug, Default)]
pub struct Index {
    with_ports: Vec<(u8, PortTable)>,
    without: BTreeMap<u8, Vec<u32>>,
}

/// What the index keeps of a row.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The row's position.
    pub row: u32,
    /// IP protocol numbers; empty means any.
    pub transports: &'a [u8],
    /// The responder's ports.
    pub ports: &'a PortSet,
}

/// Transports whose header begins with ports.
const PORTED: [Transport; 3] = [Transport::TCP, Transport::UDP, Transport::SCTP];

impl Index {
    /// Builds the tables.
    pub fn new(entries: &[Entry]) -> Self {
        let mut index = Self::default();
        for transport in PORTED {
            let of_transport = |entry: &&Entry| {
                entry.transports.is_empty() || entry.transports.contains(&transport.0)
            };
            let rows = entries.iter().filter(of_transport);
            index.with_ports.push((transport.0, PortTable::new(rows)));
        }
        for number in 0..=u8::MAX {
            if Transport(number).has_ports() {
                continue;
            }
            let rows: Vec<u32> = entries
                .iter()
                .filter(|entry| entry.transports.is_empty() || entry.transports.contains(&number))
                .map(|entry| entry.row)
                .collect();
            if !rows.is_empty() {
                index.without.insert(number, rows);
            }
        }
        index
    }

    /// Rows that name the port (ignored for transports without ports), in order.
    pub fn rows(&self, transport: Transport, port: u16) -> &[u32] {
        self.with_ports
            .iter()
            .find(|(number, _)| *number == transport.0)
            .map(|(_, table)| table.rows(port))
            .or_else(|| self.without.get(&transport.0).map(Vec::as_slice))
            .unwrap_or_default()
    }
}

#[derive(Debug)]
struct PortTable {
    /// Bucket by port; every port has one.
    bucket_of: Vec<u16>,
    buckets: Vec<Vec<u32>>,
}

impl PortTable {
    fn new<'a>(entries: impl Iterator<Item = &'a Entry<'a>>) -> Self {
        // What begins and what ends before each port where anything changes.
        let mut changes: BTreeMap<u32, (Vec<u32>, Vec<u32>)> = BTreeMap::new();
        for entry in entries {
            for (first, last) in entry.ports.ranges() {
                changes.entry(u32::from(*first)).or_default().0.push(entry.row);
                changes.entry(u32::from(*last) + 1).or_default().1.push(entry.row);
            }
        }
        let mut table = Self { bucket_of: Vec::with_capacity(PORTS), buckets: vec![Vec::new()] };
        let mut known: BTreeMap<Vec<u32>, u16> = BTreeMap::from([(Vec::new(), 0)]);
        let mut active: BTreeSet<u32> = BTreeSet::new();
        let mut bucket = 0;
        for (port, (begin, end)) in changes {
            table.bucket_of.resize((port as usize).min(PORTS), bucket);
            for row in end {
                active.remove(&row);
            }
            active.extend(begin);
            let rows: Vec<u32> = active.iter().copied().collect();
            bucket = *known.entry(rows).or_insert_with_key(|rows| {
                table.buckets.push(rows.clone());
                (table.buckets.len() - 1) as u16
            });
        }
        table.bucket_of.resize(PORTS, bucket);
        table
    }

    fn rows(&self, port: u16) -> &[u32] {
        self.bucket_of
            .get(usize::from(port))
            .and_then(|bucket| self.buckets.get(usize::from(*bucket)))
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

const PORTS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_leads_to_exactly_the_rows_that_hold_it() {
        let sets = [
            PortSet::new([(5061, 5061)]),
            PortSet::new([(49_152, 65_535)]),
            PortSet::new([(0, 10), (5000, 6000)]),
            PortSet::any(),
            PortSet::default(),
        ];
        let transports: [&[u8]; 5] = [&[6], &[6, 17], &[17], &[], &[1, 50]];
        let entries: Vec<Entry> = sets
            .iter()
            .zip(transports)
            .enumerate()
            .map(|(row, (ports, transports))| Entry { row: row as u32, transports, ports })
            .collect();
        let index = Index::new(&entries);
        for transport in PORTED {
            for port in 0..=u16::MAX {
                let expected: Vec<u32> = entries
                    .iter()
                    .filter(|entry| {
                        (entry.transports.is_empty() || entry.transports.contains(&transport.0))
                            && entry.ports.contains(port)
                    })
                    .map(|entry| entry.row)
                    .collect();
                assert_eq!(index.rows(transport, port), expected, "{transport} {port}");
            }
        }
        assert_eq!(index.rows(Transport::ESP, 0), [3, 4]);
        assert_eq!(index.rows(Transport::AH, 9), [3]);
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        let index = Index::new(&[]);
        assert!(index.rows(Transport::TCP, 443).is_empty());
        assert!(index.rows(Transport::ICMP, 0).is_empty());
        assert!(Index::default().rows(Transport::TCP, 443).is_empty());
    }
}
