//! Parallel reading inside one file and over many, exact by construction.
//!
//! The bytes of all files, in capture order, are cut into as many equal shares as there are
//! threads. Each worker finds the first record at or after its share's start and reads its share
//! into a table of its own. Then the shares are joined in order, and each is verified first: it
//! must begin exactly where the one before it ended, with the same interfaces in force, and no
//! table may have reached a bound. A share that fails is read again on top of what stands before
//! it, which is what one thread would have done. So a wrong guess costs time, never truth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::decode::{self, Decoded, Stop};
use crate::error::{Error, Result};
use crate::flow::{FlowTable, Limits};
use crate::input::filter::Filter;
use crate::input::savefile::{Cursor, Records, SaveFile};
use crate::input::sources::{self, Source};
use crate::input::{Format, Frame, LinkType, Tally};

/// What to read and how.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Captures, `-` for standard input.
    pub captures: Vec<PathBuf>,
    /// BPF expression.
    pub filter: Option<String>,
    /// Workers.
    pub threads: usize,
    /// Bounds of the flow table.
    pub limits: Limits,
}

/// Bytes read so far, for a progress display; nothing else is known while reading.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes to read, 0 when unknown.
    pub total: AtomicU64,
    /// Bytes read.
    pub done: AtomicU64,
}

/// What was counted in one capture.
#[derive(Debug, Clone)]
pub struct CaptureCounts {
    /// The path as given.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// Frame counts.
    pub tally: Tally,
    /// Frames not decoded, by reason.
    pub undecoded: BTreeMap<Stop, u64>,
    /// Fragments of larger datagrams, first ones included.
    pub fragments: u64,
    /// Where and why reading ended early.
    pub damage: Option<String>,
}

impl CaptureCounts {
    /// Nothing counted yet.
    pub fn new(path: &Path, format: Format) -> Self {
        Self {
            path: path.to_path_buf(),
            format,
            tally: Tally::default(),
            undecoded: BTreeMap::new(),
            fragments: 0,
            damage: None,
        }
    }

    /// Counts a frame, decodes it and hands its packet to the table.
    pub fn observe(&mut self, table: &mut FlowTable, capture: u32, frame: &Frame<'_>) {
        match decode::decode(frame) {
            Decoded::Packet(packet) => {
                self.fragments += u64::from(packet.first_fragment);
                table.observe(capture, &packet);
            }
            Decoded::Stopped(stop) => {
                self.fragments += u64::from(stop == Stop::Fragment);
                *self.undecoded.entry(stop).or_default() += 1;
            }
        }
    }

    fn merge(&mut self, next: &Self) {
        self.tally.merge(&next.tally);
        for (stop, frames) in &next.undecoded {
            *self.undecoded.entry(*stop).or_default() += frames;
        }
        self.fragments += next.fragments;
        if self.damage.is_none() {
            self.damage.clone_from(&next.damage);
        }
    }
}

/// Everything that reading found.
#[derive(Debug)]
pub struct Survey {
    /// The captures in processing order.
    pub captures: Vec<CaptureCounts>,
    /// The flows of all of them.
    pub table: FlowTable,
    /// Inputs that could not be used; the others have been read.
    pub errors: Vec<Error>,
}

/// Reads captures into one flow table. The result does not depend on the number of threads.
pub fn read(reading: &Reading, progress: &Progress) -> Result<Survey> {
    let mut errors = Vec::new();
    let (files, streams) = open(&reading.captures, &mut errors);
    check_filter(reading, &files)?;
    let total: u64 = files.iter().map(SaveFile::len).sum();
    progress.total.store(total, Ordering::Relaxed);
    let job = Job { reading, files: &files, progress };
    let mut joined = Joined::new(&job);
    for (segments, part) in job.parts(total) {
        joined.append(&segments, part)?;
    }
    let Joined { mut captures, mut table, .. } = joined;
    for source in streams {
        match read_stream(&job, &source, captures.len() as u32, &mut table) {
            Ok(counts) => captures.push(counts),
            Err(error) => errors.push(error),
        }
    }
    Ok(Survey { captures, table, errors })
}

