//! Whether the frames of a capture come in the order of their times.

use super::Timestamp;

/// How often, and how far, the clock of a capture went back from one frame to the next.
///
/// Joining two adjacent parts gives that of the whole: the step between them counts too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chronology {
    /// Times of the first and the latest frame, in the order of the capture.
    ends: Option<(Timestamp, Timestamp)>,
    /// Frames that are older than the one before them.
    pub backwards: u64,
    /// The longest step back in nanoseconds.
    pub longest: u64,
}

impl Chronology {
    /// Takes the time of the next frame.
    #[inline]
    pub fn next(&mut self, time: Timestamp) {
        match &mut self.ends {
            Some((_, latest)) => {
                let before = std::mem::replace(latest, time);
                self.step(before, time);
            }
            none => *none = Some((time, time)),
        }
    }

    /// Appends the part that follows.
    pub fn join(&mut self, next: &Self) {
        let Some((first, last)) = next.ends else {
            return;
        };
        self.next(first);
        self.backwards += next.backwards;
        self.longest = self.longest.max(next.longest);
        if let Some((_, latest)) = &mut self.ends {
            *latest = last;
        }
    }

    #[inline]
    fn step(&mut self, from: Timestamp, to: Timestamp) {
        if to < from {
            self.backwards += 1;
            self.longest = self.longest.max(from.0.abs_diff(to.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: &[i64]) -> Chronology {
        let mut chronology = Chronology::default();
        for time in times {
            chronology.next(Timestamp(*time));
        }
        chronology
    }

    #[test]
    fn steps_back_are_counted_and_measured() {
        assert_eq!((of(&[1, 5, 5, 9]).backwards, of(&[1, 5, 5, 9]).longest), (0, 0));
        let back = of(&[10, 3, 20, 19, i64::MAX, i64::MIN]);
        assert_eq!((back.backwards, back.longest), (3, u64::MAX));
    }

    #[test]
    fn parts_join_to_the_whole() {
        let times = [5, 9, 2, 2, 7, 1, 8, 0];
        for first in 0..=times.len() {
            for second in first..=times.len() {
                let mut tail = of(&times[first..second]);
                tail.join(&of(&times[second..]));
                let mut joined = of(&times[..first]);
                joined.join(&tail);
                assert_eq!(joined, of(&times), "{first} {second}");
            }
        }
    }
}
