//! Bytes that a TCP peer acknowledged although the capture does not hold them: what a capture lost.
//!
//! A receiver acknowledges only what arrived (RFC 9293, 3.4). So when the acknowledgements of a
//! connection advance further than its captured segments, the segments passed the wire and the capture
//! missed them. Segments that were sent twice hide as much loss, so the figure is a lower bound.

/// What one side of a connection sent, and what the other side acknowledged of it.
///
/// Sums, and the first and the last of a row, so that parts can be joined; numbers wrap as sequence
/// numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acknowledged {
    /// The sequence number of the side's first byte, where its SYN was captured.
    pub base: Option<u32>,
    /// Payload bytes captured.
    pub sent: u32,
    /// The latest acknowledgement number of the other side, in capture order.
    pub number: Option<u32>,
}

impl Acknowledged {
    /// Bytes that were acknowledged and not captured. None where that cannot be told: the connection
    /// began before the capture, or nothing was acknowledged. One byte is allowed for, which is what a
    /// FIN counts.
    pub fn unseen(&self) -> Option<u32> {
        let ahead = self.number?.wrapping_sub(self.base?).wrapping_sub(self.sent).cast_signed();
        Some(u32::try_from(ahead).unwrap_or(0)).map(|bytes| if bytes > 1 { bytes } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unseen(base: u32, sent: u32, number: u32) -> Option<u32> {
        Acknowledged { base: Some(base), sent, number: Some(number) }.unseen()
    }

    #[test]
    fn what_was_acknowledged_beyond_what_was_seen_is_missing() {
        assert_eq!(unseen(100, 50, 150), Some(0));
        assert_eq!(unseen(100, 50, 151), Some(0), "a FIN");
        assert_eq!(unseen(100, 50, 1_610), Some(1_460));
        // Not acknowledged yet, sent twice, sequence numbers that wrap.
        assert_eq!(unseen(100, 50, 100), Some(0));
        assert_eq!(unseen(100, 100, 150), Some(0));
        assert_eq!(unseen(u32::MAX - 9, 20, 110), Some(100));
    }

    #[test]
    fn without_a_beginning_or_an_end_nothing_is_told() {
        let neither = Acknowledged { sent: 50, ..Acknowledged::default() };
        assert_eq!(neither.unseen(), None);
        assert_eq!(Acknowledged { base: Some(1), ..neither }.unseen(), None);
        assert_eq!(Acknowledged { number: Some(1), ..neither }.unseen(), None);
    }
}
