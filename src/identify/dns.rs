//! DNS, and the reader of what shares its message: multicast DNS, LLMNR and `NetBIOS` name service.
//! RFC 1035 section 4, RFC 7766 (TCP), RFC 6762, RFC 4795, RFC 1002 section 4.2.
//!
//! ```text
//!  0    2       4    6    8    10   12
//! | id | flags | qd | an | ns | ar | name, type (2), class (2) | records…
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | a question of class IN that reads to its end | high |
//! | the same with the root, or an answer without its question | medium |
//!
//! Over TCP a length of two bytes stands before the message, and the relatives are not looked for.
//! In datagrams they are told by what DNS does not do ([`Kin`]); each has a detector of its own. What
//! both may say, such as an LLMNR question for an address, stays `dns`.
//!
//! Easily confused with: RTP when the id begins with `8`; anything mostly zero. Hence the counts
//! must fit the size, and the unused flags must be zero.

mod name;

use std::borrow::Cow;

use super::bytes::Reader;
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View, gate};
use crate::flow::sample::Carrier;

use name::Name;

/// DNS.
pub(super) const DETECTOR: Detector = Detector {
    token: "dns",
    name: "DNS",
    reference: "RFC 1035",
    carriers: &[(Carrier::Stream, gate::ANY), (Carrier::Datagrams, gate::ANY)],
    carried_after: &[],
    probe,
};

/// Which of those that share the message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kin {
    /// DNS, or what cannot be told from it.
    Dns,
    /// Multicast DNS: no id, no recursion, and a mark of its own or a name below `local`.
    Multicast,
    /// LLMNR: a name of one label, of which nobody is asked to look further.
    LinkLocal,
    /// `NetBIOS`: a name of 32 letters from A to P.
    NetBios,
}

impl Kin {
    /// Whether a message may be of this kin, by what costs a look or two: all of them read the same
    /// message to its end otherwise.
    fn may_be(self, bytes: &[u8]) -> bool {
        match (self, bytes) {
            (Self::LinkLocal, &[_, _, high, low, ..]) => {
                u16::from_be_bytes([high, low]) & !LINK_LOCAL_FLAGS == 0
            }
            (Self::NetBios, bytes) => bytes.get(HEADER).is_none_or(|&len| len == NETBIOS_LABEL),
            _ => true,
        }
    }
}

/// What is kept of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head<'v> {
    id: u16,
    kin: Kin,
    kind: Kind,
    name: Name<'v>,
    record_type: u16,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Query,
    Response,
}

/// What the first name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Question,
    /// Of the root, whose name is empty.
    RootQuestion,
    Record,
}

fn probe(view: &View<'_>) -> Probe {
    probe_for(view, Kin::Dns)
}

/// Asks for one of the kin.
pub(super) fn probe_for(view: &View<'_>, wanted: Kin) -> Probe {
    let mut datagrams = SIDES.into_iter().flat_map(|side| view.datagrams(side));
    if wanted != Kin::Dns && !datagrams.any(|message| wanted.may_be(message.bytes)) {
        return Probe::No;
    }
    let seen = match view.carrier() {
        Carrier::Datagrams => sides::first_fit(view, read),
        Carrier::Stream => sides::streams(view, read_stream),
    };
    let mut heads = sides::fitting(&seen);
    let Some(first) = heads.clone().find(|head| head.kind == Kind::Query).or(heads.next()) else {
        return sides::undecided(&seen);
    };
    if first.kin != wanted {
        return Probe::No;
    }
    let agree = match [seen[0].fits(), seen[1].fits()] {
        [Some(a), Some(b)] => a.kind != b.kind && a.id == b.id && a.name.is(b.name),
        _ => false,
    };
    let claim = match first.form {
        _ if agree => Claim::new(Confidence::High, "question and answer"),
        _ if first.kin == Kin::NetBios => Claim::new(Confidence::High, "a NetBIOS name"),
        _ if first.kin == Kin::Multicast => Claim::new(Confidence::High, "multicast DNS"),
        // DNS may ask so as well, though it hardly does.
        _ if first.kin == Kin::LinkLocal => Claim::new(Confidence::Medium, "a name of one label"),
        Form::Question => Claim::new(Confidence::High, "a question"),
        Form::RootQuestion => Claim::new(Confidence::Medium, "a question"),
        Form::Record => Claim::new(Confidence::Medium, "an answer"),
    };
    let sent =
        |kind| SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| head.kind == kind));
    Probe::Match(
        claim
            .asked_by(sides::requester(sent(Kind::Query), sent(Kind::Response)))
            .fact("qname", Some(first.name.shown()))
            .fact("qtype", Some(type_name(first.record_type))),
    )
}

