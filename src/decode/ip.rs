//! From the IP header to a packet: addresses, extension headers, fragments, and what is wrapped
//! around the innermost header.
//!
//! IPv4 is RFC 791, IPv6 RFC 8200. The fixed headers are read through etherparse, which only
//! borrows; its whole-packet types copy headers and are too slow here.

use std::net::IpAddr;

use etherparse::{
    Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
};

use super::ipsec::Authentication;
use super::layer::Path;
use super::span::Span;
use super::{
    Carriage, Decoded, Packet, Part, Parts, Protector, Shield, Stop, Transport, ipsec, transport,
    tunnel, udp_tunnel,
};
use crate::input::Frame;

/// Reads a frame from its IP header on; `path` is what was passed before it.
pub(super) fn read<'a>(frame: &Frame<'a>, span: Span<'a>, path: &mut Path) -> Decoded<'a> {
    match packet(frame, span, path) {
        Ok(packet) => Decoded::Packet(packet),
        Err(stop) => Decoded::Stopped(stop),
    }
}

fn packet<'a>(frame: &Frame<'a>, span: Span<'a>, path: &mut Path) -> Result<Packet<'a>, Stop> {
    let datagram = innermost(span, path, |_| {})?;
    let segment = transport::read(&datagram)?;
    Ok(Packet {
        time: frame.time,
        frame: frame.number,
        wire_len: frame.original_len,
        source: datagram.source,
        destination: datagram.destination,
        transport: datagram.transport,
        source_port: segment.source_port,
        destination_port: segment.destination_port,
        detail: segment.detail,
        payload: segment.payload.bytes,
        payload_len: segment.payload.wire_len,
        vlans: path.vlans,
        layers: path.layers,
        shield: path.shield,
        framed: ipsec::framed(&datagram),
        first_fragment: datagram.fragment == Fragment::First,
        identification: datagram.identification,
        hop_limit: datagram.hop_limit,
        checksum: segment.checksum,
        checksum_holds: segment.checksum_holds,
    })
}

/// The fragments that a frame is, from the outermost IP header in.
pub(super) fn parts(span: Span<'_>, path: &mut Path) -> Parts {
    let mut parts = Parts::new(Part::NONE);
    // How far the reading gets is told by `decode`; here only what it passed counts.
    let _innermost = innermost(span, path, |datagram| {
        let part = datagram.part();
        // What AH protects in transport mode is the same piece of the same datagram.
        if parts.as_slice().last().is_none_or(|last| !last.is_of_the_same_header(&part)) {
            parts.push(part);
        }
    });
    parts
}

/// Which part of a fragmented datagram this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment {
    /// Not fragmented.
    Whole,
    /// The first fragment, which holds the transport header.
    First,
    /// A fragment without transport header.
    Later,
}

/// An IP header and its extension headers, read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram<'a> {
    /// Source address.
    pub(super) source: IpAddr,
    /// Destination address.
    pub(super) destination: IpAddr,
    /// What the body begins with.
    pub(super) transport: Transport,
    /// Whether there is more of the datagram in other frames.
    pub(super) fragment: Fragment,
    /// Identification of the IPv4 header or of the IPv6 fragment header; 0 without one.
    pub(super) identification: u32,
    /// Where a fragment's body stands in its datagram, in bytes.
    pub(super) offset: u32,
    /// Whether the fragment is the last one.
    pub(super) more: bool,
    /// Time to live, or hop limit.
    pub(super) hop_limit: u8,
    /// Differentiated services code point (RFC 2474).
    pub(super) dscp: u8,
    /// What follows the IP and extension headers.
    pub(super) body: Span<'a>,
}

impl<'a> Datagram<'a> {
    /// Reads the IP header at the start of the span, of either version.
    pub(super) fn read(span: Span<'a>) -> Result<Self, Stop> {
        match span.u8(0).map(|byte| byte >> 4) {
            Some(4) => Self::v4(span),
            Some(6) => Self::v6(span),
            _ => Err(Stop::IpHeader),
        }
    }

