//! The alert that ends a handshake: RFC 8446, section 6; RFC 5246, section 7.2.
//!
//! A fatal alert is the last that a side sends, so it comes alone in a packet. In clear it is seven
//! bytes, `15 03 0x 00 02 02` and what it is about. Once keys are in force an alert is longer, and with
//! TLS 1.3 it looks like data: who ends a connection then, and why, is hidden.
//!
//! Anyone can send seven bytes. An alert that is not where its side had come to was dropped by the other;
//! one with more behind it, or beside data that only a finished handshake lets through, ended nothing.

use crate::flow::sample::Piece;

/// What the fatal alert in clear is about with which the sender of `mine` ended the connection, if it
/// did. `early`: data of the other side may belong to a handshake under way.
pub(super) fn fatal(mine: &[Piece<'_>], theirs: &[Piece<'_>], early: bool) -> Option<&'static str> {
    // Whoever sends data has keys, and would protect the alert.
    if mine.iter().any(is_data) || (!early && theirs.iter().any(is_data)) {
        return None;
    }
    mine.iter().find_map(|piece| match *piece.bytes {
        [ALERT, 3, 0..=3, 0, 2, FATAL, about] if piece.wire_len == LEN && ends(piece, mine) => {
            Some(name(about))
        }
        _ => None,
    })
}

/// Whether an alert stands where its side had come to, and nothing but alerts behind it.
fn ends(alert: &Piece<'_>, pieces: &[Piece<'_>]) -> bool {
    let others = || pieces.iter().filter(|piece| piece.bytes.first() != Some(&ALERT));
    let ahead = |piece: &Piece<'_>| {
        let end = piece.sequence.wrapping_add(piece.wire_len);
        alert.sequence.wrapping_sub(end).cast_signed()
    };
    let nearest = others().map(ahead).min();
    nearest.is_none_or(|distance| (0..=MAX_LOSS).contains(&distance))
}

fn is_data(piece: &Piece<'_>) -> bool {
    matches!(*piece.bytes, [APPLICATION_DATA, 3, 0..=3, ..])
}

/// The name in the registry of alerts, with hyphens.
fn name(about: u8) -> &'static str {
    NAMES.iter().find(|(number, _)| *number == about).map_or("unassigned", |(_, name)| name)
}

const ALERT: u8 = 21;
const FATAL: u8 = 2;
const APPLICATION_DATA: u8 = 23;
/// Bytes before an alert that a capture may have missed: a record.
const MAX_LOSS: i32 = 1 << 14;
/// Record header, level and description.
const LEN: u32 = 7;

const NAMES: [(u8, &str); 35] = [
    (0, "close-notify"),
    (10, "unexpected-message"),
    (20, "bad-record-mac"),
    (21, "decryption-failed"),
    (22, "record-overflow"),
    (30, "decompression-failure"),
    (40, "handshake-failure"),
    (41, "no-certificate"),
    (42, "bad-certificate"),
    (43, "unsupported-certificate"),
    (44, "certificate-revoked"),
    (45, "certificate-expired"),
    (46, "certificate-unknown"),
    (47, "illegal-parameter"),
    (48, "unknown-ca"),
    (49, "access-denied"),
    (50, "decode-error"),
    (51, "decrypt-error"),
    (60, "export-restriction"),
    (70, "protocol-version"),
    (71, "insufficient-security"),
    (80, "internal-error"),
    (86, "inappropriate-fallback"),
    (90, "user-canceled"),
    (100, "no-renegotiation"),
    (109, "missing-extension"),
    (110, "unsupported-extension"),
    (111, "certificate-unobtainable"),
    (112, "unrecognized-name"),
    (113, "bad-certificate-status-response"),
    (114, "bad-certificate-hash-value"),
    (115, "unknown-psk-identity"),
    (116, "certificate-required"),
    (120, "no-application-protocol"),
    (121, "ech-required"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::craft::hex;

    fn told(packets: &[&str]) -> Option<&'static str> {
        let packets: Vec<_> = packets.iter().map(|digits| hex(digits)).collect();
        let mut sequence = 0;
        let mut pieces = Vec::new();
        for bytes in &packets {
            pieces.push(Piece { sequence, wire_len: 7, bytes });
            sequence += 7;
        }
        fatal(&pieces, &[], false)
    }

    #[test]
    fn an_alert_that_ends_nothing_is_none() {
        let (hello, alert, data) =
            (hex("16 0303 0046 02"), hex("15 0303 0002 02 28"), hex("17 0303 0040 55"));
        let piece = |sequence, bytes| Piece { sequence, wire_len: 7, bytes };
        let at = |sequence, behind| {
            let mine = [piece(0, &hello[..]), piece(sequence, &alert[..]), piece(behind, &hello)];
            fatal(&mine, &[], false)
        };
        // In its place, the hello sent again beside it; behind a gap.
        assert_eq!(at(7, 0), Some("handshake-failure"));
        assert_eq!(at(1460, 0), Some("handshake-failure"));
        // Off the sequence on both sides, and with more behind it.
        assert_eq!(at(100_000, 0), None);
        assert_eq!(at(0_u32.wrapping_sub(100_000), 0), None);
        assert_eq!(at(3, 0), None);
        assert_eq!(at(7, 14), None);
        // Data of either side.
        let mine = [piece(0, &hello[..]), piece(7, &alert[..])];
        assert_eq!(fatal(&mine, &[piece(0, &data[..])], false), None);
        assert_eq!(fatal(&mine, &[piece(0, &data[..])], true), Some("handshake-failure"));
        assert_eq!(fatal(&[piece(0, &data[..]), piece(7, &alert[..])], &[], true), None);
    }

    #[test]
    fn a_fatal_alert_in_clear_is_named_wherever_it_stands() {
        assert_eq!(told(&["15 0303 0002 02 30"]), Some("unknown-ca"));
        assert_eq!(told(&["16 0303 0046 02", "15 0301 0002 02 28"]), Some("handshake-failure"));
        assert_eq!(told(&["15 0303 0002 02 ff"]), Some("unassigned"));
    }

    #[test]
    fn warnings_and_what_is_protected_or_cut_are_none() {
        for packet in [
            "15 0303 0002 01 00",
            "15 0303 001a 00 00000000000000",
            "15 0303 0002 02",
            "15 0303 0002 02 30 00",
            "17 0303 0002 02 30",
            "",
        ] {
            assert_eq!(told(&[packet]), None, "{packet}");
        }
        let long = Piece { sequence: 0, wire_len: 900, bytes: &hex("15 0303 0002 02 30") };
        assert_eq!(fatal(&[long], &[], false), None);
    }

    #[test]
    fn numbers_rise() {
        assert!(NAMES.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