fn read_stream(bytes: &[u8]) -> Seen<Head<'_>> {
    let mut reader = Reader::new(bytes);
    let Some(len) = reader.u16() else {
        return Seen::Short;
    };
    let message = Message { bytes: reader.take_up_to(len.into()), len: len.into() };
    read(&message).map(|head| Head { kin: Kin::Dns, ..head })
}

fn read<'v>(message: &Message<'v>) -> Seen<Head<'v>> {
    if message.len < HEADER + SHORTEST_QUESTION {
        return Seen::Foreign;
    }
    let mut reader = Reader::new(message.bytes);
    let (Some(id), Some(flags), Some(counts)) = (reader.u16(), reader.u16(), counts(&mut reader))
    else {
        return message.ran_out();
    };
    let kind = if flags & 0x8000 == 0 { Kind::Query } else { Kind::Response };
    let Some(counts) = plausible(kind, flags, counts, message.len) else {
        return Seen::Foreign;
    };
    let (name, record_type, class) = match question(&mut reader) {
        Seen::Fits(question) => question,
        Seen::Short => return message.ran_out(),
        Seen::Foreign | Seen::Silent => return Seen::Foreign,
    };
    let netbios = name.is_netbios();
    if !is_type(record_type) || !matches!(class & CLASS_BITS, 1 | 255) {
        return Seen::Foreign;
    }
    // A lone question has nothing behind it.
    let read = message.bytes.len() - reader.remaining();
    if counts.is_lone_question() && read != message.len {
        return Seen::Foreign;
    }
    // Only NetBIOS registers names in this form (RFC 1002, 4.2.1.1).
    if flags & OPCODE != 0 && !netbios {
        return Seen::Foreign;
    }
    Seen::Fits(Head {
        id,
        kin: match counts.questions {
            _ if netbios => Kin::NetBios,
            _ if is_multicast(id, flags, class, counts, name) => Kin::Multicast,
            1 if is_link_local(flags, counts, name) => Kin::LinkLocal,
            _ => Kin::Dns,
        },
        kind,
        form: match counts.questions {
            0 => Form::Record,
            _ if name.is_root() => Form::RootQuestion,
            _ => Form::Question,
        },
        name,
        record_type,
    })
}

/// Multicast DNS has no ids (RFC 6762, 18.1) and no recursion. Its questions ask for an answer to one
/// alone and its records replace others by the top bit of the class (18.12, 18.13), its answers
/// repeat no question (6), and its names stand below `local` (3).
fn is_multicast(id: u16, flags: u16, class: u16, counts: Counts, name: Name<'_>) -> bool {
    let marked = class & !CLASS_BITS != 0 || name.is_local() || counts.questions > 1;
    let answers = flags == AUTHORITATIVE_ANSWER && counts.questions == 0;
    id == 0 && flags & !(AUTHORITATIVE_ANSWER | TRUNCATED) == 0 && (marked || answers)
}

