//! Bytes that a TCP peer acknowledged although the capture does not hold them: what a capture lost.
//!
//! A receiver acknowledges only what arrived (RFC 9293, 3.4). So when the acknowledgements of a
//! connection advance further than its captured segments, the segments passed the wire and the capture
//! missed them. Segments that were sent twice hide as much loss, so the figure is a lower bound.

/// What one side of a connection sent, and what the other side acknowledged of it.
///
/// Sums and the ends of a row, so that parts can be joined; numbers wrap as sequence numbers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Acknowledged {
    /// First and latest acknowledgement number in capture order.
    span: Option<(u32, u32)>,
    /// Payload bytes captured before the first acknowledgement.
    before: u32,
    /// Payload bytes captured after it.
    after: u32,
}

impl Acknowledged {
    /// Adds payload of the side itself.
    #[inline]
    pub(super) fn sent(&mut self, bytes: u32) {
        let sum = if self.span.is_some() { &mut self.after } else { &mut self.before };
        *sum = sum.wrapping_add(bytes);
    }

    /// Adds an acknowledgement by the other side.
    #[inline]
    pub(super) fn acknowledge(&mut self, number: u32) {
        self.span = Some((self.span.map_or(number, |(first, _)| first), number));
    }

    /// Appends what the following part saw.
    pub(super) fn join(&mut self, next: &Self) {
        self.sent(next.before);
        if let Some((first, last)) = next.span {
            self.acknowledge(first);
            self.acknowledge(last);
            self.sent(next.after);
        }
    }

    /// Bytes that were acknowledged and not captured, of a connection whose beginning was.
    ///
    /// None where that cannot be told: data was under way when the first acknowledgement came, or
    /// there was none. One byte is allowed for, which is what a FIN counts.
    pub fn unseen(&self) -> Option<u32> {
        let (first, last) = self.span.filter(|_| self.before == 0)?;
        let ahead = last.wrapping_sub(first).wrapping_sub(self.after).cast_signed();
        Some(u32::try_from(ahead).unwrap_or(0)).map(|bytes| if bytes > 1 { bytes } else { 0 })
    }

    /// Payload bytes captured, as far as 32 bits count.
    pub fn seen(&self) -> u32 {
        self.before.wrapping_add(self.after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Event {
        Sent(u32),
        Acked(u32),
    }
    use Event::{Acked, Sent};

    fn after(events: &[Event]) -> Acknowledged {
        let mut acknowledged = Acknowledged::default();
        for event in events {
            match *event {
                Sent(bytes) => acknowledged.sent(bytes),
                Acked(number) => acknowledged.acknowledge(number),
            }
        }
        acknowledged
    }

    #[test]
    fn what_was_acknowledged_beyond_what_was_seen_is_missing() {
        assert_eq!(after(&[Acked(100), Sent(50), Acked(150)]).unseen(), Some(0));
        assert_eq!(after(&[Acked(100), Sent(50), Acked(151)]).unseen(), Some(0), "a FIN");
        assert_eq!(after(&[Acked(100), Sent(50), Acked(1_610)]).unseen(), Some(1_460));
        // Sent and not acknowledged yet, sent twice, sequence numbers that wrap.
        assert_eq!(after(&[Acked(100), Sent(50), Sent(50)]).unseen(), Some(0));
        assert_eq!(after(&[Acked(u32::MAX - 9), Sent(20), Acked(110)]).unseen(), Some(100));
    }

    #[test]
    fn data_under_way_at_the_first_acknowledgement_hides_loss() {
        assert_eq!(after(&[Sent(50), Acked(100), Acked(5_000)]).unseen(), None);
        assert_eq!(after(&[Sent(50)]).unseen(), None);
    }

    #[test]
    fn parts_join_to_the_whole() {
        let events = [Sent(0), Acked(10), Sent(5), Sent(7), Acked(15), Acked(900), Sent(3)];
        for order in 0..events.len() {
            let mut events = events;
            events.rotate_left(order);
            for first in 0..=events.len() {
                for second in first..=events.len() {
                    let mut joined = after(&events[..first]);
                    let mut tail = after(&events[first..second]);
                    tail.join(&after(&events[second..]));
                    joined.join(&tail);
                    assert_eq!(joined, after(&events), "{events:?} {first} {second}");
                }
            }
        }
    }
}
