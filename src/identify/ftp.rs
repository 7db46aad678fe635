//! FTP: the control connection. RFC 959 sections 4.1 and 4.2, RFC 4217 (TLS), RFC 2389.
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `USER `, `AUTH TLS`, `FEAT` and the like, to a server that says `220` or refuses | both sides | high |
//! | `220` … `FTP` | greeting of the server | high |
//! | `AUTH TLS`, `AUTH SSL` alone | | medium |
//!
//! TLS follows on the same connection after AUTH; then the fact `then` says so. Data connections carry
//! the files bare and are not recognised. Easily confused with: SMTP, which greets with the same code
//! but is told by its client; `HylaFAX`, which took its commands and names itself; POP3,
//! whose client may begin with `USER` as well.

use super::bytes::{self, Prefix, StartLine};
use super::replies::{Reply, reply};
use super::sides::{self, SIDES, Seen};
use super::then::then;
use super::{Claim, Confidence, Detector, FirstBytes, Probe, View};
use crate::flow::sample::Carrier;

/// FTP.
pub(super) const DETECTOR: Detector = Detector {
    token: "ftp",
    name: "FTP",
    reference: "RFC 959, RFC 4217",
    carriers: &[(Carrier::Stream, FIRST)],
    carried_after: &[],
    probe,
};

/// What one side begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// A command that other protocols have as well.
    Command(&'static str),
    /// A command for TLS that is FTP's own.
    Secure,
    /// A greeting that names the protocol.
    Greeting,
    /// A greeting that may be of another protocol.
    Ready,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let has = |wanted: fn(&Head) -> bool| SIDES.map(|s| seen[s.index()].fits().is_some_and(wanted));
    let secure = has(|head| *head == Head::Secure).contains(&true);
    let asked = has(|head| matches!(head, Head::Command(_) | Head::Secure));
    let named = has(|head| *head == Head::Greeting).contains(&true);
    let greeted = has(|head| matches!(head, Head::Greeting | Head::Ready));
    let foreign = seen.contains(&Seen::Foreign);
    let claim = match (asked.contains(&true), greeted.contains(&true)) {
        (true, true) => Claim::new(Confidence::High, "greeting and command"),
        (false, true) if named && !foreign => Claim::new(Confidence::High, "greeting"),
        (true, false) if secure && !foreign => Claim::new(Confidence::Medium, "AUTH TLS"),
        (false, false) => return sides::undecided(&seen),
        _ if foreign => return Probe::No,
        _ => return Probe::NeedMore,
    };
    let command = sides::fitting(&seen).find_map(|head| match head {
        Head::Command(command) => Some(*command),
        Head::Secure => Some("AUTH"),
        Head::Greeting | Head::Ready => None,
    });
    Probe::Match(
        claim
            .asked_by(sides::requester(asked, greeted))
            .fact("ftp_command", command)
            .fact("then", then(view)),
    )
}

fn read(bytes: &[u8]) -> Seen<Head> {
    if bytes.first().is_some_and(u8::is_ascii_digit) {
        return match reply(bytes) {
            Seen::Fits(Reply { code: [b'2', b'2', b'0'], text }) => {
                if text.windows(HYLAFAX.len()).any(|word| word == HYLAFAX) {
                    return Seen::Foreign;
                }
                let named = text.windows(3).any(|word| word == b"FTP");
                Seen::Fits(if named { Head::Greeting } else { Head::Ready })
            }
            // Turned away (RFC 959, 5.4).
            Seen::Fits(Reply { code: [b'4', b'2', b'1'] | [b'5', b'3', b'0'], .. }) => {
                Seen::Fits(Head::Ready)
            }
            Seen::Fits(_) => Seen::Foreign,
            other => other.map(|_| Head::Ready),
        };
    }
    let (line, is_whole) = match bytes::start_line(bytes) {
        StartLine::Whole(line) => (line, true),
        StartLine::Open(line) => (line, false),
        StartLine::Binary => return Seen::Foreign,
    };
    let upper = line.get(..MAX_COMMAND.min(line.len())).unwrap_or_default().to_ascii_uppercase();
    match upper.as_slice() {
        b"AUTH TLS" | b"AUTH SSL" | b"AUTH TLS-C" | b"AUTH TLS-P" if is_whole => {
            return Seen::Fits(Head::Secure);
        }
        _ => {}
    }
    let mut answer = Seen::Foreign;
    for (command, name) in COMMANDS {
        match bytes::prefix(&upper, command) {
            Prefix::Part if !is_whole => answer = Seen::Short,
            Prefix::Whole if is_whole => return Seen::Fits(Head::Command(name)),
            Prefix::Whole => return Seen::Short,
            Prefix::Part | Prefix::Differs => {}
        }
    }
    answer
}

