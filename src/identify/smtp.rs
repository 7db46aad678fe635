//! SMTP: mail, as unified messaging hands it over. RFC 5321 sections 4.1 and 4.2,
//! RFC 3207 (STARTTLS).
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `220` name … `SMTP` | greeting of the server | high |
//! | `EHLO `, `HELO ` name, beside `220`, `250` or a refusal | both sides | high |
//! | the same alone | | medium |
//!
//! TLS follows on the same connection after STARTTLS; then the fact `then` says so. Easily confused
//! with: FTP, which greets with the same code but is told by its client; LMTP, which says `LHLO` (RFC 2033).

use super::bytes::{self, StartLine};
use super::replies::{Reply, reply};
use super::sides::{self, SIDES, Seen};
use super::then::then;
use super::{Claim, Confidence, Detector, FirstBytes, Probe, View};
use crate::flow::sample::Carrier;

/// SMTP.
pub(super) const DETECTOR: Detector = Detector {
    token: "smtp",
    name: "SMTP",
    reference: "RFC 5321",
    carriers: &[(Carrier::Stream, FIRST)],
    carried_after: &[],
    probe,
};

/// What one side begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head<'v> {
    Hello(&'v [u8]),
    /// A greeting that names the protocol.
    Greeting,
    /// A reply that may be of another protocol.
    Reply,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let name = sides::fitting(&seen).find_map(|head| match head {
        Head::Hello(name) => Some(*name),
        Head::Greeting | Head::Reply => None,
    });
    let asked = SIDES.map(|side| matches!(seen[side.index()].fits(), Some(Head::Hello(_))));
    let greeted = sides::fitting(&seen).any(|head| *head == Head::Greeting);
    let answered =
        SIDES.map(|s| matches!(seen[s.index()].fits(), Some(Head::Greeting | Head::Reply)));
    let foreign = seen.contains(&Seen::Foreign);
    let claim = match (name, greeted, answered.contains(&true)) {
        (Some(_), _, true) => Claim::new(Confidence::High, "hello and reply"),
        (None, true, _) => Claim::new(Confidence::High, "greeting"),
        (Some(_), _, false) if !foreign => Claim::new(Confidence::Medium, "hello"),
        (None, false, true) if !foreign => return Probe::NeedMore,
        (Some(_), _, false) | (None, false, true) => return Probe::No,
        (None, false, false) => return sides::undecided(&seen),
    };
    Probe::Match(
        claim
            .asked_by(sides::requester(asked, answered))
            .fact("smtp_hello", name.and_then(bytes::text))
            .fact("then", then(view)),
    )
}

fn read(bytes: &[u8]) -> Seen<Head<'_>> {
    if bytes.first().is_some_and(u8::is_ascii_digit) {
        return match reply(bytes) {
            Seen::Fits(Reply { code: [b'2', b'2', b'0'], text }) if has(text, *b"LMTP") => {
                Seen::Foreign
            }
            Seen::Fits(Reply { code: [b'2', b'2', b'0'], text }) if has(text, *b"SMTP") => {
                Seen::Fits(Head::Greeting)
            }
            // Ready, done, or turned away (RFC 5321, 4.3.2).
            Seen::Fits(Reply { code: [b'2', b'2' | b'5', b'0'] | [b'4' | b'5', ..], .. }) => {
                Seen::Fits(Head::Reply)
            }
            Seen::Fits(_) => Seen::Foreign,
            other => other.map(|_| Head::Reply),
        };
    }
    let (StartLine::Whole(line) | StartLine::Open(line)) = bytes::start_line(bytes) else {
        return Seen::Foreign;
    };
    let (word, name) = line.split_at(line.len().min(5));
    let is_hello = HELLOS
        .iter()
        .any(|hello| word.eq_ignore_ascii_case(hello.get(..word.len()).unwrap_or_default()));
    match name {
        _ if !is_hello => Seen::Foreign,
        [] if line.len() == bytes.len() => Seen::Short,
        [] => Seen::Foreign,
        name => Seen::Fits(Head::Hello(name.trim_ascii())),
    }
}

/// Whether a greeting says what it is, which nobody has to: `SMTP` or `ESMTP`, or else `LMTP`.
fn has(text: &[u8], name: [u8; 4]) -> bool {
    text.windows(4).any(|word| word == name)
}

const HELLOS: [&[u8]; 2] = [b"EHLO ", b"HELO "];
/// A code, or a hello in any case.
const FIRST: FirstBytes =
    &[b'2'..=b'2', b'4'..=b'5', b'E'..=b'E', b'H'..=b'H', b'e'..=b'e', b'h'..=b'h'];

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, dialogue, hello, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const HELLO: &[u8] = b"EHLO mail.contoso.com\r\n";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(HELLO, b"220 mx.contoso.com ready\r\n"),
            stream(b"", b"220 mx.contoso.com Microsoft ESMTP MAIL Service\r\n"),
            stream(b"helo x\r\n", b""),
            stream(HELLO, b"554 no service\r\n"),
            dialogue(&[
                (Side::B, b"220-mx.contoso.com\r\n220 ESMTP\r\n"),
                (Side::A, HELLO),
                (Side::B, b"250-mx\r\n250 STARTTLS\r\n"),
                (Side::A, b"STARTTLS\r\n"),
                (Side::B, b"220 go ahead\r\n"),
                (Side::A, &hello()),
            ]),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["smtp_hello"], "mail.contoso.com");
        assert_eq!(both.facts.get("then"), None);
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[2]).confidence, Confidence::Medium);
        assert_eq!(claim(&DETECTOR, &samples()[4]).facts["then"], "tls");
    }

    #[test]
    fn wants_more() {
        for (a, b) in [(&b"EH"[..], &b"22"[..]), (b"EHLO ", b""), (b"", b"220 ready\r\n")] {
            assert_eq!(ask(&DETECTOR, &stream(a, b)), Probe::NeedMore, "{a:?}");
        }
    }

    #[test]
    fn refuses_neighbours() {
        for (a, b) in [
            (&b"USER anonymous\r\n"[..], &b"220 ready\r\n"[..]),
            (b"EHLO\r\n", b""),
            (b"LHLO mail\r\n", b"220 mail ready\r\n"),
            (b"", b"220 mail LMTP ready\r\n"),
            (b"HELP me\r\n", b""),
            (b"HTTP/1.1 200 OK\r\n", b""),
            (b"2200 x\r\n", b""),
            (HELLO, b"\x16\x03\x01"),
        ] {
            assert_eq!(ask(&DETECTOR, &stream(a, b)), Probe::No, "{a:?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