    fn v4(span: Span<'a>) -> Result<Self, Stop> {
        let header = Ipv4HeaderSlice::from_slice(span.bytes).map_err(|_| Stop::IpHeader)?;
        let header_len = header.slice().len();
        let datagram = match usize::from(header.total_len()) {
            // Captured before segmentation offload filled it in: up to the end of the frame.
            0 => span,
            total if total < header_len => return Err(Stop::IpHeader),
            _ => span.with_len(u32::from(header.total_len())),
        };
        let fragment = fragment(header.fragments_offset().value(), header.more_fragments());
        Ok(Self {
            source: IpAddr::V4(header.source_addr()),
            destination: IpAddr::V4(header.destination_addr()),
            transport: Transport(header.protocol().0),
            fragment,
            identification: header.identification().into(),
            offset: u32::from(header.fragments_offset().value()) * 8,
            more: header.more_fragments(),
            hop_limit: header.ttl(),
            dscp: header.dcp().value(),
            body: datagram.after(header_len),
        })
    }

    fn v6(span: Span<'a>) -> Result<Self, Stop> {
        let header = Ipv6HeaderSlice::from_slice(span.bytes).map_err(|_| Stop::IpHeader)?;
        let body = span.after(header.slice().len());
        let datagram = Self {
            source: IpAddr::V6(header.source_addr()),
            destination: IpAddr::V6(header.destination_addr()),
            transport: Transport(header.next_header().0),
            fragment: Fragment::Whole,
            identification: 0,
            offset: 0,
            more: false,
            hop_limit: header.hop_limit(),
            dscp: header.traffic_class() >> 2,
            body: match header.payload_length() {
                // A jumbogram (RFC 2675) or offloaded: up to the end of the frame.
                0 => body,
                len => body.with_len(u32::from(len)),
            },
        };
        datagram.past_extensions()
    }

    /// Goes on behind the IPv6 extension headers at the start of the body. Each is at least eight
    /// bytes long, so the frame's length bounds the walk.
    fn past_extensions(mut self) -> Result<Self, Stop> {
        while self.source.is_ipv6() && self.fragment != Fragment::Later {
            match self.transport.0 {
                // Hop-by-hop, routing, destination options, mobility (RFC 6275), host identity
                // (RFC 7401), shim6 (RFC 5533): all have one shape.
                0 | 43 | 60 | 135 | 139 | 140 => {
                    let header = Ipv6RawExtHeaderSlice::from_slice(self.body.bytes)
                        .map_err(|_| Stop::IpHeader)?;
                    self.transport = Transport(header.next_header().0);
                    self.body = self.body.after(header.slice().len());
                }
                44 => {
                    let header = Ipv6FragmentHeaderSlice::from_slice(self.body.bytes)
                        .map_err(|_| Stop::IpHeader)?;
                    self.transport = Transport(header.next_header().0);
                    self.body = self.body.after(header.slice().len());
                    let part = fragment(header.fragment_offset().value(), header.more_fragments());
                    // An atomic fragment (RFC 6946) inside a first one does not make it whole.
                    if part != Fragment::Whole {
                        self.fragment = part;
                        self.identification = header.identification();
                        self.offset = u32::from(header.fragment_offset().value()) * 8;
                        self.more = header.more_fragments();
                    }
                }
                _ => break,
            }
        }
        Ok(self)
    }

    /// Which piece of which datagram a fragment is. IPv6 leaves the transport to the first fragment
    /// (RFC 8200, 4.5), so it is not part of the name there.
    fn part(&self) -> Part {
        Part {
            source: self.source,
            destination: self.destination,
            transport: if self.source.is_ipv6() { Transport(44) } else { self.transport },
            identification: self.identification,
            offset: self.offset,
            len: self.body.wire_len,
            more: self.more,
        }
    }

    /// The datagram inside an encapsulation; None when there is none that can be read, so that the
    /// encapsulation itself is the transport.
    fn open(&self, path: &mut Path) -> Result<Option<Self>, Stop> {
        match self.transport {
            Transport::UDP | Transport::TCP if ipsec::may_be_encapsulation(self.body) => {
                self.open_clear(path)
            }
            Transport::TCP => Ok(None),
            Transport::UDP if !udp_tunnel::may_be(self.body) => Ok(None),
            Transport::AH => self.open_authenticated(path),
            Transport::ESP | Transport::WESP => self.open_clear(path),
            _ => tunnel::open(self, path),
        }
    }

