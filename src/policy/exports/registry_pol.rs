//! Rules in `Registry.pol`, the file in which Group Policy keeps registry values ([MS-GPREG], section 2.2.1).

use super::registry::{self, Key, MERGE};
use super::{Draft, Outcome, Store};

pub(super) const NAME: &str = "registry-pol";

/// How such a file begins.
pub(super) const SIGNATURE: &[u8] = b"PReg";

/// Signature and version.
const HEADER: usize = 8;
const REG_SZ: u32 = 1;
const REG_DWORD: u32 = 4;

pub(super) fn read(bytes: &[u8], draft: &mut Draft) -> Outcome {
    let mut rest = bytes.get(HEADER..).unwrap_or_default();
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let Some(entry) = entry(&mut rest) else {
            let at = bytes.len() - rest.len();
            return Err(format!("its value {number} is damaged near byte {at}"));
        };
        let key = Key::of(&entry.key);
        if entry.name.eq_ignore_ascii_case(MERGE) && entry.kind == REG_DWORD {
            if entry.data.iter().all(|byte| *byte == 0) {
                key.switch_off(draft);
            }
        } else if key.rules && entry.kind == REG_SZ && !entry.name.starts_with("**") {
            let value = wide(entry.data);
            let value = value.trim_end_matches('\0');
            draft.push(registry::rule(value, number, Store::GroupPolicy))?;
        }
    }
    Ok(())
}

struct Entry<'b> {
    key: String,
    name: String,
    kind: u32,
    data: &'b [u8],
}

/// `[key;name;type;size;data]`, brackets and semicolons in UTF-16, numbers in 32 bits.
fn entry<'b>(rest: &mut &'b [u8]) -> Option<Entry<'b>> {
    sign(rest, b'[')?;
    let key = text(rest)?;
    sign(rest, b';')?;
    let name = text(rest)?;
    sign(rest, b';')?;
    let kind = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?);
    sign(rest, b';')?;
    let size = u32::from_le_bytes(*rest.split_off(..4)?.first_chunk()?);
    sign(rest, b';')?;
    let data = rest.split_off(..usize::try_from(size).ok()?)?;
    sign(rest, b']')?;
    Some(Entry { key, name, kind, data })
}

fn sign(rest: &mut &[u8], sign: u8) -> Option<()> {
    (rest.split_off(..2)? == [sign, 0]).then_some(())
}

/// Up to a character of zero, which is left out.
fn text(rest: &mut &[u8]) -> Option<String> {
    let end = rest.as_chunks::<2>().0.iter().position(|unit| *unit == [0, 0])?;
    let text = rest.split_off(..2 * end)?;
    rest.split_off(..2)?;
    Some(wide(text))
}

fn wide(bytes: &[u8]) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests {
    use crate::policy::exports::Profiles;
    use crate::policy::exports::tests::read as read_export;

    use super::*;

    fn units(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    fn value(key: &str, name: &str, kind: u32, data: &[u8]) -> Vec<u8> {
        let numbers = [kind.to_le_bytes().to_vec(), (data.len() as u32).to_le_bytes().to_vec()];
        let [kind, size] = numbers;
        let start = units(&format!("[{key}\0;{name}\0;"));
        [start, kind, units(";"), size, units(";"), data.to_vec(), units("]")].concat()
    }

    #[test]
    fn rules_of_group_policy_are_read() {
        let root = "SOFTWARE\\Policies\\Microsoft\\WindowsFirewall";
        let text = units("v2.10|Action=DoNotSecure|Active=TRUE|Name=Media|Protocol=17|\0");
        let mut file = b"PReg\x01\0\0\0".to_vec();
        file.extend(value(&format!("{root}\\ConSecRules"), "{1}", REG_SZ, &text));
        file.extend(value(&format!("{root}\\DomainProfile"), MERGE, REG_DWORD, &[0; 4]));
        file.extend(value("SOFTWARE\\Other", "x", 3, &[1, 2, 3]));
        let export = read_export(&file).unwrap();
        assert_eq!((export.format, export.rules.len()), (NAME, 1));
        assert_eq!((export.rules[0].name.as_str(), export.rules[0].protocol), ("Media", Some(17)));
        for end in 9..file.len() {
            if let Ok(cut) = read_export(&file[..end]) {
                assert!(cut.rules.len() <= 1);
            }
        }
        let mut draft = Draft::default();
        read(&file, &mut draft).unwrap();
        assert_eq!(draft.merge_off.map(Profiles::spans), Some(vec![(0, 0)]));
        assert!(read_export(&file[..file.len() - 1]).unwrap_err().contains("value 3 is damaged"));
    }
}
