//! Wrapped ESP (RFC 5840): four bytes before an ESP packet that say whether it is encrypted, and where
//! its content is if it is not.
//!
//! ```text
//!  0             8               16              24
//! | next header  | header length | trailer length | version (2) E P reserved (4) |
//! ```

use super::Transport;
use super::esp_null::is_padding;
use super::span::Span;

/// The ESP packet inside.
pub(super) fn esp(wrapped: Span<'_>) -> Option<Span<'_>> {
    let flags = wrapped.u8(3).filter(|flags| flags & VERSION == 0)?;
    Some(wrapped.after(if flags & PADDED == 0 { HEADER_LEN } else { HEADER_LEN + PADDING_LEN }))
}

/// The content and what it begins with, where it is not encrypted. Its end takes the whole packet to find;
/// of a cut one all that is there is taken.
pub(super) fn content(wrapped: Span<'_>) -> Option<(Transport, Span<'_>)> {
    let &[next, header_len, trailer_len, flags] = wrapped.bytes.first_chunk()?;
    let header_len = usize::from(header_len);
    let least = wrapped.bytes.len().checked_sub(esp(wrapped)?.bytes.len())? + ESP_LEN;
    if flags & ENCRYPTED != 0 || header_len < least || !header_len.is_multiple_of(4) {
        return None;
    }
    let body = wrapped.after(header_len);
    let trailer_len = usize::from(trailer_len);
    if (body.bytes.len() as u64) < u64::from(body.wire_len) {
        let len = body.wire_len.checked_sub(trailer_len as u32)?;
        return Some((Transport(next), body.with_len(len)));
    }
    // The standard's trailer length is that of the check value; some count padding, its length and the
    // protocol number too.
    let len = [trailer_len].into_iter().chain(CHECK_VALUES).find_map(|check_value| {
        let trailer = body.bytes.len().checked_sub(check_value + 2)?;
        let &[padding, same] = body.bytes.get(trailer..)?.first_chunk()?;
        let end = trailer.checked_sub(usize::from(padding))?;
        let counted = body.bytes.len() - end;
        let told = check_value == trailer_len || counted == trailer_len;
        (same == next && told && is_padding(body.bytes.get(end..trailer)?)).then_some(end)
    })?;
    Some((Transport(next), body.with_len(len as u32)))
}

/// Bits of the version; only 0 is known.
const VERSION: u8 = 0xC0;
/// The content is encrypted.
const ENCRYPTED: u8 = 0x20;
/// Four bytes follow that only keep IPv6 aligned.
const PADDED: u8 = 0x10;
/// The header, in bytes.
const HEADER_LEN: usize = 4;
/// What keeps IPv6 aligned, in bytes.
const PADDING_LEN: usize = 4;
/// SPI and sequence number of ESP, in bytes.
const ESP_LEN: usize = 8;
/// Lengths of integrity check values, in bytes.
const CHECK_VALUES: [usize; 5] = [12, 16, 24, 32, 0];
