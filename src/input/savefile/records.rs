//! Frame after frame out of a part of a capture.

use super::step::{Fault, Record, Step};
use super::window::Window;
use super::{Context, Cursor, Kind, pcap, pcapng, sniff, variant};
use crate::error::{self, Error};
use crate::input::notes::Notes;
use crate::input::{Compression, Format, Frame, LinkType, Timestamp};
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Frames of a part of a capture, or of standard input.
///
/// Frames are numbered from 1 in the part. Reading ends at the end of the part, of the capture, or
/// at damage ([`Self::damage`]).
pub struct Records {
    window: Window,
    format: Format,
    context: Arc<Context>,
    /// Where this reading began.
    from: u64,
    /// Records that begin here or later are not read.
    until: u64,
    /// Frames delivered.
    number: u64,
    /// Where the latest frame's record began.
    latest: u64,
    dropped: Option<u64>,
    notes: Notes,
    end: End,
}

/// Whether and how reading has come to its end.
#[derive(Debug)]
enum End {
    /// It goes on.
    Ahead,
    /// All was read.
    Clean,
    /// The record at this offset cannot be read, for a reason.
    Damaged { offset: u64, why: String, cut: bool },
}

impl Records {
    /// Reads a capture from a stream such as standard input. The name is used in errors.
    ///
    /// Asks for no more than is needed, so a capture still being written flows through. Only the
    /// first frame of a pcap waits for the header of the second, which tells how long headers are.
    pub fn from_stream(name: &str, stream: Box<dyn Read + Send>) -> error::Result<Self> {
        Self::begin(Window::over_stream(stream), Path::new(name))
    }

    /// Reads what [`unpack`](crate::input::unpack::unpack) made of a stream: errors say that the
    /// capture is the one inside.
    pub fn from_unpacked(
        name: &str,
        stream: Box<dyn Read + Send>,
        compression: Option<Compression>,
    ) -> error::Result<Self> {
        Self::from_stream(name, stream).map_err(|error| match (error, compression) {
            (Error::NotACapture { path, why }, Some(compression)) => {
                let why = format!("unpacked from {}, {why}", compression.name());
                Error::NotACapture { path, why }
            }
            (other, _) => other,
        })
    }

    /// Recognises the capture in a window that stands at its beginning.
    pub(super) fn begin(mut window: Window, path: &Path) -> error::Result<Self> {
        window.fill(pcap::LONGEST_FILE_HEADER);
        let mut format = sniff::recognise(window.bytes());
        if format.is_err() {
            // What it is instead shows later than what a capture is. It may be shorter than that.
            window.fill(sniff::TELLING);
            format = sniff::recognise(window.bytes());
        }
        if let Some(failure) = window.failure() {
            let source = std::io::Error::new(failure.kind(), failure.to_string());
            return Err(Error::Read { path: path.to_owned(), source });
        }
        let not_a_capture = |why| Error::NotACapture { path: path.to_owned(), why };
        let (format, kind) = match format.map_err(not_a_capture)? {
            sniff::Found::Pcap(layout) => {
                window.consume(layout.file_header_len());
                (Format::Pcap, Kind::Pcap(variant::fitting(layout, &mut window)))
            }
            sniff::Found::Pcapng => (Format::Pcapng, Kind::Pcapng(pcapng::Section::new())),
        };
        let mut records = Self::new(window, format, Arc::new(Context(kind)), u64::MAX);
        records.check_first_block().map_err(not_a_capture)?;
        Ok(records)
    }

    /// Reads from where the window stands.
    pub(super) fn new(window: Window, format: Format, context: Arc<Context>, until: u64) -> Self {
        let from = window.offset();
        Self {
            window,
            format,
            context,
            from,
            until,
            number: 0,
            latest: from,
            dropped: None,
            notes: Notes::default(),
            end: End::Ahead,
        }
    }

