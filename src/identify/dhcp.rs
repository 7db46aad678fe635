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
//! Options are read while the whole message is at hand: which it is, the vendor class (`MS-UC-Client` of
//! a Skype for Business endpoint), and whether the options 43 (vendor) and 120 (SIP servers) are asked for
//! or given. Easily confused with nothing once the cookie is seen.

use super::bytes::{self, Reader};
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View, gist};
use crate::flow::key::Side;
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
struct Head {
    kind: Kind,
    confidence: Confidence,
}

/// What the options say.
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
            Self::Given => Some(GIVEN),
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
    let claim = match sides::fitting(&seen).map(|head| head.confidence).max() {
        Some(Confidence::High) => Claim::new(Confidence::High, "DHCP cookie"),
        Some(confidence) => Claim::new(confidence, "BOOTP header"),
        None => return sides::undecided(&seen),
    };
    let sent =
        |kind| SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| head.kind == kind));
    let asked = sent(Kind::Request);
    let claim = claim.asked_by(sides::requester(asked, sent(Kind::Reply)));
    // The client speaks for itself before the answer does.
    let order = if asked == [false, true] { [Side::B, Side::A] } else { SIDES };
    let told = |name| order.into_iter().filter_map(move |side| gist::fact(view.gist(side), name));
    let said = |name| told(name).next().map(str::to_owned);
    let best = |name| told(name).find(|v| *v == GIVEN).map(str::to_owned).or_else(|| said(name));
    Probe::Match(
        claim
            .fact(MESSAGE, said(MESSAGE))
            .fact(VENDOR_CLASS, said(VENDOR_CLASS))
            .fact(OPTION_43, best(OPTION_43))
            .fact(OPTION_120, best(OPTION_120)),
    )
}

/// Takes the gist of one datagram: what the options of a DHCP message say.
pub(super) fn gist(payload: &[u8], text: &mut Vec<u8>) {
    let Some((header, rest)) = payload.split_at_checked(COOKIE_AT) else { return };
    let (Some(1 | 2), Some(rest)) = (header.first(), rest.strip_prefix(COOKIE)) else { return };
    let options = options(Reader::new(rest));
    gist::put(text, MESSAGE, options.message);
    gist::put(text, OPTION_43, options.vendor.token());
    gist::put(text, OPTION_120, options.sip_servers.token());
    gist::put(text, VENDOR_CLASS, options.vendor_class.map(short).and_then(bytes::text));
}

/// As much of a vendor class as has room beside the rest.
fn short(class: &[u8]) -> &[u8] {
    class.get(..MAX_CLASS).unwrap_or(class)
}

fn read(message: &Message<'_>) -> Seen<Head> {
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

fn cookie(message: &Message<'_>, kind: Kind, padding: Padding) -> Seen<Head> {
    let mut reader = Reader::new(message.bytes);
    let cookie = reader.skip(COOKIE_AT).and_then(|()| reader.take(4));
    match (cookie, padding) {
        (Some(COOKIE), _) => Seen::Fits(Head { kind, confidence: Confidence::High }),
        // Plain BOOTP may have other vendor data here, but is not seen any more.
        (Some(_), _) => Seen::Foreign,
        (None, Padding::Zero) => Seen::Fits(Head { kind, confidence: Confidence::Medium }),
        (None, Padding::Other) => message.ran_out(),
    }
}

/// Walks the options as far as they were captured (RFC 2132, 2); the type of the message is usually the first.
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

const MESSAGE: &str = "dhcp_message";
const VENDOR_CLASS: &str = "vendor_class";
const OPTION_43: &str = "dhcp_option_43";
const OPTION_120: &str = "dhcp_option_120";
const GIVEN: &str = "given";
/// Bytes told of a vendor class.
const MAX_CLASS: usize = 120;
const BROADCAST: u16 = 0x8000;
const COOKIE_AT: usize = 236;
const COOKIE: &[u8] = &[0x63, 0x82, 0x53, 0x63];
/// Relays discard a message that has seen more (RFC 1542, 4.1.1).
const MAX_HOPS: u8 = 16;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, matches, snapped, survive};
    use super::*;
    use crate::flow::sample::{Heard, Sample};

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

        let ack = claim(&DETECTOR, &samples()[1]);
        assert_eq!(ack.requester, Some(Side::B));

        let cut = claim(&DETECTOR, &samples()[2]);
        assert_eq!(cut.confidence, Confidence::Medium);
    }

    #[test]
    fn options_are_read_as_far_as_they_were_captured() {
        let mut bytes = hex("35 01 08 37 03 01 78 2b 3c 0c");
        bytes.extend(b"MS-UC-Client");
        bytes.extend(hex("2b 02 0101 ff 78"));
        let all = options(Reader::new(&bytes));
        assert_eq!(all.message, Some("inform"));
        assert_eq!(all.vendor_class, Some(&b"MS-UC-Client"[..]));
        assert_eq!((all.vendor, all.sip_servers), (Named::Given, Named::Wanted));
        let cut = options(Reader::new(&bytes[..12]));
        assert_eq!((cut.vendor_class, cut.vendor), (None, Named::Wanted));
    }

    /// What is told of a question and the answer to it, on whichever sides.
    fn told(sides: [&[u8]; 2]) -> Claim {
        let sample = datagrams(&[sides[0]], &[sides[1]]);
        let mut texts = [Vec::new(), Vec::new()];
        let mut heard = Heard::from(&sample);
        for (at, text) in texts.iter_mut().enumerate() {
            gist(sides[at], text);
            heard.said[at].gist = text;
        }
        match (DETECTOR.probe)(&View::of(heard)) {
            Probe::Match(claim) => claim,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_behind_the_bytes_kept_are_told() {
        let with = |op: u8, kind: u8, options: &[u8]| {
            let mut out = message(op, kind);
            out.truncate(COOKIE_AT + 7);
            out.extend(hex("3d 07 01 00155d0a0b0c 39 02 05dc"));
            out.extend(options);
            out.push(255);
            out
        };
        let asks = with(1, 8, &[&hex("37 02 78 2b 3c 0c")[..], b"MS-UC-Client"].concat());
        let answers = with(2, 5, &hex("3c 03 505845 2b 02 0101"));
        for sides in [[&asks[..], &answers[..]], [&answers, &asks]] {
            let facts = told(sides).facts;
            assert_eq!(facts["dhcp_message"], "inform");
            assert_eq!(facts["vendor_class"], "MS-UC-Client");
            assert_eq!(facts["dhcp_option_43"], "given");
            assert_eq!(facts["dhcp_option_120"], "wanted");
        }
        let long = with(1, 1, &[&[60, 255][..], &[b'x'; 255]].concat());
        assert_eq!(told([&long, &answers]).facts["vendor_class"].len(), MAX_CLASS);
    }

    #[test]
    fn the_gist_of_what_is_no_dhcp_is_empty() {
        let mut other = message(1, 1);
        other[COOKIE_AT] = 0;
        for bytes in [&other[..], &message(3, 1), &message(1, 1)[..COOKIE_AT + 3]] {
            let mut text = Vec::new();
            gist(bytes, &mut text);
            assert!(text.is_empty());
        }
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
