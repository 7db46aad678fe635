//! A bounds-checked reader over payload bytes, and the few ASCII readers that the text protocols
//! share. Detectors look at payload through these alone, so that a lying length cannot take one
//! beyond what was captured.

/// Reads forward through bytes. A read that does not fit gives `None` and moves nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What was not yet read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    /// The next `count` bytes, or as many as there are.
    pub(super) fn take_up_to(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = tail;
        head
    }

    /// Moves over `count` bytes.
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(|_| ())
    }

    /// One byte.
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    /// Two bytes, the high one first.
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// Two bytes, the low one first.
    pub(super) fn u16_le(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// Three bytes, the high one first.
    pub(super) fn u24(&mut self) -> Option<u32> {
        self.array().map(|[a, b, c]: [u8; 3]| u32::from_be_bytes([0, a, b, c]))
    }

    /// Four bytes, the high one first.
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// Eight bytes, the high one first.
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A length of one byte and as many bytes as it says.
    pub(super) fn block8(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let count = ahead.u8()?;
        let block = ahead.take(count.into())?;
        *self = ahead;
        Some(block)
    }

    /// A length of two bytes and as many bytes as it says.
    pub(super) fn block16(&mut self) -> Option<&'a [u8]> {
        let mut ahead = *self;
        let count = ahead.u16()?;
        let block = ahead.take(count.into())?;
        *self = ahead;
        Some(block)
    }

    /// Tag and length of an ASN.1 value with a definite length (X.690, 8.1). Lengths of more than
    /// four bytes do not occur in what is read here.
    pub(super) fn der(&mut self) -> Option<(u8, usize)> {
        let mut ahead = *self;
        let tag = ahead.u8()?;
        let len = match ahead.u8()? {
            short @ 0..=0x7f => usize::from(short),
            long @ 0x81..=0x84 => ahead
                .take(usize::from(long & 0x7f))?
                .iter()
                .fold(0, |len, &byte| len << 8 | usize::from(byte)),
            _ => return None,
        };
        *self = ahead;
        Some((tag, len))
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk()?;
        self.rest = tail;
        Some(*head)
    }
}

/// How the beginning of a payload compares with fixed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefix {
    /// All of them are there.
    Whole,
    /// The payload ends before they do, and agrees so far.
    Part,
    /// They differ.
    Differs,
}

/// Compares the beginning of `bytes` with `fixed`.
pub(super) fn prefix(bytes: &[u8], fixed: &[u8]) -> Prefix {
    let agrees = bytes.iter().zip(fixed).all(|(byte, expected)| byte == expected);
    match agrees {
        true if bytes.len() >= fixed.len() => Prefix::Whole,
        true => Prefix::Part,
        false => Prefix::Differs,
    }
}

/// The first line of a text protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartLine<'a> {
    /// The line without its end.
    Whole(&'a [u8]),
    /// Printable as far as it goes, without an end.
    Open(&'a [u8]),
    /// Not text.
    Binary,
}

/// Reads the first line: printable ASCII up to CR or LF.
pub(super) fn start_line(bytes: &[u8]) -> StartLine<'_> {
    let end = bytes.iter().position(|&b| !is_printable(b));
    match end.map(|at| (bytes.get(..at), bytes.get(at))) {
        None => StartLine::Open(bytes),
        Some((Some(line), Some(b'\r' | b'\n'))) => StartLine::Whole(line),
        Some(_) => StartLine::Binary,
    }
}

/// The words of a line that has exactly three, one blank between them.
pub(super) fn three_words(line: &[u8]) -> Option<[&[u8]; 3]> {
    let mut words = line.split(|&b| b == b' ');
    let three = [words.next()?, words.next()?, words.next()?];
    words.next().is_none().then_some(three)
}

/// The value of the first header field called `name` (any case) after the start line, without
/// the blanks around it. A value cut by the end of `bytes` is not returned.
pub(super) fn header<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    header_lines(bytes).find_map(|line| {
        let (field, value) = line.split_at_checked(name.len())?;
        let value = value.trim_ascii_start().strip_prefix(b":")?;
        field.eq_ignore_ascii_case(name.as_bytes()).then(|| value.trim_ascii())
    })
}

/// The complete header lines after the start line, up to the empty line.
pub(super) fn header_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let complete = bytes.iter().rposition(|&b| b == b'\n').unwrap_or(0);
    bytes
        .get(..complete)
        .unwrap_or_default()
        .split(|&b| b == b'\n')
        .skip(1)
        .map(<[u8]>::trim_ascii)
        .take_while(|line| !line.is_empty())
}