/// LLMNR asks for one name and nothing else, and its answer repeats the question (RFC 4795, 2.1). Its
/// flags are those of a conflict (where DNS has its authority) and of truncation; the bit with which
/// DNS asks for recursion marks a tentative name, which is seldom. Multicast DNS has other names.
fn is_link_local(flags: u16, counts: Counts, name: Name<'_>) -> bool {
    let fits = match flags & 0x8000 {
        0 => counts.is_lone_question(),
        _ => counts.answers > 0 || counts.records() == 0,
    };
    fits && flags & !LINK_LOCAL_FLAGS == 0 && name.is_one_label()
}

/// How many questions there are, and how many records of each section.
#[derive(Debug, Clone, Copy)]
struct Counts {
    questions: u16,
    answers: u16,
    authorities: u16,
    additional: u16,
}

impl Counts {
    fn is_lone_question(self) -> bool {
        self.questions == 1 && self.records() == 0
    }

    fn records(self) -> usize {
        [self.answers, self.authorities, self.additional]
            .iter()
            .map(|&count| usize::from(count))
            .sum()
    }
}

fn counts(reader: &mut Reader<'_>) -> Option<Counts> {
    Some(Counts {
        questions: reader.u16()?,
        answers: reader.u16()?,
        authorities: reader.u16()?,
        additional: reader.u16()?,
    })
}

/// The counts, if flags and counts are possible in a message of `len` bytes.
fn plausible(kind: Kind, flags: u16, counts: Counts, len: usize) -> Option<Counts> {
    let size =
        usize::from(counts.questions) * SHORTEST_QUESTION + counts.records() * SHORTEST_RECORD;
    let fits = match kind {
        // A query has no result, is no authority and offers no recursion.
        Kind::Query => flags & 0x048f == 0 && (1..=MAX_QUESTIONS).contains(&counts.questions),
        Kind::Response => {
            flags & 0x000f <= MAX_RESULT
                && counts.questions <= MAX_QUESTIONS
                && (counts.questions > 0 || counts.answers > 0)
        }
    };
    let reserved = flags & 0x0040 != 0;
    (fits && !reserved && HEADER + size <= len).then_some(counts)
}

/// Whether a type is assigned, or set aside for private use (RFC 6895, 3.1).
fn is_type(record_type: u16) -> bool {
    matches!(record_type, 1..=299 | 0x8000 | 0x8001 | 0xff00..=0xfffe)
}

/// A name, its type and its class, as they begin both a question and a record.
fn question<'v>(reader: &mut Reader<'v>) -> Seen<(Name<'v>, u16, u16)> {
    match Name::read(reader) {
        Seen::Fits(name) => match (reader.u16(), reader.u16()) {
            (Some(record_type), Some(class)) => Seen::Fits((name, record_type, class)),
            _ => Seen::Short,
        },
        other => other.map(|name| (name, 0, 0)),
    }
}

fn type_name(record_type: u16) -> Cow<'static, str> {
    let known = match record_type {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        32 => "NB",
        33 => "SRV",
        35 => "NAPTR",
        41 => "OPT",
        43 => "DS",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        252 => "AXFR",
        255 => "ANY",
        // RFC 3597, 5.
        other => return format!("TYPE{other}").into(),
    };
    known.into()
}

