//! Parallel reading inside one file and over many, exact by construction.
//!
//! The bytes of all files, in capture order, are cut into as many equal shares as there are
//! threads. Each worker finds the first record at or after its share's start and reads its share
//! into a table of its own. Then the shares are joined in order, and each is verified first: it
//! must begin exactly where the one before it ended, with the same interfaces in force, and no
//! table may have reached a bound. A share that fails is read again on top of what stands before
//! it, which is what one thread would have done. So a wrong guess costs time, never truth.
//!
//! A compressed file cannot be cut: it belongs to one share, and is unpacked by a thread of its own.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::decode::{self, Decoded, Stop};
use crate::error::{Error, Result};
use crate::flow::{FlowTable, Limits};
use crate::input::filter::Filter;
use crate::input::notes::Names;
use crate::input::savefile::{CaptureFile, Cursor, PackedFile, Records};
use crate::input::sources::{self, Source};
use crate::input::unpack::{Unpacked, unpack};
use crate::input::{Compression, Format, Frame, LinkType, Tally};
use crate::pipeline::ahead::Ahead;
use crate::pipeline::meter::Meter;
use crate::pipeline::room::Room;
use crate::pipeline::shares::{Cut, Extent, Segment, shares};
use crate::report::display_path;

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
    /// Bytes to read, 0 when unknown; of compressed captures the compressed ones.
    pub total: AtomicU64,
    /// Bytes read, counted in the same way.
    pub done: AtomicU64,
    /// Bytes that came out of compressed captures.
    pub unpacked: AtomicU64,
}

/// What was counted in one capture.
#[derive(Debug, Clone)]
pub struct CaptureCounts {
    /// The path as given.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// How it is compressed, if it is.
    pub compression: Option<Compression>,
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
            compression: None,
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
    /// What the captures call addresses. Kept of the run instead of each capture, so that their
    /// bound is one, however many captures there are.
    pub names: Names,
    /// Inputs that could not be used; the others have been read.
    pub errors: Vec<Error>,
}

/// Reads captures into one flow table. The result does not depend on the number of threads.
pub fn read(reading: &Reading, progress: &Progress) -> Result<Survey> {
    let mut errors = Vec::new();
    let (files, streams) = open(&reading.captures, &mut errors);
    check_filter(reading, &files)?;
    let total: u64 = files.iter().map(CaptureFile::len).sum();
    progress.total.store(total, Ordering::Relaxed);
    let job = Job { reading, files: &files, progress };
    let mut joined = Joined::new(&job);
    for (segments, part) in job.parts() {
        joined.append(&segments, part)?;
    }
    let Joined { mut captures, mut table, mut names, .. } = joined;
    for source in streams {
        match read_stream(&job, &source, captures.len() as u32, &mut table) {
            Ok(mut counts) => {
                names.take(&mut counts.tally.notes.names);
                captures.push(counts);
            }
            Err(error) => errors.push(error),
        }
    }
    Ok(Survey { captures, table, names, errors })
}

