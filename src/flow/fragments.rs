//! Later fragments find the flow of their datagram, in whatever order they come.
//!
//! Only the first fragment of a datagram shows ports, so the others are counted to the flow that the
//! first one was counted to. Datagrams are put together from the places of their pieces, not from
//! their bytes: the first piece holds all that the identification looks at.
//!
//! A table that was filled from the beginning of the run puts datagrams together at once. A table of a
//! later part cannot know which of them began before it, so it keeps the pieces in a journal, which is
//! played when it is joined. Counting to a flow is a sum, so playing it late changes nothing.

use std::collections::{BTreeMap, VecDeque};

use super::key::Side;
use super::places::Places;
use super::{Counters, FrameRef};
use crate::decode::Part;
use crate::input::Timestamp;

/// Where a flow is in its table, and which side of it sent the datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) entry: u32,
    pub(super) side: Side,
}

/// A fragment as far as it matters for counting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) part: Part,
    pub(super) at: FrameRef,
    pub(super) time: Timestamp,
    /// Length of the frame on the wire in bytes.
    pub(super) wire_len: u32,
    pub(super) kind: Kind,
}

/// What a fragment brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The first of its datagram; its frame is counted to this flow, if the table had room for it.
    First(Option<Owner>),
    /// Another one, whose frame is not counted to a flow yet.
    Later,
}

/// Frames that are to be counted to a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) counters: Counters,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// What became of the fragmented datagrams of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FragmentCounts {
    /// Datagrams of which a fragment was seen.
    pub datagrams: u64,
    /// Those of which every byte was seen.
    pub complete: u64,
    /// Those of which some bytes were not seen.
    pub incomplete: u64,
    /// Those with fragments that overlap or contradict each other.
    pub overlapping: u64,
    /// Those with more fragments than a datagram has, or that reach beyond the longest datagram.
    pub endless: u64,
    /// Those whose first fragment, which shows the ports, was not seen.
    pub without_first: u64,
    /// Those of which the first fragment was seen and no other: what a filter by port leaves over.
    pub only_first: u64,
    /// Those given up to keep memory bounded.
    pub given_up: u64,
}

/// The fragments that a table knows of.
#[derive(Debug)]
pub(super) struct Fragments {
    progress: Progress,
    counts: FragmentCounts,
    /// Frames of fragments that belong to no flow, by capture.
    strays: BTreeMap<u32, u64>,
}

#[derive(Debug)]
enum Progress {
    /// Since the beginning of the run: datagrams by name, and the names in the order of opening.
    Live { open: BTreeMap<Name, Datagram>, order: VecDeque<(Name, u64)>, opened: u64 },
    /// Since somewhere.
    Journal(Vec<Piece>),
}

/// What the fragments of one datagram have in common.
type Name = (std::net::IpAddr, std::net::IpAddr, u8, u32);

/// A datagram of which fragments have been seen.
#[derive(Debug)]
struct Datagram {
    /// Tells datagrams of the same name apart.
    number: u64,
    since: Timestamp,
    owner: Option<Owner>,
    /// Whether a first fragment was seen, even one without a flow.
    has_first: bool,
    has_later: bool,
    places: Places,
    /// Pieces that came before the first one.
    waiting: Option<Late>,
    waiting_by_capture: Vec<(u32, u64)>,
}

impl Fragments {
    /// For a table that is filled from the beginning of a run.
    pub(super) fn live() -> Self {
        let progress = Progress::Live { open: BTreeMap::new(), order: VecDeque::new(), opened: 0 };
        Self::with(progress)
    }

    /// For a table of a later part.
    pub(super) fn journal() -> Self {
        Self::with(Progress::Journal(Vec::new()))
    }

    fn with(progress: Progress) -> Self {
        Self { progress, counts: FragmentCounts::default(), strays: BTreeMap::new() }
    }

    /// Takes a fragment; `count` is told what is to be counted to which flow. False when the journal
    /// is full.
    pub(super) fn take(&mut self, piece: Piece, count: &mut impl FnMut(Owner, &Late)) -> bool {
        match &mut self.progress {
            Progress::Journal(pieces) => {
                if pieces.len() >= MAX_JOURNAL {
                    return false;
                }
                pieces.push(piece);
            }
            Progress::Live { .. } => self.put_together(piece, count),
        }
        true
    }

    /// The pieces that were not put together yet.
    pub(super) fn into_journal(self) -> Vec<Piece> {
        match self.progress {
            Progress::Journal(pieces) => pieces,
            Progress::Live { .. } => Vec::new(),
        }
    }

