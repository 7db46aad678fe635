//! Room 1: where frames come from. Files, standard input and interfaces become [`Frame`]s.
//!
//! In: a path or an interface. Out: link-layer bytes with their time, link type and original
//! length. This room knows nothing about protocols. Read [`savefile`] first.

pub mod chronology;
mod dlt;
pub mod filter;
mod link_names;
pub mod live;
pub mod notes;
pub mod savefile;
pub mod sources;
pub mod unpack;

use chronology::Chronology;
use notes::Notes;
use std::collections::BTreeSet;

/// A point in time in nanoseconds since 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// A link-layer header type, numbered as in the tcpdump group's LINKTYPE registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

impl LinkType {
    /// BSD loopback: four bytes of address family in the byte order of the capturing host.
    pub const NULL: Self = Self(0);
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// IEEE 802.5 token ring.
    pub const TOKEN_RING: Self = Self(6);
    /// Serial line IP with a pseudo header.
    pub const SLIP: Self = Self(8);
    /// PPP, with or without HDLC framing.
    pub const PPP: Self = Self(9);
    /// FDDI.
    pub const FDDI: Self = Self(10);
    /// Raw IP, the number some systems write.
    pub const RAW_BSD: Self = Self(12);
    /// Raw IP, the number other systems write.
    pub const RAW_OPENBSD: Self = Self(14);
    /// A serial line: PPP in HDLC framing, or Cisco HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// PPP over Ethernet without the Ethernet header.
    pub const PPP_ETHER: Self = Self(51);
    /// LLC over ATM.
    pub const ATM_RFC1483: Self = Self(100);
    /// Raw IP: version 4 or 6 by its first nibble.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// IEEE 802.11.
    pub const WLAN: Self = Self(105);
    /// Classical IP over ATM, as Linux shows it.
    pub const ATM_CLIP: Self = Self(106);
    /// Frame Relay.
    pub const FRELAY: Self = Self(107);
    /// OpenBSD loopback: four bytes of address family in network byte order.
    pub const LOOP: Self = Self(108);
    /// OpenBSD's view into IPsec.
    pub const ENC: Self = Self(109);
    /// Linux cooked capture, version 1.
    pub const LINUX_SLL: Self = Self(113);
    /// Log of the BSDs' packet filter.
    pub const PFLOG: Self = Self(117);
    /// IEEE 802.11 behind a Prism header.
    pub const PRISM: Self = Self(119);
    /// IP over Fibre Channel.
    pub const FIBRE_CHANNEL: Self = Self(122);
    /// IEEE 802.11 behind a radiotap header.
    pub const RADIOTAP: Self = Self(127);
    /// IP over FireWire, as macOS shows it.
    pub const FIREWIRE: Self = Self(138);
    /// pktap, with the number that macOS writes.
    pub const PKTAP_DARWIN: Self = Self(149);
    /// IEEE 802.11 behind an AVS header.
    pub const AVS: Self = Self(163);
    /// PPP with a direction in place of the HDLC address.
    pub const PPP_PPPD: Self = Self(166);
    /// Per-packet information, mostly before IEEE 802.11.
    pub const PPI: Self = Self(192);
    /// PPP behind a byte of direction.
    pub const PPP_WITH_DIR: Self = Self(204);
    /// MPLS, from the first label on.
    pub const MPLS: Self = Self(219);
    /// Solaris ipnet.
    pub const IPNET: Self = Self(226);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux netfilter log.
    pub const NFLOG: Self = Self(239);
    /// Ethernet from a netANALYZER tap.
    pub const NETANALYZER: Self = Self(240);
    /// Ethernet with preamble from a netANALYZER tap.
    pub const NETANALYZER_TRANSPARENT: Self = Self(241);
    /// IP over InfiniBand.
    pub const IPOIB: Self = Self(242);
    /// pktap: macOS tells process and interface of each packet.
    pub const PKTAP: Self = Self(258);
    /// Ethernet with preamble and a delimiter that tells of preemption.
    pub const ETHERNET_PREAMBLE: Self = Self(274);
    /// Linux cooked capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);
}

/// One frame as captured. It borrows the reader's buffer.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Its number in its capture, from 1, as Wireshark counts.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// What kind of header the bytes begin with.
    pub link_type: LinkType,
    /// The captured bytes.
    pub data: &'a [u8],
    /// Its length on the wire; larger than `data.len()` when the snaplen cut it.
    pub original_len: u32,
}