    /// Format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The next frame; None at the end of the part. Lending: the frame borrows the reader.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its buffer")]
    pub fn next(&mut self) -> Option<Frame<'_>> {
        let record = self.advance()?;
        self.number += 1;
        Some(Frame {
            number: self.number,
            time: record.time,
            link_type: record.link_type,
            data: self.window.consumed(record.total - record.data, record.captured),
            original_len: record.original_len,
        })
    }

    /// Reads the frames that stand next into `batch`, as many as it holds and as memory holds at once;
    /// none at the end of the part. [`Self::frame`] lends each until the next call.
    pub fn batch(&mut self, batch: &mut Batch) {
        batch.len = 0;
        // For the first one bytes may be moved in memory, for no other.
        let Some(record) = self.advance() else { return };
        self.number += 1;
        let place = self.window.place() - record.total;
        batch.put(Kept { place: place + record.data, number: self.number, record });
        let (offset, place) = (self.window.offset(), self.window.place());
        let bytes = self.window.bytes();
        let mut at = 0;
        while !batch.is_full() && offset + (at as u64) < self.until {
            let rest = bytes.get(at..).unwrap_or_default();
            let Step::Frame(record) = self.context.step(rest) else { break };
            if record.noted {
                self.context.note(rest, record.total, &mut self.notes);
            }
            self.latest = offset + at as u64;
            self.number += 1;
            batch.put(Kept { place: place + at + record.data, number: self.number, record });
            at += record.total;
        }
        self.window.consume(at);
    }

    /// A frame of the latest batch.
    #[inline]
    pub fn frame(&self, kept: &Kept) -> Frame<'_> {
        Frame {
            number: kept.number,
            time: kept.record.time,
            link_type: kept.record.link_type,
            data: self.window.kept(kept.place, kept.record.captured),
            original_len: kept.record.original_len,
        }
    }

    /// Where the next record would begin, and the context then in force. After damage: where the
    /// damaged record begins.
    pub fn cursor(&self) -> Cursor {
        let offset = match self.end {
            End::Damaged { offset, .. } => offset,
            End::Ahead | End::Clean => self.window.offset(),
        };
        Cursor { offset, context: Arc::clone(&self.context) }
    }

    /// Why reading ended early, once `next` has returned None: one sentence with the byte offset
    /// and what was found there.
    pub fn damage(&self) -> Option<&str> {
        match &self.end {
            End::Damaged { why, .. } => Some(why),
            End::Ahead | End::Clean => None,
        }
    }

    /// Whether reading ended where the capture ends, at most in its last record.
    pub fn read_to_the_end(&self) -> bool {
        !matches!(self.end, End::Damaged { cut: false, .. })
    }

    /// Bytes read so far, from where this reading began.
    pub fn position(&self) -> u64 {
        self.cursor().offset.saturating_sub(self.from)
    }

    /// Frames that interface statistics met in this part newly report as lost; None where there
    /// were no such statistics. The sum over the parts of a file is the loss of the whole.
    pub fn dropped_by_capture(&self) -> Option<u64> {
        self.dropped
    }

    /// What the blocks read since the last time say beside frames and statistics.
    pub fn take_notes(&mut self) -> Notes {
        std::mem::take(&mut self.notes)
    }

    /// Where the latest frame began, or where reading stands when there was none yet. Packets do
    /// not change the context, so the one now in force was in force there.
    pub(super) fn latest(&self) -> Cursor {
        let offset = if self.number == 0 { self.cursor().offset } else { self.latest };
        Cursor { offset, context: Arc::clone(&self.context) }
    }

    #[inline]
    fn advance(&mut self) -> Option<Record> {
        loop {
            let offset = self.window.offset();
            if offset >= self.until {
                return None;
            }
            match self.context.step(self.window.bytes()) {
                Step::Frame(record) => {
                    self.latest = offset;
                    if record.noted {
                        self.note(record.total);
                    }
                    self.window.consume(record.total);
                    return Some(record);
                }
                other => self.proceed(offset, other),
            }
        }
    }

    /// Does what a step asks for that is no frame.
    #[cold]
    #[inline(never)]
    fn proceed(&mut self, offset: u64, step: Step) {
        let done = match step {
            Step::Frame(_) => Ok(()),
            Step::Need(needed) => self.need(needed),
            Step::Declare(length) => self.declare(length),
            Step::Note(length) => {
                self.note(length);
                self.window.consume(length);
                Ok(())
            }
            Step::Skip(length) => self.skip(length),
            Step::Bad(fault) => Err(Trouble::Fault(fault)),
        };
        if let Err(trouble) = done {
            self.until = 0;
            self.end = match trouble {
                Trouble::TheEnd => End::Clean,
                other => {
                    let cut =
                        matches!(other, Trouble::Cut { .. }) && self.window.failure().is_none();
                    End::Damaged { offset, why: self.tell(offset, &other), cut }
                }
            };
        }
    }

    fn need(&mut self, needed: usize) -> Result<(), Trouble> {
        if self.window.fill(needed) {
            Ok(())
        } else if self.window.bytes().is_empty() && self.window.failure().is_none() {
            Err(Trouble::TheEnd)
        } else {
            Err(Trouble::Cut { needed: needed as u64, had: self.window.bytes().len() as u64 })
        }
    }

    fn declare(&mut self, length: usize) -> Result<(), Trouble> {
        let block = self.window.bytes().get(..length).unwrap_or_default();
        if let Kind::Pcapng(section) = &mut Arc::make_mut(&mut self.context).0
            && let Some(lost) = section.declare(block)?
        {
            self.dropped = Some(self.dropped.unwrap_or(0).saturating_add(lost));
        }
        self.note(length);
        self.window.consume(length);
        Ok(())
    }

    /// Takes down what the block that stands next says beside the rest.
    fn note(&mut self, length: usize) {
        self.context.note(self.window.bytes(), length, &mut self.notes);
    }

    fn skip(&mut self, length: u32) -> Result<(), Trouble> {
        let begin = self.window.offset();
        let kind = match &self.context.0 {
            Kind::Pcapng(section) => section.order().u32_at(self.window.bytes(), 0),
            Kind::Pcap(_) => None,
        };
        let length_before = u64::from(length) - pcapng::TRAILER as u64;
        if !self.window.skip(length_before) || !self.window.fill(pcapng::TRAILER) {
            let had = self.window.offset() + self.window.bytes().len() as u64 - begin;
            return Err(Trouble::Cut { needed: u64::from(length), had });
        }
        if let Kind::Pcapng(section) = &self.context.0 {
            section.check_trailer(self.window.bytes(), length)?;
            if kind == Some(pcapng::NAME_RESOLUTION) {
                // Too long to be read as a whole.
                self.notes.names.miss();
            }
        }
        self.window.consume(pcapng::TRAILER);
        Ok(())
    }

    /// A pcapng file whose first block is broken is no capture at all.
    fn check_first_block(&mut self) -> Result<(), String> {
        while let Kind::Pcapng(section) = &self.context.0 {
            match section.step(self.window.bytes()) {
                Step::Need(needed) => {
                    self.need(needed).map_err(|trouble| self.tell(0, &trouble))?;
                }
                Step::Bad(fault) => return Err(self.tell(0, &Trouble::Fault(fault))),
                _ => break,
            }
        }
        Ok(())
    }

    fn tell(&self, offset: u64, trouble: &Trouble) -> String {
        match (trouble, self.window.failure()) {
            (Trouble::Fault(fault), _) => format!("at byte {offset} {fault}"),
            (_, Some(failure)) => format!("reading failed at byte {offset}: {failure}"),
            (Trouble::Cut { needed, had }, None) => format!(
                "the record at byte {offset} is cut by the end of the capture: \
                 {had} of at least {needed} bytes are there"
            ),
            (Trouble::TheEnd, None) => format!("the capture ends at byte {offset}"),
        }
    }
}

