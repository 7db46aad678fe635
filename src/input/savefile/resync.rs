//! Guesses where a record begins, somewhere inside a capture.
//!
//! Headers of records have no mark. But random bytes rarely look like one, and never like several
//! in a row, each exactly where the one before says. Hostile payload may: so this is a guess that
//! the reader of the part before confirms or refutes.

use super::order::Order;
use super::pcap::{LONGEST_HEADER, Layout};
use super::pcapng::{
    BLOCK_MIN, ENHANCED_PACKET, INTERFACE_DESCRIPTION, INTERFACE_STATISTICS, SECTION_HEADER,
    TRAILER, section_byte_order,
};
use super::step::{MAX_BLOCK, MAX_CAPTURED};
use crate::input::Timestamp;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// A bounded search in a file.
pub(super) struct Scan<'a> {
    file: &'a File,
    /// Length of the file: a run of records may end there.
    len: u64,
    /// Part of the file, where candidates are looked for.
    page: Vec<u8>,
    /// Its offset in the file.
    page_at: u64,
    /// A header far from the page.
    far: [u8; LOOK],
    /// How many looks are still allowed.
    budget: u32,
}

impl<'a> Scan<'a> {
    /// A search in a file of this length.
    pub(super) fn new(file: &'a File, len: u64) -> Self {
        Self { file, len, page: Vec::new(), page_at: 0, far: [0; LOOK], budget: BUDGET }
    }

    /// First place from here on where a run of pcap records begins, their times near another.
    pub(super) fn pcap(&mut self, layout: &Layout, from: u64, near: Timestamp) -> Option<u64> {
        let within_years = |bytes: &[u8]| {
            plausible_time(layout, bytes).is_some_and(|time| apart(time, near) <= YEARS)
        };
        self.search(from, 1, within_years, |scan, at| scan.is_pcap_run(layout, at))
    }

    /// First place from here on where a run of pcapng blocks begins. Blocks begin at multiples of
    /// four bytes, since their lengths are.
    pub(super) fn pcapng(&mut self, order: Order, from: u64) -> Option<u64> {
        let begins_a_block = |bytes: &[u8]| plausible_length(order, bytes).is_some();
        let from = from.checked_next_multiple_of(4)?;
        self.search(from, 4, begins_a_block, |scan, at| scan.is_pcapng_run(order, at))
    }

    /// First place where a run begins, found by a quick look at each and a long look at the few
    /// that pass it.
    fn search(
        &mut self,
        from: u64,
        stride: usize,
        passes: impl Fn(&[u8]) -> bool,
        mut is_run: impl FnMut(&mut Self, u64) -> bool,
    ) -> Option<u64> {
        let until = self.len.min(from.saturating_add(REACH));
        let mut at = from;
        while at < until && self.budget > 0 {
            self.load(at);
            let mut index = 0;
            while let Some(found) = self.next_in_page(index, stride, &passes) {
                if is_run(self, at + found as u64) {
                    return Some(at + found as u64);
                }
                index = found + stride;
            }
            // The last bytes of a page were too few to judge, those of the file too few for all.
            at += self.page.len().checked_sub(LOOK).filter(|advance| *advance > 0)? as u64;
        }
        None
    }

    fn next_in_page(
        &self,
        from: usize,
        stride: usize,
        passes: impl Fn(&[u8]) -> bool,
    ) -> Option<usize> {
        let mut places = (from..self.page.len()).step_by(stride);
        places.find(|place| self.page.get(*place..).is_some_and(&passes))
    }

    fn is_pcap_run(&mut self, layout: &Layout, mut at: u64) -> bool {
        let mut previous = None;
        for _ in 0..PCAP_RUN {
            if at == self.len {
                return true;
            }
            let Some(bytes) = self.look(at, layout.header_len()) else {
                return false;
            };
            let time = plausible_time(layout, bytes);
            let captured = layout.header(bytes).map_or(0, |header| header.captured);
            if time.is_none_or(|time| previous.is_some_and(|before| apart(time, before) > DAY)) {
                return false;
            }
            previous = time;
            at += layout.header_len() as u64 + u64::from(captured);
        }
        at <= self.len
    }

    fn is_pcapng_run(&mut self, mut order: Order, mut at: u64) -> bool {
        for _ in 0..PCAPNG_RUN {
            if at == self.len {
                return true;
            }
            let Some(length) = self.block_length(&mut order, at) else {
                return false;
            };
            at += u64::from(length);
        }
        at <= self.len
    }

