//! DHCP, and BOOTP before it. RFC 2131 section 2, RFC 951.
//!
//! ```text
//!  0    1       2      3      4     8      10      12             28             44      236
//! | op | htype | hlen | hops | xid | secs | flags | addresses (4) | hardware (16) | names | cookie
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | op 1 or 2 and the cookie `63 82 53 63` at 236 | high |
//! | an Ethernet header of it whose unused bytes are zero, the cookie cut off | medium |
//!
//! Options are read as far as they were kept: the message, the vendor class (`MS-UC-Client` of a Skype
//! for Business endpoint), and whether the options 43 (vendor) and 120 (SIP servers) are asked for or
//! given. Easily confused with nothing once the cookie is seen.

use super::bytes::{self, Reader};
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// DHCP.
pub(super) const DETECTOR: Detector = Detector {
    token: "dhcp",
    name: "DHCP",
    reference: "RFC 2131",
    carriers: &[(Carrier::Datagrams, &[1..=2])],
    carried_after: &[],
    probe,
};

/// What is kept of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head<'v> {
    kind: Kind,
    confidence: Confidence,
    options: Options<'v>,
}

/// What is kept of the options, as far as they were kept themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Options<'v> {
    message: Option<&'static str>,
    vendor_class: Option<&'v [u8]>,
    vendor: Named,
    sip_servers: Named,
}

/// How an option is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Named {
    #[default]
    Absent,
    /// Listed among what the client would like to have.
    Wanted,
    Given,
}

impl Named {
    fn token(self) -> Option<&'static str> {
        match self {
            Self::Absent => None,
            Self::Wanted => Some("wanted"),
            Self::Given => Some("given"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Reply,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    let heads = || sides::fitting(&seen);
    let options = || heads().map(|head| head.options);
    let claim = match heads().map(|head| head.confidence).max() {
        Some(Confidence::High) => Claim::new(Confidence::High, "DHCP cookie"),
        Some(confidence) => Claim::new(confidence, "BOOTP header"),
        None => return sides::undecided(&seen),
    };
    let sent =
        |kind| SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| head.kind == kind));
    Probe::Match(
        claim
            .asked_by(sides::requester(sent(Kind::Request), sent(Kind::Reply)))
            .fact("dhcp_message", options().find_map(|options| options.message))
            .fact(
                "vendor_class",
                options().find_map(|options| options.vendor_class).and_then(bytes::text),
            )
            .fact("dhcp_option_43", options().map(|o| o.vendor).max().and_then(Named::token))
            .fact("dhcp_option_120", options().map(|o| o.sip_servers).max().and_then(Named::token)),
    )
}

fn read<'v>(message: &Message<'v>) -> Seen<Head<'v>> {
    if message.len < COOKIE_AT + COOKIE.len() {
        return Seen::Foreign;
    }
    let mut reader = Reader::new(message.bytes);
    match header(&mut reader) {
        None => match message.bytes.first() {
            Some(1 | 2) => message.ran_out(),
            _ => Seen::Foreign,
        },
        Some(Seen::Fits((kind, padding))) => cookie(message, kind, padding),
        Some(_) => Seen::Foreign,
    }
}

/// Whether the unused bytes behind an Ethernet address are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Padding {
    Zero,
    Other,
}

/// The fixed fields; `None` where they are cut.
fn header(reader: &mut Reader<'_>) -> Option<Seen<(Kind, Padding)>> {
    let op = reader.u8()?;
    let hardware = (reader.u8()?, reader.u8()?);
    let hops = reader.u8()?;
    reader.skip(4 + 2)?;
    let flags = reader.u16()?;
    reader.skip(16 + 6)?;
    let padding = match (hardware, reader.take(10)?) {
        ((1, 6), rest) if rest.iter().all(|&b| b == 0) => Padding::Zero,
        _ => Padding::Other,
    };
    let kind = match op {
        1 => Kind::Request,
        2 => Kind::Reply,
        _ => return Some(Seen::Foreign),
    };
    // Bits of the flags other than the broadcast bit must be zero (RFC 2131, figure 2).
    let fits = hardware.1 <= 16 && hops <= MAX_HOPS && matches!(flags, 0 | BROADCAST);
    Some(if fits { Seen::Fits((kind, padding)) } else { Seen::Foreign })
}

fn cookie<'v>(message: &Message<'v>, kind: Kind, padding: Padding) -> Seen<Head<'v>> {
    let mut reader = Reader::new(message.bytes);
    let cookie = reader.skip(COOKIE_AT).and_then(|()| reader.take(4));
    match (cookie, padding) {
        (Some(COOKIE), _) => {
            Seen::Fits(Head { kind, confidence: Confidence::High, options: options(reader) })
        }
        // Plain BOOTP may have other vendor data here, but is not seen any more.
        (Some(_), _) => Seen::Foreign,
        (None, Padding::Zero) => {
            Seen::Fits(Head { kind, confidence: Confidence::Medium, options: Options::default() })
        }
        (None, Padding::Other) => message.ran_out(),
    }
}

