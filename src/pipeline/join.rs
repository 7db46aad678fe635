//! Joins what workers made of their shares, in the order of the captures, and proves each first.
//!
//! A share fits when it begins exactly where the one before it ended, with the same context and the same
//! frames remembered, and no bound was reached. One that does not fit is read again on top of what stands
//! before it, as one thread would have read it.

use crate::flow::FlowTable;
use crate::flow::duplicates::Window;
use crate::identify;
use crate::input::notes::Names;
use crate::input::savefile::Cursor;
use crate::pipeline::counts::CaptureCounts;
use crate::pipeline::gleaned::Gleaned;
use crate::pipeline::room::Room;
use crate::pipeline::shares::Segment;
use crate::pipeline::worker::{Job, Part, SegmentRead, Start, start};

/// The shares joined so far.
pub(super) struct Joined<'a> {
    job: &'a Job<'a>,
    pub(super) captures: Vec<CaptureCounts>,
    /// Where the last capture's reading ended, and what is known of the frames before.
    end: Option<Cursor>,
    window: Option<Window>,
    pub(super) table: FlowTable,
    pub(super) names: Names,
    pub(super) gleaned: Gleaned,
}

impl<'a> Joined<'a> {
    pub(super) fn new(job: &'a Job<'a>) -> Self {
        let table = FlowTable::new(job.reading.limits).seeded(job.seed).tasting(identify::TASTE);
        Self {
            job,
            captures: Vec::new(),
            end: None,
            window: None,
            table,
            names: Names::default(),
            gleaned: Gleaned::default(),
        }
    }

    /// Appends the next share.
    pub(super) fn append(&mut self, segments: &[Segment], part: Option<Part>) {
        let Some(part) = part.filter(|part| self.fits(part)) else {
            self.read_again(segments);
            return;
        };
        let Part { mut table, reads, mut names, mut gleaned } = part;
        if let Some(lead) = reads.first() {
            let base = self.captures.get(lead.capture).map_or(0, |c| c.tally.frames);
            table.rebase(lead.capture as u32, base);
            gleaned.rebase(lead.capture as u32, base);
        }
        if self.captures.is_empty() {
            self.table = table;
            self.gleaned = gleaned;
        } else if !self.gleaned.can_take(&gleaned)
            || self.table.merge(table).is_err()
            || !self.gleaned.merge(gleaned)
        {
            self.read_again(segments);
            return;
        }
        self.names.take(&mut names);
        for read in reads {
            self.note(read);
        }
    }

    /// Whether a part begins where the ones before it ended.
    fn fits(&self, part: &Part) -> bool {
        match part.reads.first() {
            None => true,
            Some(lead) if lead.capture == self.captures.len() => true,
            Some(lead) => {
                let damaged = self.captures.last().is_some_and(|c| c.damage.is_some());
                !damaged
                    && lead.start.is_some()
                    && lead.start == self.end
                    && lead.assumed == self.window.as_ref().map(Window::state)
            }
        }
    }

    /// Reads a share on top of what stands before it, as one thread would have.
    fn read_again(&mut self, segments: &[Segment]) {
        for segment in segments {
            let continued = segment.capture < self.captures.len();
            let known = self.captures.get(segment.capture);
            if known.is_some_and(|counts| counts.damage.is_some()) {
                // Reading this file ended before the share began.
                continue;
            }
            let base = known.map_or(0, |counts| counts.tally.frames);
            let gleaned = std::mem::take(&mut self.gleaned);
            let start = if continued {
                Start { cursor: self.end.clone(), base, window: self.window.take(), gleaned }
            } else {
                let cursor = start(self.job.file(segment.capture), 0);
                Start { cursor, base, window: None, gleaned }
            };
            let mut room = Room::alone();
            let mut read = self.job.segment(*segment, start, &mut self.table, &mut room);
            self.gleaned = std::mem::take(&mut read.gleaned);
            self.note(read);
        }
    }

    fn note(&mut self, mut read: SegmentRead) {
        self.names.take(&mut read.counts.tally.notes.names);
        match self.captures.get_mut(read.capture) {
            Some(counts) => counts.merge(&read.counts),
            None => self.captures.push(read.counts),
        }
        self.end = read.end;
        self.window = read.window;
    }
}
