//! One STUN message of any kind. RFC 8489 section 5, RFC 3489 section 11.1, MS-TURN section 2.2.
//!
//! ```text
//!  0       2        4                      20
//! | type  | length | transaction id (16)  | attributes: type (2), length (2), value
//!                  | cookie (4) | id (12) |
//! ```

use crate::identify::bytes::Reader;
use crate::identify::sides::{Message, Seen};

/// Which document the message follows. The later ones are more specific: MS-TURN's cookie decides
/// even in a message that has the other one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::identify) enum Variant {
    /// RFC 3489, without a cookie.
    Classic,
    /// RFC 8489 and RFC 5389.
    Rfc8489,
    /// MS-TURN.
    MsTurn,
}

impl Variant {
    /// The stable name used in facts.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Rfc8489 => "rfc8489",
            Self::MsTurn => "ms-turn",
        }
    }
}

/// The class of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::identify) enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// Answers well.
    Success,
    /// Answers with an error.
    Error,
}

/// What is kept of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::identify) struct StunMessage {
    kind: u16,
    id: [u8; ID],
    /// Which document it follows.
    pub(super) variant: Variant,
    /// A FINGERPRINT attribute was seen.
    pub(super) fingerprint: bool,
    /// Attributes fill it to the last byte, or there are none and the id is no run of zeros.
    pub(super) filled: bool,
}

impl StunMessage {
    /// The class, by the two bits in the type.
    pub(super) fn class(&self) -> Class {
        match (self.variant, self.kind) {
            // MS-TURN numbers its indications past that scheme.
            (Variant::MsTurn, 0x0004 | 0x0115) => Class::Indication,
            (_, kind) => match kind & 0x0110 {
                0x0000 => Class::Request,
                0x0010 => Class::Indication,
                0x0100 => Class::Success,
                _ => Class::Error,
            },
        }
    }

    /// The method's stable name.
    pub(super) fn method(&self) -> &'static str {
        let method = method_number(self.kind);
        if self.variant == Variant::MsTurn {
            return match self.kind {
                0x0004 => "send",
                0x0115 => "data",
                0x0006 | 0x0106 | 0x0116 => "set-active-destination",
                _ => name(method),
            };
        }
        name(method)
    }

    /// Whether the method is one of TURN's.
    pub(super) fn is_turn(&self) -> bool {
        self.variant == Variant::MsTurn || (3..=12).contains(&method_number(self.kind))
    }

    /// Whether this answers `request`.
    pub(super) fn answers(&self, request: &Self) -> bool {
        self.id == request.id
            && request.class() == Class::Request
            && matches!(self.class(), Class::Success | Class::Error)
            && method_number(self.kind) == method_number(request.kind)
    }
}

/// Reads a message that fills `message`.
pub(super) fn read(message: &Message<'_>) -> Seen<StunMessage> {
    let mut reader = Reader::new(message.bytes);
    let (Some(kind), Some(len), Some(id)) = (reader.u16(), reader.u16(), reader.array()) else {
        return match message.bytes.first() {
            Some(0..=3) => message.ran_out(),
            _ => Seen::Foreign,
        };
    };
    let len = usize::from(len);
    let variant = variant(kind, &id, reader.rest());
    // MS-TURN does not pad; some senders pad the datagram behind the message instead.
    let fills = match variant {
        Some(Variant::MsTurn) => (HEADER + len..HEADER + len + 4).contains(&message.len),
        Some(Variant::Rfc8489 | Variant::Classic) => len % 4 == 0 && HEADER + len == message.len,
        None => false,
    };
    let Some(variant) = variant.filter(|_| fills) else {
        return Seen::Foreign;
    };
    let attributes = attributes(reader.take_up_to(len), len);
    // Without a cookie the attributes are all there is to believe.
    if variant == Variant::Classic && !attributes.sound {
        return Seen::Foreign;
    }
    let filled = attributes.filled && (len > 0 || is_mixed(&id));
    Seen::Fits(StunMessage { kind, id, variant, fingerprint: attributes.fingerprint, filled })
}

/// Whether an id may be a random one: counters and reserved fields are mostly zero.
fn is_mixed(id: &[u8; ID]) -> bool {
    id.iter().filter(|&&byte| byte == 0).nth(2).is_none()
}

fn variant(kind: u16, id: &[u8], attributes: &[u8]) -> Option<Variant> {
    if kind & 0xc000 != 0 {
        None
    } else if attributes.starts_with(MS_TURN_COOKIE) {
        Some(Variant::MsTurn)
    } else if id.starts_with(COOKIE) {
        Some(Variant::Rfc8489)
    } else if CLASSIC_TYPES.contains(&kind) {
        Some(Variant::Classic)
    } else {
        None
    }
}

