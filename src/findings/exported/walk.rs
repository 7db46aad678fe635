//! Goes through a host's rules in their order and keeps what they do with a row's traffic.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Standing;
use crate::policy::asked::Asked;
use crate::policy::boxes::{self, Axis, Cell, EVERY, IPV4, Space, Span};
use crate::policy::exports::{Action, ConnectionRule, Direction, Export, Profiles};

/// Comparisons of boxes for one row, at most: less than a second.
const MAX_WORK: usize = 10_000_000;
/// The most boxes that a rule and a row may have in common.
const MAX_CELLS: usize = 20_000;
/// The most boxes of a gap that are kept. More would only say the same of further addresses.
const MAX_GAP: usize = 4_096;
/// The most rules that are remembered by what they do with a row.
pub(super) const MAX_RULES: usize = 100;

/// A rule with the traffic that it covers.
#[derive(Debug)]
pub(super) struct Covering<'e> {
    pub(super) rule: &'e ConnectionRule,
    pub(super) spaces: Vec<Space>,
    pub(super) perhaps: Vec<Space>,
}

/// The rules of an export, ready to be compared.
#[derive(Debug)]
pub(super) struct Prepared<'e> {
    /// Those in force, in their order.
    pub(super) in_force: Vec<Covering<'e>>,
    /// Those that would exempt, with the traffic on which they have no effect.
    pub(super) held_back: Vec<Covering<'e>>,
    /// Whether rules have a direction.
    pub(super) directed: bool,
}

impl<'e> Prepared<'e> {
    pub(super) fn of(export: &'e Export) -> Self {
        let covering = |rule: &'e ConnectionRule| Covering {
            rule,
            spaces: rule.spaces(),
            perhaps: rule.perhaps(),
        };
        let held_back = export.rules.iter().filter(|rule| {
            rule.action == Action::Exempt && rule.held_back().is_some() && rule.doubts.is_empty()
        });
        let held_back =
            held_back.map(|rule| Covering { spaces: rule.without_effect(), ..covering(rule) });
        let one_way =
            |rule: &ConnectionRule| matches!(rule.direction, Direction::Out | Direction::In);
        Self {
            in_force: export.in_force().into_iter().map(covering).collect(),
            held_back: held_back.collect(),
            directed: export.rules.iter().any(one_way),
        }
    }
}

/// A rule with what it and a row have in common.
#[derive(Debug)]
struct Met<'e> {
    rule: &'e ConnectionRule,
    common: Vec<Space>,
    breadth: u32,
}

/// What the rules do with a row's traffic.
#[derive(Debug, Default)]
pub(super) struct Walk<'e> {
    /// What no rule has decided yet.
    open: Vec<Cell>,
    /// What is secured.
    pub(super) gap: Vec<Cell>,
    /// Rules that exempt some of it.
    pub(super) exempting: Vec<&'e ConnectionRule>,
    /// Rules that secure some of what is not exempt.
    pub(super) securing: Vec<&'e ConnectionRule>,
    /// Rules that secure or discard traffic of the row, exempt or not.
    pub(super) touching: Vec<&'e ConnectionRule>,
    /// Rules that would exempt some of what is secured, and have no effect on it.
    pub(super) held_back: Vec<&'e ConnectionRule>,
    /// The places on each axis that securing rules reach.
    reach: Vec<Cell>,
    /// Whether rules that are not understood may exempt some of what was secured.
    pub(super) doubted: bool,
    work: usize,
}

