//! Facts that are read while a whole packet is at hand, as text: what stands behind the bytes that a
//! sample keeps.
//!
//! A gist is lines of `name=value`, as many as have room. Which packets have one is told in
//! [`taste`](super::taste), what is in it by the protocol.

use super::Claim;
use crate::flow::sample::MAX_GIST;

/// Adds a fact to a gist, where there is one and it has room.
pub(super) fn put(gist: &mut Vec<u8>, name: &str, value: Option<impl AsRef<str>>) {
    let Some(value) = value else { return };
    let value = value.as_ref();
    if has_room(gist.len(), name, value.len()) {
        gist.extend_from_slice(name.as_bytes());
        gist.push(b'=');
        gist.extend_from_slice(value.as_bytes());
        gist.push(b'\n');
    }
}

/// Whether a value of `len` bytes has room behind `before` bytes of a gist.
pub(super) fn has_room(before: usize, name: &str, len: usize) -> bool {
    before + name.len() + len + 2 <= MAX_GIST
}

/// Adds the facts of a gist that are called by one of `names`.
pub(super) fn tell(gist: &[u8], names: &[&'static str], mut claim: Claim) -> Claim {
    for (name, value) in facts(gist) {
        if let Some(name) = names.iter().find(|known| **known == name) {
            claim = claim.fact(name, Some(value.to_owned()));
        }
    }
    claim
}

/// The fact called `name`.
pub(super) fn fact<'g>(gist: &'g [u8], name: &str) -> Option<&'g str> {
    facts(gist).find_map(|(known, value)| (known == name).then_some(value))
}

fn facts(gist: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let text = std::str::from_utf8(gist).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once('='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::Confidence;

    #[test]
    fn what_is_put_is_told_by_those_who_know_the_name() {
        let mut gist = Vec::new();
        put(&mut gist, "sni", Some("fe01.my.lab"));
        put(&mut gist, "alpn", None::<String>);
        put(&mut gist, "long", Some("x".repeat(MAX_GIST)));
        put(&mut gist, "other", Some("a=b".to_owned()));
        assert_eq!(gist, b"sni=fe01.my.lab\nother=a=b\n");
        let claim = tell(&gist, &["sni"], Claim::new(Confidence::High, ""));
        assert_eq!(claim.facts.iter().collect::<Vec<_>>(), [("sni", "fe01.my.lab")]);
        assert_eq!((fact(&gist, "other"), fact(&gist, "long")), (Some("a=b"), None));
    }

    #[test]
    fn a_gist_that_is_none_tells_nothing() {
        for gist in [&b"\xff\xfe"[..], b"other=1\nsni\n"] {
            let claim = tell(gist, &["sni"], Claim::new(Confidence::High, ""));
            assert_eq!(claim.facts.iter().count(), 0);
        }
    }
}
