//! The file transfer of MSN and Windows Messenger, which preceded the products whose tables still
//! reserve ports for it: MSNFTP. It was never published as a standard; the session is text.
//!
//! | first line | meaning | sure |
//! |---|---|---|
//! | `VER MSNFTP` | the receiver offers, the sender accepts | high |
//! | `USR` name and cookie, answered by `FIL` size | a session whose beginning is missing | high |
//!
//! Easily confused with: the notification protocol of the same product, which numbers its commands
//! (`VER 1 MSNP15`), and FTP and POP3, which answer with codes.

use super::bytes::{self, Prefix, StartLine};
use super::sides::{self, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// MSNFTP.
pub(super) const DETECTOR: Detector = Detector {
    token: "msn-ft",
    name: "MSN file transfer",
    reference: "MSNFTP",
    carriers: &[(Carrier::Stream, &[b'F'..=b'F', b'U'..=b'V'])],
    carried_after: &[],
    probe,
};

/// The first line of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    Version,
    User,
    File,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let has = |line| SIDES.map(|side| seen[side.index()].fits() == Some(&line));
    let evidence = if has(Line::Version).contains(&true) {
        "VER MSNFTP"
    } else if sides::only(has(Line::User)).is_some() && sides::only(has(Line::File)).is_some() {
        "user and file"
    } else {
        return match sides::fitting(&seen).next() {
            Some(_) if !seen.contains(&Seen::Foreign) => Probe::NeedMore,
            Some(_) => Probe::No,
            None => sides::undecided(&seen),
        };
    };
    let asked = sides::requester(has(Line::User), has(Line::File));
    Probe::Match(Claim::new(Confidence::High, evidence).asked_by(asked))
}

fn read(bytes: &[u8]) -> Seen<Line> {
    let mut answer = Seen::Foreign;
    for (word, line) in [(VERSION, Line::Version), (b"USR ", Line::User), (b"FIL ", Line::File)] {
        match bytes::prefix(bytes, word) {
            Prefix::Part => answer = Seen::Short,
            Prefix::Differs => {}
            Prefix::Whole => {
                return match bytes::start_line(bytes) {
                    StartLine::Whole(text) if is(line, text) => Seen::Fits(line),
                    StartLine::Open(_) => Seen::Short,
                    _ => Seen::Foreign,
                };
            }
        }
    }
    answer
}

/// Whether the words behind the first one are those of the line.
fn is(line: Line, text: &[u8]) -> bool {
    let digits = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    let words: Vec<&[u8]> = text.trim_ascii_end().split(|&b| b == b' ').skip(1).collect();
    match (line, words.as_slice()) {
        (Line::Version, words) => words.contains(&&b"MSNFTP"[..]),
        (Line::User, [name, cookie]) => name.contains(&b'@') && digits(cookie),
        (Line::File, [size]) => digits(size),
        _ => false,
    }
}

const VERSION: &[u8] = b"VER MSNFTP";

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, dialogue, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const USER: &[u8] = b"USR someone@example.com 33267\r\n";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            dialogue(&[
                (Side::A, b"VER MSNFTP\r\n"),
                (Side::B, b"VER MSNFTP\r\n"),
                (Side::A, USER),
                (Side::B, b"FIL 9000\r\n"),
                (Side::A, b"TFR\r\n"),
            ]),
            stream(USER, b"FIL 9000\r\n"),
        ]
    }

    #[test]
    fn recognises() {
        let whole = claim(&DETECTOR, &samples()[0]);
        assert_eq!(whole.confidence, Confidence::High);
        assert_eq!(whole.evidence, "VER MSNFTP");
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::A));
    }

    #[test]
    fn wants_more() {
        for cut in [&b"VER"[..], b"VER MSNFTP", USER] {
            assert_eq!(ask(&DETECTOR, &stream(cut, b"")), Probe::NeedMore, "{cut:?}");
        }
    }

    #[test]
    fn refuses_neighbours() {
        for (a, b) in [
            (&b"VER 1 MSNP15 CVR0\r\n"[..], &b""[..]),
            (b"VER MSNFTPX\r\n", b""),
            (b"USER someone\r\n", b"220 ready\r\n"),
            (USER, b"USR 1 OK\r\n"),
            (b"FIL many\r\n", b""),
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
