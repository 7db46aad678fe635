//! Reads a stream on a thread of its own, so that decompressing overlaps with analysis.
//!
//! What is read stays the same, in the same pieces; only the waiting is shared.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// A stream read ahead, a few buffers at most.
///
/// Buffers go round: emptied ones return to the thread. It ends when the stream does, and when
/// this is dropped, as soon as it has filled the buffer at hand.
pub(super) struct Ahead {
    filled: Receiver<Piece>,
    emptied: SyncSender<Vec<u8>>,
    /// What is being handed out, from `at` on.
    current: Piece,
    at: usize,
    over: bool,
}

/// A buffer and what is in it.
#[derive(Default)]
struct Piece {
    buffer: Vec<u8>,
    len: usize,
    /// Whether the stream ends behind these bytes, and how.
    end: Option<io::Result<()>>,
}

impl Ahead {
    /// Puts a thread to reading a stream. Where none can be started, reading stays with the caller.
    pub(super) fn of(stream: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        let (give_filled, filled) = sync_channel(DEPTH);
        let (emptied, take_emptied) = sync_channel(DEPTH);
        // Handed over through a third channel, so that it is not lost with a thread that never was.
        let (hand_over, taken_over) = sync_channel::<Box<dyn Read + Send>>(1);
        let started = thread::Builder::new().name("unpack".into()).spawn(move || {
            if let Ok(stream) = taken_over.recv() {
                read_on(stream, &take_emptied, &give_filled);
            }
        });
        if started.is_err() {
            return stream;
        }
        for _ in 0..DEPTH {
            let _room = emptied.try_send(vec![0; PIECE]);
        }
        match hand_over.send(stream) {
            Ok(()) => {
                let current = Piece::default();
                Box::new(Self { filled, emptied, current, at: 0, over: false })
            }
            Err(returned) => returned.0,
        }
    }

    /// Takes the next piece.
    fn turn(&mut self) -> io::Result<()> {
        let piece = self.filled.recv().map_err(|_| io::Error::other("decompressing stopped"))?;
        let before = std::mem::replace(&mut self.current, piece);
        self.at = 0;
        if !before.buffer.is_empty() {
            // Nobody takes it when the stream has been read to its end.
            let _last = self.emptied.try_send(before.buffer);
        }
        Ok(())
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.over && !buffer.is_empty() {
            let Piece { buffer: bytes, len, end } = &mut self.current;
            let mut there = bytes.get(self.at..*len).unwrap_or_default();
            let count = there.read(buffer)?;
            if count > 0 {
                self.at += count;
                return Ok(count);
            }
            if let Some(end) = end.take() {
                self.over = true;
                return end.map(|()| 0);
            }
            if let Err(error) = self.turn() {
                self.over = true;
                return Err(error);
            }
        }
        Ok(0)
    }
}

/// Fills buffers until the stream ends or nobody wants them.
fn read_on(
    mut stream: Box<dyn Read + Send>,
    emptied: &Receiver<Vec<u8>>,
    filled: &SyncSender<Piece>,
) {
    while let Ok(buffer) = emptied.recv() {
        let piece = fill(&mut *stream, buffer);
        let over = piece.end.is_some();
        if filled.send(piece).is_err() || over {
            return;
        }
    }
}

fn fill(stream: &mut dyn Read, mut buffer: Vec<u8>) -> Piece {
    let mut len = 0;
    let end = loop {
        let rest = buffer.get_mut(len..).unwrap_or_default();
        if rest.is_empty() {
            break None;
        }
        match stream.read(rest) {
            Ok(0) => break Some(Ok(())),
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Some(Err(error)),
        }
    };
    Piece { buffer, len, end }
}

/// Size of a buffer in bytes.
const PIECE: usize = 256 << 10;
/// Buffers in use: one is filled, one is read, two wait.
const DEPTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives bytes in pieces of odd sizes, then an end.
    struct Source {
        left: usize,
        end: Option<io::Error>,
    }

    impl Read for Source {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.left.min(buffer.len()).min(99_991);
            for (index, byte) in buffer[..count].iter_mut().enumerate() {
                *byte = (self.left - index) as u8;
            }
            self.left -= count;
            match self.end.take_if(|_| count == 0) {
                Some(error) => Err(error),
                None => Ok(count),
            }
        }
    }

    #[test]
    fn nothing_is_lost_or_turned() {
        for len in [0, 1, PIECE, 5 * PIECE + 17] {
            let mut out = Vec::new();
            Ahead::of(Box::new(Source { left: len, end: None })).read_to_end(&mut out).unwrap();
            let expected: Vec<u8> = (0..len).map(|index| (len - index) as u8).collect();
            assert!(out == expected, "{len}");
        }
    }

    #[test]
    fn an_error_comes_behind_the_bytes_before_it_and_once() {
        let end = Some(io::Error::other("unplugged"));
        let mut ahead = Ahead::of(Box::new(Source { left: PIECE + 5, end }));
        let mut out = Vec::new();
        assert_eq!(ahead.read_to_end(&mut out).unwrap_err().to_string(), "unplugged");
        assert_eq!(out.len(), PIECE + 5);
        assert_eq!(ahead.read(&mut [0; 4]).unwrap(), 0);
    }

    #[test]
    fn a_reader_that_loses_interest_ends_the_thread() {
        struct Endless(SyncSender<()>);
        impl Read for Endless {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                Ok(buffer.len())
            }
        }
        impl Drop for Endless {
            fn drop(&mut self) {
                let _nobody = self.0.try_send(());
            }
        }
        let (ended, end) = sync_channel(1);
        let mut ahead = Ahead::of(Box::new(Endless(ended)));
        assert_eq!(ahead.read(&mut [0; 10]).unwrap(), 10);
        drop(ahead);
        end.recv().expect("the thread drops its stream");
    }

    #[test]
    fn a_thread_that_dies_is_no_end_of_the_stream() {
        struct Dies;
        impl Read for Dies {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                std::panic::resume_unwind(Box::new("dies"));
            }
        }
        let error = Ahead::of(Box::new(Dies)).read(&mut [0; 10]).unwrap_err();
        assert_eq!(error.to_string(), "decompressing stopped");
    }
}
