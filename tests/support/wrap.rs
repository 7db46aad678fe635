//! What can stand between an IP header and its transport: AH, ESP, and UDP around ESP.

use super::wire::{noise, put16, put32};

/// A header (and trailer) around a packet's content.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wrap {
    Ah { spi: u32, sequence: u32 },
    EspNull { spi: u32, sequence: u32 },
    EspSealed { spi: u32, sequence: u32 },
    Udp { from: u16, to: u16 },
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
            Self::EspNull { spi, sequence } | Self::EspSealed { spi, sequence } => {
                put32(&mut bytes, spi);
                put32(&mut bytes, sequence);
                let padding = (body.len() + 2).next_multiple_of(4) - body.len() - 2;
                if matches!(self, Self::EspNull { .. }) {
                    bytes.extend(body);
                    bytes.extend(1..=padding as u8);
                    bytes.extend([padding as u8, next]);
                    bytes.extend(noise(spi ^ sequence, 12));
                } else {
                    // As long as with AES-CBC: a 16-byte vector and whole blocks of 16 bytes.
                    let sealed = (body.len() + 2).next_multiple_of(16);
                    bytes.extend(noise(spi ^ sequence, 16 + sealed + 12));
                }
                (50, bytes)
            }
            Self::Udp { from, to } => {
                put16(&mut bytes, from);
                put16(&mut bytes, to);
                put16(&mut bytes, (8 + body.len()) as u16);
                put16(&mut bytes, 0);
                bytes.extend(body);
                (UDP, bytes)
            }
        }
    }
}

/// The protocol number of UDP.
const UDP: u8 = 17;
