//! POP3: mail fetched from a server. RFC 1939 sections 3 and 5, RFC 2595 (STLS).
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `+OK`, to a client that says `USER `, `CAPA`, `APOP `, `AUTH` or `STLS` | both sides | high |
//! | `+OK` … `POP` | greeting of the server | high |
//!
//! TLS follows on the same connection after STLS; then the fact `then` says so. Easily confused with:
//! Redis, whose server says `+OK` as well; FTP, whose client may begin with `USER`.

use super::bytes::{self, Prefix, StartLine};
use super::sides::{self, SIDES, Seen};
use super::then::then;
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// POP3.
pub(super) const DETECTOR: Detector = Detector {
    token: "pop3",
    name: "POP3",
    reference: "RFC 1939",
    carriers: &[(Carrier::Stream, &[b'+'..=b'+'])],
    carried_after: &[],
    probe,
};

/// What one side begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Command,
    /// A greeting that names the protocol.
    Greeting,
    /// A greeting that may be of another protocol.
    Ready,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let asked = SIDES.map(|side| seen[side.index()].fits() == Some(&Head::Command));
    let greeted =
        SIDES.map(|s| matches!(seen[s.index()].fits(), Some(Head::Greeting | Head::Ready)));
    let named = seen.contains(&Seen::Fits(Head::Greeting));
    let foreign = seen.contains(&Seen::Foreign);
    let claim = match (asked.contains(&true), greeted.contains(&true)) {
        (true, true) => Claim::new(Confidence::High, "greeting and command"),
        (false, true) if named && !foreign => Claim::new(Confidence::High, "greeting"),
        (false, false) => return sides::undecided(&seen),
        _ if foreign => return Probe::No,
        _ => return Probe::NeedMore,
    };
    Probe::Match(claim.asked_by(sides::requester(asked, greeted)).fact("then", then(view)))
}

fn read(bytes: &[u8]) -> Seen<Head> {
    let (line, is_whole) = match bytes::start_line(bytes) {
        StartLine::Whole(line) => (line, true),
        StartLine::Open(line) => (line, false),
        StartLine::Binary => return Seen::Foreign,
    };
    match bytes::prefix(line, b"+OK") {
        Prefix::Part if !is_whole => return Seen::Short,
        Prefix::Whole => {
            let text = line.get(3..).unwrap_or_default();
            return match text.first() {
                Some(b' ') if text.windows(3).any(|word| word == b"POP") => {
                    Seen::Fits(Head::Greeting)
                }
                Some(b' ') => Seen::Fits(Head::Ready),
                None if is_whole => Seen::Fits(Head::Ready),
                None => Seen::Short,
                Some(_) => Seen::Foreign,
            };
        }
        Prefix::Part | Prefix::Differs => {}
    }
    let word = line.split(|&b| b == b' ').next().unwrap_or_default();
    let is_command = COMMANDS.iter().any(|command| command.eq_ignore_ascii_case(word));
    let begins = COMMANDS.iter().any(|command| {
        command.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    });
    match (is_command, begins) {
        (true, _) if is_whole => Seen::Fits(Head::Command),
        (_, true) if !is_whole => Seen::Short,
        _ => Seen::Foreign,
    }
}

/// What clients begin with.
const COMMANDS: [&[u8]; 5] = [b"USER", b"CAPA", b"APOP", b"AUTH", b"STLS"];

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, dialogue, hello, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(b"USER someone\r\n", b"+OK ready\r\n"),
            stream(b"", b"+OK Microsoft Exchange POP3 service\r\n"),
            dialogue(&[
                (Side::B, b"+OK\r\n"),
                (Side::A, b"stls\r\n"),
                (Side::B, b"+OK go\r\n"),
                (Side::A, &hello()),
            ]),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[2]).facts["then"], "tls");
    }

    #[test]
    fn wants_more() {
        for (a, b) in [(&b"US"[..], &b"+O"[..]), (b"USER x\r\n", b""), (b"", b"+OK\r\n")] {
            assert_eq!(ask(&DETECTOR, &stream(a, b)), Probe::NeedMore, "{a:?}");
        }
    }

    #[test]
    fn refuses_neighbours() {
        for (a, b) in [
            (&b"*1\r\n$4\r\nPING\r\n"[..], &b"+OK\r\n"[..]),
            (b"USER x\r\n", b"220 ready\r\n"),
            (b"USERS\r\n", b""),
            (b"", b"+OKAY\r\n"),
            (b"", b"+PONG\r\n"),
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
