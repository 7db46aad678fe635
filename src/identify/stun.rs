//! STUN and TURN: connectivity checks and relays, in the standard's form and in Microsoft's.
//! RFC 8489, RFC 8656, RFC 3489, MS-TURN.
//!
//! | bytes | variant | sure |
//! |---|---|---|
//! | type (2), length (2), `21 12 a4 42` | RFC 8489 | high |
//! | type, length, id (16), `00 0f 00 04 72 c6 4b c6` | MS-TURN | high |
//! | type, length, id (16), answered with the same id | classic (RFC 3489) | high |
//! | the same alone, with attributes that fill it, or with none and an id that may be random | classic | medium |
//! | a hello with the one suite `00 18` | pseudo-TLS of MS-TURN over TCP | high |
//!
//! Over TCP a message stands bare, behind a length (RFC 4571) or behind an MS-TURN frame. What a relay
//! carries beside its messages is told by the fact `relayed`.
//!
//! Easily confused with: DNS in its first two bytes; TLS 1.0 in the pseudo-TLS; and the media
//! and DTLS that share its ports (RFC 7983), which are not held against it. Channel data of TURN
//! alone is a number and a length, which is no evidence.

mod message;

pub(super) mod pseudo_tls;

pub(super) mod relay;

pub(super) use relay::gist;

use super::frames::{Frames, Framing};
use super::sides::{self, Datagrams, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View, gate};
use crate::flow::sample::Carrier;

use message::{Class, StunMessage, Variant};
use relay::Inside;

/// STUN.
pub(super) const DETECTOR: Detector = Detector {
    token: "stun",
    name: "STUN/TURN",
    reference: "RFC 8489, RFC 8656, MS-TURN",
    carriers: &[(Carrier::Stream, gate::ANY), (Carrier::Datagrams, &[0x00..=0x3f])],
    carried_after: &[],
    probe,
};

/// What one side sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Head {
    messages: Vec<StunMessage>,
    framing: Option<Framing>,
    pseudo_tls: Option<pseudo_tls::Hello>,
    relayed: Option<Inside>,
    /// What stands beside the messages without a wrapping.
    beside: Option<Inside>,
}

fn probe(view: &View<'_>) -> Probe {
    let mut seen = match view.carrier() {
        Carrier::Stream => sides::streams(view, read_stream),
        Carrier::Datagrams => SIDES.map(|side| read_datagrams(view.datagrams(side))),
    };
    let answered = settle_classic(&mut seen);
    let heads = || sides::fitting(&seen);
    let messages = || heads().flat_map(|head| &head.messages);
    let pseudo = heads().any(|head| head.pseudo_tls.is_some());
    let Some(variant) = messages().map(|message| message.variant).max() else {
        return if pseudo {
            Probe::Match(described(&seen, Claim::new(Confidence::High, "pseudo-TLS hello")))
        } else {
            sides::undecided(&seen)
        };
    };
    let claim = match variant {
        Variant::MsTurn => Claim::new(Confidence::High, "MS-TURN cookie"),
        Variant::Rfc8489 => Claim::new(Confidence::High, "STUN cookie"),
        Variant::Classic if answered => Claim::new(Confidence::High, "classic STUN, answered"),
        Variant::Classic => Claim::new(Confidence::Medium, "classic STUN"),
    };
    let claim = described(&seen, claim.fact("variant", Some(variant.token())));
    let media = SIDES.iter().any(|&side| relay::tells_media(view.gist(side)));
    Probe::Match(if media {
        claim.fact("turn", Some("true")).fact(relay::RELAYED, Some(Inside::Rtp.token()))
    } else {
        claim
    })
}

/// A message without a cookie counts beside an answer with its id, or for what it is filled with. Drops
/// the others; whether any is answered.
fn settle_classic(seen: &mut [Seen<Head>; 2]) -> bool {
    let classic = |message: &StunMessage| message.variant == Variant::Classic;
    if !sides::fitting(seen).flat_map(|head| &head.messages).any(classic) {
        return false;
    }
    let of = |head: &Seen<Head>| head.fits().map(|h| h.messages.clone()).unwrap_or_default();
    let all = [of(&seen[0]), of(&seen[1])];
    let mut any = false;
    for (head, other) in seen.iter_mut().zip([&all[1], &all[0]]) {
        let Seen::Fits(found) = head else { continue };
        found.messages.retain(|message| {
            let answered =
                other.iter().any(|answer| answer.answers(message) || message.answers(answer));
            any |= answered && classic(message);
            answered || message.filled || !classic(message)
        });
        // More of it may still prove what the rest was.
        if found.messages.is_empty() && found.pseudo_tls.is_none() {
            *head = Seen::Short;
        }
    }
    any
}

