//! The classic pcap format: a header of 24 bytes, then records (draft-ietf-opsawg-pcap).

use super::order::Order;
use super::step::{Fault, MAX_CAPTURED, Record, Step};
use crate::input::{LinkType, Timestamp};

/// How the records of one pcap file are written.
///
/// Seconds are unsigned, so times reach to 2106; the header's time zone is not applied, as no
/// other reader does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    order: Order,
    /// Length of the file header: 24, or 28 in IXIA's lcap.
    file_header_len: usize,
    /// Length of a record header: 16, or more in the variants of [`Self::variants`].
    header_len: usize,
    /// Nanoseconds per unit of the fraction of a second.
    tick: u32,
    link_type: LinkType,
    lengths: Lengths,
}

/// In which order a record gives its two lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lengths {
    /// Captured, then original.
    CapturedFirst,
    /// The smaller is the captured one: files before version 2.4 were written both ways.
    EitherFirst,
}

impl Layout {
    /// Reads a file header; None when the bytes begin with another magic number.
    pub(super) fn parse(bytes: &[u8]) -> Option<Result<Self, String>> {
        let (order, shape) = shape(*bytes.first_chunk()?)?;
        Some(Self::parse_header(bytes, order, shape))
    }

    fn parse_header(bytes: &[u8], order: Order, shape: Shape) -> Result<Self, String> {
        let Shape { file_header_len, header_len, tick } = shape;
        let (Some(major), Some(minor), Some(network), Some(_)) = (
            order.u16_at(bytes, 4),
            order.u16_at(bytes, 6),
            order.u32_at(bytes, 20),
            bytes.get(..file_header_len),
        ) else {
            return Err(format!(
                "it is a pcap file cut inside its header, {} of {file_header_len} bytes are there",
                bytes.len()
            ));
        };
        if !matches!(major, 2 | DG_UX) {
            return Err(format!(
                "its header at byte 4 says pcap version {major}.{minor}, known is version 2"
            ));
        }
        if network & RESERVED != 0 {
            return Err(format!(
                "its header at byte 20 sets bits of the link type that must be zero \
                 ({network:#010x})"
            ));
        }
        let aix = ((major, minor) == (2, 2) && shape == USUAL).then(|| aix_link_type(network));
        let aix = aix.flatten();
        Ok(Self {
            order,
            file_header_len,
            header_len,
            tick: if aix.is_some() { 1 } else { tick },
            // The upper bits tell the length of a frame check sequence.
            link_type: aix.unwrap_or(LinkType(network & 0xffff)),
            lengths: if (major, minor) < (2, 4) || major == DG_UX {
                Lengths::EitherFirst
            } else {
                Lengths::CapturedFirst
            },
        })
    }

    /// Where the first record begins.
    pub(super) fn file_header_len(&self) -> usize {
        self.file_header_len
    }

    /// The same file with the longer record headers that some systems of the 1990s wrote under the
    /// same magic number: under the usual one Red Hat 6 (24 bytes) and Nokia's IPSO (20), under
    /// Kuznetzov's `SuSE` 6.3 (28). Only the records tell which it is.
    pub(super) fn variants(&self) -> impl Iterator<Item = Self> {
        let lengths: &[usize] = match (self.header_len, self.file_header_len, self.tick) {
            (16, 24, 1_000) => &[24, 20],
            (24, ..) => &[28],
            _ => &[],
        };
        let this = *self;
        lengths.iter().map(move |length| Self { header_len: *length, ..this })
    }

    /// The bytes in front of each frame.
    pub(super) fn header_len(&self) -> usize {
        self.header_len
    }

