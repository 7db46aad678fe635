//! SQL Server resolution: which TCP port an instance listens on. MC-SQLR section 2.2.
//!
//! | bytes | meaning | sure |
//! |---|---|---|
//! | `05` size (2, low byte first) `ServerName;`… | the answer, its size exact | high |
//! | `04` name, `02`, `03`, `0f 01` name | a question | none without its answer |
//!
//! A question is one byte and a name, which anything may be; the answer settles it.

use super::bytes::{self, Prefix, Reader};
use super::sides::{self, Message, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// SQL Server resolution.
pub(super) const DETECTOR: Detector = Detector {
    token: "ssrp",
    name: "SQL Server resolution",
    reference: "MC-SQLR",
    carriers: &[(Carrier::Datagrams, &[ANSWER..=ANSWER])],
    carried_after: &[],
    probe,
};

/// An answer's first instance.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    instance: Option<String>,
    tcp_port: Option<String>,
}

fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    let Some(answer) = seen.iter().find_map(Seen::fits) else {
        return sides::undecided(&seen);
    };
    let answered = SIDES.map(|side| seen[side.index()].fits().is_some());
    Probe::Match(
        Claim::new(Confidence::High, "list of instances")
            .asked_by(sides::requester([false, false], answered))
            .fact("sql_instance", answer.instance.clone())
            .fact("sql_tcp_port", answer.tcp_port.clone()),
    )
}

fn read(message: &Message<'_>) -> Seen<Answer> {
    let mut reader = Reader::new(message.bytes);
    let (Some(kind), size) = (reader.u8(), reader.u16_le()) else {
        return Seen::Silent;
    };
    match (kind, size) {
        (ANSWER, Some(size)) if usize::from(size) + 3 == message.len => {
            match bytes::prefix(reader.rest(), b"ServerName;") {
                Prefix::Whole => Seen::Fits(answer(reader.rest())),
                Prefix::Part => message.ran_out(),
                Prefix::Differs => Seen::Foreign,
            }
        }
        (ANSWER, None) => message.ran_out(),
        (ANSWER, Some(_)) => Seen::Foreign,
        _ if is_question(message) => Seen::Short,
        _ => Seen::Foreign,
    }
}

/// `key;value;` pairs up to an empty key.
fn answer(text: &[u8]) -> Answer {
    let words: Vec<&[u8]> = text.split(|&b| b == b';').collect();
    let value = |key: &[u8]| {
        words
            .chunks_exact(2)
            .map_while(|pair| match pair {
                [[], _] => None,
                [found, value] => Some((*found, *value)),
                _ => None,
            })
            .find(|(found, _)| *found == key)
            .and_then(|(_, value)| bytes::text(value))
    };
    Answer {
        instance: value(b"InstanceName"),
        tcp_port: value(b"tcp").filter(|port| port.bytes().all(|b| b.is_ascii_digit())),
    }
}

fn is_question(message: &Message<'_>) -> bool {
    let is_name = |name: &[u8]| {
        let name = name.strip_suffix(&[0]).unwrap_or(name);
        (1..=MAX_INSTANCE).contains(&name.len()) && name.iter().all(|&b| bytes::is_printable(b))
    };
    match message.bytes {
        [2 | 3] => message.len == 1,
        [4, name @ ..] | [0x0f, 1, name @ ..] => is_name(name),
        _ => false,
    }
}

const ANSWER: u8 = 5;
/// MC-SQLR 2.2.3.
const MAX_INSTANCE: usize = 32;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, datagrams, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    const LIST: &[u8] =
        b"ServerName;SQL01;InstanceName;RTC;IsClustered;No;Version;15.0.2000.5;tcp;49823;;";

    fn reply(text: &[u8]) -> Vec<u8> {
        [&[5][..], &(text.len() as u16).to_le_bytes(), text].concat()
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![datagrams(&[b"\x04RTC\0"], &[&reply(LIST)]), datagrams(&[&reply(LIST)], &[])]
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["sql_instance"], "RTC");
        assert_eq!(both.facts["sql_tcp_port"], "49823");
        assert_eq!(claim(&DETECTOR, &samples()[1]).requester, Some(Side::B));
    }

    #[test]
    fn wants_more() {
        for question in [&b"\x04RTC\0"[..], b"\x02", b"\x03", b"\x0f\x01RTC"] {
            assert_eq!(ask(&DETECTOR, &datagrams(&[question], &[])), Probe::NeedMore);
        }
    }

    #[test]
    fn refuses_neighbours() {
        let mut longer = reply(LIST);
        longer.push(0);
        for other in [longer, reply(b"ServerNam"), b"\x04\x01\x02".to_vec(), b"\x02\x02".to_vec()] {
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