/// Frames read together.
#[derive(Debug)]
pub struct Batch {
    records: Vec<Kept>,
    len: usize,
}

/// Where a frame of a batch is.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    place: usize,
    number: u64,
    record: Record,
}

impl Batch {
    /// A batch of at most so many frames.
    pub fn of(most: usize) -> Self {
        let nothing = Record {
            data: 0,
            captured: 0,
            total: 0,
            time: Timestamp(0),
            link_type: LinkType(0),
            original_len: 0,
            noted: false,
        };
        Self { records: vec![Kept { place: 0, number: 0, record: nothing }; most], len: 0 }
    }

    fn is_full(&self) -> bool {
        self.len == self.records.len()
    }

    #[inline]
    fn put(&mut self, kept: Kept) {
        if let Some(slot) = self.records.get_mut(self.len) {
            *slot = kept;
            self.len += 1;
        }
    }

    /// The frames read last.
    pub fn kept(&self) -> &[Kept] {
        self.records.get(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("format", &self.format)
            .field("from", &self.from)
            .field("offset", &self.window.offset())
            .field("until", &self.until)
            .field("number", &self.number)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Why there is no next record.
#[derive(Debug)]
enum Trouble {
    /// The capture ends between two records.
    TheEnd,
    /// The capture ends, or cannot be read, inside a record.
    Cut { needed: u64, had: u64 },
    /// The bytes are no record.
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
