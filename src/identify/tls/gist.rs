//! What a hello and the certificate behind it name, read while the whole packet is at hand: both are
//! longer than what is kept of a stream.

use super::certificate::LeafNames;
use super::{CLIENT_HELLO, HANDSHAKE, Head, SERVER_HELLO, hello};
use crate::flow::sample::{MAX_STREAM_HEAD, MAX_STREAM_HEADS};
use crate::identify::gist::{has_room, put};
use crate::identify::sides::Seen;
use crate::identify::{Claim, bytes};

/// Takes the gist of one packet of a stream.
pub(in crate::identify) fn gist(payload: &[u8], gist: &mut Vec<u8>) {
    if payload.len() <= ALWAYS_KEPT || payload.first() != Some(&HANDSHAKE) {
        return;
    }
    match payload.get(5) {
        Some(&CLIENT_HELLO) => {
            if let Seen::Fits(Head::Client(hello)) = super::read(payload) {
                put(gist, SNI, hello.sni.and_then(bytes::text));
                put(gist, OFFERED, hello.version().map(hello::name));
                put(gist, ALPN, hello.protocols());
            }
        }
        Some(&SERVER_HELLO) => put(gist, NAMES, LeafNames::read(payload).and_then(names)),
        _ => {}
    }
}

/// Adds the facts of a gist.
pub(super) fn tell(gist: &[u8], claim: Claim) -> Claim {
    crate::identify::gist::tell(gist, &FACTS, claim)
}

/// The names of a certificate in one text: the common name, then the others; those that have room.
pub(super) fn names(leaf: LeafNames) -> Option<String> {
    let LeafNames { common_name, dns } = leaf;
    let mut all = String::new();
    let mut told: Vec<&str> = Vec::new();
    for name in common_name.iter().chain(&dns) {
        if has_room(0, NAMES, all.len() + 1 + name.len()) && !told.contains(&name.as_str()) {
            all.push_str(if all.is_empty() { "" } else { "," });
            all.push_str(name);
            told.push(name);
        }
    }
    (!all.is_empty()).then_some(all)
}

/// Names in the server's certificate.
pub(super) const NAMES: &str = "certificate_names";
const SNI: &str = "sni";
const OFFERED: &str = "tls_offered";
const ALPN: &str = "alpn";
const FACTS: [&str; 4] = [NAMES, SNI, OFFERED, ALPN];
/// What is kept of any first packet, whatever the other side said before.
const ALWAYS_KEPT: usize = MAX_STREAM_HEADS - MAX_STREAM_HEAD;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::sample::MAX_GIST;
    use crate::identify::Confidence;

    /// A hello whose server name stands behind 600 bytes of padding.
    fn long_hello() -> Vec<u8> {
        let mut extensions = vec![0, 21, 2, 88];
        extensions.extend([0; 600]);
        extensions.extend(b"\0\0\0\x10\0\x0e\0\0\x0bfe01.my.lab");
        extensions.extend(b"\0\x10\0\x05\0\x03\x02h2");
        extensions.extend(b"\0\x2b\0\x05\x04\x03\x04\x03\x03");
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut out = vec![22, 3, 1];
        out.extend((body.len() as u16 + 4).to_be_bytes());
        out.extend([1, 0]);
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
        out
    }

    fn told(payload: &[u8]) -> Claim {
        let mut text = Vec::new();
        gist(payload, &mut text);
        tell(&text, Claim::new(Confidence::High, ""))
    }

    #[test]
    fn what_stands_behind_the_bytes_kept_is_told() {
        let facts = told(&long_hello()).facts;
        assert_eq!(facts["sni"], "fe01.my.lab");
        assert_eq!(facts["alpn"], "h2");
        assert_eq!(facts["tls_offered"], "1.3");
    }

    #[test]
    fn a_cut_or_damaged_hello_gives_what_there_is() {
        let whole = long_hello();
        for len in 0..whole.len() {
            let mut text = Vec::new();
            gist(&whole[..len], &mut text);
            assert!(text.len() <= MAX_GIST);
            let mut damaged = whole.clone();
            damaged[len] ^= 0xff;
            gist(&damaged, &mut Vec::new());
        }
    }

    #[test]
    fn names_are_told_once_and_as_many_as_have_room() {
        let dns = vec!["a.my.lab".to_owned(), "fe01.my.lab".to_owned(), "x".repeat(250)];
        let leaf = LeafNames { common_name: Some("fe01.my.lab".to_owned()), dns };
        assert_eq!(names(leaf).as_deref(), Some("fe01.my.lab,a.my.lab"));
        assert_eq!(names(LeafNames::default()), None);
    }
}
