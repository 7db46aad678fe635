//! The first name of a DNS message, left where it stands. RFC 1035 section 3.1; `NetBIOS` names
//! RFC 1001 section 14.1.

use crate::identify::bytes::{self, Reader};
use crate::identify::sides::Seen;

/// A name as it stands in a message: labels, each behind its length, without the empty one at the
/// end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'v>(&'v [u8]);

impl<'v> Name<'v> {
    /// Reads the first name of a message, which has nothing before it to point back to.
    pub(super) fn read(reader: &mut Reader<'v>) -> Seen<Self> {
        let whole = reader.rest();
        let mut len = 0;
        loop {
            let Some(label) = reader.u8() else {
                return Seen::Short;
            };
            let label = usize::from(label);
            if label == 0 {
                return Seen::Fits(Self(whole.get(..len).unwrap_or_default()));
            }
            // In a text the dot before a label stands for its length, which the first one lacks.
            let text = len.saturating_sub(1);
            if label > MAX_LABEL || text + label > MAX_NAME {
                return Seen::Foreign;
            }
            let Some(bytes) = reader.take(label) else {
                return Seen::Short;
            };
            // Multicast DNS names are UTF-8 and may hold blanks (RFC 6763, 4.1.1).
            if bytes.iter().any(u8::is_ascii_control) {
                return Seen::Foreign;
            }
            len += 1 + label;
        }
    }

    /// Whether it looks like the root, which has no label.
    pub(super) fn is_root(self) -> bool {
        self.text().eq(['.'])
    }

    /// Whether it is one label, as hosts are called on their own link.
    pub(super) fn is_one_label(self) -> bool {
        self.0.split_first().is_some_and(|(&len, rest)| usize::from(len) == rest.len())
    }

    /// Whether it stands below `local` (RFC 6762, 3), or is that.
    pub(super) fn is_local(self) -> bool {
        let last = self.0.len().checked_sub(LOCAL.len()).and_then(|at| self.0.get(at..));
        last.is_some_and(|last| last.eq_ignore_ascii_case(LOCAL))
    }

    /// Whether two names look the same, whatever their case.
    pub(super) fn is(self, other: Self) -> bool {
        let lower = |name: Self| name.text().map(|c| c.to_ascii_lowercase());
        self.0 == other.0 || lower(self).eq(lower(other))
    }

    /// Whether the first label is a `NetBIOS` name: two letters from A to P for each byte.
    pub(super) fn is_netbios(self) -> bool {
        self.halves().count() == 32 && self.text().nth(32).is_none_or(|next| next == '.')
    }

    /// The name for people: `NetBIOS` names decoded, with their suffix as `<20>`.
    pub(super) fn shown(self) -> String {
        if !self.is_netbios() {
            let mut shown = String::with_capacity(self.0.len().max(1));
            shown.extend(self.text());
            return shown;
        }
        let mut halves = self.halves();
        let mut decoded = [0; 16];
        for byte in &mut decoded {
            *byte = halves.next().unwrap_or(0) << 4 | halves.next().unwrap_or(0);
        }
        let [padded @ .., suffix] = decoded;
        let plain = bytes::text(padded.trim_ascii_end()).unwrap_or_default();
        format!("{plain}<{suffix:02x}>")
    }

    /// The characters of its text; the root is a dot.
    fn text(self) -> impl Iterator<Item = char> {
        let root = self.0.is_empty().then_some('.');
        let mut left = 0;
        let labels = self.0.iter().enumerate().filter_map(move |(at, &byte)| {
            if left > 0 {
                left -= 1;
                return Some(bytes::shown_as(byte));
            }
            left = byte;
            (at > 0).then_some('.')
        });
        root.into_iter().chain(labels)
    }

    /// The halves of bytes that the letters of a `NetBIOS` name stand for, as far as there are such
    /// letters; at most 32.
    fn halves(self) -> impl Iterator<Item = u8> {
        let letter = |c: char| u8::try_from(c).ok().filter(|b| (b'A'..=b'P').contains(b));
        self.text().take(32).map_while(letter).map(|letter| letter - b'A')
    }
}

/// No label holds a control character, so this is a label where it stands last.
const LOCAL: &[u8] = b"\x05local";
const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> Name<'_> {
        match Name::read(&mut Reader::new(bytes)) {
            Seen::Fits(name) => name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_shown_with_dots_and_compared_as_shown() {
        assert_eq!(name(b"\x02fe\x07contoso\0").shown(), "fe.contoso");
        assert_eq!(name(b"\0").shown(), ".");
        assert_eq!(name(b"\x03a\xc3\xa4\0").shown(), "a??");
        assert!(name(b"\x02fe\x01A\0").is(name(b"\x02FE\x01a\0")));
        assert!(name(b"\x03a.b\0").is(name(b"\x01a\x01b\0")));
        assert!(!name(b"\x02fe\0").is(name(b"\x02fe\x01a\0")));
    }

    #[test]
    fn one_label_and_local_names_are_told() {
        let kinds = |bytes| (name(bytes).is_one_label(), name(bytes).is_local());
        assert_eq!(kinds(b"\x02fe\0"), (true, false));
        assert_eq!(kinds(b"\x02fe\x05LOCAL\0"), (false, true));
        assert_eq!(kinds(b"\x02fe\x06xlocal\0"), (false, false));
        assert_eq!(kinds(b"\0"), (false, false));
    }

    #[test]
    fn only_32_letters_from_a_to_p_are_a_netbios_name() {
        let of = |letters: &[u8]| [&[letters.len() as u8], letters, &[0]].concat();
        let whole = of(b"EGEFDADBCACACACACACACACACACACACA");
        assert!(name(&whole).is_netbios());
        assert_eq!(name(&whole).shown(), "FE01<20>");
        for other in [&b"EGEFDADBCACACACACACACACACACACAC"[..], b"EGEFDADBCACACACACACACACACACACACAC"]
        {
            assert!(!name(&of(other)).is_netbios(), "{other:?}");
        }
        let with_scope = [&whole[..33], b"\x01a\0"].concat();
        assert_eq!(name(&with_scope).shown(), "FE01<20>");
    }

    #[test]
    fn long_labels_and_names_are_foreign_and_cut_ones_short() {
        let read = |bytes: &[u8]| Name::read(&mut Reader::new(bytes)).map(Name::shown);
        assert_eq!(read(&[64; 70]), Seen::Foreign);
        let label = [&[63][..], &[b'a'; 63]].concat();
        assert_eq!(read(&[&label.repeat(4)[..], &[0]].concat()).map(|n| n.len()), Seen::Fits(255));
        assert_eq!(read(&[&label.repeat(4)[..], b"\x01a\0"].concat()), Seen::Foreign);
        assert_eq!(read(b"\x05ab"), Seen::Short);
        assert_eq!(read(b"\x02a\n\0"), Seen::Foreign);
    }
}
