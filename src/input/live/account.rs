//! The account of a live capture: what came, what was lost and where.

/// What was received and what was lost, since the capture began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveStats {
    /// Frames delivered by `Live::next`.
    pub read: u64,
    /// Frames that reached the kernel's buffer. On Linux those it dropped are counted here too.
    pub received: u64,
    /// Frames that the kernel dropped because its buffer was full.
    pub dropped_by_kernel: u64,
    /// Frames that the interface or its driver dropped, as far as it tells.
    pub dropped_by_interface: u64,
    /// Frames that were received and neither dropped nor delivered: lost if nothing reads on. Zero
    /// after draining. On a loopback interface all of its frames are counted twice before that,
    /// because the kernel counts each frame going out and coming in.
    pub unread: u64,
}

/// libpcap's counters, which have 32 bits and wrap.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    received: Counter,
    dropped: Counter,
    if_dropped: Counter,
}

/// One wrapping counter, followed.
#[derive(Debug, Clone, Copy, Default)]
struct Counter {
    last: u32,
    total: u64,
}

impl Counters {
    /// Takes in what libpcap says now.
    pub(super) fn update(&mut self, stat: pcap::Stat) {
        self.received.update(stat.received);
        self.dropped.update(stat.dropped);
        self.if_dropped.update(stat.if_dropped);
    }

    /// Counts from what libpcap says now.
    pub(super) fn start_from(&mut self, stat: pcap::Stat) {
        self.received.last = stat.received;
        self.dropped.last = stat.dropped;
        self.if_dropped.last = stat.if_dropped;
    }

    /// The account, with so many frames delivered.
    pub(super) fn account(&self, read: u64, tail: Tail) -> LiveStats {
        LiveStats {
            read,
            received: self.received.total,
            dropped_by_kernel: self.dropped.total,
            dropped_by_interface: self.if_dropped.total,
            unread: match tail {
                Tail::Open => self.deliverable().saturating_sub(read),
                Tail::Drained => 0,
            },
        }
    }

    /// How many frames there are to deliver.
    pub(super) fn deliverable(&self) -> u64 {
        self.received.total.saturating_sub(self.dropped.total)
    }
}

/// Whether the kernel may still hold frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// It may.
    Open,
    /// All was read.
    Drained,
}

impl Counter {
    fn update(&mut self, now: u32) {
        self.total += u64::from(now.wrapping_sub(self.last));
        self.last = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_survive_the_end_of_32_bits() {
        let mut counter = Counter::default();
        for now in [4_000_000_000, u32::MAX, 5, 5, 10] {
            counter.update(now);
        }
        assert_eq!(counter.total, (1 << 32) + 10);
    }

    #[test]
    fn what_is_neither_dropped_nor_read_is_unread() {
        let mut counters = Counters::default();
        counters.start_from(pcap::Stat { received: 100, dropped: 0, if_dropped: 7 });
        counters.update(pcap::Stat { received: 112, dropped: 4, if_dropped: 8 });
        let account = counters.account(5, Tail::Open);
        assert_eq!((account.received, account.dropped_by_kernel, account.unread), (12, 4, 3));
        assert_eq!(account.dropped_by_interface, 1);
        assert_eq!(counters.account(50, Tail::Open).unread, 0);
        assert_eq!(counters.account(5, Tail::Drained).unread, 0);
    }
}
