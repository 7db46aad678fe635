//! What workers do: each reads a share of the captures into a table of its own.
//!
//! Where a share begins in the middle of a file, both the first record and the frames before it that
//! matter (a copy may follow its original across the seam) are assumed; [`super::join`] verifies both.

use std::sync::atomic::AtomicUsize;

use rayon::prelude::*;

use crate::error::Error;
use crate::flow::duplicates::{self, State, Window};
use crate::flow::{BATCH, FlowTable};
use crate::identify;
use crate::input::Frame;
use crate::input::notes::Names;
use crate::input::savefile::{Batch, CaptureFile, Cursor, PackedFile, Records, SaveFile};
use crate::input::unpack::Unpacked;
use crate::pipeline::ahead::Ahead;
use crate::pipeline::counts::{CaptureCounts, Unread};
use crate::pipeline::gleaned::Gleaned;
use crate::pipeline::intake::Intake;
use crate::pipeline::meter::Meter;
use crate::pipeline::request::{Progress, Reading};
use crate::pipeline::room::Room;
use crate::pipeline::shares::{Cut, Extent, Segment, shares};

pub(super) struct Job<'a> {
    pub(super) reading: &'a Reading,
    pub(super) files: &'a [CaptureFile],
    pub(super) progress: &'a Progress,
    /// Of the tables and of the windows that recognise copies.
    pub(super) seed: u64,
}

/// What a worker made of its share.
pub(super) struct Part {
    pub(super) table: FlowTable,
    pub(super) reads: Vec<SegmentRead>,
    pub(super) names: Names,
    pub(super) gleaned: Gleaned,
}

pub(super) struct SegmentRead {
    pub(super) capture: usize,
    /// Where reading began; `None` when no record boundary was found.
    pub(super) start: Option<Cursor>,
    pub(super) end: Option<Cursor>,
    /// What was assumed of the frames before `start`, and what is known of those before `end`.
    pub(super) assumed: Option<State>,
    pub(super) window: Option<Window>,
    /// What was gleaned up to `end`, by what was read before as well.
    pub(super) gleaned: Gleaned,
    pub(super) counts: CaptureCounts,
}

/// Where a reading begins, and what is known of the frames before it.
pub(super) struct Start {
    /// `None` when no record boundary was found.
    pub(super) cursor: Option<Cursor>,
    /// How many there are.
    pub(super) base: u64,
    pub(super) window: Option<Window>,
    /// What they told beyond their flows.
    pub(super) gleaned: Gleaned,
}

/// Where the frames of a reading belong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Number of the capture in the run.
    pub(super) capture: u32,
    /// Frames of the capture before this reading.
    pub(super) base: u64,
}