/// A server of faxes that is told what to do as FTP servers are.
const HYLAFAX: &[u8] = b"HylaFAX";
/// What clients begin with; a blank where an argument must follow.
const COMMANDS: [(&[u8], &str); 9] = [
    (b"USER ", "USER"),
    (b"AUTH ", "AUTH"),
    (b"FEAT", "FEAT"),
    (b"SYST", "SYST"),
    (b"HOST ", "HOST"),
    (b"CLNT ", "CLNT"),
    (b"OPTS ", "OPTS"),
    (b"PBSZ ", "PBSZ"),
    (b"CSID ", "CSID"),
];
/// Bytes in which all of these differ.
const MAX_COMMAND: usize = 10;
/// A greeting, or a command in any case.
const FIRST: FirstBytes = &[
    b'2'..=b'2',
    b'4'..=b'5',
    b'A'..=b'A',
    b'C'..=b'C',
    b'F'..=b'F',
    b'H'..=b'H',
    b'O'..=b'P',
    b'S'..=b'S',
    b'U'..=b'U',
    b'a'..=b'a',
    b'c'..=b'c',
    b'f'..=b'f',
    b'h'..=b'h',
    b'o'..=b'p',
    b's'..=b's',
    b'u'..=b'u',
];

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, dialogue, hello, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(b"USER anonymous\r\n", b"220 ready\r\n"),
            stream(b"", b"220 (vsFTPd 3.0.5)\r\n"),
            stream(b"AUTH TLS\r\n", b""),
            stream(b"USER x\r\n", b"530 full\r\n"),
            dialogue(&[
                (Side::B, b"220-Microsoft FTP Service\r\n220 x\r\n"),
                (Side::A, b"auth tls\r\n"),
                (Side::B, b"234 go ahead\r\n"),
                (Side::A, &hello()),
            ]),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["ftp_command"], "USER");
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[2]).confidence, Confidence::Medium);
        let secured = claim(&DETECTOR, &samples()[4]);
        assert_eq!((&*secured.facts["ftp_command"], &*secured.facts["then"]), ("AUTH", "tls"));
    }

    #[test]
    fn wants_more() {
        for (a, b) in [
            (&b"US"[..], &b"22"[..]),
            (b"USER x\r\n", b""),
            (b"", b"220 ready\r\n"),
            (b"FEAT", b""),
        ] {
            assert_eq!(ask(&DETECTOR, &stream(a, b)), Probe::NeedMore, "{a:?}");
        }
    }

    #[test]
    fn refuses_neighbours() {
        for (a, b) in [
            (&b"EHLO mail\r\n"[..], &b"220 ready\r\n"[..]),
            (b"USER x\r\n", b"+OK POP3 ready\r\n"),
            (b"EHLO mail\r\n", b"220 mail FTP gateway\r\n"),
            (b"USERS\r\n", b""),
            (b"USER x\r\n", b"220 fax server (HylaFAX (tm) Version 6.0) ready.\r\n"),
            (b"AUTH\r\n", b"250 x\r\n"),
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
