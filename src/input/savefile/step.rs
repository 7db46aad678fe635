//! What a look at the next bytes of a capture can tell: the vocabulary between the formats and
//! the reader.

use crate::input::{LinkType, Timestamp};
use std::fmt;

/// What stands next in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// A frame.
    Frame(Record),
    /// At least this many bytes are needed to tell.
    Need(usize),
    /// A block of this many bytes that changes what later blocks mean.
    Declare(usize),
    /// A block of this many bytes that says something about the capture, nothing about later blocks.
    Note(usize),
    /// A block of this many bytes that is of no concern here, its first twelve being present.
    Skip(u32),
    /// Something no capture may hold.
    Bad(Fault),
}

/// Where a frame is in the bytes looked at, and what its record says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    /// Where its data begins.
    pub(super) data: usize,
    /// How many bytes were captured.
    pub(super) captured: usize,
    /// The length of the whole record.
    pub(super) total: usize,
    /// When it was captured.
    pub(super) time: Timestamp,
    /// Its link type.
    pub(super) link_type: LinkType,
    /// Its length on the wire.
    pub(super) original_len: u32,
    /// Whether its block says more than that.
    pub(super) noted: bool,
}

/// Why the bytes at some place cannot be what the format asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A frame longer than any link carries.
    Captured(u32),
    /// Zeros where a record should begin.
    Zeros,
    /// The header of another capture where a record should begin.
    Another,
    /// A frame longer than the block that holds it.
    Overhang { captured: u32, block: u32 },
    /// A block length that is too small, too large for its kind or not a multiple of four.
    BlockLength { kind: u32, length: u32 },
    /// The two lengths around a block differ.
    Trailer { length: u32, trailing: u32 },
    /// A packet of an interface that no block describes.
    Interface { index: u32, declared: usize },
    /// More interfaces than are kept.
    Interfaces,
    /// A section of no known byte order.
    ByteOrder(u32),
    /// A section of another version of the format.
    Version { major: u16, minor: u16 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Captured(length) => {
                write!(f, "a frame of {length} bytes is announced, more than any link carries")
            }
            Self::Zeros => {
                write!(f, "there are only zeros where a record should begin")
            }
            Self::Another => {
                write!(f, "another capture begins (join captures with `mergecap`, not with `cat`)")
            }
            Self::Overhang { captured, block } => {
                write!(f, "a frame of {captured} bytes is announced in a block of {block}")
            }
            Self::BlockLength { kind, length } => {
                write!(f, "a block of type {kind:#x} announces the impossible length {length}")
            }
            Self::Trailer { length, trailing } => {
                write!(f, "a block begins with the length {length} and ends with {trailing}")
            }
            Self::Interface { index, declared } => {
                write!(f, "a packet names interface {index}, but {declared} are declared")
            }
            Self::Interfaces => {
                write!(f, "a section declares more than {MAX_INTERFACES} interfaces")
            }
            Self::ByteOrder(magic) => {
                write!(f, "a section begins with the unknown byte-order magic {magic:#010x}")
            }
            Self::Version { major, minor } => {
                write!(f, "a section is of pcapng version {major}.{minor}, known is version 1")
            }
        }
    }
}

/// The longest frame believed, in bytes. Linux hands over up to 198,586 for one IPv6 jumbogram;
/// beyond 16 MiB it is damage that would cost memory.
pub(super) const MAX_CAPTURED: u32 = 16 << 20;

/// The longest block read as a whole, in bytes: a frame and 64 KiB for headers and options.
pub(super) const MAX_BLOCK: u32 = MAX_CAPTURED + (64 << 10);

/// Interfaces remembered in one section. Each takes 48 bytes: with the room to grow some 100 MB for
/// each reader of a file that declares a million.
pub(super) const MAX_INTERFACES: usize = 1 << 20;
