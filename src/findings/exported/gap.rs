//! Traffic that is secured and should not be, in words.

use std::net::Ipv4Addr;

use crate::decode::Transport;
use crate::policy::boxes::{self, Axis, Cell, EVERY, IPV4, IPV6, Span};
use crate::policy::exports::Profiles;

/// The most pieces that are shown of one row's gap.
pub const MAX_SHOWN: usize = 20;

/// One piece of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The transport's name, or `any`.
    pub transport: String,
    /// `out` of the host, `in`, or `both`.
    pub direction: &'static str,
    /// The host's addresses: one, a prefix, a range, `any`, `any IPv4` or `any IPv6`.
    pub local: String,
    /// The host's ports, or `any`.
    pub local_ports: String,
    /// The peer's addresses.
    pub remote: String,
    /// The peer's ports.
    pub remote_ports: String,
    /// The profiles of Windows it is secured in; empty for all.
    pub profiles: Vec<&'static str>,
}

/// A gap in few pieces, for people: with what rules of other rows happen to exempt of it, as that would cut it up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outline {
    /// The pieces, the first [`MAX_SHOWN`].
    pub pieces: Vec<Gap>,
    /// How much more there is.
    pub more: usize,
    /// Whether other rules exempt some of them.
    pub with_holes: bool,
}

/// The first pieces of a gap, and how many more there are.
pub(super) fn shown(cells: &[Cell], directed: bool) -> (Vec<Gap>, usize) {
    let simple = cells.iter().map(|cell| {
        // Whoever asks for IPv6 does not think of the addresses before those of IPv4 by themselves.
        let cell = [Axis::Local, Axis::Remote].into_iter().fold(*cell, |cell, axis| {
            if cell.on(axis) == IPV6[0] { cell.with(axis, IPV6[1]) } else { cell }
        });
        if directed { cell } else { cell.with(Axis::Direction, (0, 1)) }
    });
    let cells = boxes::join_cells(simple.collect());
    let shown = cells.iter().take(MAX_SHOWN).map(gap).collect();
    (shown, cells.len().saturating_sub(MAX_SHOWN))
}

fn gap(cell: &Cell) -> Gap {
    let (first, last) = cell.on(Axis::Profile);
    let profiles = (0u128..).zip(Profiles::NAMES);
    let profiles = profiles.filter(|(at, _)| (first..=last).contains(at)).map(|(_, name)| name);
    let profiles: Vec<&'static str> = profiles.collect();
    Gap {
        transport: match cell.on(Axis::Protocol) {
            (0, 255) => "any".to_owned(),
            (first, last) if first == last => transport(first),
            (first, last) => format!("{first}-{last}"),
        },
        direction: match cell.on(Axis::Direction) {
            (0, 0) => "out",
            (1, 1) => "in",
            _ => "both",
        },
        local: addresses(cell.on(Axis::Local)),
        local_ports: ports(cell.on(Axis::LocalPort)),
        remote: addresses(cell.on(Axis::Remote)),
        remote_ports: ports(cell.on(Axis::RemotePort)),
        profiles: if profiles.len() == Profiles::NAMES.len() { Vec::new() } else { profiles },
    }
}

fn transport(number: u128) -> String {
    u8::try_from(number).map_or_else(|_| number.to_string(), |number| Transport(number).to_string())
}

fn ports((first, last): Span) -> String {
    match (first, last) {
        (0, last) if last == u128::from(u16::MAX) => "any".to_owned(),
        _ if first == last => first.to_string(),
        _ => format!("{first}-{last}"),
    }
}

/// A range of addresses as short as it goes.
fn addresses(span: Span) -> String {
    if span == EVERY {
        return "any".to_owned();
    }
    if span == IPV4 {
        return "any IPv4".to_owned();
    }
    if span == IPV6[1] {
        return "any IPv6".to_owned();
    }
    let (first, last) = span;
    let [start, end] = [first, last].map(boxes::address);
    if first == last {
        return start.to_string();
    }
    let free = u128::BITS - (first ^ last).leading_zeros();
    let low = u128::MAX.checked_shr(u128::BITS - free).unwrap_or(0);
    if first & low == 0 && last & low == low {
        let bits = if start.is_ipv4() { Ipv4Addr::BITS } else { u128::BITS };
        return format!("{start}/{}", bits.saturating_sub(free));
    }
    format!("{start}-{end}")
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::policy::boxes::Space;

    fn told(first: &str, last: &str) -> String {
        let [first, last] = [first, last].map(|text| text.parse::<IpAddr>().unwrap());
        addresses(boxes::address_spans(first, last)[0])
    }

    #[test]
    fn addresses_are_as_short_as_they_go() {
        assert_eq!(told("10.0.0.0", "10.0.0.255"), "10.0.0.0/24");
        assert_eq!(told("10.0.0.1", "10.0.0.1"), "10.0.0.1");
        assert_eq!(told("10.0.0.1", "10.0.0.2"), "10.0.0.1-10.0.0.2");
        assert_eq!(told("0.0.0.0", "255.255.255.255"), "any IPv4");
        assert_eq!(told("fd00::", "fd00::ffff"), "fd00::/112");
        assert_eq!((addresses(EVERY), addresses(IPV6[1])), ("any".into(), "any IPv6".into()));
    }

    #[test]
    fn ipv6_is_one_piece_and_long_gaps_are_cut() {
        let any = Space::everything()
            .with(Axis::Remote, IPV6.to_vec())
            .with(Axis::Direction, vec![(1, 1)]);
        let (pieces, more) = shown(&any.cells(), false);
        assert_eq!((pieces.len(), more), (1, 0));
        assert_eq!((pieces[0].remote.as_str(), pieces[0].direction), ("any IPv6", "both"));
        assert_eq!(shown(&any.cells(), true).0[0].direction, "in");
        let odd: Vec<Span> = (0..50).map(|port| (2 * port, 2 * port)).collect();
        let (pieces, more) = shown(&any.with(Axis::LocalPort, odd).cells(), false);
        assert_eq!((pieces.len(), more), (MAX_SHOWN, 30));
    }
}