impl<'e> Walk<'e> {
    /// Goes through the rules, those that exempt only if they are wanted. `None` when that takes too long.
    pub(super) fn through(
        asked: &Asked,
        prepared: &Prepared<'e>,
        wanted: impl Fn(&Covering<'e>) -> bool,
    ) -> Option<Self> {
        let mut walk = Self::default();
        for space in &asked.spaces {
            (space.count() <= MAX_CELLS).then(|| walk.open.extend(space.cells()))?;
        }
        let met = walk.met(asked, prepared, wanted)?;
        let last_exempt = met.iter().rposition(|met| met.rule.action == Action::Exempt);
        for (at, Met { rule, common, .. }) in met.iter().enumerate() {
            let count: usize = common.iter().map(Space::count).fold(0, usize::saturating_add);
            let cells = || common.iter().flat_map(Space::cells).collect();
            let cells: Vec<Cell> = (count <= MAX_CELLS).then(cells)?;
            match rule.action {
                Action::Exempt => {
                    if walk.take(&cells)? {
                        remember(&mut walk.exempting, rule);
                    }
                }
                Action::Secure | Action::Block => {
                    remember(&mut walk.touching, rule);
                    if walk.secure(&cells)? {
                        remember(&mut walk.securing, rule);
                    }
                    // Only rules behind it could still exempt what it decides.
                    if last_exempt.is_some_and(|last| at < last) {
                        walk.take(&cells)?;
                    }
                }
                Action::Unknown => {}
            }
        }
        Some(walk)
    }

    /// The rules that have something in common with the row, in the order in which they decide. Where no order is
    /// laid down, those that have more go first: what they decide need not be cut up by others.
    fn met(
        &mut self,
        asked: &Asked,
        prepared: &Prepared<'e>,
        wanted: impl Fn(&Covering<'e>) -> bool,
    ) -> Option<Vec<Met<'e>>> {
        let mut met = Vec::new();
        let rules = prepared
            .in_force
            .iter()
            .filter(|covering| covering.rule.action != Action::Exempt || wanted(covering));
        for Covering { rule, spaces, .. } in rules {
            if rule.uncertain() {
                continue;
            }
            self.spend(spaces.len() * asked.spaces.len())?;
            let pairs =
                spaces.iter().flat_map(|space| asked.spaces.iter().map(move |need| (space, need)));
            let common: Vec<Space> = pairs.filter_map(|(space, need)| space.meet(need)).collect();
            let breadth = common.iter().map(Space::breadth).max();
            met.extend(breadth.map(|breadth| Met { rule, common, breadth }));
        }
        met.sort_by_key(|met| match met.rule.priority {
            Some(priority) => (priority, false, Reverse(0)),
            None => (0, met.rule.action != Action::Exempt, Reverse(met.breadth)),
        });
        Some(met)
    }

    /// Takes boxes out of what is open; whether any of it was.
    fn take(&mut self, cells: &[Cell]) -> Option<bool> {
        let before = self.open.len();
        let mut met = false;
        for cell in cells {
            self.spend(self.open.len())?;
            met |= self.open.iter().any(|open| open.meet(cell).is_some());
            self.open = minus(&self.open, cell);
        }
        (self.open.len() <= before + MAX_CELLS).then_some(met)
    }

    /// Notes what is secured of what is open; whether any of it was.
    fn secure(&mut self, cells: &[Cell]) -> Option<bool> {
        let mut met = false;
        for cell in cells {
            self.spend(self.open.len())?;
            for open in &self.open {
                let Some(common) = cell.meet(open) else { continue };
                met = true;
                let known = |wide: &Cell| wide.meet(&common) == Some(common);
                let known = self.gap.iter().take(MAX_RULES).any(known);
                if !known && self.gap.len() < MAX_GAP {
                    self.gap.push(common);
                }
            }
        }
        if self.reach.len() < MAX_GAP {
            self.reach.extend(cells.iter().take(MAX_GAP));
        }
        Some(met)
    }

    fn spend(&mut self, work: usize) -> Option<()> {
        self.work = self.work.saturating_add(work);
        (self.work <= MAX_WORK).then_some(())
    }

    /// How the row stands after the walk. What rules that are not understood may exempt is no longer in the
    /// gap; where that leaves nothing, nothing is decided.
    pub(super) fn standing(&mut self, asked: &Asked, prepared: &Prepared<'e>) -> Standing {
        let rules = || prepared.in_force.iter();
        if self.gap.is_empty() {
            let secures = |covering: &&Covering<'_>| covering.rule.action != Action::Exempt;
            let mut perhaps = rules().filter(secures).flat_map(|covering| &covering.perhaps);
            if perhaps.any(|space| self.meets_open(asked, space)) {
                return Standing::Undecided;
            }
            let untouched = self.touching.is_empty() && !self.open.is_empty();
            return if untouched { Standing::NotSecured } else { Standing::Present };
        }
        let exempts = |covering: &&Covering<'_>| {
            matches!(covering.rule.action, Action::Exempt | Action::Unknown)
        };
        let perhaps: Vec<&Space> =
            rules().filter(exempts).flat_map(|covering| &covering.perhaps).collect();
        let rest = self.gap_without(asked, perhaps);
        if rest.is_empty() {
            return Standing::Undecided;
        }
        self.doubted = rest != self.gap;
        self.gap = rest;
        self.hold_back(asked, prepared);
        let closers = prepared.held_back.iter().chain(rules().filter(exempts));
        let spaces: Vec<&Space> = closers.flat_map(|covering| &covering.spaces).collect();
        let rest = self.gap_without(asked, spaces);
        let touched = rest != self.gap;
        if rest.is_empty() || (touched && self.exempting.is_empty()) {
            Standing::Shadowed
        } else if self.exempting.is_empty() {
            Standing::Missing
        } else {
            Standing::Partial
        }
    }

