//! Bytes of a file become text: UTF-8, UTF-16 of either order, and what old consoles write.

use super::Draft;

/// The text. What is neither UTF-8 nor UTF-16 keeps its ASCII; the rest becomes U+FFFD and is told.
pub(super) fn decode(bytes: &[u8], draft: &mut Draft) -> String {
    let (text, faithful) = match bytes {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        // Text of a language begins with a letter, a bracket or a line break: UTF-16 without a mark shows.
        [first, 0, second, 0, ..] if *first != 0 && *second != 0 => wide(bytes, u16::from_le_bytes),
        [0, first, 0, second, ..] if *first != 0 && *second != 0 => wide(bytes, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => narrow(rest),
        _ => narrow(bytes),
    };
    if !faithful {
        draft.remark(
            "the text is not Unicode: characters that are not ASCII are lost; names of rules may look wrong",
        );
    }
    text
}

fn narrow(bytes: &[u8]) -> (String, bool) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), true),
        Err(_) => (String::from_utf8_lossy(bytes).into_owned(), false),
    }
}

fn wide(bytes: &[u8], order: fn([u8; 2]) -> u16) -> (String, bool) {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| order(*pair));
    let mut faithful = rest.is_empty();
    let text = char::decode_utf16(units)
        .map(|unit| {
            unit.unwrap_or_else(|_| {
                faithful = false;
                char::REPLACEMENT_CHARACTER
            })
        })
        .collect();
    (text, faithful)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_unicode_keeps_its_ascii_and_is_told() {
        let mut draft = Draft::default();
        assert_eq!(decode(b"Name: \xb1\xd4, a", &mut draft), "Name: \u{fffd}\u{fffd}, a");
        assert_eq!(draft.notes().len(), 1);
        let mut draft = Draft::default();
        assert_eq!(decode(b"N\0a\0m\0", &mut draft), "Nam");
        assert_eq!(decode(b"\xfe\xff\0N\0a", &mut draft), "Na");
        assert!(draft.notes().is_empty());
        assert_eq!(decode(b"\xff\xfeN\0a\0m", &mut draft), "Na");
        assert_eq!(decode(b"\xff\xfe\x00\xd8", &mut draft), "\u{fffd}");
        assert_eq!(draft.notes().len(), 1);
    }
}
