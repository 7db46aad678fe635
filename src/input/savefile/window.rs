//! The part of a capture that is in memory: one reused buffer, filled by reads.
//!
//! Measured on files in the page cache, positioned reads into a buffer of 256 KiB beat a memory
//! map, whose page faults cost more than the copy.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// A window that slides over a capture, forwards only.
pub(super) struct Window {
    source: Source,
    buffer: Vec<u8>,
    /// What is not consumed yet is `buffer[start..end]`.
    start: usize,
    end: usize,
    /// Offset of `buffer[0]` in the capture.
    base: u64,
    failure: Option<io::Error>,
}

/// Where the bytes come from.
enum Source {
    /// A file read by position, so that many windows can share it.
    File {
        file: Arc<File>,
        position: u64,
        /// Bytes from here on are rarely wanted: only as much as the last record needs.
        soft_end: u64,
    },
    /// Anything that can only be read once.
    Stream(Box<dyn Read + Send>),
}

impl Window {
    /// A window over a file, from an offset to a place where it will probably end.
    pub(super) fn over_file(file: Arc<File>, offset: u64, soft_end: u64, capacity: usize) -> Self {
        Self::new(Source::File { file, position: offset, soft_end }, offset, capacity)
    }

    /// A window over a stream from its beginning.
    pub(super) fn over_stream(stream: Box<dyn Read + Send>) -> Self {
        Self::new(Source::Stream(stream), 0, CAPACITY)
    }

    /// A window over a file that could not be opened again: what was said then is its failure.
    pub(super) fn failed(offset: u64, error: io::Error) -> Self {
        let nothing = Source::Stream(Box::new(io::empty()));
        Self { failure: Some(error), ..Self::new(nothing, offset, 0) }
    }

    fn new(source: Source, base: u64, capacity: usize) -> Self {
        Self { source, buffer: vec![0; capacity], start: 0, end: 0, base, failure: None }
    }

    /// The bytes in memory that are not consumed yet.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Where in the capture those bytes begin.
    #[inline]
    pub(super) fn offset(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Passes over bytes in memory. They can still be had from [`Self::consumed`] until the next
    /// call of [`Self::fill`] or [`Self::skip`].
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// A part of the bytes consumed last: `len` bytes that begin `back` bytes before the present
    /// place.
    #[inline]
    pub(super) fn consumed(&self, back: usize, len: usize) -> &[u8] {
        let from = self.start.wrapping_sub(back);
        self.buffer.get(from..from.wrapping_add(len)).unwrap_or_default()
    }

    /// Where in memory the next byte is.
    #[inline]
    pub(super) fn place(&self) -> usize {
        self.start
    }

    /// Bytes at a place in memory, until the next call of [`Self::fill`] or [`Self::skip`].
    #[inline]
    pub(super) fn kept(&self, place: usize, len: usize) -> &[u8] {
        self.buffer.get(place..place + len).unwrap_or_default()
    }

    /// Makes at least this many bytes available in [`Self::bytes`]; false when the capture ends
    /// before or cannot be read ([`Self::failure`]). What there is stays available.
    #[cold]
    #[inline(never)]
    pub(super) fn fill(&mut self, needed: usize) -> bool {
        if self.end - self.start >= needed {
            return true;
        }
        self.compact();
        while self.end < needed {
            if self.end == self.buffer.len() {
                // Grown only as bytes arrive, so that a lying length alone costs no memory.
                let grown = needed.min(self.buffer.len() * 2).max(self.buffer.len() + 1);
                self.buffer.resize(grown, 0);
            }
            match self.source.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => return false,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(error);
                    return false;
                }
            }
        }
        true
    }

    /// Passes over bytes without keeping them; false when the capture ends before.
    #[cold]
    pub(super) fn skip(&mut self, count: u64) -> bool {
        let mut left = count;
        loop {
            let here = left.min((self.end - self.start) as u64);
            self.consume(here as usize);
            left -= here;
            if left == 0 {
                return true;
            }
            if let Source::File { file, position, .. } = &mut self.source {
                let len = file.metadata().map_or(0, |metadata| metadata.len());
                let passed = left.min(len.saturating_sub(*position));
                *position += passed;
                self.base = *position;
                (self.start, self.end) = (0, 0);
                return passed == left;
            }
            if !self.fill(1) {
                return false;
            }
        }
    }

    /// What the operating system said when reading failed.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    fn compact(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        self.base += self.start as u64;
        (self.start, self.end) = (0, self.end - self.start);
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, position, soft_end } => {
                let wanted = soft_end.saturating_sub(*position).max(BEYOND) as usize;
                let len = wanted.min(buffer.len());
                let count = file.read_at(buffer.get_mut(..len).unwrap_or_default(), *position)?;
                *position += count as u64;
                Ok(count)
            }
            Self::Stream(stream) => stream.read(buffer),
        }
    }
}

/// Size of the buffer in bytes. 128 to 512 KiB were equally fast, less and more were slower.
pub(super) const CAPACITY: usize = 256 << 10;

/// What is read at a time beyond the soft end: most records are shorter.
const BEYOND: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A stream that gives seven bytes at a time.
    struct Drip(io::Cursor<Vec<u8>>);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = buffer.len().min(7);
            self.0.read(&mut buffer[..len])
        }
    }

    fn both(content: &[u8]) -> [Window; 2] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let drip = Drip(io::Cursor::new(content.to_vec()));
        [Window::over_file(Arc::new(file), 0, u64::MAX, 16), Window::over_stream(Box::new(drip))]
    }

    #[test]
    fn slides_grows_and_ends() {
        let content: Vec<u8> = (0..100).collect();
        for mut window in both(&content) {
            assert!(window.fill(10));
            window.consume(3);
            assert_eq!((window.offset(), window.bytes()[0]), (3, 3));
            assert_eq!(window.consumed(2, 2), [1, 2]);
            assert!(window.fill(60));
            assert_eq!((window.offset(), &window.bytes()[..60]), (3, &content[3..63]));
            assert!(!window.fill(98));
            assert_eq!(window.bytes(), &content[3..]);
            assert!(window.failure().is_none());
        }
    }

    #[test]
    fn skips_in_memory_and_beyond() {
        let content: Vec<u8> = (0..100).collect();
        for mut window in both(&content) {
            assert!(window.fill(10) && window.skip(4) && window.skip(70) && window.fill(1));
            assert_eq!((window.offset(), window.bytes()[0]), (74, 74));
            assert!(!window.skip(27) && !window.fill(1));
            assert_eq!((window.offset(), window.bytes().len()), (100, 0));
        }
    }

    #[test]
    fn a_lying_length_costs_only_what_is_there() {
        for mut window in both(&[1; 50]) {
            assert!(!window.fill(16 << 20));
            assert!(window.buffer.len() <= CAPACITY, "{}", window.buffer.len());
        }
    }

    #[test]
    fn little_is_read_beyond_the_soft_end() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![0; 200_000]).unwrap();
        let mut window = Window::over_file(Arc::new(file), 0, 1_000, CAPACITY);
        assert!(window.fill(900));
        assert_eq!(window.bytes().len(), 16 << 10);
        assert!(window.fill(20_000));
        assert_eq!(window.bytes().len(), 32 << 10);
    }

    #[test]
    fn a_failing_read_is_kept() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("unplugged"))
            }
        }
        let mut window = Window::over_stream(Box::new(Broken));
        assert!(!window.fill(1));
        assert_eq!(window.failure().unwrap().to_string(), "unplugged");
    }
}