/// Opens the files in the order of their first frames, so that rotated sets and arguments in any
/// order form one timeline. Standard input and pipes cannot be read twice and come last.
fn open(paths: &[PathBuf], errors: &mut Vec<Error>) -> (Vec<CaptureFile>, Vec<Source>) {
    let mut files = Vec::new();
    let mut streams = Vec::new();
    for found in sources::find(paths) {
        match found.and_then(|source| match source {
            Source::File(path) => CaptureFile::open(&path).map(Some),
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
fn check_filter(reading: &Reading, files: &[CaptureFile]) -> Result<()> {
    if let Some(expression) = &reading.filter {
        let first = files.first().and_then(CaptureFile::first_link_type);
        let first = first.filter(|link_type| decode::reads(*link_type));
        Filter::compile(expression, first.unwrap_or(LinkType::ETHERNET))?;
    }
    Ok(())
}

struct Job<'a> {
    reading: &'a Reading,
    files: &'a [CaptureFile],
    progress: &'a Progress,
}

/// What a worker made of its share.
struct Part {
    table: FlowTable,
    reads: Vec<SegmentRead>,
    names: Names,
}

struct SegmentRead {
    capture: usize,
    /// Where reading began; `None` when no record boundary was found.
    start: Option<Cursor>,
    end: Option<Cursor>,
    counts: CaptureCounts,
}

/// Where the frames of a reading belong.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Number of the capture in the run.
    capture: u32,
    /// Frames of the capture before this reading.
    base: u64,
}

impl Job<'_> {
    /// Reads every share, in parallel. A share without a part has to be read again.
    fn parts(&self) -> Vec<(Vec<Segment>, Option<Part>)> {
        let held = AtomicUsize::new(0);
        self.shares()
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
        let mut reads: Vec<SegmentRead> = Vec::with_capacity(segments.len());
        let mut names = Names::default();
        for segment in segments {
            // Only where the last one ends is asked for, and a context may be large.
            if let Some(before) = reads.last_mut() {
                before.end = None;
            }
            let start = start(self.file(segment.capture), segment.from);
            let mut read = self.segment(*segment, start, 0, &mut table, room).ok()?;
            names.take(&mut read.counts.tally.notes.names);
            reads.push(read);
            if room.given_up {
                return None;
            }
        }
        Some(Part { table, reads, names })
    }

    /// Cuts all bytes into equal shares in capture order.
    fn shares(&self) -> Vec<Vec<Segment>> {
        let extents: Vec<Extent> = self.files.iter().map(extent).collect();
        shares(&extents, self.reading.threads)
    }

    fn file(&self, capture: usize) -> &CaptureFile {
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
        let file = match self.file(segment.capture) {
            CaptureFile::Plain(file) => file,
            CaptureFile::Packed(file) => return self.packed(segment.capture, file, table, room),
        };
        let mut counts = CaptureCounts::new(file.path(), file.format());
        let Some(cursor) = start.clone() else {
            return Ok(SegmentRead { capture: segment.capture, start, end: None, counts });
        };
        let mut records = file.records(cursor, segment.until);
        let meter = Meter::new(self.progress, None);
        let at = Place { capture: segment.capture as u32, base };
        self.drain(&mut records, at, meter, room, &mut counts, table)?;
        let end = Some(records.cursor());
        Ok(SegmentRead { capture: segment.capture, start, end, counts })
    }

    /// Reads a compressed file, which begins and ends with its share.
    fn packed(
        &self,
        capture: usize,
        file: &PackedFile,
        table: &mut FlowTable,
        room: &mut Room<'_>,
    ) -> Result<SegmentRead> {
        let compression = Some(file.compression());
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
                self.drain(&mut records, at, meter, room, &mut counts, table)?;
            }
            // It could be read when the run began.
            Err(error) => counts.damage = Some(error.to_string()),
        }
        Ok(SegmentRead { capture, start: None, end: None, counts })
    }

    fn drain(
        &self,
        records: &mut Records,
        at: Place,
        mut meter: Meter<'_>,
        room: &mut Room<'_>,
        counts: &mut CaptureCounts,
        table: &mut FlowTable,
    ) -> Result<()> {
        let mut filter = None;
        let mut since = 0_u32;
        while let Some(mut frame) = records.next() {
            frame.number += at.base;
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
            counts.observe(table, at.capture, &frame);
            since += 1;
            if since == FRAMES_PER_REPORT {
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
        counts.tally.dropped_by_capture = records.dropped_by_capture();
        counts.tally.notes = records.take_notes();
        Ok(())
    }
}

/// The shares joined so far.
struct Joined<'a> {
    job: &'a Job<'a>,
    captures: Vec<CaptureCounts>,
    /// Where the last capture's reading ended.
    end: Option<Cursor>,
    table: FlowTable,
    names: Names,
}

impl<'a> Joined<'a> {
    fn new(job: &'a Job<'a>) -> Self {
        let table = FlowTable::new(job.reading.limits);
        Self { job, captures: Vec::new(), end: None, table, names: Names::default() }
    }

    fn append(&mut self, segments: &[Segment], part: Option<Part>) -> Result<()> {
        let Some(part) = part.filter(|part| self.fits(part)) else {
            return self.read_again(segments);
        };
        let Part { mut table, reads, mut names } = part;
        if let Some(lead) = reads.first() {
            let base = self.captures.get(lead.capture).map_or(0, |c| c.tally.frames);
            table.rebase(lead.capture as u32, base);
        }
        if self.captures.is_empty() {
            self.table = table;
        } else if self.table.merge(table).is_err() {
            return self.read_again(segments);
        }
        self.names.take(&mut names);
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
            let start =
                if continued { self.end.clone() } else { start(self.job.file(segment.capture), 0) };
            let base = known.map_or(0, |counts| counts.tally.frames);
            let mut room = Room::alone();
            let read = self.job.segment(*segment, start, base, &mut self.table, &mut room)?;
            self.note(read);
        }
        Ok(())
    }

    fn note(&mut self, mut read: SegmentRead) {
        self.names.take(&mut read.counts.tally.notes.names);
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
    let (path, stream): (_, Box<dyn Read + Send>) = match source {
        Source::StandardInput => (Path::new("-"), Box::new(std::io::stdin())),
        Source::File(path) | Source::Pipe(path) => {
            let file = std::fs::File::open(path)
                .map_err(|source| Error::Open { path: path.clone(), source })?;
            (path.as_path(), Box::new(file))
        }
    };
    let name = display_path(path);
    let Unpacked { compression, stream, taken } =
        unpack(stream).map_err(|source| Error::Read { path: name.clone().into(), source })?;
    let (stream, taken) = match compression {
        Some(_) => (Ahead::of(stream), Some(taken)),
        None => (stream, None),
    };
    let mut records = Records::from_unpacked(&name, stream, compression)?;
    let mut counts = CaptureCounts::new(path, records.format());
    counts.compression = compression;
    let meter = Meter::new(job.progress, taken);
    let at = Place { capture, base: 0 };
    job.drain(&mut records, at, meter, &mut Room::alone(), &mut counts, table)?;
    Ok(counts)
}

/// Where reading begins in a file: at its beginning, or at a guess.
fn start(file: &CaptureFile, from: u64) -> Option<Cursor> {
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

/// Files held open at a time; the others are opened again when they are read. Many systems allow
/// a program 1,024, some 256.
const MAX_OPEN: usize = 128;
/// Frames between two updates of the progress counter.
const FRAMES_PER_REPORT: u32 = 16_384;
