//! LDAP, and over datagrams CLDAP. RFC 4511 section 4, MS-ADTS section 6.3.3.
//!
//! | first bytes | meaning | sure |
//! |---|---|---|
//! | `30` length `02` number `60` length `02 01 02`/`03` | bind | high |
//! | `30` length `02` number, an operation of RFC 4511 whose body fits, both sides | others | high |
//! | the same on one side | | medium |
//!
//! TLS follows on the same connection after the extended operation for it (RFC 4511, 4.14); then the
//! fact `then` says so.
//!
//! Lengths may take four bytes more than they need, as Windows writes them. After a bind with
//! SASL the messages may be sealed, behind a length of four bytes; those are not recognised from
//! the middle. Easily confused with: SNMP, whose version is followed by a string (`04`); Kerberos,
//! which begins with an application tag.

use super::bytes::Reader;
use super::sides::{self, Message, SIDES, Seen};
use super::then::then;
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// LDAP.
pub(super) const DETECTOR: Detector = Detector {
    token: "ldap",
    name: "LDAP",
    reference: "RFC 4511",
    carriers: &[(Carrier::Stream, &[0x30..=0x30]), (Carrier::Datagrams, &[0x30..=0x30])],
    carried_after: &[],
    probe,
};

/// The first operation of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Bind,
    Request(&'static str),
    Response,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = match view.carrier() {
        Carrier::Datagrams => sides::first_fit(view, read),
        // A stream has no end that the length could miss.
        Carrier::Stream => sides::streams(view, |bytes| read(&Message { bytes, len: usize::MAX })),
    };
    let asked = SIDES.map(|side| {
        let operation = seen[side.index()].fits();
        operation.is_some_and(|operation| *operation != Operation::Response)
    });
    let answered = SIDES.map(|side| seen[side.index()].fits() == Some(&Operation::Response));
    let operations = || sides::fitting(&seen);
    let claim = if operations().any(|operation| *operation == Operation::Bind) {
        Claim::new(Confidence::High, "a bind")
    } else if asked.contains(&true) && answered.contains(&true) {
        Claim::new(Confidence::High, "request and response")
    } else if operations().next().is_none() {
        return sides::undecided(&seen);
    } else {
        Claim::new(Confidence::Medium, "one side of an exchange")
    };
    let name = operations().find_map(|operation| match operation {
        Operation::Bind => Some("bind"),
        Operation::Request(name) => Some(name),
        Operation::Response => None,
    });
    Probe::Match(
        claim
            .asked_by(sides::requester(asked, answered))
            .fact("ldap_operation", name)
            .fact("then", then(view)),
    )
}

