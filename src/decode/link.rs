//! From a link-layer header to IP: one function per header kind, chosen by the link type.
//!
//! Link types are those of the tcpdump group's LINKTYPE registry. VLAN tags (IEEE 802.1Q, 802.1ad
//! and the 0x9100 of older equipment) are read off here too, since they sit between link and
//! network. IP itself is told apart by its version later on.

use super::{Stop, Vlans};
use crate::input::{Frame, LinkType, Timestamp};

/// What the link header leads to.
pub(super) struct Network<'a> {
    /// From the IP header to the end of the frame, as captured.
    pub(super) bytes: &'a [u8],
    /// VLAN tags before it.
    pub(super) vlans: Vlans,
}

impl<'a> Network<'a> {
    /// IP without tags before it.
    fn untagged(bytes: &'a [u8]) -> Self {
        Self { bytes, vlans: Vlans::new(0) }
    }
}

/// Takes the link-layer header and VLAN tags off a frame that carries IP.
pub(super) fn strip<'a>(frame: &Frame<'a>) -> Result<Network<'a>, Stop> {
    match frame.link_type {
        LinkType::ETHERNET => ethernet(frame.data),
        LinkType::LINUX_SLL => cooked(frame.data),
        LinkType::LINUX_SLL2 => cooked_2(frame.data),
        LinkType::NULL => loopback(frame.data, in_host_order),
        LinkType::LOOP => loopback(frame.data, u32::from_be_bytes),
        LinkType::RAW
        | LinkType::RAW_BSD
        | LinkType::RAW_OPENBSD
        | LinkType::IPV4
        | LinkType::IPV6 => Ok(Network::untagged(frame.data)),
        other => Err(Stop::LinkType(other)),
    }
}

/// Whether frames of this link type are read at all.
pub(super) fn reads(link_type: LinkType) -> bool {
    let empty = Frame { number: 0, time: Timestamp(0), link_type, data: &[], original_len: 0 };
    !matches!(strip(&empty), Err(Stop::LinkType(_)))
}

/// Ethernet II and IEEE 802.3: two addresses, then an EtherType or a length.
fn ethernet(data: &[u8]) -> Result<Network<'_>, Stop> {
    let (kind, rest) = u16_then_rest(data, 12)?;
    ether_type(kind, rest)
}

/// Linux cooked capture v1: packet type, device type, address; the protocol comes last.
fn cooked(data: &[u8]) -> Result<Network<'_>, Stop> {
    let (protocol, rest) = u16_then_rest(data, 14)?;
    cooked_protocol(protocol, rest)
}

/// Linux cooked capture v2: the protocol comes first, 18 bytes of other fields follow it.
fn cooked_2(data: &[u8]) -> Result<Network<'_>, Stop> {
    let (protocol, rest) = u16_then_rest(data, 0)?;
    cooked_protocol(protocol, rest.get(18..).ok_or(Stop::LinkHeader)?)
}

/// Below 0x0600 a cooked protocol is Linux's own number, not a length; only 4 means that an LLC
/// header follows.
fn cooked_protocol(protocol: u16, rest: &[u8]) -> Result<Network<'_>, Stop> {
    match protocol {
        COOKED_LLC | ETHER_TYPES_FROM.. => ether_type(protocol, rest),
        other => Err(Stop::NotIp(other)),
    }
}

/// Follows VLAN tags and SNAP headers until IP or something else is named.
fn ether_type(mut kind: u16, mut rest: &[u8]) -> Result<Network<'_>, Stop> {
    let mut vlans = Vlans::new(0);
    for _ in 0..=MAX_TAGS {
        match kind {
            IPV4 | IPV6 => return Ok(Network { bytes: rest, vlans }),
            VLAN | VLAN_SERVICE | VLAN_OLD => {
                let (control, after) = u16_then_rest(rest, 0)?;
                // The list keeps the outermost tags; deeper ones are walked all the same.
                vlans.push(control & VLAN_ID_BITS);
                (kind, rest) = u16_then_rest(after, 0)?;
            }
            0..ETHER_TYPES_FROM => (kind, rest) = snap(kind, rest)?,
            other => return Err(Stop::NotIp(other)),
        }
    }
    Err(Stop::TooDeep)
}

/// IEEE 802.2 LLC: only a SNAP header with the zero OUI holds an EtherType (RFC 1042).
fn snap(length: u16, llc: &[u8]) -> Result<(u16, &[u8]), Stop> {
    match llc {
        [0xAA, 0xAA, 0x03, 0, 0, 0, high, low, rest @ ..] => {
            match u16::from_be_bytes([*high, *low]) {
                // A length inside SNAP would go round in circles.
                0..ETHER_TYPES_FROM => Err(Stop::NotIp(length)),
                kind => Ok((kind, rest)),
            }
        }
        [0xAA, 0xAA, 0x03, ..] if llc.len() < SNAP_LEN => Err(Stop::LinkHeader),
        [_, _, _, ..] => Err(Stop::NotIp(length)),
        _ => Err(Stop::LinkHeader),
    }
}

/// BSD loopback: four bytes of address family. `AF_INET` is 2 everywhere, `AF_INET6` differs
/// between systems.
fn loopback(data: &[u8], number: fn([u8; 4]) -> u32) -> Result<Network<'_>, Stop> {
    let (field, rest) = data.split_first_chunk::<4>().ok_or(Stop::LinkHeader)?;
    match number(*field) {
        2 | 10 | 24 | 28 | 30 => Ok(Network::untagged(rest)),
        // Families are numbered by bytes everywhere: anything above is a broken header.
        other => Err(u8::try_from(other).map_or(Stop::LinkHeader, Stop::AddressFamily)),
    }
}

/// A number in the byte order of the capturing host, which the frame does not tell. Address
/// families are small: read in the wrong order they are huge.
fn in_host_order(field: [u8; 4]) -> u32 {
    u32::from_be_bytes(field).min(u32::from_le_bytes(field))
}

/// The number at an offset and what follows it.
fn u16_then_rest(data: &[u8], at: usize) -> Result<(u16, &[u8]), Stop> {
    let (field, rest) =
        data.get(at..).and_then(|data| data.split_first_chunk::<2>()).ok_or(Stop::LinkHeader)?;
    Ok((u16::from_be_bytes(*field), rest))
}

/// EtherType of IPv4.
const IPV4: u16 = 0x0800;
/// EtherType of IPv6.
const IPV6: u16 = 0x86DD;
/// Customer VLAN tag (IEEE 802.1Q).
const VLAN: u16 = 0x8100;
/// Service VLAN tag (IEEE 802.1ad).
const VLAN_SERVICE: u16 = 0x88A8;
/// Outer VLAN tag of equipment older than 802.1ad.
const VLAN_OLD: u16 = 0x9100;
/// The part of a VLAN tag that is the id; priority and drop bits are above it.
const VLAN_ID_BITS: u16 = 0x0FFF;
/// Numbers below this are lengths or Linux's own (IEEE 802.3).
const ETHER_TYPES_FROM: u16 = 0x0600;
/// Linux's number for an IEEE 802.2 frame.
const COOKED_LLC: u16 = 0x0004;
/// Bytes of LLC and SNAP headers together.
const SNAP_LEN: usize = 8;
/// VLAN tags walked per frame, so that a frame made of tags costs little.
const MAX_TAGS: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::testing::{UDP, frame, hex, ipv4, ipv6, packet, stop};
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
    fn an_unread_link_type_is_named() {
        let radio = LinkType(127);
        assert_eq!(stop(&frame(radio, &[0; 64])), Stop::LinkType(radio));
    }
}
