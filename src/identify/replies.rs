//! Replies of three digits, as the servers of FTP and SMTP give them. RFC 959 section 4.2, RFC 5321
//! section 4.2.

use super::bytes::{self, StartLine};
use super::sides::Seen;

/// The first line of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reply<'v> {
    /// Its digits.
    pub(super) code: [u8; 3],
    /// What stands behind them, for people.
    pub(super) text: &'v [u8],
}

/// Reads the first line: digits, then a blank, a hyphen where more lines follow, or nothing.
pub(super) fn reply(bytes: &[u8]) -> Seen<Reply<'_>> {
    let (line, is_whole) = match bytes::start_line(bytes) {
        StartLine::Whole(line) => (line, true),
        StartLine::Open(line) => (line, false),
        StartLine::Binary => return Seen::Foreign,
    };
    match line {
        [a @ b'1'..=b'5', b @ b'0'..=b'5', c @ b'0'..=b'9', rest @ ..] => match rest {
            [b' ' | b'-', text @ ..] => Seen::Fits(Reply { code: [*a, *b, *c], text }),
            [] if is_whole => Seen::Fits(Reply { code: [*a, *b, *c], text: &[] }),
            [] => Seen::Short,
            _ => Seen::Foreign,
        },
        [] | [b'1'..=b'5'] | [b'1'..=b'5', b'0'..=b'5'] if !is_whole => Seen::Short,
        _ => Seen::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_three_digits_and_text() {
        let read = |bytes| reply(bytes).map(|reply| (reply.code, reply.text));
        assert_eq!(read(b"220 ready\r\n"), Seen::Fits((*b"220", &b"ready"[..])));
        assert_eq!(read(b"230-more\r\n230 x"), Seen::Fits((*b"230", &b"more"[..])));
        assert_eq!(read(b"331\r\n"), Seen::Fits((*b"331", &b""[..])));
        for short in [&b"2"[..], b"22", b"220", b""] {
            assert_eq!(read(short), Seen::Short, "{short:?}");
        }
        for foreign in [&b"2200\r\n"[..], b"620 x\r\n", b"22\r\n", b"220\x00", b"hello\r\n"] {
            assert_eq!(read(foreign), Seen::Foreign, "{foreign:?}");
        }
    }
}
