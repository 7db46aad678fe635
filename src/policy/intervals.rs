//! Networks as disjoint intervals, so that the most specific one is found by one binary search.

use std::net::IpAddr;

use super::topology::Network;

/// Addresses of one family as numbers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    first: u128,
    last: u128,
    network: u32,
}

/// The network that an address belongs to, by its position.
pub(super) fn find(intervals: &[Interval], address: IpAddr) -> Option<u32> {
    let number = as_number(address);
    let after = intervals.partition_point(|interval| interval.first <= number);
    let interval = intervals.get(after.checked_sub(1)?)?;
    (number <= interval.last).then_some(interval.network)
}

fn as_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Disjoint intervals of one family in order, each with the most specific network that covers it. Prefixes
/// either nest or do not touch, so a stack of the open ones is enough.
pub(super) fn flatten(networks: &[Network], ipv6: bool) -> Vec<Interval> {
    let mut prefixes: Vec<Interval> = Vec::new();
    for (index, network) in networks.iter().enumerate() {
        let family = network.prefixes.iter().filter(|prefix| prefix.addr().is_ipv6() == ipv6);
        prefixes.extend(family.map(|prefix| Interval {
            first: as_number(prefix.network()),
            last: as_number(prefix.broadcast()),
            network: index as u32,
        }));
    }
    prefixes.sort_by(|a, b| (a.first, b.last, a.network).cmp(&(b.first, a.last, b.network)));
    let mut flat: Vec<Interval> = Vec::new();
    let mut open: Vec<Interval> = Vec::new();
    for prefix in prefixes {
        while let Some(top) = open.pop_if(|top| top.last < prefix.first) {
            close(top, &mut open, &mut flat);
        }
        if let Some(top) = open.last()
            && top.first < prefix.first
        {
            flat.push(Interval { last: prefix.first - 1, ..*top });
        }
        open.push(prefix);
    }
    while let Some(top) = open.pop() {
        close(top, &mut open, &mut flat);
    }
    flat
}

/// Ends the innermost open prefix: what is left of the one around it begins behind it.
fn close(top: Interval, open: &mut [Interval], flat: &mut Vec<Interval>) {
    if top.first <= top.last {
        flat.push(top);
    }
    if let Some(outer) = open.last_mut() {
        if let Some(next) = top.last.checked_add(1) {
            outer.first = outer.first.max(next);
        } else {
            // Nothing is behind the last address: the outer one is used up too.
            (outer.first, outer.last) = (u128::MAX, u128::MAX - 1);
        }
    }
}
