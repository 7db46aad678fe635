//! The compressed side of a decompressor: counted, in pieces of constant size.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What was read below a decompressor.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    bytes: AtomicU64,
    failed: AtomicBool,
}

impl Gauge {
    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the operating system refused to read on.
    pub(super) fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// A stream that fills each buffer it is given, up to its end.
pub(super) struct Raw<R> {
    stream: R,
    gauge: Arc<Gauge>,
    /// What to say at the next read, since there were bytes before it.
    pending: Option<io::Error>,
}

impl<R: Read> Raw<R> {
    pub(super) fn new(stream: R, gauge: Arc<Gauge>) -> Self {
        Self { stream, gauge, pending: None }
    }
}

impl<R: Read> Read for Raw<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while self.pending.is_none() {
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match self.stream.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.pending = Some(error),
            }
        }
        self.gauge.add(filled as u64);
        match self.pending.take_if(|_| filled == 0) {
            Some(error) => {
                self.gauge.failed.store(true, Ordering::Relaxed);
                Err(error)
            }
            None => Ok(filled),
        }
    }
}