/// Text for a fact: printable ASCII as it is, anything else as `?`, at most [`MAX_TEXT`]
/// characters. `None` when nothing is left, since an empty fact says nothing.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let kept = bytes.get(..MAX_TEXT).unwrap_or(bytes);
    let mut shown = String::with_capacity(kept.len());
    shown.extend(kept.iter().map(|&b| shown_as(b)));
    (!shown.is_empty()).then_some(shown)
}

/// A port in digits, as text protocols write it.
pub(super) fn port(digits: &[u8]) -> Option<u16> {
    let text =
        std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?;
    text.parse().ok().filter(|port| *port > 0)
}

/// How a byte is shown in a text.
pub(super) fn shown_as(byte: u8) -> char {
    if is_printable(byte) { char::from(byte) } else { '?' }
}

/// Whether a byte is printable ASCII, the blank included.
pub(super) fn is_printable(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte)
}

/// Characters kept of a text fact: the longest domain name (RFC 1035, 2.3.4).
const MAX_TEXT: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_in_network_order() {
        let mut reader = Reader::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x34, 0x12]);
        assert_eq!(reader.u8(), Some(1));
        assert_eq!(reader.u16(), Some(0x0203));
        assert_eq!(reader.u24(), Some(0x040506));
        assert_eq!(reader.u32(), Some(0x0708090a));
        assert_eq!(reader.u16_le(), Some(0x1234));
        assert_eq!(reader.remaining(), 0);
        assert_eq!(reader.u8(), None);
    }

    #[test]
    fn a_read_beyond_the_end_moves_nothing() {
        let mut reader = Reader::new(&[0, 9, 1]);
        assert_eq!(reader.u32(), None);
        assert_eq!(reader.block16(), None);
        assert_eq!(reader.take(4), None);
        assert_eq!(reader.skip(usize::MAX), None);
        assert_eq!(reader.rest(), [0, 9, 1]);
        assert_eq!(reader.take_up_to(usize::MAX), [0, 9, 1]);
        assert_eq!(reader.block8(), None);
    }

    #[test]
    fn asn1_lengths_are_short_or_long() {
        let mut reader = Reader::new(&[0x30, 5, 0x6a, 0x82, 1, 2, 0x30, 0x80, 0x30, 0x85]);
        assert_eq!(reader.der(), Some((0x30, 5)));
        assert_eq!(reader.der(), Some((0x6a, 0x102)));
        assert_eq!(reader.der(), None);
        assert_eq!(reader.remaining(), 4);
    }

    #[test]
    fn blocks_carry_their_length() {
        let mut reader = Reader::new(&[2, 7, 8, 0, 1, 9, 0]);
        assert_eq!(reader.block8(), Some(&[7u8, 8][..]));
        assert_eq!(reader.block16(), Some(&[9u8][..]));
        assert_eq!(reader.block8(), Some(&[][..]));
    }

    #[test]
    fn a_prefix_may_be_cut() {
        assert_eq!(prefix(b"SSH-2.0-x", b"SSH-"), Prefix::Whole);
        assert_eq!(prefix(b"SS", b"SSH-"), Prefix::Part);
        assert_eq!(prefix(b"", b"SSH-"), Prefix::Part);
        assert_eq!(prefix(b"SX", b"SSH-"), Prefix::Differs);
    }

    #[test]
    fn the_first_line_ends_at_cr_or_lf() {
        assert_eq!(start_line(b"a b\r\nc"), StartLine::Whole(b"a b"));
        assert_eq!(start_line(b"a b\nc"), StartLine::Whole(b"a b"));
        assert_eq!(start_line(b"a b"), StartLine::Open(b"a b"));
        assert_eq!(start_line(b"a\0b\r\n"), StartLine::Binary);
    }

    #[test]
    fn headers_are_found_in_any_case_and_never_cut() {
        let text = b"GET / HTTP/1.1\r\nHOST :  a.example \r\nX: y\r\nServer: cut off";
        assert_eq!(header(text, "host"), Some(&b"a.example"[..]));
        assert_eq!(header(text, "x"), Some(&b"y"[..]));
        assert_eq!(header(text, "server"), None);
        assert_eq!(header(b"A: 1\r\n\r\nHost: body\r\n", "host"), None);
        assert_eq!(header(b"", "host"), None);
    }

    #[test]
    fn facts_cannot_carry_control_characters() {
        assert_eq!(text(b"a\x1b[31m\xff").as_deref(), Some("a?[31m?"));
        assert_eq!(text(b""), None);
        assert_eq!(text(&[b'a'; 999]).map(|t| t.len()), Some(255));
    }
}
