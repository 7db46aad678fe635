//! A capture as it is kept in a file, compressed or not.

use super::{PackedFile, SaveFile};
use crate::error::{Error, Result};
use crate::input::{Compression, Format, LinkType, Timestamp, unpack};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A capture file, opened.
#[derive(Debug)]
pub enum CaptureFile {
    /// As it was captured: it can be read at any place.
    Plain(SaveFile),
    /// Compressed: it can be read from its beginning only.
    Packed(PackedFile),
}

impl CaptureFile {
    /// Opens a capture, decompressing it as far as its first frame where that is needed.
    pub fn open(path: &Path) -> Result<Self> {
        let (file, len) = regular(path)?;
        let head =
            beginning(&file).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        if unpack::is_packed(&head) {
            PackedFile::over(path, file, len).map(Self::Packed)
        } else {
            SaveFile::over(path, file, len).map(Self::Plain)
        }
    }

    /// Closes the file until it is read: a system lets a program hold some hundreds open.
    pub fn release(&mut self) {
        match self {
            Self::Plain(file) => file.release(),
            Self::Packed(file) => file.release(),
        }
    }

    /// Path as given.
    pub fn path(&self) -> &Path {
        match self {
            Self::Plain(file) => file.path(),
            Self::Packed(file) => file.path(),
        }
    }

    /// Length in bytes of the file when it was opened, compressed if it is.
    #[expect(clippy::len_without_is_empty, reason = "an empty file is not a capture")]
    pub fn len(&self) -> u64 {
        match self {
            Self::Plain(file) => file.len(),
            Self::Packed(file) => file.len(),
        }
    }

    /// Format, of what is inside when it is compressed.
    pub fn format(&self) -> Format {
        match self {
            Self::Plain(file) => file.format(),
            Self::Packed(file) => file.format(),
        }
    }

    /// How it is compressed, if it is.
    pub fn compression(&self) -> Option<Compression> {
        match self {
            Self::Plain(_) => None,
            Self::Packed(file) => Some(file.compression()),
        }
    }

    /// Time of the first frame; None when there is none.
    pub fn first_time(&self) -> Option<Timestamp> {
        match self {
            Self::Plain(file) => file.first_time(),
            Self::Packed(file) => file.first_time(),
        }
    }

    /// Link type of the first frame; None when there is none.
    pub fn first_link_type(&self) -> Option<LinkType> {
        match self {
            Self::Plain(file) => {
                file.records(file.start(), u64::MAX).next().map(|frame| frame.link_type)
            }
            Self::Packed(file) => file.first_link_type(),
        }
    }
}

/// Opens a regular file and tells its length.
pub(super) fn regular(path: &Path) -> Result<(Arc<File>, u64)> {
    let cannot_open = |source| Error::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(cannot_open)?;
    let metadata = file.metadata().map_err(cannot_open)?;
    if !metadata.is_file() {
        let why = if metadata.is_dir() {
            "it is a folder"
        } else {
            "it is no regular file, so it can only be read once, as a stream"
        };
        return Err(Error::NotACapture { path: path.to_owned(), why: why.to_owned() });
    }
    Ok((Arc::new(file), metadata.len()))
}

/// The first eight bytes, or as many as there are.
fn beginning(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; 8];
    let mut filled = 0;
    while let Some(rest) = head.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    head.truncate(filled);
    Ok(head)
}
