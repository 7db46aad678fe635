//! Traffic as boxes: what a rule covers and what a row asks are sets of addresses, ports and protocols, and
//! comparing the two is arithmetic on intervals.
//!
//! Addresses of both families lie on one line: IPv4 stands where IPv6 writes it (`::ffff:0:0/96`, RFC 4291,
//! section 2.5.5.2), so that no IPv4 range ever meets an IPv6 one.

use std::net::{IpAddr, Ipv6Addr};

use super::PortSet;

/// Numbers from the first to the last, both included.
pub type Span = (u128, u128);

/// What traffic is described by, as one host sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Axis {
    /// 0 is out of the host, 1 into it.
    Direction,
    /// The network's profile: 0 domain, 1 private, 2 public.
    Profile,
    /// The IP protocol number.
    Protocol,
    /// The host's own address.
    Local,
    /// The peer's address.
    Remote,
    /// The host's own port.
    LocalPort,
    /// The peer's port.
    RemotePort,
}

/// How many axes there are.
const AXES: usize = 7;

impl Axis {
    /// Every axis.
    pub const ALL: [Self; AXES] = [
        Self::Direction,
        Self::Profile,
        Self::Protocol,
        Self::Local,
        Self::Remote,
        Self::LocalPort,
        Self::RemotePort,
    ];
}

/// A box: one interval on every axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell([Span; AXES]);

impl Cell {
    /// The interval on an axis.
    pub fn on(&self, axis: Axis) -> Span {
        self.0[axis as usize]
    }

    /// The same box with another interval on an axis.
    #[must_use]
    pub fn with(mut self, axis: Axis, span: Span) -> Self {
        self.0[axis as usize] = span;
        self
    }

    /// What is in both.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let mut common = *self;
        for (mine, theirs) in common.0.iter_mut().zip(other.0) {
            *mine = (mine.0.max(theirs.0), mine.1.min(theirs.1));
            if mine.0 > mine.1 {
                return None;
            }
        }
        Some(common)
    }

    /// Appends what is in this box and not in the other: at most two boxes for each axis, none meeting another.
    pub fn minus(self, other: &Self, out: &mut Vec<Self>) {
        let Some(common) = self.meet(other) else {
            out.push(self);
            return;
        };
        let mut rest = self;
        for axis in Axis::ALL {
            let ((low, high), (first, last)) = (rest.on(axis), common.on(axis));
            if low < first {
                out.push(rest.with(axis, (low, first - 1)));
            }
            if last < high {
                out.push(rest.with(axis, (last + 1, high)));
            }
            rest = rest.with(axis, (first, last));
        }
    }

    /// Both as one box, where one holds the other, or where they differ on one axis only and leave no room
    /// between them there.
    fn joined(&self, other: &Self) -> Option<Self> {
        match self.meet(other) {
            Some(common) if common == *self => return Some(*other),
            Some(common) if common == *other => return Some(*self),
            _ => {}
        }
        let mut differing = Axis::ALL.into_iter().filter(|axis| self.on(*axis) != other.on(*axis));
        let Some(axis) = differing.next() else { return Some(*self) };
        let ((a, b), (c, d)) = (self.on(axis), other.on(axis));
        let touching = a.max(c) <= b.min(d).saturating_add(1);
        (differing.next().is_none() && touching).then(|| self.with(axis, (a.min(c), b.max(d))))
    }
}

/// Boxes with neighbours joined, sorted. Long lists are only sorted: joining compares each with each.
pub fn join_cells(mut cells: Vec<Cell>) -> Vec<Cell> {
    cells.sort_unstable();
    cells.dedup();
    let mut settled = cells.len() > MAX_JOINED;
    while !settled {
        settled = true;
        let mut kept: Vec<Cell> = Vec::with_capacity(cells.len());
        for cell in cells {
            let joined = kept.iter_mut().find_map(|other| Some((other.joined(&cell)?, other)));
            match joined {
                Some((whole, other)) => {
                    *other = whole;
                    settled = false;
                }
                None => kept.push(cell),
            }
        }
        kept.sort_unstable();
        cells = kept;
    }
    cells
}

/// More boxes than this are not joined for show.
const MAX_JOINED: usize = 200;

/// A product of sets: on each axis any of several intervals, sorted and apart from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space([Vec<Span>; AXES]);

impl Space {
    /// All traffic of a host.
    pub fn everything() -> Self {
        let ports = (0, u128::from(u16::MAX));
        let spans = [(0, 1), (0, 2), (0, u128::from(u8::MAX)), EVERY, EVERY, ports, ports];
        Self(spans.map(|span| vec![span]))
    }

    /// The same space with other intervals on an axis, in any order.
    #[must_use]
    pub fn with(mut self, axis: Axis, spans: Vec<Span>) -> Self {
        self.0[axis as usize] = join(spans);
        self
    }

