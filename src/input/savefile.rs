//! stub
use super::{Format, Frame, Timestamp};
use crate::error::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What must be known to read on at an offset (for pcapng: section and interfaces in force).
#[derive(Debug, PartialEq, Eq)]
pub struct Context {}

/// A place between two records, and what must be known to read on from there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Byte offset.
    pub offset: u64,
    /// Context in force.
    pub context: Arc<Context>,
}

/// An opened capture file.
#[derive(Debug)]
pub struct SaveFile {
    path: PathBuf,
}

impl SaveFile {
    /// Opens a capture and reads its header.
    pub fn open(_path: &Path) -> Result<Self> {
        todo!()
    }
    /// Path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        todo!()
    }
    /// Format.
    pub fn format(&self) -> Format {
        todo!()
    }
    /// Time of the first frame.
    pub fn first_time(&self) -> Option<Timestamp> {
        todo!()
    }
    /// Before the first record.
    pub fn start(&self) -> Cursor {
        todo!()
    }
    /// First plausible record boundary at or after the offset; None when there is none.
    pub fn resync(&self, _offset: u64) -> Option<Cursor> {
        todo!()
    }
    /// Reads all records that begin at `from` or later and before byte `until`.
    pub fn records(&self, _from: Cursor, _until: u64) -> Records {
        todo!()
    }
}

/// Frames of a part of a capture, or of standard input.
#[derive(Debug)]
pub struct Records {}
impl Records {
    /// From a stream such as standard input.
    pub fn from_stream(_name: &str, _stream: Box<dyn std::io::Read + Send>) -> Result<Self> {
        todo!()
    }
    /// Format.
    pub fn format(&self) -> Format {
        todo!()
    }
    /// The next frame; None at the end of the part. Lending: the frame borrows the reader.
    pub fn next(&mut self) -> Option<Frame<'_>> {
        todo!()
    }
    /// Where the next record would begin.
    pub fn cursor(&self) -> Cursor {
        todo!()
    }
    /// Why reading ended early, once `next` has returned None.
    pub fn damage(&self) -> Option<&str> {
        todo!()
    }
    /// Bytes read so far.
    pub fn position(&self) -> u64 {
        todo!()
    }
    /// Dropped frames, from interface statistics.
    pub fn dropped_by_capture(&self) -> Option<u64> {
        todo!()
    }
}
