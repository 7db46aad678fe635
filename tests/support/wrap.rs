//! What can stand between an IP header and its transport: AH, ESP, wrapped ESP, and UDP around them.

use super::wire::{noise, put16, put32};

/// A header (and trailer) around a packet's content.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wrap {
    Ah {
        spi: u32,
        sequence: u32,
    },
    /// `iv` and `icv` are lengths of what is before and behind the content, in bytes.
    EspNull {
        spi: u32,
        sequence: u32,
        iv: usize,
        icv: usize,
    },
    EspSealed {
        spi: u32,
        sequence: u32,
    },
    /// Without encryption; `aligned` puts four bytes more before the ESP header.
    Wesp {
        spi: u32,
        sequence: u32,
        icv: usize,
        aligned: bool,
    },
    /// `marked` puts what stands before wrapped ESP in UDP (RFC 5840 section 2) in front.
    Udp {
        from: u16,
        to: u16,
        marked: bool,
    },
}

impl Wrap {
    /// The header before `body`, and its protocol number.
    pub(crate) fn around(self, next: u8, body: &[u8]) -> (u8, Vec<u8>) {
        let mut bytes = Vec::new();
        match self {
            Self::Ah { spi, sequence } => {
                bytes.extend([next, 4, 0, 0]);
                put32(&mut bytes, spi);
                put32(&mut bytes, sequence);
                bytes.extend(noise(spi ^ sequence, 12));
                bytes.extend(body);
                (51, bytes)
            }
            Self::EspNull { spi, sequence, iv, icv } => {
                put32(&mut bytes, spi);
                put32(&mut bytes, sequence);
                bytes.extend(noise(!sequence, iv));
                put_clear(&mut bytes, next, body, icv, spi ^ sequence);
                (50, bytes)
            }
            Self::EspSealed { spi, sequence } => {
                put32(&mut bytes, spi);
                put32(&mut bytes, sequence);
                // As long as with AES-CBC: a 16-byte vector and whole blocks of 16 bytes.
                let sealed = (body.len() + 2).next_multiple_of(16);
                bytes.extend(noise(spi ^ sequence, 16 + sealed + 12));
                (50, bytes)
            }
            Self::Wesp { spi, sequence, icv, aligned } => {
                let padding = if aligned { 4 } else { 0 };
                bytes.extend([next, 12 + padding, icv as u8, if aligned { 0x10 } else { 0 }]);
                bytes.extend(vec![0; padding.into()]);
                put32(&mut bytes, spi);
                put32(&mut bytes, sequence);
                put_clear(&mut bytes, next, body, icv, spi ^ sequence);
                (WESP, bytes)
            }
            Self::Udp { from, to, marked } => {
                let mark: &[u8] = if marked { &[0, 0, 0, 2] } else { &[] };
                put16(&mut bytes, from);
                put16(&mut bytes, to);
                put16(&mut bytes, (8 + mark.len() + body.len()) as u16);
                put16(&mut bytes, 0);
                bytes.extend(mark);
                bytes.extend(body);
                (UDP, bytes)
            }
        }
    }
}

/// A content that is not encrypted, with the end that ESP gives it.
fn put_clear(bytes: &mut Vec<u8>, next: u8, body: &[u8], icv: usize, seed: u32) {
    let padding = (body.len() + 2).next_multiple_of(4) - body.len() - 2;
    bytes.extend(body);
    bytes.extend(1..=padding as u8);
    bytes.extend([padding as u8, next]);
    bytes.extend(noise(seed, icv));
}

/// Protocol numbers.
const UDP: u8 = 17;
const WESP: u8 = 141;
