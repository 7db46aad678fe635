//! Hostile input is normal input: captures cut at every length, frames cut at every length, bytes
//! flipped. Nothing panics, and every frame read is counted exactly once.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portassay::decode::decode;
use portassay::flow::Limits;
use portassay::input::Frame;
use portassay::input::savefile::Records;
use portassay::pipeline::intake::Duplicates;
use portassay::pipeline::read::{Progress, Reading, Survey, read};

use crate::support::fixtures::captures;

/// Flipped copies per capture.
const FLIPS: u64 = 24;

/// The records of a capture that ends after `length` bytes; `None` where it is refused.
fn records(bytes: &Arc<[u8]>, length: usize) -> Option<Records> {
    let stream = Cursor::new(Arc::clone(bytes)).take(length as u64);
    Records::from_stream("memory", Box::new(stream)).ok()
}

fn count(bytes: &Arc<[u8]>, length: usize) -> Option<u64> {
    let mut records = records(bytes, length)?;
    let mut frames = 0;
    while records.next().is_some() {
        frames += 1;
    }
    Some(frames)
}

fn content(path: &Path) -> Arc<[u8]> {
    std::fs::read(path).unwrap().into()
}

fn survey(path: &Path, threads: usize) -> Survey {
    let reading = Reading {
        captures: vec![path.to_path_buf()],
        filter: None,
        threads,
        limits: Limits { max_flows: 500 },
        duplicates: Duplicates::LeftOut,
    };
    read(&reading, &Progress::default()).unwrap()
}

/// Every frame is in a flow, among the untracked, a copy, or counted under a reason.
fn assert_conserved(survey: Survey, name: &str) {
    let frames: u64 = survey.captures.iter().map(|capture| capture.tally.frames).sum();
    let stopped: u64 = survey.captures.iter().flat_map(|c| c.undecoded.values()).sum();
    let copies: u64 = survey.captures.iter().map(|capture| capture.copies.frames).sum();
    let untracked = survey.table.untracked().packets;
    let flows: u64 = survey.table.into_flows().map(|(flow, _)| flow.packets()).sum();
    assert_eq!(flows + untracked + stopped + copies, frames, "{name}");
}

#[test]
fn captures_cut_at_every_length_keep_their_whole_records() {
    for path in captures() {
        let bytes = content(&path);
        let Some(whole) = count(&bytes, bytes.len()) else { continue };
        let mut before = 0;
        for cut in 0..bytes.len() {
            let Some(frames) = count(&bytes, cut) else {
                assert_eq!(before, 0, "{}: refused at {cut}", path.display());
                continue;
            };
            assert!(frames >= before, "{}: a longer cut lost frames at {cut}", path.display());
            assert!(frames <= whole, "{}: frames out of nothing at {cut}", path.display());
            before = frames;
        }
        assert!(
            whole - before <= 1,
            "{}: {before} of {whole} frames before the end",
            path.display()
        );
    }
}

#[test]
fn frames_cut_at_every_length_are_decoded_as_far_as_they_go() {
    for path in captures() {
        let bytes = content(&path);
        let Some(mut records) = records(&bytes, bytes.len()) else {
            continue;
        };
        while let Some(frame) = records.next() {
            for cut in 0..frame.data.len().min(400) {
                let cut = Frame { data: &frame.data[..cut], ..frame };
                let _decoded_or_stopped = decode(&cut);
            }
        }
    }
}

#[test]
fn flipped_bytes_never_panic_and_never_lose_a_frame() {
    let folder = tempfile::tempdir().unwrap();
    let target: PathBuf = folder.path().join("flipped.pcap");
    let mut seed = 0x5EED_u64;
    for path in captures() {
        let original = std::fs::read(&path).unwrap();
        for round in 0..FLIPS {
            let mut bytes = original.clone();
            for _ in 0..=round {
                // A xorshift step; any spread of positions and masks does.
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let at = (seed >> 16) as usize % bytes.len();
                bytes[at] ^= (seed as u8) | 1;
            }
            std::fs::write(&target, &bytes).unwrap();
            let name = format!("{} round {round}", path.display());
            let one = survey(&target, 1);
            let counted = format!("{:?} {:?}", one.captures, one.errors);
            assert_conserved(one, &name);
            let three = survey(&target, 3);
            assert_eq!(format!("{:?} {:?}", three.captures, three.errors), counted, "{name}");
        }
    }
}