impl Job<'_> {
    /// Reads every share, in parallel. A share without a part has to be read again.
    pub(super) fn parts(&self) -> Vec<(Vec<Segment>, Option<Part>)> {
        let held = AtomicUsize::new(0);
        self.shares()
            .into_par_iter()
            .enumerate()
            .map(|(position, segments)| {
                let mut room = Room::new(&held, self.reading.limits, position > 0);
                let table = match position {
                    0 => FlowTable::new(self.reading.limits),
                    _ => FlowTable::part(self.reading.limits),
                }
                .seeded(self.seed)
                .tasting(identify::TASTE);
                let part = self.part(&segments, table, &mut room);
                (segments, part)
            })
            .collect()
    }

    /// What can be made of a share alone; None when there is no room for its flows beside those of the
    /// others.
    fn part(
        &self,
        segments: &[Segment],
        mut table: FlowTable,
        room: &mut Room<'_>,
    ) -> Option<Part> {
        let mut reads: Vec<SegmentRead> = Vec::with_capacity(segments.len());
        let mut names = Names::default();
        let mut gleaned = Gleaned::default();
        for segment in segments {
            // Only where the last one ends is asked for, and a context may be large.
            if let Some(before) = reads.last_mut() {
                before.end = None;
                before.window = None;
            }
            let start = Start { gleaned, ..self.start(segment) };
            let mut read = self.segment(*segment, start, &mut table, room);
            gleaned = std::mem::take(&mut read.gleaned);
            names.take(&mut read.counts.tally.notes.names);
            reads.push(read);
            if room.given_up {
                return None;
            }
        }
        Some(Part { table, reads, names, gleaned })
    }

    /// Cuts all bytes into equal shares in capture order.
    fn shares(&self) -> Vec<Vec<Segment>> {
        let extents: Vec<Extent> = self.files.iter().map(extent).collect();
        shares(&extents, self.reading.threads)
    }

    pub(super) fn file(&self, capture: usize) -> &CaptureFile {
        &self.files[capture]
    }

    pub(super) fn intake(&self) -> Intake {
        Intake::new(self.reading.filter.as_deref(), self.reading.duplicates, self.seed)
    }

    /// Where reading begins in a share: at the beginning of a file, or at a guess.
    fn start(&self, segment: &Segment) -> Start {
        let cursor = start(self.file(segment.capture), segment.from);
        let window = match (self.file(segment.capture), &cursor) {
            (CaptureFile::Plain(file), Some(cursor)) if segment.from > 0 => {
                self.look_back(file, cursor)
            }
            _ => None,
        };
        Start { cursor, base: 0, window, gleaned: Gleaned::default() }
    }

    /// What stands before a guessed place, as far as copies of it may follow. Nothing when that
    /// cannot be told: then the share is read again.
    fn look_back(&self, file: &SaveFile, to: &Cursor) -> Option<Window> {
        if !self.intake().looks_back() {
            return None;
        }
        let mut distance = LOOK_BACK;
        loop {
            let from = to.offset.saturating_sub(distance);
            let whole = from <= file.start().offset;
            let begin = if whole { Some(file.start()) } else { file.resync(from) };
            if let Some(begin) = begin {
                let mut intake = self.intake();
                let mut records = file.records(begin, to.offset);
                let mut frames = 0;
                while let Some(frame) = records.next() {
                    intake.look(&frame);
                    frames += 1;
                }
                if records.cursor() == *to && (whole || frames >= duplicates::MEMORY) {
                    return intake.into_parts().0;
                }
            }
            if whole || distance > MAX_LOOK_BACK {
                return None;
            }
            distance *= 4;
        }
    }

    /// Reads one stretch from a known place.
    pub(super) fn segment(
        &self,
        segment: Segment,
        start: Start,
        table: &mut FlowTable,
        room: &mut Room<'_>,
    ) -> SegmentRead {
        let file = match self.file(segment.capture) {
            CaptureFile::Plain(file) => file,
            CaptureFile::Packed(file) => {
                return self.packed(segment.capture, file, start.gleaned, table, room);
            }
        };
        let mut read = SegmentRead {
            capture: segment.capture,
            start: start.cursor.clone(),
            end: None,
            assumed: None,
            window: None,
            gleaned: Gleaned::default(),
            counts: CaptureCounts::new(file.path(), file.format()),
        };
        let Some(cursor) = start.cursor else {
            read.gleaned = start.gleaned;
            return read;
        };
        let mut intake = self.intake().behind(start.window, start.gleaned);
        read.assumed = intake.state();
        let mut records = file.records(cursor, segment.until);
        let meter = Meter::new(self.progress, None);
        let at = Place { capture: segment.capture as u32, base: start.base };
        drain(&mut records, at, &mut intake, meter, room, &mut read.counts, table);
        let end = records.cursor();
        if !records.read_to_the_end() {
            let rest = file.len().saturating_sub(end.offset);
            read.counts.unread = Unread::Bytes(rest, file.len());
        }
        read.end = Some(end);
        (read.window, read.gleaned) = intake.into_parts();
        read
    }

    /// Reads a compressed file, which begins and ends with its share.
    fn packed(
        &self,
        capture: usize,
        file: &PackedFile,
        gleaned: Gleaned,
        table: &mut FlowTable,
        room: &mut Room<'_>,
    ) -> SegmentRead {
        let compression = Some(file.compression());
        let mut intake = self.intake().behind(None, gleaned);
        let mut counts = CaptureCounts::new(file.path(), file.format());
        counts.compression = compression;
        let unreadable = |source| Error::Read { path: file.path().to_path_buf(), source };
        let opened =
            file.unpacked().map_err(unreadable).and_then(|Unpacked { stream, taken, .. }| {
                let name = file.path().display().to_string();
                Ok((Records::from_unpacked(&name, Ahead::of(stream), compression)?, taken))
            });
        match opened {
            Ok((mut records, taken)) => {
                let meter = Meter::new(self.progress, Some(taken));
                let at = Place { capture: capture as u32, base: 0 };
                drain(&mut records, at, &mut intake, meter, room, &mut counts, table);
            }
            // It could be read when the run began.
            Err(error) => {
                counts.damage = Some(error.to_string());
                counts.unread = Unread::Unknown;
            }
        }
        let (_, gleaned) = intake.into_parts();
        SegmentRead {
            capture,
            start: None,
            end: None,
            assumed: None,
            window: None,
            gleaned,
            counts,
        }
    }
}

/// Reads records to their end, or until there is no room.
pub(super) fn drain(
    records: &mut Records,
    at: Place,
    intake: &mut Intake,
    mut meter: Meter<'_>,
    room: &mut Room<'_>,
    counts: &mut CaptureCounts,
    table: &mut FlowTable,
) {
    let mut since = 0;
    let mut batch = Batch::of(BATCH);
    loop {
        records.batch(&mut batch);
        if batch.kept().is_empty() {
            break;
        }
        let frames = batch.kept().iter().map(|kept| {
            let frame = records.frame(kept);
            Frame { number: frame.number + at.base, ..frame }
        });
        intake.take_batch(frames, at.capture, counts, table);
        since += batch.kept().len();
        if since >= FRAMES_PER_REPORT {
            since = 0;
            meter.tell(records.position());
            room.take(table.len());
            if room.given_up {
                break;
            }
        }
    }
    meter.tell(records.position());
    counts.damage = records.damage().map(str::to_owned);
    if !records.read_to_the_end() {
        counts.unread = Unread::Unknown;
    }
    counts.tally.dropped_by_capture = records.dropped_by_capture();
    counts.tally.notes = records.take_notes();
}

/// Where reading begins in a file: at its beginning, or at a guess.
pub(super) fn start(file: &CaptureFile, from: u64) -> Option<Cursor> {
    match file {
        CaptureFile::Plain(file) if from == 0 => Some(file.start()),
        CaptureFile::Plain(file) => file.resync(from),
        CaptureFile::Packed(_) => None,
    }
}

fn extent(file: &CaptureFile) -> Extent {
    let cut = match file {
        CaptureFile::Plain(_) => Cut::Anywhere,
        CaptureFile::Packed(_) => Cut::Nowhere,
    };
    Extent { len: file.len(), cut }
}

/// How far before a share reading begins at first, in bytes, to know what copies may be of: enough for
/// as many frames of common size as are remembered.
const LOOK_BACK: u64 = 1 << 20;
/// Beyond this a share is read again rather than looked back from any further.
const MAX_LOOK_BACK: u64 = 64 << 20;
/// Frames between two updates of the progress counter.
const FRAMES_PER_REPORT: usize = 16_384;
