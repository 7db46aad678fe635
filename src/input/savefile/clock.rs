//! Turns the time stamps of a pcapng interface into nanoseconds since 1970.

use crate::input::Timestamp;

/// How the time stamps of one interface count: options `if_tsresol` and `if_tsoffset` of the
/// Interface Description Block (draft-ietf-opsawg-pcapng, section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Clock {
    scale: Scale,
    /// Seconds added to each time stamp.
    offset: i64,
}

/// How ticks become nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// A tick is this many nanoseconds: decimal resolutions down to 10^-9 s.
    Times(u64),
    /// A nanosecond is this many ticks: finer decimal resolutions.
    Per(u64),
    /// A tick is a second divided by two to this power.
    Binary(u8),
}

impl Clock {
    /// The clock of an interface with these option values.
    ///
    /// The top bit of `resolution` chooses a power of two, the rest is the negative exponent.
    pub(super) fn new(resolution: u8, offset: i64) -> Self {
        let exponent = resolution & 0x7f;
        let scale = if resolution & 0x80 != 0 {
            Scale::Binary(exponent)
        } else if let Some(up) = 9u32.checked_sub(u32::from(exponent)) {
            Scale::Times(10u64.pow(up))
        } else {
            // Beyond 10^-28 s every possible time stamp is shorter than a nanosecond.
            10u64.checked_pow(u32::from(exponent) - 9).map_or(Scale::Times(0), Scale::Per)
        };
        Self { scale, offset }
    }

    /// The time of a time stamp. Times that 64 bits of nanoseconds cannot hold (before 1677,
    /// after 2262) become the nearest one they can.
    #[inline]
    pub(super) fn time(self, ticks: u64) -> Timestamp {
        if let (Scale::Times(factor), 0) = (self.scale, self.offset)
            && let Some(nanos) = ticks.checked_mul(factor)
            && let Ok(nanos) = i64::try_from(nanos)
        {
            return Timestamp(nanos);
        }
        self.far_time(ticks)
    }

    /// The time of a time stamp, whatever the clock.
    #[cold]
    fn far_time(self, ticks: u64) -> Timestamp {
        let ticks = i128::from(ticks);
        let since = match self.scale {
            Scale::Times(factor) => ticks * i128::from(factor),
            Scale::Per(divisor) => ticks / i128::from(divisor),
            Scale::Binary(exponent) => (ticks * NANOS_PER_SECOND) >> exponent,
        };
        let nanos = since + i128::from(self.offset) * NANOS_PER_SECOND;
        Timestamp(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl Default for Clock {
    /// Microseconds since 1970: what counts where an interface does not say.
    fn default() -> Self {
        Self::new(6, 0)
    }
}

const NANOS_PER_SECOND: i128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::{Clock, Timestamp};

    #[test]
    fn decimal_resolutions() {
        assert_eq!(Clock::default().time(1_500_000), Timestamp(1_500_000_000));
        assert_eq!(Clock::new(0, 0).time(3), Timestamp(3_000_000_000));
        assert_eq!(Clock::new(9, 0).time(7), Timestamp(7));
        assert_eq!(Clock::new(12, 0).time(7_999), Timestamp(7));
        assert_eq!(Clock::new(28, 0).time(u64::MAX), Timestamp(1));
        assert_eq!(Clock::new(29, 0).time(u64::MAX), Timestamp(0));
        assert_eq!(Clock::new(127, 0).time(u64::MAX), Timestamp(0));
    }

    #[test]
    fn binary_resolutions() {
        assert_eq!(Clock::new(0x80, 0).time(2), Timestamp(2_000_000_000));
        assert_eq!(Clock::new(0x8a, 0).time(512), Timestamp(500_000_000));
        assert_eq!(Clock::new(0xa0, 0).time(3 << 31), Timestamp(1_500_000_000));
        assert_eq!(Clock::new(0xff, 0).time(u64::MAX), Timestamp(0));
    }

    #[test]
    fn offsets_and_the_ends_of_time() {
        assert_eq!(Clock::new(6, -1).time(250_000), Timestamp(-750_000_000));
        assert_eq!(Clock::new(6, 0).time(u64::MAX), Timestamp(i64::MAX));
        assert_eq!(Clock::new(6, i64::MIN).time(0), Timestamp(i64::MIN));
        // The sum counts, not its parts: a far tick brought back by the offset is a real time.
        assert_eq!(Clock::new(0, -9_999_999_990).time(10_000_000_000), Timestamp(10_000_000_000));
    }
}
