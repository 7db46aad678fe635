//! SNMP: devices asked about themselves, and what they report. RFC 1157, RFC 3416 section 3 (versions
//! 1 and 2), RFC 3412 section 6 (version 3).
//!
//! ```text
//! 30 length | 02 01 version | 04 length community | operation a0–a8, length | …
//!           | 02 01 03      | 30 length | 02 id | 02 size | 04 01 flags | 02 01 model | …
//! ```
//!
//! All sure: the lengths fit into each other and the datagram, and the types stand where they must.
//! The community is a password of sorts and is not kept. Easily confused with: LDAP, whose number is
//! followed by an operation.

use super::bytes::Reader;
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// SNMP.
pub(super) const DETECTOR: Detector = Detector {
    token: "snmp",
    name: "SNMP",
    reference: "RFC 3416, RFC 3412",
    carriers: &[(Carrier::Datagrams, &[0x30..=0x30])],
    carried_after: &[],
    probe,
};

/// What is kept of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    version: &'static str,
    /// Hidden in version 3, where it may be encrypted.
    operation: Option<Operation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Operation {
    name: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    Response,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    let heads = || sides::fitting(&seen);
    let Some(first) = heads().next() else {
        return sides::undecided(&seen);
    };
    let sent = |kind| {
        SIDES.map(|side| {
            let operation = seen[side.index()].fits().and_then(|head| head.operation);
            operation.is_some_and(|operation| operation.kind == kind)
        })
    };
    let operations = || heads().filter_map(|head| head.operation);
    let asked = operations().find(|operation| operation.kind == Kind::Request);
    Probe::Match(
        Claim::new(Confidence::High, "SNMP message")
            .asked_by(sides::requester(sent(Kind::Request), sent(Kind::Response)))
            .fact("snmp_version", Some(first.version))
            .fact(
                "snmp_operation",
                asked.or_else(|| operations().next()).map(|operation| operation.name),
            ),
    )
}

fn read(message: &Message<'_>) -> Seen<Head> {
    let mut reader = Reader::new(message.bytes);
    match fields(&mut reader, message.len) {
        Some(seen) => seen,
        None => match message.bytes {
            [0x30] | [0x30, 0x02..=0x84, ..] => message.ran_out(),
            _ => Seen::Foreign,
        },
    }
}

/// Reads up to the operation; `None` where the bytes end too soon.
fn fields(reader: &mut Reader<'_>, len: usize) -> Option<Seen<Head>> {
    let start = reader.remaining();
    let (0x30, body) = reader.der()? else {
        return Some(Seen::Foreign);
    };
    // A message fills its datagram.
    if start - reader.remaining() + body != len {
        return Some(Seen::Foreign);
    }
    let &[0x02, 1, version] = reader.take(3)? else {
        return Some(Seen::Foreign);
    };
    match version {
        0 => community(reader, len - start, start, "1"),
        1 => community(reader, len - start, start, "2c"),
        3 => header(reader),
        _ => Some(Seen::Foreign),
    }
}

/// A community, then an operation that fills the message.
fn community(
    reader: &mut Reader<'_>,
    beyond: usize,
    start: usize,
    version: &'static str,
) -> Option<Seen<Head>> {
    let (0x04, size @ ..=MAX_COMMUNITY) = reader.der()? else {
        return Some(Seen::Foreign);
    };
    reader.skip(size)?;
    let (tag, body) = reader.der()?;
    let left = reader.remaining() + beyond;
    let Some(operation) = operation(tag).filter(|_| body == left && body <= start + beyond) else {
        return Some(Seen::Foreign);
    };
    // A request id, or the enterprise of a trap of version 1.
    let (first, _) = reader.der()?;
    let fits = first == if tag == TRAP { 0x06 } else { 0x02 };
    Some(if fits {
        Seen::Fits(Head { version, operation: Some(operation) })
    } else {
        Seen::Foreign
    })
}

/// The global header of version 3.
fn header(reader: &mut Reader<'_>) -> Option<Seen<Head>> {
    let (0x30, _) = reader.der()? else {
        return Some(Seen::Foreign);
    };
    for _ in 0..2 {
        let (0x02, size @ 1..=5) = reader.der()? else {
            return Some(Seen::Foreign);
        };
        reader.skip(size)?;
    }
    let flags = reader.take(3)?;
    let model = reader.take(3)?;
    // Three flags are assigned (RFC 3412, 6.4), and few models.
    let fits = matches!(flags, [0x04, 1, 0..=7]) && matches!(model, [0x02, 1, 1..=4]);
    Some(if fits { Seen::Fits(Head { version: "3", operation: None }) } else { Seen::Foreign })
}

fn operation(tag: u8) -> Option<Operation> {
    let (name, kind) = match tag {
        0xa0 => ("get", Kind::Request),
        0xa1 => ("get-next", Kind::Request),
        0xa2 => ("response", Kind::Response),
        0xa3 => ("set", Kind::Request),
        TRAP | 0xa7 => ("trap", Kind::Request),
        0xa5 => ("get-bulk", Kind::Request),
        0xa6 => ("inform", Kind::Request),
        0xa8 => ("report", Kind::Response),
        _ => return None,
    };
    Some(Operation { name, kind })
}

/// A trap of version 1.
const TRAP: u8 = 0xa4;
/// Longer communities do not occur.
const MAX_COMMUNITY: usize = 255;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, snapped, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn message(version: u8, tag: &str) -> Vec<u8> {
        hex(&format!(
            "30 18 0201 0{version} 04 06 7075626c6963 {tag} 0b 0201 01 0201 00 0201 00 3000"
        ))
    }

    const THIRD: &str = "30 16 0201 03 300d 0201 07 0202 05c0 0401 04 0201 03 0400 3000";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&message(1, "a0")], &[&message(1, "a2")]),
            datagrams(&[&hex("30 11 0201 00 04 06 7075626c6963 a4 04 0602 2b06")], &[]),
            datagrams(&[&hex(THIRD)], &[]),
        ]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["snmp_version"], "2c");
        assert_eq!(both.facts["snmp_operation"], "get");
        let trap = claim(&DETECTOR, &samples()[1]);
        assert_eq!((&*trap.facts["snmp_version"], &*trap.facts["snmp_operation"]), ("1", "trap"));
        assert_eq!(claim(&DETECTOR, &samples()[2]).facts["snmp_version"], "3");
        let shown: Vec<_> = both.facts.iter().filter(|(_, value)| *value == "public").collect();
        assert!(shown.is_empty(), "{shown:?}");
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 10)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let mut longer = message(1, "a0");
        longer.push(0);
        for other in [
            longer,
            message(2, "a0"),
            message(1, "a9"),
            message(1, "a4"),
            hex("30 0c 0201 01 60 07 0201 03 0400 8000"),
            hex("30 16 0201 03 300d 0201 07 0202 05c0 0401 44 0201 03 0400 3000"),
        ] {
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
