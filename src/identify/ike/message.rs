//! One IKE message: its header, and what stands in clear behind it. The detector reads the first
//! messages of a flow with it, whoever follows negotiations reads every one.
//!
//! ```text
//!  0               8               16     17        18         19      20           24       28
//! | initiator SPI | responder SPI | next | version | exchange | flags | message id | length |
//! ```
//!
//! Where it shares its port with ESP, four zero bytes stand before it (RFC 3948 section 2.2). Payloads form a
//! chain: each names the next one's type and its own length (RFC 2408 section 3.2, RFC 7296 section 3.2).

use super::vendors::Vendors;
use crate::identify::bytes::Reader;

/// What speaks: the versions of IKE, and what Windows made of the first (MS-AIPS).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// IKE version 1 (RFC 2409).
    Ike1,
    /// `AuthIP`.
    AuthIp,
    /// IKE version 2 (RFC 7296).
    Ike2,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 3] = [Self::Ike1, Self::AuthIp, Self::Ike2];

    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Ike1 => "ikev1",
            Self::AuthIp => "authip",
            Self::Ike2 => "ikev2",
        }
    }
}

/// Who sent a message, as the message itself says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sender {
    /// Who began.
    Initiator,
    /// The other one.
    Responder,
    /// The message does not say.
    Unknown,
}

/// What an exchange is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// To agree on keys and on who the peers are. In `IKEv2` and `AuthIP` the first pair of security associations
    /// comes with it.
    Setup,
    /// To make a pair of security associations under keys agreed on before.
    Child,
    /// To tell something, also only that one is still there.
    Informational,
}

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// What speaks.
    pub family: Family,
    /// The exchange's number.
    pub exchange: u8,
    /// What the exchange is for.
    pub phase: Phase,
    /// The initiator's SPI, or cookie; never 0.
    pub initiator: u64,
    /// The responder's; 0 while the initiator does not know it.
    pub responder: u64,
    /// The flags as they stand in the header.
    pub flags: u8,
    /// The message id.
    pub id: u32,
    /// The message's length in bytes, as its header says.
    pub length: u32,
    /// Who sent it.
    pub sender: Sender,
    /// What its vendor ids in clear say.
    pub vendors: Vendors,
    /// The first error that it notifies of in clear: 14 is "no proposal chosen" (RFC 2408 section 3.14.1,
    /// RFC 7296 section 3.10.1).
    pub error: Option<u16>,
    /// Whether it is a further fragment of a message that was cut by its sender (RFC 7383, MS-IKEE).
    pub continues: bool,
    /// A checksum of its bytes: who sends a message again sends the same bytes (RFC 7296 section 2.1).
    pub checksum: u32,
}

/// Reads a message off the payload of a datagram; `payload_len` is its length on the wire in bytes. None for
/// anything else, and where the capture cut the header.
pub fn read(payload: &[u8], payload_len: u32) -> Option<Message> {
    let (bytes, header) = header(payload, payload_len as usize).ok()?;
    let mut message = Message {
        family: header.family,
        exchange: header.exchange,
        phase: phase(header.family, header.exchange),
        initiator: header.initiator,
        responder: header.responder,
        flags: header.flags,
        id: header.id,
        length: header.length,
        sender: header.sender,
        vendors: Vendors::default(),
        error: None,
        continues: false,
        checksum: fnv1a(bytes),
    };
    // All behind the header of an earlier version is encrypted when a flag says so; the later version has a
    // payload for what is.
    if header.family == Family::Ike2 || header.flags & ENCRYPTED == 0 {
        message.walk(header.next, bytes.get(HEADER..).unwrap_or_default());
    }
    Some(message)
}

