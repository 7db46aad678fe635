//! Progress of one reading, in bytes of the file and, where it is compressed, of what is inside.

use std::sync::atomic::Ordering;

use crate::input::unpack::Taken;
use crate::pipeline::request::Progress;

/// Turns the place where a reading stands into progress.
pub(super) struct Meter<'a> {
    progress: &'a Progress,
    /// Where what is read was unpacked from.
    taken: Option<Taken>,
    /// Bytes told so far.
    done: u64,
    unpacked: u64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(progress: &'a Progress, taken: Option<Taken>) -> Self {
        Self { progress, taken, done: 0, unpacked: 0 }
    }

    pub(super) fn tell(&mut self, position: u64) {
        let done = match &self.taken {
            None => position,
            Some(taken) => {
                self.progress.unpacked.fetch_add(position - self.unpacked, Ordering::Relaxed);
                self.unpacked = position;
                taken.bytes()
            }
        };
        self.progress.done.fetch_add(done - self.done, Ordering::Relaxed);
        self.done = done;
    }
}
