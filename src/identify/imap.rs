//! IMAP: mail read on a server. RFC 9051 sections 2.2 and 7.1, 6.2.1 (STARTTLS).
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `* OK `, `* PREAUTH ` or `* BYE `, to a tag and a command of its own | both sides | high |
//! | the same with `IMAP4` in it | greeting of the server | high |
//! | the same alone, or to a tag and `NOOP` or `LOGOUT` | | medium |
//!
//! TLS follows on the same connection after STARTTLS; then the fact `then` says so. Easily confused
//! with: ACAP and whatever else took its form.

use super::bytes::{self, Prefix, StartLine};
use super::sides::{self, SIDES, Seen};
use super::then::then;
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// IMAP.
pub(super) const DETECTOR: Detector = Detector {
    token: "imap",
    name: "IMAP",
    reference: "RFC 9051",
    carriers: &[(Carrier::Stream, &[b'*'..=b'*'])],
    carried_after: &[],
    probe,
};

/// What one side begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    /// A command of its own.
    Command,
    /// A command that other protocols of this form have as well.
    Shared,
    /// A greeting that names the protocol.
    Greeting,
    /// A greeting of the same form.
    Ready,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let has = |wanted: fn(&Head) -> bool| SIDES.map(|s| seen[s.index()].fits().is_some_and(wanted));
    let asked = has(|head| matches!(head, Head::Command | Head::Shared));
    let greeted = has(|head| matches!(head, Head::Greeting | Head::Ready));
    let own = has(|head| matches!(head, Head::Command)).contains(&true);
    let named = seen.contains(&Seen::Fits(Head::Greeting));
    let foreign = seen.contains(&Seen::Foreign);
    let claim = match (asked.contains(&true), greeted.contains(&true)) {
        (true, true) if !own && !named => {
            Claim::new(Confidence::Medium, "an untagged status and a command")
        }
        (true, true) => Claim::new(Confidence::High, "greeting and command"),
        (false, true) if named && !foreign => Claim::new(Confidence::High, "greeting"),
        (false, true) if !foreign => Claim::new(Confidence::Medium, "an untagged status"),
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
    if line.first() == Some(&b'*') {
        return greeting(line, is_whole);
    }
    let mut words = line.split(|&b| b == b' ');
    let tag = words.next().unwrap_or_default();
    let is_tag = (1..=MAX_TAG).contains(&tag.len()) && tag.iter().all(u8::is_ascii_alphanumeric);
    let command = words.next();
    match command {
        None if is_tag && !is_whole => Seen::Short,
        Some(word) if is_tag => {
            let known = COMMANDS.iter().any(|command| command.eq_ignore_ascii_case(word));
            let cut = COMMANDS.iter().any(|command| {
                command.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
            });
            match (known, cut) {
                (true, _) if is_whole && is_shared(word) => Seen::Fits(Head::Shared),
                (true, _) if is_whole => Seen::Fits(Head::Command),
                (_, true) if !is_whole => Seen::Short,
                _ => Seen::Foreign,
            }
        }
        _ => Seen::Foreign,
    }
}

fn greeting(line: &[u8], is_whole: bool) -> Seen<Head> {
    let mut answer = Seen::Foreign;
    for status in STATUSES {
        match bytes::prefix(line, status) {
            Prefix::Whole if line.windows(5).any(|word| word == b"IMAP4") => {
                return Seen::Fits(Head::Greeting);
            }
            Prefix::Whole => return Seen::Fits(Head::Ready),
            Prefix::Part if !is_whole => answer = Seen::Short,
            Prefix::Part | Prefix::Differs => {}
        }
    }
    answer
}

fn is_shared(command: &[u8]) -> bool {
    SHARED.iter().any(|shared| shared.eq_ignore_ascii_case(command))
}

const STATUSES: [&[u8]; 3] = [b"* OK ", b"* PREAUTH ", b"* BYE "];
/// What clients begin with.
const COMMANDS: [&[u8]; 7] =
    [b"CAPABILITY", b"LOGIN", b"STARTTLS", b"AUTHENTICATE", b"ID", b"NOOP", b"LOGOUT"];
/// Those of them that say nothing of mail.
const SHARED: [&[u8]; 2] = [b"NOOP", b"LOGOUT"];
/// Longer tags do not occur.
const MAX_TAG: usize = 16;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, dialogue, hello, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(b"a1 LOGIN someone x\r\n", b"* OK ready\r\n"),
            stream(b"", b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"),
            stream(b"", b"* BYE not now\r\n"),
            dialogue(&[
                (Side::B, b"* OK ready\r\n"),
                (Side::A, b"1 starttls\r\n"),
                (Side::B, b"1 OK go\r\n"),
                (Side::A, &hello()),
            ]),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(claim(&DETECTOR, &samples()[1]).confidence, Confidence::High);
        assert_eq!(claim(&DETECTOR, &samples()[2]).confidence, Confidence::Medium);
        assert_eq!(claim(&DETECTOR, &samples()[3]).facts["then"], "tls");
        let idle = claim(&DETECTOR, &stream(b"a1 NOOP\r\n", b"* OK ready\r\n"));
        assert_eq!(idle.confidence, Confidence::Medium);
        let named = claim(&DETECTOR, &stream(b"a1 NOOP\r\n", b"* OK IMAP4rev1 ready\r\n"));
        assert_eq!(named.confidence, Confidence::High);
    }

    #[test]
    fn wants_more() {
        for (a, b) in [(&b"a1 LOG"[..], &b"* O"[..]), (b"a1 NOOP\r\n", b""), (b"a1", b"")] {
            assert_eq!(ask(&DETECTOR, &stream(a, b)), Probe::NeedMore, "{a:?}");
        }
    }

    #[test]
    fn refuses_neighbours() {
        for (a, b) in [
            (&b"EHLO mail\r\n"[..], &b"* OK ready\r\n"[..]),
            (b"a1 NOOP\r\n", b"+OK ready\r\n"),
            (b"NOOP\r\n", b"* OK ready\r\n"),
            (b"", b"* 3 EXISTS\r\n"),
            (b"*2\r\n$4\r\nPING\r\n", b""),
            (b"a-1 NOOP\r\n", b""),
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