fn read(message: &Message<'_>) -> Seen<Operation> {
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
fn fields(reader: &mut Reader<'_>, len: usize) -> Option<Seen<Operation>> {
    let start = reader.remaining();
    let (sequence, body) = reader.der()?;
    let header = start - reader.remaining();
    let (0x02, number @ 1..=4) = reader.der()? else {
        return Some(Seen::Foreign);
    };
    let negative = reader.take(number)?.first().is_some_and(|byte| byte & 0x80 != 0);
    let before = start - reader.remaining();
    let (tag, size) = reader.der()?;
    let inner = start - reader.remaining() - before;
    // Controls may follow the operation, never the other way round.
    let room = body.checked_sub(before - header + inner);
    let fits = sequence == 0x30
        && !negative
        && (7..MAX_LEN).contains(&body)
        && header + body <= len
        && room.is_some_and(|room| size <= room);
    if !fits {
        return Some(Seen::Foreign);
    }
    operation(reader, tag, size)
}

/// The operation by its tag and the first field of its body.
fn operation(reader: &mut Reader<'_>, tag: u8, size: usize) -> Option<Seen<Operation>> {
    let (name, field) = match tag {
        0x60 => ("bind", 0x02),
        // An unbind has no body.
        0x42 if size == 0 => return Some(Seen::Fits(Operation::Request("unbind"))),
        0x63 => ("search", 0x04),
        0x66 => ("modify", 0x04),
        0x68 => ("add", 0x04),
        0x6c => ("rename", 0x04),
        0x6e => ("compare", 0x04),
        0x77 => ("extended", 0x80),
        // Results begin with a code, entries with a name, references with an address.
        0x61 | 0x65 | 0x67 | 0x69 | 0x6b | 0x6d | 0x6f | 0x78 => ("", 0x0a),
        0x64 | 0x73 => ("", 0x04),
        _ => return Some(Seen::Foreign),
    };
    let (found, len) = reader.der()?;
    if found != field || len > size {
        return Some(Seen::Foreign);
    }
    Some(match (tag, found) {
        (0x60, _) if matches!(reader.take(len)?, [2 | 3]) => Seen::Fits(Operation::Bind),
        (0x60, _) => Seen::Foreign,
        (_, 0x0a) if len != 1 => Seen::Foreign,
        _ if name.is_empty() => Seen::Fits(Operation::Response),
        _ => Seen::Fits(Operation::Request(name)),
    })
}

/// Longer messages do not open a conversation.
const MAX_LEN: usize = 1 << 24;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{
        ask, claim, datagrams, dialogue, hello, hex, snapped, stream, survive,
    };
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const BIND: &str = "30 0c 0201 01 60 07 0201 03 0400 8000";
    const BOUND: &str = "30 84 00000010 0201 01 61 84 00000007 0a01 00 0400 0400";
    const SEARCH: &str =
        "30 1e 0201 02 63 19 0400 0a01 00 0a01 00 0201 00 0201 00 0101 00 8700 3004 0402 2b2b";
    const ENTRY: &str = "30 0b 0201 02 64 06 0400 3002 3000";

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            stream(&hex(BIND), &hex(BOUND)),
            stream(&hex(SEARCH), &hex(ENTRY)),
            datagrams(&[&hex(SEARCH)], &[]),
            stream(b"", &hex(BOUND)),
        ]
    }

    #[test]
    fn tells_of_the_change_to_tls() {
        let oid = b"1.3.6.1.4.1.1466.20037";
        let asks = [&hex("30 1d 0201 01 77 18 80 16")[..], oid].concat();
        let sample = dialogue(&[
            (Side::A, &asks),
            (Side::B, &hex("30 0c 0201 01 78 07 0a01 00 0400 0400")),
            (Side::A, &hello()),
        ]);
        let changed = claim(&DETECTOR, &sample);
        assert_eq!(changed.confidence, Confidence::High);
        assert_eq!(
            (&*changed.facts["ldap_operation"], &*changed.facts["then"]),
            ("extended", "tls")
        );
    }

    #[test]
    fn recognises() {
        let bind = claim(&DETECTOR, &samples()[0]);
        assert_eq!(bind.confidence, Confidence::High);
        assert_eq!(bind.requester, Some(Side::A));
        assert_eq!(bind.facts["ldap_operation"], "bind");

        let search = claim(&DETECTOR, &samples()[1]);
        assert_eq!(search.confidence, Confidence::High);
        assert_eq!(search.facts["ldap_operation"], "search");

        assert_eq!(claim(&DETECTOR, &samples()[2]).confidence, Confidence::Medium);
        assert_eq!(claim(&DETECTOR, &samples()[3]).requester, Some(Side::A));
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &stream(&hex(BIND)[..6], b"")), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &snapped(&datagrams(&[&hex(SEARCH)], &[]), 8)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            // SNMP versions 1 and 3; a bind of version 9; an operation longer than its message.
            hex("30 1a 0201 01 04 06 7075626c6963 a0 0d 0201 01 0201 00 0201 00 3002 3000"),
            hex("30 0c 0201 03 30 07 0201 03 0400 8000"),
            hex("30 0c 0201 01 60 07 0201 09 0400 8000"),
            hex("30 0c 0201 01 60 17 0201 03 0400 8000"),
            hex("30 0c 0201 ff 60 07 0201 03 0400 8000"),
            hex("6a 0e 30 0c a1 03 0201 05 a2 03 0201 0a a3 00"),
        ] {
            assert_eq!(ask(&DETECTOR, &stream(&other, b"")), Probe::No, "{other:x?}");
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