impl Message {
    /// Walks the chain of payloads as far as it is in clear, whole, and captured.
    fn walk(&mut self, mut kind: u8, bytes: &[u8]) {
        let mut reader = Reader::new(bytes);
        while kind != 0 {
            let payload = (|| {
                let next = reader.u8()?;
                reader.skip(1)?;
                let len = usize::from(reader.u16()?).checked_sub(PAYLOAD_HEADER)?;
                // What is encrypted may be longer than what was captured, and ends the chain.
                Some((next, reader.take_up_to(len), len))
            })();
            let Some((next, body, len)) = payload else { return };
            match (self.family, kind) {
                (Family::Ike2, 53) | (Family::Ike1 | Family::AuthIp, 132) => {
                    self.continues = is_further(self.family, body);
                    return;
                }
                (Family::Ike2, 46) => return,
                _ if body.len() < len => return,
                (Family::Ike2, 43) | (Family::Ike1 | Family::AuthIp, 13) => {
                    self.vendors = self.vendors.with(Vendors::of(body));
                }
                (Family::Ike2, 41) | (Family::Ike1 | Family::AuthIp, 11) => {
                    self.error = self.error.or_else(|| notified_error(self.family, body));
                }
                _ => {}
            }
            kind = next;
        }
    }
}

/// Whether a fragment is not the first: what it is numbered with stands behind its message's number in the one
/// version, at the beginning in the other.
fn is_further(family: Family, body: &[u8]) -> bool {
    let mut reader = Reader::new(body);
    let number = if family == Family::Ike2 {
        reader.u16()
    } else {
        reader.skip(2).and_then(|()| reader.u8()).map(u16::from)
    };
    number.is_some_and(|number| number > 1)
}

/// The number that a notification carries, if it is that of an error that ends a negotiation.
fn notified_error(family: Family, body: &[u8]) -> Option<u16> {
    let mut reader = Reader::new(body);
    if family != Family::Ike2 {
        // The domain of interpretation.
        reader.skip(4)?;
    }
    reader.skip(2)?;
    let number = reader.u16()?;
    let ends = (1..FIRST_STATUS).contains(&number);
    // An answer that asks for another group is followed by a request with one.
    let asks = family == Family::Ike2 && number == INVALID_KE_PAYLOAD;
    (ends && !asks).then_some(number)
}

/// The header of a message, judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) family: Family,
    pub(super) exchange: u8,
    /// The exchange's name.
    pub(super) name: &'static str,
    pub(super) sender: Sender,
    pub(super) extent: Extent,
    initiator: u64,
    responder: u64,
    next: u8,
    flags: u8,
    id: u32,
    length: u32,
}

/// How a message compares with the datagram that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// It fills it.
    Whole,
    /// It is longer: the datagram was cut into fragments, of which this is the first.
    Beyond,
}

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It was cut by the capture.
    Short,
    /// Something else is there.
    Foreign,
}

/// Reads the header of a message in a datagram of so many bytes, and gives it with the message's captured bytes.
pub(super) fn header(payload: &[u8], len: usize) -> Result<(&[u8], Header), Unfit> {
    let (bytes, marker) = match payload {
        [0, 0, 0, 0, rest @ ..] => (rest, 4),
        _ => (payload, 0),
    };
    let len = len.saturating_sub(marker);
    if len < HEADER {
        return Err(Unfit::Foreign);
    }
    let mut reader = Reader::new(bytes);
    let fields = (|| {
        let (initiator, responder) = (reader.u64()?, reader.u64()?);
        let (next, version) = (reader.u8()?, reader.u8()?);
        let (exchange, flags) = (reader.u8()?, reader.u8()?);
        let (id, length) = (reader.u32()?, reader.u32()?);
        let extent = extent(length as usize, len, marker).filter(|_| initiator != 0);
        let spoken = spoken(version, exchange, flags, next, responder);
        Some(extent.zip(spoken).map(|(extent, (family, name, sender))| Header {
            family,
            exchange,
            name,
            sender,
            extent,
            initiator,
            responder,
            next,
            flags,
            id,
            length,
        }))
    })();
    match fields {
        Some(Some(header)) => Ok((bytes, header)),
        None if bytes.len() < len => Err(Unfit::Short),
        None | Some(None) => Err(Unfit::Foreign),
    }
}

