//! `DHCPv6`: addresses and settings of IPv6 hosts. RFC 8415 sections 8, 9 and 21.
//!
//! ```text
//!  0      1                4                 of a relay: 1      2              18             34
//! | type | transaction id | options…               | type | hops | link address | peer address | options…
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | options that fill the datagram, one of them the sender's identifier of a known form | high |
//! | a relay's message whose options fill it, one of them a message of known type | high |
//! | a request of either side, answered with its transaction id, options that fill both | high |
//! | options that fill the datagram | none |
//!
//! Easily confused with: DHCP, whose first byte is as small; DNS and STUN, whose options do not chain.

use super::bytes::{self, Reader};
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// `DHCPv6`.
pub(super) const DETECTOR: Detector = Detector {
    token: "dhcpv6",
    name: "DHCPv6",
    reference: "RFC 8415",
    carriers: &[(Carrier::Datagrams, &[1..=13])],
    carried_after: &[],
    probe,
};

/// What is kept of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head<'v> {
    kind: u8,
    transaction: u32,
    options: Options<'v>,
}

/// What is kept of its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Options<'v> {
    /// An identifier of a client, a server, or a message behind a relay.
    proven: bool,
    vendor_class: Option<&'v [u8]>,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    let heads = || sides::fitting(&seen);
    let answered = match [seen[0].fits(), seen[1].fits()] {
        [Some(a), Some(b)] => {
            a.transaction == b.transaction && is_answer(a.kind) != is_answer(b.kind)
        }
        _ => false,
    };
    let evidence = match (heads().any(|head| head.options.proven), heads().next()) {
        (true, _) => "DHCPv6 identifier",
        (false, Some(_)) if answered => "question and answer",
        (false, Some(_)) => return Probe::NeedMore,
        (false, None) => return sides::undecided(&seen),
    };
    let sent = |answer| {
        SIDES.map(|side| seen[side.index()].fits().is_some_and(|h| is_answer(h.kind) == answer))
    };
    let first = heads().find(|head| !is_answer(head.kind)).or_else(|| heads().next());
    Probe::Match(
        Claim::new(Confidence::High, evidence)
            .asked_by(sides::requester(sent(false), sent(true)))
            .fact("dhcpv6_message", first.and_then(|head| name(head.kind)))
            .fact(
                "vendor_class",
                heads().find_map(|head| head.options.vendor_class).and_then(bytes::text),
            ),
    )
}

fn read<'v>(message: &Message<'v>) -> Seen<Head<'v>> {
    let mut reader = Reader::new(message.bytes);
    let (Some(kind), Some(transaction)) = (reader.u8(), reader.u24()) else {
        return match message.bytes.first() {
            Some(1..=13) => message.ran_out(),
            _ => Seen::Foreign,
        };
    };
    if name(kind).is_none() {
        return Seen::Foreign;
    }
    let mut header = 4;
    if matches!(kind, RELAY_FORWARD | RELAY_REPLY) {
        // Three bytes of the link's address were taken for a transaction.
        header = 34;
        if transaction >> 16 > MAX_HOPS {
            return Seen::Foreign;
        }
        if reader.skip(header - 4).is_none() {
            return message.ran_out();
        }
    }
    match (message.len.checked_sub(header), kind) {
        // All but a bare answer have options.
        (Some(left @ 4..), _) => {
            options(reader, left).map(|options| Head { kind, transaction, options })
        }
        _ => Seen::Foreign,
    }
}

