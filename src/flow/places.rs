//! Where the pieces of a fragmented datagram stand, and whether they make a whole.

/// The places of the pieces seen so far, as offsets into the datagram's body in bytes.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// In order and apart.
    pieces: Vec<(u32, u32)>,
    covered: u32,
    /// Where the last piece ends.
    end: Option<u32>,
    /// Pieces overlap or contradict each other.
    pub(super) overlapping: bool,
    /// There are more pieces than a datagram has, or they reach beyond the longest one.
    pub(super) endless: bool,
}

impl Places {
    /// Whether every byte was seen, and once.
    pub(super) fn whole(&self) -> bool {
        self.end == Some(self.covered) && !self.overlapping
    }

    /// Whether a piece of exactly this place was seen.
    pub(super) fn has(&self, place: (u32, u32)) -> bool {
        self.pieces.binary_search(&place).is_ok()
    }

    /// Notes where a piece begins and stops. `more` tells whether there is more behind it.
    pub(super) fn add(&mut self, (start, stop): (u32, u32), more: bool) {
        if stop > LONGEST {
            self.endless = true;
        } else if self.has((start, stop)) {
            // Seen twice: a copy, or sent again.
        } else if self.contradict(start, stop, more) {
            self.overlapping = true;
        } else if self.pieces.len() >= MAX_PIECES {
            self.endless = true;
        } else {
            self.pieces.insert(self.behind(start), (start, stop));
            self.covered += stop - start;
            if !more {
                self.end = Some(stop);
            }
        }
    }

    /// Whether the pieces so far leave no room for this one.
    fn contradict(&self, start: u32, stop: u32, more: bool) -> bool {
        let at = self.behind(start);
        let reaches_into = self.pieces.get(at).is_some_and(|(from, _)| *from < stop);
        let before = at.checked_sub(1).and_then(|before| self.pieces.get(before));
        let is_reached = before.is_some_and(|(_, to)| *to > start);
        let beyond = match self.end {
            Some(end) => stop > end || !more && stop != end,
            None => !more && self.pieces.last().is_some_and(|(_, to)| *to > stop),
        };
        reaches_into || is_reached || beyond
    }

    /// Where a piece that begins here belongs.
    fn behind(&self, start: u32) -> usize {
        self.pieces.partition_point(|(from, _)| *from < start)
    }
}

/// The longest body of a datagram in bytes, as far as IP can number it.
const LONGEST: u32 = 65_535;
/// Pieces of one datagram: more than the longest one has on the smallest link that IPv4 may meet
/// (RFC 791, 3.2: 68 bytes, of which 48 are data).
const MAX_PIECES: usize = 1_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pieces: &[(u32, u32, bool)]) -> Places {
        let mut places = Places::default();
        for (start, stop, more) in pieces {
            places.add((*start, *stop), *more);
        }
        places
    }

    #[test]
    fn a_whole_is_covered_once_to_its_end() {
        assert!(of(&[(80, 88, false), (0, 80, true)]).whole());
        assert!(of(&[(0, 80, true), (0, 80, true), (80, 88, false)]).whole());
        assert!(!of(&[(0, 80, true), (88, 96, false)]).whole());
        assert!(!of(&[(0, 80, true)]).whole());
        assert!(!Places::default().whole());
    }

    #[test]
    fn pieces_that_leave_no_room_for_each_other() {
        for pieces in [
            [(0, 80, true), (72, 152, false)],
            [(72, 152, true), (0, 80, true)],
            [(0, 80, false), (80, 88, true)],
            [(80, 160, true), (0, 80, false)],
            [(0, 80, false), (0, 88, false)],
        ] {
            let places = of(&pieces);
            assert!(places.overlapping && !places.whole(), "{pieces:?}");
        }
    }

    #[test]
    fn what_no_datagram_is() {
        assert!(of(&[(65_528, 65_536, true)]).endless);
        let many: Vec<_> = (0..=MAX_PIECES as u32).map(|n| (n * 16, n * 16 + 8, true)).collect();
        assert!(of(&many).endless);
        assert!(!of(&many[1..]).endless);
    }
}
