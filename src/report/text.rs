//! How numbers, sizes, times and names are spelled for people, the same in every text format.
//!
//! Also the one place where text from the network is made safe to show: names in certificates,
//! SIP headers and topology files may hold escape sequences, line breaks or reversed writing.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::input::{LinkType, Timestamp};

/// A number with commas between thousands: `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with its noun: `1 flow`, `1,200 flows`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A size in decimal units with one digit after the point: `999 B`, `1.2 kB`, `3.4 GB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1000.0;
    let mut unit = "kB";
    for next in UNITS.into_iter().skip(1) {
        // 999.95 would be printed as 1000.0.
        if value < 999.95 {
            break;
        }
        value /= 1000.0;
        unit = next;
    }
    format!("{value:.1} {unit}")
}

/// A part of a whole in per cent: `12.3 %`, `<0.1 %` for the smallest, `-` of nothing.
pub fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".into();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if part > 0 && percent < 0.1 {
        "<0.1 %".into()
    } else if part < whole && percent > 99.9 {
        ">99.9 %".into()
    } else {
        format!("{percent:.1} %")
    }
}

/// A length of time given in nanoseconds: `0 s`, `12 ms`, `3.5 s`, `12 min 30 s`, `2 d 3 h`.
pub fn duration(nanoseconds: i64) -> String {
    let nanoseconds = nanoseconds.max(0);
    let seconds = nanoseconds / SECOND;
    match seconds {
        0 if nanoseconds == 0 => "0 s".into(),
        0 if nanoseconds < 1_000_000 => format!("{} us", nanoseconds / 1000),
        0 => format!("{} ms", nanoseconds / 1_000_000),
        1..60 => format!("{:.1} s", (nanoseconds / 100_000_000) as f64 / 10.0),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The time between two points, as [`duration`] spells it.
pub fn span(first: Timestamp, last: Timestamp) -> String {
    duration(last.0.saturating_sub(first.0))
}

/// A point in time for programs: RFC 3339, UTC, nine digits of the second.
pub fn time(at: Timestamp) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(at.0)) {
        Ok(time) => format!("{time:.9}"),
        // No 64-bit count of nanoseconds leaves jiff's years; a number still beats silence.
        Err(_) => at.0.to_string(),
    }
}

/// A point in time for people: UTC to the second, `2026-01-02 03:04:05 UTC`.
pub fn clock(at: Timestamp) -> String {
    let full = time(at);
    match (full.get(..10), full.get(11..19)) {
        (Some(day), Some(clock)) => format!("{day} {clock} UTC"),
        _ => full,
    }
}

/// Ports as short as they go: `5061`, `80, 443, 1024-65535`.
pub fn ports(ranges: &[(u16, u16)]) -> String {
    let parts: Vec<String> = ranges.iter().map(|&range| port_range(range)).collect();
    parts.join(", ")
}

/// One range of ports: `5061`, or `1024-65535`.
pub fn port_range((low, high): (u16, u16)) -> String {
    if low == high { low.to_string() } else { format!("{low}-{high}") }
}

/// Items in a sentence: `a`, `a and b`, `a, b and c`.
pub fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}

/// The stable name of a link type; `link-type-N` for a number without a name here.
pub fn link_type(kind: LinkType) -> Cow<'static, str> {
    kind.token()
}

/// Why frames were not decoded, for people: a link type by its name and number.
pub fn reason(token: &str) -> Cow<'_, str> {
    let number = token.strip_prefix("link-type-").and_then(|number| number.parse().ok());
    match number.map(LinkType).filter(|kind| kind.name().is_some()) {
        Some(kind) => Cow::Owned(kind.to_string()),
        None => Cow::Borrowed(token),
    }
}

/// Text with every character that a terminal would obey instead of show spelled as an escape:
/// `\n`, `\x1b`, `\u{202e}`. Backslashes stay as they are, so that Windows paths remain readable.
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if !is_hidden(c) => out.push(c),
            c if u32::from(c) < 0x100 => drop(write!(out, "\\x{:02x}", u32::from(c))),
            c => drop(write!(out, "\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(out)
}

/// Whether a character acts on the text around it rather than being seen: control characters,
/// direction overrides, zero-width characters, line separators, tags (Unicode categories Cc and
/// most of Cf, Zl, Zp).
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{feff}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// An argument as a shell takes it: quoted when it holds anything but plain path characters.
pub fn shell_word(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        Cow::Borrowed(word)
    } else {
        Cow::Owned(format!("'{}'", word.replace('\'', "'\\''")))
    }
}

/// Breaks text into lines of at most `width` characters at spaces. A word longer than that gets
/// a line of its own, unbroken, and so does a command between backticks: both are for copying.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut room = 0;
    for word in words(text) {
        let length = word.chars().count();
        match lines.last_mut() {
            Some(line) if length < room => {
                line.push(' ');
                line.push_str(word);
                room -= length + 1;
            }
            _ => {
                lines.push(word.to_string());
                room = width.saturating_sub(length);
            }
        }
    }
    lines
}

