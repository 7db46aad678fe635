//! What of a payload is worth keeping, by how it begins.
//!
//! Media is most of what a capture holds, and behind its header there is nothing that a detector
//! reads. Everything else is kept as far as a sample allows. The hellos of TLS are longer than that,
//! and so are the options of DHCP and the addresses before what a relay carries: what they say is read
//! while the whole packet is at hand.

use super::{dhcp, stun, tls};
use crate::flow::sample::{Carrier, Taste};

/// What detectors want of payloads.
pub const TASTE: Taste = Taste { keep: appetite, gist };

fn gist(carrier: Carrier, bytes: &[u8], gist: &mut Vec<u8>) {
    match (carrier, bytes.first()) {
        (Carrier::Stream, _) => tls::gist(bytes, gist),
        (Carrier::Datagrams, Some(0..=2)) => {
            dhcp::gist(bytes, gist);
            stun::gist(bytes, gist);
        }
        (Carrier::Datagrams, _) => {}
    }
}

/// Bytes of a payload that a detector may want.
fn appetite(carrier: Carrier, bytes: &[u8]) -> usize {
    match carrier {
        Carrier::Datagrams if looks_like_media(bytes) => RTP_HEADER,
        Carrier::Datagrams | Carrier::Stream => usize::MAX,
    }
}

/// Whether a datagram begins as RTP and not as one of those with a random number in front whose
/// content is wanted: a DNS message with one question, IKE of version 1 or 2.
fn looks_like_media(bytes: &[u8]) -> bool {
    let Some(&[first, second, _, _, q1, q0, ..]) = bytes.first_chunk::<36>() else {
        return false;
    };
    let rtp = first >> 6 == 2 && matches!(second & 0x7f, 0..=34 | 96..=127);
    let dns = [q1, q0] == [0, 1];
    let ike = matches!(bytes.get(17), Some(0x10 | 0x20));
    rtp && !dns && !ike
}

/// The fixed header (RFC 3550, section 5.1) and one contributing source.
const RTP_HEADER: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_datagrams_have_no_gist() {
        for first in 0..=255 {
            let mut text = Vec::new();
            gist(Carrier::Datagrams, &[first; 600], &mut text);
            assert!(text.is_empty(), "{first}");
        }
    }

    #[test]
    fn of_media_the_header_is_enough_and_of_others_all_counts() {
        let mut bytes = [0x55; 60];
        (bytes[0], bytes[1]) = (0x80, 96);
        assert_eq!(appetite(Carrier::Datagrams, &bytes), RTP_HEADER);
        assert_eq!(appetite(Carrier::Stream, &bytes), usize::MAX);
        for (at, value) in [(0, 0x16), (1, 200), (17, 0x20)] {
            let mut other = bytes;
            other[at] = value;
            assert_eq!(appetite(Carrier::Datagrams, &other), usize::MAX, "{at}");
        }
        let mut question = bytes;
        (question[4], question[5]) = (0, 1);
        assert_eq!(appetite(Carrier::Datagrams, &question), usize::MAX);
    }

    #[test]
    fn it_says_the_same_of_what_was_kept() {
        for seed in 0..=255_u8 {
            let bytes: Vec<u8> =
                (0..60).map(|n: u8| seed.wrapping_mul(n).wrapping_add(seed)).collect();
            let kept = appetite(Carrier::Datagrams, &bytes).min(bytes.len());
            let cut = &bytes[..kept.min(36)];
            assert!(appetite(Carrier::Datagrams, cut) >= cut.len(), "{seed}");
        }
    }
}
