//! Synthetic captures, the same bytes for the same seed: what the benchmarks read.

use std::io::{self, Write};

/// The shapes of traffic that stress different parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Sessions of mixed sizes, RTP, DNS: what a site looks like.
    Imix,
    /// Minimum-size packets: header decoding and the flow table.
    Small,
    /// Full-size packets: copying.
    Large,
    /// A new flow every few packets: the flow table and memory.
    ManyFlows,
}

impl Mix {
    pub(crate) const ALL: [Self; 4] = [Self::Imix, Self::Small, Self::Large, Self::ManyFlows];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Imix => "imix",
            Self::Small => "small",
            Self::Large => "large",
            Self::ManyFlows => "many-flows",
        }
    }

    /// Flows alive at a time per gigabyte written.
    fn flows(self) -> u64 {
        match self {
            Self::Imix | Self::Small => 100_000,
            Self::Large => 20_000,
            Self::ManyFlows => 2_000_000,
        }
    }

    fn payload_len(self, random: &mut Random) -> usize {
        match self {
            Self::Imix => [0, 0, 26, 172, 172, 172, 536, 1400][random.below(8) as usize],
            Self::Small => random.below(20) as usize,
            Self::Large => 1000 + random.below(400) as usize,
            Self::ManyFlows => random.below(40) as usize,
        }
    }
}

/// A xorshift generator: the bytes need no quality, only to be the same each time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// Writes a pcap of about `bytes` bytes and says how many packets it holds.
pub(crate) fn write_pcap(out: &mut dyn Write, mix: Mix, bytes: u64) -> io::Result<u64> {
    let mut random = Random::new(mix as u64 + 1);
    let flows = (mix.flows() * bytes / (1 << 30)).max(100);
    let mut header = Vec::new();
    for word in [0xA1B2_C3D4_u32, 0x0004_0002, 0, 0, 262_144, 1] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    out.write_all(&header)?;
    let noise: Vec<u8> = (0..4096).map(|_| random.next() as u8).collect();
    let (mut written, mut packets, mut micros) = (0, 0, 0_u64);
    let mut record = Vec::with_capacity(2048);
    while written < bytes {
        let flow = random.below(flows);
        let len = mix.payload_len(&mut random);
        let at = random.below(2048) as usize;
        record.clear();
        micros += 1 + random.below(6);
        packet(&mut record, flow, packets, &noise[at..at + len], micros);
        out.write_all(&record)?;
        written += record.len() as u64;
        packets += 1;
    }
    Ok(packets)
}

/// One record: a packet of the flow, in a direction that alternates.
fn packet(out: &mut Vec<u8>, flow: u64, serial: u64, payload: &[u8], micros: u64) {
    let udp = flow % 10 < 4;
    let backward = serial % 2 == 1;
    let client = [10, 20, (flow >> 8) as u8, flow as u8];
    let server = [10, 1, 0, (flow % 20) as u8];
    let client_port = 1024 + ((flow >> 4) % 60_000) as u16;
    let server_port = match (udp, flow % 7) {
        (true, n) => 49_152 + (n as u16) * 400,
        (false, 0) => 5061,
        (false, 1) => 443,
        (false, 2) => 444,
        (false, n) => 5062 + n as u16,
    };
    let transport_len = payload.len() + if udp { 8 } else { 20 };
    let len = 14 + 20 + transport_len;
    for word in [(micros / 1_000_000) as u32 + 1_700_000_000, (micros % 1_000_000) as u32] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&(len as u32).to_le_bytes());
    out.extend_from_slice(&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0]);
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&((20 + transport_len) as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, 0, 64, if udp { 17 } else { 6 }, 0, 0]);
    let (from, to) = if backward { (server, client) } else { (client, server) };
    out.extend_from_slice(&from);
    out.extend_from_slice(&to);
    let (from, to) = if backward { (server_port, client_port) } else { (client_port, server_port) };
    out.extend_from_slice(&from.to_be_bytes());
    out.extend_from_slice(&to.to_be_bytes());
    if udp {
        out.extend_from_slice(&(transport_len as u16).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
    } else {
        out.extend_from_slice(&(serial as u32).to_be_bytes());
        out.extend_from_slice(&1_u32.to_be_bytes());
        out.extend_from_slice(&[0x50, 0x18, 0xFF, 0xFF, 0, 0, 0, 0]);
    }
    out.extend_from_slice(payload);
}
