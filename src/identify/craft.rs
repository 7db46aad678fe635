//! Samples for the tests of this room, and the checks that every detector passes.

use super::{Claim, Detector, Probe, View};
use crate::flow::key::Side;
use crate::flow::sample::{Carrier, Heard, Piece, Sample};

/// Bytes written as hexadecimal digits, blanks ignored.
pub(super) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| char::from(b).to_digit(16).expect("hexadecimal digit") as u8)
        .collect();
    assert_eq!(digits.len() % 2, 0, "half a byte");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// A stream sample; an empty side is silent.
pub(super) fn stream(a: &[u8], b: &[u8]) -> Sample {
    let mut sample = Sample::new(Carrier::Stream);
    sample.push(Side::A, &Piece { sequence: 1000, bytes: a, wire_len: a.len() as u32 });
    sample.push(Side::B, &Piece { sequence: 5000, bytes: b, wire_len: b.len() as u32 });
    sample
}

/// A stream sample of packets in the order in which they were sent.
pub(super) fn dialogue(packets: &[(Side, &[u8])]) -> Sample {
    let mut sample = Sample::new(Carrier::Stream);
    let mut sequences = [1000, 5000];
    for (side, bytes) in packets {
        let sequence = &mut sequences[side.index()];
        sample.push(*side, &Piece { sequence: *sequence, bytes, wire_len: bytes.len() as u32 });
        *sequence += bytes.len() as u32;
    }
    sample
}

/// A hello of a TLS client with two suites, as it stands behind a change of protocol.
pub(super) fn hello() -> Vec<u8> {
    let mut out = hex("16 0301 002f 01 00002b 0303");
    out.extend([0x5a; 32]);
    out.extend(hex("00 0004 1301 c02f 01 00"));
    out
}

/// A datagram sample.
pub(super) fn datagrams(a: &[&[u8]], b: &[&[u8]]) -> Sample {
    let mut sample = Sample::new(Carrier::Datagrams);
    for (side, payloads) in [(Side::A, a), (Side::B, b)] {
        for payload in payloads {
            sample
                .push(side, &Piece { sequence: 0, bytes: payload, wire_len: payload.len() as u32 });
        }
    }
    sample
}

/// What a detector says of a sample.
pub(super) fn ask(detector: &Detector, sample: &Sample) -> Probe {
    (detector.probe)(&View::of(sample))
}

/// The claim of a detector that must match.
pub(super) fn claim(detector: &Detector, sample: &Sample) -> Claim {
    match ask(detector, sample) {
        Probe::Match(claim) => claim,
        other => panic!("{} says {other:?}", detector.token),
    }
}

/// Whether the detector matches.
pub(super) fn matches(detector: &Detector, sample: &Sample) -> bool {
    matches!(ask(detector, sample), Probe::Match(_))
}

/// Asks the detector about every cut and about flipped bits of `sample`. It must not panic, and a
/// cut must not make it surer than the whole.
pub(super) fn survive(detector: &Detector, sample: &Sample) {
    let whole = claim(detector, sample).confidence;
    let longest = [Side::A, Side::B]
        .into_iter()
        .flat_map(|side| Heard::from(sample).said[side.index()].pieces().to_vec())
        .map(|piece| piece.bytes.len())
        .max()
        .unwrap_or(0);
    for len in 0..longest {
        for cut in [snapped(sample, len), shortened(sample, len)] {
            if let Probe::Match(claim) = ask(detector, &cut) {
                assert!(claim.confidence <= whole, "surer when cut at {len}");
            }
        }
        for bit in 0..8 {
            let changed = rebuilt(sample, |bytes, wire_len| {
                let mut bytes = bytes.to_vec();
                if let Some(byte) = bytes.get_mut(len) {
                    *byte ^= 1 << bit;
                }
                (bytes, wire_len)
            });
            let _ = ask(detector, &changed);
        }
    }
}

/// The sample as a snap length leaves it: bytes missing, the lengths on the wire known.
pub(super) fn snapped(sample: &Sample, len: usize) -> Sample {
    rebuilt(sample, |bytes, wire_len| (bytes[..len.min(bytes.len())].to_vec(), wire_len))
}

/// The sample with shorter packets.
pub(super) fn shortened(sample: &Sample, len: usize) -> Sample {
    rebuilt(sample, |bytes, _| {
        let bytes = &bytes[..len.min(bytes.len())];
        (bytes.to_vec(), bytes.len() as u32)
    })
}

/// The sample with each packet's bytes and length changed.
pub(super) fn rebuilt(sample: &Sample, change: impl Fn(&[u8], u32) -> (Vec<u8>, u32)) -> Sample {
    let mut out = Sample::new(sample.carrier());
    for side in [Side::A, Side::B] {
        for &piece in Heard::from(sample).said[side.index()].pieces() {
            let (bytes, wire_len) = change(piece.bytes, piece.wire_len);
            out.push(side, &Piece { bytes: &bytes, wire_len, ..piece });
        }
    }
    out
}
