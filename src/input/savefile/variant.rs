//! Tells apart pcap files that begin alike but whose record headers are of different lengths.
//!
//! Read with the wrong length, the second record is already nonsense: where its fraction of a
//! second or its length should be stands a time or part of a frame. So the layout that the magic
//! number means is believed until its own records speak against it and those of another for that
//! one.

use super::pcap::Layout;
use super::step::MAX_CAPTURED;
use super::window::Window;
use crate::input::Timestamp;

/// The layout that fits the first records of a window, which stands at them.
pub(super) fn fitting(layout: Layout, window: &mut Window) -> Layout {
    if !run(&layout, window, USUAL_RECORDS).broken {
        return layout;
    }
    layout.variants().find(|variant| is_believable(variant, window)).unwrap_or(layout)
}

/// Whether several records fit, captured near one another: a time is what another layout would
/// have to invent.
fn is_believable(variant: &Layout, window: &mut Window) -> bool {
    let Run { times, broken } = run(variant, window, VARIANT_RECORDS);
    let first = times.first().map_or(0, |time| time.0);
    !broken && times.len() > 1 && times.iter().all(|time| time.0.abs_diff(first) <= YEAR)
}

/// What the first records say of a layout.
struct Run {
    /// Times of those that can be.
    times: Vec<Timestamp>,
    /// The next one cannot be.
    broken: bool,
}

/// Looks at some records; at fewer where they end, or are too long to be looked at.
fn run(layout: &Layout, window: &mut Window, records: usize) -> Run {
    let mut run = Run { times: Vec::with_capacity(records), broken: false };
    let mut at = 0;
    while run.times.len() < records && !run.broken {
        let end = at + layout.header_len();
        if end > LOOK || !window.fill(end) {
            break;
        }
        let Some(header) = window.bytes().get(at..).and_then(|bytes| layout.header(bytes)) else {
            break;
        };
        if header.captured > MAX_CAPTURED || !layout.has_sane_fraction(&header) {
            run.broken = true;
        } else {
            run.times.push(layout.time(&header));
            at = end + header.captured as usize;
        }
    }
    run
}

/// Records that may speak against the usual layout: the first never does.
const USUAL_RECORDS: usize = 2;
/// Records that must speak for another one, as far as there are so many.
const VARIANT_RECORDS: usize = 4;
/// How far is looked, in bytes: old systems captured no frames longer than 64 KiB.
const LOOK: usize = 256 << 10;
/// How far apart the times of neighbours may be, in nanoseconds.
const YEAR: u64 = 366 * 86_400 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use crate::input::savefile::craft::{pcap_header, pcap_record};
    use crate::input::savefile::order::Order;
    use crate::input::savefile::tests::{MICRO, opened, sequential, streamed};

    const KUZNETZOV: u32 = 0xa1b2_cd34;

    /// A capture whose record headers go on for some bytes.
    fn longer(order: Order, magic: u32, more: &[u8], frames: usize) -> Vec<u8> {
        let mut bytes = pcap_header(order, magic, 1);
        for index in 0..frames {
            let data = vec![index as u8; 60 + index];
            let mut record = pcap_record(order, 1_000_000_000, 7, &data, 90);
            record.splice(16..16, more.iter().copied());
            bytes.extend(record);
        }
        bytes
    }

    #[test]
    fn record_headers_of_every_length_are_told_by_the_records() {
        let more = [0, 0, 0, 2, 8, 0, 0, 0, 1, 0, 0, 0];
        for order in [Order::Little, Order::Big] {
            for (magic, len) in
                [(MICRO, 0), (MICRO, 4), (MICRO, 8), (KUZNETZOV, 8), (KUZNETZOV, 12)]
            {
                let bytes = longer(order, magic, &more[..len], 5);
                let reading = sequential(&opened(&bytes));
                let expected: Vec<_> = (0..5)
                    .map(|index| {
                        let data = vec![index as u8; 60 + index];
                        (1_000_000_000_000_007_000, 1, data, 90)
                    })
                    .collect();
                assert_eq!(reading.frames, expected, "{magic:#x} {len}");
                assert_eq!(reading.damage, None, "{magic:#x} {len}");
                assert_eq!(streamed(&bytes), reading);
            }
        }
    }

    #[test]
    fn damage_in_the_second_record_is_no_other_layout() {
        let mut bytes = longer(Order::Little, MICRO, &[], 5);
        bytes[24 + 16 + 60 + 11] = 0xff;
        let reading = sequential(&opened(&bytes));
        assert_eq!((reading.frames.len(), reading.damage.is_some()), (1, true));
    }
}