    /// AH in transport mode stands between the IP header and its transport; in tunnel mode another
    /// IP header follows (RFC 4302, 3.1).
    fn open_authenticated(&self, path: &mut Path) -> Result<Option<Self>, Stop> {
        let header = Authentication::read(self.body)?;
        let body = header.body;
        if body.bytes.is_empty() {
            // The snaplen left nothing to open, but the SPI is there.
            return Ok(None);
        }
        let ends = (self.source, self.destination);
        let shield =
            Shield { protocol: Protector::Ah, spi: header.spi, carriage: Carriage::Ip, ends };
        if matches!(header.next, Transport::IPV4 | Transport::IPV6) {
            path.enter_shielded(shield)?;
            path.enter(tunnel::ip_layer(self.source, body))?;
            return Self::read(body).map(Some);
        }
        let inner = Self { transport: header.next, body, ..*self }.past_extensions()?;
        let before = *path;
        path.enter_shielded(shield)?;
        if transport::is_readable(inner.transport) || inner.fragment == Fragment::Later {
            return Ok(Some(inner));
        }
        let opened = tunnel::open(&inner, path)?;
        if opened.is_none() {
            *path = before;
        }
        Ok(opened)
    }

    /// ESP around readable content, in transport or tunnel mode (RFC 4303, 3.1). None where it is
    /// encrypted.
    fn open_clear(&self, path: &mut Path) -> Result<Option<Self>, Stop> {
        let Some((shield, clear)) = ipsec::open(self) else {
            return Ok(None);
        };
        path.enter_shielded(shield)?;
        if matches!(clear.next, Transport::IPV4 | Transport::IPV6) {
            path.enter(tunnel::ip_layer(self.source, clear.body))?;
            return Self::read(clear.body).map(Some);
        }
        Self { transport: clear.next, body: clear.body, ..*self }.past_extensions().map(Some)
    }

    /// Length of the IP packet in bytes, without the options and extensions of its header.
    pub(super) fn ip_len(&self) -> u32 {
        let header = if self.source.is_ipv4() { V4_LEN } else { V6_LEN };
        self.body.wire_len.saturating_add(header)
    }
}

/// The innermost datagram of a span; `path` gets what was peeled off around it, `note` is told of
/// each datagram on the way that is a fragment.
pub(super) fn innermost<'a>(
    span: Span<'a>,
    path: &mut Path,
    mut note: impl FnMut(&Datagram<'a>),
) -> Result<Datagram<'a>, Stop> {
    let mut datagram = Datagram::read(span)?;
    let mut within = Fragment::Whole;
    loop {
        if datagram.fragment != Fragment::Whole {
            note(&datagram);
        }
        if datagram.fragment == Fragment::Later {
            return Err(Stop::Fragment);
        }
        // The end of what a first fragment carries is in other frames, however deep it is wrapped.
        if datagram.fragment == Fragment::First {
            within = Fragment::First;
        }
        match datagram.open(path)? {
            Some(inner) => datagram = inner,
            None => return Ok(Datagram { fragment: within, ..datagram }),
        }
    }
}

fn fragment(offset: u16, more_fragments: bool) -> Fragment {
    match (offset, more_fragments) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        _ => Fragment::Later,
    }
}

/// Whether an IP header of either version begins the span and its lengths fit what is there. Where
/// only a port or a label says that IP follows, this is the question to ask before believing it.
pub(super) fn is_consistent(span: Span<'_>) -> bool {
    stated_len(span).is_some_and(|len| len <= span.wire_len)
}

/// The same, and no more follows the datagram than Ethernet puts there: what fills a frame up to 60
/// bytes, and a check sequence or a little more.
pub(super) fn is_framed(span: Span<'_>) -> bool {
    let filled = MIN_BODY + TRAILER;
    stated_len(span)
        .is_some_and(|len| len <= span.wire_len && span.wire_len <= filled.max(len + TRAILER))
}

/// The same, and nothing follows the datagram.
pub(super) fn fills(span: Span<'_>) -> bool {
    stated_len(span) == Some(span.wire_len)
}