    /// What stands at the beginning of the bytes.
    #[inline]
    pub(super) fn step(&self, bytes: &[u8]) -> Step {
        let Some(header) = self.header(bytes) else {
            return Step::Need(self.header_len);
        };
        if header.captured > MAX_CAPTURED {
            return Step::Bad(Fault::Captured(header.captured));
        }
        if header.captured == 0 && header.original == 0 {
            if header.is_zero() {
                return Step::Bad(Fault::Zeros);
            }
            // Where a time should be stands the magic number of a file: two were joined by `cat`.
            if Self::parse(bytes).is_some_and(|layout| layout.is_ok()) {
                return Step::Bad(Fault::Another);
            }
        }
        let total = self.header_len + header.captured as usize;
        if bytes.len() < total {
            return Step::Need(total);
        }
        Step::Frame(Record {
            data: self.header_len,
            captured: header.captured as usize,
            total,
            time: self.time(&header),
            link_type: self.link_type,
            original_len: header.original,
            noted: false,
        })
    }

    /// The record header at the beginning of the bytes; None when they are too few.
    #[inline]
    pub(super) fn header(&self, bytes: &[u8]) -> Option<Header> {
        if bytes.len() < self.header_len {
            return None;
        }
        let [seconds, fraction, captured, original] = self.order.words(bytes.first_chunk()?);
        let (captured, original) = if captured > original {
            self.settle(captured, original)
        } else {
            (captured, original)
        };
        Some(Header { seconds, fraction, captured, original })
    }

    /// Whether the fraction of a second is one.
    pub(super) fn has_sane_fraction(&self, header: &Header) -> bool {
        u64::from(header.fraction) * u64::from(self.tick) < 1_000_000_000
    }

    /// When the frame of a record was captured. Fractions over a second are added, not refused.
    #[inline]
    pub(super) fn time(&self, header: &Header) -> Timestamp {
        // At most 2^32 * 10^9 + 2^32 * 10^3: far from the end of 63 bits.
        Timestamp(
            i64::from(header.seconds) * 1_000_000_000
                + i64::from(header.fraction) * i64::from(self.tick),
        )
    }

    /// Makes sense of a frame that was captured longer than it was.
    #[cold]
    fn settle(&self, captured: u32, original: u32) -> (u32, u32) {
        match self.lengths {
            Lengths::CapturedFirst => (captured, captured),
            Lengths::EitherFirst => (original, captured),
        }
    }
}

/// A record header in numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) seconds: u32,
    pub(super) fraction: u32,
    pub(super) captured: u32,
    pub(super) original: u32,
}

impl Header {
    /// Whether nothing was ever written here: an empty frame of no length on the wire, captured in
    /// 1970. Files end so after a crash, and so do hostile ones, at no cost to who packed them.
    pub(super) fn is_zero(&self) -> bool {
        (self.seconds, self.fraction, self.captured, self.original) == (0, 0, 0, 0)
    }
}

/// What a magic number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    file_header_len: usize,
    header_len: usize,
    /// Nanoseconds per unit of the fraction of a second.
    tick: u32,
}

/// Byte order and shape by the magic number.
fn shape(magic: [u8; 4]) -> Option<(Order, Shape)> {
    let known = |number| match number {
        MICROSECONDS => Some(USUAL),
        NANOSECONDS => Some(Shape { tick: 1, ..USUAL }),
        KUZNETZOV => Some(Shape { header_len: 24, ..USUAL }),
        LCAP_HARDWARE => Some(Shape { file_header_len: 28, tick: 1, ..USUAL }),
        LCAP_SOFTWARE => Some(Shape { file_header_len: 28, ..USUAL }),
        _ => None,
    };
    let little = known(u32::from_le_bytes(magic)).map(|shape| (Order::Little, shape));
    little.or_else(|| known(u32::from_be_bytes(magic)).map(|shape| (Order::Big, shape)))
}

/// AIX writes version 2.2, nanoseconds under the usual magic number, and interface types of RFC
/// 1573 where others write link types. Those below were no link types when version 2.2 was current.
fn aix_link_type(network: u32) -> Option<LinkType> {
    match network {
        6 => Some(LinkType::ETHERNET),
        // Token Ring and FDDI.
        9 => Some(LinkType(6)),
        15 => Some(LinkType(10)),
        24 => Some(LinkType::NULL),
        _ => None,
    }
}

