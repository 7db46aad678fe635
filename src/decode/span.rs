//! Bytes with two lengths: what was captured, and what was on the wire.
//!
//! A snaplen cuts the captured bytes but not the traffic, so each header is read from the captured
//! part while lengths are reckoned on the wire. Keeping both together keeps them in step.

/// A stretch of a frame from some header on. `wire_len` is never less than `bytes.len()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span<'a> {
    /// The captured part.
    pub(super) bytes: &'a [u8],
    /// Length on the wire in bytes.
    pub(super) wire_len: u32,
}

impl<'a> Span<'a> {
    /// A span of which `wire_len` bytes were on the wire. A frame that claims to be longer in the
    /// file than on the wire is taken at its captured length.
    pub(super) fn new(bytes: &'a [u8], wire_len: u32) -> Self {
        let captured = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { bytes, wire_len: wire_len.max(captured) }
    }

    /// What follows the first `len` bytes; empty where the capture or the wire ends before.
    pub(super) fn after(self, len: usize) -> Self {
        Self {
            bytes: self.bytes.get(len..).unwrap_or(&[]),
            wire_len: self.wire_len.saturating_sub(u32::try_from(len).unwrap_or(u32::MAX)),
        }
    }

    /// The same start with the length that a header states. Captured bytes beyond it are padding
    /// and fall away; a longer length is believed, since the snaplen may have cut the rest.
    pub(super) fn with_len(self, wire_len: u32) -> Self {
        let keep = usize::try_from(wire_len).unwrap_or(usize::MAX);
        Self { bytes: self.bytes.get(..keep).unwrap_or(self.bytes), wire_len }
    }

    /// Whether `len` bytes were captured.
    pub(super) fn holds(self, len: usize) -> bool {
        self.bytes.len() >= len
    }

    /// The byte at an offset.
    pub(super) fn u8(self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// The number in network byte order at an offset.
    pub(super) fn u16(self, at: usize) -> Option<u16> {
        let field = self.bytes.get(at..)?.first_chunk::<2>()?;
        Some(u16::from_be_bytes(*field))
    }

    /// The number in little-endian order at an offset.
    pub(super) fn u16_le(self, at: usize) -> Option<u16> {
        self.u16(at).map(u16::swap_bytes)
    }

    /// The number in little-endian order at an offset.
    pub(super) fn u32_le(self, at: usize) -> Option<u32> {
        self.u32(at).map(u32::swap_bytes)
    }

    /// A small number at an offset, in the byte order of the capturing host, which a frame does not
    /// tell: read in the wrong order a small number is huge.
    pub(super) fn u32_host(self, at: usize) -> Option<u32> {
        self.u32(at).map(|number| number.min(number.swap_bytes()))
    }

    /// The number in network byte order at an offset.
    pub(super) fn u32(self, at: usize) -> Option<u32> {
        let field = self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_stay_in_step() {
        let span = Span::new(&[1, 2, 3, 4, 5], 9);
        assert_eq!(span.after(2), Span::new(&[3, 4, 5], 7));
        assert_eq!(span.after(7), Span::new(&[], 2));
        assert_eq!(span.after(20), Span::new(&[], 0));
        assert_eq!(span.with_len(2), Span::new(&[1, 2], 2));
        assert_eq!(span.with_len(70), Span::new(&[1, 2, 3, 4, 5], 70));
    }

    #[test]
    fn a_wire_length_below_the_captured_one_is_corrected() {
        assert_eq!(Span::new(&[1, 2, 3], 1).wire_len, 3);
    }

    #[test]
    fn reads_end_with_the_bytes() {
        let span = Span::new(&[1, 2, 3, 4, 5], 5);
        assert_eq!(span.u8(4), Some(5));
        assert_eq!(span.u16(3), Some(0x0405));
        assert_eq!(span.u16(4), None);
        assert_eq!(span.u32(1), Some(0x0203_0405));
        assert_eq!(span.u32(2), None);
        assert_eq!(span.u32(usize::MAX), None);
        assert!(span.holds(5) && !span.holds(6));
    }
}