    /// The same space with all that there is on an axis.
    #[must_use]
    pub fn open(self, axis: Axis) -> Self {
        let all = Self::everything().on(axis).to_vec();
        self.with(axis, all)
    }

    /// The intervals on an axis.
    pub fn on(&self, axis: Axis) -> &[Span] {
        &self.0[axis as usize]
    }

    /// With host and peer exchanged.
    #[must_use]
    pub fn mirrored(mut self) -> Self {
        self.0.swap(Axis::Local as usize, Axis::Remote as usize);
        self.0.swap(Axis::LocalPort as usize, Axis::RemotePort as usize);
        self
    }

    /// What is in both, unless that is nothing.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        let pairs = || self.0.iter().zip(&other.0);
        // Most pairs of a long policy have nothing in common: that is found out without memory.
        if !pairs().all(|(mine, theirs)| touch(mine, theirs)) {
            return None;
        }
        let mut common = Self(Default::default());
        for (slot, (mine, theirs)) in common.0.iter_mut().zip(pairs()) {
            *slot = both(mine, theirs);
        }
        Some(common)
    }

    /// Whether all of the other is in it.
    pub fn holds(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, theirs)| both(mine, theirs) == *theirs)
    }

    /// Whether all of the other is in it as far as one axis goes.
    pub fn holds_on(&self, other: &Self, axis: Axis) -> bool {
        let theirs = other.on(axis);
        both(self.on(axis), theirs) == theirs
    }

    /// Whether the point is in it.
    pub fn holds_point(&self, point: [u128; AXES]) -> bool {
        self.0.iter().zip(point).all(|(spans, at)| touch(spans, &[(at, at)]))
    }

    /// How wide it is: the bits that tell its points apart, more or less.
    pub fn breadth(&self) -> u32 {
        let bits = |spans: &Vec<Span>| {
            let width = |width: u128, span: &Span| width.saturating_add(span.1 - span.0);
            u128::BITS - spans.iter().fold(0, width).leading_zeros()
        };
        self.0.iter().map(bits).sum()
    }

    /// How many boxes it takes.
    pub fn count(&self) -> usize {
        self.0.iter().fold(1, |count: usize, spans| count.saturating_mul(spans.len()))
    }

    /// Its boxes. Whoever asks has looked at their [`count`](Self::count) first.
    pub fn cells(&self) -> Vec<Cell> {
        let mut cells = vec![Cell([(0, 0); AXES])];
        for (axis, spans) in Axis::ALL.into_iter().zip(&self.0) {
            cells = cells
                .iter()
                .flat_map(|cell| spans.iter().map(|span| cell.with(axis, *span)))
                .collect();
        }
        cells
    }
}

/// Every address of both families.
pub const EVERY: Span = (0, u128::MAX);

/// Where the IPv4 addresses lie.
pub const IPV4: Span = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// Every IPv6 address: what is before IPv4, and what is behind it.
pub const IPV6: [Span; 2] = [(0, IPV4.0 - 1), (IPV4.1 + 1, u128::MAX)];

/// Whether a space leaves an end open: every address of a family, or every port.
pub fn is_whole(space: &Space, axis: Axis) -> bool {
    let spans = space.on(axis);
    match axis {
        Axis::Local | Axis::Remote => spans == [EVERY] || spans == [IPV4] || spans == IPV6,
        Axis::LocalPort | Axis::RemotePort => spans == [(0, u128::from(u16::MAX))],
        Axis::Direction | Axis::Profile | Axis::Protocol => spans == Space::everything().on(axis),
    }
}

/// An address on the line.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The address at a place on the line.
pub fn address(number: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(number)).to_canonical()
}

/// A range of addresses of one family; nothing where the ends are reversed or of different families.
pub fn address_spans(first: IpAddr, last: IpAddr) -> Vec<Span> {
    if first.is_ipv4() != last.is_ipv4() || first > last {
        return Vec::new();
    }
    let range = (number(first), number(last));
    if first.is_ipv4() {
        return vec![range];
    }
    both(&[range], &IPV6)
}

/// A set of ports on its axis.
pub fn port_spans(ports: &PortSet) -> Vec<Span> {
    ports.ranges().iter().map(|(first, last)| (u128::from(*first), u128::from(*last))).collect()
}

/// Sorted, with those that overlap or touch joined.
pub fn join(mut spans: Vec<Span>) -> Vec<Span> {
    spans.retain(|(first, last)| first <= last);
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for (first, last) in spans {
        match joined.last_mut() {
            Some(previous) if first <= previous.1.saturating_add(1) => {
                previous.1 = previous.1.max(last);
            }
            _ => joined.push((first, last)),
        }
    }
    joined
}

/// What is in both of two sorted lists.
fn both(a: &[Span], b: &[Span]) -> Vec<Span> {
    let mut common = Vec::new();
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(one), Some(two)) = (a.peek(), b.peek()) {
        let span = (one.0.max(two.0), one.1.min(two.1));
        if span.0 <= span.1 {
            common.push(span);
        }
        if one.1 < two.1 {
            a.next()
        } else {
            b.next()
        };
    }
    common
}