const HEADER: usize = 12;
/// The root name, type and class.
const SHORTEST_QUESTION: usize = 5;
/// The root name, type, class, lifetime and length.
const SHORTEST_RECORD: usize = 11;
/// More than one question occurs in multicast DNS alone.
const MAX_QUESTIONS: u16 = 16;
/// The highest result assigned in the header (RFC 2136).
const MAX_RESULT: u16 = 11;
/// Flags that LLMNR uses: response and truncation.
const LINK_LOCAL_FLAGS: u16 = 0x8000 | TRUNCATED;
/// Letters of a `NetBIOS` name in its first label (RFC 1001, 14.1).
const NETBIOS_LABEL: u8 = 32;
const OPCODE: u16 = 0x7800;
/// A response with authority.
const AUTHORITATIVE_ANSWER: u16 = 0x8400;
const TRUNCATED: u16 = 0x0200;
/// The top bit of the class is multicast DNS's own (RFC 6762, 18.12).
const CLASS_BITS: u16 = 0x7fff;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, hex, snapped, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const QUESTION: &str = "04 666530 31 07 636f6e746f736f 00 0001 0001";

    fn query() -> Vec<u8> {
        hex(&format!("1234 0100 0001 0000 0000 0000 {QUESTION}"))
    }

    fn answer() -> Vec<u8> {
        hex(&format!(
            "1234 8180 0001 0001 0000 0000 {QUESTION} c00c 0001 0001 0000003c 0004 0a00010b"
        ))
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        [&(message.len() as u16).to_be_bytes()[..], message].concat()
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![
            datagrams(&[&query()], &[&answer()]),
            datagrams(&[&answer()], &[]),
            stream(&framed(&query()), &framed(&answer())),
            // What its kin might say as well: an answer alone, a question for an address.
            datagrams(
                &[&hex("0007 8400 0000 0001 0000 0000 01 61 00 0001 0001 00000078 0004 0a000105")],
                &[],
            ),
            datagrams(
                &[&hex(
                    "1234 0000 0001 0000 0000 0000 01 35 07 696e2d61646472 04 61727061 00 000c 0001",
                )],
                &[],
            ),
            // One label, but recursion is wanted; one label over TCP.
            datagrams(&[&hex("1234 0100 0001 0000 0000 0000 02 6665 00 0001 0001")], &[]),
            stream(&framed(&hex("1234 0000 0001 0000 0000 0000 02 6665 00 0001 0001")), b""),
        ]
    }

    #[test]
    fn recognises() {
        for at in [0, 2] {
            let both = claim(&DETECTOR, &samples()[at]);
            assert_eq!(both.confidence, Confidence::High);
            assert_eq!(both.evidence, "question and answer");
            assert_eq!(both.requester, Some(Side::A));
            assert_eq!(both.facts["qname"], "fe01.contoso");
            assert_eq!(both.facts["qtype"], "A");
        }
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::B));

        assert_eq!(claim(&DETECTOR, &samples()[3]).confidence, Confidence::Medium);
        assert_eq!(claim(&DETECTOR, &samples()[4]).facts["qtype"], "PTR");
    }

    #[test]
    fn wants_more() {
        let cut = snapped(&datagrams(&[&query()], &[]), 20);
        assert_eq!(ask(&DETECTOR, &cut), Probe::NeedMore);
        assert_eq!(ask(&DETECTOR, &stream(&framed(&query())[..9], b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            // A datagram that ends within its name; a counts that do not fit; class and type.
            query()[..20].to_vec(),
            hex(&format!("1234 0100 0001 0100 0000 0000 {QUESTION}")),
            hex("1234 0100 0001 0000 0000 0000 01 61 00 0001 0007"),
            hex("1234 0100 0001 0000 0000 0000 01 61 00 0000 0001"),
            // A query with a result; reserved bits; an update, which is not NetBIOS's.
            hex(&format!("1234 0103 0001 0000 0000 0000 {QUESTION}")),
            hex(&format!("1234 0140 0001 0000 0000 0000 {QUESTION}")),
            hex(&format!("1234 2800 0001 0000 0000 0000 {QUESTION}")),
            // A type that is none; bytes behind a lone question.
            hex("1234 0100 0001 0000 0000 0000 01 61 00 6005 0001"),
            hex(&format!("1234 0100 0001 0000 0000 0000 {QUESTION} 00")),
            // A pointer where nothing stands before; RTP; STUN; zeros.
            hex("1234 0100 0001 0000 0000 0000 c00c 0001 0001"),
            hex("8008 0001 000000a0 00000001 d5d5d5d5d5"),
            hex("0001 0000 2112a442 000102030405060708090a0b"),
            vec![0; 60],
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
