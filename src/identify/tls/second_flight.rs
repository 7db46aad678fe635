//! Whether the client showed a certificate of its own: mutual TLS. RFC 5246 sections 7.3 and 7.4.6,
//! RFC 6101 section 5.6.6.
//!
//! Up to TLS 1.2 the client's second flight is in clear, and its first message decides:
//!
//! | second flight of the client | meaning | fact |
//! |---|---|---|
//! | `16 03 0x` length `0b`, more than an empty list | it has a certificate | `seen` |
//! | `16 03 0x` length `0b 00 00 03` | it was asked and has none | `declined` |
//! | `15 03 00 00 02 01 29` | the same in SSL 3.0 | `declined` |
//! | `16 03 0x` length `10` | it was not asked | `not-requested` |
//! | `14 03 0x` | an earlier session goes on | `not-observable` |
//! | `17 03 0x`, a second hello | TLS 1.3 hides the rest | `not-observable` |
//!
//! A server may ask later, by a new handshake inside the connection. Then the client sends a
//! protected hello, which is longer than anything else that it sends as a handshake message, and
//! what it showed is hidden.
//!
//! The sample keeps the first bytes of each packet, so the flight is found by its place in the
//! stream: behind the hello, whatever the packets in between.

use crate::flow::sample::Piece;
use crate::identify::bytes::Reader;

/// What is known of the client's certificate. `pieces` are the client's packets, the first of them
/// in the order of the stream begins with its hello; `chosen` is the version that the server chose.
pub(super) fn told(pieces: &[Piece<'_>], stream: &[u8], chosen: Option<u16>) -> &'static str {
    if chosen.is_some_and(|version| version > TLS_1_2) {
        return NOT_OBSERVABLE;
    }
    let stretch = Stretch::of(pieces);
    let Some(flight) = hello_length(stream) else {
        return NOT_OBSERVABLE;
    };
    let Some([kind, 3, 0..=3, _, _, message]) = stretch.at(flight) else {
        return NOT_OBSERVABLE;
    };
    match (kind, message) {
        (HANDSHAKE, CERTIFICATE) => match stretch.at(flight + SIZE_AT) {
            // The list's own length and nothing in it.
            Some([0, 0, 3]) => DECLINED,
            Some([0, 0, 0..=2]) | None => NOT_OBSERVABLE,
            Some(_) => SEEN,
        },
        (ALERT, WARNING) if stretch.at(flight + SIZE_AT) == Some([NO_CERTIFICATE]) => DECLINED,
        (HANDSHAKE, CLIENT_KEY_EXCHANGE) if stretch.hello_after(flight) => NOT_OBSERVABLE,
        (HANDSHAKE, CLIENT_KEY_EXCHANGE) => NOT_REQUESTED,
        _ => NOT_OBSERVABLE,
    }
}

/// How many bytes of the stream the client's hello takes; `None` when it does not fill its record.
fn hello_length(stream: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(stream);
    if let Some(0x80..) = stream.first() {
        return Some(2 + usize::from(reader.u16()? & 0x7fff));
    }
    reader.skip(3)?;
    let record = usize::from(reader.u16()?);
    reader.skip(1)?;
    let size = reader.u24()? as usize;
    (size + 4 == record).then_some(5 + record)
}

/// The packets of one side, read by their place in its stream.
#[derive(Debug, Clone, Copy)]
struct Stretch<'v> {
    pieces: &'v [Piece<'v>],
    /// The sequence number of the first byte.
    start: u32,
}

impl<'v> Stretch<'v> {
    fn of(pieces: &'v [Piece<'v>]) -> Self {
        let base = pieces.first().map_or(0, |piece| piece.sequence);
        // Distances are signed and wrap, as where the stream is put together.
        let distance = |piece: &Piece<'_>| piece.sequence.wrapping_sub(base).cast_signed();
        let start = pieces.iter().min_by_key(|piece| distance(piece));
        Self { pieces, start: start.map_or(0, |piece| piece.sequence) }
    }

    /// `N` bytes at a place, from whatever packets hold them.
    fn at<const N: usize>(&self, place: usize) -> Option<[u8; N]> {
        let mut out = [0; N];
        for (position, byte) in out.iter_mut().enumerate() {
            *byte = self.byte(place + position)?;
        }
        Some(out)
    }

    fn byte(&self, place: usize) -> Option<u8> {
        let sequence = self.start.wrapping_add(u32::try_from(place).ok()?);
        self.pieces.iter().find_map(|piece| {
            piece.bytes.get(sequence.wrapping_sub(piece.sequence) as usize).copied()
        })
    }

    /// Whether a packet behind `place` begins with a protected message as long as a hello.
    fn hello_after(&self, place: usize) -> bool {
        self.pieces.iter().any(|piece| {
            let behind = piece.sequence.wrapping_sub(self.start) as usize;
            let hello = match *piece.bytes {
                [HANDSHAKE, 3, 0..=3, high, low, ..] => {
                    u16::from_be_bytes([high, low]) >= MIN_PROTECTED_HELLO
                }
                _ => false,
            };
            hello && behind > place && behind < 1 << 31
        })
    }
}

/// The client showed a certificate.
const SEEN: &str = "seen";
/// It was asked for one and showed none.
const DECLINED: &str = "declined";
/// It was not asked.
const NOT_REQUESTED: &str = "not-requested";
/// The handshake is hidden or was not captured.
pub(super) const NOT_OBSERVABLE: &str = "not-observable";