    /// Whether the fragments of the part that follows can be taken.
    pub(super) fn can_take(&self, next: &Self) -> bool {
        match (&self.progress, &next.progress) {
            (_, Progress::Live { .. }) => next.counts.datagrams == 0,
            (Progress::Live { .. }, Progress::Journal(_)) => true,
            (Progress::Journal(ours), Progress::Journal(theirs)) => {
                ours.len() + theirs.len() <= MAX_JOURNAL
            }
        }
    }

    /// Adds an offset to the frame numbers of a capture.
    pub(super) fn rebase(&mut self, shift: impl Fn(&mut FrameRef)) {
        if let Progress::Journal(pieces) = &mut self.progress {
            for piece in pieces {
                shift(&mut piece.at);
            }
        }
    }

    /// Follows flows to their new places; those without one are forgotten.
    pub(super) fn follow(&mut self, places: impl Fn(u32) -> Option<u32>) {
        let moved = |owner: &mut Option<Owner>| {
            *owner = owner
                .and_then(|owner| Some(Owner { entry: places(owner.entry)?, side: owner.side }));
        };
        match &mut self.progress {
            Progress::Live { open, .. } => {
                for datagram in open.values_mut() {
                    moved(&mut datagram.owner);
                }
            }
            Progress::Journal(pieces) => {
                for piece in pieces {
                    if let Kind::First(owner) = &mut piece.kind {
                        moved(owner);
                    }
                }
            }
        }
    }

    /// Ends all datagrams. Gives what became of them, and the frames that belong to no flow, by
    /// capture.
    pub(super) fn finish(&mut self) -> (FragmentCounts, BTreeMap<u32, u64>) {
        match &mut self.progress {
            Progress::Live { open, order, .. } => {
                order.clear();
                for datagram in std::mem::take(open).into_values() {
                    datagram.close(&mut self.counts, &mut self.strays);
                }
            }
            // A part of a run that was never joined to what is before it.
            Progress::Journal(pieces) => {
                for piece in pieces.drain(..).filter(|piece| piece.kind == Kind::Later) {
                    *self.strays.entry(piece.at.capture).or_default() += 1;
                }
            }
        }
        (std::mem::take(&mut self.counts), std::mem::take(&mut self.strays))
    }

    fn put_together(&mut self, piece: Piece, count: &mut impl FnMut(Owner, &Late)) {
        let Progress::Live { open, order, opened } = &mut self.progress else {
            return;
        };
        let part = &piece.part;
        let name = (part.source, part.destination, part.transport.0, part.identification);
        if open.get(&name).is_some_and(|datagram| !datagram.takes(&piece))
            && let Some(over) = open.remove(&name)
        {
            over.close(&mut self.counts, &mut self.strays);
        }
        let datagram = open.entry(name).or_insert_with(|| {
            self.counts.datagrams += 1;
            *opened += 1;
            order.push_back((name, *opened));
            Datagram::new(*opened, piece.time)
        });
        datagram.add(&piece, count, &mut self.strays);
        while open.len() > MAX_OPEN || order.len() > 2 * MAX_OPEN {
            let Some((oldest, number)) = order.pop_front() else {
                return;
            };
            if open.get(&oldest).is_some_and(|datagram| datagram.number == number)
                && let Some(datagram) = open.remove(&oldest)
            {
                self.counts.given_up += u64::from(!datagram.places.whole());
                datagram.close(&mut self.counts, &mut self.strays);
            }
        }
    }
}

impl Datagram {
    fn new(number: u64, since: Timestamp) -> Self {
        Self {
            number,
            since,
            owner: None,
            has_first: false,
            has_later: false,
            places: Places::default(),
            waiting: None,
            waiting_by_capture: Vec::new(),
        }
    }

    /// Whether a piece of the same name belongs to this datagram. It does not when it comes too
    /// late, or begins another one behind a whole one or of another flow: numbers are used again.
    fn takes(&self, piece: &Piece) -> bool {
        let in_time = piece.time.0.abs_diff(self.since.0) <= REASSEMBLY_TIME;
        let begins_anew = match piece.kind {
            Kind::First(owner) => {
                let of_another = self.has_first && self.owner != owner;
                // A copy of its first piece, where copies are kept, comes at once.
                let at_once = piece.time.0.abs_diff(self.since.0) <= COPIES_TIME;
                of_another || self.places.whole() && !at_once
            }
            Kind::Later => false,
        };
        in_time && !begins_anew
    }

    fn add(
        &mut self,
        piece: &Piece,
        count: &mut impl FnMut(Owner, &Late),
        strays: &mut BTreeMap<u32, u64>,
    ) {
        self.places.add(place(&piece.part), piece.part.more);
        self.has_later |= piece.kind == Kind::Later;
        match piece.kind {
            Kind::First(owner) => {
                self.has_first = true;
                self.owner = self.owner.or(owner);
                if let (Some(owner), Some(waiting)) = (self.owner, self.waiting) {
                    count(owner, &waiting);
                    self.waiting = None;
                    self.waiting_by_capture.clear();
                }
            }
            Kind::Later => match self.owner {
                Some(owner) => count(owner, &Late::of(piece)),
                None => self.wait(piece, strays),
            },
        }
    }