/// Opens the files in the order of their first frames, so that rotated sets and arguments in any
/// order form one timeline. Standard input and pipes cannot be read twice and come last.
fn open(paths: &[PathBuf], errors: &mut Vec<Error>) -> (Vec<SaveFile>, Vec<Source>) {
    let mut files = Vec::new();
    let mut streams = Vec::new();
    for found in sources::find(paths) {
        match found.and_then(|source| match source {
            Source::File(path) => SaveFile::open(&path).map(Some),
            stream => {
                streams.push(stream);
                Ok(None)
            }
        }) {
            Ok(file) => files.extend(file.map(|mut file| {
                if files.len() >= MAX_OPEN {
                    file.release();
                }
                file
            })),
            Err(error) => errors.push(error),
        }
    }
    // The sort is stable: files without frames, and equal times, keep their order.
    files.sort_by_key(|file| (file.first_time().is_none(), file.first_time()));
    (files, streams)
}

/// A filter that does not compile is found before any reading.
fn check_filter(reading: &Reading, files: &[SaveFile]) -> Result<()> {
    if let Some(expression) = &reading.filter {
        let first = files.first().and_then(|file| {
            file.records(file.start(), u64::MAX).next().map(|frame| frame.link_type)
        });
        let first = first.filter(|link_type| decode::reads(*link_type));
        Filter::compile(expression, first.unwrap_or(LinkType::ETHERNET))?;
    }
    Ok(())
}

struct Job<'a> {
    reading: &'a Reading,
    files: &'a [SaveFile],
    progress: &'a Progress,
}

/// A stretch of one file.
#[derive(Debug, Clone, Copy)]
struct Segment {
    capture: usize,
    from: u64,
    until: u64,
}

/// What a worker made of its share.
struct Part {
    table: FlowTable,
    reads: Vec<SegmentRead>,
}

struct SegmentRead {
    capture: usize,
    /// Where reading began; `None` when no record boundary was found.
    start: Option<Cursor>,
    end: Option<Cursor>,
    counts: CaptureCounts,
}