const TLS_1_2: u16 = 0x0303;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const CERTIFICATE: u8 = 11;
const CLIENT_KEY_EXCHANGE: u8 = 16;
const WARNING: u8 = 1;
const NO_CERTIFICATE: u8 = 41;
/// Where the size of the first message stands in a record, and what an alert is about.
const SIZE_AT: usize = 6;
/// A protected Finished is 32 to 80 bytes long, a protected hello well above 100.
const MIN_PROTECTED_HELLO: u16 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::key::Side;
    use crate::flow::sample::{Carrier, Heard, Sample};
    use crate::identify::craft::hex;

    const START: u32 = 0xffff_ff80;

    /// A client's hello of 200 bytes in its record.
    fn hello() -> Vec<u8> {
        let mut hello = hex("16 0301 00c3 01 0000bf 0303");
        hello.resize(200, 7);
        hello
    }

    /// Packets of the client as (offset, bytes) in capture order.
    fn said(packets: &[(u32, &[u8])], chosen: Option<u16>) -> &'static str {
        let mut sample = Sample::new(Carrier::Stream);
        for (offset, bytes) in packets {
            let piece = Piece {
                sequence: START.wrapping_add(*offset),
                wire_len: bytes.len() as u32,
                bytes,
            };
            sample.push(Side::A, &piece);
        }
        let [a, _] = Heard::from(&sample).said;
        told(a.pieces(), &a.stream(), chosen)
    }

    fn flight(digits: &str) -> &'static str {
        let mut second = hex(digits);
        second.resize(second.len().max(1200), 9);
        said(&[(0, &hello()), (200, &second)], Some(0x0303))
    }

    #[test]
    fn the_first_message_of_the_second_flight_decides() {
        assert_eq!(flight("16 0303 03f8 0b 0003f4 0003f1"), "seen");
        assert_eq!(flight("16 0303 0007 0b 000003 000000 16 0303 0046 10"), "declined");
        assert_eq!(flight("15 0300 0002 01 29"), "declined");
        assert_eq!(flight("16 0303 0046 10 000042"), "not-requested");
        assert_eq!(flight("14 0303 0001 01 16 0303 0028"), "not-observable");
        assert_eq!(flight("17 0303 0045"), "not-observable");
        assert_eq!(flight("15 0303 0002 02 28"), "not-observable");
        assert_eq!(flight("16 0301 0200 01 0001fc"), "not-observable");
        assert_eq!(flight("16 0303 0006 0b 000002 0000"), "not-observable");
    }

    #[test]
    fn nothing_is_said_of_what_is_hidden_or_missing() {
        let key = hex("16 0303 0046 10 000042");
        assert_eq!(said(&[(0, &hello()), (200, &key)], Some(0x0304)), "not-observable");
        assert_eq!(said(&[(0, &hello())], Some(0x0303)), "not-observable");
        assert_eq!(said(&[(0, &hello()), (201, &key)], Some(0x0303)), "not-observable");
        assert_eq!(said(&[(0, &hello()), (200, &key[..5])], Some(0x0303)), "not-observable");
        assert_eq!(said(&[], None), "not-observable");
    }

    #[test]
    fn the_order_and_the_number_of_packets_do_not_matter() {
        let (hello, key) = (hello(), hex("16 0303 0046 10 000042 41"));
        let (head, tail) = hello.split_at(150);
        for packets in [
            vec![(0, head), (150, tail), (200, &key[..])],
            vec![(200, &key[..]), (150, tail), (0, head)],
            vec![(0, &hello[..]), (0, &hello[..]), (200, &key[..])],
            vec![(0, &hello[..]), (200, &key[..3]), (203, &key[3..])],
            vec![(0, head), (150, tail), (150, tail), (200, &key[..]), (200, &key[..])],
        ] {
            assert_eq!(said(&packets, None), "not-requested", "{packets:x?}");
        }
        let both = [hello.clone(), key].concat();
        assert_eq!(said(&[(0, &both)], None), "not-requested");
    }

    #[test]
    fn a_hello_larger_than_a_packet_is_stepped_over() {
        let mut hello = hex("16 0301 0700 01 0006fc 0303");
        hello.resize(0x705, 7);
        let (head, tail) = hello.split_at(1460);
        let certificate = [&hex("16 0303 03f8 0b 0003f4")[..], &[3; 1000]].concat();
        let packets = [(0, head), (1460, tail), (0x705, &certificate[..])];
        assert_eq!(said(&packets, Some(0x0303)), "seen");
    }

    #[test]
    fn the_old_hello_has_a_second_flight_as_well() {
        let mut old = hex("802e 01 0301");
        old.resize(48, 7);
        assert_eq!(said(&[(0, &old), (48, &hex("16 0301 0086 10 000082"))], None), "not-requested");
    }

    #[test]
    fn a_second_handshake_may_show_what_the_first_did_not() {
        let key = hex("16 0303 0046 10 000042");
        let finished = hex("16 0303 0028 00");
        let again = hex("16 0303 00e0 5f");
        let at = |more: &[u8]| said(&[(0, &hello()), (200, &key), (350, more)], Some(0x0303));
        assert_eq!(at(&finished), "not-requested");
        assert_eq!(at(&again), "not-observable");
    }
}