fn described(seen: &[Seen<Head>; 2], claim: Claim) -> Claim {
    let heads = || sides::fitting(seen);
    let messages = || heads().flat_map(|head| &head.messages);
    let sent = |class: &[Class]| {
        SIDES.map(|side| {
            seen[side.index()].fits().is_some_and(|head| {
                head.messages.iter().any(|message| class.contains(&message.class()))
            })
        })
    };
    let hello = |wanted| {
        SIDES.map(|side| {
            seen[side.index()].fits().is_some_and(|head| head.pseudo_tls == Some(wanted))
        })
    };
    let requester =
        sides::requester(hello(pseudo_tls::Hello::Client), hello(pseudo_tls::Hello::Server))
            .or_else(|| {
                sides::requester(sent(&[Class::Request]), sent(&[Class::Success, Class::Error]))
            });
    let pseudo = heads().any(|head| head.pseudo_tls.is_some());
    // Beside checks between two hosts media is not relayed; beside MS-TURN's messages it is.
    let microsoft = messages().any(|message| message.variant == Variant::MsTurn);
    let beside = heads().filter_map(|head| head.beside).max().filter(|_| microsoft);
    let relayed = heads().filter_map(|head| head.relayed).max().max(beside);
    let turn = pseudo || relayed.is_some() || messages().any(StunMessage::is_turn);
    // The method that says most: what TURN does before the checks around it.
    let method = messages()
        .find(|message| message.is_turn())
        .or_else(|| messages().next())
        .map(StunMessage::method);
    claim
        .asked_by(requester)
        .fact("stun_method", method)
        .fact("variant", pseudo.then_some("pseudo-tls"))
        .fact("turn", turn.then_some("true"))
        .fact("fingerprint", messages().any(|m| m.fingerprint).then_some("true"))
        .fact(relay::RELAYED, relayed.map(Inside::token))
        .fact("framing", heads().find_map(|head| head.framing).map(Framing::token))
}

/// The messages among a side's datagrams; media beside them says nothing against them.
fn read_datagrams(datagrams: Datagrams<'_>) -> Seen<Head> {
    let mut first = Seen::Silent;
    let mut head = Head::default();
    for datagram in datagrams {
        head.relayed = head.relayed.max(Inside::of(&datagram));
        head.beside = head.beside.max(Inside::bare(datagram.bytes));
        match message::read(&datagram) {
            Seen::Fits(message) => head.messages.push(message),
            other if matches!(first, Seen::Silent) => first = other.map(|_| Head::default()),
            _ => {}
        }
    }
    if head.messages.is_empty() { first } else { Seen::Fits(head) }
}

fn read_stream(bytes: &[u8]) -> Seen<Head> {
    let (pseudo_tls, rest) = match pseudo_tls::read(bytes) {
        Seen::Fits((hello, rest)) => (Some(hello), rest),
        Seen::Short => return Seen::Short,
        Seen::Foreign | Seen::Silent => (None, bytes),
    };
    let head = Head { pseudo_tls, ..Head::default() };
    match messages(rest) {
        Seen::Fits(found) => Seen::Fits(Head { pseudo_tls, ..found }),
        _ if head.pseudo_tls.is_some() => Seen::Fits(head),
        other => other.map(|_| head),
    }
}

