//! What a relay carries for its client. RFC 8656 sections 11 and 12, MS-TURN section 2.2.
//!
//! | bytes | meaning |
//! |---|---|
//! | `40 00`–`4f ff` channel, length (2), payload | channel data; over TCP padded to a multiple of 4 |
//! | a Send or Data indication (MS-TURN: request) | payload in the attribute `0013` |
//!
//! A channel's number and a length are no evidence of their own: whoever looks inside decides by what
//! is there.

use crate::identify::bytes::Reader;
use crate::identify::gist;
use crate::identify::sides::Message;

use super::message::{COOKIE, HEADER, MS_TURN_COOKIE};

/// What kind of thing is carried, by its first bytes (RFC 7983, 7; RFC 5761, 4). What the relay is for
/// stands last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Inside {
    Stun,
    Dtls,
    Rtcp,
    Rtp,
}

impl Inside {
    /// The protocol's token.
    pub(super) fn token(self) -> &'static str {
        match self {
            Self::Stun => "stun",
            Self::Dtls => "dtls",
            Self::Rtcp => "rtcp",
            Self::Rtp => "rtp",
        }
    }

    /// What a message carries, if it does and enough of it was kept.
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        let bytes = payload(message)?.bytes;
        match bytes {
            [0..=3, _, ..] => Some(Self::Stun),
            _ => Self::bare(bytes),
        }
    }

    /// What stands without a wrapping, as MS-TURN carries it once a destination is set active
    /// (MS-TURN): never STUN, which is the relay's own.
    pub(super) fn bare(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [20..=63, 0xfe, ..] => Some(Self::Dtls),
            [0x80..=0xbf, 192..=223, ..] => Some(Self::Rtcp),
            [0x80..=0xbf, _, ..] => Some(Self::Rtp),
            _ => None,
        }
    }
}

/// Takes the gist of one datagram: that an indication carries media, where the addresses before it take
/// all that is kept of later datagrams.
pub(in crate::identify) fn gist(bytes: &[u8], text: &mut Vec<u8>) {
    if matches!(bytes, [0, 0x16 | 0x17 | 4, ..] | [1, 0x15, ..])
        && let Some(carried) = indicated(&Message { bytes, len: bytes.len() })
        && Inside::bare(carried.bytes) == Some(Inside::Rtp)
    {
        gist::put(text, RELAYED, Some(Inside::Rtp.token()));
    }
}

/// Whether a gist tells of media.
pub(super) fn tells_media(text: &[u8]) -> bool {
    gist::fact(text, RELAYED) == Some(Inside::Rtp.token())
}

/// The payload that a message carries for another, as far as it was kept.
pub(in crate::identify) fn payload<'v>(message: &Message<'v>) -> Option<Message<'v>> {
    match message.bytes.first()? {
        0x40..=0x4f => channel_data(message),
        0 | 1 => indicated(message),
        _ => None,
    }
}

fn channel_data<'v>(message: &Message<'v>) -> Option<Message<'v>> {
    let mut reader = Reader::new(message.bytes);
    reader.skip(2)?;
    let len = usize::from(reader.u16()?);
    let padding = message.len.checked_sub(4 + len)?;
    (padding < 4).then(|| Message { bytes: reader.take_up_to(len), len })
}

fn indicated<'v>(message: &Message<'v>) -> Option<Message<'v>> {
    let mut reader = Reader::new(message.bytes);
    let kind = reader.u16()?;
    reader.skip(2)?;
    let id = reader.take(ID)?;
    let microsoft = reader.rest().starts_with(MS_TURN_COOKIE);
    let carries = match kind {
        0x0016 | 0x0017 => id.starts_with(COOKIE),
        0x0004 | 0x0115 => microsoft,
        _ => false,
    };
    if !carries {
        return None;
    }
    let mut left = message.len.checked_sub(HEADER)?;
    loop {
        let kind = reader.u16()?;
        let len = usize::from(reader.u16()?);
        left = left.checked_sub(4 + len)?;
        if kind == DATA {
            return Some(Message { bytes: reader.take_up_to(len), len });
        }
        // MS-TURN does not pad.
        let padding = if microsoft { 0 } else { len.next_multiple_of(4) - len };
        left = left.checked_sub(padding)?;
        reader.skip(len + padding)?;
    }
}