#[derive(Debug, Clone, Copy)]
struct Attributes {
    /// As far as they are there, each fits into the message.
    sound: bool,
    /// All were there, none is of the number 0, and the last one ends with the message.
    filled: bool,
    fingerprint: bool,
}

/// Walks the attributes of a message with `len` bytes of them.
fn attributes(bytes: &[u8], len: usize) -> Attributes {
    let mut reader = Reader::new(bytes);
    let mut left = len;
    let mut fingerprint = false;
    let mut assigned = true;
    while let (Some(kind), Some(size)) = (reader.u16(), reader.u16()) {
        let padded = usize::from(size).next_multiple_of(4);
        fingerprint |= kind == FINGERPRINT && size == 4;
        // Number 0 is reserved (RFC 8489, 18.3), and zeros are what anything is padded with.
        assigned &= kind != 0;
        let Some(rest) = left.checked_sub(4 + padded) else {
            return Attributes { sound: false, filled: false, fingerprint: false };
        };
        left = rest;
        reader.take_up_to(padded);
    }
    Attributes { sound: true, filled: left == 0 && assigned, fingerprint }
}

/// The method without the two class bits in between (RFC 8489, 5).
fn method_number(kind: u16) -> u16 {
    (kind & 0x000f) | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2
}

fn name(method: u16) -> &'static str {
    match method {
        1 => "binding",
        2 => "shared-secret",
        3 => "allocate",
        4 => "refresh",
        6 => "send",
        7 => "data",
        8 => "create-permission",
        9 => "channel-bind",
        10 => "connect",
        11 => "connection-bind",
        12 => "connection-attempt",
        _ => "other",
    }
}

/// Bytes before the attributes.
pub(super) const HEADER: usize = 20;
const ID: usize = 16;
/// RFC 8489, 5.
pub(super) const COOKIE: &[u8] = &[0x21, 0x12, 0xa4, 0x42];
/// MS-TURN 2.2.2.1: attribute 0x000f of four bytes, always the first.
pub(super) const MS_TURN_COOKIE: &[u8] = &[0x00, 0x0f, 0x00, 0x04, 0x72, 0xc6, 0x4b, 0xc6];
/// Binding and shared secret: requests, responses, error responses (RFC 3489, 11.1).
const CLASSIC_TYPES: [u16; 6] = [0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112];
/// RFC 8489, 14.7.
const FINGERPRINT: u16 = 0x8028;

#[cfg(test)]
mod tests {
    use super::super::super::craft::hex;
    use super::*;

    fn whole(bytes: &[u8]) -> Seen<StunMessage> {
        read(&Message { bytes, len: bytes.len() })
    }

    #[test]
    fn reads_method_and_class_from_the_type() {
        for (kind, method, class) in [
            ("0001", "binding", Class::Request),
            ("0011", "binding", Class::Indication),
            ("0103", "allocate", Class::Success),
            ("0118", "create-permission", Class::Error),
            ("0009", "channel-bind", Class::Request),
        ] {
            let bytes = hex(&format!("{kind} 0000 2112a442 000102030405060708090a0b"));
            let Seen::Fits(message) = whole(&bytes) else {
                panic!("{kind} refused");
            };
            assert_eq!((message.method(), message.class()), (method, class));
        }
    }

    #[test]
    fn ms_turn_numbers_its_own_way() {
        let bytes = hex("0115 0008 00112233445566778899aabbccddeeff 000f0004 72c64bc6");
        let Seen::Fits(message) = whole(&bytes) else {
            panic!("refused");
        };
        assert_eq!((message.method(), message.class()), ("data", Class::Indication));
        assert!(message.is_turn());
    }

    #[test]
    fn lengths_must_agree() {
        assert_eq!(whole(&hex("0001 0004 2112a442 000102030405060708090a0b")), Seen::Foreign);
        assert_eq!(
            whole(&hex("0001 0003 2112a442 000102030405060708090a0b 000000")),
            Seen::Foreign
        );
        assert_eq!(
            whole(&hex("0001 0004 00112233445566778899aabbccddeeff 0003 0008")),
            Seen::Foreign
        );
    }

    #[test]
    fn a_cut_message_is_known_by_its_header() {
        let bytes = hex("0001 0400 2112a442 000102030405060708090a0b 0006");
        let seen = read(&Message { bytes: &bytes, len: 20 + 0x400 });
        assert!(seen.fits().is_some());
        let seen = read(&Message { bytes: &bytes[..12], len: 20 + 0x400 });
        assert_eq!(seen, Seen::Short);
    }
}
