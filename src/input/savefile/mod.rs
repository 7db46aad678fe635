//! Capture files, read natively: pcap and pcapng, at any place, by any number of readers at once.
//!
//! [`CaptureFile::open`] looks at the head of a file: it is a [`SaveFile`], or a [`PackedFile`] that
//! has to be decompressed from its beginning. What follows is about the first. [`SaveFile::records`] reads a part of it as
//! [`Records`]. To read parts in parallel, guess where each begins with [`SaveFile::resync`], read
//! them all, and compare: a part whose assumed [`Cursor`] is not the one at which the part before
//! it ended was guessed wrong and is read again from there. So a wrong guess costs time, never
//! truth.
//!
//! Bytes are read by position into one reused buffer; frames borrow it; nothing is allocated or
//! copied per frame.

mod clock;
#[cfg(test)]
mod craft;
mod handle;
mod kept;
mod notes;
mod order;
mod packed;
mod pcap;
mod pcapng;
mod records;
mod resync;
mod sniff;
mod step;
mod variant;
mod window;

pub use kept::CaptureFile;
pub use packed::PackedFile;
pub use records::{Batch, Kept, Records};

use super::{Format, Timestamp};
use crate::error::{Error, Result};
use crate::input::notes::Notes;
use handle::Handle;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use step::Step;
use window::Window;

/// An opened capture file. Cheap to read in many places at once.
#[derive(Debug)]
pub struct SaveFile {
    handle: Handle,
    len: u64,
    format: Format,
    first_time: Option<Timestamp>,
    start: Cursor,
    /// Where the first frame begins: from here on the context is known to have settled.
    settled: Cursor,
}

/// A place between two records, and what must be known to read on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Byte offset.
    pub offset: u64,
    /// Context in force.
    pub context: Arc<Context>,
}

/// What must be known to read on at an offset: for pcap the header of the file; for pcapng the
/// byte order of the section, the interfaces declared so far and their drop counters.
///
/// Compares by value: two contexts are equal when everything after them reads the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context(Kind);

impl Context {
    /// Whether it is too large to be kept for every file of a run while the others are read.
    fn is_large(&self) -> bool {
        match &self.0 {
            Kind::Pcap(_) => false,
            Kind::Pcapng(section) => section.interfaces() > MAX_KEPT_INTERFACES,
        }
    }

    /// What stands at the beginning of the bytes.
    #[inline]
    fn step(&self, bytes: &[u8]) -> Step {
        match &self.0 {
            Kind::Pcap(layout) => layout.step(bytes),
            Kind::Pcapng(section) => section.step(bytes),
        }
    }

    /// Takes down what the block at the beginning of the bytes says beside frames and statistics.
    #[inline(never)]
    fn note(&self, bytes: &[u8], length: usize, notes: &mut Notes) {
        if let Kind::Pcapng(section) = &self.0 {
            section.note(bytes.get(..length).unwrap_or_default(), notes);
        }
    }
}

/// The context of either format.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Pcap(pcap::Layout),
    Pcapng(pcapng::Section),
}

impl SaveFile {
    /// Opens a capture and reads its head, up to the first frame.
    ///
    /// Pipes and devices cannot be read by position: see [`Records::from_stream`].
    pub fn open(path: &Path) -> Result<Self> {
        let (file, len) = kept::regular(path)?;
        Self::over(path, file, len)
    }

    /// Reads the head of an opened file.
    fn over(path: &Path, file: Arc<File>, len: u64) -> Result<Self> {
        let handle = Handle::over(path, Arc::clone(&file))
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let head = Window::over_file(file, 0, HEAD as u64, HEAD);
        let mut records = Records::begin(head, path)?;
        let start = records.cursor();
        let first_time = records.next().map(|frame| frame.time);
        // Without what settled it, a part in the middle is guessed wrong and read again.
        let latest = records.latest();
        let settled = if latest.context.is_large() { start.clone() } else { latest };
        let format = records.format();
        Ok(Self { handle, len, format, first_time, start, settled })
    }

    /// Closes the file until it is read: a system lets a program hold some hundreds open.
    pub fn release(&mut self) {
        self.handle.release();
    }

    /// Path as given.
    pub fn path(&self) -> &Path {
        self.handle.path()
    }

    /// Length in bytes when it was opened.
    #[expect(clippy::len_without_is_empty, reason = "an empty file is not a capture")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Time of the first frame; None when there is none.
    pub fn first_time(&self) -> Option<Timestamp> {
        self.first_time
    }

    /// Before the first record.
    pub fn start(&self) -> Cursor {
        self.start.clone()
    }

    /// First plausible record boundary at or after the offset, with the context that was in force
    /// at the first frame; None when there is none in 64 MiB, or before the end.
    ///
    /// A guess: what was captured may look like records. It holds only if the part before ends
    /// at an equal cursor.
    pub fn resync(&self, offset: u64) -> Option<Cursor> {
        if offset <= self.start.offset {
            return Some(self.start());
        }
        if offset <= self.settled.offset {
            return Some(self.settled.clone());
        }
        let context = Arc::clone(&self.settled.context);
        let file = self.handle.file().ok()?;
        let mut scan = resync::Scan::new(&file, self.len);
        let offset = match &context.0 {
            Kind::Pcap(layout) => scan.pcap(layout, offset, self.first_time?)?,
            Kind::Pcapng(section) => scan.pcapng(section.order(), offset)?,
        };
        Some(Cursor { offset, context })
    }

    /// Reads all records that begin at `from` or later and before byte `until`; `u64::MAX` reads
    /// to the end.
    pub fn records(&self, from: Cursor, until: u64) -> Records {
        let window = match self.handle.file() {
            Ok(file) => Window::over_file(file, from.offset, until, window::CAPACITY),
            Err(error) => Window::failed(from.offset, error),
        };
        Records::new(window, self.format, from.context, until)
    }
}

/// Whether a file that begins with these bytes is a capture, or says so.
pub(super) fn has_capture_magic(head: &[u8]) -> bool {
    sniff::is_capture(head)
}

/// Interfaces remembered of a file that is not being read: 200 KB, so that a thousand files that
/// declare very many take no more than a thousand that do not.
const MAX_KEPT_INTERFACES: usize = 4_096;

/// How much of a file is read to open it, in bytes.
const HEAD: usize = 4 << 10;

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod parts;
#[cfg(test)]
mod tests;
