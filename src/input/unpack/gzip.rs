//! gzip data (RFC 1952): one member or several in a row, as rotated captures that were put
//! together have.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, Read};

/// Members in a row, their check sums verified.
///
/// Zeros behind the last member are padding, as on tapes and block devices. Other bytes there are
/// damage: flate2's own reader of many members would take zeros for damage too.
pub(super) struct Members<R> {
    state: State<R>,
}

enum State<R> {
    Inside(Box<GzDecoder<R>>),
    Over,
}

impl<R: BufRead> Members<R> {
    /// Reads a stream that stands at a member.
    pub(super) fn new(stream: R) -> Self {
        Self { state: State::Inside(Box::new(GzDecoder::new(stream))) }
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let State::Inside(decoder) = &mut self.state else {
                return Ok(0);
            };
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let State::Inside(decoder) = std::mem::replace(&mut self.state, State::Over) else {
                return Ok(0);
            };
            let mut stream = decoder.into_inner();
            if !skip_zeros(&mut stream)? {
                return Ok(0);
            }
            self.state = State::Inside(Box::new(GzDecoder::new(stream)));
        }
    }
}

/// Passes over zeros; false when nothing follows them.
fn skip_zeros(stream: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = stream.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let more = zeros < bytes.len();
        stream.consume(zeros);
        if more {
            return Ok(true);
        }
    }
}