    /// Remembers the rules that are aimed at the row and would exempt some of the gap, the first ones of them.
    fn hold_back(&mut self, asked: &Asked, prepared: &Prepared<'e>) {
        for Covering { rule, spaces, .. } in &prepared.held_back {
            if !asked.is_aimed_at(spaces) {
                continue;
            }
            if self.spend(self.gap.len()).is_none() {
                break;
            }
            if spaces.iter().any(|space| meets(&self.gap, asked, space)) {
                remember(&mut self.held_back, rule);
            }
        }
    }

    /// Whether what no rule has decided has something in common with a space.
    fn meets_open(&self, asked: &Asked, space: &Space) -> bool {
        meets(&self.open, asked, space)
    }

    /// The gap without spaces. Where that would take too long, some stays in the gap.
    fn gap_without(&self, asked: &Asked, spaces: Vec<&Space>) -> Vec<Cell> {
        let mut rest = self.gap.clone();
        let mut work = 0_usize;
        for space in spaces {
            for common in asked.spaces.iter().filter_map(|need| space.meet(need)) {
                if common.count() > MAX_CELLS {
                    continue;
                }
                for cell in common.cells() {
                    work = work.saturating_add(rest.len());
                    if work > MAX_WORK {
                        return rest;
                    }
                    rest = minus(&rest, &cell);
                }
            }
        }
        rest
    }

    /// Whether rules that are aimed at the row would exempt more of it if they were in force in every profile: what
    /// secures may be in force in those alone in which they are not.
    fn lacks_profiles(&self, asked: &Asked) -> bool {
        self.exempting.iter().any(|rule| {
            let spaces = rule.spaces();
            let everywhere = |space: &Space| space.clone().with(Axis::Profile, vec![(0, 2)]);
            rule.profiles != Profiles::ALL
                && asked.is_aimed_at(&spaces)
                && spaces.iter().any(|space| meets(&self.gap, asked, &everywhere(space)))
        })
    }

    /// Whether all that is missing is the last port of the row's ranges: the tables name the one behind the
    /// last that is used.
    pub(super) fn only_last_ports(&self, asked: &Asked) -> bool {
        let last = |(low, high): Span| {
            low == high
                && asked
                    .ports
                    .ranges()
                    .iter()
                    .any(|(first, last)| first < last && u128::from(*last) == low)
        };
        !self.exempting.is_empty()
            && self
                .gap
                .iter()
                .all(|cell| last(cell.on(Axis::LocalPort)) || last(cell.on(Axis::RemotePort)))
    }

    /// In what the exemption falls short: transports that lie in the gap as a whole where others do not, and for
    /// each transport the axes on which its gap is narrower than what is secured of it. An exemption without effect
    /// may lack nothing but that.
    pub(super) fn lacks(&self, asked: &Asked, standing: Standing) -> Vec<&'static str> {
        if standing != Standing::Partial {
            return Vec::new();
        }
        let mut lacks = BTreeSet::new();
        if self.lacks_profiles(asked) {
            lacks.insert(PROFILE);
        }
        let (mut whole, mut parts) = (false, false);
        let transports: BTreeSet<Span> =
            self.reach.iter().map(|cell| cell.on(Axis::Protocol)).collect();
        for transport in transports {
            let on = |cells: &[Cell], axis: Axis| {
                let of = |cell: &&Cell| {
                    let (first, last) = cell.on(Axis::Protocol);
                    first <= transport.1 && transport.0 <= last
                };
                boxes::join(cells.iter().filter(of).map(|cell| cell.on(axis)).collect())
            };
            let short = AXES.into_iter().filter(|(axis, _)| {
                let gap = on(&self.gap, *axis);
                !gap.is_empty() && gap != on(&self.reach, *axis)
            });
            let short: Vec<&'static str> = short
                .map(|(axis, lack)| {
                    let six = lack == ADDRESSES
                        && only_ipv6(&on(&self.gap, axis))
                        && !only_ipv6(&on(&self.reach, axis));
                    if six { "ipv6" } else { lack }
                })
                .collect();
            let exempt = on(&self.gap, Axis::Protocol).is_empty();
            whole |= !exempt && short.is_empty();
            parts |= exempt || !short.is_empty();
            lacks.extend(short);
        }
        if whole && parts {
            lacks.insert("protocol");
        }
        lacks.into_iter().collect()
    }
}

