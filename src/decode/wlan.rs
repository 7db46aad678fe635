//! IEEE 802.11: data frames that are not encrypted.
//!
//! What stands before a data frame's LLC header depends on four bits (9.2.4 and 9.3.2 of the 2020
//! edition): a fourth address between access points, a quality of service field, a high throughput
//! field, and whether several frames were put into one (A-MSDU). Of several only the first is read:
//! a frame is counted once.

use std::fmt;

use super::layer::Path;
use super::span::Span;
use super::{Stop, ether};

/// Why a radio frame shows no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Radio {
    /// Beacons, associations and the like.
    Management,
    /// Acknowledgements, requests to send and the like.
    Control,
    /// A data frame without data, which tells of sleep and quality of service.
    NoData,
    /// Encrypted on the air (WEP, WPA).
    Protected,
    /// A radio fragment other than the first.
    Fragment,
    /// A frame type of an amendment, such as a directional beacon.
    Extension,
}

/// The stable reason under which a frame is counted.
impl fmt::Display for Radio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Management => "wlan-management",
            Self::Control => "wlan-control",
            Self::NoData => "wlan-no-data",
            Self::Protected => "wlan-protected",
            Self::Fragment => "wlan-fragment",
            Self::Extension => "wlan-extension",
        })
    }
}

/// Reads an 802.11 frame. Leads to IP.
pub(super) fn read<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    padded(span, 1, path)
}

/// Reads an 802.11 frame between whose header and body the receiver put padding, so that the header
/// takes whole words of `align` bytes.
pub(super) fn padded<'a>(span: Span<'a>, align: usize, path: &mut Path) -> Result<Span<'a>, Stop> {
    frame(span, Order::Standard, align, path)
}

/// Reads an 802.11 frame whose control fields may be swapped, as some access points send them through
/// CAPWAP. In a data frame the wrong order puts direction bits where a version must be 0.
pub(super) fn maybe_swapped<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let &[first, second] = span.bytes.first_chunk::<2>().ok_or(Stop::LinkHeader)?;
    let swapped = first & VERSION != 0 && second & VERSION == 0;
    frame(span, if swapped { Order::Swapped } else { Order::Standard }, 1, path)
}

/// The byte order of the control fields of two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Standard,
    Swapped,
}

impl Order {
    /// The lower byte of the field at an offset, then the higher one.
    fn field(self, span: Span<'_>, at: usize) -> Result<[u8; 2], Stop> {
        let number = span.u16_le(at).ok_or(Stop::LinkHeader)?;
        Ok(if self == Self::Swapped { number.to_be_bytes() } else { number.to_le_bytes() })
    }
}

fn frame<'a>(
    span: Span<'a>,
    order: Order,
    align: usize,
    path: &mut Path,
) -> Result<Span<'a>, Stop> {
    let [kind, flags] = order.field(span, 0)?;
    if kind & VERSION != 0 {
        return Err(Stop::LinkHeader);
    }
    match kind >> 2 & 3 {
        0 => return Err(Stop::Wlan(Radio::Management)),
        1 => return Err(Stop::Wlan(Radio::Control)),
        2 => {}
        _ => return Err(Stop::Wlan(Radio::Extension)),
    }
    if kind & NO_DATA != 0 {
        return Err(Stop::Wlan(Radio::NoData));
    }
    if flags & PROTECTED != 0 {
        return Err(Stop::Wlan(Radio::Protected));
    }
    if order.field(span, SEQUENCE)?[0] & FRAGMENT_NUMBER != 0 {
        return Err(Stop::Wlan(Radio::Fragment));
    }
    let quality = kind & QUALITY != 0;
    let quality_at: usize = if flags & FOUR_ADDRESSES == FOUR_ADDRESSES { 30 } else { 24 };
    let header_len = match (quality, flags & MORE_CONTROL != 0) {
        (true, true) => quality_at + 6,
        (true, false) => quality_at + 2,
        (false, _) => quality_at,
    };
    let body = span.after(header_len.next_multiple_of(align));
    if quality && order.field(span, quality_at)?[0] & AGGREGATE != 0 {
        return first_of_many(body, path);
    }
    ether::llc(body, path)
}

/// The first frame of an A-MSDU: two addresses and a length before its LLC header (9.3.2.2).
fn first_of_many<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let length = span.u16(12).ok_or(Stop::LinkHeader)?;
    ether::llc(span.after(14).with_len(u32::from(length)), path)
}

/// Protocol version, which is 0.
const VERSION: u8 = 0x03;
/// Subtype bit of data frames that carry none.
const NO_DATA: u8 = 0x40;
/// Subtype bit of data frames with a quality of service field.
const QUALITY: u8 = 0x80;
/// To and from the distribution system: a fourth address follows.
const FOUR_ADDRESSES: u8 = 0x03;
/// The body is encrypted.
const PROTECTED: u8 = 0x40;
/// With quality of service: a high throughput field follows.
const MORE_CONTROL: u8 = 0x80;
/// Where the fragment and sequence numbers stand.
const SEQUENCE: usize = 22;
/// The fragment number beside the sequence number.
const FRAGMENT_NUMBER: u8 = 0x0F;
/// Quality of service bit of an A-MSDU.
const AGGREGATE: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, hex, inner, layers_around_inner, stop};
    use crate::input::LinkType;

    const ADDRESSES: &str = "0000 020000000001 020000000002 020000000003 1000";
    const SNAP: &str = "aaaa03 000000 0800";

    #[track_caller]
    fn reads(control: &str, more: &str) {
        let header = [hex(control), hex(ADDRESSES), hex(more), hex(SNAP)].concat();
        let bytes = [header, inner()].concat();
        assert_eq!(layers_around_inner(LinkType::WLAN, &bytes), "", "{control}");
    }

    #[test]
    fn the_header_grows_with_its_flags() {
        reads("0801", "");
        reads("0802", "");
        // Four addresses; quality of service; both; and a high throughput field.
        reads("0803", "020000000004");
        reads("8801", "0600");
        reads("8803", "020000000004 0600");
        reads("8883", "020000000004 0600 00000000");
    }

    #[test]
    fn of_several_frames_the_first_is_read() {
        let first = [hex(SNAP), inner()].concat();
        let mut bytes = hex("8801");
        bytes.extend(hex(ADDRESSES));
        bytes.extend(hex("8000"));
        for _ in 0..2 {
            bytes.extend(hex("020000000005 020000000006"));
            bytes.extend(u16::try_from(first.len()).unwrap().to_be_bytes());
            bytes.extend(&first);
        }
        assert_eq!(layers_around_inner(LinkType::WLAN, &bytes), "");
    }

    #[test]
    fn what_shows_no_packet_has_its_own_reason() {
        let reason = |control: &str, sequence: &str| {
            let bytes = [hex(control), hex(&ADDRESSES[..ADDRESSES.len() - 4]), hex(sequence)];
            stop(&frame(LinkType::WLAN, &bytes.concat())).to_string()
        };
        assert_eq!(reason("8000", "1000"), "wlan-management");
        assert_eq!(reason("d400", "1000"), "wlan-control");
        assert_eq!(reason("4801", "1000"), "wlan-no-data");
        assert_eq!(reason("c801", "1000"), "wlan-no-data");
        assert_eq!(reason("0841", "1000"), "wlan-protected");
        assert_eq!(reason("0801", "1100"), "wlan-fragment");
        assert_eq!(reason("0c00", "1000"), "wlan-extension");
        assert_eq!(reason("0901", "1000"), "link-header");
    }
}
