//! Which detectors are worth asking about a sample, by the first byte of each stream or datagram.
//!
//! A detector says with which bytes its protocol may begin ([`Detector::carriers`]). When no stream
//! and no datagram of a sample begins with one of them, it could not match and is not asked.

use super::sides::SIDES;
use super::{DETECTORS, Detector, View};
use crate::flow::sample::Carrier;

/// The first bytes that something may begin with.
pub type FirstBytes = &'static [std::ops::RangeInclusive<u8>];

/// Whatever byte: where a length or a number stands first.
pub(super) const ANY: FirstBytes = &[0..=255];

/// The detectors that may match, in the order of the list.
pub(super) fn asked(view: &View<'_>) -> impl Iterator<Item = &'static Detector> + use<> {
    let mut asked = 0;
    let by_byte = &ASKED[view.carrier() as usize];
    for side in SIDES {
        match view.carrier() {
            Carrier::Stream => asked |= first(view.stream(side), by_byte),
            Carrier::Datagrams => {
                for message in view.datagrams(side) {
                    asked |= first(message.bytes, by_byte);
                }
            }
        }
    }
    std::iter::from_fn(move || {
        let next = DETECTORS.get(asked.trailing_zeros() as usize)?;
        asked &= asked - 1;
        Some(next)
    })
}

/// The detectors that ask about what begins with these bytes.
fn first(bytes: &[u8], by_byte: &[Set; 256]) -> Set {
    bytes.first().map_or(0, |&byte| by_byte[usize::from(byte)])
}

/// Detectors: bit n is the one at position n of [`DETECTORS`].
type Set = u64;

/// The detectors to ask, by carrier and first byte.
static ASKED: [[Set; 256]; 2] = table();

const fn table() -> [[Set; 256]; 2] {
    assert!(DETECTORS.len() < Set::BITS as usize, "a set has a bit for each detector");
    let mut table = [[0; 256]; 2];
    let mut at = 0;
    while at < DETECTORS.len() {
        let carriers = DETECTORS[at].carriers;
        let mut nth = 0;
        while nth < carriers.len() {
            let (carrier, bytes) = &carriers[nth];
            mark(&mut table[*carrier as usize], bytes, 1 << at);
            nth += 1;
        }
        at += 1;
    }
    table
}

const fn mark(by_byte: &mut [Set; 256], bytes: FirstBytes, detector: Set) {
    let mut nth = 0;
    while nth < bytes.len() {
        let mut byte = *bytes[nth].start() as usize;
        while byte <= *bytes[nth].end() as usize {
            by_byte[byte] |= detector;
            byte += 1;
        }
        nth += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::craft::{datagrams, matches, rebuilt, stream};
    use super::super::tests::samples;
    use super::*;
    use crate::flow::sample::Sample;

    fn tokens(sample: &Sample) -> Vec<&'static str> {
        asked(&View::of(sample)).map(|detector| detector.token).collect()
    }

    #[test]
    fn only_those_that_begin_so_are_asked() {
        assert_eq!(tokens(&stream(&[0x16, 3], b"")), ["tls", "stun", "rtp", "rtcp", "dns"]);
        assert_eq!(
            tokens(&datagrams(&[&[0x80, 0]], &[])),
            ["rtp", "rtcp", "dns", "ike", "llmnr", "netbios-ns", "quic"]
        );
        // Either side, and any datagram, may bring one in.
        let both = datagrams(&[&[0xff], &[0x30]], &[&[0x16]]);
        let asked = [
            "stun",
            "dns",
            "dtls",
            "ike",
            "ldap",
            "ntp",
            "llmnr",
            "netbios-ns",
            "netbios-dgm",
            "snmp",
            "quic",
        ];
        assert_eq!(tokens(&both), asked);
        assert!(tokens(&datagrams(&[b""], &[])).is_empty());
    }

    #[test]
    fn who_is_not_asked_would_not_have_matched() {
        let samples: Vec<Sample> = samples().into_iter().flat_map(|(_, each)| each).collect();
        for (sample, byte) in samples.iter().flat_map(|s| (0..=255).map(move |byte| (s, byte))) {
            let changed = rebuilt(sample, |bytes, wire_len| {
                let mut bytes = bytes.to_vec();
                if let Some(first) = bytes.first_mut() {
                    *first = byte;
                }
                (bytes, wire_len)
            });
            let asked = tokens(&changed);
            for detector in DETECTORS.iter().filter(|d| d.carried_by(changed.carrier())) {
                let match_missed = !asked.contains(&detector.token) && matches(detector, &changed);
                assert!(!match_missed, "{} beginning with {byte:#x}", detector.token);
            }
        }
    }
}
