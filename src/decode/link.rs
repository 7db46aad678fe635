//! From a link-layer header to IP: one function per header kind, chosen by the link type.
//!
//! Link types are those of the tcpdump group's LINKTYPE registry. VLAN tags (IEEE 802.1Q, 802.1ad
//! and the 0x9100 of older equipment) are read off here too, since they sit between link and
//! network. IP itself is told apart by its version later on.

use super::{Stop, Vlans};
use crate::input::{Frame, LinkType};

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
        Self {
            bytes,
            vlans: Vlans::new(0),
        }
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

/// Ethernet II and IEEE 802.3: two addresses, then an `EtherType` or a length.
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

/// IEEE 802.2 LLC: only a SNAP header with the zero OUI holds an `EtherType` (RFC 1042).
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
        other => Err(Stop::AddressFamily(other)),
    }
}

/// A number in the byte order of the capturing host, which the frame does not tell. Address
/// families are small: read in the wrong order they are huge.
fn in_host_order(field: [u8; 4]) -> u32 {
    u32::from_be_bytes(field).min(u32::from_le_bytes(field))
}

/// The number at an offset and what follows it.
fn u16_then_rest(data: &[u8], at: usize) -> Result<(u16, &[u8]), Stop> {
    let (field, rest) = data
        .get(at..)
        .and_then(|data| data.split_first_chunk::<2>())
        .ok_or(Stop::LinkHeader)?;
    Ok((u16::from_be_bytes(*field), rest))
}

/// `EtherType` of IPv4.
const IPV4: u16 = 0x0800;
/// `EtherType` of IPv6.
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