/// The length that an IP header states, if the header is possible.
fn stated_len(span: Span<'_>) -> Option<u32> {
    let first = span.u8(0)?;
    match (first >> 4, u32::from(first & 0x0F) * 4) {
        (4, header @ 20..) => span.u16(2).map(u32::from).filter(|total| *total >= header),
        (6, _) => span.u16(4).map(|payload| u32::from(payload) + V6_LEN),
        _ => None,
    }
}

/// The least that an Ethernet frame carries, in bytes.
const MIN_BODY: u32 = 46;
/// Bytes behind it that some equipment leaves on or adds.
const TRAILER: u32 = 8;
/// Bytes of an IPv4 header without options.
const V4_LEN: u32 = 20;
/// Bytes of an IPv6 header.
const V6_LEN: u32 = 40;

#[cfg(test)]
mod tests {
    use super::super::Detail;
    use super::super::testing::{SYN, UDP, cut_frame, hex, ipv4, ipv6, packet, raw, raw_stop};
    use super::*;
    use crate::input::LinkType;

    fn ports(packet: &Packet<'_>) -> (u16, u16) {
        (packet.source_port, packet.destination_port)
    }

    #[test]
    fn a_packet_keeps_what_the_frame_says() {
        let bytes = ipv4(17, &hex(UDP));
        let packet = raw(&bytes);
        assert_eq!(packet.frame, 7);
        assert_eq!(packet.time.0, 1_000);
        assert_eq!(packet.wire_len, 32);
        assert_eq!(packet.source.to_string(), "10.0.0.1");
        assert_eq!(packet.destination.to_string(), "10.0.0.2");
        assert_eq!(packet.transport, Transport::UDP);
        assert_eq!(ports(&packet), (50000, 49200));
        assert_eq!(packet.detail, Detail::None);
        assert_eq!((packet.payload, packet.payload_len), (&hex("deadbeef")[..], 4));
        assert!(packet.layers.as_slice().is_empty());
        assert!(!packet.first_fragment);
    }

    #[test]
    fn options_are_passed_over() {
        let mut bytes = ipv4(17, &[hex("94040000"), hex(UDP)].concat());
        bytes[0] = 0x46;
        assert_eq!(ports(&raw(&bytes)), (50000, 49200));
    }

    #[test]
    fn padding_behind_the_total_length_falls_away() {
        for bytes in [ipv4(6, &hex(SYN)), ipv6(6, &hex(SYN))] {
            let padded = [bytes.clone(), vec![0; 18]].concat();
            let packet = raw(&padded);
            assert_eq!((packet.payload, packet.payload_len), (&[][..], 0));
            assert_eq!(packet.wire_len as usize, bytes.len() + 18);
        }
    }

    #[test]
    fn a_zero_total_length_reaches_to_the_end_of_the_frame() {
        let mut bytes = ipv4(6, &[hex(SYN), vec![7; 100]].concat());
        bytes[2..4].copy_from_slice(&[0, 0]);
        assert_eq!(raw(&bytes).payload_len, 100);
        let cut = cut_frame(LinkType::RAW, &bytes, 9000);
        assert_eq!(packet(&cut).payload_len, 9000 - 44);
        assert_eq!(packet(&cut).payload.len(), 100);
    }

    #[test]
    fn the_snaplen_shortens_the_payload_but_not_its_length() {
        let bytes = ipv4(17, &[hex("c350 c030 03f0 0000"), vec![1; 1000]].concat());
        let cut = packet(&cut_frame(LinkType::RAW, &bytes[..60], bytes.len())).payload_len;
        assert_eq!(cut, 1000);
        assert_eq!(packet(&cut_frame(LinkType::RAW, &bytes[..60], bytes.len())).payload.len(), 32);
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        let good = ipv4(17, &hex(UDP));
        for (at, value) in [(0, 0x55), (0, 0x44), (0, 0x4F), (3, 19)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(raw_stop(&bad), Stop::IpHeader, "byte {at} = {value:#x}");
        }
        for len in 0..20 {
            assert_eq!(raw_stop(&good[..len]), Stop::IpHeader);
        }
        for len in 0..40 {
            assert_eq!(raw_stop(&ipv6(17, &hex(UDP))[..len]), Stop::IpHeader);
        }
    }