/// The fact's name.
pub(super) const RELAYED: &str = "relayed";
const ID: usize = 16;
/// RFC 8656, 18.3.
const DATA: u16 = 0x0013;

#[cfg(test)]
mod tests {
    use super::super::super::craft::hex;
    use super::*;

    fn inside(digits: &str) -> Option<(Vec<u8>, usize)> {
        let bytes = hex(digits);
        payload(&Message { bytes: &bytes, len: bytes.len() })
            .map(|payload| (payload.bytes.to_vec(), payload.len))
    }

    #[test]
    fn channel_data_may_be_padded() {
        assert_eq!(inside("4000 0003 010203"), Some((vec![1, 2, 3], 3)));
        assert_eq!(inside("4fff 0003 010203 00"), Some((vec![1, 2, 3], 3)));
        assert_eq!(inside("4000 0003 01020300 00000000"), None);
        assert_eq!(inside("4000 0004 010203"), None);
        assert_eq!(inside("5000 0003 010203"), None);
    }

    #[test]
    fn indications_carry_their_data_among_attributes() {
        let id = "2112a442 000102030405060708090a0b";
        assert_eq!(
            inside(&format!("0016 000c {id} 0012 0001 ff000000 0013 0002 8008")),
            Some((vec![0x80, 8], 2))
        );
        assert_eq!(
            inside(&format!("0017 0008 {id} 0013 0002 8008 0000")),
            Some((vec![0x80, 8], 2))
        );
        assert_eq!(inside(&format!("0001 0008 {id} 0013 0002 8008 0000")), None);
        assert_eq!(inside(&format!("0016 0008 {id} 0013 0009 8008 0000")), None);
        let cookie = "00112233445566778899aabbccddeeff 000f0004 72c64bc6";
        assert_eq!(
            inside(&format!("0115 0017 {cookie} 8008 0001 04 0013 0002 80c9")),
            Some((vec![0x80, 0xc9], 2))
        );
        assert_eq!(inside(&format!("0016 000e {cookie} 0013 0002 8008")), None);
    }

    #[test]
    fn the_gist_of_an_indication_tells_of_media_behind_addresses() {
        let told = |digits: &str| {
            let mut text = Vec::new();
            gist(&hex(digits), &mut text);
            tells_media(&text)
        };
        let id = "2112a442 000102030405060708090a0b 0012 0008 0001 1234 01020304";
        let rtp = "0013 000c 8008 0001 000000a0 00000001";
        assert!(told(&format!("0017 001c {id} {rtp}")));
        assert!(told(&format!("0016 001c {id} {rtp}")));
        assert!(!told(&format!("0001 001c {id} {rtp}")));
        assert!(!told(&format!("0017 0014 {id} 0013 0004 80c9 0000")));
        assert!(!told(&format!("0017 000c {id}")));
    }

    #[test]
    fn the_first_bytes_say_what_it_is() {
        let of = |digits: &str| {
            let bytes = hex(digits);
            Inside::of(&Message { bytes: &bytes, len: bytes.len() }).map(Inside::token)
        };
        assert_eq!(of("4000 0002 8008"), Some("rtp"));
        assert_eq!(of("4000 0002 80c8"), Some("rtcp"));
        assert_eq!(of("4000 0002 16fe"), Some("dtls"));
        assert_eq!(of("4000 0002 0001"), Some("stun"));
        assert_eq!(of("4000 0002 ffff"), None);
        assert_eq!(of("8008 0001"), None);
    }
}
