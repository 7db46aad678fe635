//! File formats: pcap and pcapng, plain or compressed.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::traffic::Traffic;

/// How frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Pcap,
    Pcapng,
    Gzip,
    Zstd,
}

const SNAPLEN: u32 = 262_144;
const ETHERNET: u32 = 1;

impl Form {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Pcap => "pcap",
            Self::Pcapng => "pcapng",
            Self::Gzip => "pcap.gz",
            Self::Zstd => "pcap.zst",
        }
    }

    /// Writes all the traffic; how many frames and captured bytes that was.
    pub(super) fn write(
        self,
        traffic: &mut Traffic,
        out: &mut impl Write,
    ) -> io::Result<(u64, u64)> {
        match self {
            Self::Pcap => pcap(traffic, out),
            Self::Pcapng => pcapng(traffic, out),
            Self::Gzip => {
                let mut packed = GzEncoder::new(out, Compression::default());
                let counts = pcap(traffic, &mut packed)?;
                packed.finish()?;
                Ok(counts)
            }
            Self::Zstd => {
                let mut packed = zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
                let counts = pcap(traffic, &mut packed)?;
                packed.finish()?;
                Ok(counts)
            }
        }
    }
}

/// Hands every frame to `record`, which writes it.
fn each(
    traffic: &mut Traffic,
    mut record: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<(u64, u64)> {
    let mut frame = Vec::new();
    let (mut frames, mut captured) = (0, 0);
    while let Some(time) = traffic.next(&mut frame) {
        record(time, &frame)?;
        frames += 1;
        captured += frame.len() as u64;
    }
    Ok((frames, captured))
}

/// Classic pcap with microseconds (draft-ietf-opsawg-pcap-06).
fn pcap(traffic: &mut Traffic, out: &mut impl Write) -> io::Result<(u64, u64)> {
    for word in [0xA1B2_C3D4, 0x0004_0002, 0, 0, SNAPLEN, ETHERNET] {
        out.write_all(&word.to_le_bytes())?;
    }
    each(traffic, |time, frame| {
        let (seconds, micros) = (time / 1_000_000_000, time / 1000 % 1_000_000);
        let len = frame.len() as u32;
        for word in [seconds as u32, micros as u32, len, len] {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(frame)
    })
}

/// One section with one interface and enhanced packet blocks (draft-ietf-opsawg-pcapng-03, 4).
fn pcapng(traffic: &mut Traffic, out: &mut impl Write) -> io::Result<(u64, u64)> {
    block(out, 0x0A0D_0D0A, &[0x1A2B_3C4D, 1, u32::MAX, u32::MAX], &[])?;
    block(out, 1, &[ETHERNET, SNAPLEN], &[])?;
    each(traffic, |time, frame| {
        let (micros, len) = (time / 1000, frame.len() as u32);
        block(out, 6, &[0, (micros >> 32) as u32, micros as u32, len, len], frame)
    })
}

fn block(out: &mut impl Write, kind: u32, words: &[u32], data: &[u8]) -> io::Result<()> {
    let padding = data.len().next_multiple_of(4) - data.len();
    let total = 12 + 4 * words.len() + data.len() + padding;
    for word in [kind, total as u32].iter().chain(words) {
        out.write_all(&word.to_le_bytes())?;
    }
    out.write_all(data)?;
    out.write_all(&[0; 3][..padding])?;
    out.write_all(&(total as u32).to_le_bytes())
}