/// What an exemption falls short in on each axis but that of transports.
const AXES: [(Axis, &str); 6] = [
    (Axis::Direction, "direction"),
    (Axis::Profile, PROFILE),
    (Axis::Local, ADDRESSES),
    (Axis::Remote, ADDRESSES),
    (Axis::LocalPort, "ports"),
    (Axis::RemotePort, "ports"),
];
const ADDRESSES: &str = "addresses";
const PROFILE: &str = "profile";

fn only_ipv6(spans: &[Span]) -> bool {
    spans.iter().all(|span| *span != EVERY && (span.1 < IPV4.0 || span.0 > IPV4.1))
}

/// Whether boxes have something in common with a space, as far as the row asks for it.
fn meets(cells: &[Cell], asked: &Asked, space: &Space) -> bool {
    asked.spaces.iter().filter_map(|need| space.meet(need)).any(|common| {
        // More boxes than can be looked at are taken to meet it: undecided is the honest answer.
        common.count() > MAX_CELLS
            || common.cells().iter().any(|cell| cells.iter().any(|open| open.meet(cell).is_some()))
    })
}

fn minus(cells: &[Cell], taken: &Cell) -> Vec<Cell> {
    let mut rest = Vec::with_capacity(cells.len());
    for cell in cells {
        cell.minus(taken, &mut rest);
    }
    rest
}