    /// Keeps count of a piece that came before the first one.
    fn wait(&mut self, piece: &Piece, strays: &mut BTreeMap<u32, u64>) {
        let capture = piece.at.capture;
        let captures = self.waiting_by_capture.len();
        match self.waiting_by_capture.iter_mut().find(|(of, _)| *of == capture) {
            Some((_, frames)) => *frames += 1,
            None if captures < MAX_CAPTURES => self.waiting_by_capture.push((capture, 1)),
            None => {
                *strays.entry(capture).or_default() += 1;
                return;
            }
        }
        let late = Late::of(piece);
        match &mut self.waiting {
            Some(waiting) => waiting.add(&late),
            none => *none = Some(late),
        }
    }

    /// Counts a datagram that gets no further pieces.
    fn close(self, counts: &mut FragmentCounts, strays: &mut BTreeMap<u32, u64>) {
        counts.complete += u64::from(self.places.whole() && self.has_first);
        counts.incomplete += u64::from(!(self.places.whole() && self.has_first));
        counts.overlapping += u64::from(self.places.overlapping);
        counts.endless += u64::from(self.places.endless);
        counts.without_first += u64::from(!self.has_first);
        counts.only_first += u64::from(!self.has_later);
        for (capture, frames) in self.waiting_by_capture {
            *strays.entry(capture).or_default() += frames;
        }
    }
}

impl Late {
    fn of(piece: &Piece) -> Self {
        Self {
            counters: Counters { packets: 1, bytes: piece.wire_len.into() },
            first: piece.time,
            last: piece.time,
        }
    }

