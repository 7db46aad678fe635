//! What is asked of the reading, and how far it has come.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use crate::flow::Limits;
use crate::pipeline::intake::Duplicates;

/// What to read and how.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Captures, `-` for standard input.
    pub captures: Vec<PathBuf>,
    /// BPF expression.
    pub filter: Option<String>,
    /// Workers.
    pub threads: usize,
    /// Bounds of the flow table.
    pub limits: Limits,
    /// What to do with copies of packets.
    pub duplicates: Duplicates,
}

/// Bytes read so far, for a progress display; nothing else is known while reading.
#[derive(Debug, Default)]
pub struct Progress {
    /// Bytes to read, 0 when unknown; of compressed captures the compressed ones.
    pub total: AtomicU64,
    /// Bytes read, counted in the same way.
    pub done: AtomicU64,
    /// Bytes that came out of compressed captures.
    pub unpacked: AtomicU64,
}
