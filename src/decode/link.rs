//! From a link-layer header to IP: which header a frame begins with, by its link type.
//!
//! Link types are those of the tcpdump group's LINKTYPE registry. What is between the link header and
//! IP, tags above all, is `ether.rs`; families of links have files of their own. IP itself is told
//! apart by its version later on.

use super::layer::Path;
use super::span::Span;
use super::{Stop, ether, frame_relay, host_link, mpls, ppp, radio, wlan};
use crate::input::{Frame, LinkType};

/// Takes the link-layer header, tags and encapsulations below IP off a frame.
#[inline]
pub(super) fn strip<'a>(frame: &Frame<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let span = Span::new(frame.data, frame.original_len);
    if frame.link_type == LinkType::ETHERNET {
        return ether::frame(span, path);
    }
    by_type(frame.link_type, span, path)
}

/// Takes off the header of a link type other than Ethernet, or of Ethernet inside another header.
#[inline(never)]
fn by_type<'a>(link_type: LinkType, span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match link_type {
        LinkType::ETHERNET => ether::frame(span, path),
        LinkType::LINUX_SLL => cooked(span, path),
        LinkType::LINUX_SLL2 => cooked_2(span, path),
        LinkType::NULL => host_link::family(span.u32_host(0), span.after(4)),
        LinkType::LOOP => host_link::family(span.u32(0), span.after(4)),
        LinkType::RAW
        | LinkType::RAW_BSD
        | LinkType::RAW_OPENBSD
        | LinkType::IPV4
        | LinkType::IPV6 => Ok(span),
        LinkType::PPP => ppp::read(span, path),
        LinkType::PPP_HDLC => ppp::serial(span, path),
        LinkType::PPP_ETHER => ppp::over_ethernet(span, path),
        LinkType::PPP_PPPD => ppp::directed(span, path),
        LinkType::PPP_WITH_DIR => ppp::read(span.after(1), path),
        LinkType::C_HDLC => ppp::cisco_hdlc(span, path),
        LinkType::FRELAY => frame_relay::read(span, path),
        LinkType::ATM_RFC1483 | LinkType::ATM_CLIP => frame_relay::atm(span, path),
        LinkType::WLAN => wlan::read(span, path),
        LinkType::RADIOTAP => radio::radiotap(span, path),
        LinkType::PRISM => radio::prism(span, path),
        LinkType::AVS => radio::avs(span, path),
        LinkType::PPI => radio::ppi(span, path),
        LinkType::MPLS => mpls::read(span, path),
        LinkType::PKTAP | LinkType::PKTAP_DARWIN => host_link::packet_tap(link_type, span, path),
        LinkType::NFLOG => host_link::netfilter_log(span),
        LinkType::ENC => host_link::ipsec_tap(span),
        LinkType::PFLOG => host_link::filter_log(span),
        LinkType::IPNET => host_link::ipnet(span),
        LinkType::SLIP => host_link::serial_line(span),
        LinkType::TOKEN_RING => token_ring(span, path),
        // Frame control and two addresses.
        LinkType::FDDI => ether::llc(span.after(13), path),
        // The network header of RFC 4338: two names of eight bytes.
        LinkType::FIBRE_CHANNEL => ether::llc(span.after(16), path),
        // A global route header, then the header of RFC 4391: an EtherType and two spare bytes.
        LinkType::IPOIB => typed(span, 40, 44, path),
        // Two names of eight bytes, then an EtherType (RFC 2734).
        LinkType::FIREWIRE => typed(span, 16, 18, path),
        // The tap's own four bytes; the second kind has preamble and start delimiter too.
        LinkType::NETANALYZER => ether::frame(span.after(4), path),
        LinkType::NETANALYZER_TRANSPARENT => ether::frame(span.after(12), path),
        LinkType::ETHERNET_PREAMBLE => preempted(span, path),
        other => Err(Stop::LinkType(other)),
    }
}

