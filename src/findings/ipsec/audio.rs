//! Whether hidden packets follow each other as audio does. A hint, never proof.
//!
//! Audio of this kind sends a packet every 20 ms. Measured on simulated traffic, the share of gaps of
//! 20 ± 5 ms is 0.98 for continuous audio, 0.97 with pauses of speech, 0.21 for pollers of mixed periods,
//! 0.07 for people at a terminal and 0.03 for bulk transfer. Sizes hardly help: a cipher's blocks
//! hide small changes, but no packet of audio is long.

use crate::flow::Pace;

/// What the pace of one direction resembles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// Too few packets to tell.
    TooFew,
    /// Audio of 20 ms per packet, or of 40 or 60.
    Audio,
    /// Something else.
    Other,
}

impl Likeness {
    pub(super) fn of(pace: &Pace) -> Self {
        if pace.packets < MIN_PACKETS || pace.duration() < MIN_DURATION {
            return Self::TooFew;
        }
        let gaps = pace.packets - 1;
        let even = share(pace.even, gaps) >= EVEN;
        // Of longer packets gaps are multiples, and so are those of other even senders: the share of
        // short gaps must be nearly all.
        let multiples =
            share(pace.multiples, pace.short) >= MULTIPLES && share(pace.short, gaps) >= EVEN;
        let small = pace.ip_bytes <= MAX_MEAN.saturating_mul(pace.packets)
            && share(pace.large, pace.packets) <= LARGE;
        if (even || multiples) && small { Self::Audio } else { Self::Other }
    }
}

/// Whether packets have the rhythm of audio or a marking of media.
pub(super) fn resembles_media(pace: &Pace) -> bool {
    Likeness::of(pace) == Likeness::Audio || marking(pace).is_some()
}

/// The code point that most packets have, if it is one of media.
pub(super) fn marking(pace: &Pace) -> Option<Marking> {
    let most = |count: u64| count > pace.packets / 2;
    let marked = &pace.marked;
    match () {
        () if most(marked.audio) => Some(Marking { dscp: 46, media: "audio" }),
        () if most(marked.video) => Some(Marking { dscp: 34, media: "video" }),
        () if most(marked.sharing) => Some(Marking { dscp: 24, media: "application sharing" }),
        () => None,
    }
}

/// A differentiated services code point and the media that sites give it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marking {
    pub(super) dscp: u8,
    pub(super) media: &'static str,
}

#[expect(clippy::cast_precision_loss, reason = "a share of counts needs no more than 52 bits")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

const MIN_PACKETS: u64 = 100;
/// In ns.
const MIN_DURATION: i64 = 2_000_000_000;
/// Least share of gaps of 20 ms.
const EVEN: f64 = 0.8;
/// Least share of short gaps that are multiples of 20 ms.
const MULTIPLES: f64 = 0.95;
/// Largest mean length, in bytes of IP.
const MAX_MEAN: u64 = 420;
/// Largest share of long packets.
const LARGE: f64 = 0.02;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Marked;
    use crate::input::Timestamp;

    /// 250 packets, whose 249 gaps are as given.
    fn pace(even: u64, multiples: u64, short: u64, mean: u64, large: u64) -> Pace {
        Pace {
            packets: 250,
            even,
            multiples,
            short,
            ip_bytes: mean * 250,
            large,
            times: Some((Timestamp(0), Timestamp(5_000_000_000))),
            ..Pace::default()
        }
    }

    #[test]
    fn audio_is_even_and_small() {
        assert_eq!(Likeness::of(&pace(240, 240, 249, 248, 0)), Likeness::Audio);
        // Packets of 60 ms.
        assert_eq!(Likeness::of(&pace(0, 245, 249, 300, 0)), Likeness::Audio);
        for other in [
            pace(52, 120, 249, 248, 0),
            pace(240, 240, 249, 900, 250),
            pace(240, 240, 249, 400, 20),
            // Few packets are close to each other.
            pace(0, 20, 20, 200, 0),
        ] {
            assert_eq!(Likeness::of(&other), Likeness::Other, "{other:?}");
        }
        let short = Pace { packets: 99, ..pace(98, 98, 98, 200, 0) };
        assert_eq!(Likeness::of(&short), Likeness::TooFew);
    }

    #[test]
    fn the_marking_of_most_packets_counts() {
        let marked = |audio, video| Pace {
            marked: Marked { audio, video, ..Marked::default() },
            ..pace(0, 0, 0, 100, 0)
        };
        assert_eq!(marking(&marked(200, 50)).map(|marking| marking.dscp), Some(46));
        assert_eq!(marking(&marked(50, 126)).map(|marking| marking.dscp), Some(34));
        assert_eq!(marking(&marked(125, 125)), None);
    }
}