    #[test]
    fn ipv4_fragments() {
        let mut first = ipv4(17, &hex("c350 c030 0800 0000 deadbeef"));
        first[6] = 0x20;
        let packet = raw(&first);
        assert!(packet.first_fragment);
        assert_eq!(ports(&packet), (50000, 49200));
        // The UDP length is that of the whole datagram; this frame holds four bytes of it.
        assert_eq!(packet.payload_len, 4);

        let mut later = ipv4(17, &hex(UDP));
        later[7] = 0xB9;
        assert_eq!(raw_stop(&later), Stop::Fragment);
        // Do-not-fragment is not a fragment.
        let mut whole = ipv4(17, &hex(UDP));
        whole[6] = 0x40;
        assert!(!raw(&whole).first_fragment);
    }

    #[test]
    fn a_tiny_first_fragment_still_has_ports() {
        let mut tiny = ipv4(6, &hex(SYN)[..8]);
        tiny[6] = 0x20;
        let packet = raw(&tiny);
        assert_eq!(ports(&packet), (50000, 5061));
        assert_eq!((packet.detail, packet.payload_len), (Detail::None, 0));
    }

    #[test]
    fn ipv6_extension_headers_are_passed_over() {
        // Hop-by-hop, destination options (16 bytes), routing, mobility, HIP, shim6, then UDP.
        let chain = hex("3c00 010400000000
            2b01 0104000000000000000000000000
            8700 000000000000
            8b00 000000000000
            8c00 000000000000
            1100 000000000000");
        let bytes = ipv6(0, &[chain, hex(UDP)].concat());
        let packet = raw(&bytes);
        assert_eq!(packet.source.to_string(), "fd00::1");
        assert_eq!(packet.destination.to_string(), "fd00::2");
        assert_eq!(packet.transport, Transport::UDP);
        assert_eq!(ports(&packet), (50000, 49200));
        assert_eq!((packet.payload, packet.payload_len), (&hex("deadbeef")[..], 4));
        for len in 40..96 {
            assert_eq!(raw_stop(&bytes[..len]), Stop::IpHeader, "cut to {len}");
        }
    }

    #[test]
    fn ipv6_fragments() {
        let fragment = |offset: &str| {
            ipv6(44, &[hex("1100"), hex(offset), hex("00000001"), hex(UDP)].concat())
        };
        assert!(raw(&fragment("0001")).first_fragment);
        assert_eq!(raw_stop(&fragment("05a9")), Stop::Fragment);
        assert_eq!(raw_stop(&fragment("05a8")), Stop::Fragment);
        let atomic = fragment("0000");
        assert!(!raw(&atomic).first_fragment);
        assert_eq!(ports(&raw(&atomic)), (50000, 49200));
        // What looks like a header in a later fragment is the middle of a payload.
        let options = ipv6(44, &[hex("3c00 0010 00000001"), vec![0xFF; 16]].concat());
        assert_eq!(raw_stop(&options), Stop::Fragment);
    }

    #[test]
    fn a_jumbogram_reaches_to_the_end_of_the_frame() {
        let jumbo = hex("1100 c204 00011170");
        let udp = hex("c350 c030 0000 0000");
        let mut bytes = ipv6(0, &[jumbo, udp, vec![9; 100]].concat());
        bytes[4..6].copy_from_slice(&[0, 0]);
        assert_eq!(raw(&bytes).payload_len, 100);
        assert_eq!(packet(&cut_frame(LinkType::RAW, &bytes, 70056)).payload_len, 70000);
    }

    #[test]
    fn extension_headers_mean_nothing_in_ipv4() {
        let bytes = ipv4(60, &hex("1100 000000000000"));
        let packet = raw(&bytes);
        assert_eq!(packet.transport, Transport(60));
        assert_eq!(packet.payload_len, 8);
    }

    #[test]
    fn other_encapsulations_are_transports() {
        let inner = ipv4(17, &hex(UDP));
        let bytes = ipv4(108, &inner);
        let packet = raw(&bytes);
        assert_eq!(packet.transport, Transport(108));
        assert_eq!(ports(&packet), (0, 0));
        assert_eq!(packet.payload, inner);
    }
}