/// What a header that tells of another frame carries, by the number libpcap has for it. Such headers
/// do not nest, so that none can be stacked without end.
pub(super) fn carried<'a>(number: u32, span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match LinkType::of_libpcap(number) {
        LinkType::PPI | LinkType::PKTAP | LinkType::PKTAP_DARWIN => Err(Stop::LinkHeader),
        inner => by_type(inner, span, path),
    }
}

/// Whether frames of this link type are read at all.
pub(super) fn reads(link_type: LinkType) -> bool {
    let nothing = by_type(link_type, Span::new(&[], 0), &mut Path::new());
    !matches!(nothing, Err(Stop::LinkType(_)))
}

/// Linux cooked capture v1: packet type, device type, address; the protocol comes last.
fn cooked<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let (protocol, rest) = ether::kind_at(span, 14)?;
    cooked_protocol(protocol, rest, path)
}

/// Linux cooked capture v2: the protocol comes first, 18 bytes of other fields follow it.
fn cooked_2<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let protocol = span.u16(0).filter(|_| span.holds(20)).ok_or(Stop::LinkHeader)?;
    cooked_protocol(protocol, span.after(20), path)
}

/// Below 0x0600 a cooked protocol is Linux's own number, not a length; only 4 means that an LLC
/// header follows.
fn cooked_protocol<'a>(protocol: u16, rest: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match protocol {
        COOKED_LLC | ether::ETHER_TYPES_FROM.. => ether::payload(protocol, rest, path),
        other => Err(Stop::NotIp(other)),
    }
}

/// An EtherType among other fields.
fn typed<'a>(span: Span<'a>, at: usize, len: usize, path: &mut Path) -> Result<Span<'a>, Stop> {
    let kind = span.u16(at).ok_or(Stop::LinkHeader)?;
    ether::payload(kind, span.after(len), path)
}

/// IEEE 802.5: access and frame control, two addresses, and the route where the source address says
/// so with its first bit. The route's first byte holds its length.
fn token_ring<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    let routed = span.u8(8).ok_or(Stop::LinkHeader)? & 0x80 != 0;
    let route = if routed { span.u8(14).ok_or(Stop::LinkHeader)? & 0x1F } else { 0 };
    ether::llc(span.after(14 + usize::from(route)), path)
}

/// Ethernet with preamble (IEEE 802.3br): seven bytes and a delimiter. Only the delimiters of whole
/// frames and of first fragments are followed by addresses.
fn preempted<'a>(span: Span<'a>, path: &mut Path) -> Result<Span<'a>, Stop> {
    match span.u8(7).ok_or(Stop::LinkHeader)? {
        0xD5 | 0xE6 | 0x4C | 0x7F | 0xB3 => ether::frame(span.after(8), path),
        _ => Err(Stop::LinkHeader),
    }
}

/// Linux's number for an IEEE 802.2 frame.
const COOKED_LLC: u16 = 0x0004;

#[cfg(test)]
mod tests {
    use super::super::testing::{
        UDP, frame, hex, inner, ipv4, ipv6, layers_around_inner, packet, stop,
    };
    use super::*;

    const MACS: &str = "020000000002 020000000001";

    fn ethernet_frame(header: &str) -> Vec<u8> {
        [hex(MACS), hex(header), ipv4(17, &hex(UDP))].concat()
    }

    /// The VLAN ids of a frame that must hold the UDP packet.
    #[track_caller]
    fn vlans_of(link_type: LinkType, data: &[u8]) -> Vec<u16> {
        let packet = packet(&frame(link_type, data));
        assert_eq!((packet.source_port, packet.destination_port), (50000, 49200));
        assert_eq!(packet.payload, hex("deadbeef"));
        packet.vlans.as_slice().to_vec()
    }

    #[track_caller]
    fn ethernet_stop(header: &str) -> Stop {
        stop(&frame(LinkType::ETHERNET, &ethernet_frame(header)))
    }