    /// The length of the block at a place, if it can be one.
    fn block_length(&mut self, order: &mut Order, at: u64) -> Option<u32> {
        let head = self.look(at, BLOCK_MIN)?;
        let kind = order.u32_at(head, 0)?;
        if kind == SECTION_HEADER {
            *order = section_byte_order(head)?;
        }
        let length = plausible_length(*order, head).filter(|length| fits(*length))?;
        let tail = self.look(at + u64::from(length) - TRAILER as u64, TRAILER)?;
        (order.u32_at(tail, 0)? == length).then_some(length)
    }

    /// Makes the page begin at a place. Shorter than usual at the end of the file.
    fn load(&mut self, at: u64) {
        self.page.resize(PAGE, 0);
        self.page_at = at;
        let mut filled = 0;
        while let Some(rest) = self.page.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, at + filled as u64) {
                Ok(0) | Err(_) => break,
                Ok(count) => filled += count,
            }
        }
        self.page.truncate(filled);
    }

    /// A few bytes anywhere in the file.
    fn look(&mut self, at: u64, count: usize) -> Option<&[u8]> {
        self.budget = self.budget.checked_sub(1)?;
        let within = at.checked_sub(self.page_at).and_then(|from| usize::try_from(from).ok());
        if let Some(from) = within
            && let Some(bytes) = self.page.get(from..from.checked_add(count)?)
        {
            return Some(bytes);
        }
        self.budget = self.budget.checked_sub(FAR_COST)?;
        let far = self.far.get_mut(..count)?;
        self.file.read_exact_at(far, at).ok()?;
        Some(far)
    }
}

/// The time of a record header that may be one.
#[inline]
fn plausible_time(layout: &Layout, bytes: &[u8]) -> Option<Timestamp> {
    let header = layout.header(bytes)?;
    let lengths = header.captured <= MAX_CAPTURED && header.original <= MAX_CAPTURED;
    let plausible = lengths && !header.is_zero() && layout.has_sane_fraction(&header);
    plausible.then(|| layout.time(&header))
}

fn apart(one: Timestamp, other: Timestamp) -> u64 {
    one.0.abs_diff(other.0)
}

/// The length of a block that may be one, by its beginning.
#[inline]
fn plausible_length(order: Order, bytes: &[u8]) -> Option<u32> {
    let kind = order.u32_at(bytes, 0)?;
    let length = order.u32_at(bytes, 4)?;
    // A section may turn the byte order, so its length cannot be judged yet.
    (kind == SECTION_HEADER || (fits(length) && is_known(kind))).then_some(length)
}

fn fits(length: u32) -> bool {
    (BLOCK_MIN as u32..=MAX_BLOCK).contains(&length) && length.is_multiple_of(4)
}

/// Block types that captures are made of; others are rare enough to pass over.
fn is_known(kind: u32) -> bool {
    const CUSTOM: u32 = 0xbad;
    const CUSTOM_NOT_COPIED: u32 = 0x4000_0bad;
    const SECRETS: u32 = 10;
    matches!(kind, INTERFACE_DESCRIPTION..=ENHANCED_PACKET | SECRETS | SECTION_HEADER)
        || kind == INTERFACE_STATISTICS
        || kind == CUSTOM
        || kind == CUSTOM_NOT_COPIED
}

/// How far a boundary is looked for, in bytes: more than three of the longest records.
const REACH: u64 = 64 << 20;
/// What is read at once, in bytes: several usual frames, little beside the part to be read.
const PAGE: usize = 64 << 10;
/// The longest look, in bytes: a pcap record header of any kind.
const LOOK: usize = LONGEST_HEADER;
/// Long looks in one search.
const BUDGET: u32 = 8 << 20;
/// What a look outside the page costs: a system call instead of a memory access.
const FAR_COST: u32 = 256;
/// Records in a row that make a boundary: 64 plausible lengths and times.
const PCAP_RUN: u32 = 16;
/// Blocks in a row that make a boundary: each has its length twice.
const PCAPNG_RUN: u32 = 8;
/// How far the times of neighbours may be apart, in nanoseconds.
const DAY: u64 = 86_400 * 1_000_000_000;
/// How far any time may be from the file's first: ten years.
const YEARS: u64 = 3_653 * DAY;
