//! What receivers put before an 802.11 frame: radiotap, Prism, AVS and PPI headers.
//!
//! They tell of signal and channel, which is nothing to this tool, but two facts of radiotap matter:
//! whether the receiver found the frame damaged, and whether it padded the frame's header.

use super::layer::Path;
use super::span::Span;
use super::{Stop, link, wlan};

/// Radiotap (radiotap.org): version 0, a length, and a bit per field present. Numbers are
/// little-endian, fields are aligned to their size.
pub(super) fn radiotap<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let (Some(version), Some(len), Some(mut present)) =
        (span.u8(0), span.u16_le(2), span.u32_le(4))
    else {
        return Err(Stop::LinkHeader);
    };
    let len = usize::from(len);
    if version != 0 || len < RADIOTAP_MIN {
        return Err(Stop::LinkHeader);
    }
    let (first, mut at) = (present, RADIOTAP_MIN);
    while present & MORE_FIELDS != 0 && at < len {
        present = span.u32_le(at).ok_or(Stop::LinkHeader)?;
        at += 4;
    }
    let flags = if first & HAS_FLAGS == 0 {
        0
    } else {
        // Only the receiver's clock may stand before the flags.
        let at = if first & HAS_CLOCK == 0 { at } else { at.next_multiple_of(8) + 8 };
        span.u8(at).filter(|_| at < len).ok_or(Stop::LinkHeader)?
    };
    if flags & BAD_CHECKSUM != 0 {
        return Err(Stop::LinkHeader);
    }
    wlan::padded(span.after(len), if flags & PADDED == 0 { 1 } else { 4 }, path)
}

/// Prism: a message code and a length in the byte order of the capturing host. Drivers also wrote
/// AVS headers under this link type.
pub(super) fn prism<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    if span.u32(0).ok_or(Stop::LinkHeader)? >> 12 == AVS_MAGIC {
        return avs(span, path);
    }
    let len = span.u32_host(4).ok_or(Stop::LinkHeader)?;
    behind(len, span, path)
}

/// AVS: a magic number with the version, and a length, both big-endian.
pub(super) fn avs<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let (Some(magic), Some(len)) = (span.u32(0), span.u32(4)) else {
        return Err(Stop::LinkHeader);
    };
    if magic >> 12 != AVS_MAGIC {
        return Err(Stop::LinkHeader);
    }
    behind(len, span, path)
}

/// PPI: version 0, flags, a little-endian length that includes the header, and the libpcap number of
/// what follows.
pub(super) fn ppi<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let (Some(version), Some(len), Some(number)) = (span.u8(0), span.u16_le(2), span.u32_le(4))
    else {
        return Err(Stop::LinkHeader);
    };
    if version != 0 || usize::from(len) < PPI_MIN {
        return Err(Stop::LinkHeader);
    }
    link::carried(number, span.after(usize::from(len)), path)
}

fn behind<'a>(len: u32, span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match usize::try_from(len) {
        Ok(len @ 8..MAX_HEADER) => wlan::read(span.after(len), path),
        _ => Err(Stop::LinkHeader),
    }
}

/// Bytes of the shortest radiotap header.
const RADIOTAP_MIN: usize = 8;
/// Radiotap: another word of field bits follows.
const MORE_FIELDS: u32 = 1 << 31;
/// Radiotap: the receiver's clock is present, eight bytes.
const HAS_CLOCK: u32 = 1;
/// Radiotap: the flags are present, one byte.
const HAS_FLAGS: u32 = 1 << 1;
/// Radiotap flag: padding between the 802.11 header and its body.
const PADDED: u8 = 0x20;
/// Radiotap flag: the checksum was wrong, so any byte may be.
const BAD_CHECKSUM: u8 = 0x40;
/// The upper 20 bits of an AVS version.
const AVS_MAGIC: u32 = 0x80211;
/// Bytes of the shortest PPI header.
const PPI_MIN: usize = 8;
/// A longer receiver header is damage.
const MAX_HEADER: usize = 1024;

#[cfg(test)]
mod tests {
    use super::super::testing::{frame, hex, inner, layers_around_inner, stop};
    use super::*;
    use crate::input::LinkType;

    const DATA: &str = "0801 0000 020000000001 020000000002 020000000003 1000 aaaa03 000000 0800";

    #[track_caller]
    fn reads(link_type: LinkType, header: &str) {
        let bytes = [hex(header), hex(DATA), inner()].concat();
        assert_eq!(layers_around_inner(link_type, &bytes), "", "{header}");
    }

    #[test]
    fn radiotap_tells_its_length_and_flags() {
        reads(LinkType::RADIOTAP, "0000 0800 00000000");
        // Flags 0x10: a checksum at the end. Then clock and flags behind a second word of bits.
        reads(LinkType::RADIOTAP, "0000 0900 02000000 10");
        let long = "0000 1900 03000080 00000000 00000000 1122334455667788 10";
        reads(LinkType::RADIOTAP, long);
    }

    #[test]
    fn radiotap_padding_is_passed_over() {
        let quality = "8801 0000 020000000001 020000000002 020000000003 1000 0600 0000
            aaaa03 000000 0800";
        let bytes = [hex("0000 0900 02000000 20"), hex(quality), inner()].concat();
        assert_eq!(layers_around_inner(LinkType::RADIOTAP, &bytes), "");
    }

    #[test]
    fn damage_on_the_air_is_damage() {
        for header in ["0000 0900 02000000 40", "0100 0800 00000000", "0000 0700 00000000"] {
            let bytes = [hex(header), hex(DATA), inner()].concat();
            assert_eq!(stop(&frame(LinkType::RADIOTAP, &bytes)), Stop::LinkHeader, "{header}");
        }
    }

    #[test]
    fn older_headers_tell_their_length() {
        reads(LinkType::PRISM, "44000000 10000000 0000000000000000");
        reads(LinkType::PRISM, "00000044 00000010 0000000000000000");
        reads(LinkType::PRISM, "80211001 00000010 0000000000000000");
        reads(LinkType::AVS, "80211002 00000010 0000000000000000");
        reads(LinkType::PPI, "0000 0800 69000000");
        let within = hex("0000 0800 c0000000 0000 0800 69000000");
        assert_eq!(stop(&frame(LinkType::PPI, &within)), Stop::LinkHeader);
        let other = hex("0000 0800 c3000000 00");
        assert_eq!(stop(&frame(LinkType::PPI, &other)), Stop::LinkType(LinkType(195)));
    }
}
