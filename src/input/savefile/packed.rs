//! Compressed capture files. Nobody knows where a record begins in them, so each is read from its
//! beginning, by one reader, as a stream.

use super::Records;
use super::handle::Handle;
use crate::error::{Error, Result};
use crate::input::unpack::{Unpacked, unpack};
use crate::input::{Compression, Format, LinkType, Timestamp};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// An opened compressed capture file.
#[derive(Debug)]
pub struct PackedFile {
    handle: Handle,
    len: u64,
    compression: Compression,
    format: Format,
    /// Time and link type of the first frame.
    first: Option<(Timestamp, LinkType)>,
}

impl PackedFile {
    /// Decompresses the beginning of an opened file, up to the first frame.
    pub(super) fn over(path: &Path, file: Arc<File>, len: u64) -> Result<Self> {
        let Unpacked { compression, stream, .. } =
            unpacked(&file).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let Some(compression) = compression else {
            let why = "it holds nothing but data that is to be skipped".to_owned();
            return Err(Error::NotACapture { path: path.to_owned(), why });
        };
        let name = path.display().to_string();
        let mut records = Records::from_unpacked(&name, stream, Some(compression))?;
        let first = records.next().map(|frame| (frame.time, frame.link_type));
        let format = records.format();
        let handle = Handle::over(path, file)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Ok(Self { handle, len, compression, format, first })
    }

    /// Closes the file until it is read: a system lets a program hold some hundreds open.
    pub fn release(&mut self) {
        self.handle.release();
    }

    /// Path as given.
    pub fn path(&self) -> &Path {
        self.handle.path()
    }

    /// Length in bytes of the compressed file when it was opened.
    #[expect(clippy::len_without_is_empty, reason = "an empty file is not a capture")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// How it is compressed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Format of the capture inside.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Time of the first frame; None when there is none.
    pub fn first_time(&self) -> Option<Timestamp> {
        self.first.map(|(time, _)| time)
    }

    /// Link type of the first frame; None when there is none.
    pub fn first_link_type(&self) -> Option<LinkType> {
        self.first.map(|(_, link_type)| link_type)
    }

    /// The capture inside from its beginning, for [`Records::from_unpacked`]. May be asked for again.
    pub fn unpacked(&self) -> io::Result<Unpacked> {
        unpacked(&self.handle.file()?)
    }
}

fn unpacked(file: &Arc<File>) -> io::Result<Unpacked> {
    unpack(Box::new(Positioned { file: Arc::clone(file), position: 0 }))
}

/// A file read from its beginning without moving the place that its readers share.
struct Positioned {
    file: Arc<File>,
    position: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}
