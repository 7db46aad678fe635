//! What is counted per capture while it is read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::decode::{Packet, Stop};
use crate::flow::duplicates::Copy;
use crate::input::{Compression, Format, Tally};

/// What was counted in one capture. Adding the counts of two adjacent parts gives those of the whole.
#[derive(Debug, Clone)]
pub struct CaptureCounts {
    /// The path as given.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// How it is compressed, if it is.
    pub compression: Option<Compression>,
    /// Frame counts.
    pub tally: Tally,
    /// Frames not decoded, by reason. Later fragments are added at the end, as far as they belong to no
    /// flow.
    pub undecoded: BTreeMap<Stop, u64>,
    /// Fragments of larger datagrams, first ones included, copies not.
    pub fragments: u64,
    /// Whether copies of packets are looked for, and left out of the analysis.
    pub looks_for_copies: bool,
    /// Copies found.
    pub copies: Copies,
    /// Checksums of segments that open a connection.
    pub checksums: Checksums,
    /// Later fragments that the filter left out: they have no ports.
    pub filtered_fragments: u64,
    /// Where and why reading ended early.
    pub damage: Option<String>,
    /// How much of the capture stands behind that place.
    pub unread: Unread,
}

/// What was not read of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unread {
    /// At most the rest of a record that was being written.
    #[default]
    Nothing,
    /// So many bytes of so many.
    Bytes(u64, u64),
    /// Nobody knows how much: what it is packed in ends early.
    Unknown,
}

/// Frames that only repeat a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copies {
    /// All of them.
    pub frames: u64,
    /// Those with another TTL than the packet: both sides of a router are mirrored.
    pub routed: u64,
}

/// Checksums that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksums {
    /// All of them.
    pub seen: u64,
    /// Those that do not hold.
    pub wrong: u64,
}

impl CaptureCounts {
    /// Nothing counted yet.
    pub fn new(path: &Path, format: Format) -> Self {
        Self {
            path: path.to_path_buf(),
            format,
            compression: None,
            tally: Tally::default(),
            undecoded: BTreeMap::new(),
            fragments: 0,
            looks_for_copies: false,
            copies: Copies::default(),
            checksums: Checksums::default(),
            filtered_fragments: 0,
            damage: None,
            unread: Unread::Nothing,
        }
    }

    /// Appends the counts of the part that follows.
    pub(super) fn merge(&mut self, next: &Self) {
        self.tally.merge(&next.tally);
        for (stop, frames) in &next.undecoded {
            self.stopped(*stop, *frames);
        }
        self.fragments += next.fragments;
        self.looks_for_copies |= next.looks_for_copies;
        self.copies.frames += next.copies.frames;
        self.copies.routed += next.copies.routed;
        self.checksums.seen += next.checksums.seen;
        self.checksums.wrong += next.checksums.wrong;
        self.filtered_fragments += next.filtered_fragments;
        if self.damage.is_none() {
            self.damage.clone_from(&next.damage);
            self.unread = next.unread;
        }
    }

    /// Counts frames that were not decoded.
    pub(super) fn stopped(&mut self, stop: Stop, frames: u64) {
        *self.undecoded.entry(stop).or_default() += frames;
    }

    /// Copies found; None where nobody looked.
    pub fn duplicates(&self) -> Option<u64> {
        self.looks_for_copies.then_some(self.copies.frames)
    }

    /// Counts a packet that is a copy. False when it is none.
    pub(super) fn is_copy(&mut self, copy: Copy) -> bool {
        self.copies.frames += u64::from(copy != Copy::None);
        self.copies.routed += u64::from(copy == Copy::Routed);
        copy != Copy::None
    }

    /// Counts what a packet says of the capture.
    pub(super) fn note(&mut self, packet: &Packet<'_>) {
        self.fragments += u64::from(packet.first_fragment);
        if let Some(holds) = packet.checksum_holds {
            self.checksums.seen += 1;
            self.checksums.wrong += u64::from(!holds);
        }
    }
}

/// Adds the fragments that belong to no flow to what was not decoded of their captures.
pub(super) fn add_strays(captures: &mut [CaptureCounts], strays: &BTreeMap<u32, u64>) {
    for (capture, frames) in strays {
        if let Some(counts) = captures.get_mut(*capture as usize) {
            counts.stopped(Stop::Fragment, *frames);
        }
    }
}
