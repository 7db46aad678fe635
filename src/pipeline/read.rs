//! Parallel reading inside one file and over many, exact by construction.
//!
//! The bytes of all files, in capture order, are cut into as many equal shares as there are
//! threads. Each worker finds the first record at or after its share's start and reads its share
//! into a table of its own. Then the shares are joined in order, and each is verified first: it
//! must begin exactly where the one before it ended, with the same interfaces in force, and no
//! table may have reached a bound. A share that fails is read again on top of what stands before
//! it, which is what one thread would have done. So a wrong guess costs time, never truth.
//!
//! A compressed file cannot be cut: it belongs to one share, and is unpacked by a thread of its own.

pub use crate::pipeline::request::{Progress, Reading};

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::decode;
use crate::error::{Error, Result};
use crate::findings::Negotiations;
use crate::flow::{FlowTable, FragmentCounts, mix};
use crate::input::LinkType;
use crate::input::filter;
use crate::input::notes::Names;
use crate::input::savefile::{CaptureFile, Records};
use crate::input::sources::{self, Source};
use crate::input::unpack::{Unpacked, unpack};
use crate::pipeline::ahead::Ahead;
use crate::pipeline::counts::{self, CaptureCounts};
use crate::pipeline::gleaned::Gleaned;
use crate::pipeline::join::Joined;
use crate::pipeline::meter::Meter;
use crate::pipeline::room::Room;
use crate::pipeline::worker::{Job, Place, drain};
use crate::policy::Learned;
use crate::report::display_path;

/// Everything that reading found.
#[derive(Debug)]
pub struct Survey {
    /// The captures in processing order.
    pub captures: Vec<CaptureCounts>,
    /// The flows of all of them.
    pub table: FlowTable,
    /// What became of fragmented datagrams.
    pub fragments: FragmentCounts,
    /// What the captures call addresses. Kept of the run instead of each capture, so that their
    /// bound is one, however many captures there are.
    pub names: Names,
    /// What content announced of endpoints.
    pub learned: Learned,
    /// What hosts negotiated.
    pub negotiations: Negotiations,
    /// Inputs that could not be used; the others have been read.
    pub errors: Vec<Error>,
}

/// Reads captures into one flow table. The result does not depend on the number of threads.
pub fn read(reading: &Reading, progress: &Progress) -> Result<Survey> {
    let mut errors = Vec::new();
    let (files, streams) = open(&reading.captures, &mut errors);
    check_filter(reading, &files)?;
    let total: u64 = files.iter().map(CaptureFile::len).sum();
    progress.total.store(total, Ordering::Relaxed);
    let seed = mix::seed();
    let job = Job { reading, files: &files, progress, seed };
    let mut joined = Joined::new(&job);
    for (segments, part) in job.parts() {
        joined.append(&segments, part);
    }
    let Joined { mut captures, mut table, mut names, mut gleaned, .. } = joined;
    for source in streams {
        match read_stream(&job, &source, captures.len() as u32, &mut table, &mut gleaned) {
            Ok(mut counts) => {
                names.take(&mut counts.tally.notes.names);
                captures.push(counts);
            }
            Err(error) => errors.push(error),
        }
    }
    let (fragments, strays) = table.finish_fragments();
    counts::add_strays(&mut captures, &strays);
    let Gleaned { learned, negotiations } = gleaned;
    Ok(Survey { captures, table, fragments, names, learned, negotiations, errors })
}

/// Opens the files in the order of their first frames, so that rotated sets and arguments in any
/// order form one timeline. Standard input and pipes cannot be read twice and come last.
fn open(paths: &[PathBuf], errors: &mut Vec<Error>) -> (Vec<CaptureFile>, Vec<Source>) {
    let mut files = Vec::new();
    let mut streams = Vec::new();
    for found in sources::find(paths) {
        match found.and_then(|source| match source {
            Source::File(path) => CaptureFile::open(&path).map(Some),
            stream => {
                streams.push(stream);
                Ok(None)
            }
        }) {
            Ok(file) => files.extend(file.map(|mut file| {
                if files.len() >= MAX_OPEN {
                    file.release();
                }
                file
            })),
            Err(error) => errors.push(error),
        }
    }
    // The sort is stable: files without frames, and equal times, keep their order.
    files.sort_by_key(|file| (file.first_time().is_none(), file.first_time()));
    (files, streams)
}

/// A filter that does not compile is found before any reading.
fn check_filter(reading: &Reading, files: &[CaptureFile]) -> Result<()> {
    if let Some(expression) = &reading.filter {
        let first = files.first().and_then(CaptureFile::first_link_type);
        let first = first.filter(|link_type| decode::reads(*link_type));
        filter::check(expression, first.unwrap_or(LinkType::ETHERNET))?;
    }
    Ok(())
}

fn read_stream(
    job: &Job<'_>,
    source: &Source,
    capture: u32,
    table: &mut FlowTable,
    gleaned: &mut Gleaned,
) -> Result<CaptureCounts> {
    let (path, stream): (_, Box<dyn Read + Send>) = match source {
        Source::StandardInput => (Path::new("-"), Box::new(std::io::stdin())),
        Source::File(path) | Source::Pipe(path) => {
            let file = std::fs::File::open(path)
                .map_err(|source| Error::Open { path: path.clone(), source })?;
            (path.as_path(), Box::new(file))
        }
    };
    let name = display_path(path);
    let Unpacked { compression, stream, taken } =
        unpack(stream).map_err(|source| Error::Read { path: name.clone().into(), source })?;
    let (stream, taken) = match compression {
        Some(_) => (Ahead::of(stream), Some(taken)),
        None => (stream, None),
    };
    let mut records = Records::from_unpacked(&name, stream, compression)?;
    let mut counts = CaptureCounts::new(path, records.format());
    counts.compression = compression;
    let meter = Meter::new(job.progress, taken);
    let at = Place { capture, base: 0 };
    let mut intake = job.intake().behind(None, std::mem::take(gleaned));
    drain(&mut records, at, &mut intake, meter, &mut Room::alone(), &mut counts, table);
    *gleaned = intake.into_parts().1;
    Ok(counts)
}

/// Files held open at a time; the others are opened again when they are read. Many systems allow
/// a program 1,024, some 256.
const MAX_OPEN: usize = 128;
