//! What a stream goes on with once both ends have agreed in clear text to change its protocol: TLS
//! after STARTTLS, or whatever a proxy connects to.
//!
//! The agreement ends with an answer, so the new protocol begins a packet of its own. The first
//! bytes of every packet of a sample are kept, and a hello needs no more of them. Detectors of
//! protocols that can change add what is found as the fact `then`.

use super::View;
use super::bytes::Reader;
use super::sides::{SIDES, Seen};
use super::stun::pseudo_tls;

/// The protocol with which a packet behind the first one of its side begins, by its token.
pub(super) fn then(view: &View<'_>) -> Option<&'static str> {
    let later = |side| view.pieces(side).iter().skip(1);
    SIDES.into_iter().flat_map(later).find_map(|piece| begins(piece.bytes))
}

fn begins(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"SSH-2.0-") {
        return Some("ssh");
    }
    if !is_hello(bytes) {
        return None;
    }
    // A hello of that very length with one suite and no extension is MS-TURN's, cut or not.
    match pseudo_tls::read(bytes) {
        Seen::Fits(_) | Seen::Short => Some("stun"),
        Seen::Foreign | Seen::Silent => Some("tls"),
    }
}

/// A handshake record that holds a hello of either side (RFC 8446, 5.1 and 4).
fn is_hello(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    let fields = (|| {
        let record = reader.u16()?;
        let minor = reader.u8()?;
        let len = u32::from(reader.u16()?);
        let kind = reader.u8()?;
        let size = reader.u24()?;
        let version = reader.u16()?;
        Some(
            record == 0x1603
                && minor <= 4
                && matches!(kind, 1 | 2)
                && (MIN_HELLO..=MAX_HELLO).contains(&size)
                && (MIN_HELLO + 4..=MAX_RECORD).contains(&len)
                && (0x0300..=0x0303).contains(&version),
        )
    })();
    fields.unwrap_or(false)
}

/// The shortest hello: version, random, no session, a suite and a compression method.
const MIN_HELLO: u32 = 38;
/// Longer hellos do not occur.
const MAX_HELLO: u32 = 1 << 17;
/// RFC 5246, 6.2.3.
const MAX_RECORD: u32 = (1 << 14) + 2048;

#[cfg(test)]
mod tests {
    use super::super::craft::{dialogue, hello};
    use super::*;
    use crate::flow::key::Side;

    fn after(bytes: &[u8]) -> Option<&'static str> {
        let sample =
            dialogue(&[(Side::A, b"STARTTLS\r\n"), (Side::B, b"220 go\r\n"), (Side::A, bytes)]);
        then(&View::of(&sample))
    }

    #[test]
    fn what_begins_a_later_packet_is_told() {
        assert_eq!(after(&hello()), Some("tls"));
        assert_eq!(after(b"SSH-2.0-OpenSSH_9.6\r\n"), Some("ssh"));
        assert_eq!(after(&pseudo_tls::tests::client()), Some("stun"));
        // Sixteen bytes are kept of any packet, and are enough.
        assert_eq!(after(&pseudo_tls::tests::client()[..16]), Some("stun"));
        assert_eq!(after(&hello()[..16]), Some("tls"));
        assert_eq!(after(&hello()[..10]), None);
        assert_eq!(after(b"EHLO again\r\n"), None);
    }

    #[test]
    fn what_begins_the_stream_is_no_change() {
        let sample = dialogue(&[(Side::A, &hello()), (Side::B, b"220 go\r\n")]);
        assert_eq!(then(&View::of(&sample)), None);
    }
}