/// Whether two sorted lists have a number in common. The shorter one is looked up in the longer one.
fn touch(a: &[Span], b: &[Span]) -> bool {
    let (few, many) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    few.iter().any(|(first, last)| {
        let at = many.partition_point(|span| span.1 < *first);
        many.get(at).is_some_and(|span| span.0 <= *last)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every point of a universe of four numbers on three of the axes.
    fn points() -> impl Iterator<Item = [u128; AXES]> {
        (0..4u128).flat_map(|a| {
            (0..4u128).flat_map(move |b| (0..4u128).map(move |c| [0, 0, a, b, 0, c, 0]))
        })
    }

    fn inside(cell: &Cell, point: [u128; AXES]) -> bool {
        cell.0.iter().zip(point).all(|(span, at)| span.0 <= at && at <= span.1)
    }

    prop_compose! {
        fn span()(a in 0..4u128, b in 0..4u128) -> Span { (a.min(b), a.max(b)) }
    }

    prop_compose! {
        fn space()(
            protocol in prop::collection::vec(span(), 1..3),
            local in prop::collection::vec(span(), 1..3),
            port in prop::collection::vec(span(), 1..3),
        ) -> Space {
            Space::everything()
                .with(Axis::Direction, vec![(0, 0)])
                .with(Axis::Profile, vec![(0, 0)])
                .with(Axis::Protocol, protocol)
                .with(Axis::Local, local)
                .with(Axis::Remote, vec![(0, 0)])
                .with(Axis::LocalPort, port)
                .with(Axis::RemotePort, vec![(0, 0)])
        }
    }

    proptest! {
        #[test]
        fn boxes_agree_with_counting(need in space(), rules in prop::collection::vec(space(), 0..4)) {
            let mut open = need.cells();
            prop_assert_eq!(open.len(), need.count());
            for rule in &rules {
                for cell in rule.cells() {
                    let mut rest = Vec::new();
                    for piece in open {
                        piece.minus(&cell, &mut rest);
                    }
                    open = rest;
                }
            }
            let joined = join_cells(open.clone());
            for point in points() {
                let expected =
                    need.holds_point(point) && !rules.iter().any(|rule| rule.holds_point(point));
                let pieces = open.iter().filter(|cell| inside(cell, point)).count();
                prop_assert_eq!(pieces, usize::from(expected), "no piece meets another");
                prop_assert_eq!(joined.iter().any(|cell| inside(cell, point)), expected);
            }
        }

        #[test]
        fn spaces_meet_where_both_are(a in space(), b in space()) {
            let common = a.meet(&b);
            for point in points() {
                let expected = a.holds_point(point) && b.holds_point(point);
                let got = common.as_ref().is_some_and(|common| common.holds_point(point));
                prop_assert_eq!(got, expected);
                let mirrored = [0, 0, point[2], 0, point[3], 0, point[5]];
                prop_assert_eq!(a.clone().mirrored().holds_point(mirrored), a.holds_point(point));
            }
            prop_assert_eq!(common.is_some(), points().any(|p| a.holds_point(p) && b.holds_point(p)));
            prop_assert_eq!(a.holds(&b), points().all(|p| !b.holds_point(p) || a.holds_point(p)));
        }
    }

    #[test]
    fn the_families_never_meet() {
        let [v4, v4_last, v6, v6_last] = ["0.0.0.0", "255.255.255.255", "::", "ffff::"]
            .map(|text| text.parse::<IpAddr>().unwrap());
        assert_eq!(address_spans(v4, v4_last), [IPV4]);
        let six = address_spans(v6, v6_last);
        assert!(!touch(&six, &[IPV4]) && touch(&six, &[(number(v6_last), number(v6_last))]));
        assert!(address_spans(v4, v6).is_empty() && address_spans(v6_last, v6).is_empty());
        assert_eq!(address(number(v4_last)), v4_last);
        assert_eq!(join(vec![IPV6[0], IPV4, IPV6[1]]), [EVERY]);
    }

    #[test]
    fn the_last_numbers_end_cleanly() {
        let all = Space::everything();
        let [cell] = all.cells()[..] else { panic!("one box") };
        let mut rest = Vec::new();
        cell.minus(&cell, &mut rest);
        assert!(rest.is_empty());
        let half = cell.with(Axis::Local, (1, u128::MAX));
        cell.minus(&half, &mut rest);
        assert_eq!(rest, [cell.with(Axis::Local, (0, 0))]);
        assert_eq!(join_cells(vec![half, rest[0]]), [cell]);
        assert_eq!(join(vec![(5, 3), (u128::MAX, u128::MAX), (0, u128::MAX)]), [EVERY]);
    }
}
