//! The alert that ends a handshake: RFC 8446, section 6; RFC 5246, section 7.2.
//!
//! A fatal alert is the last that a side sends, so it comes alone in a packet. In clear it is seven
//! bytes, `15 03 0x 00 02 02` and what it is about. Once keys are in force an alert is longer, and with
//! TLS 1.3 it looks like data: who ends a connection then, and why, is hidden.

use crate::flow::sample::Piece;

/// What the fatal alert among one side's packets is about, if there is one in clear.
pub(super) fn fatal(pieces: &[Piece<'_>]) -> Option<&'static str> {
    pieces.iter().find_map(|piece| match *piece.bytes {
        [ALERT, 3, 0..=3, 0, 2, FATAL, about] if piece.wire_len == LEN => Some(name(about)),
        _ => None,
    })
}

/// The name in the registry of alerts, with hyphens.
fn name(about: u8) -> &'static str {
    NAMES.iter().find(|(number, _)| *number == about).map_or("unassigned", |(_, name)| name)
}

const ALERT: u8 = 21;
const FATAL: u8 = 2;
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
        let piece = |bytes| Piece { sequence: 0, wire_len: 7, bytes };
        let pieces: Vec<_> = packets.iter().map(|packet| piece(packet)).collect();
        fatal(&pieces)
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
        assert_eq!(fatal(&[long]), None);
    }

    #[test]
    fn numbers_rise() {
        assert!(NAMES.is_sorted_by(|(a, _), (b, _)| a < b));
    }
}
