//! `NetBIOS` datagram service: browser announcements and mail slots of Windows. RFC 1002 section 4.4.
//!
//! ```text
//!  0      1       2    4            8             10       12       14
//! | type | flags | id | source IP  | source port | length | offset | source name, destination name
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | types `10` to `12`: a length that fills the datagram, an encoded name | high |
//! | types `14` to `16`: an encoded name behind the source port | high |
//!
//! An encoded name is a length of 32 and as many letters from A to P, which leaves no room for chance.
//! An error (type `13`) is one number behind the header and is not recognised.

use super::bytes::Reader;
use super::sides::{self, Message, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// `NetBIOS` datagram service.
pub(super) const DETECTOR: Detector = Detector {
    token: "netbios-dgm",
    name: "NetBIOS datagram service",
    reference: "RFC 1002",
    carriers: &[(Carrier::Datagrams, &[0x10..=0x12, 0x14..=0x16])],
    carried_after: &[],
    probe,
};

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    let Some(kind) = sides::fitting(&seen).next() else {
        return sides::undecided(&seen);
    };
    Probe::Match(
        Claim::new(Confidence::High, "NetBIOS datagram").fact("netbios_datagram", Some(*kind)),
    )
}

fn read(message: &Message<'_>) -> Seen<&'static str> {
    let mut reader = Reader::new(message.bytes);
    match fields(&mut reader, message.len) {
        None => message.ran_out(),
        Some(seen) => seen,
    }
}

/// The kind of datagram; `None` where it is cut.
fn fields(reader: &mut Reader<'_>, len: usize) -> Option<Seen<&'static str>> {
    let kind = reader.u8()?;
    let name = match kind {
        0x10 => "direct-unique",
        0x11 => "direct-group",
        0x12 => "broadcast",
        0x14 => "query-request",
        0x15 => "query-positive",
        0x16 => "query-negative",
        _ => return Some(Seen::Foreign),
    };
    // Four bits of the flags are reserved (RFC 1002, 4.4.1).
    if reader.u8()? & 0xf0 != 0 {
        return Some(Seen::Foreign);
    }
    reader.skip(2 + 4 + 2)?;
    if kind < 0x14 {
        let length = usize::from(reader.u16()?);
        reader.skip(2)?;
        if length + HEADER != len {
            return Some(Seen::Foreign);
        }
    }
    let size = reader.u8()?;
    let letters = reader.take(32)?;
    let fits = size == 32 && letters.iter().all(|b| (b'A'..=b'P').contains(b));
    Some(if fits { Seen::Fits(name) } else { Seen::Foreign })
}

/// Bytes before the names, which the length counts.
const HEADER: usize = 14;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::sample::Sample;

    const NAME: &[u8] = b"\x20EGEFDADBCACACACACACACACACACACACA\0";

    fn announcement() -> Vec<u8> {
        let body = [NAME, NAME, b"\xffSMB%"].concat();
        let header = hex("11 0a 8001 0a000105 008a");
        [&header[..], &(body.len() as u16).to_be_bytes(), &[0, 0], &body].concat()
    }

    fn query() -> Vec<u8> {
        [&hex("14 02 8001 0a000105 008a")[..], NAME].concat()
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![datagrams(&[&announcement()], &[]), datagrams(&[&query()], &[])]
    }

    #[test]
    fn recognises() {
        let group = claim(&DETECTOR, &samples()[0]);
        assert_eq!(group.confidence, Confidence::High);
        assert_eq!(group.facts["netbios_datagram"], "direct-group");
        assert_eq!(claim(&DETECTOR, &samples()[1]).facts["netbios_datagram"], "query-request");
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 20)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let mut longer = announcement();
        longer.push(0);
        let mut reserved = announcement();
        reserved[1] = 0x8a;
        let mut lower = announcement();
        lower[20] = b'a';
        for other in [longer, reserved, lower, query()[..20].to_vec()] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[&other], &[])), Probe::No, "{other:x?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
