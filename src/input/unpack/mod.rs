//! Captures as they are kept: compressed. A stream that begins with the magic number of gzip,
//! Zstandard, LZ4 or xz becomes the stream of what is inside.
//!
//! Everything streams: what is held in memory is a window whose size each format bounds, at most
//! 128 MiB, however much comes out of however little. What was unpacked before damage is
//! delivered, but for the last few KiB that a decoder had begun.
//!
//! The libraries: gzip by flate2 with zlib-rs and LZ4 by `lz4_flex`, both without unsafe code of
//! ours and much faster than captures are analysed. Zstandard by its own C library, three times
//! as fast as the one in Rust. xz by lzma-rust2, which is maintained, in Rust, and refuses a
//! window over a limit before it allocates it; the bindings to liblzma would bring a second C
//! library for the rarest of the four.

mod gzip;
mod lz4;
mod raw;

use super::Compression;
use raw::{Gauge, Raw};
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;

/// A stream behind its compression, if it has one.
pub struct Unpacked {
    /// How it was compressed; None when its bytes come as they are.
    pub compression: Option<Compression>,
    /// What is inside.
    pub stream: Box<dyn Read + Send>,
    /// How much was read to unpack it.
    pub taken: Taken,
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacked").field("compression", &self.compression).finish_non_exhaustive()
    }
}

/// Tells how many bytes were read below a decompressor, while it is at work elsewhere.
#[derive(Debug, Clone)]
pub struct Taken(Arc<Gauge>);

impl Taken {
    /// Compressed bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

impl Compression {
    /// What the first bytes of a stream are compressed with, if they are. Eight are enough.
    pub fn of(head: &[u8]) -> Option<Self> {
        MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, compression)| *compression)
    }
}

/// Whether a stream that begins so has to go through [`unpack`] to be read.
pub(super) fn is_packed(head: &[u8]) -> bool {
    Compression::of(head).is_some() || skippable(head).is_some()
}

/// Looks at the first bytes of a stream and decompresses it if they say so.
///
/// Asks for eight bytes and, when those are not compressed, for no more than the reader does.
pub fn unpack(mut stream: Box<dyn Read + Send>) -> io::Result<Unpacked> {
    let gauge = Arc::new(Gauge::default());
    let taken = Taken(Arc::clone(&gauge));
    let head = beginning(&mut *stream, &gauge)?;
    let compression = Compression::of(&head);
    let rest = Cursor::new(head).chain(stream);
    let Some(compression) = compression else {
        return Ok(Unpacked { compression, stream: Box::new(rest), taken });
    };
    let raw = BufReader::with_capacity(RAW_BUFFER, Raw::new(rest, Arc::clone(&gauge)));
    let inside: Box<dyn Read + Send> = match compression {
        Compression::Gzip => Box::new(gzip::Members::new(raw)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(raw)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        Compression::Lz4 => Box::new(lz4::Frames::new(raw)),
        Compression::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(raw, true, XZ_KIBIBYTES)),
    };
    let stream = Box::new(Told { inside, compression, gauge, delivered: 0, over: false });
    Ok(Unpacked { compression: Some(compression), stream, taken })
}

/// The first eight bytes, or as many as there are, behind frames that are to be skipped.
fn beginning(stream: &mut dyn Read, gauge: &Gauge) -> io::Result<Vec<u8>> {
    loop {
        let mut head = Vec::with_capacity(HEAD);
        stream.take(HEAD as u64).read_to_end(&mut head)?;
        let Some(length) = skippable(&head) else {
            return Ok(head);
        };
        let skipped = io::copy(&mut stream.take(length), &mut io::sink())?;
        gauge.add(HEAD as u64 + skipped);
    }
}

/// The length of a skippable frame, which LZ4 and Zstandard have in common: sixteen magic numbers,
/// then the length of what follows (RFC 8878, section 3.1.2).
fn skippable(head: &[u8]) -> Option<u64> {
    let magic = u32::from_le_bytes(*head.first_chunk()?);
    let length = u32::from_le_bytes(*head.get(4..)?.first_chunk()?);
    (magic & !0xf == SKIPPABLE).then_some(u64::from(length))
}

/// A decompressor whose errors are sentences.
struct Told {
    inside: Box<dyn Read + Send>,
    compression: Compression,
    gauge: Arc<Gauge>,
    /// Bytes unpacked.
    delivered: u64,
    /// An error was told: there is nothing behind it.
    over: bool,
}

impl Read for Told {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.over {
            return Ok(0);
        }
        let len = buffer.len().min(STEP);
        match self.inside.read(buffer.get_mut(..len).unwrap_or_default()) {
            Ok(count) => {
                self.delivered += count as u64;
                Ok(count)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                self.over = true;
                Err(self.tell(error))
            }
        }
    }
}

impl Told {
    fn tell(&self, error: io::Error) -> io::Error {
        let Self { compression, delivered, .. } = self;
        if self.gauge.failed() {
            // The compressed bytes could not be read: that is not the decompressor's fault.
            return error;
        }
        let name = compression.name();
        let kind = match error.kind() {
            // The Zstandard library gives no kind of its own.
            _ if error.to_string().contains("too much memory") => io::ErrorKind::OutOfMemory,
            kind => kind,
        };
        let text = match kind {
            io::ErrorKind::UnexpectedEof => {
                format!("the {name} data ends too early, after {delivered} unpacked bytes")
            }
            io::ErrorKind::OutOfMemory => {
                format!("the {name} data needs more than 128 MiB of memory to be unpacked")
            }
            _ => format!("the {name} data is damaged after {delivered} unpacked bytes: {error}"),
        };
        io::Error::new(kind, text)
    }
}

/// Magic numbers: RFC 1952, RFC 8878, the LZ4 frame format 1.6, the xz format 1.2.
const MAGIC: [(&[u8], Compression); 4] = [
    (b"\x1f\x8b", Compression::Gzip),
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    (b"\x04\x22\x4d\x18", Compression::Lz4),
    (b"\xfd7zXZ\0", Compression::Xz),
];

/// The first of sixteen magic numbers of frames to be skipped.
const SKIPPABLE: u32 = 0x184d_2a50;
/// The longest beginning needed to tell, in bytes: a magic number of four and a length.
const HEAD: usize = 8;
/// Compressed bytes read at a time. Always all of them, so that how a pipe cuts its data changes
/// nothing.
const RAW_BUFFER: usize = 64 << 10;
/// Bytes unpacked at a time: what a decoder loses when it fails half-way is less.
const STEP: usize = 16 << 10;
/// The longest distance that Zstandard data may refer back, as a power of two: what its own tool
/// accepts unasked.
const ZSTD_WINDOW_LOG: u32 = 27;
/// The same for xz, which by default uses up to 64 MiB, and 1 MiB for everything beside it.
const XZ_KIBIBYTES: u32 = (128 << 10) + (1 << 10);

#[cfg(test)]
mod tests;