fn remember<'e>(rules: &mut Vec<&'e ConnectionRule>, rule: &'e ConnectionRule) {
    if rules.len() < MAX_RULES {
        rules.push(rule);
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::{ExpectationId, PortSet};

    /// What is asked of a universe of four addresses and four ports at either end, over TCP and UDP.
    fn asked() -> Asked {
        let four = boxes::address_spans([10, 0, 0, 0].into(), [10, 0, 0, 3].into());
        let ports = PortSet::new([(1, 2)]);
        let space = Space::everything()
            .with(Axis::Direction, vec![(0, 0)])
            .with(Axis::Profile, vec![(0, 0)])
            .with(Axis::Protocol, vec![(6, 6), (17, 17)])
            .with(Axis::Local, four.clone())
            .with(Axis::Remote, four)
            .with(Axis::LocalPort, vec![(0, 3)])
            .with(Axis::RemotePort, boxes::port_spans(&ports));
        Asked {
            row: ExpectationId(0),
            applies: true,
            own: false,
            peer: true,
            spaces: vec![space],
            own_spaces: 0,
            ports,
            transports: vec![6, 17],
        }
    }

    /// Every point that is asked for: protocol, addresses and ports, the host's first.
    fn points() -> impl Iterator<Item = [u128; 5]> {
        let four = || 0..4u128;
        [6, 17].into_iter().flat_map(move |protocol| {
            four().flat_map(move |a| {
                four().flat_map(move |b| {
                    four().flat_map(move |p| (1..3u128).map(move |q| [protocol, a, b, p, q]))
                })
            })
        })
    }

    fn cell_holds(cell: &Cell, [protocol, a, b, p, q]: [u128; 5]) -> bool {
        let base = boxes::number([10, 0, 0, 0].into());
        let on = [
            (Axis::Protocol, protocol),
            (Axis::Local, base + a),
            (Axis::Remote, base + b),
            (Axis::LocalPort, p),
            (Axis::RemotePort, q),
        ];
        on.into_iter().all(|(axis, at)| cell.on(axis).0 <= at && at <= cell.on(axis).1)
    }

    /// A rule over the universe: whether it exempts, and a range on each of the five axes.
    #[derive(Debug, Clone)]
    struct Small {
        exempt: bool,
        ranges: [Span; 5],
    }

    impl Small {
        fn covers(&self, point: [u128; 5]) -> bool {
            self.ranges.iter().zip(point).all(|(range, at)| range.0 <= at && at <= range.1)
        }

        fn covers_either_way(&self, [protocol, a, b, p, q]: [u128; 5]) -> bool {
            self.covers([protocol, a, b, p, q]) || self.covers([protocol, b, a, q, p])
        }
    }

    prop_compose! {
        fn range()(a in 0..4u128, b in 0..4u128) -> Span { (a.min(b), a.max(b)) }
    }

    prop_compose! {
        fn small()(
            exempt: bool,
            protocol in prop::sample::select(vec![(6, 6), (17, 17), (0, 255)]),
            ranges in [range(), range(), range(), range()],
        ) -> Small {
            let [a, b, p, q] = ranges;
            Small { exempt, ranges: [protocol, a, b, p, q] }
        }
    }

    fn walked(text: &str) -> (Vec<Cell>, Standing) {
        let export = Export::read(text.as_bytes(), Path::new("file"), "host").unwrap();
        let prepared = Prepared::of(&export);
        let asked = asked();
        let mut walk = Walk::through(&asked, &prepared, |_| true).unwrap();
        let standing = walk.standing(&asked, &prepared);
        (walk.gap, standing)
    }

    proptest! {
        /// Rules of Windows: those that exempt go first, and either endpoint may be the host's.
        #[test]
        fn the_gap_agrees_with_counting_points(rules in prop::collection::vec(small(), 1..6)) {
            let mut text = String::new();
            for rule in &rules {
                let action = if rule.exempt { "DoNotSecure" } else { "Secure" };
                let [(protocol, all), a, b, p, q] = rule.ranges;
                write!(text, "v2.10|Action={action}|Active=TRUE|").unwrap();
                if protocol == all {
                    write!(text, "Protocol={protocol}|").unwrap();
                }
                write!(text, "EP1_4=10.0.0.{}-10.0.0.{}|EP2_4=10.0.0.{}-10.0.0.{}|", a.0, a.1, b.0, b.1).unwrap();
                writeln!(text, "EP1Port2_10={}-{}|EP2Port2_10={}-{}|", p.0, p.1, q.0, q.1).unwrap();
            }
            let (gap, standing) = walked(&text);
            let some = |exempt: bool, point| {
                rules.iter().any(|rule| rule.exempt == exempt && rule.covers_either_way(point))
            };
            let mut any = false;
            for point in points() {
                let expected = some(false, point) && !some(true, point);
                any |= expected;
                prop_assert_eq!(gap.iter().any(|cell| cell_holds(cell, point)), expected, "{:?}", point);
            }
            prop_assert_eq!(standing.severity().is_some(), any);
            if any {
                let touched = points().any(|point| some(true, point));
                prop_assert_eq!(standing == Standing::Partial, touched);
            } else {
                let secured = points().any(|point| some(false, point));
                let exempt = points().all(|point| some(true, point));
                prop_assert_eq!(standing == Standing::Present, secured || exempt);
            }
        }

        /// Policies of the Linux kernel: the first in order decides, as it is written.
        #[test]
        fn the_first_policy_decides(rules in prop::collection::vec((small(), 0..4u128, 0..4u128), 1..6)) {
            let mut text = String::new();
            let mut ordered = Vec::new();
            for (at, (rule, a, b)) in rules.iter().enumerate() {
                let protocol = rule.ranges[0];
                let proto = if protocol.0 == protocol.1 { format!(" proto {}", protocol.0) } else { String::new() };
                writeln!(text, "src 10.0.0.{a}/31 dst 10.0.0.{b}/31{proto}\n\tdir out priority {}", 100 - at).unwrap();
                if !rule.exempt {
                    writeln!(text, "\ttmpl src 0.0.0.0 dst 0.0.0.0\n\t\tproto esp mode transport").unwrap();
                }
                let pair = |at: u128| (at & 2, at | 1);
                ordered.push(Small { exempt: rule.exempt, ranges: [protocol, pair(*a), pair(*b), (0, 3), (0, 3)] });
            }
            ordered.reverse();
            let (gap, _) = walked(&text);
            for point in points() {
                let first = ordered.iter().find(|rule| rule.covers(point));
                let expected = first.is_some_and(|rule| !rule.exempt);
                prop_assert_eq!(gap.iter().any(|cell| cell_holds(cell, point)), expected, "{:?}", point);
            }
        }
    }
}