    #[test]
    fn ethernet_carries_ip() {
        assert_eq!(vlans_of(LinkType::ETHERNET, &ethernet_frame("0800")), [] as [u16; 0]);
        let v6 = [hex(MACS), hex("86dd"), ipv6(17, &hex(UDP))].concat();
        assert_eq!(vlans_of(LinkType::ETHERNET, &v6), [] as [u16; 0]);
    }

    #[test]
    fn vlan_tags_are_kept_from_the_outermost_in() {
        let vlans = |header| vlans_of(LinkType::ETHERNET, &ethernet_frame(header));
        // Priority 5 and the drop bit are not part of the id.
        assert_eq!(vlans("8100 b064 0800"), [100]);
        assert_eq!(vlans("88a8 0065 8100 0fff 0800"), [101, 4095]);
        assert_eq!(vlans("9100 0001 9100 0002 8100 0003 0800"), [1, 2, 3]);
    }

    #[test]
    fn a_stack_deeper_than_the_list_is_walked() {
        let tags = |count| {
            let stack: Vec<_> = (1..=count).map(|id| format!("8100 {id:04x}")).collect();
            ethernet_frame(&(stack.concat() + "0800"))
        };
        assert_eq!(vlans_of(LinkType::ETHERNET, &tags(5)), [1, 2, 3, 4]);
        assert_eq!(vlans_of(LinkType::ETHERNET, &tags(16)), [1, 2, 3, 4]);
        assert_eq!(stop(&frame(LinkType::ETHERNET, &tags(17))), Stop::TooDeep);
    }

    #[test]
    fn snap_names_an_ether_type_and_other_llc_does_not() {
        let snap = ethernet_frame("0028 aaaa03 000000 0800");
        assert_eq!(vlans_of(LinkType::ETHERNET, &snap), [] as [u16; 0]);
        let tagged = ethernet_frame("8100 0009 002c aaaa03 000000 0800");
        assert_eq!(vlans_of(LinkType::ETHERNET, &tagged), [9]);
        // Spanning tree, a vendor's SNAP, and a length where SNAP should name a type.
        assert_eq!(ethernet_stop("0026 424203"), Stop::NotIp(0x26));
        assert_eq!(ethernet_stop("0040 aaaa03 00000c 2000"), Stop::NotIp(0x40));
        assert_eq!(ethernet_stop("0040 aaaa03 000000 0040"), Stop::NotIp(0x40));
    }

    #[test]
    fn other_ether_types_are_named() {
        assert_eq!(ethernet_stop("0806"), Stop::NotIp(0x0806));
        assert_eq!(ethernet_stop("8100 0001 88cc"), Stop::NotIp(0x88CC));
        assert_eq!(ethernet_stop("05ff 000000"), Stop::NotIp(0x05FF));
    }

    #[test]
    fn a_cut_link_header_says_so() {
        for header in ["8100 0064 0800", "0028 aaaa03 000000 0800"] {
            let whole = [hex(MACS), hex(header)].concat();
            for len in 0..whole.len() {
                let cut = frame(LinkType::ETHERNET, &whole[..len]);
                assert_eq!(stop(&cut), Stop::LinkHeader, "{header} cut to {len}");
            }
            assert_eq!(stop(&frame(LinkType::ETHERNET, &whole)), Stop::IpHeader);
        }
        for (link_type, len) in [
            (LinkType::LINUX_SLL, 16),
            (LinkType::LINUX_SLL2, 20),
            (LinkType::NULL, 4),
            (LinkType::LOOP, 4),
        ] {
            for len in 0..len {
                assert_eq!(stop(&frame(link_type, &vec![0; len])), Stop::LinkHeader);
            }
        }
    }

