//! DCE/RPC, as Windows services use it. C706 chapter 12, MS-RPCE section 2.2.2.
//!
//! ```text
//!  0   1       2      3       4                5       8             10            12
//! | 5 | minor | type | flags | order and chars | float | 0 | fragment | authentication | call |
//! ```
//!
//! | seen | sure |
//! |---|---|
//! | a bind or alter context, or its answer | high |
//! | calls on one side and answers on the other | high |
//! | calls or answers from the middle, one side | medium |
//! | in datagrams a header of version 4; see `connectionless` | high |
//!
//! Lengths follow the byte order that the fifth byte names. The interface that a bind asks for is
//! kept as a fact. Easily confused with: anything that begins with `05 00`; hence the data
//! representation and both lengths must fit.

mod connectionless;

use std::borrow::Cow;

use super::bytes::Reader;
use super::interfaces;
use super::sides::{self, SIDES, Seen};
use super::{Claim, Confidence, Detector, Probe, View};
use crate::flow::sample::Carrier;

/// DCE/RPC.
pub(super) const DETECTOR: Detector = Detector {
    token: "dcerpc",
    name: "DCE/RPC",
    reference: "C706, MS-RPCE",
    carriers: &[(Carrier::Stream, &[5..=5]), (Carrier::Datagrams, &[4..=4])],
    carried_after: &[],
    probe,
};

/// The first fragment of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    kind: Kind,
    interface: Option<Cow<'static, str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Bind, alter context.
    Opens,
    /// The answers to them.
    Opened,
    /// Request, cancel, authentication, orphaned.
    Calls,
    /// Response, fault, shutdown.
    Answers,
}

fn probe(view: &View<'_>) -> Probe {
    match view.carrier() {
        Carrier::Stream => probe_streams(view),
        Carrier::Datagrams => connectionless::probe(view),
    }
}

fn probe_streams(view: &View<'_>) -> Probe {
    let seen = sides::streams(view, read);
    let has = |kinds: [Kind; 2]| {
        SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| kinds.contains(&head.kind)))
    };
    let asked = has([Kind::Opens, Kind::Calls]);
    let answered = has([Kind::Opened, Kind::Answers]);
    let opened = has([Kind::Opens, Kind::Opened]);
    let claim = if opened.contains(&true) {
        Claim::new(Confidence::High, "a bind")
    } else if asked.contains(&true) && answered.contains(&true) {
        Claim::new(Confidence::High, "calls and answers")
    } else if asked.contains(&true) || answered.contains(&true) {
        Claim::new(Confidence::Medium, "calls from the middle")
    } else {
        return sides::undecided(&seen);
    };
    let interface = seen.iter().filter_map(Seen::fits).find_map(|head| head.interface.clone());
    Probe::Match(claim.asked_by(sides::requester(asked, answered)).fact("rpc_interface", interface))
}

fn read(bytes: &[u8]) -> Seen<Head> {
    let mut reader = Reader::new(bytes);
    match header(&mut reader) {
        Some(Seen::Fits((kind, order))) => Seen::Fits(Head {
            kind,
            interface: match kind {
                Kind::Opens => interface(reader, order),
                _ => None,
            },
        }),
        // The version alone would keep every stream that begins with 5 in suspense.
        None if matches!(bytes, [5] | [5, 0 | 1, ..]) => Seen::Short,
        _ => Seen::Foreign,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Big,
    Little,
}

impl Order {
    /// The order that a data representation names (C706, 14.1).
    fn of(representation: [u8; 4]) -> Option<Self> {
        match representation {
            [0x00 | 0x01, 0..=3, 0, 0] => Some(Self::Big),
            [0x10 | 0x11, 0..=3, 0, 0] => Some(Self::Little),
            _ => None,
        }
    }

    fn u16(self, reader: &mut Reader<'_>) -> Option<u16> {
        match self {
            Self::Big => reader.u16(),
            Self::Little => reader.u16_le(),
        }
    }
}

/// Reads the header of a fragment; `None` where it is cut.
fn header(reader: &mut Reader<'_>) -> Option<Seen<(Kind, Order)>> {
    let version = (reader.u8()?, reader.u8()?);
    let kind = kind(reader.u8()?);
    let _flags = reader.u8()?;
    let Some(order) = Order::of(reader.array()?) else {
        return Some(Seen::Foreign);
    };
    let fragment = order.u16(reader)?;
    let authentication = order.u16(reader)?;
    reader.skip(4)?;
    let least = match (kind, authentication) {
        (Some(Kind::Opens), 0) => LEAST_BIND,
        (_, 0) => HEADER,
        (_, bytes) => HEADER + 8 + usize::from(bytes),
    };
    let fits = matches!(version, (5, 0 | 1)) && usize::from(fragment) >= least;
    Some(match kind {
        Some(kind) if fits => Seen::Fits((kind, order)),
        _ => Seen::Foreign,
    })
}

fn kind(number: u8) -> Option<Kind> {
    match number {
        0 | 16 | 18 | 19 => Some(Kind::Calls),
        2 | 3 | 17 => Some(Kind::Answers),
        11 | 14 => Some(Kind::Opens),
        12 | 13 | 15 => Some(Kind::Opened),
        _ => None,
    }
}

/// The interface of a bind's first context, by name where it is well known.
fn interface(mut reader: Reader<'_>, order: Order) -> Option<Cow<'static, str>> {
    // Fragment sizes (4), association (4), count and padding (4), context (2), syntaxes (2).
    reader.skip(4 + 4 + 4 + 2 + 2)?;
    Some(uuid(&mut reader, order)?.named())
}

/// An identifier of an interface or an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Uuid {
    text: (u32, u16, u16, u16, u64),
    /// Whether its variant is the one that DCE made (C706, appendix A), or Microsoft's.
    is_standard: bool,
}

impl Uuid {
    /// Whether it may name an interface: some of Windows' own are of no variant.
    fn may_be_interface(self) -> bool {
        self.is_standard || matches!(self.named(), Cow::Borrowed(_))
    }

    /// Its name where it is well known, else its digits.
    fn named(self) -> Cow<'static, str> {
        let (first, second, third, fourth, node) = self.text;
        interfaces::named(format!("{first:08x}-{second:04x}-{third:04x}-{fourth:04x}-{node:012x}"))
    }
}

