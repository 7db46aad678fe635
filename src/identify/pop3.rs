//! POP3: mail fetched from a server. RFC 1939 sections 3 and 5, RFC 2595 (STLS).
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `+OK`, to a client that says `CAPA`, `APOP ` or `STLS` | both sides | high |
//! | `+OK` and a text, to one that says `USER ` or `AUTH` and a mechanism | both sides | high |
//! | `+OK` and nothing else, to one that says these | | medium |
//! | `+OK` … `POP` | greeting of the server | high |
//!
//! TLS follows on the same connection after STLS; then the fact `then` says so. Easily confused with:
//! Redis, whose server says a bare `+OK` to `AUTH` and a password; FTP, whose client may begin with `USER`.

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
    /// A command of its own.
    Command,
    /// A command that other protocols have as well.
    Shared,
    /// A greeting that names the protocol.
    Greeting,
    /// A greeting that may be of another protocol.
    Ready,
    /// The status without a text.
    Bare,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let has = |wanted: fn(&Head) -> bool| SIDES.map(|s| seen[s.index()].fits().is_some_and(wanted));
    let asked = has(|head| matches!(head, Head::Command | Head::Shared));
    let greeted = has(|head| matches!(head, Head::Greeting | Head::Ready | Head::Bare));
    let own = sides::fitting(&seen).any(|head| matches!(head, Head::Command));
    let bare = sides::fitting(&seen).any(|head| matches!(head, Head::Bare));
    let named = seen.contains(&Seen::Fits(Head::Greeting));
    let foreign = seen.contains(&Seen::Foreign);
    let claim = match (asked.contains(&true), greeted.contains(&true)) {
        (true, true) if bare && !own => {
            Claim::new(Confidence::Medium, "a bare status and a command")
        }
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
                None if is_whole => Seen::Fits(Head::Bare),
                None => Seen::Short,
                Some(_) => Seen::Foreign,
            };
        }
        Prefix::Part | Prefix::Differs => {}
    }
    let mut words = line.split(|&b| b == b' ');
    let word = words.next().unwrap_or_default();
    let is_command = COMMANDS.iter().any(|command| command.eq_ignore_ascii_case(word));
    let begins = COMMANDS.iter().any(|command| {
        command.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
    });
    match (is_command, begins) {
        (true, _) if is_whole && word.eq_ignore_ascii_case(b"USER") => Seen::Fits(Head::Shared),
        (true, _) if is_whole && word.eq_ignore_ascii_case(b"AUTH") => match words.next() {
            Some(name) if !is_mechanism(name) => Seen::Foreign,
            _ => Seen::Fits(Head::Shared),
        },
        (true, _) if is_whole => Seen::Fits(Head::Command),
        (_, true) if !is_whole => Seen::Short,
        _ => Seen::Foreign,
    }
}

/// Whether a name is of the form that mechanisms have, and of one that is in use (RFC 4422, 3.1).
fn is_mechanism(name: &[u8]) -> bool {
    let begins = |family: &[u8]| {
        name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family))
    };
    MECHANISMS.iter().any(|family| begins(family))
}

/// What names of mechanisms begin with, as registered or in use.
const MECHANISMS: [&[u8]; 13] = [
    b"PLAIN",
    b"LOGIN",
    b"NTLM",
    b"GSSAPI",
    b"GSS-",
    b"GS2-",
    b"CRAM-",
    b"DIGEST-",
    b"SCRAM-",
    b"KERBEROS_V",
    b"EXTERNAL",
    b"XOAUTH",
    b"OAUTHBEARER",
];
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
    fn a_bare_status_is_told_by_a_word_of_its_own_only() {
        for (command, status, confidence) in [
            (&b"CAPA\r\n"[..], &b"+OK\r\n"[..], Confidence::High),
            (b"USER x\r\n", b"+OK\r\n", Confidence::Medium),
            (b"AUTH\r\n", b"+OK\r\n", Confidence::Medium),
            (b"auth plain\r\n", b"+OK\r\n", Confidence::Medium),
            (b"AUTH NTLM\r\n", b"+OK ready\r\n", Confidence::High),
        ] {
            let claim = claim(&DETECTOR, &stream(command, status));
            assert_eq!(claim.confidence, confidence, "{command:?}");
        }
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
            // Redis.
            (b"AUTH secret\r\n", b"+OK\r\n"),
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