    #[test]
    fn cooked_headers_carry_ip_tags_and_llc() {
        let cooked = |tail: &str| {
            let header = hex("0000 0001 0006 020000000001 0000");
            [header, hex(tail), ipv4(17, &hex(UDP))].concat()
        };
        let sll = LinkType::LINUX_SLL;
        assert_eq!(vlans_of(sll, &cooked("0800")), [] as [u16; 0]);
        assert_eq!(vlans_of(sll, &cooked("8100 0014 0800")), [20]);
        assert_eq!(vlans_of(sll, &cooked("0004 aaaa03 000000 0800")), [] as [u16; 0]);
        assert_eq!(stop(&frame(sll, &cooked("0806"))), Stop::NotIp(0x0806));
        assert_eq!(stop(&frame(sll, &cooked("0001 aaaa03 000000 0800"))), Stop::NotIp(1));

        let cooked_2 = |protocol: &str, tail: &str| {
            let fields = hex("0000 00000003 0001 00 06 020000000001 0000");
            [hex(protocol), fields, hex(tail), ipv4(17, &hex(UDP))].concat()
        };
        let sll2 = LinkType::LINUX_SLL2;
        assert_eq!(vlans_of(sll2, &cooked_2("0800", "")), [] as [u16; 0]);
        assert_eq!(vlans_of(sll2, &cooked_2("88a8", "0015 0800")), [21]);
    }

    #[test]
    fn loopback_reads_the_family_in_its_byte_order() {
        let loopback = |family: &str| [hex(family), ipv4(17, &hex(UDP))].concat();
        for family in ["02000000", "00000002", "1e000000", "0000001e", "18000000", "0000000a"] {
            assert_eq!(vlans_of(LinkType::NULL, &loopback(family)), [] as [u16; 0]);
        }
        assert_eq!(vlans_of(LinkType::LOOP, &loopback("00000018")), [] as [u16; 0]);
        let swapped = loopback("02000000");
        let swapped = frame(LinkType::LOOP, &swapped);
        assert_eq!(stop(&swapped), Stop::LinkHeader);
        let iso = loopback("07000000");
        assert_eq!(stop(&frame(LinkType::NULL, &iso)), Stop::AddressFamily(7));
    }

    #[test]
    fn raw_link_types_begin_with_ip() {
        for number in [12, 14, 101, 228] {
            assert_eq!(vlans_of(LinkType(number), &ipv4(17, &hex(UDP))), [] as [u16; 0]);
        }
        assert_eq!(vlans_of(LinkType::IPV6, &ipv6(17, &hex(UDP))), [] as [u16; 0]);
    }

    #[test]
    fn links_of_other_kinds_lead_to_ip() {
        let snap = "aaaa03 000000 0800";
        let zeros = |count: usize| "00".repeat(count);
        for (link_type, header) in [
            (LinkType::TOKEN_RING, format!("1040 020000000002 020000000001 {snap}")),
            (LinkType::TOKEN_RING, format!("1040 020000000002 820000000001 0670 00110012 {snap}")),
            (LinkType::FDDI, format!("57 020000000002 020000000001 {snap}")),
            (LinkType::FIBRE_CHANNEL, format!("{} {snap}", zeros(16))),
            (LinkType::IPOIB, format!("{} 0800 0000", zeros(40))),
            (LinkType::FIREWIRE, format!("{} 0800", zeros(16))),
            (LinkType::NETANALYZER, format!("00000000 {MACS} 0800")),
            (LinkType::NETANALYZER_TRANSPARENT, format!("{} {MACS} 0800", zeros(12))),
            (LinkType::ETHERNET_PREAMBLE, format!("55555555555555 d5 {MACS} 0800")),
        ] {
            let bytes = [hex(&header), inner()].concat();
            assert_eq!(layers_around_inner(link_type, &bytes), "", "{link_type}");
        }
        let continued = [vec![0x55; 7], vec![0x61], inner()].concat();
        assert_eq!(stop(&frame(LinkType::ETHERNET_PREAMBLE, &continued)), Stop::LinkHeader);
    }

    #[test]
    fn an_unread_link_type_is_named() {
        let sensor = LinkType(195);
        assert_eq!(stop(&frame(sensor, &[0; 64])), Stop::LinkType(sensor));
        assert!(!reads(sensor) && reads(LinkType::RADIOTAP));
    }
}