/// What the usual magic number tells.
const USUAL: Shape = Shape { file_header_len: 24, header_len: 16, tick: 1_000 };
/// The longest file header in bytes.
pub(super) const LONGEST_FILE_HEADER: usize = 28;
/// The longest record header in bytes.
pub(super) const LONGEST_HEADER: usize = 28;
/// Times in microseconds.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
/// Times in nanoseconds.
const NANOSECONDS: u32 = 0xa1b2_3c4d;
/// Times in microseconds and eight more bytes in each record header, written by patched libpcaps
/// of the 1990s.
const KUZNETZOV: u32 = 0xa1b2_cd34;
/// IXIA's lcap, from hardware with times in nanoseconds: as pcap, but the length of all records
/// ends the file header.
const LCAP_HARDWARE: u32 = 0x1c00_01ac;
/// IXIA's lcap from software, with times in microseconds.
const LCAP_SOFTWARE: u32 = 0x1c00_01ab;
/// The major version that tcpdump of DG/UX writes.
const DG_UX: u16 = 543;
/// Bits of the link-type word that must be zero.
const RESERVED: u32 = 0x03ff_0000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::savefile::craft::pcap_header;

    fn layout(order: Order, magic: u32) -> Layout {
        Layout::parse(&[pcap_header(order, magic, 1), vec![0; 4]].concat()).unwrap().unwrap()
    }

    fn bytes_of(words: [u32; 4]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_le_bytes()).collect()
    }

    #[test]
    fn all_magics_in_both_orders() {
        for (magic, file_header_len, header_len, tick) in [
            (MICROSECONDS, 24, 16, 1_000),
            (NANOSECONDS, 24, 16, 1),
            (KUZNETZOV, 24, 24, 1_000),
            (LCAP_HARDWARE, 28, 16, 1),
            (LCAP_SOFTWARE, 28, 16, 1_000),
        ] {
            for order in [Order::Little, Order::Big] {
                let layout = layout(order, magic);
                assert_eq!((layout.order, layout.file_header_len), (order, file_header_len));
                assert_eq!((layout.header_len, layout.tick), (header_len, tick));
                assert_eq!(layout.link_type, LinkType::ETHERNET);
            }
        }
        assert!(Layout::parse(b"\x0a\x0d\x0d\x0a").is_none());
        assert!(Layout::parse(b"\xa1\xb2").is_none());
    }

    #[test]
    fn headers_that_lie_are_refused_with_the_place() {
        let mut header = pcap_header(Order::Little, MICROSECONDS, 1);
        header[4] = 1;
        let why = Layout::parse(&header).unwrap().unwrap_err();
        assert_eq!(why, "its header at byte 4 says pcap version 1.4, known is version 2");
        let header = pcap_header(Order::Big, MICROSECONDS, 0x0030_0000);
        let why = Layout::parse(&header).unwrap().unwrap_err();
        assert!(why.contains("byte 20") && why.contains("0x00300000"), "{why}");
        let why = Layout::parse(&header[..23]).unwrap().unwrap_err();
        assert!(why.contains("23 of 24 bytes"), "{why}");
        let header = pcap_header(Order::Little, LCAP_SOFTWARE, 1);
        let why = Layout::parse(&header).unwrap().unwrap_err();
        assert!(why.contains("24 of 28 bytes"), "{why}");
    }

    #[test]
    fn old_versions_of_other_systems() {
        let versioned = |major: u16, minor: u16, network| {
            let mut header = pcap_header(Order::Big, MICROSECONDS, network);
            header[4..6].copy_from_slice(&major.to_be_bytes());
            header[6..8].copy_from_slice(&minor.to_be_bytes());
            Layout::parse(&header).unwrap().unwrap()
        };
        let aix = |network| {
            let layout = versioned(2, 2, network);
            (layout.link_type.0, layout.tick)
        };
        assert_eq!([6, 9, 15, 24, 1].map(aix), [(1, 1), (6, 1), (10, 1), (0, 1), (1, 1_000)]);
        assert_eq!(versioned(2, 4, 6).link_type, LinkType(6));
        for (major, minor, lengths) in [
            (2, 3, Lengths::EitherFirst),
            (2, 4, Lengths::CapturedFirst),
            (543, 0, Lengths::EitherFirst),
        ] {
            assert_eq!(versioned(major, minor, 1).lengths, lengths, "{major}.{minor}");
        }
    }

    #[test]
    fn frame_check_bits_are_not_part_of_the_link_type() {
        let header = pcap_header(Order::Little, MICROSECONDS, 0x4400_0071);
        assert_eq!(Layout::parse(&header).unwrap().unwrap().link_type, LinkType::LINUX_SLL);
    }

    #[test]
    fn a_record_becomes_a_frame_only_when_whole() {
        let layout = layout(Order::Little, MICROSECONDS);
        let mut bytes = bytes_of([2, 3, 5, 9]);
        assert_eq!(layout.step(&bytes[..15]), Step::Need(16));
        assert_eq!(layout.step(&bytes), Step::Need(21));
        bytes.extend(b"hello and more");
        let Step::Frame(record) = layout.step(&bytes) else { panic!("no frame") };
        assert_eq!((record.data, record.captured, record.total), (16, 5, 21));
        assert_eq!((record.time, record.original_len), (Timestamp(2_000_003_000), 9));
    }

    #[test]
    fn lengths_out_of_order() {
        let mut layout = layout(Order::Little, MICROSECONDS);
        let bytes = bytes_of([0, 0, 9, 5]);
        let header = layout.header(&bytes).unwrap();
        assert_eq!((header.captured, header.original), (9, 9));
        layout.lengths = Lengths::EitherFirst;
        let header = layout.header(&bytes).unwrap();
        assert_eq!((header.captured, header.original), (5, 9));
    }

    #[test]
    fn sixteen_mebibytes_is_the_longest_frame() {
        let layout = layout(Order::Little, MICROSECONDS);
        let most = MAX_CAPTURED;
        assert_eq!(layout.step(&bytes_of([0, 0, most, most])), Step::Need(16 + (16 << 20)));
        let fault = Fault::Captured(most + 1);
        assert_eq!(layout.step(&bytes_of([0, 0, most + 1, most])), Step::Bad(fault));
    }

    #[test]
    fn a_second_file_is_no_record() {
        let layout = layout(Order::Little, MICROSECONDS);
        for order in [Order::Little, Order::Big] {
            let another = pcap_header(order, NANOSECONDS, 1);
            assert_eq!(layout.step(&another), Step::Bad(Fault::Another));
        }
    }

    #[test]
    fn a_record_of_zeros_is_none() {
        let layout = layout(Order::Little, MICROSECONDS);
        assert_eq!(layout.step(&bytes_of([0; 4])), Step::Bad(Fault::Zeros));
        for place in [0, 1, 3] {
            let mut words = [0; 4];
            words[place] = 1;
            let Step::Frame(record) = layout.step(&bytes_of(words)) else { panic!("{place}") };
            assert_eq!((record.captured, record.total), (0, 16));
        }
    }

    #[test]
    fn the_last_second_of_pcap_does_not_overflow() {
        let layout = layout(Order::Little, MICROSECONDS);
        let header = layout.header(&bytes_of([u32::MAX, u32::MAX, 0, 0])).unwrap();
        assert_eq!(layout.time(&header), Timestamp(4_294_971_589_967_295_000));
        assert!(!layout.has_sane_fraction(&header));
    }
}