impl Job<'_> {
    /// Reads every share, in parallel. A share without a part has to be read again.
    fn parts(&self, total: u64) -> Vec<(Vec<Segment>, Option<Part>)> {
        let held = AtomicUsize::new(0);
        self.shares(total)
            .into_par_iter()
            .enumerate()
            .map(|(position, segments)| {
                let mut room = Room::new(&held, self.reading.limits, position > 0);
                let part = self.part(&segments, &mut room);
                (segments, part)
            })
            .collect()
    }

    /// What can be made of a share alone. Where its beginning was guessed wrong it may end in an
    /// error that one thread would not have met: that, too, has to be read again.
    fn part(&self, segments: &[Segment], room: &mut Room<'_>) -> Option<Part> {
        let mut table = FlowTable::new(self.reading.limits);
        let mut reads = Vec::with_capacity(segments.len());
        for segment in segments {
            let file = self.file(segment.capture);
            let start =
                if segment.from == 0 { Some(file.start()) } else { file.resync(segment.from) };
            reads.push(self.segment(*segment, start, 0, &mut table, room).ok()?);
            if room.given_up {
                return None;
            }
        }
        Some(Part { table, reads })
    }

    /// Cuts all bytes into equal shares in capture order.
    fn shares(&self, total: u64) -> Vec<Vec<Segment>> {
        let threads = self.reading.threads.max(1) as u64;
        let size = total.div_ceil(threads).max(MIN_SHARE);
        let mut shares: Vec<Vec<Segment>> = vec![Vec::new()];
        let mut room = size;
        for (capture, file) in self.files.iter().enumerate() {
            let mut from = 0;
            loop {
                let left = file.len().saturating_sub(from);
                // A rest too short to be worth a seam goes with the share before it.
                let take = if left <= room + MIN_SHARE / 2 { left } else { room };
                let until = from + take;
                if let Some(share) = shares.last_mut() {
                    let until = if take == left { u64::MAX } else { until };
                    share.push(Segment { capture, from, until });
                }
                room = room.saturating_sub(take);
                from = until;
                if room < MIN_SHARE / 2 {
                    shares.push(Vec::new());
                    room = size;
                }
                if take == left {
                    break;
                }
            }
        }
        shares.retain(|share| !share.is_empty());
        shares
    }

    fn file(&self, capture: usize) -> &SaveFile {
        &self.files[capture]
    }

    /// Reads one stretch from a known place. `base` is the number of frames before it.
    fn segment(
        &self,
        segment: Segment,
        start: Option<Cursor>,
        base: u64,
        table: &mut FlowTable,
        room: &mut Room<'_>,
    ) -> Result<SegmentRead> {
        let file = self.file(segment.capture);
        let mut counts = CaptureCounts::new(file.path(), file.format());
        let Some(cursor) = start.clone() else {
            return Ok(SegmentRead { capture: segment.capture, start, end: None, counts });
        };
        let mut records = file.records(cursor, segment.until);
        self.drain(&mut records, segment.capture as u32, (base, room), &mut counts, table)?;
        let end = Some(records.cursor());
        Ok(SegmentRead { capture: segment.capture, start, end, counts })
    }

    fn drain(
        &self,
        records: &mut Records,
        capture: u32,
        (base, room): (u64, &mut Room<'_>),
        counts: &mut CaptureCounts,
        table: &mut FlowTable,
    ) -> Result<()> {
        let mut filter = None;
        let mut reported = records.position();
        let mut since = 0_u32;
        while let Some(mut frame) = records.next() {
            frame.number += base;
            counts.tally.count(&frame);
            // A link type that is not read may have no filter either: it is counted as not read.
            if let Some(expression) = &self.reading.filter
                && decode::reads(frame.link_type)
            {
                let filter = match &mut filter {
                    Some(filter) => filter,
                    none => none.insert(Filter::compile(expression, frame.link_type)?),
                };
                if !filter.passes(&frame)? {
                    counts.tally.filtered_out += 1;
                    continue;
                }
            }
            counts.observe(table, capture, &frame);
            since += 1;
            if since == FRAMES_PER_REPORT {
                since = 0;
                let position = records.position();
                self.progress.done.fetch_add(position - reported, Ordering::Relaxed);
                reported = position;
                room.take(table.len());
                if room.given_up {
                    break;
                }
            }
        }
        self.progress.done.fetch_add(records.position() - reported, Ordering::Relaxed);
        counts.damage = records.damage().map(str::to_owned);
        counts.tally.dropped_by_capture = records.dropped_by_capture();
        Ok(())
    }
}

/// The room for flows that shares have in common. Without it, every share could fill a table of
/// its own before joining them finds that there are too many.
struct Room<'a> {
    /// Flows held by all shares.
    held: Option<&'a AtomicUsize>,
    most: usize,
    /// Flows held by this one.
    mine: usize,
    /// Whether this share may be left for a second reading. The first one never needs it.
    may_give_up: bool,
    given_up: bool,
}

impl<'a> Room<'a> {
    /// The room of one share. Flows that go on from share to share are held by each of them, hence
    /// twice the bound of one table.
    fn new(held: &'a AtomicUsize, limits: Limits, may_give_up: bool) -> Self {
        let most = limits.max_flows.saturating_mul(2);
        Self { held: Some(held), most, mine: 0, may_give_up, given_up: false }
    }

    /// Room without other shares.
    fn alone() -> Room<'static> {
        Room { held: None, most: usize::MAX, mine: 0, may_give_up: false, given_up: false }
    }

    /// Says how many flows the share now holds.
    fn take(&mut self, flows: usize) {
        let Some(held) = self.held else {
            return;
        };
        let more = flows.saturating_sub(self.mine);
        let all = held.fetch_add(more, Ordering::Relaxed).saturating_add(more);
        self.mine = flows;
        if self.may_give_up && all > self.most {
            held.fetch_sub(flows, Ordering::Relaxed);
            self.given_up = true;
        }
    }
}

