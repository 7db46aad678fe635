//! The hallway: wires the rooms, and is the only home of threads.
//!
//! Every run has the same three steps: read (frames become one flow table, in parallel), judge
//! (flows become findings) and conclude (findings and capture quality become the answer). Read
//! [`read`] for the parallel reading and why it is exact, then [`check`].

mod ahead;
pub mod cases;
pub mod check;
pub mod counts;
pub mod flows;
mod gleaned;
pub mod intake;
mod join;
pub mod judge;
mod meter;
mod names;
pub mod quality;
pub mod read;
mod request;
mod room;
mod shares;
pub mod watch;
mod worker;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How much work may run side by side: all cores unless told otherwise. Never changes a result.
pub fn threads(asked: Option<NonZeroUsize>) -> usize {
    asked
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get)
        .min(MAX_THREADS)
}

/// More workers than any machine has use for: starting them alone would take longer than the work.
const MAX_THREADS: usize = 512;

/// A worker pool of the given size for the parallel steps of one run.
pub fn in_pool<R: Send>(threads: usize, work: impl FnOnce() -> R + Send) -> R {
    match rayon::ThreadPoolBuilder::new().num_threads(threads).build() {
        Ok(pool) => pool.install(work),
        // No thread could be started: the calling one does it all.
        Err(_) => work(),
    }
}

/// Runs `work` and, beside it, `tick` again and again until the work is over.
pub fn alongside<R>(work: impl FnOnce() -> R, every: Duration, mut tick: impl FnMut() + Send) -> R {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                std::thread::sleep(every);
                tick();
            }
        });
        let result = work();
        over.store(true, Ordering::Relaxed);
        result
    })
}