/// The file format of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Classic pcap.
    Pcap,
    /// pcapng.
    Pcapng,
    /// A network interface.
    Live,
}

impl Format {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Pcap => "pcap",
            Self::Pcapng => "pcapng",
            Self::Live => "live",
        }
    }
}

/// How a capture was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
    /// LZ4 in its frame format.
    Lz4,
    /// xz.
    Xz,
}

impl Compression {
    /// The stable name used in machine output.
    pub fn token(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Xz => "xz",
        }
    }

    /// The name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "Zstandard",
            Self::Lz4 => "LZ4",
            Self::Xz => "xz",
        }
    }
}

/// The longest frame that common equipment sends, in bytes: a jumbo frame of 9,216 bytes with
/// addresses, EtherType and two VLAN tags, and some room for the headers of a mirror.
pub const LONGEST_ON_THE_WIRE: u32 = 9_300;

/// What one capture held, counted while reading. Adding two tallies of adjacent parts gives the
/// tally of the whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames read, decoded or not.
    pub frames: u64,
    /// Sum of the captured lengths in bytes.
    pub captured_bytes: u64,
    /// Sum of the original lengths in bytes.
    pub wire_bytes: u64,
    /// The earliest frame time.
    pub first: Option<Timestamp>,
    /// The latest frame time.
    pub last: Option<Timestamp>,
    /// Link types met.
    pub link_types: BTreeSet<LinkType>,
    /// The link type of the latest frame, which is mostly that of the next one.
    pub latest_link_type: Option<LinkType>,
    /// Whether the frames come in the order of their times.
    pub chronology: Chronology,
    /// Frames shorter than on the wire.
    pub truncated_frames: u64,
    /// Frames longer than any Ethernet carries, [`LONGEST_ON_THE_WIRE`]: a network card was left to
    /// cut them, or has put them together.
    pub giant_frames: u64,
    /// Frames that the BPF filter left out of the analysis.
    pub filtered_out: u64,
    /// Frames the capturing system's statistics say it lost, where there are any.
    pub dropped_by_capture: Option<u64>,
    /// What the capture says beside its frames.
    pub notes: Notes,
}

impl Tally {
    /// Counts one frame.
    pub fn count(&mut self, frame: &Frame<'_>) {
        self.frames += 1;
        self.captured_bytes += frame.data.len() as u64;
        self.wire_bytes += u64::from(frame.original_len);
        self.first = Some(self.first.map_or(frame.time, |t| t.min(frame.time)));
        self.last = Some(self.last.map_or(frame.time, |t| t.max(frame.time)));
        self.chronology.next(frame.time);
        self.giant_frames += u64::from(frame.original_len > LONGEST_ON_THE_WIRE);
        if self.latest_link_type != Some(frame.link_type) {
            self.latest_link_type = Some(frame.link_type);
            self.link_types.insert(frame.link_type);
        }
        self.truncated_frames +=
            u64::from((frame.data.len() as u64) < u64::from(frame.original_len));
    }

    /// Adds the tally of the part that follows.
    pub fn merge(&mut self, next: &Self) {
        self.frames += next.frames;
        self.captured_bytes += next.captured_bytes;
        self.wire_bytes += next.wire_bytes;
        self.first = [self.first, next.first].into_iter().flatten().min();
        self.last = [self.last, next.last].into_iter().flatten().max();
        self.link_types.extend(next.link_types.iter().copied());
        self.latest_link_type = next.latest_link_type.or(self.latest_link_type);
        self.chronology.join(&next.chronology);
        self.truncated_frames += next.truncated_frames;
        self.giant_frames += next.giant_frames;
        self.filtered_out += next.filtered_out;
        self.dropped_by_capture = match (self.dropped_by_capture, next.dropped_by_capture) {
            (None, None) => None,
            (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
        };
        self.notes.merge(&next.notes);
    }

    /// Frames the capturing system says it lost, where it tells. Statistics and packets may tell of
    /// the same loss, so it is the greater of their counts, not the sum.
    pub fn dropped(&self) -> Option<u64> {
        self.dropped_by_capture.max(self.notes.lost_between)
    }
}
