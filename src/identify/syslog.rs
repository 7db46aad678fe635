//! Syslog: messages of devices and servers. RFC 3164 section 4, RFC 5424 section 6, over TCP RFC 6587.
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `<` 0 to 191 `>1 ` date or `-` | RFC 5424 | high |
//! | `<` 0 to 191 `>` month, day, time | RFC 3164 | high |
//! | `<` 0 to 191 `>` text | of a device that gives no time in that form | medium |
//!
//! Over TCP a count of bytes may stand before. Easily confused with: XML, whose tags are no numbers.

use super::bytes::{self, Reader, StartLine};
use super::sides::{self, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// Syslog.
pub(super) const DETECTOR: Detector = Detector {
    token: "syslog",
    name: "Syslog",
    reference: "RFC 5424, RFC 3164",
    carriers: &[
        (Carrier::Stream, &[b'<'..=b'<', b'1'..=b'9']),
        (Carrier::Datagrams, &[b'<'..=b'<']),
    ],
    carried_after: &[],
    probe,
};

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Text,
    Rfc3164,
    Rfc5424,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = match view.carrier() {
        Carrier::Datagrams => sides::first_fit(view, |message| match read(message.bytes) {
            Seen::Short => message.ran_out(),
            other => other,
        }),
        Carrier::Stream => sides::streams(view, |bytes| read(without_count(bytes))),
    };
    let Some(form) = sides::fitting(&seen).max() else {
        return sides::undecided(&seen);
    };
    let (claim, name) = match form {
        Form::Rfc5424 => (Claim::new(Confidence::High, "priority and version"), Some("rfc5424")),
        Form::Rfc3164 => (Claim::new(Confidence::High, "priority and time"), Some("rfc3164")),
        Form::Text => (Claim::new(Confidence::Medium, "a priority"), None),
    };
    // Only the sender speaks.
    let sender = sides::only(SIDES.map(|side| seen[side.index()].fits().is_some()));
    Probe::Match(claim.asked_by(sender).fact("syslog_format", name))
}

/// What follows the count of bytes that may stand before a message (RFC 6587, 3.4.1).
fn without_count(bytes: &[u8]) -> &[u8] {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    match bytes.get(digits..) {
        _ if bytes.first() == Some(&b'0') => bytes,
        Some([b' ', rest @ ..]) if (1..=MAX_DIGITS).contains(&digits) => rest,
        // A count that is not over yet.
        Some([]) if digits <= MAX_DIGITS => &[],
        _ => bytes,
    }
}

fn read(bytes: &[u8]) -> Seen<Form> {
    let mut reader = Reader::new(bytes);
    match reader.u8() {
        None => return Seen::Short,
        Some(b'<') => {}
        Some(_) => return Seen::Foreign,
    }
    let digits = reader.rest().iter().take_while(|b| b.is_ascii_digit()).count();
    let number = reader.take_up_to(digits);
    match (number, reader.u8()) {
        ([] | [_] | [b'1'..=b'9', _] | [b'1', _, _], None) => return Seen::Short,
        (
            [_] | [b'1'..=b'9', _] | [b'1', b'0'..=b'8', _] | [b'1', b'9', b'0' | b'1'],
            Some(b'>'),
        ) => {}
        _ => return Seen::Foreign,
    }
    let text = reader.rest();
    match text {
        [b'1', b' ', a, b, ..]
            if a.is_ascii_digit() && b.is_ascii_digit() || [*a, *b] == *b"- " =>
        {
            return Seen::Fits(Form::Rfc5424);
        }
        _ if is_time(text) => return Seen::Fits(Form::Rfc3164),
        _ => {}
    }
    // UTF-8 or a tab may stand later; the beginning is plain.
    let plain = match bytes::start_line(text) {
        StartLine::Whole(line) | StartLine::Open(line) => line.len(),
        StartLine::Binary => text.iter().take_while(|&&b| bytes::is_printable(b)).count(),
    };
    match plain {
        MIN_TEXT.. => Seen::Fits(Form::Text),
        _ if plain == text.len() => Seen::Short,
        _ => Seen::Foreign,
    }
}

/// `Mmm dd hh:mm:ss` (RFC 3164, 4.1.2); a device may put a year or a zero.
fn is_time(text: &[u8]) -> bool {
    let month = text.get(..3).is_some_and(|month| MONTHS.contains(&month));
    let day = matches!(text.get(3..6), Some([b' ', b' ' | b'0'..=b'3', b'0'..=b'9']));
    month && day
}

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// Digits of a count: more than a message of 64 KiB needs is none.
const MAX_DIGITS: usize = 5;
/// Bytes of text from which a priority counts.
const MIN_TEXT: usize = 8;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[b"<34>1 2003-10-11T22:14:15.003Z fe01 su - ID47 - denied"], &[]),
            datagrams(&[b"<34>Oct 11 22:14:15 fe01 su: denied"], &[]),
            datagrams(&[b"<189>29: *Mar  1 00:00:10: %SYS-5-CONFIG_I: done"], &[]),
            stream(b"<0>1 - fe01 su - - - denied\n", b""),
            stream(b"45 <165>Jan  2 03:04:05 fe01 x: y", b""),
        ]
    }

    #[test]
    fn recognises() {
        let all: Vec<_> = samples().iter().map(|sample| claim(&DETECTOR, sample)).collect();
        let said: Vec<_> =
            all.iter().map(|c| (c.confidence, c.facts.get("syslog_format"))).collect();
        let (new, old) = (Some("rfc5424"), Some("rfc3164"));
        assert_eq!(
            said,
            [
                (Confidence::High, new),
                (Confidence::High, old),
                (Confidence::Medium, None),
                (Confidence::High, new),
                (Confidence::High, old),
            ]
        );
        assert_eq!(all[0].requester, Some(Side::A));
    }

    #[test]
    fn wants_more() {
        for cut in [&b"45"[..], b"45 ", b"45 <1", b"<13", b"<13>", b"<13>Oct"] {
            assert_eq!(ask(&DETECTOR, &stream(cut, b"")), Probe::NeedMore, "{cut:?}");
        }
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            &b"<192>1 - host app"[..],
            b"<034>Oct 11 22:14:15 host",
            b"<>Oct 11 22:14:15 host",
            b"<?xml version='1.0'?>",
            b"<13>\x00\x01binary",
        ] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[other], &[])), Probe::No, "{other:?}");
            assert_eq!(ask(&DETECTOR, &stream(other, b"")), Probe::No, "{other:?}");
        }
        assert_eq!(ask(&DETECTOR, &stream(b"220 mail ESMTP\r\n", b"")), Probe::No);
        assert_eq!(ask(&DETECTOR, &datagrams(&[b"<13>ab"], &[])), Probe::No);
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