/// The shares joined so far.
struct Joined<'a> {
    job: &'a Job<'a>,
    captures: Vec<CaptureCounts>,
    /// Where the last capture's reading ended.
    end: Option<Cursor>,
    table: FlowTable,
}

impl<'a> Joined<'a> {
    fn new(job: &'a Job<'a>) -> Self {
        let table = FlowTable::new(job.reading.limits);
        Self { job, captures: Vec::new(), end: None, table }
    }

    fn append(&mut self, segments: &[Segment], part: Option<Part>) -> Result<()> {
        let Some(part) = part.filter(|part| self.fits(part)) else {
            return self.read_again(segments);
        };
        let Part { mut table, reads } = part;
        if let Some(lead) = reads.first() {
            let base = self.captures.get(lead.capture).map_or(0, |c| c.tally.frames);
            table.rebase(lead.capture as u32, base);
        }
        if self.captures.is_empty() {
            self.table = table;
        } else if self.table.merge(table).is_err() {
            return self.read_again(segments);
        }
        for read in reads {
            self.note(read);
        }
        Ok(())
    }

    /// Whether a part begins where the ones before it ended.
    fn fits(&self, part: &Part) -> bool {
        match part.reads.first() {
            None => true,
            Some(lead) if lead.capture == self.captures.len() => true,
            Some(lead) => {
                let damaged = self.captures.last().is_some_and(|c| c.damage.is_some());
                !damaged && lead.start.is_some() && lead.start == self.end
            }
        }
    }

    /// Reads a share on top of what stands before it, as one thread would have.
    fn read_again(&mut self, segments: &[Segment]) -> Result<()> {
        for segment in segments {
            let continued = segment.capture < self.captures.len();
            let known = self.captures.get(segment.capture);
            if known.is_some_and(|counts| counts.damage.is_some()) {
                // Reading this file ended before the share began.
                continue;
            }
            let start = if continued {
                self.end.clone()
            } else {
                Some(self.job.file(segment.capture).start())
            };
            let base = known.map_or(0, |counts| counts.tally.frames);
            let mut room = Room::alone();
            let read = self.job.segment(*segment, start, base, &mut self.table, &mut room)?;
            self.note(read);
        }
        Ok(())
    }

    fn note(&mut self, read: SegmentRead) {
        match self.captures.get_mut(read.capture) {
            Some(counts) => counts.merge(&read.counts),
            None => self.captures.push(read.counts),
        }
        self.end = read.end;
    }
}

fn read_stream(
    job: &Job<'_>,
    source: &Source,
    capture: u32,
    table: &mut FlowTable,
) -> Result<CaptureCounts> {
    let (path, mut records) = match source {
        Source::StandardInput => {
            let stdin = Box::new(std::io::stdin());
            (Path::new("-"), Records::from_stream("standard input", stdin)?)
        }
        Source::File(path) | Source::Pipe(path) => {
            let file = std::fs::File::open(path)
                .map_err(|source| Error::Open { path: path.clone(), source })?;
            (path.as_path(), Records::from_stream(&path.display().to_string(), Box::new(file))?)
        }
    };
    let mut counts = CaptureCounts::new(path, records.format());
    job.drain(&mut records, capture, (0, &mut Room::alone()), &mut counts, table)?;
    Ok(counts)
}

/// Files held open at a time; the others are opened again when they are read. Many systems allow
/// a program 1,024, some 256.
const MAX_OPEN: usize = 128;
/// A share shorter than this is not worth a worker of its own.
const MIN_SHARE: u64 = 1 << 20;
/// Frames between two updates of the progress counter.
const FRAMES_PER_REPORT: u32 = 16_384;