/// Splits at spaces, but not between a backtick and the next.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut closed = 0;
        let end = loop {
            let after = text.get(closed..)?;
            let space = after.find(' ').map(|at| closed + at);
            match after.find('`').map(|at| closed + at) {
                Some(open) if space.is_some_and(|space| open < space) => {
                    match text.get(open + 1..).and_then(|inside| inside.find('`')) {
                        Some(length) => closed = open + length + 2,
                        None => break space,
                    }
                }
                _ => break space,
            }
        };
        let (word, next) = match end {
            Some(at) => (text.get(..at)?, text.get(at + 1..)),
            None => (text, None),
        };
        rest = next;
        Some(word)
    })
}

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// Nanoseconds as milliseconds with three digits behind the point: `1,250.500 ms`.
pub fn shown_milliseconds(nanoseconds: i64) -> String {
    let micros = nanoseconds.saturating_add(500).div_euclid(1_000);
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:03} ms", count(micros / 1_000), micros % 1_000)
}

/// Nanoseconds as milliseconds, to the microsecond.
#[expect(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
pub fn milliseconds(nanoseconds: i64) -> f64 {
    ((nanoseconds.saturating_add(500)).div_euclid(1_000)) as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_type_as_reason_has_its_name() {
        assert_eq!(reason("link-type-195"), "IEEE 802.15.4 (195)");
        assert_eq!(reason("link-type-9999"), "link-type-9999");
        assert_eq!(reason("arp"), "arp");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
            (u64::MAX, "18,446,744,073,709,551,615"),
        ] {
            assert_eq!(count(number), text);
        }
        assert_eq!(counted(1, "flow", "flows"), "1 flow");
        assert_eq!(counted(0, "flow", "flows"), "0 flows");
    }

    #[test]
    fn sizes_keep_one_digit_and_never_show_a_thousand() {
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_949, "999.9 kB"),
            (999_999, "1.0 MB"),
            (98_234_567, "98.2 MB"),
            (4_000_000_000_000, "4.0 TB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn shares_never_round_something_to_nothing_or_to_all() {
        assert_eq!(share(1, 100_000), "<0.1 %");
        assert_eq!(share(99_999, 100_000), ">99.9 %");
        assert_eq!(share(0, 5), "0.0 %");
        assert_eq!(share(5, 5), "100.0 %");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(0, 0), "-");
    }

    #[test]
    fn durations_use_two_units_at_most() {
        for (nanoseconds, text) in [
            (-5, "0 s"),
            (0, "0 s"),
            (12_000, "12 us"),
            (12_000_000, "12 ms"),
            (3_590_000_000, "3.5 s"),
            (59_999_999_999, "59.9 s"),
            (750 * SECOND, "12 min 30 s"),
            (7500 * SECOND, "2 h 5 min"),
            (183_600 * SECOND, "2 d 3 h"),
        ] {
            assert_eq!(duration(nanoseconds), text);
        }
        assert_eq!(span(Timestamp(i64::MIN), Timestamp(i64::MAX)), "106751 d 23 h");
    }

    #[test]
    fn times_are_utc_with_nine_digits() {
        assert_eq!(time(Timestamp(0)), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(time(Timestamp(1_714_564_800_123_456_789)), "2024-05-01T12:00:00.123456789Z");
        assert_eq!(time(Timestamp(-1)), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(clock(Timestamp(1_714_564_800_123_456_789)), "2024-05-01 12:00:00 UTC");
        assert_eq!(time(Timestamp(i64::MAX)), "2262-04-11T23:47:16.854775807Z");
    }

    #[test]
    fn hidden_characters_are_spelled_out() {
        assert_eq!(escape("fe01.example.org"), "fe01.example.org");
        assert_eq!(escape("a\x1b[31mb\r\n\tc"), "a\\x1b[31mb\\r\\n\\tc");
        assert_eq!(escape("\u{9b}2J"), "\\x9b2J");
        assert_eq!(escape("ab\u{202e}cd\u{200b}"), "ab\\u{202e}cd\\u{200b}");
        assert_eq!(escape("C:\\captures"), "C:\\captures");
        assert_eq!(escape("日本"), "日本");
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        assert_eq!(shell_word("site/fe01.pcapng"), "site/fe01.pcapng");
        assert_eq!(shell_word("my file"), "'my file'");
        assert_eq!(shell_word("a'; rm -rf /"), "'a'\\''; rm -rf /'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn lines_break_at_spaces_and_never_inside_a_word() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a extraordinarily b", 6), ["a", "extraordinarily", "b"]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("a  b ", 10), ["a  b "]);
    }

    #[test]
    fn commands_stay_on_one_line() {
        assert_eq!(
            wrap("run (`portassay check x`) now", 12),
            ["run", "(`portassay check x`)", "now"]
        );
        assert_eq!(wrap("a ` b c", 3), ["a `", "b c"]);
        assert_eq!(wrap("`a b` `c d`", 11), ["`a b` `c d`"]);
    }

    #[test]
    fn lists_read_like_sentences() {
        let words = ["a", "b", "c"].map(String::from);
        assert_eq!(listed(&words), "a, b and c");
        assert_eq!(listed(&words[..2]), "a and b");
        assert_eq!(listed(&[]), "");
        assert_eq!(ports(&[(80, 80), (1024, 65535)]), "80, 1024-65535");
        assert_eq!(link_type(LinkType(147)), "link-type-147");
    }
}
