//! Cuts the bytes of all captures into shares of equal work.

/// What has to be read of one capture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    /// Its length in bytes.
    pub(super) len: u64,
    /// Whether it can be read at any place.
    pub(super) cut: Cut,
}

/// Whether a capture may be cut into shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// Anywhere.
    Anywhere,
    /// Nowhere: it is compressed, and has to be read from its beginning.
    Nowhere,
}

/// A stretch of one capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) capture: usize,
    pub(super) from: u64,
    pub(super) until: u64,
}

/// Cuts all captures, in their order, into about as many shares as there are threads.
///
/// Each share fills a flow table of its own, so there are never many more shares than threads.
pub(super) fn shares(extents: &[Extent], threads: usize) -> Vec<Vec<Segment>> {
    let total = extents.iter().fold(0_u64, |sum, extent| sum.saturating_add(extent.weight()));
    let size = total.div_ceil(threads.max(1) as u64).max(MIN_SHARE);
    let mut deal = Deal { shares: vec![Vec::new()], size, room: size };
    for (capture, extent) in extents.iter().enumerate() {
        match extent.cut {
            Cut::Anywhere => deal.in_stretches(capture, extent.len),
            Cut::Nowhere => deal.whole(capture, extent.weight()),
        }
    }
    deal.shares.retain(|share| !share.is_empty());
    deal.shares
}

impl Extent {
    /// How much work it is, in bytes that are not compressed.
    fn weight(self) -> u64 {
        match self.cut {
            Cut::Anywhere => self.len,
            Cut::Nowhere => self.len.saturating_mul(PACKED),
        }
    }
}

/// Shares being dealt out.
struct Deal {
    shares: Vec<Vec<Segment>>,
    size: u64,
    /// How much the last share still takes.
    room: u64,
}

impl Deal {
    fn in_stretches(&mut self, capture: usize, len: u64) {
        let mut from = 0;
        loop {
            let left = len.saturating_sub(from);
            // A rest too short to be worth a seam goes with the share before it.
            let take = if left <= self.room + MIN_SHARE / 2 { left } else { self.room };
            let until = if take == left { u64::MAX } else { from + take };
            self.give(Segment { capture, from, until }, take);
            from += take;
            if take == left {
                break;
            }
        }
    }

    fn whole(&mut self, capture: usize, weight: u64) {
        if self.room < weight / 2 && self.shares.last().is_some_and(|share| !share.is_empty()) {
            self.next();
        }
        self.give(Segment { capture, from: 0, until: u64::MAX }, weight);
    }

    fn give(&mut self, segment: Segment, weight: u64) {
        if let Some(share) = self.shares.last_mut() {
            share.push(segment);
        }
        self.room = self.room.saturating_sub(weight);
        if self.room < MIN_SHARE / 2 {
            self.next();
        }
    }

    fn next(&mut self) {
        self.shares.push(Vec::new());
        self.room = self.size;
    }
}

/// A share shorter than this is not worth a worker of its own.
const MIN_SHARE: u64 = 1 << 20;
/// What a compressed byte weighs: captures shrink to a third or so, and unpacking is work too.
const PACKED: u64 = 6;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn dealt(extents: &[(u64, Cut)], threads: usize) -> Vec<Vec<Segment>> {
        let extents: Vec<Extent> =
            extents.iter().map(|(len, cut)| Extent { len: *len, cut: *cut }).collect();
        shares(&extents, threads)
    }

    fn segment(capture: usize, from: u64, until: u64) -> Segment {
        Segment { capture, from, until }
    }

    #[test]
    fn plain_captures_are_cut_evenly() {
        let all = dealt(&[(6 * MIB, Cut::Anywhere), (2 * MIB, Cut::Anywhere)], 2);
        let first = segment(0, 0, 4 * MIB);
        let second = [segment(0, 4 * MIB, u64::MAX), segment(1, 0, u64::MAX)];
        assert_eq!(all, [vec![first], second.to_vec()]);
        assert_eq!(dealt(&[(10, Cut::Anywhere), (0, Cut::Anywhere)], 7).len(), 1);
    }

    #[test]
    fn compressed_captures_are_never_cut_and_run_side_by_side() {
        let packed = [(9 * MIB, Cut::Nowhere); 4];
        let all = dealt(&packed, 2);
        let whole = |capture| segment(capture, 0, u64::MAX);
        assert_eq!(all, [vec![whole(0), whole(1)], vec![whole(2), whole(3)]]);
        assert_eq!(dealt(&packed[..1], 8), [vec![whole(0)]]);
    }

    #[test]
    fn each_byte_is_dealt_once_in_order_whatever_the_mixture() {
        for threads in 1..9 {
            let extents: Vec<(u64, Cut)> = (0..40u64)
                .map(|n| {
                    (n * n * 7_919 * 131 % (5 * MIB), [Cut::Anywhere, Cut::Nowhere][n as usize % 2])
                })
                .collect();
            let all = dealt(&extents, threads);
            assert!(all.len() <= threads + 2, "{} for {threads}", all.len());
            let mut next = (0, 0);
            for segment in all.iter().flatten() {
                assert_eq!((segment.capture, segment.from), next);
                next = match segment.until {
                    u64::MAX => (segment.capture + 1, 0),
                    until => (segment.capture, until),
                };
                assert!(next.1 == 0 || extents[segment.capture].1 == Cut::Anywhere);
            }
            assert_eq!(next, (40, 0));
        }
    }
}
