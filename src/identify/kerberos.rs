//! Kerberos 5: tickets asked for and given. RFC 4120 sections 5.4 to 5.9, 7.2.2 (TCP).
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `6a`, `6c` length `30` length `a1 03 02 01 05 a2 03 02 01` type | asks for a ticket | high |
//! | `6b`, `6d`–`6f`, `74`–`76`, `7e` length `30` length `a0 03 02 01 05 a1 03 02 01` type | others | high |
//!
//! Over TCP a length of four bytes stands before. The version 5 and a type that equals the
//! outermost tag leave no room for chance. Easily confused with: LDAP, which is also ASN.1 but
//! begins with `30`.

use super::bytes::Reader;
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// Kerberos.
pub(super) const DETECTOR: Detector = Detector {
    token: "kerberos",
    name: "Kerberos",
    reference: "RFC 4120",
    carriers: &[(Carrier::Stream, &[0..=0]), (Carrier::Datagrams, &[0x6a..=0x7e])],
    carried_after: &[],
    probe,
};

fn probe(view: &View<'_>) -> Probe {
    let seen = match view.carrier() {
        Carrier::Datagrams => sides::first_fit(view, read),
        Carrier::Stream => sides::streams(view, read_stream),
    };
    let sent = |kinds: &[u8]| {
        SIDES.map(|side| seen[side.index()].fits().is_some_and(|kind| kinds.contains(kind)))
    };
    let requester = sides::requester(sent(&REQUESTS), sent(&REPLIES));
    let mut kinds = sides::fitting(&seen);
    let Some(kind) = kinds.clone().find(|kind| REQUESTS.contains(kind)).or(kinds.next()) else {
        return sides::undecided(&seen);
    };
    Probe::Match(
        Claim::new(Confidence::High, "Kerberos message")
            .asked_by(requester)
            .fact("kerberos_message", name(*kind)),
    )
}

fn read_stream(bytes: &[u8]) -> Seen<u8> {
    let mut reader = Reader::new(bytes);
    match reader.u32() {
        None if bytes.first() == Some(&0) => Seen::Short,
        Some(len) if len <= MAX_LEN => {
            read(&Message { bytes: reader.take_up_to(len as usize), len: len as usize })
        }
        _ => Seen::Foreign,
    }
}

/// The type of a message that fills `message`.
fn read(message: &Message<'_>) -> Seen<u8> {
    let mut reader = Reader::new(message.bytes);
    let fields = (|| {
        let (outer, outer_len) = reader.der()?;
        let outer_rest = message.len.checked_sub(message.bytes.len() - reader.remaining())?;
        let (sequence, sequence_len) = reader.der()?;
        let sequence_rest = message.len.checked_sub(message.bytes.len() - reader.remaining())?;
        let fixed = reader.take(10)?;
        let kind = outer & 0x1f;
        // Requests for tickets number their fields from 1, all others from 0.
        let field = if matches!(kind, 10 | 12) { 0xa1 } else { 0xa0 };
        let fits = outer & 0xe0 == 0x60
            && name(kind).is_some()
            && outer_len == outer_rest
            && (sequence, sequence_len) == (0x30, sequence_rest)
            && *fixed == [field, 3, 2, 1, 5, field + 1, 3, 2, 1, kind];
        Some(fits.then_some(kind))
    })();
    match fields {
        Some(Some(kind)) => Seen::Fits(kind),
        Some(None) => Seen::Foreign,
        None => match message.bytes.first() {
            None | Some(0x6a..=0x7e) => message.ran_out(),
            Some(_) => Seen::Foreign,
        },
    }
}

fn name(kind: u8) -> Option<&'static str> {
    match kind {
        10 => Some("as-req"),
        11 => Some("as-rep"),
        12 => Some("tgs-req"),
        13 => Some("tgs-rep"),
        14 => Some("ap-req"),
        15 => Some("ap-rep"),
        20 => Some("safe"),
        21 => Some("priv"),
        22 => Some("cred"),
        30 => Some("error"),
        _ => None,
    }
}

const REQUESTS: [u8; 3] = [10, 12, 14];
const REPLIES: [u8; 4] = [11, 13, 15, 30];
/// Longer tickets do not occur.
const MAX_LEN: u32 = 1 << 20;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, snapped, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn request() -> Vec<u8> {
        let mut out = hex("6a 81d4 30 81d1 a1 03 0201 05 a2 03 0201 0a");
        out.resize(6 + 0xd1, 0x5a);
        out
    }

    fn error() -> Vec<u8> {
        hex("7e 0e 30 0c a0 03 0201 05 a1 03 0201 1e a2 00")
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u32).to_be_bytes()[..], message].concat()
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&request()], &[&error()]),
            datagrams(&[&error()], &[]),
            stream(&framed(&request()), &framed(&error())),
        ]
    }

    #[test]
    fn recognises() {
        for at in [0, 2] {
            let both = claim(&DETECTOR, &samples()[at]);
            assert_eq!(both.confidence, Confidence::High);
            assert_eq!(both.requester, Some(Side::A));
            assert_eq!(both.facts["kerberos_message"], "as-req");
        }
        let alone = claim(&DETECTOR, &samples()[1]);
        assert_eq!(alone.requester, Some(Side::B));
        assert_eq!(alone.facts["kerberos_message"], "error");
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&datagrams(&[&request()], &[]), 8)), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &stream(&framed(&request())[..7], b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            hex("6a 0e 30 0c a1 03 0201 04 a2 03 0201 0a a3 00"),
            hex("6a 0e 30 0c a1 03 0201 05 a2 03 0201 0c a3 00"),
            hex("6a 0f 30 0c a1 03 0201 05 a2 03 0201 0a a3 00"),
            hex("6a 80 30 80 a1 03 0201 05 a2 03 0201 0a a3 00"),
            hex("30 0c 0201 01 60 07 0201 03 0400 8000"),
            error()[..9].to_vec(),
        ] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[&other], &[])), Probe::No, "{other:x?}");
            assert_eq!(ask(&DETECTOR, &stream(&framed(&other), b"")), Probe::No, "{other:x?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