    fn add(&mut self, other: &Self) {
        self.counters.add(other.counters);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

fn place(part: &Part) -> (u32, u32) {
    (part.offset, part.offset.saturating_add(part.len))
}

/// How long the pieces of one datagram may be apart, in nanoseconds: hosts wait for 30 seconds
/// (Linux) to 60 (RFC 8200, 4.5).
const REASSEMBLY_TIME: u64 = 30_000_000_000;
/// How long after the first piece of a whole datagram another one is a copy of it, in nanoseconds.
const COPIES_TIME: u64 = 10_000_000;
/// Datagrams under way at a time; the oldest one is given up for a further one.
const MAX_OPEN: usize = 4096;
/// Captures over which the pieces of one datagram may be spread before its first one comes.
const MAX_CAPTURES: usize = 4;
/// Fragments that a part keeps until it is joined, some 30 MB; with more it is read again.
const MAX_JOURNAL: usize = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Transport;
    use std::net::{IpAddr, Ipv4Addr};

    const OWNER: Owner = Owner { entry: 3, side: Side::B };

    fn piece(identification: u32, offset: u32, len: u32, more: bool) -> Piece {
        let part = Part {
            source: IpAddr::V4(Ipv4Addr::LOCALHOST),
            destination: IpAddr::V4(Ipv4Addr::BROADCAST),
            transport: Transport::UDP,
            identification,
            offset,
            len,
            more,
        };
        let kind = if offset == 0 { Kind::First(Some(OWNER)) } else { Kind::Later };
        let at = FrameRef { capture: 0, frame: u64::from(offset) };
        Piece { part, at, time: Timestamp(0), wire_len: 100, kind }
    }

    /// Packets counted to flows, what became of the datagrams, frames without a flow.
    fn outcome(pieces: &[Piece]) -> (u64, FragmentCounts, u64) {
        let mut fragments = Fragments::live();
        let mut counted = 0;
        for piece in pieces {
            fragments.take(*piece, &mut |owner, late| {
                assert_eq!(owner, OWNER);
                counted += late.counters.packets;
            });
        }
        let (counts, strays) = fragments.finish();
        let later = pieces.iter().filter(|piece| piece.kind == Kind::Later).count() as u64;
        let strays = strays.values().sum();
        assert_eq!(counted + strays, later, "every fragment is counted once");
        (counted, counts, strays)
    }

    fn after(seconds: i64, piece: Piece) -> Piece {
        Piece { time: Timestamp(seconds * 1_000_000_000), ..piece }
    }

    #[test]
    fn pieces_in_any_order_make_one_datagram() {
        let pieces =
            [piece(1, 0, 1480, true), piece(1, 1480, 1480, true), piece(1, 2960, 40, false)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
            let (counted, counts, _) = outcome(&order.map(|at| pieces[at]));
            let whole = FragmentCounts { datagrams: 1, complete: 1, ..FragmentCounts::default() };
            assert_eq!((counted, counts), (2, whole), "{order:?}");
        }
    }

    #[test]
    fn pieces_seen_twice_are_no_overlap() {
        let pieces = [piece(1, 0, 80, true), piece(1, 80, 8, false)];
        let (counted, counts, _) = outcome(&[pieces[0], pieces[0], pieces[1], pieces[1]]);
        assert_eq!((counted, counts.complete, counts.overlapping, counts.datagrams), (2, 1, 0, 1));
    }

    #[test]
    fn another_first_piece_is_another_datagram() {
        let other = Owner { entry: 4, side: Side::A };
        let mut fragments = Fragments::live();
        let mut counted = Vec::new();
        for (piece, owner) in [
            (piece(1, 0, 1480, true), OWNER),
            (piece(1, 1480, 8, false), OWNER),
            // The same places of another flow, ten seconds later.
            (after(10, piece(1, 0, 1480, true)), other),
            (after(10, piece(1, 1480, 8, false)), other),
            // And of the first flow again, with the second one under way.
            (after(11, piece(1, 0, 1480, true)), OWNER),
            (after(11, piece(1, 1480, 8, false)), OWNER),
        ] {
            let kind = match piece.kind {
                Kind::First(_) => Kind::First(Some(owner)),
                Kind::Later => Kind::Later,
            };
            fragments.take(Piece { kind, ..piece }, &mut |owner, _| counted.push(owner));
        }
        assert_eq!(counted, [OWNER, other, OWNER]);
        let (counts, strays) = fragments.finish();
        assert_eq!((counts.datagrams, counts.complete, strays.len()), (3, 3, 0));
    }

    #[test]
    fn numbers_are_used_again() {
        let first = [piece(1, 0, 80, true), piece(1, 80, 8, false)];
        let other = [piece(1, 0, 160, true), piece(1, 160, 8, false)].map(|piece| after(1, piece));
        let (counted, counts, _) = outcome(&[first, other].concat());
        assert_eq!((counted, counts.datagrams, counts.complete), (2, 2, 2));
        // Half a minute later nothing is waited for any more.
        let late = [first[0], after(31, first[1])];
        let (counted, counts, strays) = outcome(&late);
        assert_eq!((counted, counts.datagrams, counts.complete), (0, 2, 0));
        assert_eq!((counts.without_first, counts.only_first, strays), (1, 1, 1));
    }

    #[test]
    fn overlapping_and_contradicting_pieces_are_said() {
        let cases: [&[Piece]; 4] = [
            &[piece(1, 0, 80, true), piece(1, 72, 80, false)],
            &[piece(1, 0, 80, true), piece(1, 160, 8, true), piece(1, 80, 88, true)],
            &[piece(1, 0, 80, true), piece(1, 80, 8, false), piece(1, 88, 8, true)],
            &[piece(1, 0, 80, true), piece(1, 160, 8, false), piece(1, 80, 8, false)],
        ];
        for pieces in cases {
            let (counted, counts, _) = outcome(pieces);
            assert_eq!((counts.datagrams, counts.overlapping), (1, 1), "{pieces:?}");
            assert_eq!(counted as usize, pieces.len() - 1);
        }
    }

    #[test]
    fn a_datagram_ends_where_ip_ends() {
        let (_, counts, _) = outcome(&[piece(1, 0, 80, true), piece(1, 65_528, 8, true)]);
        assert_eq!(counts.endless, 1);
        let pieces: Vec<Piece> = (0..4_000).map(|n| piece(1, n * 16, 8, true)).collect();
        let (counted, counts, _) = outcome(&pieces);
        assert_eq!((counted, counts.endless, counts.complete), (3_999, 1, 0));
    }

    #[test]
    fn datagrams_under_way_are_bounded() {
        let pieces: Vec<Piece> = (0..100_000).map(|n| piece(n, 80, 8, true)).collect();
        let mut fragments = Fragments::live();
        for piece in pieces {
            assert!(fragments.take(piece, &mut |_, _| panic!("no first fragment")));
            let Progress::Live { open, order, .. } = &fragments.progress else { panic!() };
            assert!(open.len() <= MAX_OPEN && order.len() <= 2 * MAX_OPEN);
        }
        let (counts, strays) = fragments.finish();
        assert_eq!((counts.datagrams, counts.without_first), (100_000, 100_000));
        assert_eq!((counts.given_up, strays[&0]), (100_000 - MAX_OPEN as u64, 100_000));
    }

    #[test]
    fn a_journal_is_bounded() {
        let mut fragments = Fragments::journal();
        for n in 0..MAX_JOURNAL as u32 {
            assert!(fragments.take(piece(n, 80, 8, true), &mut |_, _| {}));
        }
        assert!(!fragments.take(piece(0, 80, 8, true), &mut |_, _| {}));
    }
}