/// Walks the options that fill `left` bytes, as far as they were kept.
fn options(mut reader: Reader<'_>, mut left: usize) -> Seen<Options<'_>> {
    let mut found = Options::default();
    let mut count = 0;
    while left > 0 {
        let (Some(code), Some(len)) = (reader.u16(), reader.u16()) else {
            return if left < 4 || count == 0 { Seen::Foreign } else { cut(found) };
        };
        let size = usize::from(len);
        let Some(rest) = left.checked_sub(4 + size).filter(|_| is_option(code)) else {
            return Seen::Foreign;
        };
        left = rest;
        count += 1;
        let kept = reader.take_up_to(size);
        match code {
            CLIENT_ID | SERVER_ID if is_identifier(kept, size) => found.proven = true,
            CLIENT_ID | SERVER_ID => return Seen::Foreign,
            RELAY_MESSAGE if matches!(kept, [1..=13, ..]) => found.proven = true,
            // An enterprise number, then texts behind their lengths (RFC 8415, 21.16).
            VENDOR_CLASS => {
                let mut class = Reader::new(kept);
                found.vendor_class = class.skip(4).and_then(|()| class.block16());
            }
            _ => {}
        }
    }
    Seen::Fits(found)
}

/// Options that are cut but name a host do so all the same.
fn cut(found: Options<'_>) -> Seen<Options<'_>> {
    if found.proven { Seen::Fits(found) } else { Seen::Short }
}

/// A unique identifier of a host: by its link and time, its vendor, its link, or at random (RFC 8415,
/// 11; RFC 6355).
fn is_identifier(bytes: &[u8], len: usize) -> bool {
    match bytes {
        [0, 1, 0, 1..=32, ..] => (9..=28).contains(&len),
        [0, 2, 0, ..] => (7..=130).contains(&len),
        [0, 3, 0, 1..=32, ..] => (5..=24).contains(&len),
        [0, 4, ..] => len == 18,
        _ => false,
    }
}

/// Whether a number is assigned to an option.
fn is_option(code: u16) -> bool {
    (1..=150).contains(&code)
}

fn is_answer(kind: u8) -> bool {
    matches!(kind, 2 | 7 | 10 | RELAY_REPLY)
}

fn name(kind: u8) -> Option<&'static str> {
    Some(match kind {
        1 => "solicit",
        2 => "advertise",
        3 => "request",
        4 => "confirm",
        5 => "renew",
        6 => "rebind",
        7 => "reply",
        8 => "release",
        9 => "decline",
        10 => "reconfigure",
        11 => "information-request",
        RELAY_FORWARD => "relay-forward",
        RELAY_REPLY => "relay-reply",
        _ => return None,
    })
}

const RELAY_FORWARD: u8 = 12;
const RELAY_REPLY: u8 = 13;
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const RELAY_MESSAGE: u16 = 9;
const VENDOR_CLASS: u16 = 16;
/// Relays discard a message that has seen more (RFC 8415, 7.6).
const MAX_HOPS: u32 = 32;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const ID: &str = "0001 000e 0001 0001 1c39cf88 080027fe8f95";

    fn solicit() -> Vec<u8> {
        let class = "0010 000e 00000137 0008 4d534654 20352e30";
        hex(&format!("01 10084a {ID} 0008 0002 0000 0006 0004 0017 0018 {class}"))
    }

    fn relayed() -> Vec<u8> {
        let header = format!("0c 00 {} {}", "00".repeat(16), "fe".repeat(16));
        hex(&format!("{header} 0009 0016 01 10084a {ID}"))
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&solicit()], &[]),
            datagrams(&[], &[&hex(&format!("07 10084a {ID}"))]),
            datagrams(&[&relayed()], &[]),
            // Without identifiers, as a host may ask that is given no address.
            datagrams(
                &[&hex("0b 10084a 0006 0002 0017")],
                &[&hex("07 10084a 0017 0010 20010db8000000000000000000000035")],
            ),
        ]
    }

    #[test]
    fn recognises() {
        let solicit = claim(&DETECTOR, &samples()[0]);
        assert_eq!(solicit.confidence, Confidence::High);
        assert_eq!(solicit.requester, Some(Side::A));
        assert_eq!(solicit.facts["dhcpv6_message"], "solicit");
        assert_eq!(solicit.facts["vendor_class"], "MSFT 5.0");
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[2]).facts["dhcpv6_message"], "relay-forward");
        assert_eq!(claim(&DETECTOR, &samples()[3]).evidence, "question and answer");
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 3)), Probe::NeedMore);
        let alone = datagrams(&[&hex("0b 10084a 0006 0002 0017")], &[]);
        assert_eq!(ask(&DETECTOR, &alone), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let mut longer = solicit();
        longer.push(0);
        for other in [
            longer,
            solicit()[..12].to_vec(),
            // A type, an option and an identifier that are none.
            hex(&format!("0e 10084a {ID}")),
            hex("01 10084a 0400 0001 00"),
            hex("01 10084a 0001 000a 0009 0001 080027fe8f95"),
            hex("0001 0000 2112a442 000102030405060708090a0b"),
        ] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[&other], &[])), Probe::No, "{other:x?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