/// Walks the options that were kept (RFC 2132, 2); the type of the message is usually the first.
fn options(mut reader: Reader<'_>) -> Options<'_> {
    let mut found = Options::default();
    while let Some(code) = reader.u8() {
        let value = match code {
            0 => continue,
            255 => break,
            _ => reader.block8(),
        };
        let Some(value) = value else { break };
        let wanted = |option: u8| value.contains(&option).then_some(Named::Wanted);
        match code {
            53 => found.message = message_type(value),
            60 => found.vendor_class = Some(value),
            43 => found.vendor = Named::Given,
            120 => found.sip_servers = Named::Given,
            // What the client would like to be told (RFC 2132, 9.8).
            55 => {
                found.vendor = found.vendor.max(wanted(43).unwrap_or_default());
                found.sip_servers = found.sip_servers.max(wanted(120).unwrap_or_default());
            }
            _ => {}
        }
    }
    found
}

/// RFC 2132, 9.6.
fn message_type(value: &[u8]) -> Option<&'static str> {
    match value {
        [1] => Some("discover"),
        [2] => Some("offer"),
        [3] => Some("request"),
        [4] => Some("decline"),
        [5] => Some("ack"),
        [6] => Some("nak"),
        [7] => Some("release"),
        [8] => Some("inform"),
        _ => None,
    }
}

const BROADCAST: u16 = 0x8000;
const COOKIE_AT: usize = 236;
const COOKIE: &[u8] = &[0x63, 0x82, 0x53, 0x63];
/// Relays discard a message that has seen more (RFC 1542, 4.1.1).
const MAX_HOPS: u8 = 16;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, matches, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn message(op: u8, kind: u8) -> Vec<u8> {
        let mut out = vec![op, 1, 6, 0];
        out.extend(hex("3903f326 0000 8000"));
        out.extend([0; 16]);
        out.extend(hex("00155d0a0b0c"));
        out.resize(COOKIE_AT, 0);
        out.extend(COOKIE);
        out.extend([53, 1, kind, 255]);
        out.resize(300, 0);
        out
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&message(1, 1)], &[]),
            datagrams(&[&message(2, 5)], &[]),
            snapped(&datagrams(&[&message(1, 1)], &[]), 100),
        ]
    }

    #[test]
    fn recognises() {
        let discover = claim(&DETECTOR, &samples()[0]);
        assert_eq!(discover.confidence, Confidence::High);
        assert_eq!(discover.requester, Some(Side::A));
        assert_eq!(discover.facts["dhcp_message"], "discover");

        let ack = claim(&DETECTOR, &samples()[1]);
        assert_eq!(ack.requester, Some(Side::B));
        assert_eq!(ack.facts["dhcp_message"], "ack");

        let cut = claim(&DETECTOR, &samples()[2]);
        assert_eq!(cut.confidence, Confidence::Medium);
    }

    #[test]
    fn options_are_read_as_far_as_they_were_kept() {
        let mut bytes = hex("35 01 08 37 03 01 78 2b 3c 0c");
        bytes.extend(b"MS-UC-Client");
        bytes.extend(hex("2b 02 0101 ff 78"));
        let all = options(Reader::new(&bytes));
        assert_eq!(all.message, Some("inform"));
        assert_eq!(all.vendor_class, Some(&b"MS-UC-Client"[..]));
        assert_eq!((all.vendor, all.sip_servers), (Named::Given, Named::Wanted));
        let cut = options(Reader::new(&bytes[..12]));
        assert_eq!((cut.vendor_class, cut.vendor), (None, Named::Wanted));

        // A sample holds eight bytes of options: the type and one short option.
        let mut whole = message(1, 8);
        whole[COOKIE_AT + 7..COOKIE_AT + 12].copy_from_slice(&hex("37 02 78 2b ff"));
        let wanted = claim(&DETECTOR, &datagrams(&[&whole], &[]));
        assert_eq!(wanted.facts["dhcp_option_120"], "wanted");
    }

    #[test]
    fn wants_more() {
        let cut = snapped(&datagrams(&[&message(1, 1)], &[]), 40);
        assert_eq!(ask(&DETECTOR, &cut), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let mut other_cookie = message(1, 1);
        other_cookie[COOKIE_AT] = 0;
        let mut other_flags = message(1, 1);
        other_flags[11] = 1;
        for other in [other_cookie, other_flags, message(3, 1), message(1, 1)[..200].to_vec()] {
            assert!(!matches(&DETECTOR, &datagrams(&[&other], &[])), "{other:x?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