/// How a length compares with the bytes that are there; `None` where it cannot be theirs. Fragments but
/// the last end at a multiple of 8 in the datagram (RFC 791, 3.2), behind 8 bytes of UDP.
fn extent(length: usize, there: usize, marker: usize) -> Option<Extent> {
    let first_fragment = there >= MIN_FRAGMENT && (there + marker).is_multiple_of(8);
    match length.checked_sub(there)? {
        0 => Some(Extent::Whole),
        _ if first_fragment && u16::try_from(length).is_ok() => Some(Extent::Beyond),
        _ => None,
    }
}

/// Judges version, exchange and flags together.
fn spoken(
    version: u8,
    exchange: u8,
    flags: u8,
    next: u8,
    responder: u64,
) -> Option<(Family, &'static str, Sender)> {
    match version {
        // Encryption, commit and authentication-only flags (RFC 2408, 3.1).
        0x10 if flags & 0xf8 == 0 => {
            let (family, name) = exchange_1(exchange)?;
            let sender = if responder == 0 { Sender::Initiator } else { Sender::Unknown };
            Some((family, name, sender))
        }
        // Initiator, version and response flags (RFC 7296, 3.1).
        0x20 if flags & 0xc7 == 0 && (next == 0 || (33..=54).contains(&next)) => {
            let sender = if flags & 0x08 == 0 { Sender::Responder } else { Sender::Initiator };
            Some((Family::Ike2, exchange_2(exchange)?, sender))
        }
        _ => None,
    }
}

fn exchange_1(number: u8) -> Option<(Family, &'static str)> {
    match number {
        1 => Some((Family::Ike1, "base")),
        2 => Some((Family::Ike1, "main")),
        3 => Some((Family::Ike1, "authentication-only")),
        4 => Some((Family::Ike1, "aggressive")),
        5 => Some((Family::Ike1, "informational")),
        6 => Some((Family::Ike1, "transaction")),
        32 => Some((Family::Ike1, "quick")),
        33 => Some((Family::Ike1, "new-group")),
        243 => Some((Family::AuthIp, "main")),
        244 => Some((Family::AuthIp, "quick")),
        245 => Some((Family::AuthIp, "extended")),
        246 => Some((Family::AuthIp, "notify")),
        _ => None,
    }
}

fn exchange_2(number: u8) -> Option<&'static str> {
    match number {
        34 => Some("sa-init"),
        35 => Some("auth"),
        36 => Some("create-child-sa"),
        37 => Some("informational"),
        38 => Some("session-resume"),
        43 => Some("intermediate"),
        44 => Some("followup-ke"),
        _ => None,
    }
}

fn phase(family: Family, exchange: u8) -> Phase {
    match (family, exchange) {
        (Family::Ike1, 32) | (Family::AuthIp, 244) | (Family::Ike2, 36 | 44) => Phase::Child,
        (Family::Ike1, 5 | 33) | (Family::AuthIp, 246) | (Family::Ike2, 37) => Phase::Informational,
        _ => Phase::Setup,
    }
}