/// Reads an identifier, whose first three fields follow the byte order (C706, appendix A).
fn uuid(reader: &mut Reader<'_>, order: Order) -> Option<Uuid> {
    let (first, second, third) = match order {
        Order::Big => (reader.u32()?, reader.u16()?, reader.u16()?),
        Order::Little => (reader.u32()?.swap_bytes(), reader.u16_le()?, reader.u16_le()?),
    };
    let fourth = reader.u16()?;
    let node = u64::from(reader.u16()?) << 32 | u64::from(reader.u32()?);
    let is_standard = matches!(fourth >> 13, 0b100..=0b110);
    Some(Uuid { text: (first, second, third, fourth, node), is_standard })
}

const HEADER: usize = 16;
/// A bind with one context and one transfer syntax.
const LEAST_BIND: usize = 72;

#[cfg(test)]
pub(super) mod tests {
    use super::super::craft::{ask, claim, hex, stream, survive};
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;

    fn bind() -> Vec<u8> {
        hex("05 00 0b 03 10000000 4800 0000 01000000
             b810 b810 00000000 01000000 0000 0100
             0883afe1 1f5d c911 91a4 08002b14a0fa 0300 0000
             045d888a eb1c c911 9fe8 08002b104860 02000000")
    }

    fn accepted() -> Vec<u8> {
        hex("05 00 0c 03 10000000 3c00 0000 01000000 b810 b810 00000000")
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        let call = hex("05 00 00 03 10000000 2800 0000 02000000 10000000 0000 0300");
        let answer = hex("05 00 02 03 10000000 2800 0000 02000000 10000000 0000 0000");
        vec![
            stream(&bind(), &accepted()),
            stream(&answer, &call),
            stream(&call, b""),
            stream(&hex("05 00 0b 03 00000000 0048 0000 00000001 10b8 10b8"), b""),
        ]
        .into_iter()
        .chain(connectionless::tests::samples())
        .collect()
    }

    #[test]
    fn recognises() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!(both.confidence, Confidence::High);
        assert_eq!(both.requester, Some(Side::A));
        assert_eq!(both.facts["rpc_interface"], "endpoint-mapper");

        let middle = claim(&DETECTOR, &samples()[1]);
        assert_eq!(middle.confidence, Confidence::High);
        assert_eq!(middle.requester, Some(Side::B));

        assert_eq!(claim(&DETECTOR, &samples()[2]).confidence, Confidence::Medium);
        assert_eq!(claim(&DETECTOR, &samples()[3]).confidence, Confidence::High);
    }

    #[test]
    fn an_unknown_interface_is_spelled_out() {
        let mut other = bind();
        other[32] ^= 0xff;
        let claim = claim(&DETECTOR, &stream(&other, b""));
        assert_eq!(claim.facts["rpc_interface"], "e1af83f7-5d1f-11c9-91a4-08002b14a0fa");
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &stream(&bind()[..9], b"")), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        for other in [
            hex("05 01 00 03 20000000 4800 0000 01000000"),
            hex("05 00 0b 03 10000000 1000 0000 01000000"),
            hex("05 00 07 03 10000000 4800 0000 01000000"),
            hex("05 00 00 03 10000000 2800 3000 01000000"),
            // SOCKS 5: version, methods; then a request.
            hex("05 02 00 02"),
            hex("05 01 00 01 0a000105 01bb 0000 00000000"),
        ] {
            assert_eq!(ask(&DETECTOR, &stream(&other, b"")), Probe::No, "{other:x?}");
        }
    }

    #[test]
    fn survives_truncation() {
        for sample in samples() {
            survive(&DETECTOR, &sample);
        }
    }
}
