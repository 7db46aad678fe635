//! LZ4 data in the frame format: frames in a row, some to be skipped.
//!
//! The decoder takes the end of its stream between two blocks for the end of a frame. But a frame
//! ends with a mark, so the end of the stream may only come where a frame could begin.

use super::SKIPPABLE;
use lz4_flex::frame::FrameDecoder;
use std::io::{self, BufRead, Cursor, Read};

/// Frames in a row, their check sums verified.
pub(super) struct Frames<R: BufRead> {
    state: State<R>,
}

enum State<R: BufRead> {
    /// Each frame has a decoder of its own: one that is used again keeps the buffers of the frame
    /// before, which may have had blocks of another size.
    Inside(Box<FrameDecoder<Watched<R>>>),
    Over,
}

impl<R: BufRead> Frames<R> {
    /// Reads a stream that stands at a frame.
    pub(super) fn new(stream: R) -> Self {
        let watched = Watched { stream, ended: false, returned: Cursor::default() };
        Self { state: State::Inside(Box::new(FrameDecoder::new(watched))) }
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let State::Inside(decoder) = &mut self.state {
            let count = decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            if decoder.get_ref().ended {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let State::Inside(decoder) = std::mem::replace(&mut self.state, State::Over) {
                let mut watched = decoder.into_inner();
                if watched.another_frame()? {
                    self.state = State::Inside(Box::new(FrameDecoder::new(watched)));
                }
            }
        }
        Ok(0)
    }
}

/// A stream that remembers whether its end was met, and takes a magic number back.
struct Watched<R> {
    stream: R,
    ended: bool,
    /// What was taken back and not read again yet.
    returned: Cursor<Vec<u8>>,
}

impl<R: BufRead> Watched<R> {
    /// Moves to the next frame, over those to be skipped; false at the end of the stream.
    fn another_frame(&mut self) -> io::Result<bool> {
        while !self.stream.fill_buf()?.is_empty() {
            let mut magic = [0; 4];
            self.stream.read_exact(&mut magic)?;
            if magic == FRAME {
                self.returned = Cursor::new(magic.to_vec());
                return Ok(true);
            }
            if u32::from_le_bytes(magic) & !0xf != SKIPPABLE {
                return Err(io::Error::other(format!("{magic:02x?} follows the end of a frame")));
            }
            let mut length = [0; 4];
            self.stream.read_exact(&mut length)?;
            let length = u64::from(u32::from_le_bytes(length));
            if io::copy(&mut (&mut self.stream).take(length), &mut io::sink())? < length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(false)
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let returned = self.returned.read(buffer)?;
        if returned > 0 {
            return Ok(returned);
        }
        let count = self.stream.read(buffer)?;
        self.ended |= count == 0 && !buffer.is_empty();
        Ok(count)
    }
}

/// What a frame begins with.
const FRAME: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
