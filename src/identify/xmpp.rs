//! XMPP: presence and messages, between servers on 5269 as Skype for Business federates.
//! RFC 6120 sections 4.2 and 4.7 (the stream), 8 (stanzas).
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `<?xml …?>` or nothing, then `<stream:stream ` | a stream opens | high |
//! | `<iq `, `<message `, `<presence ` and an attribute that stanzas have | the middle of one | medium |
//!
//! TLS follows on the same connection after `<starttls/>`; then the fact `then` says so. Easily confused
//! with: other XML, which has no stream.

use super::bytes::{self, Prefix};
use super::sides::{self, Seen};
use super::then::then;
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// XMPP.
pub(super) const DETECTOR: Detector = Detector {
    token: "xmpp",
    name: "XMPP",
    reference: "RFC 6120",
    carriers: &[(Carrier::Stream, &[b'<'..=b'<'])],
    carried_after: &[],
    probe,
};

/// What one side begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head<'v> {
    /// The attributes of a stream, as far as they were kept.
    Stream(&'v [u8]),
    Stanza,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let streams = || {
        sides::fitting(&seen).filter_map(|head| match head {
            Head::Stream(attributes) => Some(*attributes),
            Head::Stanza => None,
        })
    };
    let claim = if streams().next().is_some() {
        Claim::new(Confidence::High, "an XMPP stream")
    } else if sides::fitting(&seen).next().is_some() {
        Claim::new(Confidence::Medium, "an XMPP stanza")
    } else {
        return sides::undecided(&seen);
    };
    // Both ends name what they speak, and only the server gives an id.
    let between =
        streams().find_map(|all| attribute(all, b"xmlns")).and_then(|xmlns| match xmlns {
            b"jabber:server" => Some("servers"),
            b"jabber:client" => Some("client and server"),
            _ => None,
        });
    let answers =
        |head: &Head<'_>| matches!(head, Head::Stream(all) if attribute(all, b"id").is_some());
    let opens = |head: &Head<'_>| matches!(head, Head::Stream(_)) && !answers(head);
    let asked = sides::SIDES.map(|side| seen[side.index()].fits().is_some_and(opens));
    let answered = sides::SIDES.map(|side| seen[side.index()].fits().is_some_and(answers));
    Probe::Match(
        claim
            .asked_by(sides::requester(asked, answered))
            .fact("xmpp_between", between)
            .fact("xmpp_to", streams().find_map(|all| attribute(all, b"to")).and_then(bytes::text))
            .fact("then", then(view)),
    )
}

fn read(bytes: &[u8]) -> Seen<Head<'_>> {
    let start = bytes.trim_ascii_start();
    let body = match bytes::prefix(start, b"<?xml ") {
        Prefix::Part => return Seen::Short,
        Prefix::Differs => start,
        Prefix::Whole => match start.windows(2).position(|pair| pair == b"?>") {
            Some(at) => start.get(at + 2..).unwrap_or_default().trim_ascii_start(),
            None if start.len() < MAX_DECLARATION => return Seen::Short,
            None => return Seen::Foreign,
        },
    };
    match bytes::prefix(body, STREAM) {
        Prefix::Part => return Seen::Short,
        Prefix::Differs => {}
        Prefix::Whole => {
            return match body.get(STREAM.len()..).unwrap_or_default() {
                [] => Seen::Short,
                attributes @ [b' ' | b'\t' | b'\r' | b'\n', ..] => {
                    Seen::Fits(Head::Stream(tag(attributes)))
                }
                _ => Seen::Foreign,
            };
        }
    }
    let mut answer = Seen::Foreign;
    for stanza in STANZAS {
        match bytes::prefix(body, stanza) {
            Prefix::Part => answer = Seen::Short,
            Prefix::Differs => {}
            Prefix::Whole => {
                let attributes = tag(body.get(stanza.len() - 1..).unwrap_or_default());
                return if ATTRIBUTES.iter().any(|name| attribute(attributes, name).is_some()) {
                    Seen::Fits(Head::Stanza)
                } else if body.len() < MAX_DECLARATION && !body.contains(&b'>') {
                    Seen::Short
                } else {
                    Seen::Foreign
                };
            }
        }
    }
    answer
}

/// What stands before the end of a tag.
fn tag(bytes: &[u8]) -> &[u8] {
    bytes.split(|&b| b == b'>').next().unwrap_or_default()
}

/// The value of an attribute in a tag, if it is there with both its quotes.
fn attribute<'v>(tag: &'v [u8], name: &[u8]) -> Option<&'v [u8]> {
    let starts = (0..tag.len()).filter(|&at| tag.get(at).is_some_and(u8::is_ascii_whitespace));
    starts.filter_map(|at| tag.get(at + 1..)?.strip_prefix(name)?.strip_prefix(b"=")).find_map(
        |value| {
            let (quote, value) = value.split_first()?;
            let end = value.iter().position(|b| b == quote)?;
            matches!(quote, b'\'' | b'"').then(|| value.get(..end)).flatten()
        },
    )
}

const STREAM: &[u8] = b"<stream:stream";
const STANZAS: [&[u8]; 3] = [b"<iq ", b"<message ", b"<presence "];
/// What a stanza may say of itself (RFC 6120, 8.1).
const ATTRIBUTES: [&[u8]; 4] = [b"from", b"id", b"to", b"type"];
/// Longer declarations, and tags without an attribute of ours so far in, do not occur.
const MAX_DECLARATION: usize = 128;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, dialogue, hello, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const OPENS: &[u8] = b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
        to='example.com' xmlns:stream='http://etherx.jabber.org/streams'>";
    const ANSWERS: &[u8] = b"<stream:stream xmlns=\"jabber:server\" id=\"7\" from=\"example.com\">";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(OPENS, ANSWERS),
            stream(b"", ANSWERS),
            dialogue(&[
                (Side::A, OPENS),
                (Side::B, ANSWERS),
                (Side::A, b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
                (Side::B, b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"),
                (Side::A, &hello()),
            ]),
            stream(b"<iq type='get' id='a1'><ping/></iq>", b""),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["xmpp_between"], "servers");
        assert_eq!(both.facts["xmpp_to"], "example.com");
        assert_eq!(both.facts.get("then"), None);
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[2]).facts["then"], "tls");
        assert_eq!(claim(&DETECTOR, &samples()[3]).confidence, Confidence::Medium);
    }

    #[test]
    fn wants_more() {
        for cut in [
            &b"<"[..],
            b"<?xml version",
            b"<?xml version='1.0'?>\n",
            b"<stream:stream",
            b"<iq",
            b"<iq x",
        ] {
            assert_eq!(ask(&DETECTOR, &stream(cut, b"")), Probe::NeedMore, "{cut:?}");
        }
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            &b"<?xml version='1.0'?><soap:Envelope>"[..],
            b"<stream:streams a='b'>",
            b"<html><body>",
            b"<iq><ping/></iq>",
            b"<13>Jan  1 00:00:00 host x",
        ] {
            assert_eq!(ask(&DETECTOR, &stream(other, b"")), Probe::No, "{other:?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
