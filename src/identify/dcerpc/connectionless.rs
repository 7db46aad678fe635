//! The form of DCE/RPC in datagrams: version 4. C706 chapter 12.5 (the header), 14.1 (its order).
//!
//! ```text
//!  0   1      2       3       4                5   6   7        8        24          40
//! | 4 | type | flags | flags | order and chars | float | 0 | serial | object | interface | activity |
//!  56      60        64       68    70     72     74       76         78               79
//! | boot | version | number | operation | hints | length | fragment | authentication | serial |
//! ```
//!
//! The version, the unused flags, the data representation, the variants of two UUIDs and the length that
//! fills the datagram leave chance less than one in 2^50.

use std::borrow::Cow;

use super::{Order, uuid};
use crate::identify::bytes::Reader;
use crate::identify::sides::{self, Message, SIDES, Seen};
use crate::identify::{Claim, Confidence, Probe, View};

/// The first message of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    sender: Sender,
    interface: Option<Cow<'static, str>>,
}

/// Who sends such a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
    Either,
}

/// Looks at datagrams.
pub(super) fn probe(view: &View<'_>) -> Probe {
    let seen = sides::first_fit(view, read);
    if sides::fitting(&seen).next().is_none() {
        return sides::undecided(&seen);
    }
    let sent = |sender| {
        SIDES.map(|side| seen[side.index()].fits().is_some_and(|head| head.sender == sender))
    };
    let interface = sides::fitting(&seen).find_map(|head| head.interface.clone());
    Probe::Match(
        Claim::new(Confidence::High, "a connectionless header")
            .asked_by(sides::requester(sent(Sender::Client), sent(Sender::Server)))
            .fact("rpc_interface", interface),
    )
}

fn read(message: &Message<'_>) -> Seen<Head> {
    if message.len < HEADER {
        return Seen::Foreign;
    }
    match header(message) {
        Some(seen) => seen,
        None if matches!(message.bytes, [4] | [4, 0..=10, ..]) => message.ran_out(),
        None => Seen::Foreign,
    }
}

/// Reads the header; `None` where it is cut.
fn header(message: &Message<'_>) -> Option<Seen<Head>> {
    let mut reader = Reader::new(message.bytes);
    let version = reader.u8()?;
    let sender = sender(reader.u8()?);
    let flags = (reader.u8()?, reader.u8()?);
    let [order, float, reserved] = reader.array()?;
    let order = Order::of([order, float, reserved, 0]);
    let (Some(sender), Some(order), 4) = (sender, order, version) else {
        return Some(Seen::Foreign);
    };
    if flags.0 & UNUSED.0 != 0 || flags.1 & UNUSED.1 != 0 {
        return Some(Seen::Foreign);
    }
    // The serial number's other half, the object.
    reader.skip(1 + 16)?;
    let interface = uuid(&mut reader, order)?;
    let activity = uuid(&mut reader, order)?;
    // Boot time, version, number, operation, hints.
    reader.skip(4 + 4 + 4 + 2 + 4)?;
    let length = HEADER + usize::from(order.u16(&mut reader)?);
    let _fragment = reader.u16()?;
    let authentication = reader.u8()?;
    let fills = match authentication {
        0 => length == message.len,
        // A verifier stands behind it.
        _ => length < message.len && length + MAX_VERIFIER >= message.len,
    };
    let fits = fills && activity.is_standard && interface.may_be_interface();
    Some(if fits {
        Seen::Fits(Head { sender, interface: Some(interface.named()) })
    } else {
        Seen::Foreign
    })
}

/// Who sends a message of this type (C706, 12.5.1).
fn sender(number: u8) -> Option<Sender> {
    match number {
        // Request, ping, acknowledgement, cancel.
        0 | 1 | 7 | 8 => Some(Sender::Client),
        // Response, fault, working, no call, reject, cancel's acknowledgement.
        2..=6 | 10 => Some(Sender::Server),
        // Acknowledged fragments.
        9 => Some(Sender::Either),
        _ => None,
    }
}

const HEADER: usize = 80;
/// Flags that are reserved for implementations or for later (C706, 12.5.2).
const UNUSED: (u8, u8) = (0x81, 0xfd);
/// Bytes of a verifier: the largest that is known has 16 and a header of 8.
const MAX_VERIFIER: usize = 64;

#[cfg(test)]
pub(in crate::identify) mod tests {
    use super::super::DETECTOR;
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::Sample;
    use crate::identify::craft::{ask, claim, datagrams, hex, snapped, survive};

    const OBJECT: &str = "00000000000000000000000000000000";

    fn call(kind: &str) -> Vec<u8> {
        hex(&format!(
            "04 {kind} 20 00 000000 00 {OBJECT} e1af83085d1f11c991a408002b14a0fa
             35fda900358a12128004001c060b26ed 00000000 00000003 00000001 0003 ffff ffff
             0008 0000 00 00 0102030405060708"
        ))
    }

    fn answer() -> Vec<u8> {
        hex(&format!(
            "04 02 0a 00 100000 00 {OBJECT} 0883afe11f5dc91191a408002b14a0fa
             00a9fd358a3512128004001c060b26ed 00000001 03000000 01000000 0300 ffff ffff
             0400 0000 00 00 01020304"
        ))
    }

    pub(in crate::identify) fn samples() -> Vec<Sample> {
        vec![datagrams(&[&call("00")], &[&answer()]), datagrams(&[&answer()], &[])]
    }

    #[test]
    fn recognises_either_byte_order() {
        let both = claim(&DETECTOR, &samples()[0]);
        assert_eq!((both.confidence, both.requester), (Confidence::High, Some(Side::A)));
        assert_eq!(both.facts["rpc_interface"], "endpoint-mapper");
        let lone = claim(&DETECTOR, &samples()[1]);
        assert_eq!((lone.confidence, lone.requester), (Confidence::High, Some(Side::B)));
        assert_eq!(lone.facts["rpc_interface"], "endpoint-mapper");
    }

    #[test]
    fn a_verifier_may_stand_behind_the_call() {
        let mut signed = call("00");
        signed[78] = 9;
        assert_eq!(ask(&DETECTOR, &datagrams(&[&signed], &[])), Probe::No);
        signed.extend([0; 24]);
        assert_eq!(claim(&DETECTOR, &datagrams(&[&signed], &[])).confidence, Confidence::High);
    }

    #[test]
    fn wants_more() {
        assert_eq!(ask(&DETECTOR, &snapped(&samples()[0], 60)), Probe::NeedMore);
    }

    #[test]
    fn refuses_neighbours() {
        let with = |at: usize, value: u8| {
            let mut out = call("00");
            out[at] = value;
            out
        };
        for other in [
            call("0b"),
            with(0, 5),
            with(2, 0x81),
            with(3, 1),
            with(4, 0x20),
            with(6, 1),
            with(32, 0),
            with(48, 0x1f),
            with(75, 9),
            call("00")[..79].to_vec(),
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