/// The messages from the beginning of a stream, bare or framed.
fn messages(bytes: &[u8]) -> Seen<Head> {
    for framing in Framing::ALL {
        let frames = || Frames::of(bytes, framing);
        let found: Vec<StunMessage> = frames()
            .filter_map(|message| message::read(&message).fits().copied())
            // A guessed length and a guessed message do not make a message.
            .filter(|message| message.variant != Variant::Classic)
            .collect();
        if !found.is_empty() {
            return Seen::Fits(Head {
                messages: found,
                framing: (framing != Framing::Turn).then_some(framing),
                relayed: frames().filter_map(|message: Message<'_>| Inside::of(&message)).max(),
                beside: frames().filter_map(|message| Inside::bare(message.bytes)).max(),
                pseudo_tls: None,
            });
        }
    }
    let begins = bytes.first().is_some_and(|&first| first <= 3);
    if begins && bytes.len() < SHORTEST_PROOF { Seen::Short } else { Seen::Foreign }
}

/// An MS-TURN frame header, a message header and the cookie attribute.
const SHORTEST_PROOF: usize = 4 + 20 + 8;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{self, ask, claim, datagrams, hex, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn binding(kind: &str) -> Vec<u8> {
        hex(&format!("{kind} 0008 2112a442 000102030405060708090a0b 8028 0004 01020304"))
    }

    fn allocate() -> Vec<u8> {
        hex(
            "0003 0013 00112233445566778899aabbccddeeff 000f0004 72c64bc6 8008 0004 00000004 0102 03",
        )
    }

    fn classic(kind: &str) -> Vec<u8> {
        hex(&format!("{kind} 0008 00112233445566778899aabbccddeeff 0003 0004 00000000"))
    }

    fn framed(header: &str, message: &[u8]) -> Vec<u8> {
        let mut out = hex(header);
        out.extend((message.len() as u16).to_be_bytes());
        out.extend(message);
        out
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&binding("0001")], &[&binding("0101")]),
            datagrams(&[], &[&allocate()]),
            datagrams(&[&classic("0001")], &[&classic("0101")]),
            stream(&[binding("0001"), binding("0001")].concat(), b""),
            stream(&framed("0200", &allocate()), b""),
            stream(b"", &framed("", &binding("0101"))),
            stream(
                &[pseudo_tls::tests::client(), framed("0200", &allocate())].concat(),
                &pseudo_tls::tests::server(),
            ),
        ]
    }

    #[test]
    fn recognises() {
        let checks = claim(&DETECTOR, &samples()[0]);
        assert_eq!(checks.confidence, Confidence::High);
        assert_eq!(checks.requester, Some(Side::A));
        assert_eq!(checks.facts["stun_method"], "binding");
        assert_eq!(checks.facts["variant"], "rfc8489");
        assert_eq!(checks.facts["fingerprint"], "true");
        assert_eq!(checks.facts.get("turn"), None);

        let relay = claim(&DETECTOR, &samples()[1]);
        assert_eq!(relay.confidence, Confidence::High);
        assert_eq!(relay.requester, Some(Side::B));
        assert_eq!(relay.facts["stun_method"], "allocate");
        assert_eq!(relay.facts["variant"], "ms-turn");
        assert_eq!(relay.facts["turn"], "true");

        let old = claim(&DETECTOR, &samples()[2]);
        assert_eq!(old.confidence, Confidence::High);
        assert_eq!(old.facts["variant"], "classic");
        assert_eq!(old.requester, Some(Side::A));
    }

    #[test]
    fn a_classic_message_counts_alone_where_chance_has_no_room() {
        let id = "00112233445566778899aabbccddeeff";
        for alone in [
            classic("0001"),
            // Of an attribute that nobody assigned; without any.
            hex(&format!("0001 0008 {id} 0101 0004 31323334")),
            hex(&format!("0001 0000 {id}")),
            hex(&format!("0101 000c {id} 0001 0008 0001 1234 0a000001")),
        ] {
            let claim = claim(&DETECTOR, &datagrams(&[&alone], &[]));
            assert_eq!(claim.confidence, Confidence::Medium, "{alone:x?}");
        }
        // An id of zeros, attributes that leave bytes over, and those that were not seen to the end.
        let cut = craft::snapped(&datagrams(&[&classic("0001")], &[]), 22);
        for other in [
            datagrams(&[&hex("0001 0000 00000000 0000000000000000 00000001")], &[]),
            datagrams(&[&hex(&format!("0001 0008 {id} 0003 0000 00000000"))], &[]),
            cut,
        ] {
            let filled = craft::matches(&DETECTOR, &other);
            assert!(!filled, "{other:x?}");
        }
    }

    #[test]
    fn recognises_every_framing_over_tcp() {
        let framing =
            |at: usize| claim(&DETECTOR, &samples()[at]).facts.get("framing").map(str::to_owned);
        assert_eq!(framing(3), None);
        assert_eq!(framing(4).as_deref(), Some("ms-turn"));
        assert_eq!(framing(5).as_deref(), Some("rfc4571"));

        let pseudo = claim(&DETECTOR, &samples()[6]);
        assert_eq!(pseudo.confidence, Confidence::High);
        assert_eq!(pseudo.requester, Some(Side::A));
        assert_eq!(pseudo.facts["variant"], "pseudo-tls");
        assert_eq!(pseudo.facts["stun_method"], "allocate");
        assert_eq!(pseudo.facts["turn"], "true");
    }

    #[test]
    fn tells_what_a_relay_carries() {
        let bind = hex("0009 0000 2112a442 000102030405060708090a0b");
        let voice = hex("4001 000c 8008 0001 000000a0 00000001");
        let datagrams = claim(&DETECTOR, &datagrams(&[&bind, &voice], &[]));
        assert_eq!(datagrams.facts["stun_method"], "channel-bind");
        assert_eq!((&*datagrams.facts["turn"], &*datagrams.facts["relayed"]), ("true", "rtp"));

        // Once MS-TURN has set a destination active, media stands bare.
        let rtp = hex("8008 0001 000000a0 00000001");
        let active = claim(&DETECTOR, &craft::datagrams(&[&allocate(), &rtp], &[]));
        assert_eq!((&*active.facts["variant"], &*active.facts["relayed"]), ("ms-turn", "rtp"));
        let framed = [framed("0200", &allocate()), framed("0300", &rtp)].concat();
        assert_eq!(claim(&DETECTOR, &stream(&framed, b"")).facts["relayed"], "rtp");
        // Beside checks it is not relayed.
        let direct = claim(&DETECTOR, &craft::datagrams(&[&binding("0001"), &rtp], &[]));
        assert_eq!((direct.facts.get("relayed"), direct.facts.get("turn")), (None, None));

        // Over TCP channel data stands between messages, padded.
        let handshake = hex("4001 0003 16feff 00");
        let tcp = claim(&DETECTOR, &stream(&[bind.clone(), handshake, bind].concat(), b""));
        assert_eq!((tcp.facts.get("framing"), &*tcp.facts["relayed"]), (None, "dtls"));
    }

    #[test]
    fn both_cookies_mean_ms_turn() {
        let both = hex("0003 0008 2112a442 d428f6f5e77f3136a7a9306f 000f0004 72c64bc6");
        let claim = claim(&DETECTOR, &datagrams(&[&both], &[]));
        assert_eq!(claim.facts["variant"], "ms-turn");
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &stream(&binding("0001")[..7], b"")), Probe::NeedMore);
        assert_eq!(
            ask(&DETECTOR, &stream(&pseudo_tls::tests::client()[..30], b"")),
            Probe::NeedMore
        );
        // Without a cookie and attributes an id of zeros proves nothing.
        let empty = hex("0001 0000 00000000 0000000000000000 00000001");
        assert_eq!(ask(&DETECTOR, &datagrams(&[&empty], &[])), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let mut other_length = binding("0001");
        other_length.push(0);
        for other in [
            hex("abcd 0100 0001 0000 0000 0000 03777777 00 0001 0001"),
            hex("8000 0001 00000001 01020304").repeat(3),
            hex("4000 0010 00112233445566778899aabbccddeeff"),
            other_length,
        ] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[&other], &[])), Probe::No, "{other:x?}");
        }
        // An answer to something else makes nothing surer.
        let mut reply = classic("0101");
        reply[10] ^= 1;
        let sample = datagrams(&[&classic("0001")], &[&reply]);
        assert_eq!(claim(&DETECTOR, &sample).confidence, Confidence::Medium);
        assert_eq!(
            ask(&DETECTOR, &stream(&hex("160301 0200 010001fc 0303").repeat(5), b"")),
            Probe::No
        );
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