/// The 32-bit FNV-1a sum of some bytes: it tells messages apart, and nothing depends on its being hard to forge.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A header, in bytes.
const HEADER: usize = 28;
/// What each payload begins with, in bytes.
const PAYLOAD_HEADER: usize = 4;
/// The flag of earlier versions that says that all behind the header is encrypted.
const ENCRYPTED: u8 = 1;
/// Notifications from this number on are no errors, in all versions.
const FIRST_STATUS: u16 = 16_384;
/// RFC 7296, section 1.3.
const INVALID_KE_PAYLOAD: u16 = 17;
/// Bytes of a first fragment: links carry at least 576 (RFC 791, 3.2), less the headers.
const MIN_FRAGMENT: usize = 500;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::craft::hex;
    use super::*;

    const INITIATOR: u64 = 0x1122_3344_5566_7788;

    fn whole(text: &str) -> Option<Message> {
        let bytes = hex(text);
        read(&bytes, bytes.len() as u32)
    }

    #[test]
    fn first_messages_of_each_family() {
        let main = whole(
            "11223344556677880000000000000000 0d100200 00000000 00000034 \
             00000018 1e2b516905991c7d7c96fcbfb587e46100000008",
        );
        let main = main.expect("IKEv1");
        assert_eq!((main.family, main.exchange, main.phase), (Family::Ike1, 2, Phase::Setup));
        assert_eq!((main.initiator, main.responder, main.id), (INITIATOR, 0, 0));
        assert_eq!((main.sender, main.length, main.error), (Sender::Initiator, 52, None));
        assert_eq!(main.vendors.names(), ["microsoft"]);

        let authip = whole(
            "11223344556677880000000000000000 8510f300 00000000 0000003c \
             0d00000800000000 00000018 1e2b516905991c7d7c96fcbfb587e46100000008",
        );
        let authip = authip.expect("AuthIP");
        assert_eq!((authip.family, authip.exchange), (Family::AuthIp, 243));
        assert_eq!(authip.vendors.names(), ["microsoft"]);

        let init =
            whole("00000000 11223344556677880000000000000000 21202208 00000000 0000001c").unwrap();
        assert_eq!((init.family, init.exchange), (Family::Ike2, 34));
        assert_eq!((init.sender, init.flags, init.length), (Sender::Initiator, 8, 28));
        let bare = whole("11223344556677880000000000000000 21202208 00000000 0000001c").unwrap();
        assert_eq!(bare.checksum, init.checksum, "the marker is no part of the message");
    }

    #[test]
    fn errors_in_clear_are_read_and_others_are_not_believed() {
        let first = |flags: &str| {
            format!(
                "1122334455667788 8899aabbccddeeff 0b1005{flags} 00000001 00000028 \
                 0000000c 00000001 0100 000e"
            )
        };
        assert_eq!(whole(&first("00")).unwrap().error, Some(14));
        assert_eq!(whole(&first("01")).unwrap().error, None, "encrypted");
        let second = |number: &str| {
            whole(&format!(
                "1122334455667788 0000000000000000 29202220 00000000 00000024 00000008 0000 {number}"
            ))
        };
        assert_eq!(second("000e").unwrap().error, Some(14));
        assert_eq!(second("0011").unwrap().error, None, "asks for another group");
        assert_eq!(second("4006").unwrap().error, None, "a cookie");
        assert_eq!(second("0000").unwrap().error, None);
        // A length that ends before its own header ends the walk.
        let broken =
            "1122334455667788 0000000000000000 29202220 00000000 00000024 29000003 0000 000e";
        assert_eq!(whole(broken).unwrap().error, None);
    }

    #[test]
    fn further_fragments_are_known() {
        let second = |number: &str| {
            whole(&format!(
                "1122334455667788 8899aabbccddeeff 35202308 00000001 00000024 23000008 {number} 0002"
            ))
        };
        assert!(!second("0001").unwrap().continues && second("0002").unwrap().continues);
        let first = |number: &str| {
            whole(&format!(
                "1122334455667788 8899aabbccddeeff 84100200 00000000 00000024 00000008 0001 {number}00"
            ))
        };
        assert!(!first("01").unwrap().continues && first("02").unwrap().continues);
    }

    #[test]
    fn what_the_capture_cut_off_is_not_read() {
        let bytes = hex("11223344556677880000000000000000 0d100200 00000000 00000034 \
             00000018 1e2b516905991c7d7c96fcbfb587e46100000008");
        assert_eq!(read(&bytes[..27], 52), None);
        let cut = read(&bytes[..40], 52).unwrap();
        assert_eq!((cut.length, cut.vendors), (52, Vendors::default()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            kind in prop::sample::select(vec![[0x10, 2], [0x10, 243], [0x20, 34]]),
            next in any::<u8>(),
            body in prop::collection::vec(any::<u8>(), 0..90),
            cut in 0..120_usize,
        ) {
            let len = (28 + body.len()) as u32;
            let mut bytes = hex("11223344556677880000000000000000");
            bytes.extend([next, kind[0], kind[1], 0, 0, 0, 0, 0]);
            bytes.extend(len.to_be_bytes());
            bytes.extend(&body);
            bytes.truncate(cut);
            prop_assert!(read(&bytes, len).is_none_or(|message| message.length == len));
            prop_assert!(cut >= 28 || read(&bytes, len).is_none());
            prop_assert!(read(&body, body.len() as u32).is_none() || body.len() >= 28);
        }
    }
}
