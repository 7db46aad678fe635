//! `WebSocket`, which a browser and a server agree on over HTTP. RFC 6455 sections 1.3 and 4.
//!
//! | seen | sure |
//! |---|---|
//! | `HTTP/1.1 101` with `Upgrade: websocket` | high |
//! | the same answer cut before that line, to a request with it | high |
//!
//! A request alone is HTTP that wishes for something else. The frames that follow the answer have no
//! magic number, so a connection that began before the capture is not recognised.
//!
//! Easily confused with: HTTP, which therefore stands back once the server has switched.

use super::bytes;
use super::http::{self, Head};
use super::sides;
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// `WebSocket`.
pub(super) const DETECTOR: Detector = Detector {
    token: "websocket",
    name: "WebSocket",
    reference: "RFC 6455",
    carriers: &[(Carrier::Stream, &[b'H'..=b'H'])],
    carried_after: &[],
    probe,
};

/// Whether an `Upgrade` names this protocol (in any case, RFC 6455, 4.1).
pub(super) fn is_token(upgrade: &[u8]) -> bool {
    upgrade.eq_ignore_ascii_case(b"websocket")
}

fn probe(view: &View<'_>) -> Probe {
    let seen = http::heads(view);
    if !http::switched(&seen).is_some_and(is_token) {
        let wished = sides::fitting(&seen).any(|head| head.wished().is_some_and(is_token));
        let answered = sides::fitting(&seen).any(|head| matches!(head, Head::Status(_)));
        return match sides::fitting(&seen).next() {
            Some(_) if wished && !answered => Probe::NeedMore,
            Some(_) => Probe::No,
            None => sides::undecided(&seen),
        };
    }
    let host = sides::fitting(&seen).find_map(|head| match head {
        Head::Request(request) => request.host,
        _ => None,
    });
    Probe::Match(
        Claim::new(Confidence::High, "the switch to WebSocket")
            .asked_by(http::requester(&seen))
            .fact("host", host.and_then(bytes::text)),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const ASKS: &[u8] = b"GET /chat HTTP/1.1\r\nHost: web.contoso.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    const SWITCHES: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(ASKS, SWITCHES),
            stream(SWITCHES, b""),
            stream(ASKS, b"HTTP/1.1 101 Switching Protocols\r\nDate: x\r\n"),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["host"], "web.contoso.com");
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::B));
        assert_eq!(claim(&DETECTOR, &samples()[2]).requester, Some(Side::A));
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &stream(ASKS, b"")), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &stream(ASKS, b"HTTP/1.1 1")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\n\r\n"[..],
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
            b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\n\r\n",
            b"SIP/2.0 101 Dialog Establishment\r\nUpgrade: websocket\r\n\r\n",
        ] {
            assert_ne!(ask(&DETECTOR, &stream(b"", answer)), Probe::NeedMore, "{answer:?}");
            assert!(!matches!(ask(&DETECTOR, &stream(b"", answer)), Probe::Match(_)));
            let both = ask(&DETECTOR, &stream(ASKS, answer));
            assert!(!matches!(both, Probe::Match(_)), "{answer:?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
